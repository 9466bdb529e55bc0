//! The threads that read, a few for all stores of a process.
//!
//! A page of redb's cache is in the memory of the thread that read it, and the system's allocator keeps the memory that
//! a thread once had. With a thread for each caller a process grew to several times its cache. Two threads keep a disk
//! busy.
//!
//! While a read of a store waits for another process, that store is set aside: its queued reads are not started, and
//! those in progress are not counted, so that other threads can serve other stores.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nofx_core::{Error, Result};
use tokio::sync::oneshot;

/// The most threads that read.
const MOST: usize = 2;

/// A thread ends after this long without a read.
const IDLE: Duration = Duration::from_secs(10);

/// A read, and the store that it reads.
type Job = (usize, Box<dyn FnOnce() + Send>);

static READERS: Readers = Readers { state: Mutex::new(State::new()), more: Condvar::new() };

#[derive(Debug)]
struct Readers {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// How many of them have no job.
    idle: usize,
    stores: BTreeMap<usize, Reads>,
}

/// The reads of a store.
#[derive(Clone, Copy, Debug, Default)]
struct Reads {
    /// How many are in progress.
    begun: usize,
    /// How many of them wait for another process. Other reads may wait for those.
    waiting: usize,
}

thread_local! {
    /// The store that this thread is reading, if it is one of these threads.
    static STORE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Reads a store on one of the threads, or on the current thread if there is no runtime. A caller that stops waiting
/// does not delay others.
pub(crate) async fn read<T: Send + 'static>(
    store: usize,
    act: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return act();
    }
    let (answer, answered) = oneshot::channel();
    let job = move || {
        if !answer.is_closed() {
            _ = answer.send(act());
        }
    };
    READERS.hand_in((store, Box::new(job)))?;
    answered.await.unwrap_or_else(|error| Err(Error::unavailable_because("waiting for a thread that reads", error)))
}

impl Readers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_in(&'static self, job: Job) -> Result<()> {
        let mut state = self.state();
        state.jobs.push_back(job);
        let spawned = self.see_to_jobs(&mut state);
        match spawned {
            // Another thread takes the job.
            Err(error) if state.threads == state.waits() => {
                state.jobs.pop_back();
                Err(Error::unavailable_because("starting a thread that reads", error))
            }
            _ => Ok(()),
        }
    }

    /// Wakes a thread for the queued jobs, or starts one.
    fn see_to_jobs(&'static self, state: &mut State) -> io::Result<()> {
        if state.jobs.len() <= state.idle || state.threads - state.waits() >= MOST {
            self.more.notify_one();
            return Ok(());
        }
        thread::Builder::new().name("nofx-read".to_owned()).spawn(|| self.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            // Another thread has replaced one that waited.
            if state.threads - state.waits() > MOST {
                state.threads -= 1;
                return;
            }
            if let Some((store, job)) = state.next_job() {
                drop(state);
                STORE.set(Some(store));
                // If the job panics, its caller finds the channel closed.
                _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state();
                state.reads(store, |reads| reads.begun -= 1);
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

/// Marks a read as waiting for another process, while this exists.
#[derive(Debug)]
pub(crate) struct Waiting(Option<usize>);

impl Waiting {
    pub(crate) fn begin() -> Self {
        let store = STORE.get();
        if let Some(store) = store {
            let mut state = READERS.state();
            state.reads(store, |reads| reads.waiting += 1);
            // Without another thread, the other reads wait as well.
            _ = READERS.see_to_jobs(&mut state);
        }
        Self(store)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(store) = self.0 else { return };
        READERS.state().reads(store, |reads| reads.waiting -= 1);
        READERS.more.notify_one();
    }
}

impl State {
    const fn new() -> Self {
        Self { jobs: VecDeque::new(), threads: 0, idle: 0, stores: BTreeMap::new() }
    }

    /// Returns how many threads are busy with stores of which a read waits for another process.
    fn waits(&self) -> usize {
        self.stores.values().filter(|reads| reads.waiting > 0).map(|reads| reads.begun).sum()
    }

    fn reads(&mut self, store: usize, change: impl FnOnce(&mut Reads)) {
        let reads = self.stores.entry(store).or_default();
        change(reads);
        if reads.begun == 0 {
            self.stores.remove(&store);
        }
    }

    /// Starts the first job of a store of which no read waits.
    fn next_job(&mut self) -> Option<Job> {
        let may_begin = |store: &usize| self.stores.get(store).is_none_or(|reads| reads.waiting == 0);
        let at = self.jobs.iter().position(|(store, _)| may_begin(store))?;
        let (store, job) = self.jobs.remove(at)?;
        self.reads(store, |reads| reads.begun += 1);
        Some((store, job))
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("jobs", &self.jobs.len()).field("threads", &self.threads).finish_non_exhaustive()
    }
}
