//! Stores whose file is damaged at random.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use nofx_core::PersistenceBackend;
use nofx_redb::{Options, RedbBackend};
use nofx_testkit::fuzz::{Mutator, Stored, fuzz};

#[test]
fn a_file_damaged_anywhere_is_read_right_or_not_at_all() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    // One that was closed in order, and one that was not.
    let (closed, killed, stored) = runtime.block_on(async {
        let backend = RedbBackend::open(&path).await.unwrap();
        let stored = Stored::fill(&backend).await.unwrap();
        let killed = fs::read(&path).unwrap();
        backend.close().await.unwrap();
        (fs::read(&path).unwrap(), killed, stored)
    });
    let mut refused = 0;
    fuzz("redb", 40, |seed| {
        let mutator = Mutator::new(seed);
        let mut bytes = if mutator.once_in(3) { killed.clone() } else { closed.clone() };
        mutator.mutate(&mut bytes);
        // Another file each time: the process remembers those that it has open.
        let path = dir.path().join(format!("{seed}.redb"));
        fs::write(&path, bytes).unwrap();
        runtime.block_on(async {
            match RedbBackend::open_with(&path, Options::default()).await {
                Ok(backend) => {
                    stored.exercise(&backend).await;
                }
                Err(_) => refused += 1,
            }
        });
        fs::remove_file(&path).unwrap();
    });
    println!("{refused} were refused");
}
