//! Migrating legacy folders.

use std::fs;
use std::path::Path;

use crate::program::{LEGACY, Place, run};

/// The sample in this repository.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/legacy/.nofx");

/// A session that was truncated while it was being written.
pub(crate) const CUT: &str = r#"{"id":"s","name":"n","agentId":"ada","agentName":"Ada","agentType":"backend","status":"active",
    "createdAt":"2025-07-01T10:00:00.000Z","lastActiveAt":"2025-07-01T10:00:00.000Z","conversationHistory":[
    {"id":"m1","timestamp":"2025-07-01T10:00:00.000Z","type":"user","content":"whole"},{"id":"m2","timest"#;

#[test]
fn the_sample_is_migrated_verified_and_made_small() {
    let place = Place::new();
    let first =
        run(&mut place.command(["migrate", "--from", SAMPLE, "--to", "redb:x.redb", "--report", "r.json"])).done();
    assert!(first.out.contains("verified: the target has everything"), "{}", first.out);
    assert!(first.out.contains("redb:x.redb: ") && first.out.contains(" % of the source's "), "{}", first.out);
    assert!(first.out.ends_with(", compacted\n"), "{}", first.out);
    assert!(fs::read_to_string(place.path("r.json")).unwrap().contains("\"compacted\": true"));
    let full = place.run("dump --full --store redb:x.redb").done().out;
    let second = run(&mut place.command(["migrate", "--from", SAMPLE, "--to", "redb:x.redb"])).done();
    assert!(second.out.contains("; 0 commits"), "{}", second.out);
    assert_eq!(place.run("dump --full --store redb:x.redb").done().out, full);
    let sizes = [fs::metadata(place.path("x.redb")).unwrap().len(), tree_size(Path::new(SAMPLE))];
    assert!(sizes[0] < sizes[1], "{sizes:?}");
    place.run("migrate --from redb:x.redb --to redb:y.redb").done();
    assert_eq!(place.run("dump --full --store redb:y.redb").done().out, full);
}

fn tree_size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { tree_size(&path) } else { fs::metadata(&path).expect("a file").len() }).sum()
}

/// glibc's allocator only reads this from the environment.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_migration_starts_again_with_one_arena_unless_the_environment_says_how_many() {
    let starts = |arenas: Option<&str>| {
        let place = Place::new().with_legacy();
        let mut command = std::process::Command::new("strace");
        let program = env!("CARGO_BIN_EXE_nofx");
        command.args(["-f", "-qq", "-v", "-s", "64", "-e", "trace=execve", "-o", "calls", program]);
        command.args(["migrate", "--from", "work", "--to", "redb:x.redb"]).current_dir(place.path(""));
        match arenas {
            Some(arenas) => command.env("MALLOC_ARENA_MAX", arenas),
            None => command.env_remove("MALLOC_ARENA_MAX"),
        };
        run(&mut command).done();
        let calls = fs::read_to_string(place.path("calls")).unwrap();
        calls.lines().filter(|call| call.contains("execve(")).map(str::to_owned).collect::<Vec<_>>()
    };
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        println!("strace is not installed");
        return;
    }
    let again = starts(None);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(!again[0].contains("MALLOC_ARENA_MAX") && again[1].contains("\"MALLOC_ARENA_MAX=1\""), "{again:?}");
    assert!(again[1].contains("\"migrate\", \"--from\", \"work\""), "{again:?}");
    assert_eq!(starts(Some("4")).len(), 1, "what the environment says holds");
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::new().with_legacy();
    let before = place.tree("");
    let dry = place.run("migrate --from work --to redb:new/x.redb --dry-run").done().out;
    assert!(dry.contains("(dry run: nothing was written)"), "{dry}");
    assert_eq!(place.tree(""), before);
    place.run("migrate --from work --to redb:x.redb").done();
    let full = place.run("dump --full --store redb:x.redb").done().out;
    place.write("work/.nofx/sessions/stray.txt", "stray");
    place.run("migrate --from work --to redb:x.redb --dry-run").done();
    assert_eq!(place.run("dump --full --store redb:x.redb").done().out, full);
}

#[test]
fn the_source_is_never_changed() {
    let place = Place::new().with_legacy();
    place.write("work/.nofx/sessions/bad.json", CUT);
    let before = place.tree("work");
    place.run("migrate --from work --to redb:x.redb").done();
    assert_eq!(place.tree("work"), before);
}

#[test]
fn damage_is_a_failure_only_for_the_strict() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:clean.redb --strict").done();
    place.write("work/.nofx/sessions/bad.json", CUT);
    place.run("migrate --from work --to redb:x.redb").done();
    let strict = place.run("migrate --from work --to redb:y.redb --strict");
    assert_eq!(strict.code, 4, "{strict:?}");
    assert!(strict.err.starts_with("error: something in the source was damaged"), "{strict:?}");
    assert!(strict.out.contains("sessions/bad.json"), "the report is printed all the same: {strict:?}");
    assert_eq!(
        place.run("dump --full --store redb:x.redb").done().out,
        place.run("dump --full --store redb:y.redb").done().out
    );
}

#[cfg(feature = "fs")]
#[test]
fn what_the_target_has_lost_is_no_success() {
    let place = Place::new().with_legacy();
    place.write("work/.nofx/notes.txt", "notes");
    place.run("migrate --from work --to fs:y").done();
    let mut files = place.tree("y").into_iter().map(|(path, _)| path);
    fs::remove_file(files.find(|path| path.to_string_lossy().ends_with(".payload.json")).expect("a payload")).unwrap();
    let run = place.run("migrate --from work --to fs:y");
    assert!(run.code == 3 && run.out.contains("NOT VERIFIED") && run.out.contains("`notes.txt`"), "{run:?}");
    assert!(run.err.contains("hint: keep the source; check the store with `nofx doctor`"), "{run:?}");
    place.run("migrate --from work --to fs:y --no-verify").done();
}

#[test]
fn a_workspace_folder_stands_for_the_legacy_folder_in_it() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:x.redb").done();
    place.run("migrate --from work/.nofx --to redb:y.redb --no-verify").done();
    assert_eq!(
        place.run("dump --full --store redb:x.redb").done().out,
        place.run("dump --full --store redb:y.redb").done().out
    );
}

#[test]
fn what_the_old_extension_writes_later_is_added() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:x.redb").done();
    place.write("work/.nofx/agents.json", LEGACY.replace("\"idle\"", "\"working\""));
    place.run("migrate --from work --to redb:x.redb").done();
    let dump = place.run("dump --store redb:x.redb").done().out;
    assert!(dump.contains("\"status\":\"working\""), "{dump}");
}

#[test]
fn a_store_in_memory_is_a_rehearsal() {
    let place = Place::new().with_legacy();
    let run = place.run("migrate --from work --to memory:").done();
    assert!(run.out.contains("memory: is gone when this program ends"), "{run:?}");
}

#[test]
fn a_report_is_not_written_over_what_is_migrated_too() {
    let place = Place::new().with_legacy();
    place.write("state.json", r#"{"nofx.agents": []}"#);
    let refused = place.run("migrate --from work --also state.json --to redb:x.redb --report state.json");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(fs::read_to_string(place.path("state.json")).unwrap(), r#"{"nofx.agents": []}"#);
}
