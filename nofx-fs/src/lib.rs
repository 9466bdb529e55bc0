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
mod base;
mod catalog;
mod changes;
mod check;
mod config;
mod document;
mod foreign_file;
mod index;
mod item_file;
mod known;
mod layout;
mod lines;
mod listed;
mod options;
mod read;
mod rebuild;
mod registry;
mod repair;
mod store;
mod stray;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, Error, Limits, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Repaired, Result, ScanQuery, Sharing, blocking,
};
use nofx_journal::Journaled;

pub use check::{Finding, Severity};
pub use options::Options;
use store::OpenFolder;

/// The limits of this backend.
const LIMITS: Limits = Limits::GUARANTEED;

/// A store in a folder.
#[derive(Debug)]
pub struct FsBackend {
    journaled: Journaled,
    /// `None` once this handle is closed.
    shared: Mutex<Option<Arc<OpenFolder>>>,
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
        Self { journaled: Journaled::new(shared.engine.clone(), info), shared: Mutex::new(Some(shared)) }
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
        self.journaled.info()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.journaled.get(keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.journaled.scan(query).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.journaled.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.journaled.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.journaled.read(query).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.journaled.changes(after, limit).await
    }

    /// Blocks the polling thread for the disk, as the contract allows, but not for other commits.
    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.journaled.commit(group).await
    }

    async fn close(&self) -> Result<()> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(shared) = shared else { return Ok(()) };
        self.journaled.close().await?;
        blocking(move || {
            registry::let_go(shared);
            Ok(())
        })
        .await
    }
}
