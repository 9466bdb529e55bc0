//! The files and folders that a store in one file has beside that file.

use std::path::{Path, PathBuf};

/// The suffixes of the files beside it.
pub(crate) const FILES: [&str; 2] = [".lock", ".new"];

/// The suffix of its journal's folder, if it has a journal. The journal is part of the store.
pub(crate) const JOURNAL: &str = "-journal";

/// Returns a path with a suffix added to its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns the folder of the journal that a store in a file may have.
pub(crate) fn journal_of(file: &Path) -> PathBuf {
    with_suffix(&nofx_platform::real(file).unwrap_or_else(|_| file.to_owned()), JOURNAL)
}
