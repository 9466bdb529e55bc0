//! Migrations that are killed. More of them: `NOFX_KILLS=200 cargo nextest run -p nofx --all-features kills --no-capture`.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nofx_core::Deadline;

use crate::backends::{dumps, stores};
use crate::program::{LEGACY, Place, run, session};

/// Puts a legacy folder here that takes several commits of every kind: sessions, messages between agents, attachments.
fn busy(place: &Place) {
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
        // Some were cut while they were being written, and are kept as attachments too.
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
    place.write("work/.nofx/small.bin", (0..1000).map(|_| noise()).collect::<Vec<u8>>());
}

fn migrate(place: &Place, to: &str) -> std::process::Command {
    place.command(["migrate", "--from", "work", "--to", to])
}

/// Starts a migration and kills it after some time. Returns whether it was still going on.
fn kill_after(place: &Place, to: &str, time: Duration) -> bool {
    let mut child = migrate(place, to).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    std::thread::sleep(time);
    child.kill().expect("it may be killed");
    !child.wait().expect("it ends").success()
}

/// Returns how many bytes a store in a file has.
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
            // From the first step to the last one, and again in what is left of it.
            for part in [1 + 2 * round, 1 + round] {
                tried += 1;
                kills += u32::from(kill_after(&place, target, took * part / (2 * rounds)));
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
