//! The object that all handles of a process on one file share: what is open, and the turn to write.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use nofx_core::{BackendInfo, BatchId, Deadline, Error, Result};
use nofx_journal::Engine;

use crate::base;
use crate::fault::{Attempt, Fault, contain};
use crate::feed::Ids;
use crate::file::{self, Identity};
use crate::opener::{FileHandle, FileReader, FileWriter, Opener};
use crate::options::Options;
use crate::storage::Refused;
use crate::tables::{FORMAT, FORMAT_WITH_JOURNAL, Meta, ReadTable, Tables};

/// A store that is open in this process.
#[derive(Debug)]
pub(crate) struct OpenStore {
    pub(crate) opener: Opener,
    pub(crate) meta: Meta,
    /// Whether it commits to a journal beside the file, which is decided when it is created.
    pub(crate) has_journal: bool,
    /// Why this process cannot write, if so.
    pub(crate) read_only: Option<ReadOnlyReason>,
    /// The number of handles that are not closed.
    pub(crate) handles: AtomicUsize,
    /// The number of commits that wait for their turn.
    pub(crate) waiting: AtomicUsize,
    /// Whether a damaged page was met, so that reads no longer share the writer's handle.
    pub(crate) is_damaged: AtomicBool,
    /// The newest commit that must be in the file: its number and batch. This process made it, or read it from an open
    /// file.
    pub(crate) newest: Mutex<Option<(u64, BatchId)>>,
    pub(crate) turn: Mutex<WriterTurn>,
    pub(crate) opened: Mutex<OpenFiles>,
    /// The engine that commits to the journal and reads beyond the file, while a handle uses it.
    pub(crate) engine: Mutex<Weak<Engine>>,
}

/// Why a handle only reads: as text, and as the error of a commit.
#[derive(Clone, Debug)]
pub(crate) struct ReadOnlyReason {
    pub(crate) reason: String,
    pub(crate) error: Error,
}

impl ReadOnlyReason {
    fn refused(path: &Path, error: io::Error) -> Self {
        let what = format!("`{}` cannot be written", path.display());
        Self { reason: format!("{what}: {error}"), error: Error::unavailable_because(what, error) }
    }
}

/// What belongs to the holder of the turn to write.
#[derive(Debug)]
pub(crate) struct WriterTurn {
    /// Runs from the last commit.
    pub(crate) idle: Deadline,
    /// Whether a keeper looks after the writer.
    pub(crate) kept: bool,
    /// What this process knows of the batches that a file remembers.
    pub(crate) ids: Ids,
    pub(crate) ids_of: Option<Identity>,
    /// Names of logs that this process left with rows.
    pub(crate) unfolded: BTreeSet<Vec<u8>>,
    /// Approximately how many bytes of the file this process freed since it last checked for gaps.
    pub(crate) freed: u64,
    /// The length of the file when this process last checked for gaps or closed them; 0 if it never did.
    pub(crate) looked_at: u64,
}

/// The open databases. The writer can do everything that the reader can.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    /// The file that was last found to be this store.
    pub(crate) known: Identity,
    pub(crate) writer: Option<FileWriter>,
    pub(crate) reader: Option<FileReader>,
}

/// Locks a mutex. The data in this crate's mutexes changes in single steps, so a panic leaves it consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Slot = Arc<Mutex<Weak<OpenStore>>>;

/// The stores that are open in this process, by the canonical path of their file.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Slot>>> = LazyLock::new(Mutex::default);

