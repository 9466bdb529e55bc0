//! The options and the progress of a migration.

use std::fmt;
use std::path::PathBuf;

/// Options of a migration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Whether to read and check everything but write nothing.
    pub dry_run: bool,
    /// Whether to read the target back afterwards and compare it with the source, which is read again.
    pub verify: bool,
    /// The path of the target, if it has one: it must not lie among the files that are read.
    ///
    /// The folder `store` directly in the source is the usual place of a store, and `archives/NAME/store` that of a copy; nothing in them
    /// is read.
    pub target_path: Option<PathBuf>,
    /// What else to import with the legacy folder, as [`OutsideSource`](crate::OutsideSource): the state that VS Code keeps for the
    /// extension, and folders of orchestration messages.
    pub also: Vec<PathBuf>,
    /// About how many bytes of the source are in memory at once; [`MEMORY`] by default.
    ///
    /// A larger file is read alone, and as a whole. The data made from it, the caches of the store, and some hundred bytes for each
    /// file and each session take memory too. With little memory, batches are small.
    pub memory: u64,
}

/// How many bytes of the source are in memory at once by default: 64 MiB.
pub const MEMORY: u64 = 64 << 20;

impl Default for Options {
    fn default() -> Self {
        Self { dry_run: false, verify: false, target_path: None, also: Vec::new(), memory: MEMORY }
    }
}

/// Gets the progress of a migration.
///
/// Each phase is reported first, then its total, then each file as it is finished.
pub trait MigrationProgress: fmt::Debug + Send + Sync {
    /// A phase begins: `reading`, `writing` or `verifying`.
    fn phase(&self, name: &'static str);
    /// The phase has this many files and bytes to do.
    fn total(&self, files: u64, bytes: u64);
    /// The phase has finished with a file.
    fn advance(&self, path: &str, bytes: u64);
}

/// Ignores the progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl MigrationProgress for NoProgress {
    fn phase(&self, _name: &'static str) {}
    fn total(&self, _files: u64, _bytes: u64) {}
    fn advance(&self, _path: &str, _bytes: u64) {}
}
