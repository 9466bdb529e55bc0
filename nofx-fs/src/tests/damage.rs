//! Damage, full disks and vanished folders: reported, and nothing overwritten.

use std::fmt::Display;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path};
use std::sync::Arc;

use nofx_core::{
    Batch, Body, Expect, Kind, LogKey, LogQuery, NewEntry, Outcome, RecordKey, ScanQuery, Sources, Timestamp, kind,
};
use nofx_journal::files::Disk;
use nofx_journal::sim::Sim;

use crate::check::Severity;
use crate::layout;
use crate::options::Options;
use crate::store::OpenFolder;

pub(super) fn options() -> Options {
    Options { segment_bytes: 1 << 16, applies: false, ..Options::default() }
}

pub(super) fn open(sim: &Sim) -> OpenFolder {
    OpenFolder::open(Arc::new(sim.clone()), Path::new("store"), options()).unwrap()
}

pub(super) fn batch() -> Batch {
    Batch::new(Sources::default().batch_id())
}

pub(super) fn agent(id: &str) -> RecordKey {
    RecordKey::new(kind::AGENT, id).unwrap()
}

pub(super) fn history(id: &str) -> LogKey {
    LogKey::new(kind::HISTORY, id).unwrap()
}

pub(super) fn body(n: u64) -> Body {
    Body::trusted(format!("{{\"n\":{n},\"text\":\"some words\"}}"))
}

pub(super) fn entries(count: u64) -> Vec<NewEntry> {
    (0..count).map(|n| NewEntry { at: Timestamp::from_millis(n as i64), body: body(n) }).collect()
}

pub(super) fn commit(store: &OpenFolder, batch: Batch) {
    assert!(matches!(store.commit(vec![batch]).unwrap()[0], Outcome::Committed(_)));
}

/// A store with two agents, an open log and a sealed one, its files up to date.
pub(super) fn filled(sim: &Sim) -> OpenFolder {
    filled_in(open(sim))
}

pub(super) fn filled_in(store: OpenFolder) -> OpenFolder {
    commit(&store, batch().put(agent("ada"), Expect::Any, body(1)).put(agent("bob"), Expect::Any, body(2)));
    commit(&store, batch().append(history("s1"), entries(20)).append(history("s2"), entries(20)));
    commit(&store, batch().seal(history("s2")));
    commit(&store, batch().put(RecordKey::new(kind::TEMPLATE_NAME, "t").unwrap(), Expect::Any, body(3)));
    store.apply().unwrap();
    store
}

/// Returns what is printed of paths as tests write them, on every platform.
pub(super) fn slashed(printed: impl Display) -> String {
    printed.to_string().replace(MAIN_SEPARATOR, "/")
}

/// Returns the code of an error and whether it names all of these parts.
fn names(error: &nofx_core::Error, parts: &[&str]) -> bool {
    let text = slashed(error);
    error.code() == "corrupt" && parts.iter().all(|part| text.contains(part))
}

#[test]
fn a_flipped_byte_of_a_record_is_reported_and_the_rest_stays_readable() {
    let sim = Sim::default();
    let store = filled(&sim);
    sim.tamper("agents/ada.json", |bytes| *bytes.last_mut().unwrap() ^= 1);
    sim.tamper("agents/ada.json", |bytes| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1
    });
    let before = sim.everything();
    for store in [store, open(&sim)] {
        let error = store.get(&[agent("ada")]).unwrap_err();
        assert!(names(&error, &["agent/ada", "agents/ada.json"]), "{error}");
        assert!(store.get(&[agent("bob")]).unwrap()[0].is_some());
        assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 100)).unwrap().items.len(), 20);
    }
    assert_eq!(sim.everything()["agents/ada.json"], before["agents/ada.json"]);
    // A new version puts the damaged file aside.
    let store = open(&sim);
    commit(&store, batch().put(agent("ada"), Expect::Any, body(9)));
    store.apply().unwrap();
    let after = sim.everything();
    let kept: Vec<_> = after.iter().filter(|(path, _)| path.starts_with(layout::DAMAGED)).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].1, &before["agents/ada.json"]);
    assert_eq!(store.get(&[agent("ada")]).unwrap()[0].as_ref().unwrap().body, body(9));
}

