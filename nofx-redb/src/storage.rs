//! The file as redb sees it, for reading and for writing. Every access can be probed, and every wait for another
//! process has a limit.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nofx_core::Deadline;
use nofx_platform::has_no_locks;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::fault::Attempt;
use crate::header::{self, HEADER};
use crate::options::{Access, Options, Probe};
use crate::pages::Pages;
use crate::readers::WaitingRead;

/// What is known of the flushes of a file that is open for writing, which redb does not report.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Flushes {
    /// Returns how many flushes have succeeded.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Returns whether a flush has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst) > 0
    }
}

/// The newest commit of a store that this process has seen on the disk, by redb's number. Numbers only increase.
#[derive(Debug, Default)]
pub(crate) struct NewestSeen(AtomicU64);

impl NewestSeen {
    fn see(&self, number: u64) {
        self.0.fetch_max(number, Ordering::SeqCst);
    }

    fn newest(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Why an access was refused; carried inside an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The file was overwritten, or replaced by an older copy.
    Replaced,
    /// The file system has no locks.
    NoLocks,
    /// The record of what is free in the file is damaged.
    Damaged,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced => "the file has changed since it was opened",
            Self::NoLocks => "locks do not work on this file system",
            Self::Damaged => "the list of free pages is damaged",
        })
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::other(refused)
    }
}

impl Refused {
    /// Returns why an access was refused, if it was.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// What reading and writing have in common.
#[derive(Debug)]
struct Below {
    file: FileBackend,
    lock_wait: Duration,
    probe: Option<Arc<dyn Probe>>,
    pages: Arc<Pages>,
    seen: Arc<NewestSeen>,
}

type Locked<T> = Result<T, BackendError>;

impl Below {
    fn new(file: File, options: &Options, seen: &Arc<NewestSeen>) -> Attempt<Self> {
        let (lock_wait, probe) = (options.lock_wait, options.probe.clone());
        Ok(Self { file: FileBackend::new(file)?, lock_wait, probe, pages: Arc::default(), seen: seen.clone() })
    }

    fn probed(&self, access: Access<'_>) -> io::Result<()> {
        self.probe.as_ref().map_or(Ok(()), |probe| probe.access(&access))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.probed(Access::Read { offset, length: out.len() })?;
        match self.file.read(offset, out) {
            // In a truncated file the missing pages read as damaged ones.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.pages.are_aware_of(offset) => {
                out.fill(0)
            }
            read => read?,
        }
        self.pages.read(offset, out, |at, page| self.file.read(at, page));
        Ok(())
    }

    fn lock<T>(&self, act: impl FnOnce() -> Locked<T>) -> Locked<T> {
        let probed = self.probed(Access::Lock).map_err(BackendError::from);
        probed.and_then(|()| act()).map_err(|error| match error {
            BackendError::Unsupported => io::Error::from(Refused::NoLocks).into(),
            BackendError::Io(error) if has_no_locks(&error) => io::Error::from(Refused::NoLocks).into(),
            other => other,
        })
    }

