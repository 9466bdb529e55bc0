//! Stores records and logs in a folder that people can read.
//!
//! Documents are JSON files, logs are JSON lines, sealed logs are JSON lines under zstd. A commit is one checksummed
//! append to a journal and one flush; the files follow a moment later. Any number of processes on one machine may have
//! the folder open and write to it. `docs/format/fs.md` shows every byte.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> nofx_core::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! use nofx_core::entity::Agent;
//! use nofx_core::{Expect, Store};
//! use nofx_fs::FsBackend;
//!
//! let backend = FsBackend::open(&dir.path().join("store")).await?;
//! let store = Store::new(std::sync::Arc::new(backend));
//! store.save(&Agent::new("ada", "Ada", "backend-specialist"), Expect::Absent).await?;
//! store.close().await?;
//! assert!(dir.path().join("store/agents/ada.json").exists());
//! # Ok(()) }
//! ```
//!
//! - [`FsBackend`] is a handle on a store; all handles of a process on one folder share everything.
//! - [`Options`] says how long to wait for other processes and how soon the files follow.
//!
//! What it does not do: work in folders that are shared over a network or synced between machines, where locks do not
//! work. It detects if two processes wrote at the same time, and then refuses to continue.

mod apply;
mod archive;
mod catalog;
mod check;
mod commit;
mod config;
mod document;
mod foreign_file;
mod index;
mod item_file;
mod judge;
mod layout;
mod lines;
mod load;
mod options;
mod read;
mod reader;
mod rebuild;
mod registry;
mod repair;
mod state;
mod store;
mod stray;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, Error, Limits, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Repaired, Result, ScanQuery, Sharing, blocking, reading,
};

pub use check::{Finding, Severity};
pub use options::Options;
use store::OpenFolder;
use tokio::sync::Semaphore;

/// The limits of this backend.
const LIMITS: Limits = Limits::GUARANTEED;

/// More commits than one handle will ever have in progress.
const ALL_COMMITS: u32 = 1 << 28;

/// A store in a folder.
#[derive(Debug)]
pub struct FsBackend {
    info: BackendInfo,
    /// `None` once this handle is closed.
    shared: Mutex<Option<Arc<OpenFolder>>>,
    /// Each waiting commit holds one permit; closing takes them all.
    waiting: Arc<Semaphore>,
}

impl FsBackend {
    /// Opens the store in a folder with the default [`Options`], and creates both if necessary.
    ///
    /// `Invalid` if the folder holds something else, which is left as it is.
    pub async fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default()).await
    }

    /// Opens the store in a folder. The options apply only if this process has no other handle on it.
    pub async fn open_with(path: &Path, options: Options) -> Result<Self> {
        let path = path.to_owned();
        Ok(Self::of(blocking(move || registry::open(&path, options)).await?))
    }

    fn of(shared: Arc<OpenFolder>) -> Self {
        let info = BackendInfo {
            backend: "fs",
            store: shared.store,
            sharing: Sharing::Machine,
            durability: Durability::Disk,
            limits: LIMITS,
            read_only: shared.read_only.as_ref().map(|read_only| read_only.reason.clone()),
        };
        Self { info, shared: Mutex::new(Some(shared)), waiting: Arc::new(Semaphore::new(ALL_COMMITS as usize)) }
    }

    /// Reads everything, and lists what is damaged, missing or unexpected. Changes nothing.
    ///
    /// Takes no lock and waits for no other process: an apparent problem is checked again if another process was
    /// writing.
    pub async fn check(&self) -> Result<Vec<Finding>> {
        let shared = self.shared()?;
        blocking(move || shared.check()).await
    }

    /// Repairs the store in a folder, and returns what was done. Call it while no other program has the store open.
    ///
    /// Derived files are rebuilt, and intact files that are not listed are listed again. Anything in the way is moved
    /// to the folder `damaged` inside the store; nothing is deleted or overwritten. A record with a missing or damaged
    /// file stays listed, since its file may still arrive; a log keeps its positions. [`check`](Self::check) continues
    /// to report both.
    ///
    /// Groups of the journal that cannot be recovered are only given up if `gives_up` is set; otherwise they are
    /// reported as losses.
    pub async fn repair(path: &Path, options: Options, gives_up: bool) -> Result<Repaired> {
        let path = path.to_owned();
        blocking(move || registry::repair(&path, options, gives_up)).await
    }

    fn shared(&self) -> Result<Arc<OpenFolder>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)
    }
}

#[async_trait]
impl PersistenceBackend for FsBackend {
    fn info(&self) -> BackendInfo {
        self.info.clone()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let (shared, keys) = (self.shared()?, keys.to_vec());
        reading(move || shared.get(&keys)).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        let (shared, query) = (self.shared()?, query.clone());
        reading(move || shared.scan(&query)).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let (shared, logs) = (self.shared()?, logs.to_vec());
        reading(move || shared.heads(&logs)).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        let (shared, query) = (self.shared()?, query.clone());
        reading(move || shared.logs(&query)).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let (shared, query) = (self.shared()?, query.clone());
        reading(move || shared.read(&query)).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let (shared, after) = (self.shared()?, after.cloned());
        reading(move || shared.changes(after.as_ref(), limit)).await
    }

    /// Blocks the polling thread for the disk, as the contract allows, but not for other commits.
    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let shared = self.shared()?;
        match shared.try_commit(group) {
            Ok(done) => done,
            Err(group) => {
                // Without waiting: a caller that stops waiting must not take the group along.
                let waits = self.waiting.clone().try_acquire_owned().map_err(|_| Error::Closed)?;
                blocking(move || {
                    let done = shared.commit(group);
                    drop(waits);
                    done
                })
                .await
            }
        }
    }

    async fn close(&self) -> Result<()> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(shared) = shared else { return Ok(()) };
        if let Ok(all) = self.waiting.acquire_many(ALL_COMMITS).await {
            all.forget();
        }
        self.waiting.close();
        blocking(move || {
            // Waits for a commit in progress. The last handle also waits for the files if something was committed.
            shared.opened_writer().into_iter().for_each(|writer| drop(writer.turn()));
            registry::let_go(shared);
            Ok(())
        })
        .await
    }
}
