//! Keeps a NofX store in one [redb](https://docs.rs/redb) file: embedded, transactional, shared by the processes of a machine.
//!
//! ```
//! use nofx_core::{Batch, Body, Expect, Kind, PersistenceBackend, RecordKey, Sources};
//! use nofx_redb::RedbBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> nofx_core::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! let store = RedbBackend::open(&folder.path().join("nofx.redb")).await?;
//!
//! let key = RecordKey::new(Kind::of("agent"), "7f3a")?;
//! let batch = Batch::new(Sources::default().batch_id());
//! let batch = batch.put(key.clone(), Expect::Absent, Body::parse(r#"{ "name": "Ada" }"#)?);
//! store.commit(vec![batch]).await?;
//!
//! let found = store.get(&[key]).await?;
//! assert_eq!(found[0].as_ref().unwrap().body.as_str(), r#"{"name":"Ada"}"#);
//! store.close().await?;
//! # Ok(()) }
//! ```
//!
//! - [`RedbBackend`] is a handle on a store; its trait [`PersistenceBackend`] says what it guarantees.
//! - [`Options`] say how a store is opened; with a [`Probe`] tests count accesses to the file and make them fail.
//!
//! # What to expect
//!
//! - A group of batches is one transaction with two flushes, or in a store with a journal one append with one flush.
//!   Adding to a log writes the same few pages whether it has one entry or a hundred thousand.
//! - Entries are rows while there are few of them. They are then *folded*, which means stored together and compressed:
//!   in a commit that brings many, at idle, at seal and at close. Conversations shrink to about a quarter of their
//!   size.
//! - One process writes at a time. It takes that role when it has something to commit, and gives it back as soon as
//!   another process waits for it, or after [`Options::idle`]. A process that waits longer than [`Options::lock_wait`]
//!   gets an error that names the holder. Any process reads at any time and sees everything that was acknowledged.
//!   Readers write nothing and block no other process.
//! - A process reads with two threads, for all its stores, so that its memory stays near the size of its cache.
//! - Free space goes back to the file system when the process that removed data is idle, once a sixth of the file is
//!   free, or by [`RedbBackend::give_back`]; commits wait while pages move.
//! - A process that is killed leaves a file that can be read as it is. The next process to commit repairs it, for which
//!   it reads all of it. A file that was idle at the time needs no repair.
//! - A store created with [`Options::journal`] commits by one append to a journal beside the file and one flush of it;
//!   the file follows in the background. This is off by default in this crate; the facade `nofx` turns it on. Such a
//!   store is a file and a folder, to be copied together. Opening detects which kind of store it is.
//! - Each page read from the file is compared with its checksum. A damaged page hides only what is on it, and reading
//!   that reports the damage.
//!
//! Beside `nofx.redb` there may be `nofx.redb.lock`, with which processes queue, and after an interrupted creation or
//! [`pack()`] `nofx.redb.new`. Both may be removed while no process has the store open. A folder `nofx.redb-journal` is
//! part of the store: move, copy and remove it together with the file.
//!
//! # What it does not do
//!
//! It does not encrypt, does not work on network file systems without byte-range locks, and does not merge the files of
//! several machines.

mod base;
mod bundle;
mod check;
mod chunk;
mod codec;
mod commit;
mod compaction;
mod compression;
mod dictionary;
mod fault;
mod feed;
mod file;
mod header;
mod mend;
mod opener;
mod options;
mod pack;
mod pages;
mod pool;
mod publish;
mod read;
mod readers;
mod repair;
mod storage;
mod store;
mod tables;
mod writer_role;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, Error, Limits, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Repaired, Result, ScanQuery, Sharing, blocking,
};

use nofx_journal::follower::Follower;
use nofx_journal::{Engine, Journaled};

pub use check::DamagedPage;
use fault::Attempt;
pub use options::{Access, Options, Probe};
use store::{OpenStore, ReadOnlyReason};
use tables::{CHUNKS, LOGS, RECORDS, ReadTable, Tables};

/// Rewrites a store into a new file in which every page is full and none is free, and replaces the old file with it.
/// [`RedbBackend::compact`] does the same in place for smaller files. Takes the time to read the file and write
/// another, and memory for each page of the new file, which has fewer pages.
///
/// Commits of other processes wait as for [`RedbBackend::compact`], and open handles find the store
/// [`Replaced`](Error::Replaced) afterwards, in this process too: this is for a store that was just filled. `Corrupt`
/// if a page is damaged. After a failure the store is unchanged.
pub async fn pack(path: &Path) -> Result<()> {
    let path = path.to_owned();
    blocking(move || pack::pack(&path)).await
}

