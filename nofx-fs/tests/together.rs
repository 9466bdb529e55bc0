//! Tasks of one process that commit, follow changes and read while the files are constantly brought up to date.
//!
//! `NOFX_FS_SECONDS` sets how long the test takes.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nofx_core::{
    Batch, Body, Changes, Deadline, Kind, LogKey, LogQuery, NewEntry, PersistenceBackend, Result, Sources, Timestamp,
};
use nofx_fs::{FsBackend, Options};

/// No disk takes longer for a single call; a task that waits longer waits forever.
const PATIENCE: Duration = Duration::from_secs(20);
const WRITERS: usize = 4;

fn seconds() -> u64 {
    std::env::var("NOFX_FS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn log(writer: usize) -> LogKey {
    LogKey::new(Kind::of("talk"), writer.to_string()).unwrap()
}

async fn write(store: &FsBackend, writer: usize, length: u64) -> Result<()> {
    let body = Body::trusted(format!("{{\"n\":{length},\"text\":\"{}\"}}", "x".repeat(200)));
    let entry = NewEntry { at: Timestamp::from_millis(length as i64), body };
    let batch = Batch::new(Sources::default().batch_id()).append_at(log(writer), length, vec![entry]);
    store.commit(vec![batch]).await.map(drop)
}

/// Ends the process, because a test that only fails would wait for the hanging threads.
fn hangs(what: &str) -> ! {
    eprintln!("{what} hangs");
    std::process::abort()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn commits_changes_and_applying_never_wait_for_each_other_in_a_circle() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    // The files are brought up to date all the time.
    (options.segment_bytes, options.apply_after) = (4096, Duration::ZERO);
    let store = Arc::new(FsBackend::open_with(&dir.path().join("store"), options).await.unwrap());
    let deadline = Deadline::after(Duration::from_secs(seconds()));
    let mut tasks = tokio::task::JoinSet::new();
    let committed = Arc::new(AtomicU64::new(0));
    for writer in 0..WRITERS {
        let (store, committed) = (store.clone(), committed.clone());
        tasks.spawn(async move {
            for length in 0.. {
                if deadline.has_passed() {
                    break;
                }
                tokio::time::timeout(PATIENCE, write(&store, writer, length))
                    .await
                    .unwrap_or_else(|_| hangs("a commit"))
                    .unwrap();
                committed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..2 {
        let store = store.clone();
        tasks.spawn(async move {
            let (mut after, mut seen) = (None, 0);
            while !deadline.has_passed() {
                let changes = tokio::time::timeout(PATIENCE, store.changes(after.as_ref(), 100)).await;
                match changes.unwrap_or_else(|_| hangs("asking for changes")).unwrap() {
                    Changes::Page(page) => {
                        seen += page.changes.len();
                        after = Some(page.next);
                    }
                    Changes::Gap { .. } => panic!("a gap behind {seen} changes"),
                }
            }
        });
    }
    let reader = store.clone();
    tasks.spawn(async move {
        let mut longest = 0;
        while !deadline.has_passed() {
            let query = LogQuery::newest_first(log(0), 5);
            let page =
                tokio::time::timeout(PATIENCE, reader.read(&query)).await.unwrap_or_else(|_| hangs("a read")).unwrap();
            let length = page.items.first().map_or(0, |entry| entry.position + 1);
            assert!(length >= longest, "{length} entries after {longest}");
            longest = length;
        }
    });
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    println!("{} commits", committed.load(Ordering::Relaxed));
    let logs: Vec<_> = (0..WRITERS).map(log).collect();
    let there: u64 = store.heads(&logs).await.unwrap().iter().map(|head| head.length).sum();
    assert_eq!(there, committed.load(Ordering::Relaxed));
    store.close().await.unwrap();
}
