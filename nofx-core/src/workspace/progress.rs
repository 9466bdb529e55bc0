//! The progress of long work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The progress of work that may take long. Clones share it.
///
/// The caller reads it as often as it likes; the work never waits for it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Done>>);

/// How much of a phase is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What is being done, such as `searching`; empty before it has begun.
    pub phase: &'static str,
    /// How many items are done.
    pub done: u64,
    /// How many there are in total, if known; zero otherwise.
    pub total: u64,
}

impl Progress {
    /// Returns the current progress.
    pub fn get(&self) -> Done {
        *self.done()
    }

    /// Begins a phase, with nothing done.
    pub fn begin(&self, phase: &'static str) {
        *self.done() = Done { phase, ..Done::default() };
    }

    /// Adds to the total.
    pub fn expect(&self, things: u64) {
        let mut done = self.done();
        done.total = done.total.saturating_add(things);
    }

    /// Adds to the number of items done.
    pub fn advance(&self, things: u64) {
        let mut done = self.done();
        done.done = done.done.saturating_add(things);
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
