//! The threads that read, a few for all stores of a process, and how many callers read on their own.
//!
//! A page of redb's cache is in the memory of the thread that read it, and the system's allocator keeps the memory that
//! a thread once had. With a thread for each caller a process grew to several times its cache. Two concurrent reads keep
//! a disk busy. The caller makes them itself where its thread may wait for a disk: most reads take less time than waking
//! another thread.
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

use nofx_core::{Error, MayBlock, Result};
use tokio::sync::oneshot;

/// The most reads at a time, apart from those of stores that are set aside.
const MAX_READS: usize = 2;

/// A thread ends after this long without a read.
const IDLE_TIME: Duration = Duration::from_secs(10);

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
    /// How many callers read on their own threads.
    callers: usize,
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
    /// The store that this thread is reading, if it is one of these threads or reads for itself.
    static STORE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Reads a store, on the current thread if that may wait for a disk, and otherwise on one of the threads. A caller that
/// stops waiting does not delay others.
pub(crate) async fn read<T: Send + 'static>(
    store: usize,
    act: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match MayBlock::here().zip(READERS.enter(store)) {
        Some((may_block, reader)) => {
            may_block
                .run(move || {
                    STORE.set(Some(store));
                    let done = act();
                    drop(reader);
                    done
                })
                .await
        }
        None => on_a_thread(store, act).await,
    }
}

async fn on_a_thread<T: Send + 'static>(store: usize, act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
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
            Err(error) if state.threads + state.callers == state.waits() => {
                state.jobs.pop_back();
                Err(Error::unavailable_because("starting a thread that reads", error))
            }
            _ => Ok(()),
        }
    }

    /// Wakes a thread for the queued jobs, or starts one.
    fn see_to_jobs(&'static self, state: &mut State) -> io::Result<()> {
        if state.jobs.len() <= state.idle || state.reading() + state.idle >= MAX_READS {
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
            if state.threads.saturating_sub(state.waits()) > MAX_READS {
                state.threads -= 1;
                return;
            }
            if state.reading() <= MAX_READS
                && let Some((store, job)) = state.next_job()
            {
                drop(state);
                STORE.set(Some(store));
                // If the job panics, its caller finds the channel closed.
                _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state();
                state.reads(store, |reads| reads.begun -= 1);
                continue;
            }
            state.idle += 1;
            let (woken, waited) = self.more.wait_timeout(state, IDLE_TIME).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

/// A caller that reads on its own thread, while this exists.
#[derive(Debug)]
struct Caller(usize);

impl Readers {
    /// Lets a caller read on its own thread, unless others read or wait to.
    fn enter(&self, store: usize) -> Option<Caller> {
        let mut state = self.state();
        let may_begin = state.jobs.is_empty() && state.reading() < MAX_READS && state.may_begin(store);
        may_begin.then(|| {
            state.callers += 1;
            state.reads(store, |reads| reads.begun += 1);
            Caller(store)
        })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        STORE.set(None);
        let mut state = READERS.state();
        state.callers -= 1;
        state.reads(self.0, |reads| reads.begun -= 1);
        if !state.jobs.is_empty() && READERS.see_to_jobs(&mut state).is_err() && state.threads == state.waits() {
            // Their callers find the channels closed.
            state.jobs.clear();
        }
    }
}

/// Marks a read as waiting for another process, while this exists.
#[derive(Debug)]
pub(crate) struct WaitingRead(Option<usize>);

impl WaitingRead {
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

impl Drop for WaitingRead {
    fn drop(&mut self) {
        let Some(store) = self.0 else { return };
        READERS.state().reads(store, |reads| reads.waiting -= 1);
        READERS.more.notify_one();
    }
}

impl State {
    const fn new() -> Self {
        Self { jobs: VecDeque::new(), threads: 0, idle: 0, callers: 0, stores: BTreeMap::new() }
    }

    /// Returns how many reads are in progress, apart from those of stores that are set aside.
    fn reading(&self) -> usize {
        (self.threads + self.callers - self.idle).saturating_sub(self.waits())
    }

    /// Returns how many reads are in progress in stores that are set aside.
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

    fn may_begin(&self, store: usize) -> bool {
        self.stores.get(&store).is_none_or(|reads| reads.waiting == 0)
    }

    /// Starts the first job of a store that is not set aside.
    fn next_job(&mut self) -> Option<Job> {
        let at = self.jobs.iter().position(|(store, _)| self.may_begin(*store))?;
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
