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
//! - [`RedbBackend`] is a handle on a store; its trait [`PersistenceBackend`] says what it promises.
//! - [`Options`] say how a store is opened, and its [`Probe`] lets tests count and break what happens to the file.
//!
//! # What to expect
//!
//! - A group of batches is one transaction, flushed twice. An append writes the same few pages whether the log has one entry
//!   or a hundred thousand.
//! - Entries are rows while they are few and are then *folded*: taken together and compressed, in a commit that brings many,
//!   at idle, at seal and at close. Text of conversations ends at about a quarter of its size.
//! - One process writes at a time. It takes that role when it has something to commit, and gives it back at once when
//!   another process waits, or after [`Options::idle`]. Who waits longer than [`Options::lock_wait`] is told who has the role.
//!   Any process reads at any time and sees everything that was acknowledged; it writes nothing and keeps nobody from anything.
//! - Two threads of a process read, for all its stores, so that its memory stays near that of its cache.
//! - What was removed is given back to the file system when the process that removed it is idle, once a sixth of the file is free, or
//!   by [`RedbBackend::give_back`]; commits wait while pages move.
//! - A process that is killed leaves a file that is read as it is, and that the next one to commit repairs by reading all of it; a file
//!   that was idle before needs no repair.
//! - A store that is made with [`Options::journal`] commits by one append to a journal beside the file and one flush of that, and the file follows in the background. It is off by
//!   default: the store is then two things to copy, and versions of this program before this one do not read it. Opening finds out which kind of store there is.
//! - Each page that comes from the file is compared with its checksum. A damaged one hides what is on it, which is told as damaged, and
//!   nothing else.
//!
//! Beside `nofx.redb` there may be `nofx.redb.lock`, by which processes queue, and after an interrupted creation
//! `nofx.redb.new`. Both may be removed when no process has the store open. A folder `nofx.redb-journal` is a part of the store: it is moved, copied
//! and removed with the file.
//!
//! # What it does not do
//!
//! It does not encrypt, does not work on network file systems that have no byte-range locks, and does not join the files of
//! several machines.

mod behind;
mod bundle;
mod check;
mod chunk;
mod codec;
mod commit;
mod dictionary;
mod door;
mod fault;
mod feed;
mod header;
mod mend;
mod options;
mod pack;
mod packing;
mod pages;
mod place;
mod pool;
mod publish;
mod read;
mod readers;
mod rebuild;
mod repair;
mod role;
mod storage;
mod store;
mod tables;

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
use store::{ReadOnly, Shared};
use tables::{CHUNKS, LOGS, RECORDS, ReadTable, Tables};

/// Lays the store in a file down in a new file, which takes its place: in it every page is full and nothing is free, as
/// [`RedbBackend::compact`] does it in place for smaller files. Takes the time of reading the file and writing another one, and memory for
/// each page of the new file, of which there are fewer.
///
/// Commits of other processes wait as for [`RedbBackend::compact`], and a handle that is open finds the store
/// [`Replaced`](Error::Replaced) afterwards, in this process too: it is for a store that was just filled. `Corrupt` where a page is
/// damaged; after a failure the store is as it was.
pub async fn pack(path: &Path) -> Result<()> {
    let path = path.to_owned();
    blocking(move || pack::pack(&path)).await
}

/// Gives a store that is complete another name, where nothing has that yet: what is made elsewhere is then found whole or not at all. Returns
/// whether it was given; otherwise the store stays as it is.
///
/// Both names must be on one file system. A store with a journal is brought up to date first and begins an empty one beside its new name, so that
/// file and journal are never found apart. No process may have the store open; handles of this one must be closed.
///
/// `Corrupt` if at the new name there is the journal of a store whose file is gone. Otherwise fails as [`RedbBackend::open_with`] does.
pub async fn publish(made: &Path, path: &Path) -> Result<bool> {
    let (made, path) = (made.to_owned(), path.to_owned());
    blocking(move || publish::publish(&made, &path)).await
}

/// A handle on a store in one redb file.
///
/// Handles that a process has on one file share everything below them. [`close`](PersistenceBackend::close) on the last of
/// them folds what this process left in rows, and does nothing if it wrote nothing; dropping it just lets go.
#[derive(Debug)]
pub struct RedbBackend {
    shared: Arc<Shared>,
    read_only: Option<ReadOnly>,
    /// What it goes through, if the store commits to a journal.
    journaled: Option<Journaled>,
    closed: AtomicBool,
}

