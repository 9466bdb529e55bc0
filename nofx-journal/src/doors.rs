//! The files by which processes meet: two locks and the tip.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::Result;

use crate::fault::During;
use crate::files::{Files, Handle, Layer};
use crate::layout;
use crate::lock::Lock;

/// The lock for committing, the lock for applying and the tip, open for writing.
///
/// They are those that other processes find for as long as [`is_in_place`](Self::is_in_place) and
/// [`Lock::is_in_place`] say so: any of them may be removed or replaced at any time.
#[derive(Debug)]
pub struct Doors {
    lock: Lock,
    apply_lock: Lock,
    tip: Arc<dyn Handle>,
}

impl Doors {
    /// Opens the files, and makes those that are missing, with the folder of the journal.
    pub fn open(layer: &dyn Layer) -> Result<Self> {
        // It may have been removed; then the store can still be read.
        let folder = Path::new(layout::JOURNAL);
        layer.make_dir(folder).during("making", folder)?;
        let (lock, apply_lock) = (Lock::open(layer, layout::LOCK)?, Lock::open(layer, layout::APPLY_LOCK)?);
        let tip = Path::new(layout::TIP);
        Ok(Self { lock, apply_lock, tip: layer.edit(tip).during("opening", tip)? })
    }

    /// Returns the lock for committing.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Returns the lock for applying. A process that takes both takes this one last.
    pub fn apply_lock(&self) -> &Lock {
        &self.apply_lock
    }

    /// Returns the tip.
    pub fn tip(&self) -> &dyn Handle {
        &*self.tip
    }

    /// Returns whether the tip is the one that other processes find.
    pub fn is_in_place(&self) -> Result<bool> {
        let tip = Path::new(layout::TIP);
        self.tip.is_at(tip).during("looking for", tip)
    }
}

/// Returns what is no file where locks and their holders are: nothing can be locked until it is gone.
pub fn no_locks(files: &dyn Files) -> Vec<PathBuf> {
    let locks = [layout::LOCK, layout::APPLY_LOCK].map(PathBuf::from);
    let holders = locks.clone().map(|lock| lock.with_extension("holder"));
    locks.into_iter().chain(holders).filter(|path| is_no_file(files, path)).collect()
}

/// Returns what is no file where processes meet.
pub fn no_doors(files: &dyn Files) -> Vec<PathBuf> {
    let mut found = no_locks(files);
    if is_no_file(files, Path::new(layout::TIP)) {
        found.push(layout::TIP.into());
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

    #[test]
    fn doors_are_made_where_they_are_missing_and_noticed_when_the_tip_goes() {
        let sim = Sim::default();
        let doors = Doors::open(&sim).unwrap();
        assert!(doors.is_in_place().unwrap());
        sim.delete(layout::TIP);
        assert!(!doors.is_in_place().unwrap());
        assert!(Doors::open(&sim).unwrap().is_in_place().unwrap());
    }

    #[test]
    fn what_is_no_file_where_processes_meet_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let layer = Disk::new(dir.path());
        Doors::open(&layer).unwrap();
        assert!(no_doors(&layer).is_empty());
        for path in [layout::APPLY_LOCK, layout::TIP] {
            std::fs::remove_file(dir.path().join(path)).unwrap();
            std::fs::create_dir(dir.path().join(path)).unwrap();
        }
        assert_eq!(no_locks(&layer), [PathBuf::from(layout::APPLY_LOCK)]);
        assert_eq!(no_doors(&layer), [layout::APPLY_LOCK, layout::TIP].map(PathBuf::from));
    }
}