#[test]
fn a_damaged_entry_is_named_and_those_around_it_are_readable() {
    for path in ["sessions/active/s1/history.jsonl", "sessions/archived/s2/history.jsonl.zst"] {
        let sim = Sim::default();
        let store = filled(&sim);
        let log = history(if path.contains("s1") { "s1" } else { "s2" });
        sim.tamper(path, |bytes| {
            let at = bytes.len() / 3;
            bytes[at] ^= 4
        });
        let page = store.read(&LogQuery::oldest_first(log.clone(), 100));
        let broken = match page {
            Ok(page) => {
                assert!(page.more && page.items.len() < 20, "what stands before it is answered first");
                page.items.len() as u64
            }
            Err(_) => 0,
        };
        let error = store.read(&LogQuery::oldest_first(log.clone(), 100).within(broken..20)).unwrap_err();
        assert!(names(&error, &[path, &format!("position {broken}")]), "{error}");
        if path.contains("s1") {
            let rest = store.read(&LogQuery::oldest_first(log.clone(), 100).within(broken + 1..20)).unwrap();
            assert_eq!(rest.items.len() as u64, 19 - broken);
            // A later entry is appended, and nothing is overwritten.
            let before = sim.everything()[path].clone();
            commit(&store, batch().append(log, entries(1)));
            store.apply().unwrap();
            assert!(sim.everything()[path].starts_with(&before));
        }
        assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len(), 3);
    }
}

#[test]
fn missing_and_truncated_files_are_reported() {
    let sim = Sim::default();
    let store = filled(&sim);
    sim.delete("agents/ada.json");
    sim.tamper("sessions/active/s1/history.jsonl", |bytes| bytes.truncate(bytes.len() / 2));
    assert!(names(&store.get(&[agent("ada")]).unwrap_err(), &["agents/ada.json"]));
    let error = store.read(&LogQuery::newest_first(history("s1"), 5)).unwrap_err();
    assert!(names(&error, &["history.jsonl", "position 19"]), "{error}");
    assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 5)).unwrap().items.len(), 5);
}

#[test]
fn strays_and_foreign_files_are_left_alone() {
    let sim = Sim::default();
    drop(filled(&sim));
    let stray = nofx_journal::files::WritableFiles::edit(&sim, Path::new("agents/notes.txt")).unwrap();
    stray.write_at(b"mine", 0).unwrap();
    sim.delete(layout::CATALOG);
    let store = open(&sim);
    assert_eq!(store.scan(&ScanQuery::of(kind::AGENT, 100)).unwrap().items.len(), 2);
    assert_eq!(sim.everything()["agents/notes.txt"], b"mine");
}

#[test]
fn the_catalog_is_rebuilt_when_it_is_missing_stale_or_damaged() {
    let sim = Sim::default();
    let old = {
        drop(open(&sim));
        sim.everything()[layout::CATALOG].clone()
    };
    drop(filled(&sim));
    for change in [
        (&|bytes: &mut Vec<u8>| bytes.clear()) as &dyn Fn(&mut Vec<u8>),
        &|bytes| bytes[9] ^= 1,
        &|bytes| bytes.clone_from(&old),
        &|bytes| *bytes.last_mut().unwrap() ^= 1,
        &|bytes| {
            let first_page = 8 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
            bytes[first_page + 5] ^= 1;
        },
    ] {
        sim.tamper(layout::CATALOG, change);
        let store = open(&sim);
        assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len(), 3);
        assert_eq!(store.read(&LogQuery::oldest_first(history("s2"), 100)).unwrap().items.len(), 20);
        commit(&store, batch().append(history("s1"), entries(1)));
        store.apply().unwrap();
    }
    // The last page was rewritten, and is listed again.
    assert_eq!(open(&sim).check().unwrap(), []);
}

#[test]
fn a_damaged_journal_is_not_written_to() {
    let sim = Sim::default();
    let store = open(&sim);
    commit(&store, batch().put(agent("ada"), Expect::Any, body(1)));
    commit(&store, batch().put(agent("bob"), Expect::Any, body(1)));
    drop(store);
    sim.tamper("journal/segment-0", |bytes| bytes[560] ^= 1);
    let before = sim.everything()["journal/segment-0"].clone();
    let store = open(&sim);
    let error = store.commit(vec![batch().put(agent("eve"), Expect::Any, body(1))]).unwrap_err();
    assert!(names(&error, &["segment-0", "byte 512"]), "{error}");
    assert_eq!(sim.everything()["journal/segment-0"], before);
}

