//! The file as redb sees it: every access can be probed, every wait for another process ends.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nofx_core::Deadline;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::fault::Attempt;
use crate::options::{Access, Probe};
use crate::pages::Pages;

/// What is known of an open file that redb does not tell.
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

/// The file of a store.
#[derive(Debug)]
pub(crate) struct Storage {
    file: FileBackend,
    lock_wait: Duration,
    /// Whether the file is being made. redb takes an empty file for a new one; a store's file is empty only then.
    new: bool,
    probe: Option<Arc<dyn Probe>>,
    flushes: Arc<Flushes>,
    pages: Arc<Pages>,
}

impl Storage {
    pub(crate) fn new(file: File, new: bool, lock_wait: Duration, probe: Option<Arc<dyn Probe>>) -> Attempt<Self> {
        let (flushes, pages) = Default::default();
        Ok(Self { file: FileBackend::new(file)?, lock_wait, new, probe, flushes, pages })
    }

    /// Returns what is known of flushes, also while redb has the file.
    pub(crate) fn flushes(&self) -> Arc<Flushes> {
        self.flushes.clone()
    }

    /// Returns what is known of pages, also while redb has the file.
    pub(crate) fn pages(&self) -> Arc<Pages> {
        self.pages.clone()
    }

    fn probed(&self, access: Access<'_>) -> io::Result<()> {
        self.probe.as_ref().map_or(Ok(()), |probe| probe.access(&access))
    }

    /// Tries until it succeeds or the wait is over. The pauses begin short: other processes hold these locks for as long as
    /// they read or write a page.
    fn wait(&self, mut try_once: impl FnMut() -> Result<bool, BackendError>) -> Result<(), BackendError> {
        let deadline = Deadline::after(self.lock_wait);
        let mut pause = Duration::from_micros(20);
        while !try_once()? {
            if deadline.has_passed() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the file's header").into());
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        let length = self.file.len()?;
        if length == 0 && !self.new {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was emptied"));
        }
        Ok(length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.probed(Access::Read { offset, length: out.len() })?;
        match self.file.read(offset, out) {
            // A file that was cut off lacks pages, as if each were damaged.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.pages.are_aware_of(offset) => {
                out.fill(0)
            }
            read => read?,
        }
        self.pages.read(offset, out);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.probed(Access::Resize { length })?;
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let flushed = self.probed(Access::Flush).and_then(|()| self.file.sync_data());
        match &flushed {
            Ok(()) => self.flushes.done.fetch_add(1, Ordering::SeqCst),
            Err(_) => self.flushes.failed.fetch_add(1, Ordering::SeqCst),
        };
        flushed
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if !self.pages.write(offset) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what is free in the file is damaged"));
        }
        self.probed(Access::Write { offset, bytes: data })?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.wait(|| self.file.try_lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.wait(|| self.file.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
