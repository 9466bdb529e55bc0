//! The protocol: one row of numbered commits, each created only if its number is free.
//!
//! `docs/format/remote.md` has the steps, and what follows when any of them is cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, join3};
use nofx_core::{Batch, BatchId, Committed, Error, Outcome, Result, Sources, StoreId};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::checkpoint::Base;
use crate::commit::{CheckpointId, Commit, RunCommit};
use crate::fault::Fault;
use crate::feed::{Remembered, first_outcome};
use crate::judge::{Verdicts, judge};
use crate::line::Held;
use crate::moment::Moment;
use crate::names;
use crate::objects::{Again, Created, Objects, between, missing};
use crate::options::{Planted, Rules};
use crate::packs::{Packer, Packs};
use crate::roll::{Rolled, roll};
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

/// The longest that a winner waits for the others.
const POLITE: Duration = Duration::from_secs(2);

/// One opening of a store.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) objects: Arc<Objects>,
    pub(crate) packs: Packs,
    pub(crate) rules: Rules,
    pub(crate) sources: Sources,
    /// The name of this opening.
    writer: String,
    tip: Mutex<Option<Tip>>,
    /// Whoever holds it may look for the newest commit in a listing.
    opening: tokio::sync::Mutex<()>,
    /// Whoever holds it may commit.
    turn: tokio::sync::Mutex<Turn>,
    /// Whoever holds it may make a checkpoint.
    rolling: Arc<tokio::sync::Mutex<()>>,
    rolled: Mutex<Option<(Rolled, Moment)>>,
    runtime: Handle,
    background: Mutex<JoinSet<()>>,
    lost_races: AtomicU64,
}

/// The newest state that is known.
#[derive(Debug)]
struct Tip {
    state: State,
    /// At this moment there was no newer commit.
    seen: Moment,
    /// Since when a commit is known that names a newer checkpoint than the one in memory.
    superseded: Option<Moment>,
    /// When each other writer was last seen.
    others: HashMap<String, Instant>,
}

/// What belongs to those who commit.
#[derive(Debug, Default)]
struct Turn {
    remembered: Remembered,
    /// A commit whose outcome is unknown. Nothing else is written before it is.
    pending: Option<Attempt>,
    last_win: Option<Instant>,
    put_time: Duration,
    collected: Option<Moment>,
}

/// A commit on its way.
#[derive(Clone, Debug)]
struct Attempt {
    commit: Commit,
    bytes: Bytes,
    batches: Vec<BatchId>,
    /// When the state below it was known to be the newest.
    seen: Moment,
}

/// What became of an attempt.
#[derive(Debug)]
enum Settled {
    Won,
    /// Another commit has the number.
    Lost(Commit),
    /// It did not happen and will not.
    Failed(Fault),
    /// It may have happened, or may still happen.
    Unclear(Fault),
    /// A planted error was met.
    Skipped,
}

impl Root {
    pub(crate) fn new(objects: Objects, rules: Rules) -> Self {
        let objects = Arc::new(objects);
        let sources = objects.sources.clone();
        Self {
            packs: Packs::new(objects.clone()),
            writer: names::nonce(&*sources.ids),
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
            // Never go on from commit 1 alone: those that follow it may have been collected.
            if !tries.again().await {
                return Err(Error::unavailable("opening: the listing does not show the commits that are there"));
            }
        }
        self.with_tip(|tip| Ok(Some(tip.state.store)))
    }

    /// Creates commit 1, which is never deleted, so that no store is ever created twice.
    async fn create(&self) -> Result<()> {
        let nonce = names::nonce(&*self.sources.ids);
        let first = RunCommit::new(1, nonce, self.writer.clone(), [], std::iter::empty());
        let commit = Commit { store: self.sources.store_id(), checkpoint: None, run: vec![Arc::new(first)] };
        let attempt =
            Attempt { bytes: commit.encode()?, commit, batches: Vec::new(), seen: Moment::now(&self.sources) };
        match self.settle(&attempt, Instant::now() + self.rules.commit_timeout).await? {
            Settled::Won | Settled::Lost(_) | Settled::Skipped => Ok(()),
            Settled::Failed(fault) | Settled::Unclear(fault) => Err(fault.unavailable("creating the store")),
        }
    }

