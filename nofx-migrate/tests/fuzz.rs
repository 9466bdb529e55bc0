//! Sources and dumps that are damaged at random.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{NoProgress, Options, check_dump, dump, dump_full, full_digest, load, migrate};
use nofx_testkit::fuzz::{Mutator, fuzz};
use nofx_testkit::legacy::Workspace;
use rusqlite::Connection;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn store() -> Store {
    Store::new(Arc::new(MemoryBackend::new()))
}

/// Returns all plain files below a folder, in order.
fn files(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Imports twice and holds what can be held against any source: it ends, all is accounted for, and the second time nothing happens.
async fn import(folder: &Path, also: Vec<PathBuf>) {
    let store = store();
    let mut options = Options::default();
    (options.verify, options.also) = (true, also);
    let report = match migrate(folder, &store, &options, &NoProgress).await {
        Ok(report) => report,
        // What was given as VS Code's state may be none any more.
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
    fuzz("legacy", 60, |seed| {
        let mutator = Mutator::new(seed);
        let folder = tempfile::tempdir().unwrap();
        Workspace::new(seed % 512).write(folder.path()).unwrap();
        let files = files(&folder.path().join(".nofx"));
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

const STATE: &str = r#"{"nofx.agents": [{"id": "ada", "name": "Ada"}], "nofx.sessions": [{"id": "s-1", "agentId": "ada",
    "conversationHistory": [{"id": "m", "type": "user", "content": "one"}]}], "nofxTheme": "dark"}"#;

#[test]
fn state_of_vs_code_of_any_bytes_is_imported_or_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("state.vscdb");
    let database = Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)").unwrap();
    for row in 0..40 {
        let key = if row == 20 { "nofx.nofx".to_owned() } else { format!("other.{row}") };
        database.execute("INSERT INTO ItemTable VALUES (?, ?)", (key, STATE.repeat(1 + row % 3 * (row % 20)))).unwrap();
    }
    drop(database);
    let database = fs::read(&path).unwrap();
    fuzz("state", 100, |seed| {
        let mutator = Mutator::new(seed);
        let mut bytes = if mutator.once_in(2) { STATE.as_bytes().to_vec() } else { database.clone() };
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
    let folder = tempfile::tempdir().unwrap();
    Workspace::new(3).write(folder.path()).unwrap();
    let mut whole = Vec::new();
    runtime().block_on(async {
        let store = store();
        migrate(folder.path(), &store, &Options::default(), &NoProgress).await.unwrap();
        dump_full(&store, &mut whole).await.unwrap();
    });
    fuzz("dump", 200, |seed| {
        let mutator = Mutator::new(seed);
        let mut bytes = whole.clone();
        mutator.mutate(&mut bytes);
        runtime().block_on(async {
            let judged = check_dump(&mut bytes.as_slice());
            let store = store();
            let loaded = load(&mut bytes.as_slice(), &store).await;
            assert_eq!(judged.is_ok(), loaded.is_ok(), "{judged:?} but {loaded:?}");
            if loaded.is_ok() {
                let mut again = Vec::new();
                dump_full(&store, &mut again).await.unwrap();
                assert!(bytes.starts_with(&again), "the way back gives other bytes");
            }
        });
    });
}
