//! Every command that only reads, on stores that are not at rest.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::program::{Place, Run, dump_of, sha256};

/// Every command that only reads, with `STORE` for the store. What it makes elsewhere is named `made`.
const LOOKING: [&str; 20] = [
    "ls --store STORE",
    "ls --json --store STORE",
    "ls --trash --store STORE",
    "show s --store STORE",
    "show s --json --store STORE",
    "tail s --store STORE",
    "search words --store STORE",
    "export s --store STORE",
    "export s --format json --store STORE",
    "export --agents --store STORE",
    "stats --store STORE",
    "stats --json --store STORE",
    "doctor --store STORE",
    "dump --store STORE",
    "dump --full --store STORE",
    "cleanup --archive-after 1s --store STORE",
    "backup --store STORE --to redb:made/copy.redb",
    "migrate --from STORE --to redb:made/copy.redb --dry-run",
    "migrate --from STORE --to redb:made/copy.redb",
    "migrate --from work --to STORE --dry-run",
];

fn look(place: &Place, words: &str, store: &str) -> Run {
    _ = fs::remove_dir_all(place.path("made"));
    place.run(&words.replace("STORE", store))
}

/// A store of one session with messages that do not compress.
fn filled(store: &str) -> Place {
    let place = Place::new().with_legacy();
    let noise = |number: u32| (0..4).map(|part| sha256(&(4 * number + part).to_le_bytes())).collect::<String>();
    let messages = (0..4000).map(|number| noise(number) + " words");
    place.write("x.ndjson", dump_of("s", messages));
    place.run(&format!("load x.ndjson --store {store}")).done();
    place
}

/// Marks the file of a store as open, as a host leaves it that is killed.
fn leave_open(place: &Place, file: &str) -> Vec<u8> {
    let mut bytes = fs::read(place.path(file)).expect("a file");
    // redb's flag of that, behind its magic number.
    bytes[9] |= 2;
    fs::write(place.path(file), &bytes).expect("a file");
    bytes
}

#[test]
fn what_a_killed_host_left_is_read_by_every_command() {
    let place = filled("redb:x.redb");
    for words in LOOKING {
        leave_open(&place, "x.redb");
        look(&place, words, "redb:x.redb").done();
    }
}

#[test]
fn what_is_cut_is_damaged_for_every_command() {
    let place = filled("redb:x.redb");
    let whole = leave_open(&place, "x.redb");
    for words in LOOKING {
        fs::write(place.path("x.redb"), &whole[..whole.len() / 4]).expect("a file");
        let run = look(&place, words, "redb:x.redb");
        assert!(run.code == 27 && run.err.contains("x.redb"), "{words}: {run:?}");
    }
}

/// Everything below the folder of a store: names, contents and when they were changed.
type State = Vec<(PathBuf, Option<Vec<u8>>, SystemTime)>;

fn state(place: &Place) -> State {
    let with_time = |(path, bytes): (PathBuf, Option<Vec<u8>>)| {
        let changed = fs::symlink_metadata(&path).and_then(|found| found.modified()).expect("it exists");
        (path, bytes, changed)
    };
    place.tree("store").into_iter().map(with_time).collect()
}

/// A store in the folder `store` above 256 KiB, at rest, and its state.
fn at_rest(store: &str) -> (Place, State) {
    let place = filled(store);
    // What the writer left to be done is done by now.
    place.run(&format!("ls --store {store}")).done();
    let state = state(&place);
    let bytes: usize = state.iter().filter_map(|(_, bytes, _)| bytes.as_ref()).map(Vec::len).sum();
    assert!(bytes > 256 << 10, "{bytes}");
    (place, state)
}

#[track_caller]
fn is_as_before(place: &Place, before: &State, words: &str) {
    let after = state(place);
    let changed: Vec<_> = after.iter().filter(|file| !before.contains(file)).map(|(path, ..)| path).collect();
    assert!(after == *before, "{words}: {changed:?}, {} things and {}", before.len(), after.len());
}

#[cfg(unix)]
#[track_caller]
fn may_be_read_by_others(store: &str) {
    use crate::bad_input::{allow, as_anybody};
    let (place, before) = at_rest(store);
    allow(&place, "", 0o777);
    for (path, bytes, _) in &before {
        allow(&place, path.to_str().expect("text"), if bytes.is_some() { 0o644 } else { 0o755 });
    }
    allow(&place, "store", 0o755);
    for words in LOOKING {
        _ = fs::remove_dir_all(place.path("made"));
        as_anybody(&place, &words.replace("STORE", store)).done();
        is_as_before(&place, &before, words);
    }
}

#[cfg(unix)]
#[test]
fn looking_at_a_file_takes_no_more_than_reading() {
    may_be_read_by_others("redb:store/x.redb");
}

#[cfg(all(unix, feature = "fs"))]
#[test]
fn looking_at_a_folder_takes_no_more_than_reading() {
    may_be_read_by_others("fs:store");
}
