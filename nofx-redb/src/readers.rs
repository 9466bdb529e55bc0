//! The threads that read, a few for all stores of a process.
//!
//! A page of redb's cache is in the memory of the thread that read it, and the system's allocator keeps for a thread what it once had.
//! With a thread for each caller a process grew to several times its cache. Two keep a disk busy.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nofx_core::{Error, Result};
use tokio::sync::oneshot;

/// The most threads.
const MOST: usize = 2;

/// After so long without anything to read a thread ends.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

static READERS: Readers = Readers { state: Mutex::new(State::new()), more: Condvar::new() };

#[derive(Debug)]
struct Readers {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// How many of them wait for a job.
    idle: usize,
}

/// Reads on one of the threads; in a program without a runtime, here. A caller who stops waiting does not hold up others.
pub(crate) async fn read<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return act();
    }
    let (answer, answered) = oneshot::channel();
    READERS.hand_in(Box::new(move || {
        if !answer.is_closed() {
            _ = answer.send(act());
        }
    }))?;
    answered.await.unwrap_or_else(|error| Err(Error::unavailable_because("waiting for a thread that reads", error)))
}

impl Readers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_in(&'static self, job: Job) -> Result<()> {
        let mut state = self.state();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle || state.threads == MOST {
            self.more.notify_one();
            return Ok(());
        }
        let spawned = thread::Builder::new().name("nofx-read".to_owned()).spawn(|| self.work());
        match spawned {
            Ok(_) => state.threads += 1,
            // Another one takes it.
            Err(_) if state.threads > 0 => {}
            Err(error) => {
                state.jobs.pop_back();
                return Err(Error::unavailable_because("starting a thread that reads", error));
            }
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // The caller of one that panicked finds its channel closed.
                _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state();
                continue;
            }
            state.idle += 1;
            let (woken, waited) = self.more.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

impl State {
    const fn new() -> Self {
        Self { jobs: VecDeque::new(), threads: 0, idle: 0 }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("jobs", &self.jobs.len()).field("threads", &self.threads).finish_non_exhaustive()
    }
}