    /// Tries until it succeeds or the wait is over. The first pauses are short: other processes hold these locks for as
    /// long as they read or write a page.
    fn wait(&self, mut try_once: impl FnMut() -> Locked<bool>) -> Locked<()> {
        let deadline = Deadline::after(self.lock_wait);
        let mut pause = Duration::from_micros(20);
        let mut waiting = None;
        while !try_once()? {
            waiting.get_or_insert_with(WaitingRead::begin);
            if deadline.has_passed() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the file's header").into());
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// A store's file for readers: it cannot write, and takes no lock that blocks other processes.
///
/// It hides from redb that a writer was killed, because redb would not open such a file before it is repaired. Commits
/// are flushed in two steps, so all content of the newest one is on the disk. A reader needs nothing else, and redb's
/// own locks keep the pages that it reads from being reused. Whether the newest commit counts is decided by its writer,
/// if that is alive, when it has flushed. If the writer was killed the commit counts, because the next writer continues
/// from it.
#[derive(Debug)]
pub(crate) struct ReadStorage {
    below: Below,
}

impl ReadStorage {
    pub(crate) fn new(file: File, options: &Options, seen: &Arc<NewestSeen>) -> Attempt<Self> {
        Ok(Self { below: Below::new(file, options, seen)? })
    }

    /// Returns what is known of pages, also while redb has the file.
    pub(crate) fn pages(&self) -> Arc<Pages> {
        self.below.pages.clone()
    }

    fn show(&self, header: &mut [u8]) -> io::Result<()> {
        header::hide_unclean(header);
        let seen = self.below.seen.newest();
        // Checked after the header was read: a writer that is gone by now has either flushed what was read, or was
        // killed.
        if header::is_unflushed(header)
            && (header::newest(header).is_some_and(|newest| newest <= seen) || !self.is_written()?)
        {
            header::hide_unflushed(header);
        }
        let Some(published) = header::published(header) else { return Ok(()) };
        if published < seen {
            return Err(Refused::Replaced.into());
        }
        self.below.seen.see(published);
        Ok(())
    }

    /// Returns whether there is a writer. Where locks do not work there is none.
    fn is_written(&self) -> io::Result<bool> {
        let (start, end) = header::WRITER;
        match self.query_lock_range(start, end) {
            Ok(is_locked) => Ok(is_locked),
            Err(BackendError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Does without the lock where locks do not work: then no process writes either.
    fn lock<T>(&self, act: impl FnOnce() -> Locked<T>, without: T) -> Locked<T> {
        match self.below.lock(act) {
            Err(BackendError::Io(error)) if Refused::of(&error) == Some(Refused::NoLocks) => Ok(without),
            locked => locked,
        }
    }
}

fn only_reads() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the file is open for reading")
}

impl StorageBackend for ReadStorage {
    fn len(&self) -> io::Result<u64> {
        self.below.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.below.read(offset, out)?;
        if offset == 0 && out.len() >= HEADER { self.show(out) } else { Ok(()) }
    }

    fn set_len(&self, _length: u64) -> io::Result<()> {
        Err(only_reads())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(only_reads())
    }

    fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(only_reads())
    }

    fn close(&self) -> io::Result<()> {
        self.below.file.close()
    }

    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Locked<bool> {
        Err(only_reads().into())
    }

    fn lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Locked<()> {
        Err(only_reads().into())
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.lock(|| self.below.file.try_lock_shared_range(start, end), true)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.below.wait(|| self.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.lock(|| self.below.file.unlock_range(start, end), ())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.lock(|| self.below.file.query_lock_range(start, end), false)
    }
}

/// A store's file for the writer.
#[derive(Debug)]
pub(crate) struct WriteStorage {
    below: Below,
    /// Whether the file is being created. redb takes an empty file for a new one; a store's file is empty only then.
    is_new: bool,
    flushes: Arc<Flushes>,
    own: Arc<OwnHeader>,
}

/// The header as this writer last read or wrote it; no other process writes it.
#[derive(Debug, Default)]
pub(crate) struct OwnHeader(Mutex<Option<[u8; HEADER]>>);

impl OwnHeader {
    fn know(&self, bytes: &[u8]) {
        if let Some(header) = bytes.first_chunk() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(*header);
        }
    }

    /// Compares the header with the file's, unless it was neither read nor written yet.
    pub(crate) fn compare(&self, mut read: impl FnMut(&mut [u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(own) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return Ok(()) };
        let mut found = [0; HEADER];
        match read(&mut found) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Refused::Replaced.into()),
            Err(error) => Err(error),
            Ok(()) if found == own => Ok(()),
            Ok(()) => Err(Refused::Replaced.into()),
        }
    }
}

impl WriteStorage {
    pub(crate) fn new(file: File, is_new: bool, options: &Options, seen: &Arc<NewestSeen>) -> Attempt<Self> {
        Ok(Self { below: Below::new(file, options, seen)?, is_new, flushes: Arc::default(), own: Arc::default() })
    }

    /// Returns what is known of pages, also while redb has the file.
    pub(crate) fn pages(&self) -> Arc<Pages> {
        self.below.pages.clone()
    }

    /// Returns what is known of flushes, also while redb has the file.
    pub(crate) fn flushes(&self) -> Arc<Flushes> {
        self.flushes.clone()
    }

    /// Returns what is known of the header, also while redb has the file.
    pub(crate) fn own_header(&self) -> Arc<OwnHeader> {
        self.own.clone()
    }

    fn may_write(&self) -> io::Result<()> {
        if self.below.pages.may_be_written() { Ok(()) } else { Err(Refused::Damaged.into()) }
    }
}

impl StorageBackend for WriteStorage {
    fn len(&self) -> io::Result<u64> {
        let length = self.below.file.len()?;
        if length == 0 && !self.is_new {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was emptied"));
        }
        Ok(length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.below.read(offset, out)?;
        if offset == 0 {
            self.own.know(out);
            if header::newest(out).is_some_and(|newest| newest < self.below.seen.newest()) {
                return Err(Refused::Replaced.into());
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.may_write()?;
        self.below.probed(Access::Resize { length })?;
        self.below.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let flushed = self.below.probed(Access::Flush).and_then(|()| self.below.file.sync_data());
        match &flushed {
            Ok(()) => self.flushes.done.fetch_add(1, Ordering::SeqCst),
            Err(_) => self.flushes.failed.fetch_add(1, Ordering::SeqCst),
        };
        flushed
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.may_write()?;
        if offset == 0 {
            // If another program overwrote the file, half of this one must not end up in it.
            self.own.compare(|found| self.below.file.read(0, found))?;
        }
        self.below.probed(Access::Write { offset, bytes: data })?;
        self.below.pages.written(offset);
        self.below.file.write(offset, data)?;
        if offset == 0 {
            self.own.know(data);
            if let Some(published) = header::published(data).filter(|_| !self.flushes.has_failed()) {
                self.below.seen.see(published);
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.below.lock(|| self.below.file.try_lock_range(start, end))
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.below.lock(|| self.below.file.try_lock_shared_range(start, end))
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.below.wait(|| self.try_lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.below.wait(|| self.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.below.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.below.lock(|| self.below.file.query_lock_range(start, end))
    }
}
