//! Temporary folders for what a command creates, beside its final path.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nofx_core::Sources;
use nofx_platform::{make_private, owner, private_folders, remove_folder, remove_tree};

use super::interrupt;
use super::paths::missing_folders;
use crate::neighbours::with_suffix;

/// The prefix of the names of temporary folders.
const PREFIX: &str = ".nofx-making-";

/// A file in each temporary folder that its process keeps locked as long as it lives.
const ALIVE: &str = ".alive";

/// The temporary folders of this process, each with the folders that were created for it.
static MADE: Mutex<Vec<Made>> = Mutex::new(Vec::new());

/// A temporary folder. It is removed with its content when it is dropped, when a signal ends the program, or else by the next command that
/// creates one in the same folder.
#[derive(Debug)]
pub(crate) struct Temporary {
    folder: PathBuf,
    /// Present until the folder is removed.
    alive: Option<File>,
}

#[derive(Debug)]
struct Made {
    folder: PathBuf,
    above: Vec<PathBuf>,
}

impl Temporary {
    /// Creates a temporary folder in `parent`, which is created if necessary. Removes temporary folders of processes that were killed.
    pub(crate) fn within(parent: &Path) -> io::Result<Self> {
        interrupt::listen();
        // The list stays locked while the folder is created, so that a signal handler finds the folder in it.
        let mut made = made();
        let above = missing_folders(&parent.join(PREFIX));
        let folder = make_private(parent).and_then(|()| make(parent));
        let (folder, alive) = folder.inspect_err(|_| remove_empty(&above))?;
        made.push(Made { folder: folder.clone(), above });
        drop(made);
        remove_stale(parent, &folder);
        Ok(Self { folder, alive: Some(alive) })
    }

    /// Returns the temporary path for a name.
    pub(crate) fn path(&self, name: &OsStr) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut made = made();
        // Closed first: not every file system removes what is open.
        self.alive = None;
        if let Some(at) = made.iter().position(|made| made.folder == self.folder) {
            remove(&made.swap_remove(at));
        }
    }
}

/// Removes all temporary folders of this process and prevents new ones while the result is held: the program is about to end.
pub(super) fn remove_all() -> impl Sized {
    let made = made();
    made.iter().for_each(remove);
    made
}

fn made() -> MutexGuard<'static, Vec<Made>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(made: &Made) {
    // Renamed first, so that another thread that is still busy creates nothing more in it.
    let ended = with_suffix(&made.folder, "-ended");
    _ = match fs::rename(&made.folder, &ended) {
        Ok(()) => remove_tree(&ended),
        Err(_) => remove_tree(&made.folder),
    };
    remove_empty(&made.above);
}

/// Removes folders, the lowest first, as far as they are empty: another process may have used them by now.
pub(super) fn remove_empty(folders: &[PathBuf]) {
    for folder in folders {
        _ = remove_folder(folder);
    }
}

fn make(parent: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let folder = parent.join(format!("{PREFIX}{}", Sources::default().batch_id()));
        private_folders().create(&folder)?;
        let alive = alive(&folder).inspect(|alive| {
            // Where locks do not work, no other process can lock it either.
            _ = alive.lock();
        });
        match alive {
            // Until it was locked, another process may have removed the folder as stale.
            Ok(alive) if folder.join(ALIVE).exists() => return Ok((folder, alive)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                _ = remove_folder(&folder);
                return Err(error);
            }
        }
    }
}

fn alive(folder: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(folder.join(ALIVE))
}

/// Removes the temporary folders of this user whose processes are dead.
fn remove_stale(parent: &Path, own: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_temporary = name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) && path != own;
        let is_folder = || entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_temporary
            && is_folder()
            && owner(&path).ok() == owner(own).ok()
            && let Ok(alive) = alive(&path)
            && alive.try_lock().is_ok()
        {
            _ = remove_tree(&path);
            // On some file systems the open file is only gone now.
            drop(alive);
            _ = remove_folder(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_processes_are_removed_and_those_of_live_ones_are_not() {
        let place = tempfile::tempdir().unwrap();
        let parent = place.path().join("a/b");
        let live = Temporary::within(&parent).unwrap();
        for dead in [".nofx-making-dead", ".nofx-making-before-it-was-locked"] {
            fs::create_dir(parent.join(dead)).unwrap();
        }
        fs::write(parent.join(".nofx-making-dead/.alive"), "").unwrap();
        fs::write(parent.join(".nofx-making-dead/x.redb"), "half").unwrap();
        fs::write(parent.join(".nofx-making-a-file"), "of another program").unwrap();
        let other = Temporary::within(&parent).unwrap();
        let mut left: Vec<_> = fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        let mut expected = [live.folder.clone(), other.folder.clone(), parent.join(".nofx-making-a-file")];
        expected.sort();
        assert_eq!(left, expected);
        drop((live, other));
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
    }

    #[test]
    fn folders_that_were_made_for_nothing_go_too() {
        let place = tempfile::tempdir().unwrap();
        drop(Temporary::within(&place.path().join("a/b")).unwrap());
        assert!(!place.path().join("a").exists());
        let temporary = Temporary::within(&place.path().join("a/b")).unwrap();
        fs::write(temporary.path(OsStr::new("x")), "whole").unwrap();
        fs::rename(temporary.path(OsStr::new("x")), place.path().join("a/b/x")).unwrap();
        drop(temporary);
        assert_eq!(fs::read_dir(place.path().join("a/b")).unwrap().count(), 1);
    }
}
