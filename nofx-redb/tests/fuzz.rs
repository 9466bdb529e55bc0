//! Stores whose file is damaged at random.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use nofx_core::{MemoryBackend, PersistenceBackend};
use nofx_redb::{Options, RedbBackend};
use nofx_testkit::fuzz::{Mutator, Stored, fuzz, seeds};

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_file_damaged_anywhere_is_read_right_or_not_at_all() {
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    // One that was closed cleanly, one that was not, and those that the version with the seeds wrote.
    let (closed, killed, stored, little) = runtime.block_on(async {
        let backend = RedbBackend::open(&path).await.unwrap();
        let stored = Stored::fill(&backend).await.unwrap();
        let killed = fs::read(&path).unwrap();
        backend.close().await.unwrap();
        let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
        (fs::read(&path).unwrap(), killed, stored, little)
    });
    let seeds: Vec<_> = seeds(Path::new(SEEDS)).unwrap().into_values().collect();
    let mut refused = 0;
    fuzz("redb", 40, |seed| {
        let mutator = Mutator::new(seed);
        let (mut bytes, stored) = match mutator.below(3) {
            0 => (killed.clone(), &stored),
            1 => (closed.clone(), &stored),
            _ => (seeds[mutator.below(seeds.len())].clone(), &little),
        };
        mutator.mutate(&mut bytes);
        // A different file each time: the process remembers those that it has open.
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

#[test]
fn the_seeds_are_read_without_an_error() {
    runtime().block_on(async {
        let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in seeds(Path::new(SEEDS)).unwrap() {
            let path = dir.path().join(&name);
            fs::write(&path, bytes).unwrap();
            let backend = RedbBackend::open(&path).await.unwrap();
            assert_eq!(little.exercise(&backend).await, 0, "{}", name.display());
        }
    });
}

/// Found by the fuzzer: redb panics while it opens a table whose description is damaged, and panicked again when
/// another open table was dropped, which ended the process.
#[test]
fn a_damaged_description_of_a_table_ends_no_process() {
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(Path::new(SEEDS).join("closed.redb")).unwrap();
    // Each table has a type for its keys and one for its values. The name of each follows a byte for the kind of type.
    let type_name = b"&[u8]".as_slice();
    let mut tried = 0;
    for at in (1..whole.len()).filter(|at| whole.get(*at..).is_some_and(|rest| rest.starts_with(type_name))) {
        let mut bytes = whole.clone();
        *bytes.get_mut(at - 1).unwrap() = 0xFF;
        let path = dir.path().join(format!("{at}.redb"));
        fs::write(&path, bytes).unwrap();
        runtime.block_on(async {
            let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
            if let Ok(backend) = RedbBackend::open_with(&path, Options::default()).await {
                little.exercise(&backend).await;
            }
        });
        tried += 1;
    }
    assert!(tried >= 14, "{tried}");
}

#[test]
#[ignore = "writes the seeds again"]
fn seeds_are_written() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let backend = RedbBackend::open(&path).await.unwrap();
        Stored::fill_little(&backend).await.unwrap();
        backend.close().await.unwrap();
        fs::create_dir_all(SEEDS).unwrap();
        fs::copy(&path, Path::new(SEEDS).join("closed.redb")).unwrap();
    });
}