/// Makes a store of format 1, which was created without a journal, one of format 2, which commits to a journal. Returns
/// whether it did; `false` if the store has the newest format.
///
/// Rewrites the file as [`pack`] does. Handles that are open find the store [`Replaced`](Error::Replaced) afterwards, in
/// this process and others; a build that knows format 1 only refuses it. `Corrupt` if a page is damaged, or if the
/// journal of another store lies beside the file. After a failure the store is unchanged.
pub async fn upgrade(path: &Path) -> Result<bool> {
    let path = path.to_owned();
    blocking(move || pack::upgrade(&path)).await
}

/// Renames a complete store, unless the new name is taken, so that a store built elsewhere appears whole or not at all.
/// Returns whether it was renamed; otherwise the store stays where it is.
///
/// Both names must be on one file system. A store with a journal is first brought up to date, and its next commit
/// starts a journal beside the new name, so that file and journal are never found apart. No other process may have the
/// store open, and this process must have closed its handles.
///
/// `Corrupt` if the new name has the journal of a store whose file is gone. Otherwise fails as
/// [`RedbBackend::open_with`] does.
pub async fn publish(made: &Path, path: &Path) -> Result<bool> {
    let (made, path) = (made.to_owned(), path.to_owned());
    blocking(move || publish::publish(&made, &path)).await
}

/// A handle on a store in one redb file.
///
/// All handles of a process on the same file share what is below them. [`close`](PersistenceBackend::close) on the last
/// one folds what this process left in rows, and does nothing if the process wrote nothing. Dropping a handle only
/// releases it.
#[derive(Debug)]
pub struct RedbBackend {
    shared: Arc<OpenStore>,
    read_only: Option<ReadOnlyReason>,
    /// The way to the journal, if the store commits to one.
    journaled: Option<Journaled>,
    closed: AtomicBool,
}

