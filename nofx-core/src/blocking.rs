//! Waiting for a disk without stopping a runtime.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::{Error, Result};
use crate::time::Deadline;

/// Runs code that may wait for a disk, or for another process, and returns its result. For backend authors.
///
/// Inside a tokio runtime it runs on one of the runtime's blocking threads, so the other tasks continue; otherwise it
/// runs on the thread that polls. Dropping the future does not stop work that has begun. `Unavailable` if the runtime
/// shuts down before it begins. A panic propagates to the caller.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// let here = nofx_core::blocking(|| Ok(std::path::Path::new("Cargo.toml").exists())).await?;
/// assert!(here);
/// # Ok(()) }
/// ```
pub async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match Handle::try_current() {
        Ok(runtime) => match runtime.spawn_blocking(act).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(Error::unavailable_because("waiting for a thread while the runtime shuts down", error)),
        },
        Err(_) => act(),
    }
}

/// Runs code that reads from a local disk and waits for nothing else, and returns its result. For backend authors.
///
/// Most reads find what they need in memory, and then waking another thread takes several times as long as reading. So
/// this runs on the thread that polls if the runtime has another worker thread that no store keeps waiting, and as
/// [`blocking`] does otherwise. Tasks that read in a loop let others run after a millisecond, or 128 reads.
pub async fn reading<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match MayBlock::here() {
        Some(may_block) => may_block.run(act).await,
        None => blocking(act).await,
    }
}

/// After a read that took longer than this, other tasks get a turn.
const TURN: Duration = Duration::from_millis(1);

/// How many worker threads wait for a disk at most. Two keep it busy.
const MAX_BLOCKED_WORKERS: usize = 2;

/// The number of worker threads that wait for a disk at this moment, in all runtimes of the process.
static BLOCKED: AtomicUsize = AtomicUsize::new(0);

/// The right to let the thread that polls wait for a disk, for backends that have threads of their own to read on
/// where [`reading`] would take one of the runtime.
#[derive(Debug)]
pub struct MayBlock(());

impl MayBlock {
    /// Returns the right unless this thread is the last one that is free: then every other task of the runtime would
    /// wait too. `None` outside a tokio runtime as well.
    pub fn here() -> Option<Self> {
        let runtime = Handle::try_current().ok().filter(|here| here.runtime_flavor() == RuntimeFlavor::MultiThread)?;
        let most = MAX_BLOCKED_WORKERS.min(runtime.metrics().num_workers() - 1);
        let more = |blocked: usize| (blocked < most).then_some(blocked + 1);
        BLOCKED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok().map(|_| Self(()))
    }

    /// Runs code on this thread, then lets other tasks run if it is their turn.
    pub async fn run<T>(self, act: impl FnOnce() -> T) -> T {
        let clock = Deadline::after(TURN);
        let done = act();
        drop(self);
        if clock.has_passed() {
            tokio::task::yield_now().await;
        } else {
            tokio::task::consume_budget().await;
        }
        done
    }
}

impl Drop for MayBlock {
    fn drop(&mut self) {
        BLOCKED.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
    use std::thread::{self, ThreadId};

    use tokio::runtime::Runtime;

    use super::*;

    /// Held by tests with several worker threads: all runtimes of a process count together.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Returns a runtime that no other test disturbs while the guard is held.
    fn workers(count: usize) -> (MutexGuard<'static, ()>, Runtime) {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        (alone, tokio::runtime::Builder::new_multi_thread().worker_threads(count).build().unwrap())
    }

    async fn thread_of_a_read() -> ThreadId {
        reading(|| Ok(thread::current().id())).await.unwrap()
    }

    #[tokio::test]
    async fn a_read_leaves_the_only_thread_of_a_runtime_free() {
        assert_ne!(thread_of_a_read().await, thread::current().id());
    }

    #[test]
    fn a_read_runs_on_the_thread_that_polls_if_a_worker_stays_free() {
        let (_alone, runtime) = workers(2);
        runtime.block_on(async {
            assert_eq!(thread_of_a_read().await, thread::current().id());
            let (begun, begins) = mpsc::channel();
            let (end, ends) = mpsc::channel::<()>();
            let slow = tokio::spawn(reading(move || {
                begun.send(()).unwrap();
                ends.recv().unwrap();
                Ok(())
            }));
            begins.recv().unwrap();
            assert_ne!(thread_of_a_read().await, thread::current().id());
            end.send(()).unwrap();
            slow.await.unwrap().unwrap();
            assert_eq!(thread_of_a_read().await, thread::current().id());
        });
    }

    #[test]
    fn a_task_that_only_reads_can_be_stopped() {
        let (_alone, runtime) = workers(8);
        runtime.block_on(async {
            let reads = tokio::spawn(async {
                loop {
                    reading(|| Ok(())).await.unwrap();
                }
            });
            tokio::task::yield_now().await;
            reads.abort();
            assert!(reads.await.unwrap_err().is_cancelled());
        });
    }

    #[test]
    fn a_panic_gives_the_right_back() {
        let (_alone, runtime) = workers(4);
        runtime.block_on(async {
            for _ in 0..100 {
                let panics = tokio::spawn(reading(|| -> Result<()> { panic!("as it should") }));
                assert!(panics.await.unwrap_err().is_panic());
            }
            assert_eq!(thread_of_a_read().await, thread::current().id());
        });
    }
}
