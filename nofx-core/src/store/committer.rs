//! The queue of an open store, and the thread that commits what callers do not commit themselves.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

use super::turn::{GROUP_BATCHES, Turn, Turns, Waiting};
use crate::backend::PersistenceBackend;
use crate::batch::{Batch, Outcome};
use crate::error::{Error, Result};

/// How long [`Store::close`](crate::Store::close) waits for commits in flight.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// The submission queue and its commit thread, which ends when this is closed or dropped.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Mutex<Option<mpsc::Sender<Waiting>>>,
    turns: Arc<Turns>,
    end: Arc<End>,
}

impl Committer {
    pub(super) fn start(backend: Arc<dyn PersistenceBackend>) -> Self {
        let (queue, waiting) = mpsc::channel(GROUP_BATCHES);
        let (turns, handed_over) = Turns::new(backend, waiting);
        let end = Arc::new(End::default());
        // Dropped with the thread, even when a backend panics.
        let ending = Ending(end.clone());
        let working = turns.clone();
        // The thread enters the caller's runtime, because a backend that uses a network needs one.
        let runtime = Handle::try_current();
        let spawned = thread::Builder::new().name("nofx-commit".to_owned()).spawn(move || {
            let work = run(&working, handed_over);
            let result = match runtime {
                Ok(runtime) => runtime.block_on(work),
                Err(_) => match Builder::new_current_thread().build() {
                    Ok(runtime) => runtime.block_on(work),
                    Err(error) => Err(Error::unavailable_because("starting a runtime for commits", error)),
                },
            };
            ending.0.set(result);
        });
        if let Err(error) = spawned {
            end.set(Err(Error::unavailable_because("starting the commit thread", error)));
            turns.end();
        }
        Self { queue: Mutex::new(Some(queue)), turns, end }
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<Outcome> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)?;
        let (answer, outcome) = oneshot::channel();
        if queue.send(Waiting { batch, answer }).await.is_err() {
            return Err(self.end.reason());
        }
        // A close waits until no more batches can be added; it must not also wait for this outcome.
        drop(queue);
        self.turns.serve().await;
        outcome.await.unwrap_or_else(|_| Err(Error::unknown("the commit thread has stopped")))
    }

    pub(super) async fn close(&self) -> Result<()> {
        self.take_no_more();
        let (end, (answer, outcome)) = (self.end.clone(), oneshot::channel());
        // A thread rather than a timer: there may be no runtime, or one without timers.
        let waiter = thread::Builder::new().name("nofx-close".to_owned());
        let waiting = waiter.spawn(move || answer.send(end.wait(CLOSE_WAIT)));
        waiting.map_err(|error| Error::unknown_because("waiting for the last commit", error))?;
        outcome.await.unwrap_or_else(|_| Err(Error::unknown("waiting for the last commit")))
    }

    fn take_no_more(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.turns.end();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.take_no_more();
    }
}

/// How the commit thread ended, once it has.
#[derive(Debug, Default)]
struct End {
    result: Mutex<Option<Result<()>>>,
    ended: Condvar,
}

impl End {
    fn set(&self, result: Result<()>) {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(result);
        self.ended.notify_all();
    }

    fn wait(&self, bound: Duration) -> Result<()> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_timeout_while(result, bound, |result| result.is_none());
        let (result, _) = waited.unwrap_or_else(PoisonError::into_inner);
        result.clone().unwrap_or_else(|| Err(Error::unknown("closing: a commit is still in flight")))
    }

    /// Returns why nothing more can be committed.
    fn reason(&self) -> Error {
        match &*self.result.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Err(error)) => error.clone(),
            _ => Error::Closed,
        }
    }
}

/// Reports the end of the thread if it ended without reporting a result itself.
struct Ending(Arc<End>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set(Err(Error::unavailable("the commit thread has stopped; open the store again")));
    }
}

/// Commits what callers leave to the thread, until nothing more can be added.
async fn run(turns: &Turns, mut handed_over: mpsc::UnboundedReceiver<Turn>) -> Result<()> {
    while let Some(mut turn) = handed_over.recv().await {
        turn.commit_all().await;
        while let Some(mut more) = turns.give_back(turn) {
            if turns.is_ending() {
                return more.finish().await;
            }
            more.commit_all().await;
            turn = more;
        }
    }
    Err(Error::unavailable("the commit queue was lost; open the store again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_that_are_still_in_flight_may_happen() {
        assert_eq!(End::default().wait(Duration::ZERO).unwrap_err().code(), "unknown");
    }
}
