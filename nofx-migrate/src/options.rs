//! How a migration is done, and who watches it.

use std::fmt;
use std::path::PathBuf;

/// How a migration is done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Whether to read and judge everything but write nothing.
    pub dry_run: bool,
    /// Whether to read the target back afterwards and compare it with the source, which is read again.
    pub verify: bool,
    /// Where the target is kept, if that is a path: it may not lie among the files that are read.
    ///
    /// The folder `store` directly in the source is the usual place of a store, and `archives/NAME/store` that of a copy; nothing in them is
    /// read.
    pub target_path: Option<PathBuf>,
    /// What else is imported with the legacy folder, if it is [`Elsewhere`](crate::Elsewhere): the state that VS Code keeps for the
    /// extension, and folders of orchestration messages.
    pub also: Vec<PathBuf>,
    /// About how many bytes of the source are in memory at once; [`MEMORY`] unless told otherwise.
    ///
    /// A larger file is read alone, and as a whole. What the bytes become, the caches of the store, and some hundred bytes for each
    /// file and each session come to that. With little memory batches are small.
    pub memory: u64,
}

/// How many bytes of the source are in memory at once, if nobody says otherwise: 64 MiB.
pub const MEMORY: u64 = 64 << 20;

impl Default for Options {
    fn default() -> Self {
        Self { dry_run: false, verify: false, target_path: None, also: Vec::new(), memory: MEMORY }
    }
}

/// Watches a migration.
///
/// Each phase is told first, then how much it has to do, then each file as it is finished.
pub trait Progress: fmt::Debug + Send + Sync {
    /// A phase begins: `reading`, `writing` or `verifying`.
    fn phase(&self, name: &'static str);
    /// The phase has to do with so many files and bytes.
    fn total(&self, files: u64, bytes: u64);
    /// The phase has finished with a file.
    fn advance(&self, path: &str, bytes: u64);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn phase(&self, _name: &'static str) {}
    fn total(&self, _files: u64, _bytes: u64) {}
    fn advance(&self, _path: &str, _bytes: u64) {}
}