#[test]
fn a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let sim = Sim::default();
    let store = filled(&sim);
    let used: usize = sim.everything().values().map(Vec::len).sum();
    sim.set_faults(|faults| faults.room = Some(used + 10_000));
    let mut committed = 0;
    let error = loop {
        match store.commit(vec![batch().append(history("s1"), entries(40))]) {
            Ok(_) => committed += 1,
            Err(error) => break error,
        }
        _ = store.apply();
    };
    assert_eq!(error.code(), "full");
    let length = store.heads(&[history("s1")]).unwrap()[0].length;
    assert_eq!(length, 20 + 40 * committed);
    sim.set_faults(|faults| faults.room = None);
    commit(&store, batch().append(history("s1"), entries(1)));
    store.apply().unwrap();
    drop(store);
    let store = open(&sim);
    assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 100_000)).unwrap().items.len() as u64, length + 1);
}

#[test]
fn a_full_disk_leaves_a_segment_to_batches_that_only_remove() {
    let sim = Sim::default();
    let store = filled(&sim);
    let append = || store.commit(vec![batch().append(history("s1"), entries(40))]);
    for _ in 0..4 {
        (0..60).for_each(|_| _ = append().unwrap());
        store.apply().unwrap();
    }
    let used: usize = sim.everything().values().map(Vec::len).sum();
    sim.set_faults(|faults| faults.room = Some(used));
    let refused = (0..1000).find_map(|_| append().err()).unwrap();
    assert_eq!(refused.code(), "full");
    assert_eq!(append().unwrap_err().code(), "full");
    commit(&store, batch().delete(agent("ada"), Expect::Any).remove(history("s2")));
    assert!(store.get(&[agent("ada")]).unwrap()[0].is_none());
    sim.set_faults(|faults| faults.room = None);
    append().unwrap();
}

#[test]
fn a_disk_that_turns_read_only_fails_commits_and_not_reads() {
    let sim = Sim::default();
    let store = filled(&sim);
    sim.set_faults(|faults| faults.read_only = true);
    let error = store.commit(vec![batch().put(agent("eve"), Expect::Any, body(1))]).unwrap_err();
    assert!(matches!(error.code(), "unavailable" | "unknown"), "{error}");
    assert!(store.get(&[agent("ada")]).unwrap()[0].is_some());
    sim.set_faults(|faults| faults.read_only = false);
    commit(&store, batch().put(agent("eve"), Expect::Any, body(1)));
}

#[test]
fn a_batch_is_remembered_when_only_the_files_have_it() {
    let store = open(&Sim::default());
    let again = batch().append(history("s"), entries(1));
    let first = store.commit(vec![again.clone()]).unwrap();
    store.apply().unwrap();
    assert_eq!(store.commit(vec![again]).unwrap(), first);
}

#[test]
fn a_folder_that_vanishes_is_an_error_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (root, away) = (dir.path().join("store"), dir.path().join("away"));
    fs::create_dir(&root).unwrap();
    let store = OpenFolder::open(Arc::new(Disk::new(&root)), &root, options()).unwrap();
    commit(&store, batch().put(agent("ada"), Expect::Any, body(1)));
    fs::rename(&root, &away).unwrap();
    assert_eq!(store.get(&[agent("ada")]).unwrap_err().code(), "gone");
    let lost = batch().put(agent("eve"), Expect::Any, body(1));
    assert_eq!(store.commit(vec![lost.clone()]).unwrap_err().code(), "gone");
    fs::rename(&away, &root).unwrap();
    assert!(store.get(&[agent("ada")]).unwrap()[0].is_some());
    commit(&store, lost);
}

