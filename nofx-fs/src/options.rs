//! How a store is opened.

use std::time::Duration;

use nofx_core::Sources;
use nofx_journal::Applies;

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
    /// Whether this process brings the files up to date without being asked.
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

impl Options {
    pub(crate) fn of_engine(&self) -> nofx_journal::Options {
        let mut engine = nofx_journal::Options::default();
        (engine.sources, engine.lock_wait) = (self.sources.clone(), self.lock_wait);
        (engine.apply_after, engine.segment_bytes) = (self.apply_after, self.segment_bytes);
        // Each file of a run costs a flush, however much it gets.
        (engine.run_bytes, engine.run_commits) = (self.segment_bytes, u64::MAX);
        engine.applies = if self.applies { Applies::AllAtClose } else { Applies::OnRequest };
        engine
    }
}
