//! Bringing the base up to date, off the commit path and in runs of limited size.
//!
//! Everything that is applied is in the journal too, and a segment is reused only after an applier has reported that
//! the base holds what it covers. So each step may be interrupted and repeated, by this process or another.
//!
//! `Engine::apply` applies what was committed so far and `apply_all` what is worth a run, both by `apply_run`: one run,
//! under the apply lock. For the holder of that lock, `Follower::apply_holding` collects the run and `Base::apply`
//! stores it.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use nofx_core::{Deadline, Error, Result};

use crate::base::Run;
use crate::lock::Lock;
use crate::shared_files::SharedFiles;
use crate::tail::Amount;
use crate::writer::JournalWriter;

/// Beyond this, commits wait until the base is up to date, or report why that is impossible. Each process that has the
/// store open holds the journal beyond the base in memory: at least these bytes, more for small entries.
pub(crate) const HARD_BOUND: Amount = Amount { bytes: 16 << 20, commits: u64::MAX };
/// The pause between two checks whether another process is done.
const PAUSE: Duration = Duration::from_millis(10);

/// The result of an attempt to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApplyOutcome {
    /// The base got a run, if it lacked anything.
    Run,
    /// Nothing was applied: another thread or process is applying, or no tip is believed before the next commit.
    Not,
}

/// The thread that brings the base up to date until it is stopped.
pub(crate) fn run(writer: &JournalWriter) {
    writer.requests.serve(writer.options.apply_after, || writer.apply_all());
}

impl JournalWriter {
    /// Brings the base up to date run by run, until the journal holds less than a run is worth or the store is closed.
    ///
    /// Commits made during a run wait for a later one: a run costs the same flushes for one commit as for a thousand,
    /// and they delay commits.
    fn apply_all(&self) -> Result<()> {
        while self.advance()? && self.is_worth_a_run() && !self.requests.is_stopped() {}
        if self.base_may_lag() {
            self.requests.committed(false);
        }
        Ok(())
    }

    /// Gives the base one run.
    pub(crate) fn apply_run(&self) -> Result<ApplyOutcome> {
        let _applying = match self.applying.try_lock() {
            Ok(applying) => applying,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(ApplyOutcome::Not),
        };
        let Some((shared_files, _held)) = self.hold(SharedFiles::apply_lock, Lock::try_acquire)? else {
            return Ok(ApplyOutcome::Not);
        };
        // A base that could not take in a part of the last run may have taken in the rest. So that nothing waits for
        // that part, the next run has all that follows.
        let most = if self.last_run_failed.load(Ordering::Relaxed) { Amount::ALL } else { self.run_size() };
        let applied = self.follower.apply_holding(&shared_files, most, false);
        self.last_run_failed.store(applied.is_err(), Ordering::Relaxed);
        *self.stuck() = applied.as_ref().err().filter(|error| self.follower.base.stops_commits(error)).cloned();
        Ok(if applied? { ApplyOutcome::Run } else { ApplyOutcome::Not })
    }

    /// Brings the base up to date with everything, unless another process is doing so.
    pub(crate) fn apply_rest(&self) -> Result<()> {
        self.follower.follow()?;
        while self.base_may_lag() && self.advance()? {}
        Ok(())
    }

    /// Gives the base one run. Returns whether it got further: it does not if another process is applying, or where the
    /// journal is damaged.
    fn advance(&self) -> Result<bool> {
        let before = self.follower.tail().start().frame;
        Ok(self.apply_run()? == ApplyOutcome::Run && self.follower.tail().start().frame > before)
    }

    /// Gives the base one run and, if nothing is left after it, lets it say that it is complete. If another process
    /// commits or applies, it gives at most the run.
    pub(crate) fn complete(&self) -> Result<()> {
        let mut turn = self.turn();
        let Some((shared_files, _held)) = self.hold(SharedFiles::lock, Lock::try_acquire)? else {
            return self.apply_run().map(drop);
        };
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, _held_too)) = self.hold(SharedFiles::apply_lock, Lock::try_acquire)? else { return Ok(()) };
        self.catch_up(&mut turn, &shared_files)?;
        self.follower.apply_holding(&shared_files, self.run_size(), true).map(drop)
    }

    /// Records in the base that it is no longer complete, before the journal gets what it lacks. For the holder of the
    /// lock for committing.
    pub(crate) fn withdraw_completeness(&self) -> Result<()> {
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, _held) = self.hold_waiting(SharedFiles::apply_lock)?;
        let after = self.follower.base.snapshot()?.mark();
        self.follower.base.apply(&Run { after, groups: Vec::new(), completes: false })
    }

    fn stuck(&self) -> MutexGuard<'_, Option<Error>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the base is so damaged that it cannot take anything in: further commits would only fill the journal.
    /// The journal's content stays readable.
    pub(crate) fn require_base(&self) -> Result<()> {
        if self.stuck().is_some() {
            // It may have been repaired since.
            self.apply_run()?;
        }
        self.stuck().clone().map_or(Ok(()), Err)
    }

    /// Returns whether the journal may hold something that the base lacks.
    pub(crate) fn base_may_lag(&self) -> bool {
        self.follower.tail().amount() != Amount::default()
    }

    /// Returns whether it may hold as much of it as is worth a run.
    pub(crate) fn is_worth_a_run(&self) -> bool {
        self.is_beyond(self.run_size())
    }

    fn run_size(&self) -> Amount {
        Amount { bytes: self.options.run_bytes, commits: self.options.run_commits }
    }

    /// Returns whether it may hold at least this much of it.
    pub(crate) fn is_beyond(&self, bound: Amount) -> bool {
        self.follower.tail().amount().is_beyond(bound)
    }

    /// Brings the base up to date if the journal holds too much that it lacks. The error says why if that is not
    /// possible.
    pub(crate) fn make_room(&self) -> Result<()> {
        let deadline = Deadline::after(self.options.lock_wait);
        while self.is_beyond(HARD_BOUND) {
            if self.apply_run()? == ApplyOutcome::Run {
                continue;
            }
            if deadline.has_passed() {
                let folder = self.follower.layout.folder().display();
                return Err(Error::unavailable(format!(
                    "another process is bringing the base of `{folder}` up to date"
                )));
            }
            // If no process has reported in this boot what is durable, this one does.
            self.settle()?;
            thread::sleep(PAUSE);
            // What another process applied becomes known through the tip.
            self.follower.follow()?;
        }
        Ok(())
    }
}
