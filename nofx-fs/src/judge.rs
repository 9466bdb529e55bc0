//! Judging: the outcome of a group, given the state and what is remembered of earlier commits.

use std::collections::HashMap;

use nofx_core::{Batch, BatchId, Committed, Error, LogHead, LogKey, LogState, Outcome, RecordKey, Result, Seq, View};
use nofx_journal::codec::Commit;

use crate::state::StoreState;
use crate::writer::StoreWriter;

impl StoreWriter {
    /// Judges each batch on the result of those before it, and returns the outcomes and commits of the group.
    pub(crate) fn judge_group(&self, group: Vec<Batch>) -> Result<(Vec<Outcome>, Vec<Commit>)> {
        let remembered = self.first_outcomes(&group)?;
        let state = self.state();
        let mut view = GroupView { state: &state, records: HashMap::new(), logs: HashMap::new() };
        let mut last_seq = state.last_seq;
        let mut outcomes = Vec::with_capacity(group.len());
        let mut commits: Vec<Commit> = Vec::new();
        let mut in_group: HashMap<BatchId, usize> = HashMap::new();
        for batch in group {
            if let Some(first) = in_group.get(&batch.id).and_then(|at| commits.get(*at)) {
                outcomes.push(Outcome::Committed(first.remembered().committed()));
                continue;
            }
            if let Some(first) = remembered.get(&batch.id).cloned() {
                outcomes.push(Outcome::Committed(first));
                continue;
            }
            if let Some(conflict) = batch.check(&mut view)? {
                outcomes.push(Outcome::Conflicted(conflict));
                continue;
            }
            let seq = (!batch.writes.is_empty()).then(|| last_seq.map_or(Seq::FIRST, Seq::next));
            last_seq = seq.or(last_seq);
            let mut lengths = HashMap::new();
            for append in &batch.appends {
                lengths.insert(append.log.clone(), view.head(&append.log)?.length);
            }
            let commit = Commit::of(batch, seq, |log| lengths.get(log).copied().unwrap_or_default());
            view.take(&commit);
            in_group.insert(commit.batch, commits.len());
            outcomes.push(Outcome::Committed(commit.remembered().committed()));
            commits.push(commit);
        }
        Ok((outcomes, commits))
    }

    /// Returns the outcomes of batches that were committed before, as far as they are remembered.
    fn first_outcomes(&self, group: &[Batch]) -> Result<HashMap<BatchId, Committed>> {
        let mut found = HashMap::new();
        let base_commits = {
            let state = self.state();
            let recent = group.iter().filter_map(|batch| state.recent_commit(&batch.id));
            found.extend(recent.map(|recent| (recent.batch, recent.committed())));
            state.base_commits
        };
        // A batch that was not among the recent ones when the feed ended here is in the feed, or is not remembered.
        let mut feed = self.feed();
        // What cannot be read of the feed counts as not remembered: it is derived, and must not prevent commits.
        _ = feed.catch_up(&*self.files, base_commits);
        for batch in group {
            let Some(number) = feed.find(&batch.id) else { continue };
            let first = feed.read(&*self.files, number, 1)?.and_then(|first| first.into_iter().next());
            found.extend(first.map(|first| (batch.id, first.committed())));
        }
        Ok(found)
    }
}

/// The state, with the changes of the batches in the group that were judged before.
struct GroupView<'a> {
    state: &'a StoreState,
    records: HashMap<RecordKey, Option<Seq>>,
    logs: HashMap<LogKey, LogHead>,
}

impl GroupView<'_> {
    fn take(&mut self, commit: &Commit) {
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
        self.logs.entry(log.clone()).or_insert_with(|| self.state.head(log))
    }
}

impl View for GroupView<'_> {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        if let Some(version) = self.records.get(key) {
            return Ok(*version);
        }
        match self.state.records.get(key) {
            Some(slot) if slot.damaged => Err(Error::corrupt(key.to_string())),
            slot => Ok(slot.map(|slot| slot.version)),
        }
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        match self.state.logs.get(log).filter(|slot| slot.is_unknown).and_then(|_| self.state.doubts_log(log)) {
            Some(damage) if !self.logs.contains_key(log) => Err(Error::corrupt(format!("{log}: {damage}"))),
            _ => Ok(self.logs.get(log).cloned().unwrap_or_else(|| self.state.head(log))),
        }
    }
}
