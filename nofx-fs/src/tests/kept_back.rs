//! Records and logs whose files cannot be written: they are kept back, and nothing else is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use nofx_core::{Error, Expect, LogQuery, LogState, RecordKey, kind};
use nofx_journal::files::Disk;

use super::damage::{agent, batch, body, commit, entries, filled_in, history, options};
use crate::check::Severity;
use crate::layout;
use crate::store::OpenFolder;

fn open(root: &Path) -> OpenFolder {
    OpenFolder::open(Arc::new(Disk::new(root)), root, options()).unwrap()
}

fn filled(root: &Path) -> OpenFolder {
    filled_in(OpenFolder::open(Arc::new(Disk::new(root)), root, options()).unwrap())
}

fn name(id: &str) -> RecordKey {
    RecordKey::new(kind::TEMPLATE_NAME, id).unwrap()
}

/// Writes something new to each record and log, and creates a new one.
fn write_to_all(store: &OpenFolder) {
    let batch = batch()
        .put(agent("ada"), Expect::Any, body(100))
        .put(agent("bob"), Expect::Any, body(200))
        .put(name("u"), Expect::Any, body(300))
        .append(history("s1"), entries(2))
        .append(history("s3"), entries(3));
    commit(store, batch);
}

/// Checks that everything from [`write_to_all`] is there, and that everything older is there or reported.
fn has_all(store: &OpenFolder, at: &str) {
    let found = store.get(&[agent("ada"), agent("bob"), name("t"), name("u")]).unwrap();
    let bodies: Vec<_> = found.into_iter().map(|record| record.unwrap().body).collect();
    assert_eq!(bodies, [body(100), body(200), body(3), body(300)], "{at}");
    for (log, range) in [("s1", 20..22), ("s3", 0..3)] {
        let length = range.end - range.start;
        let page = store.read(&LogQuery::oldest_first(history(log), 100).within(range)).unwrap();
        assert_eq!(page.items.len() as u64, length, "{at}: {log}");
    }
    for position in 0..20 {
        for log in ["s1", "s2"] {
            match store.read(&LogQuery::oldest_first(history(log), 1).within(position..position + 1)) {
                Ok(page) => assert_eq!(page.items[0].body, body(position), "{at}"),
                Err(Error::Corrupt(failure)) => {
                    assert!(failure.what.contains(&format!("history/{log}")), "{failure:?}")
                }
                Err(error) => panic!("{at}: {error}"),
            }
        }
    }
    assert_eq!(store.heads(&[history("s2")]).unwrap()[0].state, LogState::Sealed, "{at}");
}

#[test]
fn what_is_missing_or_of_another_shape_is_made_again_and_nothing_is_lost_besides() {
    let remove = |path: &Path| match path.is_dir() {
        true => fs::remove_dir_all(path).unwrap(),
        false => fs::remove_file(path).unwrap(),
    };
    let as_file = |path: &Path| {
        remove(path);
        fs::write(path, "mine").unwrap();
    };
    let as_folder = |path: &Path| {
        remove(path);
        fs::create_dir(path).unwrap();
        fs::write(path.join("notes"), "mine").unwrap();
    };
    type Change<'a> = (&'a str, &'a dyn Fn(&Path), bool);
    let changes: [Change<'_>; 12] = [
        ("sessions/active/s1", &remove, false),
        ("sessions/active/s1/history.jsonl", &remove, false),
        ("sessions", &remove, false),
        ("agents", &remove, false),
        ("feed", &remove, false),
        ("sessions/active/s1", &as_file, true),
        ("agents", &as_file, true),
        ("feed", &as_file, true),
        ("agents/ada.json", &as_folder, true),
        ("sessions/active/s1/history.jsonl", &as_folder, true),
        (layout::INDEX, &as_folder, true),
        (layout::CATALOG, &as_folder, true),
    ];
    for is_open in [true, false] {
        for (number, (path, change, is_kept)) in changes.into_iter().enumerate() {
            let at = format!("{number}: {path}, open: {is_open}");
            let dir = tempfile::tempdir().unwrap();
            let mut store = filled(dir.path());
            if is_open {
                change(&dir.path().join(path));
            } else {
                drop(store);
                change(&dir.path().join(path));
                store = open(dir.path());
            }
            write_to_all(&store);
            has_all(&store, &at);
            store.apply().unwrap();
            assert!(store.unapplied_bytes() == 0, "{at}");
            has_all(&store, &at);
            has_all(&open(dir.path()), &at);
            let is_aside = fs::read_dir(dir.path().join(layout::DAMAGED)).is_ok_and(|inside| inside.count() == 1);
            assert_eq!(is_aside, is_kept, "{at}");
            // The next line has its place as well.
            commit(&store, batch().append(history("s1"), entries(1)));
            store.apply().unwrap();
            assert_eq!(store.read(&LogQuery::newest_first(history("s1"), 3)).unwrap().items.len(), 3, "{at}");
        }
    }
}

#[test]
fn what_cannot_be_written_keeps_back_only_itself_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (dir.path().join("store"), dir.path().join("elsewhere"));
    fs::create_dir(&root).unwrap();
    let store = filled(&root);
    let folder = root.join("sessions/active/s1");
    fs::rename(&folder, &elsewhere).unwrap();
    // The link must be neither followed nor moved: a user may have put it there to get more space.
    symlink(&elsewhere, &folder).unwrap();
    write_to_all(&store);
    for store in [&store, &open(&root)] {
        let error = store.apply().unwrap_err();
        assert!(error.code() == "corrupt" && error.to_string().contains("sessions/active/s1"), "{error}");
        has_all(store, "kept back");
        let document = fs::read_to_string(root.join("agents/bob.json")).unwrap();
        assert!(document.contains("200"), "{document}");
        assert!(root.join("sessions/active/s3/history.jsonl").exists());
        let found = store.check().unwrap();
        let named =
            |one: &crate::Finding| one.severity == Severity::Damage && one.path.starts_with("sessions/active/s1");
        assert!(found.iter().any(named), "{found:?}");
    }
    // Only new items are written again, and only what is kept back is retried.
    let before = fs::metadata(root.join("agents/bob.json")).unwrap().modified().unwrap();
    commit(&store, batch().append(history("s1"), entries(1)));
    store.apply().unwrap_err();
    assert_eq!(fs::metadata(root.join("agents/bob.json")).unwrap().modified().unwrap(), before);
    // The journal does not grow without limit.
    let refused = (0..2000).find_map(|_| store.commit(vec![batch().append(history("s3"), entries(1000))]).err());
    let refused = refused.unwrap();
    assert!(refused.to_string().contains("sessions/active/s1"), "{refused}");
    let journal = fs::read_dir(root.join(layout::JOURNAL)).unwrap();
    let bytes: u64 = journal.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 20 << 20, "{bytes}");
    let length = store.heads(&[history("s3")]).unwrap()[0].length;
    fs::remove_file(&folder).unwrap();
    fs::rename(&elsewhere, &folder).unwrap();
    commit(&store, batch().append(history("s1"), entries(1)).append(history("s3"), entries(1)));
    store.apply().unwrap();
    let store = open(&root);
    assert_eq!(store.heads(&[history("s3")]).unwrap()[0].length, length + 1);
    assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 100)).unwrap().items.len(), 24);
    assert_eq!(store.check().unwrap(), []);
}
