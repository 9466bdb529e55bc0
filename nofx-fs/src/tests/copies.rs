//! An older copy of a store that replaces it while it is open.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{Error, Expect, LogQuery, Result};
use nofx_journal::files::Disk;
use nofx_journal::sim::Sim;

use super::damage::{agent, batch, body, commit, entries, filled, history, options};
use crate::check::Severity;
use crate::options::Options;
use crate::store::OpenFolder;

/// Opens a store whose journal soon uses several segments.
fn open(root: &Path) -> OpenFolder {
    let options = Options { segment_bytes: 4096, ..options() };
    OpenFolder::open(Arc::new(Disk::new(root)), root, options).unwrap()
}

fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => _ = found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()),
            }
        }
    }
    found
}

type Put = fn(&Path, &BTreeMap<PathBuf, Vec<u8>>);
type Act = fn(&OpenFolder) -> Result<()>;

/// The ways in which a copy replaces a store.
const WAYS: [(&str, Put); 3] = [
    ("written over", |root, copy| copy.iter().for_each(|(path, bytes)| fs::write(root.join(path), bytes).unwrap())),
    ("renamed over", |root, copy| {
        for (path, bytes) in copy {
            fs::write(root.join("copied"), bytes).unwrap();
            fs::rename(root.join("copied"), root.join(path)).unwrap();
        }
    }),
    ("another folder", |root, copy| {
        fs::rename(root, root.with_extension("away")).unwrap();
        for (path, bytes) in copy {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), bytes).unwrap();
        }
    }),
];

/// Returns the ways that the system allows while the store is open.
fn ways() -> impl Iterator<Item = (&'static str, Put)> {
    // Windows moves no folder in which a file is open.
    WAYS.into_iter().filter(|(way, _)| !cfg!(windows) || *way != "another folder")
}

/// What a handle does first.
const FIRST: [(&str, Act); 3] = [
    ("reads", |store| store.get(&[agent("ada")]).map(drop)),
    ("commits", |store| store.commit(vec![batch().append(history("s"), entries(1))]).map(drop)),
    ("brings files up to date", |store| store.apply().map(drop)),
];

#[test]
fn an_older_copy_in_its_place_is_noticed_and_left_as_it_is() {
    let mut failures = Vec::new();
    for (way, put) in ways() {
        for (first, does) in FIRST {
            for (copy_applied, is_applied) in [(true, true), (true, false), (false, true), (false, false)] {
                // A short history stays in one segment, a long one reuses others.
                for groups in [3, 20] {
                    let case = format!("{way}, {first}, {copy_applied}, {is_applied}, {groups}");
                    let tried = std::panic::catch_unwind(|| replaced(put, does, copy_applied, is_applied, groups));
                    failures.extend(tried.is_err().then_some(case));
                }
            }
        }
    }
    assert_eq!(failures, Vec::<String>::new());
}

fn replaced(put: Put, does: Act, copy_applied: bool, is_applied: bool, groups: u64) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    fs::create_dir(&root).unwrap();
    let store = open(&root);
    commit(&store, batch().put(agent("ada"), Expect::Any, body(1)).append(history("s"), entries(2)));
    if copy_applied {
        store.apply().unwrap();
    }
    let copy = files(&root);
    for n in 0..groups {
        commit(&store, batch().put(agent("ada"), Expect::Any, body(n)).append(history("s"), entries(10)));
        if is_applied && n % 8 == 2 {
            store.apply().unwrap();
        }
    }
    put(&root, &copy);
    let before = files(&root);
    assert_eq!(does(&store).unwrap_err().code(), "replaced");
    for (what, does) in FIRST {
        assert_eq!(does(&store).unwrap_err().code(), "replaced", "{what}");
    }
    drop(store);
    assert!(files(&root) == before, "something was written over the copy");

    // Without the files that the copy lacks, opening now returns exactly the copy.
    for path in files(&root).into_keys().filter(|path| !copy.contains_key(path)) {
        fs::remove_file(root.join(path)).unwrap();
    }
    let store = open(&root);
    assert_eq!(store.get(&[agent("ada")]).unwrap()[0].as_ref().unwrap().body, body(1));
    assert_eq!(store.read(&LogQuery::oldest_first(history("s"), 9)).unwrap().items.len(), 2);
    commit(&store, batch().append(history("s"), entries(1)));
    store.apply().unwrap();
    assert_eq!(store.read(&LogQuery::oldest_first(history("s"), 9)).unwrap().items.len(), 3);
    let damages = store.check().unwrap().into_iter().filter(|one| one.severity == Severity::Damage);
    assert_eq!(damages.collect::<Vec<_>>(), []);
}

/// The same data in other files is the same store.
#[test]
fn an_equal_copy_in_its_place_is_gone_on_with() {
    for (way, put) in ways() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        fs::create_dir(&root).unwrap();
        let store = open(&root);
        commit(&store, batch().put(agent("ada"), Expect::Any, body(1)).append(history("s"), entries(2)));
        put(&root, &files(&root));
        commit(&store, batch().append(history("s"), entries(1)));
        let other = open(&root);
        for store in [&store, &other] {
            store.apply().unwrap();
            let read = store.read(&LogQuery::oldest_first(history("s"), 9)).unwrap();
            assert_eq!(read.items.len(), 3, "{way}");
        }
    }
}

/// A copy that was continued elsewhere, beyond what the open store had.
#[test]
fn another_history_of_the_same_store_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (dir.path().join("store"), dir.path().join("elsewhere"));
    fs::create_dir(&root).unwrap();
    let store = open(&root);
    commit(&store, batch().put(agent("ada"), Expect::Any, body(1)));
    WAYS[2].1(&elsewhere_of(&elsewhere), &files(&root));
    commit(&store, batch().put(agent("ada"), Expect::Any, body(2)));
    let other = open(&elsewhere);
    for n in 3..9 {
        commit(&other, batch().put(agent("ada"), Expect::Any, body(n)));
    }
    drop(other);
    WAYS[1].1(&root, &files(&elsewhere));
    for (what, does) in FIRST {
        assert_eq!(does(&store).unwrap_err().code(), "replaced", "{what}");
    }
}

fn elsewhere_of(path: &Path) -> PathBuf {
    fs::create_dir(path).unwrap();
    path.to_owned()
}

#[test]
fn a_commit_in_whose_middle_the_store_is_replaced_is_not_acknowledged() {
    let sim = Sim::default();
    let store = filled(&sim);
    let copy = sim.everything();
    commit(&store, batch().put(agent("ada"), Expect::Any, body(5)));
    let disk = sim.clone();
    let replace = move || copy.iter().for_each(|(path, bytes)| disk.replace(path, bytes.clone()));
    sim.set_faults(|faults| faults.before_write = Some(("segment", Arc::new(replace))));
    let error = store.commit(vec![batch().put(agent("ada"), Expect::Any, body(6))]).unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error:?}");
    let error = store.commit(vec![batch().put(agent("ada"), Expect::Any, body(7))]).unwrap_err();
    assert_eq!(error.code(), "replaced", "{error}");
}
