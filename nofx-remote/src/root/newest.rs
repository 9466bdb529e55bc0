//! Finding the newest commit that is part of the store, and the state after it, whatever is damaged or does not belong there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use nofx_core::{Error, Result, StoreId};
use object_store::path::Path;

use super::{Root, Tip};
use crate::checkpoint::Base;
use crate::commit::{CheckpointId, Commit, RunCommit};
use crate::feed::read_chunk;
use crate::moment::Moment;
use crate::objects::missing;
use crate::state::State;

/// How often a listing is made again whose objects are gone when they are fetched.
const LOOKS: usize = 5;

/// What a listing shows of the newest commits.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// The newest one that follows the one before it and that can be read.
    pub(crate) commit: Option<Commit>,
    /// Those above it that cannot be read, by their numbers.
    pub(crate) damaged: Vec<(u64, Error)>,
    /// The numbers of those above it that do not follow the one before them: they were refused to the handle that made them.
    pub(crate) strays: Vec<u64>,
}

/// What is there before a commit.
#[derive(Debug)]
enum Below {
    /// The one that it was made on, where that can be read.
    Fits(Option<Commit>),
    /// Another.
    Another,
    Nothing,
}

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
            let mut numbers = self.objects.newest_commits().await?;
            // A listing may lack what is new.
            let known = self.known().filter(|known| numbers.first().is_none_or(|newest| *newest < known.number));
            if let Some(known) = &known {
                numbers.insert(0, known.number);
            }
            if numbers.is_empty() {
                return Ok(false);
            }
            let mut blocked = None;
            while let Some(newest) = self.newest_of(&numbers).await? {
                let Newest { commit, damaged, .. } = newest;
                blocked = blocked.or(damaged.into_iter().next());
                let Some(commit) = commit else {
                    // What was put where a store had been removed is none.
                    if blocked.is_none() && known.is_none() && self.fetch(1).await?.is_none() {
                        return Ok(false);
                    }
                    break;
                };
                let state = match self.state_of(&commit).await {
                    Ok(state) => state,
                    Err(error) if matches!(error, Error::Corrupt(_)) => {
                        // Something older may be whole.
                        blocked.get_or_insert((commit.number(), error));
                        numbers.retain(|number| *number < commit.number());
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                self.goes_on(&state).await?;
                self.saw_both(&commit);
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

    /// Finds the newest commit among these, the newest first; `None` if they are gone.
    pub(crate) async fn newest_of(&self, numbers: &[u64]) -> Result<Option<Newest>> {
        let mut newest = Newest::default();
        for number in numbers {
            let (commit, before) = join(self.fetch(*number), self.two_below(*number)).await;
            match (commit, before) {
                (Ok(None), _) => return Ok(None),
                (Err(error), _) if matches!(error, Error::Corrupt(_)) => newest.damaged.push((*number, error)),
                (Err(error), _) => return Err(error),
                (Ok(Some(commit)), before) => {
                    if self.follows(&commit, before).await? {
                        newest.commit = Some(commit);
                        return Ok(Some(newest));
                    }
                    newest.strays.push(*number);
                }
            }
        }
        Ok(Some(newest))
    }

    /// Makes the state after a commit: from the checkpoint that it names or, where that is lost or damaged, from an older one and
    /// the runs since, while those are there.
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

    /// Returns a checkpoint as it is stored; `None` if it is gone.
    pub(super) async fn read_base(&self, id: &CheckpointId, store: StoreId) -> Result<Option<Arc<Base>>> {
        let path = self.checkpoint_path(id);
        let Some(object) = self.objects.get(&path).await? else { return Ok(None) };
        Ok(Some(Arc::new(Base::decode(&object, id, store, path.as_ref())?)))
    }

    /// Returns a commit; `None` if there is none of that number.
    pub(crate) async fn fetch(&self, number: u64) -> Result<Option<Commit>> {
        let path = self.objects.names.commit(number);
        let Some(found) = self.objects.get_tagged(&path).await? else { return Ok(None) };
        let commit = Commit::decode(&found.bytes, number, path.as_ref())?;
        Ok(Some(Commit { tag: found.tag, made: found.made, ..commit }))
    }

    /// Returns whether a commit is part of the store.
    pub(crate) async fn belongs(&self, commit: &Commit) -> Result<bool> {
        let before = self.two_below(commit.number()).await;
        self.follows(commit, before).await
    }

    /// Returns what is under the two numbers before one.
    async fn two_below(&self, number: u64) -> [Result<Option<Commit>>; 2] {
        let below = |distance| async move {
            match number.checked_sub(distance) {
                None | Some(0) => Ok(None),
                Some(below) => self.fetch(below).await,
            }
        };
        join(below(1), below(2)).await.into()
    }

    /// Returns whether a commit is part of the store, which has this under the two numbers before it.
    ///
    /// It is if it follows what is there, and that does so, too, or if it is one of three in a row: a host whose store is replaced may
    /// create two in a row before it knows, and no other ever follows those.
    async fn follows(&self, commit: &Commit, [before, further]: [Result<Option<Commit>>; 2]) -> Result<bool> {
        if commit.number() <= 1 {
            return Ok(true);
        }
        let below = match self.below(commit, before).await? {
            Below::Fits(Some(below)) if below.number() > 1 => below,
            Below::Fits(_) => return Ok(true),
            Below::Another => return Ok(false),
            // The oldest that a collection left.
            Below::Nothing => {
                let Some(next) = self.next_of(commit).await? else { return Ok(false) };
                return Ok(self.is_old(commit, &next) || self.next_of(&next).await?.is_some());
            }
        };
        let further = match below.number() + 1 == commit.number() {
            true => further,
            false => self.fetch(below.number() - 1).await,
        };
        Ok(match self.below(&below, further).await? {
            Below::Fits(_) => true,
            Below::Another => false,
            Below::Nothing => self.is_old(&below, commit) || self.next_of(commit).await?.is_some(),
        })
    }

    /// Returns the commit that follows another, if there is one.
    async fn next_of(&self, commit: &Commit) -> Result<Option<Commit>> {
        let names_it = |next: &Commit| next.nonce_of(commit.number()).is_none_or(|nonce| commit.is_named(nonce));
        match self.fetch(commit.number() + 1).await {
            Ok(next) => Ok(next.filter(names_it)),
            Err(Error::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a commit was the newest so long that a collection may have deleted what was before it.
    fn is_old(&self, commit: &Commit, next: &Commit) -> bool {
        let distance = Duration::from_millis(u64::try_from(next.made - commit.made).unwrap_or(0));
        distance >= self.rules.grace
    }

    /// Says how a commit fits what is there before it, and under those numbers before that which it says are nothing.
    async fn below(&self, commit: &Commit, before: Result<Option<Commit>>) -> Result<Below> {
        let (mut number, mut found) = (commit.number() - 1, before);
        while number >= commit.base().max(1) {
            let below = match found {
                Ok(Some(below)) => {
                    let last = below.last().filter(|_| below.store == commit.store);
                    let Some(last) = last else { return Ok(Below::Another) };
                    if !self.is_built_on(commit, last).await? {
                        return Ok(Below::Another);
                    }
                    Some(below)
                }
                Ok(None) => return Ok(Below::Nothing),
                // What is damaged says nothing against it.
                Err(Error::Corrupt(_)) => None,
                Err(error) => return Err(error),
            };
            if !commit.calls_nothing(number) {
                return Ok(Below::Fits(below));
            }
            number -= 1;
            found = self.fetch(number).await;
        }
        Ok(Below::Fits(None))
    }

    /// Returns whether a commit was made on this one before it. Its run names that, or begins right behind a checkpoint, in
    /// which that is the last of the feed.
    pub(super) async fn is_built_on(&self, commit: &Commit, last: &RunCommit) -> Result<bool> {
        if let Some(nonce) = commit.nonce_of(last.number) {
            return Ok(nonce == last.nonce);
        }
        let (Some(id), Some(batch)) = (&commit.checkpoint, last.batches().last()) else { return Ok(true) };
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
