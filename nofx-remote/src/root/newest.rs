//! Finding the newest commit that is part of the store, and the state after it, whatever is damaged or does not belong
//! there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, join, join_all};
use nofx_core::{Error, Result, StoreId};
use object_store::path::Path;

use super::{Root, Tip};
use crate::checkpoint::Base;
use crate::commit::{CheckpointId, Commit, RunCommit};
use crate::feed::read_chunk;
use crate::moment::Moment;
use crate::objects::missing;
use crate::state::State;

/// How often a listing is taken when its objects are gone by the time they are fetched.
const LOOKS: usize = 5;

/// How far back to check what precedes a commit.
const FURTHEST: u64 = 16;

/// What a listing shows about the newest commits.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// The newest readable commit that is part of the store.
    pub(crate) commit: Option<Commit>,
    /// Unreadable commits above it, by number.
    pub(crate) damaged: Vec<(u64, Error)>,
    /// The numbers above it that do not follow the one before them: they were refused to the handle that made them.
    pub(crate) strays: Vec<u64>,
}

/// The lowest of the commits that lead to another.
#[derive(Debug)]
struct Lowest {
    number: u64,
    made: i64,
}

impl Root {
    /// Finds the newest commit in a listing and loads its state; `false` if there is no commit.
    pub(super) async fn reopen(&self) -> Result<bool> {
        let _one_at_a_time = self.opening.lock().await;
        if self.usable().is_some() {
            return Ok(true);
        }
        let mut lost = None;
        for _ in 0..LOOKS {
            let seen = Moment::now(&self.sources);
            let mut numbers = self.objects.newest_commits().await?;
            // A listing may lack recent commits.
            let known = self.known().filter(|known| numbers.first().is_none_or(|newest| *newest < known.number));
            if let Some(known) = &known {
                numbers.insert(0, known.number);
            }
            if numbers.is_empty() {
                return Ok(false);
            }
            let mut blocked = None;
            while let Some((newest, state)) = self.newest_and(&numbers, true).await? {
                let Newest { commit, damaged, .. } = newest;
                blocked = blocked.or(damaged.into_iter().next());
                let Some((commit, state)) = commit.zip(state) else {
                    // Objects created after a store had been removed do not make a store.
                    if blocked.is_none() && known.is_none() && self.fetch(1).await?.is_none() {
                        return Ok(false);
                    }
                    break;
                };
                let state = match state {
                    Ok(state) => state,
                    Err(error) if matches!(error, Error::Corrupt(_)) => {
                        // Something older may be intact.
                        blocked.get_or_insert((commit.number(), error));
                        numbers.retain(|number| *number < commit.number());
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                self.goes_on(&commit).await?;
                self.has_proven(&commit);
                *self.lock_tip() = Some(Tip { state, seen, superseded: None, others: HashMap::new(), blocked });
                return Ok(true);
            }
            if let Some(known) = known {
                return Err(self.explain(&known).await);
            }
            lost = blocked.map(|(_, error)| error).or(lost);
        }
        Err(lost.unwrap_or_else(|| missing(&self.objects.names.commit(1))))
    }

    /// Finds the newest commit among these, which are sorted newest first; `None` if they are gone.
    pub(crate) async fn newest_of(&self, numbers: &[u64]) -> Result<Option<Newest>> {
        Ok(self.newest_and(numbers, false).await?.map(|(newest, _)| newest))
    }

    /// Finds the newest commit among these, which are sorted newest first, and the state after it if requested, which
    /// is read while its predecessors are checked; `None` if they are gone.
    async fn newest_and(&self, numbers: &[u64], wants_state: bool) -> Result<Option<(Newest, Option<Result<State>>)>> {
        let mut newest = Newest::default();
        for (at, number) in numbers.iter().enumerate() {
            let commit = match self.fetch(*number).await {
                Ok(Some(commit)) => commit,
                Ok(None) => return Ok(None),
                Err(error) if matches!(error, Error::Corrupt(_)) => {
                    newest.damaged.push((*number, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Only what exists after the commit was seen says anything about it.
            let beneath = numbers.get(at..).unwrap_or_default();
            let state = OptionFuture::from(wants_state.then(|| self.state_of(&commit)));
            let (belongs, state) = join(self.belongs(&commit, beneath, !newest.damaged.is_empty()), state).await;
            if belongs? {
                newest.commit = Some(commit);
                return Ok(Some((newest, state)));
            }
            newest.strays.push(*number);
        }
        Ok(Some((newest, None)))
    }

    /// Builds the state after a commit: from the checkpoint that it names or, if that is lost or damaged, from an older
    /// one and the runs since, while they exist.
    async fn state_of(&self, commit: &Commit) -> Result<State> {
        let mut runs = Vec::new();
        let mut oldest = commit.clone();
        let base = loop {
            let Some(id) = oldest.checkpoint.clone() else { break Arc::new(Base::empty()) };
            let lost = match self.base(&id, oldest.store).await {
                Ok(Some(base)) => break base,
                Ok(None) => missing(&self.checkpoint_path(&id)),
                Err(error) if matches!(error, Error::Corrupt(_)) => error,
                Err(error) => return Err(error),
            };
            // The commit whose state it held names an older one.
            match self.fetch(id.number).await {
                Ok(Some(older)) => runs.push(std::mem::replace(&mut oldest, older)),
                Ok(None) | Err(Error::Corrupt(_)) => return Err(lost),
                Err(error) => return Err(error),
            }
        };
        let mut state = State::new(base, &oldest)?;
        runs.iter().rev().try_for_each(|run| state.take(run))?;
        Ok(state)
    }

    pub(super) fn checkpoint_path(&self, id: &CheckpointId) -> Path {
        self.objects.names.checkpoint(id.number, &id.nonce)
    }

    /// Returns a checkpoint; `None` if it is gone.
    pub(crate) async fn base(&self, id: &CheckpointId, store: StoreId) -> Result<Option<Arc<Base>>> {
        let here = self.lock_tip().as_ref().map(|tip| tip.state.base.clone());
        if let Some(here) = here.filter(|here| here.id.as_ref() == Some(id)) {
            return Ok(Some(here));
        }
        self.read_base(id, store).await
    }

    /// Reads a checkpoint from the store; `None` if it is gone.
    pub(super) async fn read_base(&self, id: &CheckpointId, store: StoreId) -> Result<Option<Arc<Base>>> {
        let path = self.checkpoint_path(id);
        let Some(object) = self.objects.get(&path).await? else { return Ok(None) };
        Ok(Some(Arc::new(Base::decode(&object, id, store, path.as_ref())?)))
    }

    /// Returns a commit; `None` if there is none with that number.
    pub(crate) async fn fetch(&self, number: u64) -> Result<Option<Commit>> {
        let path = self.objects.names.commit(number);
        let Some(found) = self.objects.get_tagged(&path).await? else { return Ok(None) };
        let commit = Commit::decode(&found.bytes, number, path.as_ref())?;
        Ok(Some(Commit { tag: found.tag, made: found.made, ..commit }))
    }

    /// Returns whether a commit is part of the store: whether it was created where the one before it was.
    ///
    /// Then everything before it exists, back to what its writer had proven, or to what a collection left. `beneath`
    /// has the numbers of older commits that exist; something damaged may follow the commit.
    pub(super) async fn belongs(&self, newest: &Commit, beneath: &[u64], is_followed_by_damage: bool) -> Result<bool> {
        let far = self.far_of(newest);
        let looks = (far..newest.number()).rev().map(|number| self.fetch(number));
        let (mut oldest, mut lowest) = (newest.clone(), Lowest { number: newest.number(), made: newest.made });
        for (number, found) in (far..newest.number()).rev().zip(join_all(looks).await) {
            match found {
                Ok(Some(before)) => {
                    let is_nothing = oldest.calls_nothing(number);
                    // A number marked as holding nothing may have an object of an earlier store here.
                    let may_be = is_nothing || before.store == newest.store;
                    let Some(last) = before.last().filter(|_| may_be) else { return Ok(false) };
                    if !self.is_built_on(&oldest, last).await? {
                        return Ok(false);
                    }
                    lowest = Lowest { number, made: before.made };
                    if !is_nothing {
                        oldest = before;
                    }
                }
                Ok(None) => {
                    let leaves_first = beneath.iter().filter(|beneath| **beneath < number).eq([&1]);
                    return self.is_left(newest, &lowest, leaves_first, is_followed_by_damage).await;
                }
                // A damaged object is no evidence against it.
                Err(Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Returns whether a commit, or a later one that a listing may lack, shows that a collection left the lowest one.
    async fn is_left(&self, newest: &Commit, lowest: &Lowest, leaves_first: bool, damage: bool) -> Result<bool> {
        let mut newest = newest.clone();
        for above in newest.number() + 1..=newest.number() + FURTHEST {
            if self.is_collected(&newest, lowest, leaves_first, damage) {
                return Ok(true);
            }
            let next = match self.fetch(above).await {
                Ok(Some(next)) if next.store == newest.store && !next.calls_nothing(newest.number()) => next,
                Ok(_) | Err(Error::Corrupt(_)) => return Ok(false),
                Err(error) => return Err(error),
            };
            let Some(last) = newest.last() else { return Ok(false) };
            if !self.is_built_on(&next, last).await? {
                return Ok(false);
            }
            newest = next;
        }
        Ok(false)
    }

    /// Returns how far back to check: to what the writer of a commit had proven, and at least the two before it,
    /// because a retried commit may have been created in another place.
    fn far_of(&self, newest: &Commit) -> u64 {
        let (proven, mut number) = (newest.proven().max(newest.number().saturating_sub(FURTHEST)), newest.number());
        let mut ancestors = 0;
        while number > 1 && (number > proven || ancestors < 2) {
            number -= 1;
            ancestors += usize::from(!newest.calls_nothing(number));
        }
        number
    }

    /// Returns whether a collection deleted what is missing before the lowest of the commits that lead to the newest.
    /// Otherwise that one was created where nothing preceded it, and is not part of the store.
    ///
    /// A copy may have other times. But a collection leaves nothing below except commit 1, and at least two commits.
    fn is_collected(&self, newest: &Commit, lowest: &Lowest, leaves_first: bool, is_followed_by_damage: bool) -> bool {
        let distance = Duration::from_millis(u64::try_from(newest.made - lowest.made).unwrap_or(0));
        let is_known = match &newest.follows {
            Some(follows) => follows.proven >= lowest.number,
            None => lowest.number < newest.number(),
        };
        distance >= self.rules.grace || (leaves_first && (is_known || is_followed_by_damage))
    }

    /// Returns whether a commit with an old number is one of those that the known state was built on.
    pub(crate) async fn is_part(&self, commit: &Commit) -> Result<bool> {
        let number = commit.number();
        let run = self.with_tip(|tip| Ok(tip.state.run.clone()))?;
        let known = |number| run.iter().find(|known| known.number == number);
        if let Some(known) = known(number) {
            return Ok(commit.is_named(&known.nonce));
        }
        let mut newest = commit.clone();
        for above in number + 1..=number + FURTHEST {
            let Some(next) = self.fetch(above).await? else { return Ok(false) };
            let Some(last) = newest.last().filter(|_| next.store == commit.store) else { return Ok(false) };
            let follows = self.is_built_on(&next, last).await?;
            if !follows || (next.calls_nothing(number) && !commit.last().is_some_and(|one| one.is_nothing())) {
                return Ok(false);
            }
            match known(above) {
                Some(known) => return Ok(next.is_named(&known.nonce)),
                None if next.proven() >= number => return Ok(true),
                None => newest = next,
            }
        }
        Ok(false)
    }

    /// Returns whether a commit was made on this one before it. It names it; or, in earlier versions, its run begins
    /// right after a checkpoint whose feed ends with it.
    pub(super) async fn is_built_on(&self, commit: &Commit, last: &RunCommit) -> Result<bool> {
        if let Some(nonce) = commit.nonce_of(last.number) {
            return Ok(nonce == last.nonce);
        }
        let (Some(id), Some(batch)) = (&commit.checkpoint, last.batches().last()) else { return Ok(true) };
        if id.number != last.number {
            return Ok(true);
        }
        let fed = async {
            let Some(base) = self.base(id, commit.store).await? else { return Ok(None) };
            let Some(chunk) = base.feed.last() else { return Ok(None) };
            Ok(read_chunk(&self.packs, chunk, chunk.end().saturating_sub(1), 1).await?.pop())
        };
        match (fed.await, batch?.id) {
            (Ok(Some(fed)), batch) => Ok(fed.change.batch == batch),
            (Ok(None) | Err(Error::Corrupt(_)), _) => Ok(true),
            (Err(error), _) => Err(error),
        }
    }
}
