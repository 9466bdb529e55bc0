//! Whose turn it is to commit: a caller's, when nobody else does and it would be quick, or the commit thread's.
//!
//! There is one [`Turn`] for each open store. It lies ready while nobody commits; whoever takes it commits what waits. A
//! caller keeps it for one group and gives it back; if more came meanwhile, it goes to the thread, which keeps it until
//! nothing waits.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};

use super::group;
use crate::backend::PersistenceBackend;
use crate::batch::{Batch, Outcome};
use crate::error::Result;
use crate::record::Durability;
use crate::time::Deadline;

/// How many batches may share one flush, and how many may wait before callers do.
pub const GROUP_BATCHES: usize = 1024;

/// A caller commits only if the last commit took less than this. Waking two threads takes a good part of it; whoever has a
/// slower disk would gain little, and hold up for longer what else the caller's thread has to do.
const QUICK: Duration = Duration::from_millis(1);

/// And only if that was not longer ago: a backend that was left alone may have let go of what it needs.
const LATELY: Duration = Duration::from_millis(100);

/// After so many commits that nobody shared, callers make them. And so often one lets others go first, who may be polled on its
/// thread: once they share a flush, the thread commits again, which gathers them better.
const ALONE: usize = 4;

/// A caller commits no group with more than this in its bodies.
const SMALL: usize = 64 << 10;

/// A batch and the caller who waits for it, or has stopped waiting.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Outcome>>,
}

/// The right to commit.
pub(super) struct Turn {
    backend: Arc<dyn PersistenceBackend>,
    waiting: mpsc::Receiver<Waiting>,
    /// What a caller began and left to the thread.
    begun: Option<Begun>,
    /// As long as this has not passed, the next commit will be quick as well.
    quick: Option<Deadline>,
    /// How many commits there were since one was shared.
    alone: usize,
}

type Begun = Pin<Box<dyn Future<Output = ()> + Send>>;

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("waiting", &self.waiting.len()).field("alone", &self.alone).finish_non_exhaustive()
    }
}

impl Turn {
    /// Commits until nothing waits.
    pub(super) async fn commit_all(&mut self) {
        if let Some(begun) = self.begun.take() {
            begun.await;
        }
        while let Ok(first) = self.waiting.try_recv() {
            self.commit_group_of(first).await;
        }
    }

    /// Commits until nobody can add to what waits, and closes the backend.
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

    /// Returns what waits, and how many bytes of bodies it has. Nobody waits for a group to fill.
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
            // It waits for something: so does the thread now, and not the caller, who may go away.
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

/// Lets a backend that panicked below a caller end the thread, as one that panics there does.
async fn panics_again(panic: Box<dyn Any + Send>) {
    resume_unwind(panic)
}

/// Who has the turn.
#[derive(Debug)]
pub(super) struct Turns {
    ready: Mutex<Ready>,
    thread: mpsc::UnboundedSender<Turn>,
    /// A network is nothing that a caller's thread could wait for.
    may_be_quick: bool,
}

#[derive(Debug)]
struct Ready {
    /// Missing while somebody commits.
    turn: Option<Turn>,
    /// Set once nothing more is taken: then the thread gets the turn for good.
    is_ending: bool,
}

impl Turns {
    /// Makes the turn of a store, and returns where the thread gets it.
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

    /// Sees to it that what the caller has put into the queue is committed, here or by the thread.
    pub(super) async fn serve(&self) {
        // Dropped also where the caller stops waiting.
        let _otherwise = ByThread(self);
        let Some(alone) = self.alone_here() else { return };
        if alone.is_multiple_of(ALONE) {
            tokio::task::yield_now().await;
        }
        poll_fn(|context| {
            if let Some(mut turn) = self.take() {
                turn.commit_here(context);
                if let Some(turn) = self.give_back(turn) {
                    self.to_thread(turn);
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// If nobody else commits or did lately, and doing so on this thread would hold up nothing for long, returns how many
    /// commits were alone before this one.
    fn alone_here(&self) -> Option<usize> {
        // The other threads of the runtime go on. Where there is but one, or one that is not tokio's, everything would stand.
        let has_others = |runtime: Handle| {
            runtime.runtime_flavor() == RuntimeFlavor::MultiThread && runtime.metrics().num_workers() > 1
        };
        let is_here = self.may_be_quick && Handle::try_current().is_ok_and(has_others);
        let is_quick = |turn: &&Turn| is_here && turn.is_quick() && turn.alone >= ALONE;
        self.ready().turn.as_ref().filter(is_quick).map(|turn| turn.alone)
    }

    fn take(&self) -> Option<Turn> {
        self.ready().turn.take()
    }

    /// Lays the turn ready, or returns it if there is something left to do.
    pub(super) fn give_back(&self, turn: Turn) -> Option<Turn> {
        let mut ready = self.ready();
        // Whoever added something before now did not find the turn, so it is seen here; whoever does so later finds it.
        if turn.has_work() || ready.is_ending {
            return Some(turn);
        }
        ready.turn = Some(turn);
        None
    }

    /// Lets nobody but the thread have the turn any more.
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

    /// Gives the turn to the thread. If there is none any more, this ends the queue.
    fn to_thread(&self, turn: Turn) {
        _ = self.thread.send(turn);
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When dropped, lets the thread commit what waits, if nobody does yet.
struct ByThread<'a>(&'a Turns);

impl Drop for ByThread<'_> {
    fn drop(&mut self) {
        let turn = self.0.ready().turn.take_if(|turn| turn.has_work());
        turn.into_iter().for_each(|turn| self.0.to_thread(turn));
    }
}
