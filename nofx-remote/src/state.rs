//! The state after a commit: a checkpoint plus the changes of later commits.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;

use nofx_core::{
    Change, Committed, Direction, Error, Key, KeyQuery, LogHead, LogKey, LogScan, LogState, RecordKey, Result,
    ScanQuery, Seq, StoreId,
};

use crate::checkpoint::{Base, KeyedLine, Log, LogLine, RecordLine, SortedLines};
use crate::commit::{AppliedCommit, CheckpointId, Commit, RunCommit};
use crate::line::{Claim, Held};

/// A commit as it appears in the feed, and what it was given.
#[derive(Clone, Debug)]
pub(crate) struct FeedItem {
    pub(crate) change: Change,
    pub(crate) committed: Committed,
}

/// Everything that the store holds after one commit.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) store: StoreId,
    /// The checkpoint in memory.
    pub(crate) base: Arc<Base>,
    /// The checkpoint that the last commit names; newer than `base` if another handle made it.
    pub(crate) cited: Option<CheckpointId>,
    /// The commits since `cited`, which the next commit will carry along.
    pub(crate) run: Vec<Arc<RunCommit>>,
    /// The number of the last commit.
    pub(crate) last: u64,
    /// Strays under the numbers right after it. The next commit marks these numbers as holding nothing.
    pub(crate) passed: Vec<Arc<RunCommit>>,
    pub(crate) last_seq: Option<Seq>,
    /// Writes since `base`; `None` is deleted.
    pub(crate) records: BTreeMap<RecordKey, Option<(Seq, Held)>>,
    /// The logs changed since `base`.
    pub(crate) logs: BTreeMap<LogKey, Log>,
    /// The feed since `base`.
    pub(crate) recent: Vec<FeedItem>,
    /// Roughly how many bytes there are on top of `base`.
    pub(crate) weight: usize,
}

impl State {
    /// Builds the state after a commit from the checkpoint that the commit names.
    pub(crate) fn new(base: Arc<Base>, commit: &Commit) -> Result<Self> {
        let mut state = Self {
            store: commit.store,
            last: commit.base(),
            last_seq: base.last_seq,
            cited: base.id.clone(),
            base,
            run: Vec::new(),
            passed: Vec::new(),
            records: BTreeMap::new(),
            logs: BTreeMap::new(),
            recent: Vec::new(),
            weight: 0,
        };
        state.take(commit)?;
        Ok(state)
    }

    /// Returns whether a commit's run reaches back to this state, or to the strays skipped after it.
    pub(crate) fn connects(&self, commit: &Commit) -> bool {
        commit.base() < self.next()
    }

    /// Returns whether a commit that connects was made on this state, as far as it says: its run has the last commit of
    /// this state, or begins after it and names no other in its place; and it marks the numbers of the strays that were
    /// skipped here as holding nothing.
    pub(crate) fn is_followed_by(&self, commit: &Commit) -> bool {
        let has_last = match (self.run.last().filter(|last| last.number == self.last), commit.find(self.last)) {
            (Some(last), Some(named)) => named.nonce == last.nonce && named.is_nothing() == last.is_nothing(),
            (Some(last), None) => commit.nonce_of(self.last).is_none_or(|named| named == last.nonce),
            (None, _) => true,
        };
        let has_passed =
            |passed: &Arc<RunCommit>| passed.number >= commit.number() || commit.calls_nothing(passed.number);
        commit.store == self.store && commit.base() <= self.last && has_last && self.passed.iter().all(has_passed)
    }

    /// Returns the number of the next commit.
    pub(crate) fn next(&self) -> u64 {
        self.last + 1 + self.passed.len() as u64
    }

    /// Advances to a commit that connects. After an error the state must not be used.
    pub(crate) fn take(&mut self, commit: &Commit) -> Result<()> {
        if commit.store != self.store {
            return Err(Error::corrupt(format!("root commit {}: it belongs to another store", commit.number())));
        }
        for next in &commit.run {
            if next.number > self.last {
                self.apply(next)?;
            }
        }
        if self.cited != commit.checkpoint && commit.number() == self.last {
            self.cited = commit.checkpoint.clone();
            let cut = commit.base();
            self.run.retain(|kept| kept.number > cut);
        }
        Ok(())
    }

