//! Locks between processes, always with a limited wait.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nofx_core::{Deadline, Error, Result};

use nofx_core::Holder;
use nofx_platform::has_no_locks;

use crate::fault::During;
use crate::files::{WritableFile, WritableFiles};

/// The shortest and longest pauses between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(2));

/// A lock file, and next to it a file that names its current or last holder.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: Arc<dyn WritableFile>,
    holder: Arc<dyn WritableFile>,
    we: String,
}

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct HeldLock(Arc<dyn WritableFile>);

impl Lock {
    /// Opens the lock file at a path, creating it if there is none.
    pub fn open(writable: &dyn WritableFiles, path: &Path) -> Result<Self> {
        let open = |path: &Path| writable.edit(path).during("opening", path);
        let holder = path.with_extension("holder");
        // The same length for every process, so that a name never keeps the end of a longer one.
        let we = format!("{:<10} {:<100}\n", std::process::id(), gethostname::gethostname().to_string_lossy());
        Ok(Self { path: path.to_owned(), file: open(path)?, holder: open(&holder)?, we })
    }

    /// Returns whether the lock file is the one that other processes would find.
    pub fn is_in_place(&self) -> Result<bool> {
        self.file.is_at(&self.path).during("looking for", &self.path)
    }

    /// Takes the lock, waiting at most this long.
    pub fn acquire(&self, wait: Duration) -> Result<HeldLock> {
        let (mut pause, longest) = PAUSES;
        let deadline = Deadline::after(wait);
        loop {
            if let Some(held) = self.try_acquire()? {
                return Ok(held);
            }
            if deadline.has_passed() {
                return Err(Error::Locked { what: format!("`{}`", self.path.display()), holder: self.holder() });
            }
            thread::sleep(pause.min(deadline.remaining()));
            pause = longest.min(pause * 2);
        }
    }

    /// Takes the lock if no handle has it; `None` if one has.
    pub fn try_acquire(&self) -> Result<Option<HeldLock>> {
        match self.file.try_lock() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) if has_no_locks(&error) => {
                let what = "locks do not work on this file system, as on some network disks; keep a store that is written \
                            on a local disk";
                return Err(Error::unavailable_because(format!("locking `{}`: {what}", self.path.display()), error));
            }
            Err(error) => return Err(error).during("locking", &self.path),
        }
        let held = HeldLock(self.file.clone());
        let mut last = vec![0; self.we.len()];
        let known = self.holder.read_full(&mut last, 0).is_ok() && last == self.we.as_bytes();
        if !known {
            // Only for people to read: a lock that cannot name its holder is still a lock.
            _ = self.holder.write_at(self.we.as_bytes(), 0);
        }
        Ok(Some(held))
    }

    fn holder(&self) -> Option<Holder> {
        let text = self.holder.read_range(0, 4096).ok()?;
        let (pid, host) = std::str::from_utf8(&text).ok()?.split_once(' ')?;
        Some(Holder { pid: pid.parse().ok()?, host: host.trim().to_owned() })
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // The system releases it at the latest when the file is closed.
        _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;

    const WAIT: Duration = Duration::from_millis(20);

    #[test]
    fn one_at_a_time_has_a_lock_and_the_others_learn_which() {
        let dir = tempfile::tempdir().unwrap();
        let writable = Disk::new(dir.path());
        let (one, other) =
            (Lock::open(&writable, Path::new("lock")).unwrap(), Lock::open(&writable, Path::new("lock")).unwrap());
        let held = one.acquire(WAIT).unwrap();
        assert!(other.try_acquire().unwrap().is_none());
        let Err(Error::Locked { holder: Some(holder), .. }) = other.acquire(WAIT) else { panic!("it was given twice") };
        assert_eq!(holder.pid, std::process::id());
        drop(held);
        assert!(other.try_acquire().unwrap().is_some());
    }

    #[test]
    fn a_lock_file_that_was_replaced_is_not_the_one_that_others_find() {
        let dir = tempfile::tempdir().unwrap();
        let writable = Disk::new(dir.path());
        let lock = Lock::open(&writable, Path::new("lock")).unwrap();
        assert!(lock.is_in_place().unwrap());
        std::fs::rename(dir.path().join("lock"), dir.path().join("moved")).unwrap();
        assert!(!lock.is_in_place().unwrap());
        let other = Lock::open(&writable, Path::new("lock")).unwrap();
        assert!(other.is_in_place().unwrap() && !lock.is_in_place().unwrap());
    }
}
