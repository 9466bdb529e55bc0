//! How errors of the file system are told to callers.

use std::io;
use std::path::Path;

use nofx_core::{Error, Result};

/// Says what was being done when an error came.
pub trait During<T> {
    /// Turns an error, given that nothing has happened yet, into what the caller gets.
    fn during(self, doing: &str, path: &Path) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|error| told(error, doing, path))
    }
}

/// Tells an error of the file system, given that nothing has happened yet.
pub fn told(error: io::Error, doing: &str, path: &Path) -> Error {
    let what = format!("{doing} `{}`", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::full_because(what, error)
        }
        // What the layer says of a symbolic link, and of a folder where a file should be or the reverse.
        io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory => {
            Error::corrupt_because(format!("`{}`", path.display()), error)
        }
        // Only the folder of the store itself has a name that we did not choose.
        io::ErrorKind::InvalidFilename => Error::invalid_because(what, error),
        _ => Error::unavailable_because(what, error),
    }
}

/// Returns whether an error says that this process may not write here at all.
pub fn forbids_writing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Returns whether reading failed because of the one file that was read: it is none, this process may not read it, or the disk cannot.
pub fn is_of_the_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied)
        || nofx_platform::is_bad_place(error)
}
