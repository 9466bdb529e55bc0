//! Following: advancing from the known state to the newest commit, whichever writer made it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};
use nofx_core::{Error, Result};
use tokio::time::Instant;

use super::{Root, Tip};
use crate::commit::{Commit, RunCommit};
use crate::moment::Moment;
use crate::state::State;

/// How many runs are fetched one after the other before the checkpoint is fetched instead.
const HOPS: usize = 4;

/// How many numbers are checked together while other writers are active.
const READ_AHEAD: u64 = 4;

/// How far ahead to probe for a number that is probably free.
const AHEAD: u64 = 16;

/// A writer seen within this time is active.
const BUSY: Duration = Duration::from_secs(4);

/// The result of advancing to a commit.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// The state has reached it.
    Yes,
    /// Its run does not reach back to the state.
    TooFar,
    /// It does not follow the state.
    Stray,
}

impl Root {
    /// Advances the state to include at least every commit that was acknowledged before the call; returns the number of
    /// the last.
    ///
    /// On a busy store a newer commit may always exist. But a number that is found free once, after the call began,
    /// limits how far the state must advance.
    ///
    /// Callers must check that the state is still that far: a concurrent call may have loaded it again from an older
    /// listing.
    pub(crate) async fn refresh(&self) -> Result<u64> {
        let mut far_enough = None;
        loop {
            self.while_here()?;
            let before = Moment::now(&self.sources);
            let Some((last, next)) = self.usable() else {
                if !self.reopen().await? {
                    return Err(self.nothing_there().await);
                }
                continue;
            };
            if far_enough.is_some_and(|enough| next > enough) {
                return Ok(last);
            }
            // While other writers are active, checking several numbers takes no longer than checking one.
            let busy = self.others() > 0;
            let width = if busy { READ_AHEAD } else { 1 };
            let looked = busy || self.objects.is_near;
            let (found, there) = join(self.look_ahead(next, width), self.look_if(looked)).await;
            there?;
            let (new, end) = found?;
            let mut reached = next + new.len() as u64 - 1;
            if let Some(damaged) = end {
                self.look_if(!looked && !new.is_empty()).await?;
                self.advance_all(new).await?;
                match self.ends(reached + 1, damaged, before).await? {
                    Some(last) => return Ok(last),
                    None => continue,
                }
            }
            // Usually that is all.
            let before = Moment::now(&self.sources);
            let further = join(self.look_ahead(reached + 1, READ_AHEAD), self.fetch(reached + AHEAD));
            let ((found, far), there) = join(further, self.look_if(!looked)).await;
            there?;
            self.advance_all(new).await?;
            let (new, end) = found?;
            reached += new.len() as u64;
            self.advance_all(new).await?;
            if let Some(damaged) = end {
                match self.ends(reached + 1, damaged, before).await? {
                    Some(last) => return Ok(last),
                    None => continue,
                }
            }
            if far.is_ok_and(|far| far.is_none()) {
                far_enough.get_or_insert(reached - READ_AHEAD + AHEAD - 1);
                continue;
            }
            // A listing finds any number of commits, but takes the store longer than a look.
            let numbers = self.objects.newest_commits().await?.into_iter().filter(|number| *number > reached);
            let newest = self.newest_of(&numbers.collect::<Vec<_>>()).await?;
            if let Some(newest) = newest.and_then(|newest| newest.commit) {
                self.advance(newest.clone()).await?;
                if self.usable().is_some_and(|(last, _)| last == newest.number()) {
                    self.has_proven(&newest);
                }
            }
        }
    }

    /// Fetches the commits under the next `width` numbers, up to the first that is free or damaged; the second value is
    /// `None` if none is.
    async fn look_ahead(&self, next: u64, width: u64) -> Result<(Vec<Commit>, Option<Option<Error>>)> {
        let mut new = Vec::new();
        for found in join_all((0..width).map(|step| self.fetch(next + step))).await {
            match found {
                Ok(Some(commit)) => new.push(commit),
                Ok(None) => return Ok((new, Some(None))),
                Err(error) if matches!(error, Error::Corrupt(_)) => return Ok((new, Some(Some(error)))),
                Err(error) => return Err(error),
            }
        }
        Ok((new, None))
    }

    async fn advance_all(&self, new: Vec<Commit>) -> Result<()> {
        for commit in new {
            self.advance(commit).await?;
        }
        Ok(())
    }

    /// Returns the number of the last commit if nothing comes after it: at `moment` nothing was under this number.
    async fn ends(&self, number: u64, damaged: Option<Error>, moment: Moment) -> Result<Option<u64>> {
        if !self.is_the_end(number, damaged).await? {
            return Ok(None);
        }
        let last = self.usable().map(|(last, _)| last);
        if let Some(last) = last {
            self.saw_newest(last, moment);
        }
        Ok(last)
    }

    /// Returns whether nothing follows what was found under a number: either nothing, or something damaged, which a
    /// later commit would carry along.
    async fn is_the_end(&self, number: u64, damaged: Option<Error>) -> Result<bool> {
        if damaged.is_some()
            && let Ok(Some(behind)) = self.fetch(number + 1).await
        {
            self.advance(behind).await?;
            return Ok(false);
        }
        if let Some(tip) = &mut *self.lock_tip()
            && tip.state.next() == number
        {
            tip.blocked = damaged.map(|damaged| (number, damaged)).or(tip.blocked.take());
        }
        Ok(true)
    }

