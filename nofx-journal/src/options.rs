//! Options for opening a store with a journal.

use std::time::Duration;

use nofx_core::Sources;

/// Options for opening a store with a journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where random numbers come from.
    pub sources: Sources,
    /// How long to wait for another process before returning [`Locked`](nofx_core::Error::Locked). 5 seconds.
    pub lock_wait: Duration,
    /// How long commits may stay only in the journal, if there are few. A minute.
    pub apply_after: Duration,
    /// The size of a segment of the journal, in bytes. 2 MiB.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sources: Sources::default(),
            lock_wait: Duration::from_secs(5),
            apply_after: Duration::from_secs(60),
            segment_bytes: 2 << 20,
        }
    }
}