impl RedbBackend {
    /// Opens the store in a file, making it if there is none, with the default [`Options`].
    ///
    /// Fails as [`open_with`](Self::open_with) does.
    pub async fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default()).await
    }

    /// Opens the store in a file. The folders above a new one are made too; all of it is for its owner only.
    ///
    /// What goes wrong names the file:
    ///
    /// - `Invalid`: there is no store and none may be made; or what is there is a folder, empty, another program's, or of a
    ///   format that this version does not read. It is left as it is.
    /// - `TooNew`: a newer version wrote the file so that this one cannot even read it. Where it can, the handle only reads
    ///   and [`commit`](PersistenceBackend::commit) answers `TooNew`.
    /// - `Corrupt`: redb or the description of the store is damaged, or a journal is there whose file is gone.
    /// - `Locked`: a program has the file open that shares it with nobody, for longer than [`Options::lock_wait`].
    /// - `Full`: there is no room for a new store.
    /// - `Unavailable`: anything else, such as a missing permission.
    ///
    /// A store that exists is not written to. A file that cannot be written is opened for reading, and [`info`](PersistenceBackend::info) says why.
    pub async fn open_with(path: &Path, options: Options) -> Result<Self> {
        let path = path.to_owned();
        blocking(move || {
            let only_reads = options.read_only;
            let shared = Shared::open(&path, options)?;
            let asked = || ReadOnly {
                reason: "it was opened for reading only".to_owned(),
                error: Error::invalid(format!("`{}` was opened for reading only", shared.door.path.display())),
            };
            let read_only = match &shared.read_only {
                Some(read_only) => Some(read_only.clone()),
                None if only_reads => Some(asked()),
                None => shared.unlockable(),
            };
            shared.handles.fetch_add(1, Ordering::SeqCst);
            let info = info(&shared, read_only.as_ref());
            let journaled = shared.has_journal.then(|| Journaled::new(behind::engine(&shared), info));
            Ok(Self { shared, read_only, journaled, closed: AtomicBool::new(false) })
        })
        .await
    }

    /// Folds every log and makes the file small, for instance after a migration. A file of up to 8 MiB is also compressed as densely
    /// as it can be. A journal is laid down in the file first, and is small afterwards.
    ///
    /// Costs the reading and writing of what is not folded yet, and of each page that moves: at most the whole file.
    /// Commits wait for it, and reads wait while pages move; those of other processes at most as long as
    /// [`Options::lock_wait`], then they are `Locked`. Fails with `Locked` if another process writes, or reads without
    /// end. After an interruption the store is as it was.
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

    /// Gives free pages back to the file system, for instance after much was removed. `compact` does that and more.
    ///
    /// Costs reading the file twice, and moving the pages behind the gaps. Otherwise as [`compact`](Self::compact).
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

    /// Returns whether [`compact`](Self::compact) was done before, however much was written since. A migration that goes on where it was
    /// interrupted asks this; also `true` if the file is so large that it would not be laid down anew.
    pub async fn was_compacted(&self) -> Result<bool> {
        let is_large = self.open_shared()?.is_too_large_to_rebuild();
        self.read(move |tables| {
            tables.need(&[CHUNKS], || None)?;
            Ok(is_large || bundle::is_any(&tables.chunks)?)
        })
        .await
    }

    /// Reads every page of the store's tables and returns those that are damaged. Changes nothing.
    ///
    /// What only a damaged page leads to is not reached. Values have checksums of their own; reading them names those that are damaged.
    pub async fn check(&self) -> Result<Vec<DamagedPage>> {
        let shared = self.open_shared()?;
        blocking(move || {
            let damaged = shared.damaged_pages().map_err(|fault| shared.door.told(fault, "reading"))?;
            Ok(damaged.into_iter().collect())
        })
        .await
    }

    /// Brings the file into order after a crash, and has redb check and repair every page of its own structures. Returns
    /// whether they had to be repaired.
    ///
    /// Reads the whole file. Values and pages of the store's tables that are damaged stay as they are: reading names them, and nothing is
    /// made up for them. `Corrupt` if redb's own pages are beyond repair; they are then left as they are.
    pub async fn repair(&self) -> Result<bool> {
        let shared = self.open_shared()?;
        if let Some(read_only) = &self.read_only {
            return Err(read_only.error.clone());
        }
        blocking(move || shared.repair()).await
    }

    /// Says what of the store's journal cannot be read beyond the file, if something cannot. `None` for a store without a journal.
    ///
    /// What it may have been about is `Corrupt`, and nothing is committed before it is repaired; everything else is read.
    pub async fn journal_damage(&self) -> Result<Option<String>> {
        self.open_shared()?;
        self.read_behind(Follower::damage).await.unwrap_or(Ok(None))
    }

    /// Lets the journal go on behind what cannot be read of it; does nothing where all can be read, or where there is no journal.
    ///
    /// The file takes in every commit that can be read. Where others would be lost, this only says so in [`losses`](Repaired::losses), unless
    /// it may give them up: close other programs first that have the store open, which may still bring them to the file. What is damaged
    /// is kept as `damaged-<n>-…` in the folder of the journal.
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

    fn open_shared(&self) -> Result<Arc<Shared>> {
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

    /// Runs a read of a store behind a journal, likewise; `None` if there is none.
    async fn read_behind<T: Send + 'static>(
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

/// Brings a file up to date with its journal, if it has one, and makes that small.
fn settle_journal(engine: Option<&Engine>) -> Result<()> {
    engine.map_or(Ok(()), |engine| engine.complete().and_then(|()| engine.shrink()))
}

fn info(shared: &Shared, read_only: Option<&ReadOnly>) -> BackendInfo {
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
        if let Some(found) = self.read_behind(move |follower| follower.get(&asked)).await {
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
        if let Some(found) = self.read_behind(move |follower| follower.scan(&asked)).await {
            return found;
        }
        self.read(move |tables| read::scan(tables, &query)).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let logs: Arc<[_]> = logs.into();
        let asked = logs.clone();
        if let Some(found) = self.read_behind(move |follower| follower.heads(&asked)).await {
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
        if let Some(found) = self.read_behind(move |follower| follower.logs(&asked)).await {
            return found;
        }
        self.read(move |tables| read::logs(tables, &query)).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.open_shared()?;
        query.validate()?;
        let (query, asked) = (query.clone(), query.clone());
        if let Some(found) = self.read_behind(move |follower| follower.read(&asked)).await {
            return found;
        }
        self.read(move |tables| read::entries(tables, &query)).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let shared = self.open_shared()?;
        let (store, asked) = (shared.meta.store, after.cloned());
        if let Some(found) = self.read_behind(move |follower| follower.changes(asked.as_ref(), limit)).await {
            return found;
        }
        let from = after.map_or(Ok(Some(0)), |cursor| feed::parse_cursor(store, cursor))?;
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
