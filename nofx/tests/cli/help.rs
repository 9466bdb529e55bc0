//! The help tells the truth.

use std::path::Path;
use std::process::Command;

use crate::program::{LEGACY, Place, run, session};

const COMMANDS: [&str; 22] = [
    "migrate",
    "ls",
    "show",
    "tail",
    "search",
    "export",
    "import",
    "rewind",
    "archive",
    "restore",
    "delete",
    "undelete",
    "cleanup",
    "stats",
    "records",
    "doctor",
    "backup",
    "compact",
    "upgrade",
    "dump",
    "load",
    "completions",
];

fn help(place: &Place, command: &str) -> String {
    place.run(&format!("{command} --help")).done().out
}

/// Returns the search path with the program's folder in front.
fn path() -> std::ffi::OsString {
    let folder = Path::new(env!("CARGO_BIN_EXE_nofx")).parent().expect("a folder").to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&others))).expect("a path")
}

#[test]
#[cfg_attr(windows, ignore = "the examples are lines for a Unix shell")]
fn every_example_of_every_command_works() {
    let place = Place::new();
    place.write(".nofx/agents.json", LEGACY);
    place.write(".nofx/sessions/session-harbour-1.json", session("session-harbour-1", "Harbour login"));
    place.write("state.json", r#"{"nofx.agents": [{"id": "grace", "name": "Grace"}]}"#);
    place.write("logs/messages.jsonl", "{\"id\":\"m-1\",\"type\":\"status_update\"}\n");
    let mut count = 0;
    for command in COMMANDS {
        let help = help(&place, command);
        let examples: Vec<&str> = help.lines().filter_map(|line| line.trim().strip_prefix("$ ")).collect();
        assert!(!examples.is_empty(), "{command} has an example");
        for example in examples {
            assert!(example.contains(&format!("nofx {command}")), "{example}");
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("set -e; {example}")]).current_dir(place.path(""));
            shell.env("PATH", path()).env_remove("NOFX_STORE");
            let ran = run(&mut shell);
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{example}");
            count += 1;
        }
    }
    assert!(count >= 40, "{count}");
}

#[test]
fn the_help_of_migrate_lists_every_exit_code_that_these_tests_know() {
    let help = help(&Place::new(), "migrate");
    for code in [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 40, 41, 42, 130]
    {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {code:>3}  "))), "{code}");
    }
    let manual = include_str!("../../../docs/migration.md");
    let (_, table) = help.split_once("Exit codes:\n").unwrap();
    for line in table.lines().filter(|line| !line.is_empty()) {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        // The manual has those that a migration can end with.
        let is_of_other_commands = ["5", "40", "41", "42"].contains(&code);
        assert!(
            is_of_other_commands || manual.contains(&format!("| {code} | {} | ", meaning.trim())),
            "the manual lacks: {line}"
        );
    }
    assert!(
        help.starts_with("Migrate a legacy folder, a store or a full dump into a store.\n\nThe source is only read.")
    );
}

#[test]
fn every_command_is_explained_and_wrong_ones_are_refused() {
    let place = Place::new();
    let overview = place.run("--help").done().out;
    for command in COMMANDS {
        let line = overview.lines().find(|line| line.trim().starts_with(command)).unwrap();
        assert!(line.trim().len() > command.len() + 10, "{line}");
    }
    for wrong in ["nonsense", "migrate", "migrate --from x", "dump --full=yes", "completions tcsh"] {
        assert_eq!(place.run(wrong).code, 2, "{wrong}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(place.run(&format!("completions {shell}")).done().out.contains("migrate"), "{shell}");
    }
}
