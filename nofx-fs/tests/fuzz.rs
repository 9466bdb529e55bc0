//! Stores whose files are damaged at random.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use nofx_core::{MemoryBackend, PersistenceBackend};
use nofx_fs::{FsBackend, Options};
use nofx_testkit::fuzz::{Mutator, Stored, fuzz, plant, seeds};

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn files_damaged_anywhere_are_read_right_or_not_at_all() {
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    // One that was closed cleanly, one that was not, and the one that the version with the seeds wrote.
    let (closed, killed, stored, little) = runtime.block_on(async {
        let mut options = Options::default();
        options.segment_bytes = 64 << 10;
        let backend = FsBackend::open_with(&root, options).await.unwrap();
        let stored = Stored::fill(&backend).await.unwrap();
        let killed = seeds(&root).unwrap();
        backend.close().await.unwrap();
        let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
        (seeds(&root).unwrap(), killed, stored, little)
    });
    let planted = seeds(Path::new(SEEDS)).unwrap();
    let mut refused = 0;
    fuzz("fs", 20, |seed| {
        let mutator = Mutator::new(seed);
        let (mut files, stored) = match mutator.below(3) {
            0 => (killed.clone(), &stored),
            1 => (closed.clone(), &stored),
            _ => (planted.clone(), &little),
        };
        for _ in 0..=mutator.below(3) {
            let place = mutator.below(files.len());
            let Some((path, bytes)) = files.iter_mut().nth(place) else { continue };
            let path = path.clone();
            mutator.mutate(bytes);
            if mutator.once_in(8) {
                files.remove(&path);
            }
        }
        let root = dir.path().join(seed.to_string());
        plant(&root, &files).unwrap();
        runtime.block_on(async {
            match FsBackend::open(&root).await {
                Ok(backend) => {
                    _ = backend.check().await;
                    stored.exercise(&backend).await;
                }
                Err(_) => refused += 1,
            }
            if mutator.once_in(2)
                && FsBackend::repair(&root, Options::default(), mutator.once_in(2)).await.is_ok()
                && let Ok(backend) = FsBackend::open(&root).await
            {
                stored.exercise(&backend).await;
            }
        });
        fs::remove_dir_all(&root).unwrap();
    });
    println!("{refused} were refused");
}

#[test]
fn the_seeds_are_read_without_an_error() {
    runtime().block_on(async {
        let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), &seeds(Path::new(SEEDS)).unwrap()).unwrap();
        let backend = FsBackend::open(dir.path()).await.unwrap();
        assert_eq!(little.exercise(&backend).await, 0);
    });
}

/// The fuzzer once found that it did not end.
#[test]
fn a_feed_whose_journal_lost_commits_ends() {
    runtime().block_on(async {
        let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
        let whole = seeds(Path::new(SEEDS)).unwrap();
        let journal = || whole.keys().filter(|path| path.starts_with("journal"));
        let all: Vec<Vec<_>> = journal().map(|path| vec![path]).chain([journal().collect()]).collect();
        for lost in all {
            for how in ["removed", "emptied", "zeroed", "cut"] {
                let mut files = whole.clone();
                for path in &lost {
                    let bytes = files.remove(*path).unwrap();
                    let left = match how {
                        "removed" => continue,
                        "emptied" => Vec::new(),
                        "zeroed" => vec![0; bytes.len()],
                        _ => bytes[..bytes.len() / 2].to_vec(),
                    };
                    files.insert((*path).clone(), left);
                }
                let dir = tempfile::tempdir().unwrap();
                plant(dir.path(), &files).unwrap();
                if let Ok(backend) = FsBackend::open(dir.path()).await {
                    little.exercise(&backend).await;
                }
            }
        }
    });
}

#[test]
#[ignore = "writes the seeds again"]
fn seeds_are_written() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.segment_bytes = 16 << 10;
        let backend = FsBackend::open_with(dir.path(), options).await.unwrap();
        Stored::fill_little(&backend).await.unwrap();
        backend.close().await.unwrap();
        // Lock files are not needed there, and git would skip what a store tells it to ignore.
        let mut files = seeds(dir.path()).unwrap();
        files.retain(|path, _| !path.to_string_lossy().contains("lock") && !path.ends_with(".gitignore"));
        plant(Path::new(SEEDS), &files).unwrap();
    });
}
