//! What paths really lead to.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the real path of something that may not exist yet.
pub(crate) fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = Vec::new();
    for existing in absolute.ancestors() {
        if let Ok(real) = nofx_platform::real(existing) {
            return missing.iter().rev().fold(real, |path, name| path.join(name));
        }
        missing.extend(existing.file_name());
    }
    absolute
}

/// Returns the folders above a path that do not exist, the lowest first.
pub(crate) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let above = path.ancestors().skip(1);
    above.take_while(|folder| fs::symlink_metadata(folder).is_err()).map(Path::to_owned).collect()
}

/// Returns a path with something added to its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns how many bytes a file has, or all files in a folder together. What cannot be looked at counts nothing.
pub(crate) fn bytes_below(path: &Path) -> u64 {
    let mut bytes = 0;
    let mut paths = vec![path.to_owned()];
    while let Some(path) = paths.pop() {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                paths.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
            Ok(found) => bytes += found.len(),
            Err(_) => {}
        }
    }
    bytes
}
