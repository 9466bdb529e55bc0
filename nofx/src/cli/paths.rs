//! Resolves paths.

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
