//! How far long work is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far work is that may take long. Clones tell of the same work.
///
/// The caller looks as often as it likes; the work never waits for it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Done>>);

/// What is done of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What is being done, such as `searching`; nothing before it has begun.
    pub phase: &'static str,
    /// How many things are done.
    pub done: u64,
    /// How many there are in all, as far as that is known; zero if it is not.
    pub total: u64,
}

impl Progress {
    /// Returns what is done.
    pub fn get(&self) -> Done {
        *self.done()
    }

    /// Begins a phase, of which nothing is done.
    pub fn begin(&self, phase: &'static str) {
        *self.done() = Done { phase, ..Done::default() };
    }

    /// Says that so many more things are to be done.
    pub fn expect(&self, things: u64) {
        let mut done = self.done();
        done.total = done.total.saturating_add(things);
    }

    /// Says that so many more things are done.
    pub fn advance(&self, things: u64) {
        let mut done = self.done();
        done.done = done.done.saturating_add(things);
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
