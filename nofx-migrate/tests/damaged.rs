//! Random damaged workspaces, compared with what their generator knows.
//!
//! `NOFX_SEEDS` says how many to try and `NOFX_SEED` where to start: `NOFX_SEED=17 NOFX_SEEDS=1` tries that one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damaged {
    pub(crate) mod differences;
    pub(crate) mod found;
}

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use damaged::differences::differences;
use damaged::found::Found;
use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{NoProgress, Options, Report, full_digest, migrate};
use nofx_testkit::legacy::LegacyWorkspace;
use rusqlite::Connection;

#[path = "damaged/restless.rs"]
mod restless;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

#[test]
fn everything_whole_in_a_damaged_workspace_is_found_and_every_byte_accounted_for() {
    try_seeds(150, async |seed| {
        let workspace = LegacyWorkspace::new(seed);
        (workspace.size(), try_one(&workspace).await)
    });
}

#[tokio::test]
async fn every_whole_message_of_a_session_of_thirty_megabytes_is_found() {
    let workspace = LegacyWorkspace::large(30 << 20);
    assert!(workspace.size().1 > 30 << 20);
    let wrong = try_one(&workspace).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tries as many seeds as the environment says, or the default number, on two threads, and fails with everything that is wrong.
fn try_seeds(usual: u64, try_seed: impl AsyncFn(u64) -> ((usize, usize), Vec<String>) + Sync) {
    let (first, count) = (number("NOFX_SEED", 0), number("NOFX_SEEDS", usual));
    let next = AtomicU64::new(first);
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (mut failed, mut size) = (Vec::new(), (0, 0));
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || failed.len() > 20 {
                return (failed, size);
            }
            let (tried, wrong) = runtime.block_on(try_seed(seed));
            size = (size.0 + tried.0, size.1 + tried.1);
            failed.extend(wrong.iter().take(5).map(|what| format!("seed {seed}: {what}")));
        }
    };
    let done = std::thread::scope(|scope| [scope.spawn(work), scope.spawn(work)].map(|worker| worker.join().unwrap()));
    let files: usize = done.iter().map(|(_, (files, _))| files).sum();
    let bytes: usize = done.iter().map(|(_, (_, bytes))| bytes).sum();
    println!("{count} workspaces from seed {first}: {files} files, {bytes} bytes");
    let failed: Vec<_> = done.into_iter().flat_map(|(failed, _)| failed).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Imports a workspace twice and returns everything that is wrong.
async fn try_one(workspace: &LegacyWorkspace) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    workspace.write(folder.path()).unwrap();
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let mut options = Options::default();
    options.verify = true;
    options.also = workspace.write_elsewhere(folder.path(), write_database).unwrap();
    let import = || migrate(folder.path(), &store, &options, &NoProgress);
    let report = match import().await {
        Ok(report) => report,
        Err(error) => return vec![format!("the import fails: {error}")],
    };
    let mut wrong = differences(workspace.truth(), &Found::read(&store).await, &report);
    wrong.extend(unaccounted(&report, &workspace.sizes()));
    let full = full_digest(&store).await.unwrap();
    match import().await {
        Ok(again) if again.totals.commits > 0 => wrong.push("a second import writes something".to_owned()),
        Ok(again) if !again.is_complete() => wrong.push(format!("a second import is not complete: {again}")),
        Ok(_) => {}
        Err(error) => wrong.push(format!("a second import fails: {error}")),
    }
    if full_digest(&store).await.unwrap() != full {
        wrong.push("a second import changes something".to_owned());
    }
    wrong
}

/// Writes the state of VS Code, part of which belongs to other extensions.
fn write_database(path: &Path, state: &str) -> std::io::Result<()> {
    let write = || -> rusqlite::Result<()> {
        let database = Connection::open(path)?;
        database.execute_batch("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")?;
        for (key, value) in [("nofx.nofx", state), ("other.one", r#"{"nofx.agents": [{"id": "stranger"}]}"#)] {
            database.execute("INSERT INTO ItemTable VALUES (?, ?)", (key, value))?;
        }
        Ok(())
    };
    write().map_err(std::io::Error::other)
}

/// Returns what the report does not account for.
fn unaccounted(report: &Report, sizes: &BTreeMap<String, u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    let files: Vec<_> = report.files.iter().map(|file| file.unwrap()).collect();
    let told: BTreeMap<String, u64> = files.iter().map(|file| (file.path.clone(), file.size)).collect();
    if told != *sizes || told.len() != files.len() {
        wrong.push(format!("the report has the files {told:?} instead of {sizes:?}"));
    }
    let totals = report.totals;
    if totals.bytes != totals.bytes_understood + totals.bytes_kept + totals.bytes_missing {
        wrong.push(format!("the sums do not match: {totals:?}"));
    }
    if totals.bytes != files.iter().map(|file| file.size).sum::<u64>() {
        wrong.push("the files have other sizes than their sum".to_owned());
    }
    for file in &files {
        let mut end = 0;
        for unused in &file.unused {
            if unused.from < end || unused.to <= unused.from || unused.to > file.size || unused.reason.is_empty() {
                wrong.push(format!("{}: a stretch is wrong: {unused:?}", file.path));
            }
            end = unused.to;
        }
        if end > 0 && file.attachment.is_none() {
            wrong.push(format!("{}: bytes became nothing and are not kept", file.path));
        }
    }
    wrong
}
