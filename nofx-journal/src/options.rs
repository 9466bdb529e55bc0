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
    /// What a test breaks on purpose.
    #[cfg(test)]
    pub(crate) sabotage: Option<Sabotage>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sources: Sources::default(),
            lock_wait: Duration::from_secs(5),
            apply_after: Duration::from_secs(60),
            segment_bytes: 2 << 20,
            #[cfg(test)]
            sabotage: None,
        }
    }
}

/// A fault in the commit path that the tests must notice.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A group is acknowledged before it is flushed.
    SkipFlush,
    /// A segment is reused before the base holds what it covers.
    EarlyReuse,
    /// The journal continues in the same file after a failed flush.
    TrustAfterFailure,
    /// The base still says that it is complete after the next commit.
    StayComplete,
    /// What a process finds without a tip from the current system start is not made durable before it is
    /// reported.
    TellUnflushed,
}

#[cfg(test)]
impl Options {
    pub(crate) fn breaks(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}
