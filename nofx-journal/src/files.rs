//! The few operations that a local store needs from a file system, so that tests can substitute another one.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_platform::{
    Identity, flush_folder, give_to_owner, is_superuser, owner, private, private_folders, remove_file, remove_folder,
    replace, user, write_all_at,
};

/// Read access to a folder and everything below it: nothing here changes, creates or locks anything. All paths are
/// relative to it.
pub trait Files: Debug + Send + Sync {
    /// Opens a file for reading. `InvalidData` for something that is not a file, or is reached through a symbolic link.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadableFile>>;
    /// Returns the contents of a folder, in no particular order; nothing if there is no folder.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Returns why this process may only read here, if that is because of the owner.
    fn foreign(&self) -> io::Result<Option<String>>;
    /// Fails if an existing file cannot be opened for writing; it is not changed.
    fn may_edit(&self, path: &Path) -> io::Result<()>;
    /// Returns what identifies this boot: unflushed writes may be lost between one boot and the next. `None` where the
    /// system does not identify its boots.
    fn boot(&self) -> Option<Boot>;

    /// Reads a whole file; `None` if there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.open(path) {
            Ok(file) => file.read_range(0, u64::MAX).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub use nofx_platform::Boot;

/// A folder that can also be changed.
pub trait WritableFiles: Files {
    /// Opens a file for reading and writing, creating it if there is none. Errors are those of [`open`](Files::open).
    fn edit(&self, path: &Path) -> io::Result<Arc<dyn WritableFile>>;
    /// Opens a file for writing, and empties it.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn WritableFile>>;
    /// Creates a folder; no error if it exists, `NotADirectory` if something else has its name. Parent folders must
    /// exist.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, replacing any file with the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; no error if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder; no error if there is none or it is not empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Replaces a file in one step, its content durable before its name. The folder is not flushed.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.prepare(path, bytes)?;
        self.put(path)
    }

    /// Writes the new content for [`put`](Self::put). Durable on return.
    fn prepare(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.create(&beside(path))?;
        file.write_at(bytes, 0)?;
        file.sync()
    }

    /// Replaces a file with the prepared content. The folder is not flushed.
    fn put(&self, path: &Path) -> io::Result<()> {
        self.rename(&beside(path), path)
    }
}

/// A file that is open for reading.
#[expect(clippy::len_without_is_empty, reason = "it asks the system for the length of the file")]
pub trait ReadableFile: Debug + Send + Sync {
    /// Returns the length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reads bytes at an offset; none at the end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Returns whether a path still refers to this file.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
    /// Returns whether no process holds the lock on the file at this moment.
    fn is_free(&self) -> io::Result<bool>;

    /// Reads from `offset` until `bytes` is full or the file ends; returns how many bytes were read.
    fn read_full(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Reads the bytes between two offsets, as far as the file goes.
    fn read_range(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let wanted = to.min(self.len()?).saturating_sub(from);
        let mut bytes = vec![0; usize::try_from(wanted).map_err(io::Error::other)?];
        let count = self.read_full(&mut bytes, from)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

/// A file that is open for writing too.
pub trait WritableFile: ReadableFile {
    /// Writes all bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Truncates or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the content durable, not the name.
    fn sync(&self) -> io::Result<()>;
    /// Takes the lock on the file for this handle, unless another handle has it. Released when the process ends.
    fn try_lock(&self) -> io::Result<bool>;
    /// Releases the lock.
    fn unlock(&self) -> io::Result<()>;
}

/// An item in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// The suffix of a file that is being written. No escaped id ends like this.
pub const UNFINISHED: &str = "~new";

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// A folder on this machine.
#[derive(Debug)]
pub struct Disk {
    root: Arc<Path>,
}

impl Disk {
    /// Returns a folder, which need not exist yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Returns the location of a path, unless it leads through a symbolic link: links out of the store are not
    /// followed.
    fn at(&self, path: &Path) -> io::Result<PathBuf> {
        let mut full = self.root.to_path_buf();
        for part in path.components() {
            full.push(part);
            match fs::symlink_metadata(&full) {
                Ok(found) if found.is_symlink() => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it is a symbolic link"));
                }
                Ok(_) => {}
                Err(error) if is_missing(&error) => return Ok(self.root.join(path)),
                Err(error) => return Err(error),
            }
        }
        Ok(full)
    }

    /// Returns the location of a name, whatever has it. It may be a link: the operation then applies to the link
    /// itself.
    fn named(&self, path: &Path) -> io::Result<PathBuf> {
        let folder = self.at(path.parent().unwrap_or(Path::new("")))?;
        Ok(folder.join(path.file_name().unwrap_or_default()))
    }
}

impl Disk {
    fn open_as(&self, path: &Path, options: &OpenOptions) -> io::Result<Arc<DiskFile>> {
        let is_folder = || io::Error::new(io::ErrorKind::InvalidData, "it is a folder");
        let full = self.at(path)?;
        let file = nofx_platform::open(&full, options).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => is_folder(),
            // There is nothing below a file.
            io::ErrorKind::NotADirectory => io::ErrorKind::NotFound.into(),
            // Windows reports a folder this way.
            io::ErrorKind::PermissionDenied if full.is_dir() => is_folder(),
            _ => error,
        })?;
        let found = file.metadata()?;
        if found.is_dir() {
            return Err(is_folder());
        }
        Ok(Arc::new(DiskFile { identity: Identity::of_found(&file, &found)?, file, root: self.root.clone() }))
    }

