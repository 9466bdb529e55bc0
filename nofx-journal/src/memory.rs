//! A base in memory that knows what a power cut leaves of it. For tests.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nofx_core::{
    BatchId, Body, Direction, Error, LogEntry, LogHead, LogKey, LogScan, LogState, Record, RecordKey, Result,
    ScanQuery, Seq,
};

use crate::base::{Base, Mark, Rows, Run, Snapshot, SnapshotError};
use crate::codec::{Commit, Remembered};
use crate::sim::Dice;

/// A base in memory. Clones are handles on the same one, like those of several processes.
#[derive(Clone, Debug, Default)]
pub struct MemoryBase {
    disk: Arc<Mutex<Disk>>,
    changes_in_place: bool,
}

#[derive(Debug, Default)]
struct Disk {
    /// What every process sees.
    live: Arc<MemoryState>,
    /// What is left after a power cut that loses everything unflushed.
    durable: Arc<MemoryState>,
    dies: bool,
    /// What cannot be read.
    damaged: Vec<RecordKey>,
}

#[derive(Clone, Debug, Default)]
struct MemoryState {
    mark: Mark,
    records: BTreeMap<RecordKey, (Seq, Body)>,
    logs: BTreeMap<LogKey, (LogState, Arc<Vec<LogEntry>>)>,
    commits: Vec<Arc<Remembered>>,
    /// The number of each commit, by batch.
    ids: HashMap<BatchId, usize>,
}

impl MemoryBase {
    /// Returns an empty base whose snapshots stay valid.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty base that changes in place, as files do: a snapshot of it can no longer answer once something
    /// was applied.
    #[must_use]
    pub fn changing_in_place() -> Self {
        Self { changes_in_place: true, ..Self::default() }
    }

    /// Sets whether appliers are killed before they flush. Every process sees what it wrote, but the disk may
    /// lack it.
    #[cfg(test)]
    pub(crate) fn kill_before_flush(&self, is_killed: bool) {
        self.disk().dies = is_killed;
    }

    /// Makes a record unreadable.
    pub fn damage(&self, key: RecordKey) {
        self.disk().damaged.push(key);
    }

    /// Returns what may be found after a power cut at this point.
    #[must_use]
    pub fn cut(&self, dice: &mut Dice) -> Self {
        let disk = self.disk();
        let left = if dice.one_in(2) { disk.live.clone() } else { disk.durable.clone() };
        let disk = Disk { live: left.clone(), durable: left, dies: false, damaged: disk.damaged.clone() };
        Self { disk: Arc::new(Mutex::new(disk)), changes_in_place: self.changes_in_place }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Base for MemoryBase {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(MemorySnapshot { state: self.disk().live.clone(), base: self }))
    }

    fn apply(&self, run: &Run) -> Result<()> {
        let mut disk = self.disk();
        let mut state = (*disk.live).clone();
        for (mark, commits) in run.beyond(&disk.live.mark)? {
            commits.iter().for_each(|commit| state.take(commit));
            state.mark = *mark;
        }
        state.mark.is_complete = run.completes;
        disk.live = Arc::new(state);
        if disk.dies {
            return Err(Error::unavailable("flushing the base"));
        }
        disk.durable = disk.live.clone();
        Ok(())
    }
}

impl MemoryState {
    fn take(&mut self, commit: &Commit) {
        for (key, body) in &commit.writes {
            match commit.seq.zip(body.clone()) {
                Some(written) => _ = self.records.insert(key.clone(), written),
                None => _ = self.records.remove(key),
            }
        }
        for (log, entries) in &commit.appends {
            Arc::make_mut(&mut self.log(log).1).extend(entries.iter().cloned());
        }
        commit.seals.iter().for_each(|log| self.log(log).0 = LogState::Sealed);
        commit.removals.iter().for_each(|log| *self.log(log) = (LogState::Removed, Arc::default()));
        self.ids.insert(commit.batch, self.commits.len());
        self.commits.push(Arc::new(commit.remembered()));
    }

    fn log(&mut self, log: &LogKey) -> &mut (LogState, Arc<Vec<LogEntry>>) {
        self.logs.entry(log.clone()).or_insert((LogState::Open, Arc::default()))
    }
}

struct MemorySnapshot<'b> {
    base: &'b MemoryBase,
    state: Arc<MemoryState>,
}

impl MemorySnapshot<'_> {
    /// Answers, unless the base changed in place.
    fn if_unchanged<T>(&self, answer: T) -> Result<T, SnapshotError> {
        let moved = self.base.changes_in_place && self.base.disk().live.mark != self.state.mark;
        if moved { Err(SnapshotError::Moved) } else { Ok(answer) }
    }

    /// Fails for a damaged record.
    fn if_undamaged(&self, key: &RecordKey) -> Result<(), SnapshotError> {
        if self.base.disk().damaged.contains(key) { Err(Error::corrupt(key.to_string()).into()) } else { Ok(()) }
    }

    fn rows<'a, T: 'a>(&'a self, rows: impl Iterator<Item = T> + 'a) -> Rows<'a, T> {
        Box::new(rows.map(|row| self.if_unchanged(row)))
    }
}

fn head(log: &LogKey, (state, entries): &(LogState, Arc<Vec<LogEntry>>)) -> LogHead {
    let (length, last_at) = (entries.last().map_or(0, |last| last.position + 1), entries.last().map(|entry| entry.at));
    LogHead { log: log.clone(), length, last_at, state: *state }
}

impl Snapshot for MemorySnapshot<'_> {
    fn mark(&self) -> Mark {
        self.state.mark
    }

    fn version(&self, key: &RecordKey) -> Result<Option<Seq>, SnapshotError> {
        self.if_undamaged(key)?;
        self.if_unchanged(self.state.records.get(key).map(|(version, _)| *version))
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, SnapshotError> {
        self.if_undamaged(key)?;
        let found = self.state.records.get(key).cloned();
        self.if_unchanged(found.map(|(version, body)| Record { key: key.clone(), version, body }))
    }

    fn records<'a>(&'a self, query: &'a ScanQuery) -> Rows<'a, (RecordKey, Option<Record>)> {
        self.rows(query.find_in(&self.state.records).map(|(key, _)| (key.clone(), None)))
    }

    fn head(&self, log: &LogKey) -> Result<Option<LogHead>, SnapshotError> {
        self.if_unchanged(self.state.logs.get(log).map(|found| head(log, found)))
    }

    fn heads<'a>(&'a self, query: &'a LogScan) -> Rows<'a, LogHead> {
        let heads = query.find_in(&self.state.logs).map(|(log, found)| head(log, found));
        self.rows(heads.filter(|head| head.state != LogState::Removed))
    }

    fn entries<'a>(&'a self, log: &'a LogKey, range: Range<u64>, direction: Direction) -> Rows<'a, LogEntry> {
        let entries = self.state.logs.get(log).map(|(_, entries)| entries.as_slice()).unwrap_or_default();
        let found = entries.iter().filter(move |entry| range.contains(&entry.position)).cloned();
        match direction {
            Direction::Forward => self.rows(found),
            Direction::Backward => self.rows(found.rev()),
        }
    }

    fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>, SnapshotError> {
        let found = self.state.ids.get(batch).and_then(|number| self.state.commits.get(*number));
        self.if_unchanged(found.map(|commit| Remembered::clone(commit)))
    }

    fn commits(&self, from: u64) -> Result<Option<Rows<'_, Remembered>>, SnapshotError> {
        let commits = self.state.commits.iter().skip(from as usize);
        Ok(Some(self.rows(commits.map(|commit| Remembered::clone(commit)))))
    }
}
