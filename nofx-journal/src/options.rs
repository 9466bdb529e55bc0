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
    /// The size of a run, in bytes of the journal: the base is brought up to date at the latest when it lacks this much.
    /// 1 MiB.
    pub run_bytes: u64,
    /// Likewise in commits. 1,000.
    pub run_commits: u64,
    /// Who brings the base up to date, and what is left to do when the store is closed.
    pub applies: Applies,
    /// The size of a segment of the journal, in bytes. 2 MiB.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sources: Sources::default(),
            lock_wait: Duration::from_secs(5),
            apply_after: Duration::from_secs(60),
            run_bytes: 1 << 20,
            run_commits: 1000,
            applies: Applies::default(),
            segment_bytes: 2 << 20,
        }
    }
}

/// Who brings the base of a store up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Applies {
    /// A thread. Closing leaves to the journal what is not worth a run.
    #[default]
    InRuns,
    /// A thread. Closing a store to which something was committed brings the base up to date: people read it.
    AllAtClose,
    /// Nobody, until [`Engine::apply`](crate::Engine::apply) is called.
    OnRequest,
}
