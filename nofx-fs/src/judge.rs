//! Judging: the outcome of a group, given the state and what is remembered of earlier commits.

use std::collections::HashMap;

use nofx_core::{Batch, BatchId, Committed, Error, LogHead, LogKey, Outcome, RecordKey, Result, Seq, View};
use nofx_journal::codec::Commit;
use nofx_journal::judge;

use crate::state::StoreState;
use crate::writer::StoreWriter;

impl StoreWriter {
    /// Judges each batch on the result of those before it, and returns the outcomes and commits of the group.
    pub(crate) fn judge_group(&self, group: Vec<Batch>) -> Result<(Vec<Outcome>, Vec<Commit>)> {
        let remembered = self.first_outcomes(&group)?;
        let state = self.state();
        judge(&mut KnownState(&state), state.last_seq, remembered, group)
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

/// The store as this process knows it. What is damaged cannot be judged.
struct KnownState<'a>(&'a StoreState);

impl View for KnownState<'_> {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        match self.0.records.get(key) {
            Some(slot) if slot.damaged => Err(Error::corrupt(key.to_string())),
            slot => Ok(slot.map(|slot| slot.version)),
        }
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        match self.0.logs.get(log).filter(|slot| slot.is_unknown).and_then(|_| self.0.doubts_log(log)) {
            Some(damage) => Err(Error::corrupt(format!("{log}: {damage}"))),
            None => Ok(self.0.head(log)),
        }
    }
}
