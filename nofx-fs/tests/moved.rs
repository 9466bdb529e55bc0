//! A folder that is moved away under handles of this process, and what is opened in its place.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

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