    async fn look_if(&self, wanted: bool) -> Result<()> {
        match wanted {
            _ if self.is_settled() => self.look_back().await,
            true => self.look_at_newest().await,
            false => Ok(()),
        }
    }

    /// Explains why a listing shows no commit of an open store.
    async fn nothing_there(&self) -> Error {
        match self.look_back().await {
            Ok(()) => Error::unavailable("the listing does not show the existing commits"),
            Err(error) => error,
        }
    }

    /// Records that at `moment` no commit after `last` existed.
    pub(super) fn saw_newest(&self, last: u64, moment: Moment) {
        if let Some(tip) = &mut *self.lock_tip()
            && tip.state.last >= last
            && tip.seen.age(&self.sources) > moment.age(&self.sources)
        {
            tip.seen = moment;
        }
    }

    /// Advances the state to a commit, fetching what lies between if its run does not reach back far enough.
    ///
    /// A commit that does not follow the state is a stray and is skipped: it was refused to the handle that made it.
    pub(super) async fn advance(&self, commit: Commit) -> Result<()> {
        let mut ahead = vec![commit];
        while let Some(commit) = ahead.last() {
            let last = self.lock_tip().as_ref().and_then(|tip| tip.state.run.last().cloned());
            let is_next = last.as_ref().is_some_and(|last| last.number == commit.base());
            let taken = match last.filter(|_| is_next) {
                Some(last) if !self.is_built_on(commit, &last).await? => Taken::Stray,
                _ => self.take(commit)?,
            };
            match taken {
                Taken::Yes => _ = ahead.pop(),
                Taken::Stray => {
                    // Unless it is the other way round, and the store has been replaced.
                    self.look_back().await?;
                    let (number, last) = (commit.number(), commit.last().cloned());
                    if let Some(last) = last {
                        self.pass(RunCommit::nothing(number, last.nonce.clone(), last.writer.clone()));
                    }
                    return Ok(());
                }
                Taken::TooFar => {
                    let between = match ahead.len() {
                        0..HOPS => self.fetch(commit.base()).await?,
                        _ => None,
                    };
                    match between {
                        Some(between) => ahead.push(between),
                        None => {
                            *self.lock_tip() = None;
                            self.reopen().await?;
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Skips a stray under the next number, which is not part of the store.
    pub(super) fn pass(&self, nothing: RunCommit) {
        if let Some(tip) = &mut *self.lock_tip()
            && tip.state.next() == nothing.number
        {
            self.passes(tip.state.store, &nothing);
            tip.state.passed.push(Arc::new(nothing));
        }
    }

    /// Advances the state to a commit.
    pub(super) fn take(&self, commit: &Commit) -> Result<Taken> {
        let mut slot = self.lock_tip();
        let Some(tip) = &mut *slot else { return Ok(Taken::Yes) };
        if commit.number() <= tip.state.last {
            return Ok(Taken::Yes);
        }
        if !tip.state.connects(commit) {
            return Ok(Taken::TooFar);
        }
        if !tip.state.is_followed_by(commit) {
            return Ok(Taken::Stray);
        }
        let now = Instant::now();
        let new = commit.run.iter().filter(|one| one.number > tip.state.last && one.writer != self.writer);
        tip.others.extend(new.map(|one| (one.writer.clone(), now)));
        let cited = tip.state.cited.clone();
        let taken = tip.state.take(commit).and_then(|()| match tip.state.cited == cited {
            true => Ok(()),
            false => self.rebase(tip),
        });
        match taken {
            Ok(()) => {
                tip.blocked.take_if(|(up_to, _)| *up_to <= tip.state.last);
                self.saw(commit);
            }
            Err(_) => *slot = None,
        }
        taken.map(|()| Taken::Yes)
    }

    /// Moves the state onto the checkpoint that its last commit names, if this handle made it.
    fn rebase(&self, tip: &mut Tip) -> Result<()> {
        let mut rolled = self.rolled.lock().unwrap_or_else(PoisonError::into_inner);
        match rolled.take_if(|(rolled, _)| rolled.base.id == tip.state.cited) {
            Some((rolled, _)) => {
                let run = tip.state.run.clone();
                let (store, checkpoint) = (tip.state.store, tip.state.cited.clone());
                let commit = Commit { store, checkpoint, run, follows: None, tag: None, made: 0 };
                tip.state = State::new(rolled.base, &commit)?;
                tip.superseded = None;
            }
            None => _ = tip.superseded.get_or_insert(Moment::now(&self.sources)),
        }
        Ok(())
    }

    /// Reads from a state that includes every commit acknowledged before the call.
    pub(crate) async fn fresh<T>(&self, look: impl Fn(&State) -> Result<T>) -> Result<T> {
        loop {
            let reached = self.refresh().await?;
            if let Some(tip) = &*self.lock_tip()
                && tip.state.last >= reached
            {
                return look(&tip.state);
            }
        }
    }

    /// Returns how many other writers were seen recently.
    pub(super) fn others(&self) -> usize {
        self.lock_tip().as_mut().map_or(0, |tip| {
            tip.others.retain(|_, seen| seen.elapsed() < BUSY);
            tip.others.len()
        })
    }
}
