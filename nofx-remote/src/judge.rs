//! Judges the batches of a group, in order, each on the state before it.

use std::collections::HashMap;
use std::ops::Range;

use nofx_core::{Batch, BatchId, Committed, LogHead, LogKey, LogState, Outcome, RecordKey, Result, Seq, View};

use crate::commit::Granted;
use crate::line::Claim;
use crate::state::State;

/// The result of a group if it were committed now.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// The number that its commit needs.
    pub(crate) number: u64,
    /// One for each batch.
    pub(crate) outcomes: Vec<Outcome>,
    /// The new batches that may happen, by index in the group.
    pub(crate) good: Vec<(usize, Granted)>,
}

impl Verdicts {
    /// Returns whether a batch conflicts.
    pub(crate) fn has_conflict(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Conflicted(_)))
    }
}

/// Judges a group. `remembered` has the first outcomes of those batches that the store has already
/// committed.
pub(crate) fn judge(state: &State, group: &[Batch], remembered: &HashMap<BatchId, Committed>) -> Result<Verdicts> {
    let number = state.next();
    let mut draft = Draft { state, last_seq: state.last_seq, records: HashMap::new(), logs: HashMap::new() };
    let mut here: HashMap<BatchId, Committed> = HashMap::new();
    let mut verdicts = Verdicts { number, outcomes: Vec::with_capacity(group.len()), good: Vec::new() };
    for (at, batch) in group.iter().enumerate() {
        let first = remembered.get(&batch.id).or_else(|| here.get(&batch.id));
        let outcome = if let Some(first) = first {
            Outcome::Committed(first.clone())
        } else if let Some(conflict) = batch.check(&mut draft)? {
            Outcome::Conflicted(conflict)
        } else {
            let granted = draft.grant(batch, number)?;
            let committed = Committed { seq: granted.seq, appended: granted.appended.clone() };
            verdicts.good.push((at, granted));
            here.insert(batch.id, committed.clone());
            Outcome::Committed(committed)
        };
        verdicts.outcomes.push(outcome);
    }
    Ok(verdicts)
}

/// A state plus the earlier batches of the group.
struct Draft<'a> {
    state: &'a State,
    last_seq: Option<Seq>,
    records: HashMap<RecordKey, Option<Seq>>,
    logs: HashMap<LogKey, (LogHead, Claim)>,
}

impl View for Draft<'_> {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        match self.records.get(key) {
            Some(version) => Ok(*version),
            None => Ok(self.state.record(key)?.map(|(seq, _)| seq)),
        }
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        match self.logs.get(log) {
            Some((head, _)) => Ok(head.clone()),
            None => self.state.head(log),
        }
    }
}

impl Draft<'_> {
    fn grant(&mut self, batch: &Batch, number: u64) -> Result<Granted> {
        let seq = (!batch.writes.is_empty()).then(|| self.last_seq.map_or(Seq::FIRST, Seq::next));
        self.last_seq = seq.or(self.last_seq);
        for write in &batch.writes {
            self.records.insert(write.key.clone(), write.body.as_ref().and(seq));
        }
        let (mut appended, mut claims) = (Vec::new(), Vec::new());
        for append in &batch.appends {
            let (range, claim) = self.change(&append.log, number, |head| {
                let first = head.length;
                head.length += append.entries.len() as u64;
                first..head.length
            })?;
            appended.push(range);
            claims.push(claim);
        }
        for log in &batch.seals {
            claims.push(self.change(log, number, |head| seal(head, LogState::Sealed))?.1);
        }
        for log in &batch.removals {
            claims.push(self.change(log, number, |head| seal(head, LogState::Removed))?.1);
        }
        Ok(Granted { seq, appended, claims })
    }

    fn change(
        &mut self,
        log: &LogKey,
        number: u64,
        change: impl FnOnce(&mut LogHead) -> Range<u64>,
    ) -> Result<(Range<u64>, Claim)> {
        if !self.logs.contains_key(log) {
            // A log that begins here lives in the root from this commit on.
            let claim = self.state.claim(log)?.unwrap_or(Claim { epoch: number, base: 0 });
            self.logs.insert(log.clone(), (self.state.head(log)?, claim));
        }
        let entry = self.logs.entry(log.clone());
        let (head, claim) = entry.or_insert_with(|| (LogHead::missing(log.clone()), Claim { epoch: number, base: 0 }));
        Ok((change(head), *claim))
    }
}

fn seal(head: &mut LogHead, state: LogState) -> Range<u64> {
    head.state = state;
    if state == LogState::Removed {
        head.length = 0;
    }
    0..0
}
