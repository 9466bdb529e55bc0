//! Following: from what is known to the newest commit, whoever made it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};
use nofx_core::{Error, Result, StoreId};
use tokio::time::Instant;

use super::{Root, Tip};
use crate::checkpoint::Base;
use crate::commit::{CheckpointId, Commit};
use crate::moment::Moment;
use crate::objects::missing;
use crate::options::Planted;
use crate::state::State;

/// How many runs are fetched one after the other before the checkpoint is fetched instead.
const HOPS: usize = 4;

/// How often a listing is made again whose objects are gone when they are fetched.
const LOOKS: usize = 5;

/// How many numbers are looked at together while others write.
const READ_AHEAD: u64 = 4;

/// How far ahead a number is tried that is probably free.
const AHEAD: u64 = 16;

/// A writer that was seen within this time is busy.
const BUSY: Duration = Duration::from_secs(4);

impl Root {
    /// Finds the newest commit in a listing and takes its state; `false` if there is no commit.
    pub(super) async fn reopen(&self) -> Result<bool> {
        let _one_at_a_time = self.opening.lock().await;
        if self.usable().is_some() {
            return Ok(true);
        }
        let mut lost = None;
        for _ in 0..LOOKS {
            let seen = Moment::now(&self.sources);
            let Some(number) = self.objects.newest_commit().await? else { return Ok(false) };
            let Some(commit) = self.fetch(number).await? else {
                lost = Some(self.objects.names.commit(number));
                continue;
            };
            let base = match &commit.checkpoint {
                None => Arc::new(Base::empty()),
                Some(id) => match self.base(id, commit.store).await? {
                    Some(base) => base,
                    None => {
                        lost = Some(self.objects.names.checkpoint(id.number, &id.nonce));
                        continue;
                    }
                },
            };
            let state = State::new(base, &commit)?;
            *self.lock_tip() = Some(Tip { state, seen, superseded: None, others: HashMap::new() });
            return Ok(true);
        }
        Err(missing(&lost.unwrap_or_default()))
    }

    /// Returns a checkpoint; `None` if it is gone.
    pub(crate) async fn base(&self, id: &CheckpointId, store: StoreId) -> Result<Option<Arc<Base>>> {
        let here = self.lock_tip().as_ref().map(|tip| tip.state.base.clone());
        if let Some(here) = here.filter(|here| here.id.as_ref() == Some(id)) {
            return Ok(Some(here));
        }
        let path = self.objects.names.checkpoint(id.number, &id.nonce);
        let Some(object) = self.objects.get(&path).await? else { return Ok(None) };
        Ok(Some(Arc::new(Base::decode(&object, id, store, path.as_ref())?)))
    }

    pub(crate) async fn fetch(&self, number: u64) -> Result<Option<Commit>> {
        let path = self.objects.names.commit(number);
        let object = self.objects.get(&path).await?;
        object.map(|object| Commit::decode(&object, number, path.as_ref())).transpose()
    }

