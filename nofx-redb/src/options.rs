//! How a store is opened.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nofx_core::Sources;

/// How a store is opened. The defaults suit an editor's extension host.
///
/// All handles of a process on the same file share what is below them, so `cache_bytes`, `lock_wait`, `idle`,
/// `apply_after`, `sources` and `probe` are those of the handle that was opened first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The most memory that redb uses for pages, in bytes. Default: 32 MiB.
    pub cache_bytes: usize,
    /// The longest wait for another process before [`Locked`](nofx_core::Error::Locked). Default: 5 seconds.
    pub lock_wait: Duration,
    /// How long after the last commit the file is tidied up and closed for writing. Default: 250 milliseconds.
    pub idle: Duration,
    /// Whether to create the file if it does not exist. Default: `true`.
    pub create: bool,
    /// Whether this handle only reads. The file is then never written, not even to repair it after a crash. Default:
    /// `false`.
    pub read_only: bool,
    /// Whether a new store commits to a journal, the folder `<file>-journal` beside the file, which the file follows in
    /// the background. Default: `false`.
    ///
    /// An existing store stays as it was created, whatever this says. File and journal are one store; neither is
    /// complete without the other.
    pub journal: bool,
    /// How long commits may stay in the journal alone while there are few of them. Only for stores with a journal.
    /// Default: a minute.
    pub apply_after: Duration,
    /// The source of a new store's id.
    pub sources: Sources,
    /// Sees each access to the file, for the tests and benchmarks of this workspace. Default: none.
    #[doc(hidden)]
    pub probe: Option<Arc<dyn Probe>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            lock_wait: Duration::from_secs(5),
            idle: Duration::from_millis(250),
            create: true,
            read_only: false,
            journal: false,
            apply_after: Duration::from_secs(60),
            sources: Sources::default(),
            probe: None,
        }
    }
}

/// Sees each access to the store's file just before it happens, and can make it fail; for tests and benchmarks.
#[doc(hidden)]
pub trait Probe: Debug + Send + Sync + 'static {
    /// Called before an access. If it returns an error, the access returns that error instead of happening.
    fn access(&self, access: &Access<'_>) -> io::Result<()>;
}

/// An access to the store's file.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access<'a> {
    /// Reads bytes.
    Read {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        length: usize,
    },
    /// Writes bytes.
    Write {
        /// Where they begin.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Makes the file shorter or longer.
    Resize {
        /// The new length in bytes.
        length: u64,
    },
    /// Flushes what was written to the disk.
    Flush,
    /// Locks a part of the file, or asks whether it is locked.
    Lock,
}
