//! Derived files, and the tip and lock files, are deleted, emptied and replaced under open handles.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use nofx_core::{Changes, Expect, LogQuery, RecordKey, ScanQuery, kind};
use nofx_journal::files::Disk;

use super::damage::{agent, batch, body, commit, entries, history, options};
use crate::check::Severity;
use crate::layout;
use crate::store::OpenFolder;

/// The files that can be rebuilt, and whether a check may afterwards report that something of one is lost.
const DERIVED: [(&str, bool); 10] = [
    (layout::CATALOG, false),
    (layout::INDEX, false),
    (layout::TIP, false),
    (layout::LOCK, false),
    (layout::APPLY_LOCK, false),
    ("journal/lock.holder", false),
    ("journal/apply-lock.holder", false),
    (layout::IGNORE, false),
    (layout::NOTE, false),
    ("feed/00000000", true),
];

type Harm = fn(&Path);

const HARMS: [(&str, Harm); 3] = [
    ("deleted", |path| _ = fs::remove_file(path)),
    ("emptied", |path| fs::write(path, "").unwrap()),
    ("replaced", |path| {
        let other = path.with_extension("other");
        fs::write(&other, "something else\n").unwrap();
        fs::rename(other, path).unwrap();
    }),
];

fn open(root: &Path) -> OpenFolder {
    OpenFolder::open(Arc::new(Disk::new(root)), root, options()).unwrap()
}

/// Commits one entry and one record of each kind.
fn write(store: &OpenFolder, n: u64) {
    let name = RecordKey::new(kind::TEMPLATE_NAME, format!("t{n}")).unwrap();
    let records = batch().put(agent("ada"), Expect::Any, body(n)).put(name, Expect::Any, body(n));
    commit(store, records.append(history("s1"), entries(1)));
}

/// Reads everything that this many writes left.
fn read(store: &OpenFolder, writes: u64) {
    assert_eq!(store.get(&[agent("ada")]).unwrap()[0].as_ref().unwrap().body, body(writes - 1));
    assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len() as u64, writes + 1);
    assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 100)).unwrap().items.len() as u64, writes);
    assert!(matches!(store.changes(None, 100).unwrap(), Changes::Page(_) | Changes::Gap { .. }));
}

fn harm(path: &str, how: Harm, is_applied: bool, loses: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (open(dir.path()), open(dir.path()));
    write(&one, 0);
    one.apply().unwrap();
    write(&other, 1);
    if is_applied {
        other.apply().unwrap();
    }
    how(&dir.path().join(path));
    for store in [&one, &other] {
        read(store, 2);
    }
    write(&one, 2);
    write(&other, 3);
    for store in [&one, &other] {
        read(store, 4);
    }
    how(&dir.path().join(path));
    write(&other, 4);
    write(&one, 5);
    for store in [&one, &other] {
        store.apply().unwrap();
        read(store, 6);
    }
    drop((one, other));
    let store = open(dir.path());
    read(&store, 6);
    store.apply().unwrap();
    let damages = store.check().unwrap().into_iter().filter(|one| one.severity == Severity::Damage && !loses);
    assert_eq!(damages.collect::<Vec<_>>(), []);
}

#[test]
fn derived_files_may_go_while_the_store_is_open() {
    let mut failures = Vec::new();
    for (path, loses) in DERIVED {
        for (what, how) in HARMS {
            for is_applied in [true, false] {
                let tried = std::panic::catch_unwind(|| harm(path, how, is_applied, loses));
                if tried.is_err() {
                    failures.push(format!("{path} is {what}, applied {is_applied}"));
                }
            }
        }
    }
    assert_eq!(failures, Vec::<String>::new());
}
