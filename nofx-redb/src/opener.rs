//! Opening the file as a redb database: for reading, for writing after waiting for the role, or to create it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use nofx_core::{Deadline, Error, Holder};
use nofx_journal::base::Mark;
use redb::{Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use crate::base;
use crate::fault::{Attempt, Fault, contain};
use crate::file::{self, Identity, Turnstile};
use crate::options::Options;
use crate::pages::Pages;
use crate::readers::WaitingRead;
use crate::storage::{Flushes, NewestSeen, OwnHeader, ReadStorage, WriteStorage};
use crate::tables::{FORMAT, FORMAT_WITH_JOURNAL, Meta};

/// Opens a store's file.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    pub(crate) seen: Arc<NewestSeen>,
}

/// The file, open for writing. While it exists, no other process can write.
#[derive(Clone)]
pub(crate) struct FileWriter {
    pub(crate) database: Arc<Database>,
    pub(crate) flushes: Arc<Flushes>,
    pub(crate) pages: Arc<Pages>,
    own: Arc<OwnHeader>,
    /// Whether this process's newest commit was found in the file.
    pub(crate) is_proved: Arc<AtomicBool>,
    pub(crate) identity: Identity,
    /// The store's description; `None` if this is another program's file.
    pub(crate) meta: Option<Meta>,
}

/// The file, open for reading. It follows the commits of any process and blocks no writer.
#[derive(Clone)]
pub(crate) struct FileReader {
    database: Arc<ReadOnlyDatabase>,
    pages: Arc<Pages>,
    pub(crate) identity: Identity,
    /// The store's description; `None` if this is another program's file.
    pub(crate) meta: Option<Meta>,
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// The handle that is open.
#[derive(Clone, Debug)]
pub(crate) enum FileHandle {
    Writer(FileWriter),
    Reader(FileReader),
}

impl FileHandle {
    pub(crate) fn begin_read(&self) -> Attempt<ReadTransaction> {
        Ok(match self {
            Self::Writer(writer) => writer.database.begin_read()?,
            Self::Reader(reader) => reader.database.begin_read()?,
        })
    }

    pub(crate) fn identity(&self) -> Identity {
        match self {
            Self::Writer(writer) => writer.identity,
            Self::Reader(reader) => reader.identity,
        }
    }