    /// Finds the newest commit in a listing and takes its state; `false` if there is no commit.
    async fn reopen(&self) -> Result<bool> {
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

    fn lock_tip(&self) -> MutexGuard<'_, Option<Tip>> {
        // What may fail halfway replaces the tip by nothing.
        self.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_tip<T>(&self, look: impl FnOnce(&mut Tip) -> Result<T>) -> Result<T> {
        match &mut *self.lock_tip() {
            Some(tip) => look(tip),
            None => Err(Error::unavailable("the state of the store was lost; it is found again by the next call")),
        }
    }

    /// Returns the number of the last known commit, if its state may still be built upon.
    fn usable(&self) -> Option<u64> {
        let tip = self.lock_tip();
        let tip = tip.as_ref()?;
        let superseded = tip.superseded.is_some_and(|since| self.is_stale(since));
        let heavy = tip.superseded.is_some() && tip.state.weight > self.rules.heavy;
        (!self.is_stale(tip.seen) && !superseded && !heavy).then_some(tip.state.last)
    }

    /// Returns whether so much time has passed that what was there then may have been collected.
    fn is_stale(&self, moment: Moment) -> bool {
        moment.age(&self.sources) >= self.rules.stale && !self.rules.plants(Planted::NeverStale)
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
            // Most often that is all. If there are many more, a listing finds any number of them.
            let before = Moment::now(&self.sources);
            let (next, far) = (self.fetch(reached + 1), self.fetch(reached + AHEAD));
            let (next, far, newest) = join3(next, far, self.objects.newest_commit()).await;
            match next? {
                _ if self.rules.plants(Planted::TrustsListings) => {}
                None => {
                    self.saw_newest(reached, before);
                    return Ok(reached);
                }
                Some(next) => self.advance(next).await?,
            }
            reached += 1;
            if far?.is_none() {
                far_enough.get_or_insert(reached + AHEAD - 2);
            }
            if let Some(newest) = newest?.filter(|newest| *newest > reached)
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
    fn saw_newest(&self, last: u64, moment: Moment) {
        if let Some(tip) = &mut *self.lock_tip()
            && tip.state.last >= last
            && tip.seen.age(&self.sources) > moment.age(&self.sources)
        {
            tip.seen = moment;
        }
    }

    /// Moves the state on to a commit, by fetching what lies between if its run does not reach back far enough.
    async fn advance(&self, commit: Commit) -> Result<()> {
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
    fn take(&self, commit: &Commit) -> Result<bool> {
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

    /// Commits a group.
    pub(crate) async fn commit(self: &Arc<Self>, group: &[Batch]) -> Result<Vec<Outcome>> {
        let end = Instant::now() + self.rules.commit_timeout;
        let turn = timeout_at(end, self.turn.lock()).await;
        let mut turn = turn.map_err(|_| Error::unavailable("waiting for the commits before"))?;
        self.settle_pending(&mut turn, group, end).await?;
        let mut bodies = HashMap::new();
        let mut looked = None;
        self.be_polite(&turn).await;
        if self.is_behind(&turn) {
            looked = Some(self.refresh().await?);
        }
        loop {
            let verdicts = self.judge(&mut turn, group).await?;
            if verdicts.good.is_empty() {
                // Being turned down is true only of a state that was the newest at some moment of this call.
                let is_fresh = looked.is_some_and(|looked| verdicts.number > looked);
                if is_fresh || !verdicts.has_conflict() || self.rules.plants(Planted::RejectsUnseen) {
                    return Ok(verdicts.outcomes);
                }
                looked = Some(self.refresh().await?);
            } else {
                self.place_bodies(group, &verdicts, &mut bodies).await?;
                if let Some(attempt) = self.attempt(group, &verdicts, &bodies, end).await? {
                    if self.try_once(&mut turn, attempt, end).await? {
                        return Ok(verdicts.outcomes);
                    }
                    self.lost_races.fetch_add(1, Ordering::Relaxed);
                }
                // Losers aim from a fresh look, or whoever won, and knows its number first, wins for ever.
                looked = Some(self.refresh().await?);
                sleep(turn.put_time.mul_f64(between(&self.sources, 0.0, 0.5))).await;
            }
            if Instant::now() >= end {
                return Err(Error::unavailable("committing: others were always faster"));
            }
        }
    }

    /// Makes one attempt; `false` if another commit got the number.
    async fn try_once(self: &Arc<Self>, turn: &mut Turn, attempt: Attempt, end: Instant) -> Result<bool> {
        let (before, begun) = (Moment::now(&self.sources), Instant::now());
        let settled = self.settle(&attempt, end).await?;
        match settled {
            Settled::Won => {
                turn.put_time = match turn.put_time.is_zero() {
                    true => begun.elapsed(),
                    false => (turn.put_time * 7 + begun.elapsed()) / 8,
                };
                turn.last_win = Some(Instant::now());
                self.won(turn, &attempt, before);
                Ok(true)
            }
            Settled::Lost(found) => {
                self.advance(found).await?;
                Ok(false)
            }
            Settled::Skipped => Ok(false),
            Settled::Failed(fault) => Err(fault.unavailable("committing")),
            Settled::Unclear(fault) if self.rules.plants(Planted::UnclearIsNothing) => {
                Err(fault.unavailable("committing"))
            }
            Settled::Unclear(fault) => {
                turn.pending = Some(attempt);
                Err(fault.unknown("committing"))
            }
        }
    }

    /// Brings a commit whose outcome is unknown to an end.
    async fn settle_pending(self: &Arc<Self>, turn: &mut Turn, group: &[Batch], end: Instant) -> Result<()> {
        let Some(mut attempt) = turn.pending.take() else { return Ok(()) };
        let again = group.iter().any(|batch| attempt.batches.contains(&batch.id));
        let Err(error) = self.try_again(turn, &mut attempt, end).await else { return Ok(()) };
        // That nothing came of trying again does not say what came of the first try.
        turn.pending = Some(attempt);
        Err(match error {
            Error::Unavailable(failure) if again => Error::Unknown(failure),
            // The commit before is still unknown; of this group nothing has happened.
            Error::Unknown(failure) if !again => Error::Unavailable(failure),
            error => error,
        })
    }

    /// Makes an attempt again whose outcome is unknown.
    async fn try_again(self: &Arc<Self>, turn: &mut Turn, attempt: &mut Attempt, end: Instant) -> Result<()> {
        if self.is_stale(attempt.seen) {
            // Its number may have been taken and be free again by now; then the batches that the store remembers tell what became of
            // it. If the number is the next one still, it was never taken.
            let now = Moment::now(&self.sources);
            if self.refresh().await? >= attempt.commit.number() {
                return Ok(());
            }
            attempt.seen = now;
        }
        self.try_once(turn, attempt.clone(), end).await.map(|_| ())
    }

    /// Creates one commit, the same bytes under the same number, until it is certain what became of it.
    async fn settle(&self, attempt: &Attempt, end: Instant) -> Result<Settled> {
        let number = attempt.commit.number();
        let path = self.objects.names.commit(number);
        let nonce = attempt.commit.last().map(|last| &last.nonce);
        let mut tries = self.objects.tries().until(end);
        let mut unclear = false;
        loop {
            if self.is_stale(attempt.seen) {
                let fault = Fault::new(&"this took so long that the number may be free again", &[]);
                return Ok(if unclear { Settled::Unclear(fault) } else { Settled::Failed(fault) });
            }
            let fault = match self.objects.create(&path, attempt.bytes.clone()).await {
                Created::Yes => return Ok(Settled::Won),
                Created::Refused => match timeout_at(end, self.fetch(number)).await {
                    Ok(Ok(Some(found))) => {
                        let own = found.last().map(|last| &last.nonce) == nonce;
                        return Ok(match own && !self.rules.plants(Planted::ForgetsItsNonce) {
                            true => Settled::Won,
                            false => Settled::Lost(found),
                        });
                    }
                    // Some stores refuse while another create is under way that may come to nothing.
                    Ok(Ok(None)) => {
                        if self.rules.plants(Planted::RefusedIsThere) {
                            if let Some(tip) = &mut *self.lock_tip() {
                                tip.state.last += 1;
                            }
                            return Ok(Settled::Skipped);
                        }
                        Fault::new(&"refused, without an object", &[])
                    }
                    Ok(Err(error)) if !error.is_transient() => return Err(error),
                    Ok(Err(_)) | Err(_) => {
                        unclear = true;
                        Fault::new(&"refused, and no answer to what is there", &[])
                    }
                },
                Created::No(fault, Again::Never) if !unclear => return Ok(Settled::Failed(fault)),
                Created::No(fault, _) => fault,
                Created::Unclear(fault) => {
                    unclear = true;
                    fault
                }
            };
            if unclear && self.rules.plants(Planted::NewBytes) {
                return Ok(Settled::Skipped);
            }
            if !tries.again().await {
                return Ok(if unclear { Settled::Unclear(fault) } else { Settled::Failed(fault) });
            }
        }
    }

    /// Takes note of an own commit that happened.
    fn won(self: &Arc<Self>, turn: &mut Turn, attempt: &Attempt, before: Moment) {
        // It is what was judged and written here; if it cannot be read, the next call opens again and says so.
        _ = self.take(&attempt.commit);
        self.saw_newest(attempt.commit.number(), before);
        let run: usize = attempt.commit.run.iter().map(|commit| commit.text.len()).sum();
        let own = attempt.commit.last().map_or(0, |last| last.text.len());
        let crossed = run > self.rules.roll_at && run - own <= self.rules.roll_at;
        if crossed || run > 2 * self.rules.roll_at {
            self.roll_in_background();
        }
        let has_cut = attempt.commit.run.len() == 1;
        let due = turn.collected.is_none_or(|collected| collected.age(&self.sources) >= self.rules.collect_every);
        if has_cut && due && attempt.commit.checkpoint.is_some() {
            turn.collected = Some(Moment::now(&self.sources));
            let root = self.clone();
            // What cannot be deleted now is deleted an hour later.
            self.in_background(async move { _ = crate::collect::collect(&root).await });
        }
    }

    fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        while background.try_join_next().is_some() {}
        background.spawn_on(work, &self.runtime);
    }

    /// Gives up what is done beside the commits.
    pub(crate) async fn close(&self) {
        let _last = self.turn.lock().await;
        self.background.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    fn roll_in_background(self: &Arc<Self>) {
        let Ok(alone) = self.rolling.clone().try_lock_owned() else { return };
        let root = self.clone();
        self.in_background(async move {
            // The commit that finds the run too long will try again.
            _ = root.roll().await;
            drop(alone);
        });
    }

    /// Makes a checkpoint of the last known state, unless there is one to be named.
    async fn roll(&self) -> Result<()> {
        if self.rolled_for_next().is_some() {
            return Ok(());
        }
        let state = self.with_tip(|tip| Ok(tip.state.clone()))?;
        let state = match &state.cited {
            Some(cited) if state.base.id != state.cited => {
                let base = self.base(cited, state.store).await?;
                let base = base.ok_or_else(|| missing(&self.objects.names.checkpoint(cited.number, &cited.nonce)))?;
                State::new(base, &Commit { store: state.store, checkpoint: Some(cited.clone()), run: state.run })?
            }
            _ => state,
        };
        let begun = Moment::now(&self.sources);
        let rolled = roll(&self.objects, &self.packs, state).await?;
        *self.rolled.lock().unwrap_or_else(PoisonError::into_inner) = Some((rolled, begun));
        Ok(())
    }

    /// Returns the checkpoint that the next commit is to name, if this handle has made one.
    ///
    /// It must have been built on the one that is named now: then what a checkpoint has let go of never comes back.
    fn rolled_for_next(&self) -> Option<CheckpointId> {
        let cited = self.lock_tip().as_ref()?.state.cited.clone();
        let mut rolled = self.rolled.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |(rolled, begun): &(Rolled, Moment)| rolled.parent == cited && !self.is_stale(*begun);
        if !rolled.as_ref().is_some_and(fits) {
            *rolled = None;
        }
        rolled.as_ref()?.0.base.id.clone()
    }

    /// Judges a group on the last known state.
    async fn judge(&self, turn: &mut Turn, group: &[Batch]) -> Result<Verdicts> {
        let mut first_outcomes: HashMap<BatchId, Committed> = HashMap::new();
        loop {
            if self.usable().is_none() {
                self.refresh().await?;
            }
            let (base, number) = {
                let slot = self.lock_tip();
                let Some(Tip { state, .. }) = &*slot else { continue };
                if turn.remembered.reaches(state) {
                    turn.remembered.learn(state);
                    let mut far = None;
                    for batch in group {
                        let Some(number) = turn.remembered.number(&batch.id) else { continue };
                        match number.checked_sub(state.base.feed_end) {
                            Some(at) => {
                                let item = state.recent.get(at as usize).map(|item| item.committed.clone());
                                first_outcomes.extend(item.map(|committed| (batch.id, committed)));
                            }
                            None if first_outcomes.contains_key(&batch.id) => {}
                            None => far = Some((batch.id, number)),
                        }
                    }
                    match far {
                        None => return judge(state, group, &first_outcomes),
                        far => (state.base.clone(), far),
                    }
                } else {
                    (state.base.clone(), None)
                }
            };
            match number {
                None => turn.remembered.learn_chunks(&self.packs, &base).await?,
                Some((id, number)) => {
                    let outcome = first_outcome(&self.packs, &base, number).await?;
                    first_outcomes.insert(id, outcome);
                }
            }
        }
    }

    /// Puts the large bodies of those batches that may happen into packs, once.
    async fn place_bodies(
        &self,
        group: &[Batch],
        verdicts: &Verdicts,
        bodies: &mut HashMap<usize, Vec<Held>>,
    ) -> Result<()> {
        let mut packer = Packer::new(&self.objects);
        let mut placed = Vec::new();
        for (at, _) in verdicts.good.iter().filter(|(at, _)| !bodies.contains_key(at)) {
            let held = all_bodies(&group[*at]).map(|body| match body.len() > self.rules.inline_bytes {
                true => packer.add_body(body),
                false => Ok(Held::Here(body.clone())),
            });
            placed.push((*at, held.collect::<Result<_>>()?));
        }
        packer.finish().await?;
        bodies.extend(placed);
        Ok(())
    }

    /// Writes down the commit of those batches that may happen; `None` if the state has moved on since they were judged.
    async fn attempt(
        &self,
        group: &[Batch],
        verdicts: &Verdicts,
        bodies: &HashMap<usize, Vec<Held>>,
        end: Instant,
    ) -> Result<Option<Attempt>> {
        // Beside a large checkpoint a longer run is no burden, and writing the checkpoint is one.
        let longest = |state: &State| self.rules.roll_first.max(state.base.bytes() / 8);
        let long = self.with_tip(|tip| Ok(tip.state.run_bytes() > longest(&tip.state)))?;
        if long && self.rolled_for_next().is_none() {
            // Whoever is making one has it soon. Without one, the commit is longer than it should be, and nothing else.
            if let Ok(_alone) = timeout_at(end, self.rolling.lock()).await {
                _ = timeout_at(end, self.roll()).await;
            }
        }
        let rolled = self.rolled_for_next();
        let good = verdicts.good.iter().map(|(at, granted)| (&group[*at], granted));
        let held = verdicts.good.iter().filter_map(|(at, _)| bodies.get(at)).flatten().cloned();
        let nonce = names::nonce(&*self.sources.ids);
        let own = RunCommit::new(verdicts.number, nonce, self.writer.clone(), good, held);
        let slot = self.lock_tip();
        let Some(Tip { state, seen, .. }) = slot.as_ref().filter(|tip| tip.state.last + 1 == verdicts.number) else {
            return Ok(None);
        };
        let checkpoint = rolled.or_else(|| state.cited.clone());
        let cut = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.number);
        let carried = state.run.iter().filter(|commit| commit.number > cut).cloned();
        let run = carried.chain([Arc::new(own)]).collect();
        let (commit, seen) = (Commit { store: state.store, checkpoint, run }, *seen);
        drop(slot);
        let batches = verdicts.good.iter().map(|(at, _)| group[*at].id).collect();
        Ok(Some(Attempt { bytes: commit.encode()?, commit, batches, seen }))
    }

    /// After a win, lets the others have their turn: they need a moment longer to learn the next number.
    async fn be_polite(&self, turn: &Turn) {
        let others = self.others();
        if let (Some(win), 1..) = (turn.last_win, others) {
            let wait = turn.put_time.mul_f64(others as f64 * between(&self.sources, 0.7, 1.3));
            sleep_until(win + wait.min(POLITE)).await;
        }
    }

    /// Returns whether others have probably written since the last look: then another look costs less than a lost race.
    fn is_behind(&self, turn: &Turn) -> bool {
        let age = self.lock_tip().as_ref().map(|tip| tip.seen.age(&self.sources));
        self.others() > 0 && age.is_some_and(|age| age > turn.put_time)
    }

    /// Returns how many other writers were seen lately.
    fn others(&self) -> usize {
        self.lock_tip().as_mut().map_or(0, |tip| {
            tip.others.retain(|_, seen| seen.elapsed() < BUSY);
            tip.others.len()
        })
    }

    /// Returns how often another writer was first.
    pub(crate) fn lost_races(&self) -> u64 {
        self.lost_races.load(Ordering::Relaxed)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// Returns all bodies of a batch, in the order in which a commit names them.
fn all_bodies(batch: &Batch) -> impl Iterator<Item = &nofx_core::Body> {
    let records = batch.writes.iter().filter_map(|write| write.body.as_ref());
    records.chain(batch.appends.iter().flat_map(|append| &append.entries).map(|entry| &entry.body))
}
