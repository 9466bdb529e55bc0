//! The walk in docs/walk.md is up to date: its commands are run, and their output is compared.
//!
//! `NOFX_WALK=write cargo test -p nofx --features cli --test walk` rewrites the page.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

#[expect(dead_code, reason = "an example has a `main` of its own")]
#[path = "../../examples/talk.rs"]
mod talk;

/// With this argument, this program runs the example.
const TALK: &str = "talks-until-it-is-killed";

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/walk.md");

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(TALK) {
        return talk_on();
    }
    let walk = Trial::test("the_walk_is_what_one_sees", || walk().map_err(Failed::from)).with_ignored_flag(!cfg!(unix));
    libtest_mimic::run(&Arguments::from_args(), vec![walk]).exit_code()
}

fn talk_on() -> ExitCode {
    let location = std::env::args().nth(2).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let talked = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(talk::talk(&location.parse()?)));
    match talked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn walk() -> Result<(), String> {
    let page = fs::read_to_string(PAGE).map_err(|error| format!("{PAGE}: {error}"))?;
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let printed = run(&commands).map_err(|error| error.to_string())?;
    let walked = with_output(&page, printed);
    if std::env::var("NOFX_WALK").is_ok_and(|it| it == "write") {
        return fs::write(PAGE, walked).map_err(|error| format!("{PAGE}: {error}"));
    }
    for (expected, found) in page.lines().zip(walked.lines()) {
        if normal(expected) != normal(found) {
            return Err(format!("docs/walk.md says\n  {expected}\nand one sees\n  {found}\nin\n{walked}"));
        }
    }
    match page.lines().count() == walked.lines().count() {
        true => Ok(()),
        false => Err(format!("docs/walk.md is shorter or longer than what one sees:\n{walked}")),
    }
}

/// Runs commands one after the other in one shell, and returns what each printed.
fn run(commands: &[&str]) -> std::io::Result<Vec<String>> {
    let (folder, bin) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let shim = format!("#!/bin/sh\nexec '{}' {TALK} \"$@\"\n", std::env::current_exe()?.display());
    fs::write(bin.path().join("talk"), shim)?;
    allow_to_run(&bin.path().join("talk"))?;
    let mut script = String::new();
    for (number, command) in commands.iter().enumerate() {
        let out = bin.path().join(number.to_string());
        script.push_str(&format!("{{ {command}\n}} > '{}' 2>&1\n", out.display()));
    }
    let program = Path::new(env!("CARGO_BIN_EXE_nofx")).parent().unwrap_or(Path::new(""));
    let path = format!("{}:{}:{}", bin.path().display(), program.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path()).env("PATH", path).env_remove("NOFX_STORE");
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    (0..commands.len()).map(|number| fs::read_to_string(bin.path().join(number.to_string()))).collect()
}

#[cfg(unix)]
fn allow_to_run(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn allow_to_run(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Returns the page with the output of its commands after them.
fn with_output(page: &str, printed: Vec<String>) -> String {
    let mut printed = printed.into_iter();
    let mut walked = String::new();
    let mut is_output = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_output = false;
        }
        if line.starts_with("$ ") {
            walked.push_str(&format!("{line}\n{}", printed.next().unwrap_or_default()));
            is_output = true;
        } else if !is_output {
            walked.push_str(&format!("{line}\n"));
        }
    }
    walked
}

/// Returns a line without what differs between runs: numbers, the random ends of ids, the widths of columns.
fn normal(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let random = ["session-ada-", "restored-ada-", "imported-"]
            .iter()
            .find_map(|begin| word.split_once(begin).zip(Some(begin)));
        match random {
            Some(((before, after), begin)) => {
                let end: String = after.chars().filter(|c| !c.is_ascii_alphanumeric() && *c != '-').collect();
                format!("{before}{begin}#{end}")
            }
            None => {
                let parts: Vec<&str> = word.split(|c: char| c.is_ascii_digit()).collect();
                parts.join("#").replace("##", "#").replace("##", "#").replace("##", "#")
            }
        }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    line.replace("# min ago", "now").replace("KiB", "bytes").replace("MiB", "bytes")
}