    pub(crate) fn pages(&self) -> &Arc<Pages> {
        match self {
            Self::Writer(writer) => &writer.pages,
            Self::Reader(reader) => &reader.pages,
        }
    }
}

impl Opener {
    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.options.cache_bytes);
        builder.set_concurrency_mode(ConcurrencyMode::SingleWriter);
        builder
    }

    pub(crate) fn new(path: PathBuf, options: Options) -> Self {
        Self { path, options, seen: Arc::default() }
    }

    /// Opens the file for reading, whether or not it was closed cleanly. Fails with `DatabaseAlreadyOpen` if another
    /// program has it open exclusively.
    fn reader_at_once(&self) -> Attempt<FileReader> {
        let (file, identity) = file::open(&self.path, false).map_err(|error| self.gone_or(error))?;
        let storage = ReadStorage::new(file, &self.options, &self.seen)?;
        let pages = storage.pages();
        let opened = contain(|| {
            let database = self.builder().open_read_only_with_backend(storage)?;
            let meta = Meta::read(&database.begin_read()?)?;
            Ok((Arc::new(database), meta))
        });
        let (database, meta) = pages.unless_damaged(opened)?;
        Ok(FileReader { database, pages, identity, meta })
    }

    /// Opens the file for writing, and repairs it if it was not closed cleanly. Fails with `DatabaseAlreadyOpen` if
    /// another process has it open for writing.
    fn writer_at_once(&self) -> Attempt<FileWriter> {
        let (file, identity) = file::open(&self.path, true).map_err(|error| self.gone_or(error))?;
        let storage = WriteStorage::new(file, false, &self.options, &self.seen)?;
        let (flushes, pages, own) = (storage.flushes(), storage.pages(), storage.own_header());
        let opened = contain(|| {
            let database = self.builder().create_with_backend(storage)?;
            let meta = Meta::read(&database.begin_read()?)?;
            Ok((Arc::new(database), meta))
        });
        let (database, meta) = pages.unless_damaged(opened)?;
        Ok(FileWriter { database, flushes, pages, own, is_proved: Arc::default(), identity, meta })
    }

    /// Opens the file for writing as soon as no other process has it open for writing. That process closes it when it
    /// sees that the turnstile is taken.
    pub(crate) fn writer(&self) -> Attempt<FileWriter> {
        let deadline = Deadline::after(self.options.lock_wait);
        let turnstile = Turnstile::enter(&self.path, &deadline)?;
        let writer = self.waiting(&deadline, || self.writer_at_once());
        match (&writer, turnstile) {
            (Err(_), Some(turnstile)) => {
                let before = turnstile.give_up();
                writer.map_err(|fault| self.locked_by(fault, before))
            }
            _ => writer,
        }
    }

    /// Opens the file for reading.
    pub(crate) fn reader(&self) -> Attempt<FileReader> {
        self.waiting(&Deadline::after(self.options.lock_wait), || self.reader_at_once())
    }

    /// Checks that the path still leads to the file that a writer has open, unchanged since its last write.
    pub(crate) fn require_own(&self, writer: &FileWriter) -> Attempt<()> {
        Ok(writer.own.compare(|found| File::open(&self.path)?.read_exact(found))?)
    }

    /// Returns the error for another program's file.
    pub(crate) fn foreign(&self) -> Error {
        let file = self.path.display();
        Error::invalid(format!("`{file}` is not a NofX store: it is another program's redb file"))
    }

    /// Retries while another process has the file open for writing.
    fn waiting<T>(&self, deadline: &Deadline, mut open: impl FnMut() -> Attempt<T>) -> Attempt<T> {
        let mut pause = Duration::from_micros(200);
        let mut waiting = None;
        loop {
            match open() {
                Err(Fault::Redb(redb::Error::DatabaseAlreadyOpen)) if !deadline.has_passed() => {
                    waiting.get_or_insert_with(WaitingRead::begin);
                    thread::sleep(pause);
                }
                opened => return opened,
            }
            pause = (pause * 2).min(Duration::from_millis(4));
        }
    }

    fn locked_by(&self, fault: Fault, holder: Option<Holder>) -> Fault {
        match fault {
            Fault::Redb(redb::Error::DatabaseAlreadyOpen) => {
                Fault::Error(Error::Locked { what: format!("`{}`", self.path.display()), holder })
            }
            other => other,
        }
    }

    fn gone_or(&self, error: io::Error) -> Fault {
        // Its folder may have been replaced by something else.
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            return error.into();
        }
        let what = format!("`{}` was moved or removed while it was open", self.path.display());
        Fault::Error(Error::gone_because(what, error))
    }

    /// Creates the file of a new store, unless another process does so concurrently.
    ///
    /// The file is created under another name and renamed when it is complete, so an interrupted attempt leaves no
    /// store.
    pub(crate) fn create(&self) -> Attempt<()> {
        if self.options.journal {
            base::require_name(&self.path)?;
        }
        let deadline = Deadline::after(self.options.lock_wait);
        let Some(_turnstile) = Turnstile::enter(&self.path, &deadline)? else {
            return Err(redb::Error::DatabaseAlreadyOpen.into());
        };
        if self.path.symlink_metadata().is_ok() {
            return Ok(());
        }
        base::refuse_orphan(&self.path).map_err(Fault::Error)?;
        let store = self.options.sources.store_id();
        let format = if self.options.journal { FORMAT_WITH_JOURNAL } else { FORMAT };
        if self.options.journal {
            base::create(&self.path, store, &Mark::default(), &self.options).map_err(Fault::Error)?;
        }
        let made = self.make(|database, pages| {
            let transaction = database.begin_write()?;
            Meta { store, format, readable_from: format }.write(&transaction, pages)?;
            Ok(transaction.commit()?)
        });
        let made = made.inspect_err(|_| _ = base::discard(&self.path))?;
        match file::publish(&made, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            published => Ok(published?),
        }
    }
}

impl Opener {
    /// Creates a file beside the store's, replacing what an interrupted attempt left there, and returns its path.
    pub(crate) fn make(&self, fill: impl FnOnce(&mut Database, &Arc<Pages>) -> Attempt<()>) -> Attempt<PathBuf> {
        let made = file::beside(&self.path, file::NEW);
        let storage = WriteStorage::new(file::fresh(&made)?, true, &self.options, &Arc::default())?;
        let pages = storage.pages();
        let filled = contain(|| {
            let mut database = self.builder().create_with_backend(storage)?;
            fill(&mut database, &pages)?;
            Ok(database.close()?)
        });
        pages.unless_damaged(filled)?;
        Ok(made)
    }

    /// Returns the identity of the file that the path leads to now.
    pub(crate) fn identity(&self) -> Attempt<Identity> {
        Identity::at(&self.path).map_err(|error| self.gone_or(error))
    }

    /// Converts a fault into the caller's error, given that nothing has happened. Names the holder of the lock if the
    /// wait for it failed.
    pub(crate) fn error_for(&self, fault: Fault, during: &str) -> Error {
        match fault.into_error(&self.path, during) {
            Error::Locked { what, holder: None } => Error::Locked { what, holder: file::last_holder(&self.path) },
            error => error,
        }
    }
}
