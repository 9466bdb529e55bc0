//! The folders that a path lacks.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the folders above a path that do not exist, the lowest first.
pub(crate) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let above = path.ancestors().skip(1);
    above.take_while(|folder| fs::symlink_metadata(folder).is_err()).map(Path::to_owned).collect()
}