    fn apply(&mut self, commit: &Arc<RunCommit>) -> Result<()> {
        for batch in commit.batches() {
            self.apply_batch(batch?, commit.number)?;
        }
        self.last = commit.number;
        self.passed.clear();
        self.weight += commit.text.len();
        self.run.push(commit.clone());
        Ok(())
    }

    fn apply_batch(&mut self, batch: AppliedCommit, number: u64) -> Result<()> {
        let misfit =
            |what: &str| Error::corrupt(format!("root commit {number}: {what} does not follow the state before it"));
        let mut change = Change { batch: batch.id, seq: batch.seq, records: Vec::new(), logs: Vec::new() };
        let mut appended = Vec::new();
        if let Some(seq) = batch.seq {
            if seq != self.next_seq() {
                return Err(misfit(&format!("number {seq}")));
            }
            self.last_seq = Some(seq);
            for (key, held) in batch.writes {
                change.records.push(key.clone());
                self.records.insert(key, held.map(|held| (seq, held)));
            }
        }
        for append in batch.appends {
            change.logs.push(append.log.clone());
            let log = self.touch(&append.log, append.claim)?;
            if log.length != append.first || log.state != LogState::Open {
                return Err(misfit(&format!("position {} of {}", append.first, append.log)));
            }
            log.length += append.entries.len() as u64;
            log.last_at = append.entries.last().map(|(at, _)| *at).or(log.last_at);
            appended.push(append.first..log.length);
            log.tail.extend(append.entries);
        }
        for (log, claim) in batch.seals {
            self.touch(&log, claim)?.state = LogState::Sealed;
            change.logs.push(log);
        }
        for (log, claim) in batch.removals {
            let removed = self.touch(&log, claim)?;
            *removed = Log { state: LogState::Removed, ..missing(removed.claim) };
            change.logs.push(log);
        }
        let mut seen = std::collections::HashSet::new();
        change.logs.retain(|log| seen.insert(log.clone()));
        let committed = Committed { seq: batch.seq, appended };
        self.recent.push(FeedItem { change, committed });
        Ok(())
    }

    fn touch(&mut self, key: &LogKey, claim: Claim) -> Result<&mut Log> {
        if !self.logs.contains_key(key) {
            let log = self.log(key)?.unwrap_or_else(|| missing(claim));
            self.logs.insert(key.clone(), log);
        }
        self.logs.get_mut(key).ok_or_else(|| Error::corrupt(key.to_string()))
    }

    pub(crate) fn next_seq(&self) -> Seq {
        self.last_seq.map_or(Seq::FIRST, Seq::next)
    }

    /// Returns how many commits the feed has had.
    pub(crate) fn feed_end(&self) -> u64 {
        self.base.feed_end + self.recent.len() as u64
    }

    pub(crate) fn record(&self, key: &RecordKey) -> Result<Option<(Seq, Held)>> {
        match self.records.get(key) {
            Some(record) => Ok(record.clone()),
            None => {
                let what = self.base.what();
                let line: Option<RecordLine<'_>> = self.base.records().find(key, &what)?;
                line.map(|line| line.read(&what)).transpose()
            }
        }
    }

    pub(crate) fn log(&self, key: &LogKey) -> Result<Option<Log>> {
        match self.logs.get(key) {
            Some(log) => Ok(Some(log.clone())),
            None => {
                let what = self.base.what();
                let line: Option<LogLine<'_>> = self.base.logs().find(key, &what)?;
                line.map(|line| line.read(&what)).transpose()
            }
        }
    }

    pub(crate) fn head(&self, key: &LogKey) -> Result<LogHead> {
        // Read in place, because a busy log has a long tail.
        Ok(match self.logs.get(key) {
            Some(log) => head(key.clone(), log),
            None => self.log(key)?.map_or_else(|| LogHead::missing(key.clone()), |log| head(key.clone(), &log)),
        })
    }

