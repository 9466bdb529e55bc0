//! How a store is opened.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nofx_core::Sources;

/// How a store is opened. The default suits an editor's extension host.
///
/// Handles that one process has on one file share everything below them, so `cache_bytes`, `lock_wait`, `idle`, `apply_after`,
/// `sources` and `probe` are those of the handle that was opened first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The most memory that redb uses for pages, in bytes. 32 MiB.
    pub cache_bytes: usize,
    /// The longest wait for another process, before [`Locked`](nofx_core::Error::Locked). 5 seconds.
    pub lock_wait: Duration,
    /// After so long without a commit the file is put into order and closed for writing. 250 milliseconds.
    pub idle: Duration,
    /// Whether a file that does not exist is made. It is.
    pub create: bool,
    /// Whether this handle only reads. The file is then never written, not even to repair it after a crash. It is not.
    pub read_only: bool,
    /// Whether a store that is made commits to a journal, the folder `<file>-journal` beside the file, which the file follows in the
    /// background. It does not.
    ///
    /// A store that exists goes on as it was made, whatever this says. File and journal are one store; neither is anything without the other.
    pub journal: bool,
    /// How long commits may stay in the journal only, as long as they are few. A minute. It counts for stores with a journal.
    pub apply_after: Duration,
    /// Where the id of a new store comes from.
    pub sources: Sources,
    /// Sees each access to the file, for tests. There is none.
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

/// Sees each access to the store's file just before it happens and can make it fail; for tests.
pub trait Probe: Debug + Send + Sync + 'static {
    /// An error is what the access answers instead of happening.
    fn access(&self, access: &Access<'_>) -> io::Result<()>;
}

/// An access to the store's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access<'a> {
    /// Bytes are read.
    Read {
        /// Where.
        offset: u64,
        /// How many.
        length: usize,
    },
    /// Bytes are written.
    Write {
        /// Where.
        offset: u64,
        /// Which.
        bytes: &'a [u8],
    },
    /// The file is made shorter or longer.
    Resize {
        /// The new length in bytes.
        length: u64,
    },
    /// What was written is brought to the disk.
    Flush,
    /// A part of the file is locked, or asked about.
    Lock,
}
