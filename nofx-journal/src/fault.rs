//! How errors of the file system are reported to callers.

use std::io;
use std::path::Path;

use nofx_core::{Error, Result};

/// Adds what was being done when an error occurred.
pub trait During<T> {
    /// Converts an error, given that nothing has happened yet, to the caller's error.
    fn during(self, doing: &str, path: &Path) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|error| into_error(error, doing, path))
    }
}

/// Converts an error of the file system, given that nothing has happened yet.
pub fn into_error(error: io::Error, doing: &str, path: &Path) -> Error {
    let what = format!("{doing} `{}`", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::full_because(what, error)
        }
        // What the file system reports for a symbolic link, and for a folder in the place of a file or the reverse.
        io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory => {
            Error::corrupt_because(format!("`{}`", path.display()), error)
        }
        // Only the store's own folder has a name that we did not choose.
        io::ErrorKind::InvalidFilename => Error::invalid_because(what, error),
        _ => Error::unavailable_because(what, error),
    }
}

/// Returns whether an error means that this process may not write here at all.
pub fn forbids_writing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Returns whether a read failed because of that one file: it is not a file, this process may not read it, or the disk
/// cannot.
pub fn is_of_the_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied)
        || nofx_platform::is_bad_place(error)
}