impl OpenStore {
    /// Opens a store, or shares the one that this process already has open.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Arc<Self>> {
        let creates = options.create && !options.read_only;
        let shown = path.display();
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidFilename if creates => {
                Error::invalid_because(format!("`{shown}` is not a valid file name here"), error)
            }
            _ if nofx_platform::is_missing(&error) => Error::no_store(&shown),
            _ => Error::unavailable_because(format!("opening `{shown}`"), error),
        };
        if creates {
            file::make_parents(path).map_err(cannot)?;
        }
        let path = file::canonical(path).map_err(cannot)?;
        let slot = lock(&OPEN).entry(path.clone()).or_default().clone();
        let mut slot = lock(&slot);
        if let Some(shared) = slot.upgrade()
            && shared.is_still_there()
        {
            return Ok(shared);
        }
        let shared = Arc::new(Self::open_file(Opener::new(path, options))?);
        *slot = Arc::downgrade(&shared);
        Ok(shared)
    }

    fn open_file(opener: Opener) -> Result<Self> {
        let Opener { path, options, .. } = &opener;
        let shown = format!("`{}`", path.display());
        let is_missing = || fs::metadata(path).is_err_and(|error| nofx_platform::is_missing(&error));
        if is_missing() && options.create && !options.read_only {
            opener.create().map_err(|fault| opener.error_for(fault, "creating"))?;
        } else if is_missing() {
            let orphan = base::refuse_orphan(path).err();
            // Another process may just have created it.
            if is_missing() {
                return Err(orphan.unwrap_or_else(|| Error::no_store(path.display())));
            }
        }
        file::recognise(path)?;
        let mut read_only = file::unwritable(path).map(|error| ReadOnlyReason::refused(path, error));
        let reader = opener.reader().map_err(|fault| opener.error_for(fault, "opening"))?;
        let meta = reader.meta.ok_or_else(|| opener.foreign())?;
        let Meta { format, readable_from, .. } = meta;
        if readable_from > FORMAT_WITH_JOURNAL {
            let newest = FORMAT_WITH_JOURNAL;
            return Err(Error::too_new(format!("{shown} has format {format}; this version reads up to {newest}")));
        }
        if readable_from < FORMAT {
            return Err(Error::invalid(format!("{shown} has format {format}, which this version does not read")));
        }
        // A store of either kind is written in exactly the format that a program must know to read it.
        let ours = readable_from;
        if format > ours {
            let newer = BackendInfo::NEWER_VERSION;
            let reason = format!("{shown} has format {format} of a {newer}; this one writes format {ours}");
            read_only = Some(ReadOnlyReason { error: Error::too_new(reason.clone()), reason });
        }
        let turn = WriterTurn {
            idle: Deadline::after(Duration::ZERO),
            kept: false,
            ids: Ids::default(),
            ids_of: None,
            unfolded: BTreeSet::new(),
            freed: 0,
            looked_at: 0,
        };
        let opened = OpenFiles { known: reader.identity, writer: None, reader: Some(reader) };
        Ok(Self {
            opener,
            meta,
            has_journal: readable_from == FORMAT_WITH_JOURNAL,
            read_only,
            handles: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            is_damaged: AtomicBool::new(false),
            newest: Mutex::new(None),
            turn: Mutex::new(turn),
            opened: Mutex::new(opened),
            engine: Mutex::default(),
        })
    }

    /// Returns whether the path still leads to the open file.
    fn is_still_there(&self) -> bool {
        Identity::at(&self.opener.path).is_ok_and(|now| lock(&self.opened).known == now)
    }

    /// Returns the open writer, if the path leads to its file now.
    pub(crate) fn open_writer(&self, now: Identity) -> Option<FileWriter> {
        lock(&self.opened).writer.clone().filter(|writer| writer.identity == now)
    }

    /// Returns what is open for reading, if the path leads to that file now; preferably the writer.
    fn open_source(&self, now: Identity) -> Option<FileHandle> {
        let writer = || self.open_writer(now).filter(|_| !self.is_damaged.load(Ordering::SeqCst));
        let reader = || lock(&self.opened).reader.clone().filter(|reader| reader.identity == now);
        let source = writer().map(FileHandle::Writer).or_else(|| reader().map(FileHandle::Reader));
        source.filter(|source| matches!(source, FileHandle::Writer(_)) || source.pages().are_usable())
    }

    /// Returns why a handle cannot write, if the lock file beside the store cannot be opened.
    pub(crate) fn unlockable(&self) -> Option<ReadOnlyReason> {
        let path = &self.opener.path;
        let refused = file::unlockable(path).or_else(|| base::unlockable(path).filter(|_| self.has_journal));
        refused.map(|error| ReadOnlyReason::refused(path, error))
    }

    /// Reads from the tables at a single point in time.
    pub(crate) fn reading<T>(&self, read: impl Fn(&Tables<ReadTable>) -> Attempt<T>) -> Result<T> {
        let mut attempt = self.try_reading(&read);
        if attempt.as_ref().is_err_and(Fault::is_stale) {
            self.let_go_of_reader();
            attempt = self.try_reading(&read);
        }
        attempt.map_err(|fault| self.opener.error_for(fault, "reading"))
    }

    fn try_reading<T>(&self, read: impl Fn(&Tables<ReadTable>) -> Attempt<T>) -> Attempt<T> {
        let source = self.source()?;
        let done = contain(|| read(&Tables::read(&source.begin_read()?, source.pages())?));
        if !source.pages().are_spoiled() {
            return done;
        }
        // Another read may have met the damage, or this one may use what that left in memory.
        self.is_damaged.store(true, Ordering::SeqCst);
        drop(source);
        let alone = self.alone()?;
        contain(|| {
            let tables = Tables::read(&alone.begin_read()?, alone.pages())?;
            tables.trust.unless_damaged(read(&tables))
        })
    }

    /// Opens the file for a read that shares nothing with others and has met no damaged page yet.
    pub(crate) fn alone(&self) -> Attempt<FileHandle> {
        let source = FileHandle::Reader(self.reader()?);
        if !source.pages().are_spoiled() {
            return Ok(source);
        }
        // Checking for the newest commit met a damaged page, which redb keeps in memory as a page without rows.
        let reader = self.opener.reader()?;
        self.require_same(reader.meta)?;
        Ok(FileHandle::Reader(reader))
    }

    /// Returns a database to read this store from.
    pub(crate) fn source(&self) -> Attempt<FileHandle> {
        self.source_of(self.opener.identity()?)
    }

    /// Returns a database to read this store from; the path leads to this file now.
    pub(crate) fn source_of(&self, now: Identity) -> Attempt<FileHandle> {
        if let Some(source) = self.open_source(now) {
            return Ok(source);
        }
        self.let_go_of_reader();
        let reader = self.reader()?;
        let mut opened = lock(&self.opened);
        opened.known = reader.identity;
        opened.reader = Some(reader.clone());
        Ok(FileHandle::Reader(reader))
    }

    /// Releases the reader. The next one must contain the same newest commit.
    pub(crate) fn let_go_of_reader(&self) {
        let Some(reader) = lock(&self.opened).reader.take() else { return };
        let source = FileHandle::Reader(reader);
        let newest = contain(|| Tables::read(&source.begin_read()?, source.pages())?.newest());
        if let Ok(Some(found)) = newest
            && !source.pages().are_spoiled()
        {
            let mut newest = lock(&self.newest);
            *newest = (*newest).max(Some(found));
        }
    }

    /// Opens the file for reading, and checks that it is this store and contains the newest commit that must be in it.
    fn reader(&self) -> Attempt<FileReader> {
        let reader = self.opener.reader()?;
        self.require_same(reader.meta)?;
        self.require_newest(&FileHandle::Reader(reader.clone()))?;
        Ok(reader)
    }

    /// Checks that the newest commit that must be in the file is in it.
    pub(crate) fn require_newest(&self, source: &FileHandle) -> Attempt<()> {
        let Some(newest) = *lock(&self.newest) else { return Ok(()) };
        let may_follow = contain(|| {
            let tables = Tables::read(&source.begin_read()?, source.pages())?;
            Ok(tables.may_follow(&tables.ends()?, newest))
        });
        match may_follow {
            Ok(false) if !source.pages().are_spoiled() => Err(io::Error::from(Refused::Replaced).into()),
            // If it is damaged there, the read that needs it reports that.
            Err(fault) if !fault.is_of_value() && !fault.is_of_page() => Err(fault),
            _ => Ok(()),
        }
    }

    /// Checks that a newly opened file is this store.
    pub(crate) fn require_same(&self, meta: Option<Meta>) -> Attempt<()> {
        if let Some(meta) = meta.filter(|meta| meta.store == self.meta.store) {
            if meta.readable_from == self.meta.readable_from {
                return Ok(());
            }
            let what = format!("`{}` was upgraded while it was open", self.opener.path.display());
            return Err(Fault::Error(Error::replaced(what)));
        }
        let what = format!("another file was put at `{}` while it was open", self.opener.path.display());
        Err(Fault::Error(Error::replaced(what)))
    }
}
