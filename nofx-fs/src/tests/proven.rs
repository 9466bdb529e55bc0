//! What the undamaged files prove can be read, whichever other file is damaged or of another type.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use nofx_core::{Expect, LogQuery, RecordKey, ScanQuery, kind};
use nofx_journal::files::Disk;
use nofx_journal::sim::Sim;

use super::damage::{agent, batch, body, commit, entries, filled, filled_in, history, open, options};
use crate::store::OpenFolder;
use crate::{layout, registry};

fn open_in(root: &Path) -> nofx_core::Result<OpenFolder> {
    OpenFolder::open(Arc::new(Disk::new(root)), root, options())
}

fn reads_all(store: &OpenFolder, at: &str) {
    assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len(), 3, "{at}");
    for log in ["s1", "s2"] {
        assert_eq!(store.read(&LogQuery::oldest_first(history(log), 100)).unwrap().items.len(), 20, "{at}");
    }
}

#[test]
fn everything_is_read_and_what_is_wrong_is_named_and_repaired() {
    let remove = |path: &Path| match path.is_dir() {
        true => fs::remove_dir_all(path).unwrap(),
        false => fs::remove_file(path).unwrap(),
    };
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[9] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let as_folder = |path: &Path| {
        remove(path);
        fs::create_dir(path).unwrap();
        fs::write(path.join("notes"), "mine").unwrap();
    };
    let as_file = |path: &Path| {
        remove(path);
        fs::write(path, "mine").unwrap();
    };
    let foreign = |path: &Path| {
        let other = tempfile::tempdir().unwrap();
        drop(filled_in(open_in(other.path()).unwrap()));
        fs::copy(other.path().join("journal/segment-0"), path).unwrap();
    };
    let scribbled = |path: &Path| fs::write(path, "no segment").unwrap();
    type Change<'a> = (&'a str, &'a dyn Fn(&Path));
    let changes: [Change<'_>; 17] = [
        (layout::CONFIG, &flip),
        (layout::CONFIG, &cut),
        (layout::CONFIG, &remove),
        (layout::CONFIG, &as_folder),
        ("journal/segment-7", &foreign),
        ("journal/segment-7", &scribbled),
        (layout::JOURNAL, &remove),
        (layout::JOURNAL, &as_file),
        (layout::LOCK, &as_folder),
        (layout::APPLY_LOCK, &as_folder),
        ("journal/lock.holder", &as_folder),
        (layout::TIP, &as_folder),
        (layout::CATALOG, &as_folder),
        (layout::INDEX, &as_folder),
        (layout::FEED, &as_file),
        ("feed/00000000", &as_folder),
        ("feed/00000000", &remove),
    ];
    for (number, (path, change)) in changes.into_iter().enumerate() {
        let at = format!("{number}: {path}");
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        drop(filled_in(open_in(&root).unwrap()));
        change(&root.join(path));
        let store = open_in(&root).unwrap_or_else(|error| panic!("{at}: {error}"));
        reads_all(&store, &at);
        let found = store.check().unwrap();
        let name = path.split('/').next().unwrap();
        let is_named = found.iter().any(|one| one.path.starts_with(name));
        // Only followers of changes miss the oldest commits, and they are answered with a gap.
        assert!(is_named || path.starts_with(layout::FEED), "{at}: {found:?}");
        match store.commit(vec![batch()]) {
            Ok(_) => {}
            Err(error) => assert!(error.code() == "corrupt" && error.to_string().contains(name), "{at}: {error}"),
        }
        drop(store);
        let repaired = registry::repair(&root, options(), true).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(repaired.losses.is_empty(), "{at}: {repaired:?}");
        let store = open_in(&root).unwrap();
        reads_all(&store, &at);
        commit(&store, batch().put(agent("eve"), Expect::Absent, body(5)));
        store.apply().unwrap();
        assert!(store.check().unwrap().iter().all(|one| one.path.starts_with(layout::DAMAGED)), "{at}");
    }
}

#[test]
fn a_bad_place_of_the_disk_hides_what_is_in_it() {
    for (path, hidden) in [
        (layout::CATALOG, 0),
        (layout::INDEX, 0),
        ("feed/00000000", 0),
        ("agents/ada.json", 1),
        ("sessions/active/s1/history.jsonl", 20),
        ("sessions/archived/s2/history.jsonl.zst", 20),
    ] {
        let sim = Sim::default();
        let store = filled(&sim);
        sim.set_faults(|faults| faults.bad_places.push(path));
        for store in [&store, &open(&sim)] {
            let mut unreadable = 0;
            for key in [agent("ada"), agent("bob"), RecordKey::new(kind::TEMPLATE_NAME, "t").unwrap()] {
                match store.get(std::slice::from_ref(&key)) {
                    Ok(found) => assert!(found[0].is_some(), "{path}"),
                    Err(error) => {
                        assert!(error.code() == "corrupt" && error.to_string().contains(path), "{error}");
                        unreadable += 1;
                    }
                }
            }
            for log in ["s1", "s2"] {
                match store.read(&LogQuery::oldest_first(history(log), 100)) {
                    Ok(page) => assert_eq!(page.items.len(), 20, "{path}"),
                    Err(error) => {
                        assert!(error.code() == "corrupt" && error.to_string().contains(path), "{error}");
                        unreadable += 20;
                    }
                }
            }
            assert_eq!(unreadable, hidden, "{path}");
            commit(store, batch().put(agent("eve"), Expect::Any, body(5)).append(history("s3"), entries(1)));
        }
    }
}
