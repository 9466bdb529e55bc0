//! The thread through which all commits of one open store go.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

use crate::backend::PersistenceBackend;
use crate::batch::{Batch, Outcome};
use crate::error::{Error, Result};

/// How many batches may share one flush, and how many may wait before callers do.
pub const GROUP_BATCHES: usize = 1024;

/// How long [`Store::close`](crate::Store::close) waits for commits in flight.
pub const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// How often a group whose outcome is unknown is committed again.
const SETTLE_TRIES: usize = 3;

/// The sending side of the commit thread, which ends when this is closed or dropped.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Mutex<Option<mpsc::Sender<Waiting>>>,
    end: Arc<End>,
}

/// A batch and the caller who waits for it, or has stopped waiting.
#[derive(Debug)]
struct Waiting {
    batch: Batch,
    answer: oneshot::Sender<Result<Outcome>>,
}

impl Committer {
    pub(super) fn start(backend: Arc<dyn PersistenceBackend>) -> Self {
        let (queue, waiting) = mpsc::channel(GROUP_BATCHES);
        let end = Arc::new(End::default());
        // Dropped with the thread, also when a backend panics.
        let ending = Ending(end.clone());
        // A commit may block the thread that polls it until the disk has answered, so the thread is nobody else's. It enters
        // the caller's runtime, because a backend that talks to a network needs one.
        let runtime = Handle::try_current();
        let spawned = thread::Builder::new().name("nofx-commit".to_owned()).spawn(move || {
            let work = run(&*backend, waiting);
            let result = match runtime {
                Ok(runtime) => runtime.block_on(work),
                Err(_) => match Builder::new_current_thread().build() {
                    Ok(runtime) => runtime.block_on(work),
                    Err(error) => Err(Error::unavailable_because("starting to commit", error)),
                },
            };
            ending.0.tell(result);
        });
        if let Err(error) = spawned {
            end.tell(Err(Error::unavailable_because("starting the thread that commits", error)));
        }
        Self { queue: Mutex::new(Some(queue)), end }
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<Outcome> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)?;
        let (answer, outcome) = oneshot::channel();
        if queue.send(Waiting { batch, answer }).await.is_err() {
            return Err(self.end.reason());
        }
        outcome.await.unwrap_or_else(|_| Err(Error::unknown("the thread that commits has stopped")))
    }

    pub(super) async fn close(&self) -> Result<()> {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let (end, (answer, outcome)) = (self.end.clone(), oneshot::channel());
        // A thread and not a timer: there may be no runtime, or one without timers.
        let waiter = thread::Builder::new().name("nofx-close".to_owned());
        let waiting = waiter.spawn(move || answer.send(end.wait(CLOSE_WAIT)));
        waiting.map_err(|error| Error::unavailable_because("waiting for the last commit", error))?;
        outcome.await.unwrap_or_else(|_| Err(Error::unavailable("waiting for the last commit")))
    }
}

/// How the commit thread ended, once it has.
#[derive(Debug, Default)]
struct End {
    result: Mutex<Option<Result<()>>>,
    told: Condvar,
}

impl End {
    fn tell(&self, result: Result<()>) {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(result);
        self.told.notify_all();
    }

    fn wait(&self, bound: Duration) -> Result<()> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.told.wait_timeout_while(result, bound, |result| result.is_none());
        let (result, _) = waited.unwrap_or_else(PoisonError::into_inner);
        result.clone().unwrap_or_else(|| Err(Error::unavailable("closing: a commit is still in flight")))
    }

    /// Returns why nothing can be committed any more.
    fn reason(&self) -> Error {
        match &*self.result.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Err(error)) => error.clone(),
            _ => Error::Closed,
        }
    }
}

/// Tells that the thread has ended when it did so without saying how.
struct Ending(Arc<End>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.tell(Err(Error::unavailable("the thread that commits has stopped; open the store again")));
    }
}

/// Commits what waits, until nobody can add to it any more.
async fn run(backend: &dyn PersistenceBackend, mut waiting: mpsc::Receiver<Waiting>) -> Result<()> {
    let group_bytes = backend.info().limits.batch_bytes;
    while let Some(first) = waiting.recv().await {
        let mut bytes = first.batch.body_bytes();
        let mut group = vec![first];
        // Whoever arrived during the last flush shares the next one; nobody waits for a group to fill.
        while group.len() < GROUP_BATCHES
            && bytes < group_bytes
            && let Ok(next) = waiting.try_recv()
        {
            bytes += next.batch.body_bytes();
            group.push(next);
        }
        commit_group(backend, group).await;
    }
    backend.close().await
}

async fn commit_group(backend: &dyn PersistenceBackend, group: Vec<Waiting>) {
    let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|one| (one.batch, one.answer)).unzip();
    let Settled { result, unknown } = settle(backend, &batches, None).await;
    match result {
        Ok(outcomes) => answers.into_iter().zip(outcomes).for_each(|(answer, outcome)| _ = answer.send(Ok(outcome))),
        // Nobody fails for a neighbour who asks for too much or for what is damaged: each is tried alone.
        Err(Error::Full(_) | Error::Invalid(_) | Error::Corrupt(_)) if batches.len() > 1 => {
            for (batch, answer) in batches.into_iter().zip(answers) {
                let alone = settle(backend, &[batch], unknown.clone()).await;
                _ = answer.send(alone.told().and_then(only));
            }
        }
        result => {
            let told = Settled { result, unknown }.told().err();
            answers.into_iter().zip(told.into_iter().cycle()).for_each(|(answer, error)| _ = answer.send(Err(error)));
        }
    }
}

/// How committing a group ended, and whether an earlier try of it may have happened.
struct Settled {
    result: Result<Vec<Outcome>>,
    unknown: Option<Error>,
}

impl Settled {
    /// Returns the result as callers may be told it: once a try may have happened, no later failure says that none did.
    fn told(self) -> Result<Vec<Outcome>> {
        self.result.map_err(|error| self.unknown.unwrap_or(error))
    }
}

/// Commits a group, again if its outcome is unknown: the ids of its batches make that safe.
async fn settle(backend: &dyn PersistenceBackend, batches: &[Batch], mut unknown: Option<Error>) -> Settled {
    let mut tries = 0;
    loop {
        tries += 1;
        let result = backend.commit(batches.to_vec()).await;
        if let Err(Error::Unknown(_)) = &result {
            unknown = result.as_ref().err().cloned();
            if tries < SETTLE_TRIES {
                continue;
            }
        }
        return Settled { result, unknown };
    }
}

fn only(outcomes: Vec<Outcome>) -> Result<Outcome> {
    outcomes.into_iter().next().ok_or_else(|| Error::corrupt("the outcome of a commit: there is none"))
}
