//! Contending: a group becomes the commit with the next free number, or learns which commit took that number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use nofx_core::{Batch, BatchId, Committed, Error, Outcome, Result};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::here::is_elsewhere;
use super::{Root, Tip};
use crate::commit::{CheckpointId, Commit, Follows, RunCommit};
use crate::fault::Fault;
use crate::feed::{Remembered, first_outcome};
use crate::judge::{Verdicts, judge};
use crate::line::Held;
use crate::moment::Moment;
use crate::names;
use crate::objects::{Again, Created, between};
use crate::packs::Packer;
use crate::state::State;

/// The longest that a winner waits for other writers.
const POLITE: Duration = Duration::from_secs(2);

/// State that belongs to the committing task.
#[derive(Debug, Default)]
pub(super) struct Turn {
    remembered: Remembered,
    /// A commit whose outcome is unknown. Nothing else is written until it is settled.
    pending: Option<Attempt>,
    last_win: Option<Instant>,
    put_time: Duration,
    collected: Option<Moment>,
}

/// A commit in flight.
#[derive(Clone, Debug)]
struct Attempt {
    commit: Commit,
    bytes: Bytes,
    batches: Vec<BatchId>,
    /// When the state below it was known to be the newest.
    seen: Moment,
}

/// The result of an attempt.
#[derive(Debug)]
enum Settled {
    /// It exists, with this tag.
    Won(Option<String>),
    /// The object under the number cannot be read.
    Damaged,
    /// Another commit has the number.
    Lost(Commit),
    /// It did not happen and will not.
    Failed(Fault),
    /// It may have happened, or may still happen.
    Unclear(Fault),
}

impl Root {
    /// Creates commit 1, which is never deleted, so that no store is ever created twice.
    pub(super) async fn create(&self) -> Result<()> {
        let nonce = names::nonce(&*self.sources.ids);
        let first = RunCommit::new(1, nonce, self.writer.clone(), [], std::iter::empty());
        let (store, run) = (self.sources.store_id(), vec![Arc::new(first)]);
        let commit = Commit { store, checkpoint: None, run, follows: None, tag: None, made: 0 };
        let attempt =
            Attempt { bytes: commit.encode()?, commit, batches: Vec::new(), seen: Moment::now(&self.sources) };
        match self.settle(&attempt, Instant::now() + self.rules.commit_timeout).await? {
            Settled::Won(_) | Settled::Damaged | Settled::Lost(_) => Ok(()),
            Settled::Failed(fault) | Settled::Unclear(fault) => Err(fault.unavailable("creating the store")),
        }
    }

