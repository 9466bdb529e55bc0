//! Stores whose files are damaged at random.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nofx_core::PersistenceBackend;
use nofx_fs::{FsBackend, Options};
use nofx_testkit::fuzz::{Mutator, Stored, fuzz};

/// Returns all files below a folder.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let path = entry.path().strip_prefix(root).unwrap().to_owned();
                    files.insert(path, fs::read(entry.path()).unwrap());
                }
            }
        }
    }
    files
}

#[test]
fn files_damaged_anywhere_are_read_right_or_not_at_all() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    // One that was closed in order, and one that was not.
    let (closed, killed, stored) = runtime.block_on(async {
        let mut options = Options::default();
        options.segment_bytes = 64 << 10;
        let backend = FsBackend::open_with(&root, options).await.unwrap();
        let stored = Stored::fill(&backend).await.unwrap();
        let killed = files(&root);
        backend.close().await.unwrap();
        (files(&root), killed, stored)
    });
    let mut refused = 0;
    fuzz("fs", 20, |seed| {
        let mutator = Mutator::new(seed);
        let mut files = if mutator.once_in(2) { killed.clone() } else { closed.clone() };
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
        for (path, bytes) in &files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        runtime.block_on(async {
            match FsBackend::open(&root).await {
                Ok(backend) => {
                    _ = backend.check().await;
                    stored.exercise(&backend).await;
                }
                Err(_) => refused += 1,
            }
            if mutator.once_in(2)
                && FsBackend::repair(&root, Options::default()).await.is_ok()
                && let Ok(backend) = FsBackend::open(&root).await
            {
                stored.exercise(&backend).await;
            }
        });
        fs::remove_dir_all(&root).unwrap();
    });
    println!("{refused} were refused");
}
