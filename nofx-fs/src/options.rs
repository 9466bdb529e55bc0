//! How a store is opened.

use std::time::Duration;

use nofx_core::Sources;

/// How a store is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The source of times and random numbers.
    pub sources: Sources,
    /// How long to wait for another process before returning [`Locked`](nofx_core::Error::Locked). Default: 5 seconds.
    pub lock_wait: Duration,
    /// How long commits may stay in the journal only, which people cannot read. Default: a second.
    pub apply_after: Duration,
    /// The size of a segment of the journal, in bytes. The files are brought up to date at the latest when it holds this
    /// much beyond them. Default: 2 MiB.
    pub segment_bytes: u64,
    /// How many files are flushed concurrently.
    pub(crate) at_once: usize,
    /// Whether a thread of this process brings the files up to date. Otherwise that happens when the store is closed.
    pub(crate) applies: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sources: Sources::default(),
            lock_wait: Duration::from_secs(5),
            apply_after: Duration::from_secs(1),
            segment_bytes: 2 << 20,
            at_once: 16,
            applies: true,
        }
    }
}