impl RedbBackend {
    /// Opens the store in a file with the default [`Options`], and creates it if it does not exist.
    ///
    /// Fails as [`open_with`](Self::open_with) does.
    pub async fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default()).await
    }

    /// Opens the store in a file. Creates it and the folders above it if necessary, all accessible to their owner only.
    ///
    /// Errors name the file:
    ///
    /// - `Invalid`: there is no store and none may be created; or the path leads to a folder, an empty file, another
    ///   program's file, or a format that this version does not read. Nothing there is changed.
    /// - `TooNew`: a newer version wrote the file in a way that this one cannot even read. If this one can read
    ///   it, the handle is read-only and [`commit`](PersistenceBackend::commit) returns `TooNew`.
    /// - `Corrupt`: redb's structures or the description of the store are damaged, or there is a journal whose file is
    ///   gone.
    /// - `Locked`: another program has the file open exclusively, for longer than [`Options::lock_wait`].
    /// - `Full`: there is no room for a new store.
    /// - `Unavailable`: anything else, such as a missing permission.
    ///
    /// An existing store is not written to. If the file cannot be written, it is opened for reading and
    /// [`info`](PersistenceBackend::info) says why.
    pub async fn open_with(path: &Path, options: Options) -> Result<Self> {
        let path = path.to_owned();
        blocking(move || {
            let only_reads = options.read_only;
            let shared = OpenStore::open(&path, options)?;
            let asked = || ReadOnlyReason {
                reason: "it was opened for reading only".to_owned(),
                error: Error::invalid(format!("`{}` was opened for reading only", shared.opener.path.display())),
            };
            let read_only = match &shared.read_only {
                Some(read_only) => Some(read_only.clone()),
                None if only_reads => Some(asked()),
                None => shared.unlockable(),
            };
            shared.handles.fetch_add(1, Ordering::SeqCst);
            let info = info(&shared, read_only.as_ref());
            let journaled = shared.has_journal.then(|| Journaled::new(base::engine(&shared), info));
            Ok(Self { shared, read_only, journaled, closed: AtomicBool::new(false) })
        })
        .await
    }

    /// Folds every log and makes the file small, for instance after a migration. A file of up to 8 MiB is also
    /// compressed as densely as possible. The journal is first written to the file, and is small afterwards.
    ///
    /// Reads and writes everything that is not folded yet and each page that moves: at most the whole file. Commits
    /// wait for it, and reads wait while pages move. Those of other processes wait at most [`Options::lock_wait`] and
    /// then return `Locked`. Fails with `Locked` if another process writes, or reads without end. If it is interrupted,
    /// the store is unchanged.
    pub async fn compact(&self) -> Result<()> {
        let shared = self.open_shared()?;
        if let Some(read_only) = &self.read_only {
            return Err(read_only.error.clone());
        }
        let engine = self.journaled.as_ref().map(Journaled::engine).transpose()?;
        blocking(move || {
            settle_journal(engine.as_deref())?;
            shared.compact()
        })
        .await
    }

    /// Returns free pages to the file system, for instance after much was removed. `compact` does that and more.
    ///
    /// Reads the file twice and moves the pages after the gaps. Otherwise as [`compact`](Self::compact).
    pub async fn give_back(&self) -> Result<()> {
        let shared = self.open_shared()?;
        if let Some(read_only) = &self.read_only {
            return Err(read_only.error.clone());
        }
        let engine = self.journaled.as_ref().map(Journaled::engine).transpose()?;
        blocking(move || {
            settle_journal(engine.as_deref())?;
            shared.give_back()
        })
        .await
    }

    /// Returns whether the store was ever [compacted](Self::compact), however much was written since. A resumed
    /// migration asks this. Also `true` if the file is too large to be rewritten.
    pub async fn was_compacted(&self) -> Result<bool> {
        let is_large = self.open_shared()?.is_too_large_to_rewrite();
        self.read(move |tables| {
            tables.need(&[CHUNKS], || None)?;
            Ok(is_large || bundle::is_any(&tables.chunks)?)
        })
        .await
    }

    /// Reads every page of the store's tables and returns the damaged ones. Changes nothing.
    ///
    /// Pages that only a damaged page leads to are not reached. Values have checksums of their own; reading them
    /// reports which are damaged.
    pub async fn check(&self) -> Result<Vec<DamagedPage>> {
        let shared = self.open_shared()?;
        blocking(move || {
            let damaged = shared.damaged_pages().map_err(|fault| shared.opener.error_for(fault, "reading"))?;
            Ok(damaged.into_iter().collect())
        })
        .await
    }

    /// Brings the file into a clean state after a crash, and has redb check and repair every page of its own structures.
    /// Returns whether they needed repair.
    ///
    /// Reads the whole file. Damaged values and damaged pages of the store's tables stay as they are: reading reports
    /// them, and nothing is invented in their place. `Corrupt` if redb's own pages are beyond repair; they then stay
    /// unchanged.
    pub async fn repair(&self) -> Result<bool> {
        let shared = self.open_shared()?;
        if let Some(read_only) = &self.read_only {
            return Err(read_only.error.clone());
        }
        blocking(move || shared.repair()).await
    }

    /// Returns what part of the journal cannot be read beyond the file, if any. `None` for a store without a journal.
    ///
    /// Whatever that part may concern is `Corrupt`, and nothing can be committed before it is repaired. Everything else
    /// can be read.
    pub async fn journal_damage(&self) -> Result<Option<String>> {
        self.open_shared()?;
        self.read_with_journal(Follower::damage).await.unwrap_or(Ok(None))
    }

    /// Lets the journal continue after a part that cannot be read. Does nothing if all of it can be read, or if there
    /// is no journal.
    ///
    /// The file takes in every commit that can be read. If others would be lost, this only reports them in
    /// [`losses`](Repaired::losses) unless `gives_up` is set: close other programs first that have the store open,
    /// because they may still have those commits and apply them. The damaged part is kept as `damaged-<n>-…` in the
    /// journal's folder.
    pub async fn repair_journal(&self, gives_up: bool) -> Result<Repaired> {
        self.open_shared()?;
        if let Some(read_only) = &self.read_only {
            return Err(read_only.error.clone());
        }
        let Some(engine) = self.journaled.as_ref().map(Journaled::engine).transpose()? else {
            return Ok(Repaired::default());
        };
        blocking(move || engine.repair(gives_up)).await
    }

    fn open_shared(&self) -> Result<Arc<OpenStore>> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        Ok(self.shared.clone())
    }

    /// Runs a read off the runtime's own threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Tables<ReadTable>) -> Attempt<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.open_shared()?;
        readers::read(Arc::as_ptr(&shared) as usize, move || shared.reading(read)).await
    }

    /// Runs a read of a store with a journal, likewise; `None` if there is no journal.
    async fn read_with_journal<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Follower) -> Result<T> + Send + 'static,
    ) -> Option<Result<T>> {
        let engine = match self.journaled.as_ref()?.engine() {
            Ok(engine) => engine,
            Err(error) => return Some(Err(error)),
        };
        let store = Arc::as_ptr(&self.shared) as usize;
        Some(readers::read(store, move || read(engine.follower())).await)
    }
}

