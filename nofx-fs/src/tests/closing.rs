//! Closing: a handle that committed nothing leaves the files as they are, and waits for nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nofx_core::{Expect, LogQuery};
use nofx_journal::files::Disk;

use super::damage::{agent, batch, body, commit, entries, history, options};
use crate::options::Options;
use crate::registry;
use crate::store::OpenFolder;

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => _ = found.insert(path.clone(), fs::read(&path).unwrap()),
        }
    }
    found
}

#[test]
fn a_handle_that_committed_nothing_leaves_the_files_to_those_who_stay() {
    let dir = tempfile::tempdir().unwrap();
    let killed = OpenFolder::open(Arc::new(Disk::new(dir.path())), dir.path(), options()).unwrap();
    commit(&killed, batch().put(agent("ada"), Expect::Any, body(1)).append(history("s"), entries(2)));
    drop(killed);
    // Only closing could bring the files up to date.
    let open = || {
        let options = Options { apply_after: Duration::from_secs(3600), ..Options::default() };
        registry::open(dir.path(), options).unwrap()
    };
    let before = files(dir.path());
    for _ in 0..3 {
        let store = open();
        assert!(store.get(&[agent("ada")]).unwrap()[0].is_some());
        assert_eq!(store.read(&LogQuery::oldest_first(history("s"), 9)).unwrap().items.len(), 2);
        drop(store);
        assert!(files(dir.path()) == before, "closing wrote what nobody asked for");
    }
    let store = open();
    commit(&store, batch().append(history("s"), entries(1)));
    drop(store);
    assert!(dir.path().join("agents/ada.json").exists());
    assert_eq!(open().unapplied_bytes(), 0);
}
