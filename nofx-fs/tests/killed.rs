//! A store whose host was killed and whose journal was damaged afterwards, read through `Store`: each stream ends, and
//! returns everything that is known.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use nofx_core::{
    Batch, Body, Direction, Expect, Kind, LogKey, LogQuery, LogScan, NewEntry, PersistenceBackend, RecordKey, Result,
    ScanQuery, Sources, Store, Timestamp,
};
use nofx_fs::{FsBackend, Options};

fn key(id: &str) -> RecordKey {
    RecordKey::new(Kind::of("note"), id).unwrap()
}

fn log(id: &str) -> LogKey {
    LogKey::new(Kind::of("talk"), id).unwrap()
}

fn batch() -> Batch {
    Batch::new(Sources::default().batch_id())
}

fn body(text: &str) -> Body {
    Body::trusted(format!("\"{text}\""))
}

fn entry(text: &str) -> Vec<NewEntry> {
    vec![NewEntry { at: Timestamp::from_millis(1), body: body(text) }]
}

async fn open(root: &Path) -> FsBackend {
    let mut options = Options::default();
    // Only closing brings the files up to date.
    options.apply_after = Duration::from_secs(3600);
    FsBackend::open_with(root, options).await.unwrap()
}

/// Creates the store, with one damaged group in its journal.
async fn damaged(root: &Path) {
    let made = root.with_extension("made");
    let store = open(&made).await;
    for n in 0..10 {
        let id = n.to_string().repeat(3);
        store.commit(vec![batch().put(key(&id), Expect::Any, body("1")).append(log(&id), entry("1"))]).await.unwrap();
    }
    store.close().await.unwrap();
    let store = open(&made).await;
    let hit = ["000", "555", "999"].iter().fold(batch(), |batch, id| batch.put(key(id), Expect::Any, body("HIT")));
    let hit = hit.put(key("lost"), Expect::Any, body("2"));
    for group in [
        batch().append(log("777"), entry("2")),
        hit.append(log("777"), entry("3")).append(log("gone"), entry("1")),
        batch().put(key("zoo"), Expect::Any, body("3")).append(log("777"), entry("4")),
    ] {
        store.commit(vec![group]).await.unwrap();
    }
    copy(&made, root);
    store.close().await.unwrap();
    let segment = root.join("journal/segment-0");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(3).position(|window| window == b"HIT").unwrap();
    bytes[at] ^= 1;
    fs::write(segment, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &to) } else { _ = fs::copy(path, to).unwrap() }
    }
}

/// Returns the items of a stream and the number of its errors, all of which name the segment.
async fn all<T>(stream: impl Stream<Item = Result<T>> + Unpin) -> (Vec<T>, usize) {
    let (mut found, mut errors) = (Vec::new(), 0);
    let mut stream = stream.take(1000);
    while let Some(item) = stream.next().await {
        match item {
            Ok(item) => found.push(item),
            Err(error) => {
                assert_eq!(error.code(), "corrupt", "{error}");
                assert!(error.chain().contains("journal"), "{}", error.chain());
                errors += 1;
            }
        }
    }
    assert!(errors < 10, "{errors} errors");
    (found, errors)
}

#[tokio::test]
async fn every_stream_of_a_damaged_journal_holds_what_is_known_and_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    damaged(&root).await;
    let backend = Arc::new(open(&root).await);
    let store = Store::new(backend.clone());
    let ids = ["111", "222", "333", "444", "666", "777", "888", "zoo"];
    for limit in [1, 2, 3, 7, 100] {
        for direction in [Direction::Forward, Direction::Backward] {
            let mut query = ScanQuery::of(Kind::of("note"), limit);
            query.direction = direction;
            let (records, errors) = all(store.scan(query.clone())).await;
            let mut found: Vec<_> = records.iter().map(|record| record.key.id()).collect();
            if direction == Direction::Backward {
                found.reverse();
            }
            assert_eq!(found, ids, "{limit} {direction:?}");
            assert_eq!(errors, 4, "three of records and that of the list; {limit} {direction:?}");
            query.kind = Some(Kind::of("absent"));
            let (records, errors) = all(store.scan(query)).await;
            assert_eq!((records.len(), errors), (0, 1), "{limit} {direction:?}");

            let mut query = LogScan::of(Kind::of("talk"), limit);
            query.direction = direction;
            let (heads, errors) = all(store.logs(query)).await;
            assert_eq!((heads.len(), errors), (10, 1), "{limit} {direction:?}");
        }
        let (entries, errors) = all(store.read(LogQuery::oldest_first(log("777"), limit))).await;
        assert_eq!(entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), [0, 1, 3], "{limit}");
        assert_eq!(errors, 1);
        let (entries, errors) = all(store.read(LogQuery::newest_first(log("777"), limit))).await;
        assert_eq!(entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), [3, 1, 0], "{limit}");
        assert_eq!(errors, 1);
        let (entries, errors) = all(store.read(LogQuery::oldest_first(log("222"), limit))).await;
        assert_eq!((entries.len(), errors), (1, 0));
        let (entries, errors) = all(store.read(LogQuery::oldest_first(log("gone"), limit))).await;
        assert_eq!((entries.len(), errors), (0, 1));
    }
    store.close().await.unwrap();
}
