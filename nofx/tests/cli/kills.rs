//! Killed migrations. For more of them: `NOFX_KILLS=200 cargo nextest run -p nofx --all-features kills --no-capture`.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nofx_core::Deadline;

use crate::backends::{dumps, stores};
#[cfg(unix)]
use crate::program::Run;
use crate::program::{LEGACY, Place, run, session};

/// Writes a legacy folder that takes several commits of every kind: sessions, messages between agents, attachments.
pub(crate) fn busy(place: &Place) {
    place.write("work/.nofx/agents.json", LEGACY);
    for number in 0..20 {
        let messages = (0..40).map(|message| {
            format!(
                r#"{{"id":"m{message}","timestamp":{message},"type":"user","content":"message {message} of {number}"}}"#
            )
        });
        let session = session(&format!("s-{number}"), &format!("Session {number}"));
        let history = format!(r#""conversationHistory":[{},"#, messages.collect::<Vec<_>>().join(","));
        let session = session.replacen(r#""conversationHistory":["#, &history, 1);
        // Some were truncated while they were being written, and are kept as attachments too.
        let end = if number % 5 == 0 { session.len() - 20 } else { session.len() };
        place.write(&format!("work/.nofx/sessions/s-{number}.json"), session.get(..end).expect("it is ASCII"));
    }
    let lines: String =
        (0..1500).map(|id| format!("{{\"id\":\"{id}\",\"type\":\"note\",\"timestamp\":{id}}}\n")).collect();
    place.write("work/.nofx/orchestration/messages.jsonl", lines + "half of a li");
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    place.write("work/.nofx/large.bin", (0..300_000).map(|_| noise()).collect::<Vec<u8>>());
    // Several batches.
    let notes: String = (0..).map(|number| format!("note {number}\n")).take(500_000).collect();
    place.write("work/.nofx/notes.txt", notes);
    place.write("work/.nofx/small.bin", (0..1000).map(|_| noise()).collect::<Vec<u8>>());
}

pub(crate) fn migrate(place: &Place, to: &str) -> std::process::Command {
    place.command(["migrate", "--from", "work", "--to", to])
}

/// Starts a migration and kills it after some time. Returns whether it was still running.
fn kill_after(place: &Place, to: &str, time: Duration) -> bool {
    let mut child = migrate(place, to).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    std::thread::sleep(time);
    child.kill().expect("it may be killed");
    !child.wait().expect("it ends").success()
}

/// Returns the size of a store in a file, in bytes.
fn size(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

#[test]
fn killed_at_any_moment_it_ends_in_the_same_store() {
    let rounds: u32 = std::env::var("NOFX_KILLS").ok().map_or(2, |number| number.parse().expect("a number"));
    let place = Place::new();
    busy(&place);
    for (kind, whole) in stores(&place, "whole").iter().enumerate() {
        let begun = Deadline::after(Duration::MAX);
        run(&mut migrate(&place, whole)).done();
        let took = begun.elapsed();
        let expected = dumps(&place, whole);
        let (mut kills, mut tried) = (0, 0);
        for round in 0..rounds {
            let target = &stores(&place, &format!("killed-{round}"))[kind];
            // From the first step to the last one.
            for part in 0..2 {
                tried += 1;
                kills += u32::from(kill_after(&place, target, took * (1 + part + 2 * round) / (2 * rounds + 1)));
            }
            let resumed = run(&mut migrate(&place, target)).done();
            assert!(resumed.out.contains("verified: the target has everything"), "{resumed:?}");
            assert!(dumps(&place, target) == expected, "{target} after {kills} kills");
            if let Some(file) = target.strip_prefix("redb:") {
                let (found, whole) = (size(&place.path(file)), size(&place.path("whole.redb")));
                assert!(found <= whole * 5 / 4, "{target}: {found} bytes, and {whole} uninterrupted");
            }
        }
        let last = &stores(&place, &format!("killed-{}", rounds - 1))[kind];
        assert!(run(&mut migrate(&place, last)).done().out.contains("; 0 commits"));
        place.run(&format!("doctor --store {last}")).done();
        println!("{whole}: {took:?} uninterrupted, {kills} of {tried} killed");
        assert!(kills > 0, "none was killed in time");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_does_not_wait_for_the_end_of_a_pipe() {
    let place = Place::new();
    for number in 0..30_u32 {
        let folder = format!("piped-{number}");
        let mut command = place.command(format!("load --store redb:{folder}/x.redb").split(' '));
        let run = interrupted(&place, command.stdin(Stdio::piped()), &folder, Duration::from_millis(20) * number);
        // It had not started to listen yet.
        if run.code == -1 {
            continue;
        }
        assert!(run.err.starts_with("error: interrupted"), "{run:?}");
        assert_eq!((run.code, place.path(&folder).exists()), (130, false));
        return;
    }
    panic!("never interrupted in time");
}

/// Starts a command, presses Ctrl-C soon after something exists at a path, and returns how it ended.
#[cfg(unix)]
fn interrupted(place: &Place, command: &mut std::process::Command, begun: &str, later: Duration) -> Run {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    // The other end of the pipe it may be reading, held open until it has ended.
    let _input = child.stdin.take();
    let patience = Deadline::after(Duration::from_secs(60));
    while !place.path(begun).exists() {
        assert!(!patience.has_passed());
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(later);
    // It may have ended already.
    _ = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status();
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_half_made_without_saying_so() {
    let place = Place::new();
    busy(&place);
    place.run("migrate --from work --to redb:whole.redb").done();
    let expected = dumps(&place, "redb:whole.redb");
    place.write("full.ndjson", &expected[1]);
    for (words, what) in [("migrate --from work --to redb:", "part"), ("load full.ndjson --store redb:", "whole")] {
        let mut seen = false;
        for number in 0..30_u32 {
            let (folder, words) = (format!("{what}-{number}"), format!("{words}{what}-{number}/x.redb"));
            let later = Duration::from_millis(20 * u64::from(number % 5));
            let run = interrupted(&place, &mut place.command(words.split(' ')), &folder, later);
            match run.code {
                // It had not started to listen yet, or had finished.
                -1 | 0 => continue,
                _ => seen = true,
            }
            let has_store = place.path(&folder).join("x.redb").exists();
            let says = if has_store { "may be incomplete" } else { "there is nothing at" };
            // Between two steps it only says that it was not done.
            let is_told = run.err.contains(says) || run.err.contains("before it was done");
            assert!(run.code == 130 && run.err.starts_with("error: interrupted") && is_told, "{run:?}");
            assert_eq!((run.err.lines().count(), run.out.as_str()), (2, ""), "{run:?}");
            assert_eq!(has_store, place.path(&folder).exists(), "{run:?}");
            place.run(&words).done();
            assert!(dumps(&place, &format!("redb:{folder}/x.redb")) == expected, "{words}");
            break;
        }
        assert!(seen, "{words}: never interrupted in time");
    }
}
