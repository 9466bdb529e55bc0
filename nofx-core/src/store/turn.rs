//! Who commits: a caller, if no commit is running and it would be quick, or the commit thread.
//!
//! There is one [`Turn`] for each open store. It is available while no commit is running; the one who takes it commits what
//! is waiting. A caller keeps it for one group and gives it back; if more batches came in during that time, it goes to
//! the thread, which keeps it until nothing is waiting.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::group;
use crate::backend::PersistenceBackend;
use crate::batch::{Batch, Outcome};
use crate::blocking::MayBlock;
use crate::error::Result;
use crate::record::Durability;
use crate::time::Deadline;

/// How many batches may share one flush, and how many may wait before callers do.
pub(super) const GROUP_BATCHES: usize = 1024;

/// A caller commits only if the last commit took less than this. Waking two threads costs much of that time. With a
/// slower disk a caller would gain little, and would block the other work of its thread for longer.
const QUICK: Duration = Duration::from_millis(1);

/// A caller also commits only if the last commit ended less than this ago: an idle backend may have released what it
/// needs.
const LATELY: Duration = Duration::from_millis(100);

/// After this many consecutive unshared commits, callers commit inline. On every multiple of this, a caller first yields
/// to other tasks that may be polled on its thread: once they share a flush, the thread commits again, because it
/// gathers groups better.
const ALONE: usize = 4;

/// A caller commits no group whose bodies have more bytes than this.
const SMALL: usize = 64 << 10;

/// A batch and the caller that waits for it, or has stopped waiting.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Outcome>>,
}

/// The right to commit.
pub(super) struct Turn {
    backend: Arc<dyn PersistenceBackend>,
    waiting: mpsc::Receiver<Waiting>,
    /// A commit that a caller began and left to the thread.
    begun: Option<Begun>,
    /// Until this has passed, the next commit is expected to be quick as well.
    quick: Option<Deadline>,
    /// The number of commits since the last shared one.
    alone: usize,
}

type Begun = Pin<Box<dyn Future<Output = ()> + Send>>;

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("waiting", &self.waiting.len()).field("alone", &self.alone).finish_non_exhaustive()
    }
}

impl Turn {
    /// Commits until nothing is waiting.
    pub(super) async fn commit_all(&mut self) {
        if let Some(begun) = self.begun.take() {
            begun.await;
        }
        while let Ok(first) = self.waiting.try_recv() {
            self.commit_group_of(first).await;
        }
    }

    /// Commits until nothing more can be added to the queue, then closes the backend.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.commit_all().await;
        while let Some(first) = self.waiting.recv().await {
            self.commit_group_of(first).await;
        }
        self.backend.close().await
    }

    async fn commit_group_of(&mut self, first: Waiting) {
        let (group, _) = self.group_of(first);
        let clock = Deadline::after(QUICK);
        group::commit(self.backend.clone(), group).await;
        self.took(clock.elapsed());
    }

    /// Returns the waiting batches and the bytes of their bodies. Does not wait for a group to fill.
    fn group_of(&mut self, first: Waiting) -> (Vec<Waiting>, usize) {
        let most = self.backend.info().limits.batch_bytes;
        let mut bytes = first.batch.body_bytes();
        let mut group = vec![first];
        while group.len() < GROUP_BATCHES
            && bytes < most
            && let Ok(next) = self.waiting.try_recv()
        {
            bytes += next.batch.body_bytes();
            group.push(next);
        }
        self.alone = if group.len() > 1 { 0 } else { self.alone + 1 };
        (group, bytes)
    }

    /// Commits a group on the thread that polls its caller.
    fn commit_here(&mut self, context: &mut Context<'_>) {
        let Ok(first) = self.waiting.try_recv() else { return };
        let (group, bytes) = self.group_of(first);
        let mut begun: Begun = Box::pin(group::commit(self.backend.clone(), group));
        if bytes > SMALL {
            self.begun = Some(begun);
            return;
        }
        let clock = Deadline::after(QUICK);
        self.begun = match catch_unwind(AssertUnwindSafe(|| begun.as_mut().poll(context))) {
            Ok(Poll::Ready(())) => None,
            // It is waiting for something. The thread waits for it instead of the caller, whose future may be dropped.
            Ok(Poll::Pending) => Some(begun),
            Err(panic) => Some(Box::pin(panics_again(panic))),
        };
        self.took(clock.elapsed());
    }

    fn took(&mut self, time: Duration) {
        self.quick = (time < QUICK).then(|| Deadline::after(LATELY));
    }

    fn is_quick(&self) -> bool {
        self.quick.is_some_and(|quick| !quick.has_passed())
    }

    fn has_work(&self) -> bool {
        self.begun.is_some() || !self.waiting.is_empty()
    }
}

