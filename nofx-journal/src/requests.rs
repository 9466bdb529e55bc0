//! Requests to the thread that brings a store up to date with its journal.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nofx_core::{Deadline, Result};

/// The first pause after the store could not be brought up to date.
const RETRY: Duration = Duration::from_secs(1);
/// The longest pause after repeated failures.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// What is asked of the thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Request {
    dirty: bool,
    full: bool,
    stop: bool,
}

/// The requests to the thread that applies what was committed, and its pauses.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    request: Mutex<Request>,
    bell: Condvar,
}

impl Requests {
    /// Reports that something was committed. If `full`, there is enough to apply it at once.
    pub(crate) fn committed(&self, full: bool) {
        self.ask(Request { dirty: true, full, stop: false });
    }

    /// Ends [`serve`](Self::serve), because the store is being closed.
    pub(crate) fn stop(&self) {
        self.ask(Request { stop: true, ..Request::default() });
    }

    /// Returns whether the store is being closed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.locked().stop
    }

    /// Applies what was committed, until the store is closed: so long `after` the first commit, or at once if there is
    /// enough. After a failure it tries again, at first after a second, later after up to half a minute.
    pub(crate) fn serve(&self, after: Duration, apply: impl Fn() -> Result<()>) {
        let mut pause = None;
        while !self.wait(pause, after).stop {
            pause = match apply() {
                Ok(()) => None,
                // Trying constantly does not help.
                Err(_) => Some(pause.map_or(RETRY, |before: Duration| MAX_RETRY.min(before * 2))),
            };
        }
    }

    fn ask(&self, what: Request) {
        let mut request = self.locked();
        let asked = Request {
            dirty: request.dirty | what.dirty,
            full: request.full | what.full,
            stop: request.stop | what.stop,
        };
        if asked != *request {
            *request = asked;
            self.bell.notify_all();
        }
    }

    /// Waits until there is something to do and it is time to do it: after `pause` if the last attempt failed.
    fn wait(&self, pause: Option<Duration>, after: Duration) -> Request {
        let mut request = self.locked();
        while !(request.stop || request.dirty || pause.is_some()) {
            request = self.bell.wait(request).unwrap_or_else(PoisonError::into_inner);
        }
        let deadline = Deadline::after(pause.unwrap_or(after));
        while !(request.stop || request.full && pause.is_none() || deadline.has_passed()) {
            let waited = self.bell.wait_timeout(request, deadline.remaining());
            request = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let asked = *request;
        *request = Request { stop: asked.stop, ..Request::default() };
        asked
    }

    fn locked(&self) -> MutexGuard<'_, Request> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use nofx_core::Error;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_full_journal_is_applied_at_once_and_a_failure_is_repeated_after_a_pause() {
        let (requests, clock) = (Requests::default(), Deadline::after(LONG));
        let (applied, applies) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                requests.serve(LONG, || {
                    _ = applied.send(clock.elapsed());
                    Err(Error::Closed)
                });
            });
            requests.committed(false);
            requests.committed(true);
            let first = applies.recv().unwrap();
            requests.committed(true);
            let second = applies.recv().unwrap();
            requests.stop();
            assert!(second - first >= RETRY, "after {first:?} again at {second:?}");
        });
        assert!(requests.is_stopped());
    }
}
