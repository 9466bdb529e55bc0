//! Signals that ask the program to end, and what a killed one leaves.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nofx_core::Deadline;

use crate::program::{DUMP, Place, dump_of, run};

/// A store that takes some time to read, in `x.redb`, and its full dump in `x.ndjson`. Output goes to the folder `out`.
fn with_much() -> Place {
    let place = Place::new();
    let dump = dump_of("s1", (0..40_000).map(|number| format!("message {number}")));
    place.write("x.ndjson", dump);
    place.run("load x.ndjson --store redb:x.redb").done();
    place.write("out/older.txt", "older");
    place
}

/// Every command that writes to a temporary folder.
const MAKING: [&str; 7] = [
    "dump --full --store redb:x.redb -o out/older.txt",
    "dump --store redb:x.redb -o out/new.txt",
    "export s1 --store redb:x.redb -o out/new.md",
    "backup --store redb:x.redb --to redb:out/made/copy.redb",
    "backup --store redb:x.redb --to fs:out/copy",
    "load x.ndjson --store redb:out/loaded.redb",
    "migrate --from x.ndjson --to redb:out/migrated.redb",
];

fn names(place: &Place) -> Vec<PathBuf> {
    let mut names: Vec<_> =
        fs::read_dir(place.path("out")).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    names
}

/// Starts a command and waits until it has created something in `out`, besides what was there. `None` if it finished before that was seen.
fn begun(place: &Place, words: &str) -> Option<Child> {
    let before = names(place);
    let mut command = place.command(words.split(' '));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    is_making(place, &before, &mut child).then_some(child)
}

/// Waits until a command has created something besides what was there when it started; `false` if it ended before that was seen.
fn is_making(place: &Place, before: &[PathBuf], child: &mut Child) -> bool {
    let patience = Deadline::after(Duration::from_secs(60));
    while names(place) == before {
        assert!(!patience.has_passed(), "nothing is made in a minute");
        if child.try_wait().expect("it runs").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().expect("there is `kill`").success());
}

#[test]
fn a_signal_leaves_nothing_temporary() {
    let place = with_much();
    for (at, words) in MAKING.into_iter().enumerate() {
        let signal = ["-INT", "-TERM", "-HUP"][at % 3];
        let mut seen = false;
        for _ in 0..20 {
            let before = names(&place);
            let Some(child) = begun(&place, words) else { continue };
            send(signal, &child);
            let output = child.wait_with_output().expect("it ends");
            let told = String::from_utf8(output.stderr).expect("text");
            if output.status.success() {
                _ = fs::remove_dir_all(place.path("out"));
                place.write("out/older.txt", "older");
                continue;
            }
            assert_eq!(output.status.code(), Some(130), "{words} {signal}: {told}");
            assert!(told.starts_with("error: interrupted"), "{words} {signal}: {told}");
            assert_eq!(names(&place), before, "{words} {signal}");
            assert_eq!(fs::read(place.path("out/older.txt")).unwrap(), b"older");
            seen = true;
            break;
        }
        assert!(seen, "{words}: never interrupted in time");
    }
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_so() {
    let place = with_much();
    let script = "trap '' HUP; exec \"$0\" load --store redb:out/loaded.redb";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_nofx")]).current_dir(place.path(""));
    let before = names(&place);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
    assert!(is_making(&place, &before, &mut child));
    send("-HUP", &child);
    child.stdin.take().expect("a pipe").write_all(DUMP.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    assert!(place.path("out/loaded.redb").is_file());
}

#[test]
fn the_next_command_removes_what_a_killed_one_left_and_nothing_of_a_live_one() {
    let place = with_much();
    let mut live = place.command(["load", "--store", "redb:out/live.redb"]);
    let before = names(&place);
    let mut live = live.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
    assert!(is_making(&place, &before, &mut live));
    let with_live = names(&place);
    for words in MAKING {
        let words = words.replace("out/made/", "out/");
        let mut killed = false;
        for _ in 0..20 {
            let Some(mut child) = begun(&place, &words) else { continue };
            child.kill().expect("it may be killed");
            killed = !child.wait().expect("it ends").success();
            if killed {
                break;
            }
        }
        assert!(killed, "{words}: never killed in time");
    }
    assert!(names(&place).len() > with_live.len());
    place.run("dump --store redb:x.redb -o out/older.txt").done();
    assert_eq!(names(&place), with_live);
    live.stdin.take().expect("a pipe").write_all(DUMP.as_bytes()).expect("it reads");
    assert!(live.wait().expect("it ends").success());
    assert_eq!(run(&mut place.command(["dump", "--full", "--store", "redb:out/live.redb"])).done().out, DUMP);
}
