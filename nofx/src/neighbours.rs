//! The files and folders that a store in one file has beside that file.

use std::path::{Path, PathBuf};

use crate::Location;

/// A file or folder that may lie beside a store's file.
#[derive(Debug)]
pub(crate) struct Neighbour {
    /// What its name has after the name of the store's file.
    pub(crate) suffix: &'static str,
    pub(crate) is_folder: bool,
    /// Whether it holds a part of the store. Otherwise it is a lock, or a file that is still being written.
    pub(crate) is_part: bool,
}

impl Location {
    /// Returns the paths at which parts of the store may be, beside its own path.
    pub(crate) fn parts(&self) -> impl Iterator<Item = PathBuf> {
        let file = self.path().map(|file| nofx_platform::real(file).unwrap_or_else(|_| file.to_owned()));
        let parts = self.neighbours().iter().filter(|neighbour| neighbour.is_part);
        parts.filter_map(move |part| Some(with_suffix(file.as_deref()?, part.suffix)))
    }
}

/// Returns a path with a suffix added to its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
