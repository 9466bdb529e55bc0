//! Failures of the file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use common::{batch, body, entries, log, open, open_with, record};
use nofx_core::{Expect, Outcome, PersistenceBackend};
use nofx_redb::{Access, Probe};

/// Counts accesses and makes some fail.
#[derive(Debug, Default)]
struct Faults {
    writes: AtomicU64,
    bytes: AtomicU64,
    flushes: AtomicU64,
    /// Bytes written since the last flush.
    unflushed: AtomicU64,
    /// The flush that fails, counted from the next one; none if negative.
    failing_flush: AtomicI64,
    full: AtomicBool,
}

impl Faults {
    fn new() -> Arc<Self> {
        Arc::new(Self { failing_flush: AtomicI64::new(-1), ..Self::default() })
    }

    fn take(&self) -> (u64, u64) {
        (self.bytes.swap(0, Ordering::SeqCst), self.flushes.swap(0, Ordering::SeqCst))
    }
}

impl Probe for Faults {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        match access {
            Access::Write { .. } | Access::Resize { .. } if self.full.load(Ordering::SeqCst) => return Err(full()),
            Access::Write { bytes, .. } => {
                self.writes.fetch_add(1, Ordering::SeqCst);
                self.bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                self.unflushed.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
            Access::Flush => {
                if self.failing_flush.fetch_sub(1, Ordering::SeqCst) == 0 {
                    return Err(io::Error::other("injected"));
                }
                self.flushes.fetch_add(1, Ordering::SeqCst);
                self.unflushed.store(0, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test]
async fn each_commit_is_flushed_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::new();
    let store = open_with(&dir.path().join("a.redb"), |options| options.probe = Some(faults.clone())).await;
    for number in 0..50 {
        faults.take();
        store.commit(vec![batch().append(log("l"), entries(number..number + 1))]).await.unwrap();
        let (bytes, flushes) = faults.take();
        assert!(bytes > 0 && flushes >= 2, "{bytes} bytes and {flushes} flushes in commit {number}");
        // Only the header may follow the last flush, with the flag that the commit is no longer in doubt.
        let unflushed = faults.unflushed.load(Ordering::SeqCst);
        assert!(unflushed <= 320, "{unflushed} bytes without a flush after commit {number}");
    }
}

#[tokio::test]
async fn the_last_append_writes_what_the_first_one_did() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::new();
    let store = open_with(&dir.path().join("a.redb"), |options| options.probe = Some(faults.clone())).await;
    let text = body(&format!("\"{}\"", "one message ".repeat(40)));
    let append = || {
        let entry = nofx_core::NewEntry { at: nofx_core::Timestamp::from_millis(1), body: text.clone() };
        batch().append(log("l"), vec![entry])
    };
    // The median of 32, because rows are folded now and then.
    let measure = async || {
        let mut measured = Vec::new();
        for _ in 0..32 {
            faults.take();
            store.commit(vec![append()]).await.unwrap();
            measured.push(faults.take().0);
        }
        measured.sort_unstable();
        measured[16]
    };
    let first = measure().await;
    for _ in 0..100 {
        store.commit((0..1000).map(|_| append()).collect()).await.unwrap();
    }
    let last = measure().await;
    assert!(last <= first + 4096, "{first} bytes at first, {last} bytes after 100,000 entries");
    assert!(first < 40_000, "{first}");
}

#[tokio::test]
async fn a_failed_flush_is_unknown_and_settled_by_committing_again() {
    for failing in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        let faults = Faults::new();
        let store = open_with(&path, |options| options.probe = Some(faults.clone())).await;
        store.commit(vec![batch().put(record("a"), Expect::Absent, body("0"))]).await.unwrap();
        let group = vec![batch().put(record("a"), Expect::Any, body("1")).append(log("l"), entries(0..2))];
        faults.failing_flush.store(failing, Ordering::SeqCst);
        let outcome = store.commit(group.clone()).await;
        if failing < 2 {
            assert_eq!(outcome.unwrap_err().code(), "unknown", "flush {failing}");
        }
        faults.failing_flush.store(-1, Ordering::SeqCst);
        let settled = store.commit(group.clone()).await.unwrap();
        assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 2);
        assert_eq!(store.commit(group.clone()).await.unwrap(), settled);
        store.close().await.unwrap();
        let store = open(&path).await;
        assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 2);
        assert_eq!(store.commit(group).await.unwrap(), settled);
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_and_the_store_goes_on_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::new();
    let store = open_with(&dir.path().join("a.redb"), |options| options.probe = Some(faults.clone())).await;
    store.commit(vec![batch().append(log("l"), entries(0..5))]).await.unwrap();
    faults.full.store(true, Ordering::SeqCst);
    let group = vec![batch().append(log("l"), entries(5..6))];
    for _ in 0..3 {
        let error = store.commit(group.clone()).await.unwrap_err();
        assert_eq!(error.code(), "full", "{error}");
        assert!(error.to_string().contains("a.redb"), "{error}");
    }
    faults.full.store(false, Ordering::SeqCst);
    assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 5, "nothing happened");
    assert!(matches!(store.commit(group).await.unwrap()[0], Outcome::Committed(_)));
    assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 6);
}

#[tokio::test]
async fn a_fault_at_any_access_loses_nothing_that_was_acknowledged() {
    for failing in (0..60).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        let faults = Faults::new();
        let store = open_with(&path, |options| options.probe = Some(faults.clone())).await;
        faults.failing_flush.store(failing, Ordering::SeqCst);
        let mut acknowledged = 0;
        for number in 0..20 {
            let append = batch().append(log("l"), entries(number..number + 1));
            match store.commit(vec![append.clone()]).await {
                Ok(_) => {}
                Err(error) => {
                    // Unavailable if it failed while the file was opened or extended: nothing had happened yet.
                    assert!(matches!(error.code(), "unknown" | "unavailable"), "{error}");
                    store.commit(vec![append]).await.unwrap();
                }
            }
            acknowledged += 1;
            assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, acknowledged);
        }
        store.close().await.unwrap();
        assert_eq!(open(&path).await.heads(&[log("l")]).await.unwrap()[0].length, acknowledged);
    }
}

/// Run by hand: `mount -t tmpfs -o size=3M tmpfs /mnt && NOFX_REDB_SMALL=/mnt cargo test -p nofx-redb --test faults --
/// --ignored`.
#[tokio::test]
#[ignore = "needs a file system of a few megabytes, named by NOFX_REDB_SMALL"]
async fn a_disk_that_is_really_full_is_reported_and_loses_nothing() {
    let folder = std::path::PathBuf::from(std::env::var_os("NOFX_REDB_SMALL").unwrap());
    let path = folder.join("a.redb");
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let store = open(&path).await;
    let (mut acknowledged, mut refused) = (0, 0);
    while refused < 5 {
        let group = vec![batch().append(log("l"), entries(acknowledged..acknowledged + 1)).put(
            record(&acknowledged.to_string()),
            Expect::Absent,
            body(&format!("\"{}\"", "x".repeat(800))),
        )];
        match store.commit(group).await {
            Ok(_) => acknowledged += 1,
            Err(error) => {
                assert_eq!(error.code(), "full", "{error}");
                refused += 1;
                assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, acknowledged);
            }
        }
    }
    println!("{acknowledged} fit");
    std::fs::remove_file(ballast).unwrap();
    store.commit(vec![batch().append(log("l"), entries(acknowledged..acknowledged + 1))]).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(open(&path).await.heads(&[log("l")]).await.unwrap()[0].length, acknowledged + 1);
    std::fs::remove_file(path).unwrap();
}
