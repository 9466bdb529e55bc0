//! The file of a store and its neighbours: recognising, creating, identifying and locking them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use nofx_core::{Deadline, Error, Holder, Result};
pub(crate) use nofx_platform::Identity;
use nofx_platform::{flush_folder, give_to_owner, has_no_locks, make_private, private, real, remove_file, replace};

use crate::storage::Refused;

/// The first bytes of every redb file.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// Returns the path of a neighbour of the store's file.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// Returns the canonical path of a file that several paths may lead to, and that need not exist.
pub(crate) fn canonical(path: &Path) -> io::Result<PathBuf> {
    match real(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(real(parent)?.join(name))
}

/// Creates the folders above a file, accessible to their owner only.
pub(crate) fn make_parents(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    make_private(parent)
}

/// Checks whether a file can be a store, without changing it. `Invalid` says why not.
pub(crate) fn recognise(path: &Path) -> Result<()> {
    let shown = path.display();
    let cannot = |error| Error::unavailable_because(format!("opening `{shown}`"), error);
    let foreign = |why: &str| Err(Error::invalid(format!("`{shown}` is not a NofX store: {why}")));
    let metadata = fs::metadata(path).map_err(cannot)?;
    if metadata.is_dir() {
        return foreign("it is a folder");
    }
    if !metadata.is_file() {
        return foreign("it is not a file");
    }
    let mut begin = Vec::new();
    let file = nofx_platform::open(path, OpenOptions::new().read(true)).map_err(cannot)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut begin).map_err(cannot)?;
    match &*begin {
        [] => foreign("it is empty"),
        begin if begin == MAGIC => Ok(()),
        _ => foreign("it is not a redb file"),
    }
}

/// Returns the version of redb's file format if it may be newer than those that this version reads.
///
/// redb itself only reports such a file as damaged. Both of its commit slots begin with the version; if the two differ,
/// or the byte is text, it is damage.
pub(crate) fn newer_redb(path: &Path) -> Option<u8> {
    let mut begin = [0; 193];
    File::open(path).ok()?.read_exact(&mut begin).ok()?;
    (begin[64] == begin[192] && (4..32).contains(&begin[64])).then_some(begin[64])
}

/// Opens a store's file, for writing too if requested.
pub(crate) fn open(path: &Path, write: bool) -> io::Result<(File, Identity)> {
    let file = nofx_platform::open(path, OpenOptions::new().read(true).write(write))?;
    let identity = Identity::of(&file)?;
    Ok((file, identity))
}

/// Creates an empty file that no other process uses, replacing what an interrupted attempt left there.
pub(crate) fn fresh(path: &Path) -> io::Result<File> {
    match remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private(OpenOptions::new().read(true).write(true).create_new(true)).open(path)
}

/// Renames a finished file, unless the new name is taken.
pub(crate) fn publish(made: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(made, path) {
        Ok(()) => remove_file(made)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // The file system has no hard links. The turnstile keeps other processes from creating the store.
        Err(_) if !path.exists() => replace(made, path)?,
        Err(error) => return Err(error),
    }
    path.parent().map_or(Ok(()), flush_folder)
}

/// Returns why a file cannot be written, if it cannot.
pub(crate) fn unwritable(path: &Path) -> Option<io::Error> {
    refusal(nofx_platform::open(path, OpenOptions::new().read(true).write(true)))
}

/// Returns why the lock file beside a store cannot be opened, if it cannot.
pub(crate) fn unlockable(path: &Path) -> Option<io::Error> {
    refusal(open_lock(&beside(path, LOCK)))
}

/// Returns the error if something was not opened because it cannot be written at all.
pub(crate) fn refusal<T>(opened: io::Result<T>) -> Option<io::Error> {
    let refused = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
    opened.err().filter(|error| refused.contains(&error.kind()))
}

/// The suffix of a lock file.
pub(crate) const LOCK: &str = ".lock";

/// The suffix of a file that is being created.
pub(crate) const NEW: &str = ".new";

fn open_lock(path: &Path) -> io::Result<File> {
    let file =
        nofx_platform::open(path, private(OpenOptions::new().read(true).write(true).create(true).truncate(false)))?;
    give_to_owner(path)?;
    Ok(file)
}

/// The place in front of the writer role, where at most one process waits.
///
/// It is a lock on a file beside the store. Its holder waits for the writer, which notices and makes room. The
/// turnstile orders the waiting processes and names the holder of the role; redb's own locks ensure that there is only
/// one writer.
#[derive(Debug)]
pub(crate) struct Turnstile {
    file: File,
    before: Option<Holder>,
}

impl Turnstile {
    /// Enters, and waits while another process is waiting there.
    ///
    /// `None` if that process made no progress within half of the time: it may be suspended, and must not keep all
    /// others from writing.
    pub(crate) fn enter(store: &Path, deadline: &Deadline) -> io::Result<Option<Self>> {
        let mut file = open_lock(&beside(store, LOCK))?;
        let mut pause = Duration::from_micros(100);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) if has_no_locks(&error) => return Err(Refused::NoLocks.into()),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if deadline.remaining() <= deadline.elapsed() => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        let before = read_holder(&mut file);
        write_holder(&mut file, &this_process())?;
        Ok(Some(Self { file, before }))
    }

    /// Leaves without having become the writer. Returns the previous holder: the writer, unless it is gone.
    pub(crate) fn give_up(mut self) -> Option<Holder> {
        if let Some(before) = &self.before {
            // Only a name in a message depends on it.
            let _ = write_holder(&mut self.file, before);
        }
        self.before
    }

    /// Returns whether another process is waiting.
    pub(crate) fn is_taken(store: &Path) -> bool {
        open_lock(&beside(store, LOCK)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

/// Returns the process that last went through the turnstile, unless it is this one.
pub(crate) fn last_holder(store: &Path) -> Option<Holder> {
    let holder = read_holder(&mut File::open(beside(store, LOCK)).ok()?)?;
    (holder != this_process()).then_some(holder)
}

fn this_process() -> Holder {
    Holder { pid: process::id(), host: gethostname::gethostname().to_string_lossy().into_owned() }
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let text = format!("{} {}\n", holder.pid, holder.host);
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(1024).read_to_string(&mut text).ok()?;
    let (pid, host) = text.trim_end().split_once(' ')?;
    Some(Holder { pid: pid.parse().ok()?, host: host.to_owned() })
}