/// Brings a file up to date with its journal, if it has one, and shrinks the journal.
fn settle_journal(engine: Option<&Engine>) -> Result<()> {
    engine.map_or(Ok(()), |engine| engine.complete().and_then(|()| engine.shrink()))
}

fn info(shared: &OpenStore, read_only: Option<&ReadOnlyReason>) -> BackendInfo {
    BackendInfo {
        backend: "redb",
        store: shared.meta.store,
        sharing: Sharing::Machine,
        durability: Durability::Disk,
        limits: Limits::GUARANTEED,
        read_only: read_only.map(|read_only| read_only.reason.clone()),
    }
}

#[async_trait]
impl PersistenceBackend for RedbBackend {
    fn info(&self) -> BackendInfo {
        info(&self.shared, self.read_only.as_ref())
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let keys: Arc<[_]> = keys.into();
        let asked = keys.clone();
        if let Some(found) = self.read_with_journal(move |follower| follower.get(&asked)).await {
            return found;
        }
        self.read(move |tables| {
            let record = |key: &RecordKey| {
                tables.need(&[RECORDS, CHUNKS], || Some(key.to_string()))?;
                let record = read::record(tables, key);
                tables.trust.require(|| key.to_string()).and(record)
            };
            keys.iter().map(record).collect()
        })
        .await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.open_shared()?;
        query.validate()?;
        let (query, asked) = (query.clone(), query.clone());
        if let Some(found) = self.read_with_journal(move |follower| follower.scan(&asked)).await {
            return found;
        }
        self.read(move |tables| read::scan(tables, &query)).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let logs: Arc<[_]> = logs.into();
        let asked = logs.clone();
        if let Some(found) = self.read_with_journal(move |follower| follower.heads(&asked)).await {
            return found;
        }
        self.read(move |tables| {
            let head = |log: &LogKey| {
                tables.need(&[LOGS], || Some(format!("log {log}")))?;
                let head = read::head(&tables.logs, log);
                Ok(tables.trust.require(|| format!("log {log}")).and(head)?.public(log.clone()))
            };
            logs.iter().map(head).collect()
        })
        .await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.open_shared()?;
        query.validate()?;
        let (query, asked) = (query.clone(), query.clone());
        if let Some(found) = self.read_with_journal(move |follower| follower.logs(&asked)).await {
            return found;
        }
        self.read(move |tables| read::logs(tables, &query)).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.open_shared()?;
        query.validate()?;
        let (query, asked) = (query.clone(), query.clone());
        if let Some(found) = self.read_with_journal(move |follower| follower.read(&asked)).await {
            return found;
        }
        self.read(move |tables| read::entries(tables, &query)).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let shared = self.open_shared()?;
        let (store, asked) = (shared.meta.store, after.cloned());
        if let Some(found) = self.read_with_journal(move |follower| follower.changes(asked.as_ref(), limit)).await {
            return found;
        }
        let from = after.map_or(Ok(Some(0)), |cursor| cursor.commits_of(store))?;
        self.read(move |tables| tables.changes(store, from, limit)).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let shared = self.open_shared()?;
        group.iter().try_for_each(|batch| batch.validate(&Limits::GUARANTEED))?;
        if group.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(read_only) = &self.read_only {
            return Err(read_only.error.clone());
        }
        match &self.journaled {
            Some(journaled) => journaled.commit(group).await,
            None => shared.commit(group, &self.closed),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        if let Some(journaled) = &self.journaled {
            journaled.close().await?;
        }
        let shared = self.shared.clone();
        let last = shared.handles.fetch_sub(1, Ordering::SeqCst) == 1;
        blocking(move || {
            match last {
                true => shared.let_go(),
                false => shared.wait_for_commits(),
            }
            Ok(())
        })
        .await
    }
}

impl Drop for RedbBackend {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::SeqCst) {
            self.shared.handles.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
