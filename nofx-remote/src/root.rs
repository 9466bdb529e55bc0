//! The protocol: a sequence of numbered commits, each created only if its number is free.
//!
//! `docs/format/remote.md` has the steps, and what follows if any of them is interrupted.

mod contend;
mod follow;
mod here;
mod newest;
mod repair;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nofx_core::{Error, Result, Sources, StoreId};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::commit::{CheckpointId, Commit};
use crate::moment::Moment;
use crate::names;
use crate::objects::Objects;
use crate::options::Rules;
use crate::packs::Packs;
use crate::roll::{Rolled, roll};
use crate::state::State;
use contend::Turn;
use here::Here;
pub use repair::Finding;

/// One opening of a store.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) objects: Arc<Objects>,
    pub(crate) packs: Packs,
    pub(crate) rules: Rules,
    pub(crate) sources: Sources,
    /// Identifies this opening.
    writer: String,
    here: Here,
    tip: Mutex<Option<Tip>>,
    /// Held while looking for the newest commit in a listing.
    opening: tokio::sync::Mutex<()>,
    /// Held while committing.
    turn: tokio::sync::Mutex<Turn>,
    /// Held while making a checkpoint.
    rolling: Arc<tokio::sync::Mutex<()>>,
    rolled: Mutex<Option<(Rolled, Moment)>>,
    runtime: Handle,
    background: Mutex<JoinSet<()>>,
    lost_races: AtomicU64,
}

/// The newest known state.
#[derive(Debug)]
struct Tip {
    state: State,
    /// When there was known to be no newer commit.
    seen: Moment,
    /// Since when a commit is known that names a newer checkpoint than the one in memory.
    superseded: Option<Moment>,
    /// When each other writer was last seen.
    others: HashMap<String, Instant>,
    /// What is damaged after the last readable commit, and up to which number. Nothing is committed on top of it.
    blocked: Option<(u64, Error)>,
}

impl Root {
    pub(crate) fn new(objects: Objects, rules: Rules) -> Self {
        let objects = Arc::new(objects);
        let sources = objects.sources.clone();
        Self {
            packs: Packs::new(objects.clone()),
            writer: names::nonce(&*sources.ids),
            here: Here::default(),
            objects,
            rules,
            sources,
            tip: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            rolling: Arc::default(),
            rolled: Mutex::default(),
            runtime: Handle::current(),
            background: Mutex::default(),
            lost_races: AtomicU64::new(0),
        }
    }

    /// Opens the store and returns its id; if there is none, creates it or returns `None`.
    pub(crate) async fn open(&self, create: bool) -> Result<Option<StoreId>> {
        if self.reopen().await? {
            return self.with_tip(|tip| Ok(Some(tip.state.store)));
        }
        if !create {
            return Ok(None);
        }
        crate::probe::probe(&self.objects).await?;
        self.create().await?;
        let mut tries = self.objects.tries();
        while !self.reopen().await? {
            // Never continue from commit 1 alone: later commits may have been collected.
            if !tries.again().await {
                return Err(Error::unavailable("opening: the listing does not show the existing commits"));
            }
        }
        self.with_tip(|tip| Ok(Some(tip.state.store)))
    }

    fn lock_tip(&self) -> MutexGuard<'_, Option<Tip>> {
        // Any operation that may fail halfway replaces the tip with `None`.
        self.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_tip<T>(&self, look: impl FnOnce(&mut Tip) -> Result<T>) -> Result<T> {
        match &mut *self.lock_tip() {
            Some(tip) => look(tip),
            None => Err(Error::unavailable("the state of the store was lost; the next call loads it again")),
        }
    }

    /// Returns the number of the last known commit, if its state may still be built on, and the next number.
    fn usable(&self) -> Option<(u64, u64)> {
        let tip = self.lock_tip();
        let tip = tip.as_ref()?;
        let superseded = tip.superseded.is_some_and(|since| self.is_stale(since));
        let heavy = tip.superseded.is_some() && tip.state.weight > self.rules.heavy;
        (!self.is_stale(tip.seen) && !superseded && !heavy).then_some((tip.state.last, tip.state.next()))
    }

    /// Returns whether so much time has passed that objects from then may have been collected.
    fn is_stale(&self, moment: Moment) -> bool {
        moment.age(&self.sources) >= self.rules.stale
    }

    fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        while background.try_join_next().is_some() {}
        background.spawn_on(work, &self.runtime);
    }

    /// Aborts background work.
    pub(crate) async fn close(&self) {
        let _last = self.turn.lock().await;
        self.background.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    fn roll_in_background(self: &Arc<Self>) {
        let Ok(alone) = self.rolling.clone().try_lock_owned() else { return };
        let root = self.clone();
        self.in_background(async move {
            // The next commit that finds the run too long tries again.
            _ = root.roll().await;
            drop(alone);
        });
    }

    /// Makes a checkpoint of the last known state, unless one is waiting to be named.
    async fn roll(&self) -> Result<()> {
        if self.rolled_for_soon().is_some() {
            return Ok(());
        }
        let state = self.with_tip(|tip| Ok(tip.state.clone()))?;
        let state = match &state.cited {
            Some(cited) if state.base.id != state.cited => match self.base(cited, state.store).await {
                Ok(Some(base)) => {
                    let (store, checkpoint) = (state.store, Some(cited.clone()));
                    State::new(base, &Commit { store, checkpoint, run: state.run, follows: None, tag: None, made: 0 })?
                }
                // The state is based on an older one, and the new one will heal that.
                Ok(None) | Err(Error::Corrupt(_)) => state,
                Err(error) => return Err(error),
            },
            _ => state,
        };
        let begun = Moment::now(&self.sources);
        let rolled = roll(&self.objects, &self.packs, state).await?;
        *self.rolled.lock().unwrap_or_else(PoisonError::into_inner) = Some((rolled, begun));
        Ok(())
    }

    /// Returns the checkpoint that a commit should name soon, if this handle has made one.
    ///
    /// It must have been built on the one that is named now, so that anything a checkpoint has dropped never comes
    /// back.
    fn rolled_for_soon(&self) -> Option<CheckpointId> {
        let cited = self.lock_tip().as_ref()?.state.cited.clone();
        let mut rolled = self.rolled.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |(rolled, begun): &(Rolled, Moment)| rolled.parent == cited && !self.is_stale(*begun);
        if !rolled.as_ref().is_some_and(fits) {
            *rolled = None;
        }
        rolled.as_ref()?.0.base.id.clone()
    }

    /// Returns what is damaged after the last readable commit.
    pub(crate) fn blocked(&self) -> Option<Error> {
        Some(self.lock_tip().as_ref()?.blocked.as_ref()?.1.clone())
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