#[test]
fn folders_that_are_no_store_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.doc"), "words").unwrap();
    let open = || OpenFolder::open(Arc::new(Disk::new(dir.path())), dir.path(), options());
    assert_eq!(open().unwrap_err().code(), "invalid");
    fs::write(dir.path().join("config.json"), "{\"name\":\"something\"}").unwrap();
    assert_eq!(open().unwrap_err().code(), "invalid");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_newer_format_is_read_and_not_written() {
    let sim = Sim::default();
    drop(filled(&sim));
    sim.tamper(layout::CONFIG, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace("\"version\": 1", "\"version\": 2").into_bytes();
    });
    let before = sim.everything();
    let store = open(&sim);
    assert!(store.get(&[agent("ada")]).unwrap()[0].is_some());
    assert_eq!(store.commit(vec![batch()]).unwrap_err().code(), "too-new");
    assert_eq!(sim.everything(), before);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn files_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = OpenFolder::open(Arc::new(Disk::new(dir.path())), dir.path(), options()).unwrap();
        commit(&store, batch().put(agent("ada"), Expect::Any, body(1)).append(history("s"), entries(1)));
        store.apply().unwrap();
        let mut folders = vec![dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                let is_dir = entry.file_type().unwrap().is_dir();
                assert_eq!(mode, if is_dir { 0o700 } else { 0o600 }, "{:?}", entry.path());
                if is_dir {
                    folders.push(entry.path());
                }
            }
        }
    }

    #[test]
    fn links_are_not_followed_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        fs::create_dir(&root).unwrap();
        let store = OpenFolder::open(Arc::new(Disk::new(&root)), &root, options()).unwrap();
        commit(&store, batch().put(agent("ada"), Expect::Any, body(1)).append(history("s"), entries(3)));
        store.apply().unwrap();
        let secret = dir.path().join("secret");
        fs::rename(root.join("agents/ada.json"), &secret).unwrap();
        symlink(&secret, root.join("agents/ada.json")).unwrap();
        assert_eq!(store.get(&[agent("ada")]).unwrap_err().code(), "corrupt");
        // Symbolic links to folders are not followed either, to read or to write.
        fs::rename(root.join("sessions"), dir.path().join("elsewhere")).unwrap();
        symlink(dir.path().join("elsewhere"), root.join("sessions")).unwrap();
        assert_eq!(store.read(&LogQuery::oldest_first(history("s"), 9)).unwrap_err().code(), "corrupt");
        commit(&store, batch().append(history("s"), entries(3)));
        assert_eq!(store.apply().unwrap_err().code(), "corrupt");
        assert!(fs::read(&secret).unwrap().starts_with(b"{"));
    }

    #[test]
    fn what_the_superuser_writes_belongs_to_the_owner_of_the_store() {
        use std::os::unix::fs::{MetadataExt, chown};
        use std::path::PathBuf;

        fn all(folder: &Path, found: &mut Vec<PathBuf>) {
            found.push(folder.to_owned());
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { all(&path, found) } else { found.push(path) }
            }
        }

        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        fs::create_dir(&root).unwrap();
        let open = || OpenFolder::open(Arc::new(Disk::new(&root)), &root, options()).unwrap();
        commit(&open(), batch().put(agent("ada"), Expect::Any, body(1)));
        let mut before = Vec::new();
        all(&root, &mut before);
        // Only the superuser can give a folder away.
        if before.iter().any(|path| chown(path, Some(65_534), None).is_err()) {
            return;
        }
        let store = open();
        commit(&store, batch().put(agent("ben"), Expect::Any, body(1)).append(history("s1"), entries(3)));
        store.apply().unwrap();
        let mut after = Vec::new();
        all(&root, &mut after);
        assert!(after.len() > before.len());
        for path in after {
            assert_eq!(fs::metadata(&path).unwrap().uid(), 65_534, "{}", path.display());
        }
    }
}

#[test]
fn kinds_of_a_later_version_are_kept() {
    let sim = Sim::default();
    let store = open(&sim);
    let key = RecordKey::new(Kind::of("later"), "x").unwrap();
    commit(&store, batch().put(key.clone(), Expect::Any, body(1)));
    store.apply().unwrap();
    assert!(sim.everything().contains_key("other/later/x.json"));
    assert!(open(&sim).get(&[key]).unwrap()[0].is_some());
}

#[test]
fn a_check_finds_each_damage_and_nothing_else() {
    let sim = Sim::default();
    let store = filled(&sim);
    assert_eq!(store.check().unwrap(), []);
    sim.tamper("agents/ada.json", |bytes| bytes[70] ^= 1);
    sim.tamper("sessions/active/s1/history.jsonl", |bytes| bytes[200] ^= 1);
    sim.tamper(layout::CATALOG, |bytes| bytes[9] ^= 1);
    sim.tamper(layout::INDEX, |bytes| bytes[9] ^= 1);
    sim.tamper("feed/00000000", |bytes| bytes[30] ^= 1);
    let stray = nofx_journal::files::WritableFiles::edit(&sim, Path::new("agents/notes.txt")).unwrap();
    stray.write_at(b"mine", 0).unwrap();
    let before = sim.everything();
    let found = store.check().unwrap();
    let summary: Vec<_> = found.iter().map(|one| (slashed(one.path.display()), one.severity)).collect();
    let expected = [
        (layout::CATALOG, Severity::Derived),
        (layout::INDEX, Severity::Derived),
        ("feed/00000000", Severity::Damage),
        ("agents/ada.json", Severity::Damage),
        ("sessions/active/s1/history.jsonl", Severity::Damage),
        ("agents/notes.txt", Severity::Note),
    ]
    .map(|(path, severity)| (path.to_owned(), severity));
    assert_eq!(summary, expected, "{found:?}");
    assert_eq!(sim.everything(), before);
}