    /// Brings the state to at least every commit that was acknowledged before the call; returns the number of the last.
    ///
    /// On a busy store there may never be a moment without a newer commit. But a number that is found free once, after the call
    /// began, bounds how far the state has to come.
    ///
    /// Whoever goes on looks whether the state is still that far: another call may have found it anew, in an older listing.
    pub(crate) async fn refresh(&self) -> Result<u64> {
        let mut far_enough = None;
        loop {
            let before = Moment::now(&self.sources);
            let Some(last) = self.usable() else {
                if !self.reopen().await? {
                    return Err(Error::unavailable("the listing does not show the commits that are there"));
                }
                continue;
            };
            if far_enough.is_some_and(|enough| last >= enough) {
                return Ok(last);
            }
            // While others write, a look at several numbers costs no more time than at one.
            let width = if self.others() == 0 { 1 } else { READ_AHEAD };
            let found = join_all((1..=width).map(|step| self.fetch(last + step))).await;
            let mut reached = last;
            for next in found {
                match next? {
                    _ if self.rules.plants(Planted::TrustsListings) && reached > last => break,
                    None => {
                        self.saw_newest(reached, before);
                        return Ok(reached);
                    }
                    Some(next) => self.advance(next).await?,
                }
                reached += 1;
            }
            // Most often that is all.
            let before = Moment::now(&self.sources);
            let (next, far) = join(self.fetch(reached + 1), self.fetch(reached + AHEAD)).await;
            match next? {
                _ if self.rules.plants(Planted::TrustsListings) => {}
                None => {
                    self.saw_newest(reached, before);
                    return Ok(reached);
                }
                Some(next) => self.advance(next).await?,
            }
            reached += 1;
            if far?.is_none() && !self.rules.plants(Planted::TrustsListings) {
                far_enough.get_or_insert(reached + AHEAD - 2);
                continue;
            }
            // A listing finds any number of them, and takes the store longer than a look.
            let newest = self.objects.newest_commit().await?.filter(|newest| *newest > reached);
            if let Some(newest) = newest
                && let Some(newest) = self.fetch(newest).await?
            {
                self.advance(newest).await?;
            }
            if self.rules.plants(Planted::TrustsListings) {
                return Ok(0);
            }
        }
    }

    /// Notes that at a moment no commit behind `last` existed.
    pub(super) fn saw_newest(&self, last: u64, moment: Moment) {
        if let Some(tip) = &mut *self.lock_tip()
            && tip.state.last >= last
            && tip.seen.age(&self.sources) > moment.age(&self.sources)
        {
            tip.seen = moment;
        }
    }

    /// Moves the state on to a commit, by fetching what lies between if its run does not reach back far enough.
    pub(super) async fn advance(&self, commit: Commit) -> Result<()> {
        let mut ahead = vec![commit];
        while let Some(commit) = ahead.last() {
            if self.take(commit)? {
                ahead.pop();
                continue;
            }
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
        Ok(())
    }

    /// Moves the state on to a commit; `false` if its run does not connect.
    pub(super) fn take(&self, commit: &Commit) -> Result<bool> {
        let mut slot = self.lock_tip();
        let Some(tip) = &mut *slot else { return Ok(true) };
        if commit.number() <= tip.state.last {
            return Ok(true);
        }
        if !tip.state.connects(commit) {
            return Ok(false);
        }
        let now = Instant::now();
        let new = commit.run.iter().filter(|one| one.number > tip.state.last && one.writer != self.writer);
        tip.others.extend(new.map(|one| (one.writer.clone(), now)));
        let cited = tip.state.cited.clone();
        let taken = tip.state.take(commit).and_then(|()| match tip.state.cited == cited {
            true => Ok(()),
            false => self.rebase(tip),
        });
        if taken.is_err() {
            *slot = None;
        }
        taken.map(|()| true)
    }

    /// Puts the state onto the checkpoint that its last commit names, if this handle made it.
    fn rebase(&self, tip: &mut Tip) -> Result<()> {
        let mut rolled = self.rolled.lock().unwrap_or_else(PoisonError::into_inner);
        match rolled.take_if(|(rolled, _)| rolled.base.id == tip.state.cited) {
            Some((rolled, _)) => {
                let run = tip.state.run.clone();
                let commit = Commit { store: tip.state.store, checkpoint: tip.state.cited.clone(), run };
                tip.state = State::new(rolled.base, &commit)?;
                tip.superseded = None;
            }
            None => _ = tip.superseded.get_or_insert(Moment::now(&self.sources)),
        }
        Ok(())
    }

    /// Looks at a state that has every commit acknowledged before the call.
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

    /// Returns how many other writers were seen lately.
    pub(super) fn others(&self) -> usize {
        self.lock_tip().as_mut().map_or(0, |tip| {
            tip.others.retain(|_, seen| seen.elapsed() < BUSY);
            tip.others.len()
        })
    }
}
