//! How a store behind a journal is opened.

use std::time::Duration;

use nofx_core::Sources;

/// How a store behind a journal is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where random numbers come from.
    pub sources: Sources,
    /// How long to wait for another process before answering [`Locked`](nofx_core::Error::Locked). 5 seconds.
    pub lock_wait: Duration,
    /// How long commits may stay in the journal only, as long as they are few. A minute.
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
    /// A group is answered before it is flushed.
    SkipFlush,
    /// A segment is used again before the base holds what it covers.
    EarlyReuse,
    /// The journal goes on in the same file after a flush failed.
    TrustAfterFailure,
    /// The base goes on saying that it is complete after the next commit.
    StayComplete,
    /// What a process finds without a tip of its own start is not made durable before it is told.
    TellUnflushed,
}

#[cfg(test)]
impl Options {
    pub(crate) fn breaks(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}
