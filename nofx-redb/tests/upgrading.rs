//! Upgrading a store that was created without a journal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use nofx_core::{
    Batch, Body, Changes, Cursor, Expect, Kind, LogKey, LogQuery, NewEntry, PersistenceBackend, RecordKey, Sources,
    Timestamp,
};
use nofx_redb::{Options, RedbBackend};

fn batch() -> Batch {
    Batch::new(Sources::default().batch_id())
}

fn record() -> RecordKey {
    RecordKey::new(Kind::of("note"), "a").unwrap()
}

fn log() -> LogKey {
    LogKey::new(Kind::of("talk"), "a").unwrap()
}

fn both() -> Batch {
    let entry = || NewEntry { at: Timestamp::from_millis(1), body: Body::trusted("2".to_owned()) };
    let batch = batch().put(record(), Expect::Any, Body::trusted("1".to_owned()));
    batch.append(log(), (0..10).map(|_| entry()).collect())
}

async fn open(path: &Path, journal: bool) -> Arc<dyn PersistenceBackend> {
    let mut options = Options::default();
    options.journal = journal;
    Arc::new(RedbBackend::open_with(path, options).await.unwrap())
}

/// Returns the batches of the changes after a cursor, and the cursor after them.
async fn changes(store: &Arc<dyn PersistenceBackend>, after: Option<&Cursor>) -> (Vec<nofx_core::BatchId>, Cursor) {
    match store.changes(after, 1000).await.unwrap() {
        Changes::Page(page) => (page.changes.iter().map(|change| change.batch).collect(), page.next),
        Changes::Gap { newest } => panic!("a gap before {newest:?}"),
    }
}

#[tokio::test]
async fn an_upgraded_store_has_everything_and_goes_on_in_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let beside = folder.path().join("a.redb-journal");
    let store = open(&path, false).await;
    let batches: Vec<_> = (0..300).map(|_| both()).collect();
    let mut first = Vec::new();
    for batch in &batches {
        first.extend(store.commit(vec![batch.clone()]).await.unwrap());
    }
    let (_, middle) = changes(&store, None).await;
    let last = both();
    store.commit(vec![last.clone()]).await.unwrap();
    let (record_before, entries) = (store.get(&[record()]).await.unwrap(), LogQuery::oldest_first(log(), 5000));
    let entries_before = store.read(&entries).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    assert!(nofx_redb::upgrade(&path).await.unwrap());
    assert!(!nofx_redb::upgrade(&path).await.unwrap());
    assert!(!beside.exists());

    let store = open(&path, false).await;
    assert_eq!(store.get(&[record()]).await.unwrap(), record_before);
    assert_eq!(store.read(&entries).await.unwrap(), entries_before);
    assert_eq!(changes(&store, Some(&middle)).await.0, [last.id]);
    // Every batch is remembered, also one whose id is lower than others.
    for (batch, outcome) in batches.iter().zip(&first) {
        assert_eq!(store.commit(vec![batch.clone()]).await.unwrap(), std::slice::from_ref(outcome));
    }
    let new = both();
    store.commit(vec![new.clone()]).await.unwrap();
    assert!(beside.exists());
    assert_eq!(changes(&store, Some(&middle)).await.0, [last.id, new.id]);
    store.close().await.unwrap();
    let store = open(&path, false).await;
    assert_eq!(store.read(&entries).await.unwrap().items.len(), 3020);
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_store_is_upgraded_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    open(&path, false).await.close().await.unwrap();
    assert!(nofx_redb::upgrade(&path).await.unwrap());
    let store = open(&path, true).await;
    store.commit(vec![both()]).await.unwrap();
    assert!(store.get(&[record()]).await.unwrap()[0].is_some());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_handle_that_was_open_during_an_upgrade_finds_another_store_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let store = open(&path, false).await;
    store.commit(vec![both()]).await.unwrap();
    assert!(nofx_redb::upgrade(&path).await.unwrap());
    assert_eq!(store.get(&[record()]).await.unwrap_err().code(), "replaced");
    assert_eq!(store.commit(vec![both()]).await.unwrap_err().code(), "replaced");
    store.close().await.unwrap();
    let store = open(&path, false).await;
    assert!(store.get(&[record()]).await.unwrap()[0].is_some());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_beside_the_journal_of_another_one_is_not_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.redb"), folder.path().join("b.redb"));
    for (path, journal) in [(&path, false), (&other, true)] {
        let store = open(path, journal).await;
        store.commit(vec![both()]).await.unwrap();
        store.close().await.unwrap();
    }
    std::fs::rename(folder.path().join("b.redb-journal"), folder.path().join("a.redb-journal")).unwrap();
    let refused = nofx_redb::upgrade(&path).await.unwrap_err();
    assert_eq!(refused.code(), "corrupt");
    assert!(refused.to_string().contains("commits of another store"), "{refused}");
    // It is what it was, and goes on without a journal.
    let store = open(&path, true).await;
    store.commit(vec![both()]).await.unwrap();
    assert_eq!(store.heads(&[log()]).await.unwrap()[0].length, 20);
    store.close().await.unwrap();
}