    /// Returns who may append to a log; `None` if it does not exist.
    pub(crate) fn claim(&self, key: &LogKey) -> Result<Option<Claim>> {
        match self.logs.get(key) {
            Some(log) => Ok(Some(log.claim)),
            None => Ok(self.log(key)?.map(|log| log.claim)),
        }
    }

    /// Returns the records that a query finds, in its direction.
    pub(crate) fn scan<'s>(
        &'s self,
        query: &'s ScanQuery,
        what: &'s str,
    ) -> Result<impl Iterator<Item = Result<(RecordKey, Seq, Held)>> + 's> {
        let found = Merged::<'s, RecordKey, _, RecordLine<'s>>::new(self.base.records(), &self.records, query, what)?;
        Ok(found.filter_map(move |found| match found {
            Ok(Found::Above(key, record)) => record.as_ref().map(|(seq, held)| Ok((key.clone(), *seq, held.clone()))),
            Ok(Found::Below(key, line)) => Some(line.read(what).map(|(seq, held)| (key, seq, held))),
            Err(error) => Some(Err(error)),
        }))
    }

    /// Returns the heads of the logs that a query finds, in its direction.
    pub(crate) fn scan_logs<'s>(
        &'s self,
        query: &'s LogScan,
        what: &'s str,
    ) -> Result<impl Iterator<Item = Result<LogHead>> + 's> {
        let found = Merged::<'s, LogKey, _, LogLine<'s>>::new(self.base.logs(), &self.logs, query, what)?;
        let heads = found.map(move |found| match found? {
            Found::Above(key, log) => Ok(head(key.clone(), log)),
            Found::Below(key, line) => Ok(head(key, &line.read(what)?)),
        });
        Ok(heads.filter(|head| !matches!(head, Ok(head) if head.state == LogState::Removed)))
    }
}

fn missing(claim: Claim) -> Log {
    Log { claim, state: LogState::Open, length: 0, last_at: None, chunks: Arc::default(), tail: Vec::new() }
}

fn head(key: LogKey, log: &Log) -> LogHead {
    LogHead { log: key, length: log.length, last_at: log.last_at, state: log.state }
}

type Boxed<'s, T> = Box<dyn Iterator<Item = T> + 's>;

/// Something found in the changes above the checkpoint, or in the checkpoint.
pub(crate) enum Found<'s, K, V, L> {
    Above(&'s K, &'s V),
    Below(K, L),
}

/// The results of a query over a checkpoint and the changes above it; if both have a key, the change wins.
pub(crate) struct Merged<'s, K: Key, V, L> {
    above: Peekable<Boxed<'s, (&'s K, &'s V)>>,
    below: Peekable<Boxed<'s, Result<(K, L)>>>,
    direction: Direction,
}

impl<'s, K: Key, V, L: KeyedLine<'s> + 's> Merged<'s, K, V, L> {
    pub(crate) fn new(
        lines: SortedLines<'s>,
        changed: &'s BTreeMap<K, V>,
        query: &'s KeyQuery<K>,
        what: &'s str,
    ) -> Result<Self> {
        let below: Boxed<'s, _> = Box::new(lines.matching(query, what)?);
        Ok(Self { above: query.find_in(changed).peekable(), below: below.peekable(), direction: query.direction })
    }
}

impl<'s, K: Key, V, L> Iterator for Merged<'s, K, V, L> {
    type Item = Result<Found<'s, K, V, L>>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.above.peek(), self.below.peek()) {
            (Some((above, _)), Some(Ok((below, _)))) => match self.direction {
                Direction::Forward => (*above).cmp(below),
                Direction::Backward => below.cmp(above),
            },
            (Some(_), None) => Ordering::Less,
            (_, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        if order == Ordering::Equal {
            self.below.next();
        }
        match order {
            Ordering::Less | Ordering::Equal => self.above.next().map(|(key, value)| Ok(Found::Above(key, value))),
            Ordering::Greater => self.below.next().map(|found| found.map(|(key, line)| Found::Below(key, line))),
        }
    }
}
