//! Judging: the outcome of a group, given the store just before it; in the engine, given the tail and one snapshot of
//! the base.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

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

/// The store at a single point in time, as far as a group names it.
#[derive(Debug)]
pub(crate) struct GroupState {
    last_seq: Option<Seq>,
    /// An error only matters if a batch expects something of the record.
    records: HashMap<RecordKey, Result<Option<Seq>>>,
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
        // What the tail has was judged before. If that is everything, the base is not asked again.
        let mut is_judged = true;
        for (key, last) in self.records.iter().zip(copied.records) {
            let version = match last.filter(|last| last.frame > held) {
                Some(last) => Ok(last.record.map(|(version, _)| version)),
                None => {
                    is_judged = false;
                    match base.version(key) {
                        Err(SnapshotError::Failed(error)) if base.overwrites_damage() => Err(error),
                        version => Ok(version?),
                    }
                }
            };
            known.records.insert(key.clone(), version);
        }
        let mut not_judged = Vec::new();
        for (log, mut tail) in self.logs.iter().zip(copied.logs) {
            tail.forget(held);
            // Its entries give its length.
            let below = if tail.has_entries() { None } else { base.head(log)? };
            if !tail.has_entries() {
                not_judged.push(log);
            }
            known.logs.insert(log.clone(), tail.head(log, below).unwrap_or_else(|| LogHead::missing(log.clone())));
        }
        if !(is_judged && not_judged.is_empty()) {
            base.can_take(&not_judged)?;
        }
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
    /// Judges a group, everything that it names being known.
    pub(crate) fn judge(mut self, group: Vec<Batch>) -> Result<(Vec<Outcome>, Vec<Commit>)> {
        let (last_seq, remembered) = (self.last_seq, std::mem::take(&mut self.batches));
        judge(&mut self, last_seq, remembered, group)
    }
}

/// Everything that a batch asks for was named.
impl View for GroupState {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        self.records.get(key).cloned().unwrap_or(Ok(None))
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        Ok(self.logs.get(log).cloned().unwrap_or_else(|| LogHead::missing(log.clone())))
    }
}

/// Judges each batch on what those before it left, and returns the outcomes and commits.
///
/// `store` is the store just before the group, `last_seq` the last version that was assigned, and `remembered` has the
/// first outcomes of those batches that were committed before. The store is asked only for what the batches expect and
/// for the logs that they change; its errors are returned.
fn judge(
    store: &mut dyn View,
    mut last_seq: Option<Seq>,
    mut remembered: HashMap<BatchId, Committed>,
    group: Vec<Batch>,
) -> Result<(Vec<Outcome>, Vec<Commit>)> {
    let mut draft = Draft { store, records: HashMap::new(), logs: HashMap::new() };
    let (mut outcomes, mut commits) = (Vec::with_capacity(group.len()), Vec::new());
    for batch in group {
        if let Some(first) = remembered.get(&batch.id) {
            outcomes.push(Outcome::Committed(first.clone()));
            continue;
        }
        if let Some(conflict) = batch.check(&mut draft)? {
            outcomes.push(Outcome::Conflicted(conflict));
            continue;
        }
        let seq = (!batch.writes.is_empty()).then(|| last_seq.map_or(Seq::FIRST, Seq::next));
        last_seq = seq.or(last_seq);
        let commit = draft.commit(batch, seq)?;
        let committed = commit.remembered().committed();
        remembered.insert(commit.batch, committed.clone());
        outcomes.push(Outcome::Committed(committed));
        commits.push(commit);
    }
    Ok((outcomes, commits))
}

/// A store with the changes of the batches judged so far.
struct Draft<'a> {
    store: &'a mut dyn View,
    records: HashMap<RecordKey, Option<Seq>>,
    logs: HashMap<LogKey, LogHead>,
}

impl Draft<'_> {
    /// Commits a batch that may happen.
    fn commit(&mut self, batch: Batch, seq: Option<Seq>) -> Result<Commit> {
        for write in &batch.writes {
            self.records.insert(write.key.clone(), seq.filter(|_| write.body.is_some()));
        }
        for append in &batch.appends {
            self.head_mut(&append.log)?;
        }
        let commit = Commit::of(batch, seq, |log| self.logs.get(log).map_or(0, |head| head.length));
        for (log, entries) in &commit.appends {
            let head = self.head_mut(log)?;
            head.length += entries.len() as u64;
            head.last_at = entries.last().map(|entry| entry.at);
        }
        for log in &commit.seals {
            self.head_mut(log)?.state = LogState::Sealed;
        }
        for log in &commit.removals {
            self.logs.insert(log.clone(), LogHead { state: LogState::Removed, ..LogHead::missing(log.clone()) });
        }
        Ok(commit)
    }

    fn head_mut(&mut self, log: &LogKey) -> Result<&mut LogHead> {
        Ok(match self.logs.entry(log.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.store.head(log)?),
        })
    }
}

impl View for Draft<'_> {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        self.records.get(key).map_or_else(|| self.store.version(key), |version| Ok(*version))
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        self.logs.get(log).map_or_else(|| self.store.head(log), |head| Ok(head.clone()))
    }
}