/// Lets a backend panic that happened on a caller's thread end the commit thread, as a panic there would.
async fn panics_again(panic: Box<dyn Any + Send>) {
    resume_unwind(panic)
}

/// Who has the turn.
#[derive(Debug)]
pub(super) struct Turns {
    ready: Mutex<Ready>,
    thread: mpsc::UnboundedSender<Turn>,
    /// A caller's thread cannot wait for a network.
    may_be_quick: bool,
}

#[derive(Debug)]
struct Ready {
    /// Absent while a commit is running.
    turn: Option<Turn>,
    /// Set once no more batches are accepted: then the thread gets the turn for good.
    is_ending: bool,
}

impl Turns {
    /// Creates the turn of a store, and returns the channel on which the thread receives it.
    pub(super) fn new(
        backend: Arc<dyn PersistenceBackend>,
        waiting: mpsc::Receiver<Waiting>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Turn>) {
        let may_be_quick = backend.info().durability != Durability::Service;
        let turn = Turn { backend, waiting, begun: None, quick: None, alone: 0 };
        let (thread, handed_over) = mpsc::unbounded_channel();
        let ready = Mutex::new(Ready { turn: Some(turn), is_ending: false });
        (Arc::new(Self { ready, thread, may_be_quick }), handed_over)
    }

    /// Makes sure that what the caller has put into the queue is committed, here or by the thread.
    pub(super) async fn serve(&self) {
        // Also dropped if the caller stops waiting.
        let _otherwise = ByThread(self);
        let Some(alone) = self.alone_here() else { return };
        if alone.is_multiple_of(ALONE) {
            tokio::task::yield_now().await;
        }
        poll_fn(|context| {
            let may_block = MayBlock::here();
            if let Some(mut turn) = may_block.as_ref().and_then(|_| self.take()) {
                turn.commit_here(context);
                if let Some(turn) = self.give_back(turn) {
                    self.to_thread(turn);
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Returns how many commits were unshared before this one, if no commit is running and committing on this thread
    /// would not block anything for long.
    fn alone_here(&self) -> Option<usize> {
        let is_quick = |turn: &&Turn| self.may_be_quick && turn.is_quick() && turn.alone >= ALONE;
        self.ready().turn.as_ref().filter(is_quick).map(|turn| turn.alone)
    }

    fn take(&self) -> Option<Turn> {
        self.ready().turn.take()
    }

    /// Makes the turn available again, or returns it if there is work left.
    pub(super) fn give_back(&self, turn: Turn) -> Option<Turn> {
        let mut ready = self.ready();
        // A caller that queued a batch before now did not find the turn, so its batch is seen here; a later one finds
        // the turn.
        if turn.has_work() || ready.is_ending {
            return Some(turn);
        }
        ready.turn = Some(turn);
        None
    }

    /// Gives the turn to the thread for good.
    pub(super) fn end(&self) {
        let turn = {
            let mut ready = self.ready();
            ready.is_ending = true;
            ready.turn.take()
        };
        turn.into_iter().for_each(|turn| self.to_thread(turn));
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ready().is_ending
    }

    /// Gives the turn to the thread. If the thread has ended, this drops the turn and so ends the queue.
    fn to_thread(&self, turn: Turn) {
        _ = self.thread.send(turn);
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When dropped, lets the thread commit what is waiting, if no commit is running.
struct ByThread<'a>(&'a Turns);

impl Drop for ByThread<'_> {
    fn drop(&mut self) {
        let turn = self.0.ready().turn.take_if(|turn| turn.has_work());
        turn.into_iter().for_each(|turn| self.0.to_thread(turn));
    }
}