    /// Commits a group.
    pub(crate) async fn commit(self: &Arc<Self>, group: &[Batch]) -> Result<Vec<Outcome>> {
        let end = Instant::now() + self.rules.commit_timeout;
        let turn = timeout_at(end, self.turn.lock()).await;
        let mut turn = turn.map_err(|_| Error::unavailable("waiting for earlier commits"))?;
        self.settle_pending(&mut turn, group, end).await?;
        let mut bodies = HashMap::new();
        let mut looked = None;
        self.be_polite(&turn).await;
        if self.is_behind(&turn) || self.blocked().is_some() {
            looked = Some(self.refresh().await?);
        }
        loop {
            let verdicts = self.judge(&mut turn, group).await?;
            self.while_whole()?;
            if verdicts.good.is_empty() {
                // A rejection is only valid on a state that was the newest at some point during this call.
                let is_fresh = looked.is_some_and(|looked| verdicts.number > looked);
                if is_fresh || !verdicts.has_conflict() {
                    // What is remembered here says nothing about a store that has been replaced.
                    self.look_back().await?;
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
                // Losers start from a fresh look. Otherwise the previous winner, who knows its number first, would win
                // every time.
                looked = Some(self.refresh().await?);
                sleep(turn.put_time.mul_f64(between(&self.sources, 0.0, 0.5))).await;
            }
            if Instant::now() >= end {
                return Err(Error::unavailable("committing: other writers committed first each time"));
            }
        }
    }

    /// Commits no batches, to name a checkpoint that is ready and to mark skipped numbers as holding nothing.
    pub(crate) async fn commit_nothing(self: &Arc<Self>) -> Result<()> {
        let end = Instant::now() + self.rules.commit_timeout;
        let mut turn = self.turn.lock().await;
        self.settle_pending(&mut turn, &[], end).await?;
        loop {
            self.refresh().await?;
            self.while_whole()?;
            let number = self.with_tip(|tip| Ok(tip.state.next()))?;
            let nothing = Verdicts { number, outcomes: Vec::new(), good: Vec::new() };
            if let Some(attempt) = self.attempt(&[], &nothing, &HashMap::new(), end).await?
                && self.try_once(&mut turn, attempt, end).await?
            {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(Error::unavailable("committing: other writers committed first each time"));
            }
        }
    }

    /// Makes one attempt; `false` if another commit got the number.
    ///
    /// It is acknowledged if the commit before it is still there, which is checked concurrently, or beforehand where
    /// that costs nothing. Otherwise the created object is a stray, which every opening skips.
    async fn try_once(self: &Arc<Self>, turn: &mut Turn, mut attempt: Attempt, end: Instant) -> Result<bool> {
        let (before, begun) = (Moment::now(&self.sources), Instant::now());
        let (settled, there) = match self.objects.is_near {
            true => (self.look_back().await.map(|()| self.settle(&attempt, end))?.await, Ok(())),
            false => join(self.settle(&attempt, end), self.look_back()).await,
        };
        match (settled?, there) {
            (Settled::Won(_) | Settled::Unclear(_), Err(error)) if is_elsewhere(&error) => {
                Err(self.refused(&attempt.commit, error).await)
            }
            (_, Err(error)) if is_elsewhere(&error) => Err(error),
            (Settled::Won(_), Err(error)) => {
                turn.pending = Some(attempt);
                Err(Error::unknown_because("committing", error))
            }
            (Settled::Won(tag), Ok(())) => {
                attempt.commit.tag = tag;
                turn.put_time = match turn.put_time.is_zero() {
                    true => begun.elapsed(),
                    false => (turn.put_time * 7 + begun.elapsed()) / 8,
                };
                turn.last_win = Some(Instant::now());
                self.won(turn, &attempt, before);
                Ok(true)
            }
            (Settled::Lost(found), there) => {
                there?;
                self.advance(found).await?;
                Ok(false)
            }
            // The look that follows finds what comes after it, or that nothing does.
            (Settled::Damaged, _) => Ok(false),
            (Settled::Failed(fault), _) => Err(fault.unavailable("committing")),
            (Settled::Unclear(fault), _) => {
                turn.pending = Some(attempt);
                Err(fault.unknown("committing"))
            }
        }
    }

    /// Returns the error for a commit that was created when the one before it was not there: it has no effect, unless
    /// the store was put back in time.
    async fn refused(&self, commit: &Commit, error: Error) -> Error {
        let nonce = commit.last().map(|last| &*last.nonce).unwrap_or_default();
        let belongs = match self.fetch(commit.number()).await {
            Ok(Some(found)) if found.is_named(nonce) => self.belongs(&found, &[], false).await,
            Ok(_) | Err(Error::Corrupt(_)) => Ok(false),
            Err(failed) => Err(failed),
        };
        match belongs {
            Ok(false) => error,
            Ok(true) | Err(_) => Error::unknown_because("committing: the store was removed and put back", error),
        }
    }

    /// Settles a commit whose outcome is unknown.
    async fn settle_pending(self: &Arc<Self>, turn: &mut Turn, group: &[Batch], end: Instant) -> Result<()> {
        let Some(mut attempt) = turn.pending.take() else { return Ok(()) };
        let again = group.iter().any(|batch| attempt.batches.contains(&batch.id));
        let Err(error) = self.try_again(turn, &mut attempt, end).await else { return Ok(()) };
        // A failed retry says nothing about the first attempt.
        turn.pending = Some(attempt);
        Err(match error {
            Error::Unavailable(failure) if again => Error::Unknown(failure),
            // The earlier commit is still unknown; nothing of this group has happened.
            Error::Unknown(failure) if !again => Error::Unavailable(failure),
            error => error,
        })
    }

    /// Retries an attempt whose outcome is unknown.
    async fn try_again(self: &Arc<Self>, turn: &mut Turn, attempt: &mut Attempt, end: Instant) -> Result<()> {
        if self.is_stale(attempt.seen) {
            // Its number may have been taken and be free again by now; then the batches that the store remembers show
            // what happened. If the number is still the next one, it was never taken.
            let now = Moment::now(&self.sources);
            if self.refresh().await? >= attempt.commit.number() {
                return Ok(());
            }
            attempt.seen = now;
        }
        self.try_once(turn, attempt.clone(), end).await.map(|_| ())
    }

    /// Creates one commit, the same bytes under the same number, until its outcome is certain.
    async fn settle(&self, attempt: &Attempt, end: Instant) -> Result<Settled> {
        let number = attempt.commit.number();
        let path = self.objects.names.commit(number);
        let nonce = attempt.commit.last().map(|last| &last.nonce);
        let mut tries = self.objects.tries().until(end);
        let mut unclear = false;
        loop {
            if self.is_stale(attempt.seen) {
                let fault = Fault::in_words("it took so long that the number may be free again");
                return Ok(if unclear { Settled::Unclear(fault) } else { Settled::Failed(fault) });
            }
            let fault = match self.objects.create(&path, attempt.bytes.clone()).await {
                Created::Yes(tag) => return Ok(Settled::Won(tag)),
                Created::Refused => match timeout_at(end, self.fetch(number)).await {
                    Ok(Ok(Some(found))) => {
                        let own = found.last().map(|last| &last.nonce) == nonce;
                        return Ok(match own {
                            true => Settled::Won(found.tag),
                            false => Settled::Lost(found),
                        });
                    }
                    // Some stores refuse while another create is in progress that may yet fail.
                    Ok(Ok(None)) => Fault::in_words("refused, although the object does not exist"),
                    Ok(Err(Error::Corrupt(_))) => return Ok(Settled::Damaged),
                    Ok(Err(error)) if !error.is_transient() => return Err(error),
                    Ok(Err(_)) | Err(_) => {
                        unclear = true;
                        Fault::in_words("refused, and reading what is there failed")
                    }
                },
                Created::No(fault, Again::Never) if !unclear => return Ok(Settled::Failed(fault)),
                Created::No(fault, Again::Never) | Created::Unclear(fault, Again::Never) => {
                    return Ok(Settled::Unclear(fault));
                }
                Created::No(fault, Again::Maybe) => fault,
                Created::Unclear(fault, Again::Maybe) => {
                    unclear = true;
                    fault
                }
            };
            if !tries.again().await {
                return Ok(if unclear { Settled::Unclear(fault) } else { Settled::Failed(fault) });
            }
        }
    }

    /// Records an own commit that happened.
    fn won(self: &Arc<Self>, turn: &mut Turn, attempt: &Attempt, before: Moment) {
        let cited = self.lock_tip().as_ref().and_then(|tip| tip.state.cited.clone());
        // It is what was judged and written here; if it cannot be read, the next call opens again and reports it.
        _ = self.take(&attempt.commit);
        self.saw_newest(attempt.commit.number(), before);
        let bytes = self.lock_tip().as_ref().map_or(0, |tip| tip.state.base.bytes());
        let run = &attempt.commit.run;
        let (before, now) = (Burden::of(&run[..run.len().saturating_sub(1)]), Burden::of(run));
        let crossed = now.exceeds(self.rules.roll_at, bytes) && !before.exceeds(self.rules.roll_at, bytes);
        if crossed || now.exceeds(2 * self.rules.roll_at, 2 * bytes) {
            self.roll_in_background();
        }
        let has_cut = attempt.commit.checkpoint != cited;
        let due = turn.collected.is_none_or(|collected| collected.age(&self.sources) >= self.rules.collect_every);
        if has_cut && due && attempt.commit.checkpoint.is_some() {
            turn.collected = Some(Moment::now(&self.sources));
            let root = self.clone();
            // What cannot be deleted now is deleted an hour later.
            self.in_background(async move { _ = crate::collect::collect(&root).await });
        }
    }

    /// Refuses to commit on top of damage, because its content is unknown.
    fn while_whole(&self) -> Result<()> {
        self.blocked().map_or(Ok(()), Err)
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

    /// Puts the large bodies of the batches that may happen into packs, once.
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

    /// Encodes the commit of the batches that may happen; `None` if the state has moved on since they were judged.
    async fn attempt(
        &self,
        group: &[Batch],
        verdicts: &Verdicts,
        bodies: &HashMap<usize, Vec<Held>>,
        end: Instant,
    ) -> Result<Option<Attempt>> {
        let is_long = |state: &State| Burden::of(&state.run).exceeds(self.rules.roll_first, state.base.bytes());
        let long = self.with_tip(|tip| Ok(is_long(&tip.state)))?;
        if long && self.rolled_for_soon().is_none() {
            // A task that is making one will soon be done. Without a checkpoint, the commit is merely longer than it
            // should be.
            if let Ok(_alone) = timeout_at(end, self.rolling.lock()).await {
                _ = timeout_at(end, self.roll()).await;
            }
        }
        let rolled = self.rolled_still_there().await?;
        self.prove().await?;
        let proven = self.proven();
        let good = verdicts.good.iter().map(|(at, granted)| (&group[*at], granted));
        let held = verdicts.good.iter().filter_map(|(at, _)| bodies.get(at)).flatten().cloned();
        let nonce = names::nonce(&*self.sources.ids);
        let own = RunCommit::new(verdicts.number, nonce, self.writer.clone(), good, held);
        let slot = self.lock_tip();
        let Some(Tip { state, seen, .. }) = slot.as_ref().filter(|tip| tip.state.next() == verdicts.number) else {
            return Ok(None);
        };
        // The run includes the commit before, so that every reader can see that this one follows it, unless it is too
        // large to carry along.
        let is_burden = state.run.last().is_some_and(|last| last.text.len() > self.rules.burden);
        let rolled = rolled.filter(|rolled| rolled.number < state.last || is_burden);
        let checkpoint = rolled.or_else(|| state.cited.clone());
        let cut = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.number);
        let carried = state.run.iter().filter(|commit| commit.number > cut).cloned();
        let run = carried.chain(state.passed.iter().cloned()).chain([Arc::new(own)]).collect();
        let follows = state.run.last().filter(|last| last.number == state.last);
        let follows = follows.map(|last| Follows { number: last.number, nonce: last.nonce.clone(), proven });
        let (commit, seen) = (Commit { store: state.store, checkpoint, run, follows, tag: None, made: 0 }, *seen);
        drop(slot);
        let batches = verdicts.good.iter().map(|(at, _)| group[*at].id).collect();
        Ok(Some(Attempt { bytes: commit.encode()?, commit, batches, seen }))
    }

    /// Returns the checkpoint that a commit should name soon, if it exists where the store is now.
    async fn rolled_still_there(&self) -> Result<Option<CheckpointId>> {
        let Some(id) = self.rolled_for_soon() else { return Ok(None) };
        let is_there = self.objects.get_range(&self.checkpoint_path(&id), 0..1).await?.is_some();
        Ok(Some(id).filter(|_| is_there))
    }

    /// After a win, lets other writers have their turn: they need a moment longer to learn the next number.
    async fn be_polite(&self, turn: &Turn) {
        let others = self.others();
        if let (Some(win), 1..) = (turn.last_win, others) {
            let wait = turn.put_time.mul_f64(others as f64 * between(&self.sources, 0.7, 1.3));
            sleep_until(win + wait.min(POLITE)).await;
        }
    }

    /// Returns whether other writers have probably written since the last look: then another look costs less than a
    /// lost race.
    fn is_behind(&self, turn: &Turn) -> bool {
        let age = self.lock_tip().as_ref().map(|tip| tip.seen.age(&self.sources));
        self.others() > 0 && age.is_some_and(|age| age > turn.put_time)
    }

    /// Returns how often another writer committed first.
    #[cfg(test)]
    pub(crate) fn lost_races(&self) -> u64 {
        self.lost_races.load(Ordering::Relaxed)
    }
}

/// What a run costs.
struct Burden {
    /// Its size in bytes, which the next commit carries along.
    run: usize,
    /// The bytes that its commits have carried along so far, plus the next one.
    carried: usize,
}

impl Burden {
    fn of(run: &[Arc<RunCommit>]) -> Self {
        let lengths = run.iter().map(|commit| commit.text.len());
        lengths.fold(Self { run: 0, carried: 0 }, |burden, length| {
            let run = burden.run + length;
            Self { run, carried: burden.carried.saturating_add(run) }
        })
    }

    /// Returns whether a run is long and has cost as much as the checkpoint that would end it, which is about as large
    /// as the last one. So checkpoints never cost more than the runs do, however large they are.
    fn exceeds(&self, long: usize, checkpoint: usize) -> bool {
        self.run > long && self.carried > checkpoint
    }
}

/// Returns all bodies of a batch, in the order in which a commit names them.
fn all_bodies(batch: &Batch) -> impl Iterator<Item = &nofx_core::Body> {
    let records = batch.writes.iter().filter_map(|write| write.body.as_ref());
    records.chain(batch.appends.iter().flat_map(|append| &append.entries).map(|entry| &entry.body))
}
