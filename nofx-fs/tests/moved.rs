//! A folder that is moved away or replaced while this process has handles on it, and what is opened in its place.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nofx_core::{Batch, Body, Expect, Kind, PersistenceBackend, RecordKey, Sources};
use nofx_fs::{FsBackend, Options};

fn put(id: &str) -> Vec<Batch> {
    let key = RecordKey::new(Kind::of("note"), id).unwrap();
    vec![Batch::new(Sources::default().batch_id()).put(key, Expect::Any, Body::trusted("1".to_owned()))]
}

#[tokio::test]
async fn handles_on_a_folder_that_was_moved_stay_with_it_and_new_ones_get_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (at, away) = (dir.path().join("store"), dir.path().join("away"));
    let old = FsBackend::open_with(&at, Options::default()).await.unwrap();
    old.commit(put("a")).await.unwrap();
    fs::rename(&at, &away).unwrap();
    assert_eq!(old.commit(put("b")).await.unwrap_err().code(), "gone");

    let new = FsBackend::open_with(&at, Options::default()).await.unwrap();
    assert_ne!(new.info().store, old.info().store);
    new.commit(put("c")).await.unwrap();
    for error in [old.commit(put("b")).await.unwrap_err(), old.changes(None, 1).await.unwrap_err()] {
        assert_eq!(error.code(), "replaced", "{error}");
    }
    old.close().await.unwrap();
    new.commit(put("d")).await.unwrap();
    new.close().await.unwrap();

    let moved = FsBackend::open_with(&away, Options::default()).await.unwrap();
    let key = RecordKey::new(Kind::of("note"), "a").unwrap();
    assert!(moved.get(&[key]).await.unwrap()[0].is_some(), "what was acknowledged before");
    moved.close().await.unwrap();
}

/// Lists the files below a folder, with their content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[tokio::test]
async fn a_host_that_closes_writes_nothing_over_an_older_copy_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("store");
    let mut options = Options::default();
    // Only closing brings the files up to date.
    options.apply_after = Duration::from_secs(3600);
    let old = FsBackend::open_with(&at, options).await.unwrap();
    old.commit(put("a")).await.unwrap();
    let copy = files(&at);
    old.commit(put("b")).await.unwrap();
    copy.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());

    // Opening now leads to the copy, even in this process, which has the store open.
    let new = FsBackend::open_with(&at, Options::default()).await.unwrap();
    let keys = ["a", "b", "c"].map(|id| RecordKey::new(Kind::of("note"), id).unwrap());
    let found = new.get(&keys).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(old.commit(put("b")).await.unwrap_err().code(), "replaced");
    new.commit(put("c")).await.unwrap();
    new.close().await.unwrap();
    let before = files(&at);
    old.close().await.unwrap();
    assert!(files(&at) == before, "closing wrote over the copy");
    let again = FsBackend::open_with(&at, Options::default()).await.unwrap();
    let found = again.get(&keys).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    again.close().await.unwrap();
}
