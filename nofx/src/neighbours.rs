//! What a store in one file has beside that file.

use std::path::{Path, PathBuf};

/// What the names of the files beside it end with.
pub(crate) const FILES: [&str; 2] = [".lock", ".new"];

/// What the name of its journal's folder ends with, of stores that have one. It is a part of the store.
pub(crate) const JOURNAL: &str = "-journal";

/// Returns a path with something added to its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns the folder of the journal that the store in a file may have.
pub(crate) fn journal_of(file: &Path) -> PathBuf {
    with_suffix(&nofx_platform::real(file).unwrap_or_else(|_| file.to_owned()), JOURNAL)
}
