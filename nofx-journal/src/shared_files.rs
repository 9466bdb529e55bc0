//! The lock and tip files shared between processes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use nofx_core::{Error, Result};

use crate::fault::During;
use crate::files::{Files, WritableFile, WritableFiles};
use crate::layout::Layout;
use crate::lock::{HeldLock, Lock};
use crate::tip::Tip;

/// The commit lock, the apply lock and the tip, open for writing.
///
/// They are the ones that other processes find only as long as [`is_in_place`](Self::is_in_place) and
/// [`Lock::is_in_place`] say so: any of them may be removed or replaced at any time.
#[derive(Debug)]
pub struct SharedFiles {
    tip_path: PathBuf,
    lock: Lock,
    apply_lock: Lock,
    tip: Arc<dyn WritableFile>,
}

impl SharedFiles {
    /// Opens the files, and creates missing ones, including the folder of the journal.
    pub fn open(writable: &dyn WritableFiles, layout: &Layout) -> Result<Self> {
        // It may have been removed; the store can still be read then.
        let folder = layout.folder();
        writable.make_dir(folder).during("making", folder)?;
        let (lock, apply_lock) = (Lock::open(writable, layout.lock())?, Lock::open(writable, layout.apply_lock())?);
        let tip = writable.edit(layout.tip()).during("opening", layout.tip())?;
        Ok(Self { tip_path: layout.tip().to_owned(), lock, apply_lock, tip })
    }

    /// Returns the commit lock.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Returns the apply lock. A process that takes both takes this one last.
    pub fn apply_lock(&self) -> &Lock {
        &self.apply_lock
    }

    /// Returns the tip.
    pub fn tip(&self) -> &dyn WritableFile {
        &*self.tip
    }

    /// Reads the tip through this handle, again while another process is writing it. `None` if it cannot be read.
    pub(crate) fn read_tip(&self) -> Option<Tip> {
        Tip::read_whole(&*self.tip)
    }

    /// Returns whether the tip is the one that other processes find.
    pub fn is_in_place(&self) -> Result<bool> {
        self.tip.is_at(&self.tip_path).during("looking for", &self.tip_path)
    }
}

/// How often lock files that were replaced are opened again before that is reported.
const TRIES: usize = 100;

/// The shared files of an open store, opened again if they were removed or replaced.
#[derive(Debug)]
pub(crate) struct ReopenedFiles {
    files: RwLock<Arc<SharedFiles>>,
    /// Where the store is, for errors.
    at: PathBuf,
}

impl ReopenedFiles {
    /// Begins with files that were just opened. Errors name the store by `at`.
    pub(crate) fn new(files: SharedFiles, at: impl Into<PathBuf>) -> Self {
        Self { files: RwLock::new(Arc::new(files)), at: at.into() }
    }

    /// Takes a lock on the file that other processes find too, beside the tip that they find; `None` if it is taken and
    /// `take` does not wait. `open` opens them again if they were replaced; `Unavailable` if they are replaced each time.
    pub(crate) fn hold(
        &self,
        which: fn(&SharedFiles) -> &Lock,
        take: impl Fn(&Lock) -> Result<Option<HeldLock>>,
        open: impl Fn() -> Result<SharedFiles>,
    ) -> Result<Option<(Arc<SharedFiles>, HeldLock)>> {
        let mut files = self.files.read().unwrap_or_else(PoisonError::into_inner).clone();
        for _ in 0..TRIES {
            let lock = which(&files);
            let taken = take(lock);
            // Also if another process has the lock: it may be on a file that was replaced.
            if lock.is_in_place()? && files.is_in_place()? {
                return Ok(taken?.map(|held| (files, held)));
            }
            files = self.reopen(&open)?;
        }
        let at = self.at.display();
        Err(Error::unavailable(format!("locking `{at}`: its lock files were replaced each time")))
    }

    fn reopen(&self, open: impl FnOnce() -> Result<SharedFiles>) -> Result<Arc<SharedFiles>> {
        let files = Arc::new(open()?);
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files.clone();
        Ok(files)
    }
}

/// Returns what is in the place of locks and their holder files but is not a file: nothing can be
/// locked until it is gone.
pub fn no_locks(files: &dyn Files, layout: &Layout) -> Vec<PathBuf> {
    lock_files(layout).filter(|path| is_no_file(files, path)).collect()
}

/// Returns the locks and their holder files.
pub(crate) fn lock_files(layout: &Layout) -> impl Iterator<Item = PathBuf> {
    let locks = [layout.lock(), layout.apply_lock()].map(PathBuf::from);
    let holders = locks.clone().map(|lock| lock.with_extension("holder"));
    locks.into_iter().chain(holders)
}

/// Returns what is in the place of any shared file but is not a file.
pub fn no_shared_files(files: &dyn Files, layout: &Layout) -> Vec<PathBuf> {
    let mut found = no_locks(files, layout);
    if is_no_file(files, layout.tip()) {
        found.push(layout.tip().into());
    }
    found
}

fn is_no_file(files: &dyn Files, path: &Path) -> bool {
    files.open(path).is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;
    use crate::sim::Sim;

    fn layout() -> Layout {
        Layout::new("journal", *b"example\x01")
    }

    #[test]
    fn doors_are_made_where_they_are_missing_and_noticed_when_the_tip_goes() {
        let sim = Sim::default();
        let shared_files = SharedFiles::open(&sim, &layout()).unwrap();
        assert!(shared_files.is_in_place().unwrap());
        sim.delete("journal/tip");
        assert!(!shared_files.is_in_place().unwrap());
        assert!(SharedFiles::open(&sim, &layout()).unwrap().is_in_place().unwrap());
    }

    #[test]
    fn what_is_no_file_where_processes_meet_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let writable = Disk::new(dir.path());
        SharedFiles::open(&writable, &layout()).unwrap();
        assert!(no_shared_files(&writable, &layout()).is_empty());
        for path in ["journal/apply-lock", "journal/tip"] {
            std::fs::remove_file(dir.path().join(path)).unwrap();
            std::fs::create_dir(dir.path().join(path)).unwrap();
        }
        assert_eq!(no_locks(&writable, &layout()), [PathBuf::from("journal/apply-lock")]);
        assert_eq!(no_shared_files(&writable, &layout()), ["journal/apply-lock", "journal/tip"].map(PathBuf::from));
    }
}
