//! How many read at once in one process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{batch, entries, log, open, open_with};
use nofx_core::{LogQuery, PersistenceBackend};
use nofx_redb::{Access, Probe};

/// Counts the reads of the file that happen at the same moment, each of which takes its time.
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
    // A caller who stops waiting does not hold up others.
    asked[0].abort();
    for answer in asked.into_iter().skip(1) {
        assert_eq!(answer.await.unwrap().unwrap().items.len(), 200);
    }
    let most = probe.most.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most}");
    store.close().await.unwrap();
}
