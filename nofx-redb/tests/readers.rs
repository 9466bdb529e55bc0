//! How many reads run concurrently in one process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io;
#[cfg(unix)]
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{batch, entries, log, open, open_with};
use nofx_core::{LogQuery, PersistenceBackend};
use nofx_redb::{Access, Probe};
#[cfg(unix)]
use redb::{StorageBackend, backends::FileBackend};

/// Counts the concurrent reads of the file, each of which takes a while.
#[derive(Debug, Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Probe for AtOnce {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        if matches!(access, Access::Read { .. }) {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_two_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let filled = open(&path).await;
    for number in 0..64 {
        filled.commit(vec![batch().append(log(&format!("log-{number}")), entries(0..200))]).await.unwrap();
    }
    filled.close().await.unwrap();
    drop(filled);

    let probe = Arc::new(AtOnce::default());
    let store = open_with(&path, |options| {
        options.probe = Some(probe.clone());
        options.read_only = true;
    });
    let store = Arc::new(store.await);
    let ask = |number: usize| {
        let store = store.clone();
        tokio::spawn(async move { store.read(&LogQuery::oldest_first(log(&format!("log-{number}")), 1000)).await })
    };
    let asked: Vec<_> = (0..64).map(ask).collect();
    // A caller that stops waiting does not delay others.
    asked[0].abort();
    for answer in asked.into_iter().skip(1) {
        assert_eq!(answer.await.unwrap().unwrap().items.len(), 200);
    }
    let most = probe.most.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most}");
    store.close().await.unwrap();
}

/// Like a process that was stopped while it wrote the header: it holds a lock that every read takes.
#[tokio::test(flavor = "multi_thread")]
#[cfg(unix)]
async fn reads_of_a_store_that_a_stopped_process_holds_do_not_hold_up_those_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = Vec::new();
    for name in ["held", "free"] {
        let path = dir.path().join(name);
        let filled = open(&path).await;
        filled.commit(vec![batch().append(log("l"), entries(0..5))]).await.unwrap();
        filled.close().await.unwrap();
        drop(filled);
        let store = open_with(&path, |options| {
            options.read_only = true;
            options.lock_wait = Duration::from_secs(120);
        });
        stores.push(Arc::new(store.await));
    }
    let file = std::fs::OpenOptions::new().read(true).write(true).open(dir.path().join("held")).unwrap();
    let lock = FileBackend::new(file).unwrap();
    assert!(lock.try_lock_range(Bound::Included(0), Bound::Excluded(320)).unwrap());
    let read = |store: &Arc<nofx_redb::RedbBackend>| {
        let store = store.clone();
        tokio::spawn(async move { store.read(&LogQuery::oldest_first(log("l"), 10)).await.unwrap().items.len() })
    };
    let held: Vec<_> = (0..20).map(|_| read(&stores[0])).collect();
    for _ in 0..50 {
        let free = tokio::time::timeout(Duration::from_secs(60), read(&stores[1])).await;
        assert_eq!(free.expect("held up by another store").unwrap(), 5);
    }
    assert!(held.iter().all(|read| !read.is_finished()));
    lock.unlock_range(Bound::Included(0), Bound::Excluded(320)).unwrap();
    for read in held {
        assert_eq!(read.await.unwrap(), 5);
    }
}
