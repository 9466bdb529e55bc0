//! Randomly damaged sources and dumps.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{NoProgress, Options, check_dump, dump, dump_full, full_digest, load, migrate};
use nofx_testkit::fuzz::{Mutator, fuzz, plant, seeds};
use nofx_testkit::legacy::LegacyWorkspace;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn store() -> Store {
    Store::new(Arc::new(MemoryBackend::new()))
}

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");

/// Returns the seeds of one kind, by path.
fn planted(kind: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    seeds(&Path::new(SEEDS).join(kind)).unwrap()
}

/// Imports twice and checks what must hold for any source: it ends, everything is accounted for, and the second time nothing happens.
async fn import(folder: &Path, also: Vec<PathBuf>) {
    let store = store();
    let mut options = Options::default();
    (options.verify, options.also) = (true, also);
    let report = match migrate(folder, &store, &options, &NoProgress).await {
        Ok(report) => report,
        // What was given as VS Code's state may no longer be one.
        Err(error) => return assert!(!options.also.is_empty() && !error.code().is_empty(), "{error}"),
    };
    assert!(report.is_complete(), "{report}");
    let totals = report.totals;
    assert_eq!(totals.bytes, totals.bytes_understood + totals.bytes_kept + totals.bytes_missing);
    dump(&store, &mut std::io::sink()).await.unwrap();
    let full = full_digest(&store).await.unwrap();
    let again = migrate(folder, &store, &options, &NoProgress).await.unwrap();
    assert_eq!(again.totals.commits, 0, "{again}");
    assert_eq!(full_digest(&store).await.unwrap(), full);
}

#[test]
fn a_legacy_folder_of_any_bytes_is_imported_and_accounted_for() {
    let planted = planted("legacy");
    fuzz("legacy", 60, |seed| {
        let mutator = Mutator::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(".nofx");
        match mutator.once_in(2) {
            true => plant(&root, &planted).unwrap(),
            false => LegacyWorkspace::new(seed % 512).write(folder.path()).unwrap(),
        }
        let files: Vec<PathBuf> = seeds(&root).unwrap().into_keys().map(|path| root.join(path)).collect();
        for _ in 0..=mutator.below(4) {
            let path = &files[mutator.below(files.len())];
            let mut bytes = fs::read(path).unwrap();
            mutator.mutate(&mut bytes);
            // The bytes of one kind of file under the name of another.
            let path = if mutator.once_in(4) { &files[mutator.below(files.len())] } else { path };
            fs::write(path, bytes).unwrap();
        }
        runtime().block_on(import(folder.path(), Vec::new()));
    });
}

#[test]
fn state_of_vs_code_of_any_bytes_is_imported_or_refused() {
    let planted: Vec<Vec<u8>> = planted("state").into_values().collect();
    fuzz("state", 100, |seed| {
        let mutator = Mutator::new(seed);
        let mut bytes = planted[mutator.below(planted.len())].clone();
        mutator.mutate(&mut bytes);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".nofx")).unwrap();
        let state = folder.path().join("state.vscdb");
        fs::write(&state, bytes).unwrap();
        runtime().block_on(import(folder.path(), vec![state]));
    });
}

#[test]
fn a_dump_of_any_bytes_is_loaded_as_it_is_or_refused() {
    // One of everything that occurs in a legacy folder, and one that earlier versions wrote.
    let folder = tempfile::tempdir().unwrap();
    LegacyWorkspace::new(3).write(folder.path()).unwrap();
    let wholes = [runtime().block_on(dumped(folder.path())), planted("dump").into_values().next().unwrap()];
    fuzz("dump", 200, |seed| {
        let mutator = Mutator::new(seed);
        let mut bytes = wholes[mutator.below(2)].clone();
        mutator.mutate(&mut bytes);
        runtime().block_on(async {
            let checked = check_dump(&mut bytes.as_slice());
            let store = store();
            let loaded = load(&mut bytes.as_slice(), &store).await;
            assert_eq!(checked.is_ok(), loaded.is_ok(), "{checked:?} but {loaded:?}");
            if loaded.is_ok() {
                let mut again = Vec::new();
                dump_full(&store, &mut again).await.unwrap();
                assert!(bytes.starts_with(&again), "the way back gives other bytes");
            }
        });
    });
}

/// Imports a folder and returns the full dump of the store.
async fn dumped(folder: &Path) -> Vec<u8> {
    let (store, mut dump) = (store(), Vec::new());
    migrate(folder, &store, &Options::default(), &NoProgress).await.unwrap();
    dump_full(&store, &mut dump).await.unwrap();
    dump
}

#[test]
fn the_seeds_are_imported_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    plant(&folder.path().join(".nofx"), &planted("legacy")).unwrap();
    for (name, bytes) in planted("state") {
        let state = folder.path().join(name);
        fs::write(&state, bytes).unwrap();
        runtime().block_on(import(folder.path(), vec![state]));
    }
    for dump in planted("dump").into_values() {
        runtime().block_on(load(&mut dump.as_slice(), &store())).unwrap();
    }
}

#[test]
#[ignore = "rewrites the seed of dumps, from those of the legacy folder, which are written by hand"]
fn seeds_are_written() {
    let folder = tempfile::tempdir().unwrap();
    plant(&folder.path().join(".nofx"), &planted("legacy")).unwrap();
    let dump = runtime().block_on(dumped(folder.path()));
    plant(&Path::new(SEEDS).join("dump"), &[("legacy.ndjson".into(), dump)].into()).unwrap();
}
