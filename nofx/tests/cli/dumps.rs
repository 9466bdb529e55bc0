//! Dumps, and stores loaded from them.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nofx_core::Deadline;

use crate::program::{DUMP, Place, dump_of_noise, run};

#[test]
fn what_was_dumped_and_loaded_is_the_same() {
    let place = Place::new();
    place.write("dump.ndjson", DUMP);
    let loaded = place.run("load dump.ndjson --store redb:deep/er/x.redb").done();
    assert!(loaded.out.starts_with("`redb:deep/er/x.redb` holds 1 records and 1 logs with 1 entries; digest "));
    #[cfg(unix)]
    for folder in ["deep", "deep/er"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(place.path(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
    assert_eq!(place.run("dump --full --store redb:deep/er/x.redb").done().out, DUMP);
    place.run("dump --full --store redb:deep/er/x.redb --output again.ndjson").done();
    assert_eq!(fs::read_to_string(place.path("again.ndjson")).unwrap(), DUMP);
    place.run("migrate --from redb:deep/er/x.redb --to redb:y.redb").done();
    assert_eq!(place.run("dump --full --store redb:y.redb").done().out, DUMP);
    let canonical = place.run("dump --store redb:y.redb").done().out;
    assert_eq!(canonical, place.run("dump --store redb:deep/er/x.redb").done().out);
    assert_eq!(canonical.lines().count(), 3, "the store, an agent and a message");
}

/// The dumps of a store that has every oddity, equal to those in nofx-migrate's own tests of a store in memory.
const ODD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nofx-migrate/tests/dump/golden");

#[test]
fn the_odd_store_has_the_same_dumps_in_a_file_as_in_memory() {
    let place = Place::new();
    run(&mut place.command(["load", &format!("{ODD}/full.ndjson"), "--store", "redb:x.redb"])).done();
    place.run("migrate --from redb:x.redb --to redb:y.redb").done();
    for name in ["x", "y"] {
        let full = place.run(&format!("dump --full --store redb:{name}.redb")).done().out;
        assert_eq!(full, fs::read_to_string(format!("{ODD}/full.ndjson")).unwrap());
        let canonical = place.run(&format!("dump --store redb:{name}.redb")).done().out;
        assert_eq!(canonical, fs::read_to_string(format!("{ODD}/canonical.ndjson")).unwrap());
    }
}

#[test]
fn a_dump_is_loaded_from_the_standard_input() {
    let place = Place::new();
    for (name, args) in [("a", vec!["load", "--store", "redb:a"]), ("b", vec!["load", "-", "--store", "redb:b"])] {
        let mut child = place.command(args).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(DUMP.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(place.run(&format!("dump --full --store redb:{name}")).done().out, DUMP);
    }
}

#[test]
fn a_damaged_stream_leaves_no_store() {
    let place = Place::new();
    let mut command = place.command(["load", "--store", "redb:new/folder/x.redb"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(DUMP.replace("hello", "hullo").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(15));
    assert_eq!(place.tree(""), []);
}

#[test]
fn a_store_that_another_process_makes_during_a_load_stays_as_it_made_it() {
    let place = Place::new();
    place.write("theirs.ndjson", DUMP);
    for (name, location) in [("x.redb", "redb:in/x.redb"), ("y", "fs:in/y")] {
        let mut command = place.command(["load", "--store", location]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let (first, rest) = DUMP.split_at(DUMP.find('\n').unwrap() + 1);
        input.write_all(first.as_bytes()).unwrap();
        let begun = Deadline::after(Duration::from_secs(60));
        while beside(&place).is_empty() {
            assert!(!begun.has_passed());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!place.path("in").join(name).exists(), "a part of a store is never found");
        place.run(&format!("load theirs.ndjson --store {location}")).done();
        input.write_all(rest.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(30) && told.contains("another process has created"), "{told}");
        assert_eq!(place.run(&format!("dump --full --store {location}")).done().out, DUMP);
        assert!(beside(&place).is_empty(), "nothing of the other is left");
    }
}

/// Returns the temporary folders of stores that are being created in the folder `in`.
fn beside(place: &Place) -> Vec<PathBuf> {
    let inside = fs::read_dir(place.path("in")).into_iter().flatten().flatten().map(|entry| entry.path());
    inside.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".nofx-"))).collect()
}

#[test]
fn the_store_is_found_by_the_environment_and_upwards() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:work/.nofx/store/nofx.redb").done();
    let expected = place.run("dump --store redb:work/.nofx/store/nofx.redb").done().out;
    fs::create_dir_all(place.path("work/src/deep")).unwrap();
    for below in ["work", "work/src/deep", "work/.nofx"] {
        let found = run(place.command(["dump"]).current_dir(place.path(below))).done().out;
        assert_eq!(found, expected, "{below}");
    }
    let named = run(place.command(["dump"]).env("NOFX_STORE", "redb:work/.nofx/store/nofx.redb")).done();
    assert_eq!(named.out, expected);
    let empty = run(place.command(["dump", "--store", "memory:"]).env("NOFX_STORE", "redb:nowhere")).done();
    assert_eq!(empty.out.lines().count(), 1);
}

#[test]
fn a_dump_to_a_file_that_fails_leaves_the_older_one() {
    let place = Place::new();
    place.write("x.ndjson", "older");
    place.run("dump --store redb:nowhere.redb -o x.ndjson").failed(29, "no NofX store at `redb:nowhere.redb`");
    assert_eq!(fs::read(place.path("x.ndjson")).unwrap(), b"older");
    place.run("dump --store memory: -o x.ndjson").done();
    assert_ne!(fs::read(place.path("x.ndjson")).unwrap(), b"older");
    let run = place.run("dump --store memory: -o no/where.ndjson");
    assert_eq!(run.code, 24, "{run:?}");
}

#[test]
fn a_copy_is_tried_dry_reported_as_json_and_brought_up_to_date() {
    let place = Place::new();
    place.write("dump.ndjson", DUMP);
    for from in ["dump.ndjson", "redb:x.redb"] {
        if from == "redb:x.redb" {
            place.run("load dump.ndjson --store redb:x.redb").done();
        }
        let dry = place.run(&format!("migrate --from {from} --to redb:y.redb --dry-run")).done().out;
        assert!(dry.contains("dry run: nothing was written"), "{dry}");
        assert!(!place.path("y.redb").exists());
    }
    let first = place.run("migrate --from redb:x.redb --to redb:y.redb --json --report report.json").done().out;
    assert!(first.contains("\"compacted\": true"), "{first}");
    assert_eq!(fs::read_to_string(place.path("report.json")).unwrap(), first);
    let second = place.run("migrate --from redb:x.redb --to redb:y.redb").done().out;
    assert!(second.contains("added 0 records and 0 logs with 0 entries"), "{second}");
    assert!(!second.contains("compacted"), "{second}");
    assert_eq!(place.run("dump --full --store redb:y.redb").done().out, DUMP);
}

#[test]
fn a_large_new_store_has_given_back_what_making_it_set_free() {
    let place = Place::new();
    // Too large to be compacted without being asked, and in many small sessions, which are folded while more arrive.
    place.write("dump.ndjson", dump_of_noise(2_500));
    place.run("load dump.ndjson --store redb:x.redb").done();
    place.run("migrate --from redb:x.redb --to redb:y.redb").done();
    let journal = |name: &str| match place.path(&format!("{name}-journal")).exists() {
        true => place.tree(&format!("{name}-journal")),
        false => Vec::new(),
    };
    let length = |name: &str| {
        let beside: usize = journal(name).iter().filter_map(|(_, bytes)| bytes.as_ref()).map(Vec::len).sum();
        fs::metadata(place.path(name)).unwrap().len() + beside as u64
    };
    for name in ["x.redb", "y.redb"] {
        let made = length(name);
        assert!(made > 16 << 20, "{name}: {made}");
        let told = place.run(&format!("compact --json --store redb:{name}")).done().out;
        assert!(told.contains(&format!("\"compacted\":true,\"before\":{made},")), "{told}");
        let least = length(name);
        // The space freed during the load is about as much again; compacting also folds and compresses.
        assert!(made <= least + least / 2, "{name}: {made} bytes, {least} after it was compacted");
    }
}

#[cfg(all(unix, feature = "fs", feature = "remote"))]
#[test]
fn no_command_writes_over_a_store_or_into_one() {
    let place = Place::new().with_legacy();
    place.write("x.ndjson", DUMP);
    let remote = place.objects("remote");
    for store in ["redb:x.redb", "redb:other.redb", "fs:files", &remote] {
        place.run(&format!("load x.ndjson --store {store}")).done();
    }
    place.write("other.redb.lock", "1 here\n");
    std::os::unix::fs::symlink("other.redb", place.path("link")).unwrap();
    let before = place.tree("");
    for output in [
        "x.redb",
        "other.redb",
        "other.redb.lock",
        "link",
        "files/config.json",
        "files/agents/ada.json",
        "files/new.txt",
        "remote/root/new",
        "remote/new.txt",
    ] {
        for words in [
            "dump --store redb:x.redb -o",
            "dump --full --store redb:x.redb -o",
            "export --agents --store redb:x.redb -o",
            "migrate --from work --to redb:new.redb --report",
        ] {
            let run = place.run(&format!("{words} {output}"));
            assert_eq!((run.code, run.err.lines().count()), (2, 2), "{words} {output}: {run:?}");
            assert!(run.err.contains(output), "{words} {output}: {run:?}");
            assert!(place.tree("") == before, "{words} {output}");
        }
    }
}
