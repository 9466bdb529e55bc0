//! The files that git tracks, or would track after `git add`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::workspace::root;

/// Every such text file, by its path from the root with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the files as they are in the working tree; those that are not text are left out.
    pub(crate) fn read() -> Result<Tree> {
        let mut files = BTreeMap::new();
        for path in tracked()? {
            let place = root().join(&path);
            if !place.is_file() {
                continue; // removed, and not yet committed
            }
            let bytes = std::fs::read(&place).map_err(|error| format!("cannot read {path}: {error}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.insert(path, text);
            }
        }
        Ok(Tree { files })
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns the text of a file, empty if it does not exist.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Tree { files: files.iter().map(owned).collect() }
    }
}

/// Returns a path below the root in the form that [`Tree`] uses.
pub(crate) fn relative(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    let parts = inside.iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// Returns the paths of all such files from the root, with `/` between the parts.
pub(crate) fn tracked() -> Result<Vec<String>> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let listing = listing.map_err(|error| format!("cannot start git, which lists the tracked files: {error}"))?;
    if !listing.status.success() {
        let reason = String::from_utf8_lossy(&listing.stderr);
        return Err(format!("`git ls-files` failed; run tidy in a clone: {}", reason.trim()).into());
    }
    let names = String::from_utf8(listing.stdout)?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}
