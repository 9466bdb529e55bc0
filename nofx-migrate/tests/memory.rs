//! The memory of a migration does not depend on the number of files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{NoProgress, Options, migrate};
use peak_alloc::PeakAlloc;

/// The only test of its program: it counts the memory of all threads.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// So little that a few dozen files are in memory at once.
const MEMORY_ASKED_FOR: u64 = 64 << 10;

/// This many bytes may be remembered for each file,
const BYTES_PER_FILE: usize = 64;

/// and this many may be in use for the work in progress, however many files there are.
const BYTES_UNDER_WAY: usize = 2 << 20;

/// Returns the peak memory of a migration beyond what the store has: for one that would import everything, and for
/// one that finds everything there. What a store in memory takes while it grows would hide what importing into it takes.
async fn taken(files: usize) -> [usize; 2] {
    let folder = tempfile::tempdir().unwrap();
    let sessions = folder.path().join(".nofx/sessions");
    fs::create_dir_all(&sessions).unwrap();
    for number in 0..files {
        let session = format!(
            r#"{{"id":"session-{number}","agentId":"ada","name":"Ada","status":"active","createdAt":"2025-09-08T10:00:00.000Z",
                "conversationHistory":[{{"id":"m{number}","role":"user","content":"says {number}"}}]}}"#
        );
        fs::write(sessions.join(format!("session-ada-{number}.json")), session).unwrap();
        // Every tenth has a neighbour that is kept unchanged.
        if number % 10 == 0 {
            fs::write(sessions.join(format!("agent-{number}_session.md")), "## User\nhello\n").unwrap();
        }
    }
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let mut dry = Options::default();
    (dry.dry_run, dry.memory) = (true, MEMORY_ASKED_FOR);
    let would_import = taken_by(folder.path(), &store, &dry, files).await;
    let mut again = Options::default();
    (again.verify, again.memory) = (true, MEMORY_ASKED_FOR);
    taken_by(folder.path(), &store, &again, files).await;
    [would_import, taken_by(folder.path(), &store, &again, files).await]
}

async fn taken_by(folder: &Path, store: &Store, options: &Options, files: usize) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let report = migrate(folder, store, options, &NoProgress).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.totals.files as usize, files + files.div_ceil(10));
    MEMORY.peak_usage() - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_remembers_next_to_nothing_of_each_file() {
    // What is allocated once for all.
    taken(100).await;
    for files in [1_000, 4_000] {
        let most = BYTES_UNDER_WAY + BYTES_PER_FILE * files;
        for (which, bytes) in ["one that would import", "one that finds all"].into_iter().zip(taken(files).await) {
            println!("{which}: {bytes} bytes for {files} files");
            assert!(bytes < most, "{which} takes {bytes} bytes for {files} files, and may take {most}");
        }
    }
}
