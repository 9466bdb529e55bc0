//! Judging: the outcome of a group, given the tail and one snapshot of the base.

use std::collections::HashMap;

use nofx_core::{Batch, BatchId, Committed, Guard, LogHead, LogKey, LogState, Outcome, RecordKey, Result, Seq, View};

use crate::base::{Snapshot, SnapshotError};
use crate::codec::{Commit, Remembered};
use crate::tail::{LastWrite, LogTail, Tail};

/// Everything that a group names, each once: all that judging it needs.
#[derive(Debug)]
pub(crate) struct NamedKeys {
    records: Vec<RecordKey>,
    logs: Vec<LogKey>,
    batches: Vec<BatchId>,
}

/// What the tail says about the named keys.
#[derive(Debug)]
pub(crate) struct TailCopy {
    last_seq: Option<Seq>,
    records: Vec<Option<LastWrite>>,
    logs: Vec<LogTail>,
    batches: Vec<Option<(u64, Remembered)>>,
}

/// The store at a single point in time, as far as a group names it, plus the changes of the batches judged so far.
#[derive(Debug)]
pub(crate) struct GroupState {
    last_seq: Option<Seq>,
    records: HashMap<RecordKey, Option<Seq>>,
    logs: HashMap<LogKey, LogHead>,
    batches: HashMap<BatchId, Committed>,
}

impl NamedKeys {
    /// Collects what is needed to judge a group. Applying it will read the same, so damage is found before anything is
    /// acknowledged.
    pub(crate) fn of(group: &[Batch]) -> Self {
        let (mut records, mut logs) = (Vec::new(), Vec::new());
        for batch in group {
            records.extend(batch.writes.iter().map(|write| write.key.clone()));
            logs.extend(batch.appends.iter().map(|append| append.log.clone()));
            logs.extend(batch.seals.iter().chain(&batch.removals).cloned());
            for guard in &batch.guards {
                match guard {
                    Guard::Record { key, .. } => records.push(key.clone()),
                    Guard::Length { log, .. } => logs.push(log.clone()),
                }
            }
        }
        records.sort_unstable();
        records.dedup();
        logs.sort_unstable();
        logs.dedup();
        Self { records, logs, batches: group.iter().map(|batch| batch.id).collect() }
    }

    /// Copies what the tail says about it.
    pub(crate) fn copy(&self, tail: &Tail) -> TailCopy {
        TailCopy {
            last_seq: tail.end().last_seq,
            records: self.records.iter().map(|key| tail.record(key)).collect(),
            logs: self.logs.iter().map(|log| tail.head(log)).collect(),
            batches: self.batches.iter().map(|batch| tail.remembered(batch)).collect(),
        }
    }

    /// Merges that with what the base says.
    pub(crate) fn merge(&self, copied: TailCopy, base: &dyn Snapshot) -> Result<GroupState, SnapshotError> {
        let mark = base.mark();
        let held = mark.frame;
        let mut known = GroupState {
            last_seq: copied.last_seq.max(mark.last_seq),
            records: HashMap::with_capacity(self.records.len()),
            logs: HashMap::with_capacity(self.logs.len()),
            batches: HashMap::new(),
        };
        for (key, last) in self.records.iter().zip(copied.records) {
            let version = match last.filter(|last| last.frame > held) {
                Some(last) => last.record.map(|(version, _)| version),
                None => base.version(key)?,
            };
            known.records.insert(key.clone(), version);
        }
        for (log, mut tail) in self.logs.iter().zip(copied.logs) {
            tail.forget(held);
            // A log with entries here was judged before, and they give its length.
            let below = if tail.has_entries() { None } else { base.head(log)? };
            known.logs.insert(log.clone(), tail.head(log, below).unwrap_or_else(|| LogHead::missing(log.clone())));
        }
        base.can_take(&self.logs)?;
        for (batch, recent) in self.batches.iter().zip(copied.batches) {
            let found = match recent.filter(|(frame, _)| *frame > held) {
                Some((_, remembered)) => Some(remembered),
                None => base.remembered(batch)?,
            };
            known.batches.extend(found.map(|found| (*batch, found.committed())));
        }
        Ok(known)
    }
}

impl GroupState {
    /// Judges each batch on what those before it left, and returns the outcomes and commits.
    pub(crate) fn judge(mut self, group: Vec<Batch>) -> Result<(Vec<Outcome>, Vec<Commit>)> {
        let (mut outcomes, mut commits) = (Vec::with_capacity(group.len()), Vec::new());
        for batch in group {
            if let Some(first) = self.batches.get(&batch.id) {
                outcomes.push(Outcome::Committed(first.clone()));
                continue;
            }
            if let Some(conflict) = batch.check(&mut self)? {
                outcomes.push(Outcome::Conflicted(conflict));
                continue;
            }
            let seq = (!batch.writes.is_empty()).then(|| self.last_seq.map_or(Seq::FIRST, Seq::next));
            let commit = Commit::of(batch, seq, |log| self.logs.get(log).map_or(0, |head| head.length));
            self.take(&commit);
            let committed = commit.remembered().committed();
            self.batches.insert(commit.batch, committed.clone());
            outcomes.push(Outcome::Committed(committed));
            commits.push(commit);
        }
        Ok((outcomes, commits))
    }

    fn take(&mut self, commit: &Commit) {
        self.last_seq = self.last_seq.max(commit.seq);
        for (key, body) in &commit.writes {
            self.records.insert(key.clone(), commit.seq.filter(|_| body.is_some()));
        }
        for (log, entries) in &commit.appends {
            let head = self.head_mut(log);
            head.length += entries.len() as u64;
            head.last_at = entries.last().map(|entry| entry.at);
        }
        for log in &commit.seals {
            self.head_mut(log).state = LogState::Sealed;
        }
        for log in &commit.removals {
            *self.head_mut(log) = LogHead { state: LogState::Removed, ..LogHead::missing(log.clone()) };
        }
    }

    fn head_mut(&mut self, log: &LogKey) -> &mut LogHead {
        self.logs.entry(log.clone()).or_insert_with(|| LogHead::missing(log.clone()))
    }
}

/// Everything that a batch asks for was named.
impl View for GroupState {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        Ok(self.records.get(key).copied().flatten())
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        Ok(self.logs.get(log).cloned().unwrap_or_else(|| LogHead::missing(log.clone())))
    }
}
