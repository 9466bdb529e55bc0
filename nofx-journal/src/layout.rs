//! Which file holds what. All paths are relative to the folder of a [`Files`](crate::files::Files).

use std::path::{Path, PathBuf};

/// Where the journal of a store is, and what its segments begin with: each kind of store has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    folder: PathBuf,
    lock: PathBuf,
    apply_lock: PathBuf,
    tip: PathBuf,
    tip_beside: PathBuf,
    pub(crate) magic: Magic,
}

/// The first bytes of a segment: a name, and the version of the format.
pub type Magic = [u8; 8];

impl Layout {
    /// Describes a journal in a folder, whose segments begin with these bytes.
    pub fn new(folder: impl Into<PathBuf>, magic: Magic) -> Self {
        let folder = folder.into();
        let [lock, apply_lock, tip, tip_beside] =
            ["lock", "apply-lock", "tip", "tip~new"].map(|name| folder.join(name));
        Self { folder, lock, apply_lock, tip, tip_beside, magic }
    }

    /// Returns the folder of the journal.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the file whose lock a process holds while it commits.
    pub fn lock(&self) -> &Path {
        &self.lock
    }

    /// Returns the file whose lock a process holds while it brings the base up to date.
    pub fn apply_lock(&self) -> &Path {
        &self.apply_lock
    }

    /// Returns the file that says how far the journal is durable.
    pub fn tip(&self) -> &Path {
        &self.tip
    }

    /// Returns the path of a new tip that replaces one that could not be written.
    pub(crate) fn tip_beside(&self) -> &Path {
        &self.tip_beside
    }
}

/// The folder for what is remembered of old commits.
pub const FEED: &str = "feed";
/// The folder to which unreadable files are moved when something new needs their place.
pub const DAMAGED: &str = "damaged";