    /// Opens a file for writing, and creates it if it is missing. What the superuser creates belongs to the owner of the folder.
    fn make(&self, path: &Path, options: &OpenOptions) -> io::Result<Arc<dyn WritableFile>> {
        let file = self.open_as(path, options)?;
        if is_superuser() {
            give_to_owner(&self.at(path)?)?;
        }
        Ok(file)
    }

    /// Returns options for creating files that only their owner can access.
    fn making() -> OpenOptions {
        let mut options = OpenOptions::new();
        private(options.read(true).write(true).create(true));
        options
    }
}

impl Files for Disk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadableFile>> {
        Ok(self.open_as(path, OpenOptions::new().read(true))?)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let found = match fs::read_dir(self.at(path)?) {
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            found => found?,
        };
        found
            .map(|entry| {
                let entry = entry?;
                // A name that is not Unicode is not ours; converted lossily, it is still not one of ours.
                let name = entry.file_name().to_string_lossy().into_owned();
                Ok(Entry { name, is_dir: entry.file_type()?.is_dir() })
            })
            .collect()
    }

    fn foreign(&self) -> io::Result<Option<String>> {
        let (Some(owner), Some(we)) = (owner(&self.root)?, user()) else { return Ok(None) };
        Ok((owner != we && !is_superuser())
            .then(|| format!("it belongs to user {owner}, and this process runs as user {we}")))
    }

    fn may_edit(&self, path: &Path) -> io::Result<()> {
        match self.open_as(path, OpenOptions::new().read(true).write(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened.map(drop),
        }
    }

    fn boot(&self) -> Option<Boot> {
        nofx_platform::boot()
    }
}

impl WritableFiles for Disk {
    fn edit(&self, path: &Path) -> io::Result<Arc<dyn WritableFile>> {
        self.make(path, Self::making().truncate(false))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn WritableFile>> {
        self.make(path, Self::making().truncate(true))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let path = self.at(path)?;
        match private_folders().create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(&path)?.is_dir() {
                true => Ok(()),
                false => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder")),
            },
            made => made.and_then(|()| give_to_owner(&path)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        replace(&self.named(from)?, &self.named(to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        missing_is_fine(remove_file(&self.at(path)?))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        match missing_is_fine(remove_folder(&self.at(path)?)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed,
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        missing_is_fine(flush_folder(&self.at(path)?))
    }
}

fn missing_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if is_missing(&error) => Ok(()),
        done => done,
    }
}

/// Returns whether nothing has a name, including when a file is in the place of a parent folder.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory || nofx_platform::is_missing(error)
}

#[derive(Debug)]
struct DiskFile {
    file: File,
    identity: Identity,
    root: Arc<Path>,
}

impl ReadableFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        nofx_platform::read_at(&self.file, bytes, offset)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        match Identity::of_link(&self.root.join(path)) {
            Ok(found) => Ok(found == self.identity),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_free(&self) -> io::Result<bool> {
        match self.file.try_lock_shared() {
            Ok(()) => self.file.unlock().map(|()| true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl WritableFile for DiskFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        write_all_at(&self.file, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}
