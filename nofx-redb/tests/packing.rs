//! Packing: a filled store is rewritten into a new file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::{batch, body, entries, log, open, open_with, record};
use nofx_core::{Changes, Expect, LogEntry, LogHead, LogQuery, LogScan, PersistenceBackend, Record, ScanQuery};
use nofx_redb::{RedbBackend, pack};

/// Everything that a store holds.
type Content = (Vec<Record>, Vec<LogHead>, Vec<LogEntry>, Changes);

async fn content(store: &RedbBackend) -> Content {
    let records = store.scan(&ScanQuery::all(10_000)).await.unwrap().items;
    let heads = store.logs(&LogScan::all(10_000)).await.unwrap().items;
    let mut all = Vec::new();
    for head in &heads {
        all.extend(store.read(&LogQuery::oldest_first(head.log.clone(), 10_000)).await.unwrap().items);
    }
    (records, heads, all, store.changes(None, 10_000).await.unwrap())
}

/// Creates a store with rows, chunks and gaps.
async fn filled(path: &Path, has_journal: bool) -> Content {
    let store = open_with(path, |options| options.journal = has_journal).await;
    for n in 0..300_u64 {
        let name = format!("{}", n % 50);
        let put = batch().put(record(&format!("{n}")), Expect::Absent, body(&format!("\"{}\"", "words ".repeat(200))));
        let put = if n >= 50 && n % 3 == 0 { put.delete(record(&format!("{}", n - 50)), Expect::Any) } else { put };
        let put = if n < 250 { put.append(log(&name), entries(n / 50 * 4..n / 50 * 4 + 4)) } else { put };
        store.commit(vec![if n % 50 == 7 && n > 250 { put.seal(log(&name)) } else { put }]).await.unwrap();
    }
    let content = content(&store).await;
    store.close().await.unwrap();
    content
}

#[tokio::test]
async fn a_packed_store_holds_the_same_in_fewer_bytes_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let before = filled(&path, false).await;
    let length = fs::metadata(&path).unwrap().len();
    let open_before = open(&path).await;
    pack(&path).await.unwrap();
    assert!(
        fs::metadata(&path).unwrap().len() < length / 2,
        "{length} bytes, then {}",
        fs::metadata(&path).unwrap().len()
    );
    // The path leads to a different file now, and a handle on the old one notices.
    assert_eq!(open_before.commit(vec![batch().append(log("1"), entries(0..1))]).await.unwrap_err().code(), "replaced");
    open_before.close().await.unwrap();

    let store = open(&path).await;
    assert_eq!(content(&store).await, before);
    assert!(store.was_compacted().await.unwrap());
    store
        .commit(vec![batch().put(record("299"), Expect::Any, body("1")).append(log("new"), entries(0..2))])
        .await
        .unwrap();
    assert_eq!(store.get(&[record("299")]).await.unwrap()[0].as_ref().unwrap().body, body("1"));
    store.close().await.unwrap();
    assert!(!path.with_extension("redb.new").exists());
}

#[tokio::test]
async fn a_packed_store_with_a_journal_takes_the_rest_from_that_and_goes_on_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    filled(&path, true).await;
    let store = open(&path).await;
    store.compact().await.unwrap();
    // This commit is in the journal only.
    store.commit(vec![batch().append(log("late"), entries(0..1))]).await.unwrap();
    let before = content(&store).await;
    pack(&path).await.unwrap();
    assert_eq!(store.commit(vec![batch().append(log("late"), entries(1..2))]).await.unwrap_err().code(), "replaced");
    store.close().await.unwrap();
    drop(store);
    for length in 2..4 {
        let store = open(&path).await;
        let found = content(&store).await;
        assert_eq!((&found.0, found.2.len()), (&before.0, before.2.len() + length - 2));
        store.commit(vec![batch().append(log("late"), entries(1..2))]).await.unwrap();
        store.compact().await.unwrap();
        assert_eq!(store.heads(&[log("late")]).await.unwrap()[0].length, length as u64);
        store.close().await.unwrap();
    }
    assert!(!path.with_extension("redb.new").exists());
}

#[tokio::test]
async fn what_is_no_store_is_not_packed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    assert_eq!(pack(&path).await.unwrap_err().code(), "invalid");
    fs::write(&path, "a text").unwrap();
    assert_eq!(pack(&path).await.unwrap_err().code(), "invalid");
    assert_eq!(fs::read(&path).unwrap(), b"a text");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_store_with_a_damaged_page_is_not_packed_and_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let before = filled(&path, false).await;
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (8192..whole.len()).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at] ^= 16;
        fs::write(&path, &damaged).unwrap();
        match pack(&path).await {
            // The page is free, or redb rewrites its content.
            Ok(()) => {
                let store = open(&path).await;
                assert_eq!(content(&store).await, before, "byte {at}");
                store.close().await.unwrap();
            }
            Err(error) => {
                assert_eq!(error.code(), "corrupt", "byte {at}: {error}");
                refused += 1;
                assert_eq!(fs::metadata(&path).unwrap().len(), whole.len() as u64, "byte {at}");
            }
        }
        assert!(!path.with_extension("redb.new").exists(), "byte {at}");
    }
    assert!(refused > 0);
}
