//! Committing: one redb transaction for a group of batches.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use nofx_core::{Batch, BatchId, Committed, LogHead, LogKey, LogState, Outcome, RecordKey, Result, Seq, View};
use nofx_journal::base::{Mark, Run};
use nofx_journal::codec::Commit;
use redb::WriteTransaction;

use crate::bundle;
use crate::chunk::Folded;
use crate::codec::{FeedRow, Head, encode_record, encode_removed, name};
use crate::fault::{Attempt, Fault};
use crate::feed::{Ends, Ids};
use crate::pages::Pages;
use crate::read::{head, version, version_of_row};
use crate::storage::Refused;
use crate::tables::{TableRows, Tables, WriteTable};

/// What a group did within its transaction.
#[derive(Debug)]
pub(crate) struct GroupApplied {
    pub(crate) outcomes: Vec<Outcome>,
    /// Whether anything changed.
    pub(crate) changed: bool,
    /// The names of logs that now have rows.
    pub(crate) unfolded: Vec<Vec<u8>>,
    /// Approximately how many bytes of the file were freed.
    pub(crate) freed: u64,
    /// The numbers of the committed batches, and the next number.
    pub(crate) ids: (HashMap<BatchId, u64>, u64),
    /// The last of them.
    pub(crate) newest: Option<(u64, BatchId)>,
}

/// Applies batches in order, after the `newest` commit, which must be present. Nothing takes effect until the
/// transaction is committed.
pub(crate) fn apply(
    transaction: &WriteTransaction,
    pages: &Arc<Pages>,
    ids: &mut Ids,
    newest: Option<(u64, BatchId)>,
    group: Vec<Batch>,
) -> Attempt<GroupApplied> {
    let tables = Tables::write(transaction, pages)?;
    let mut ends = tables.ends()?;
    tables.trust.require(|| "the newest commit".to_owned())?;
    if !ids.leaves_past {
        ends.start = Some(tables.start(&ends)?);
    }
    if newest.is_some_and(|newest| !tables.may_follow(&ends, newest)) {
        return Err(io::Error::from(Refused::Replaced).into());
    }
    ids.refresh(&tables, &ends)?;
    tables.trust.require(|| "what is remembered of commits".to_owned())?;
    let mut state = State {
        tables,
        ends,
        ids,
        new_ids: HashMap::new(),
        heads: HashMap::new(),
        freed: 0,
        has_gaps: false,
        is_blind: false,
        fault: None,
    };
    let outcomes = group.into_iter().map(|batch| state.commit(batch)).collect::<Attempt<_>>()?;
    let changed = state.ends != ends;
    let unfolded = state.write_heads()?;
    let newest = state.new_ids.iter().map(|(batch, number)| (*number, *batch)).max();
    Ok(GroupApplied { outcomes, changed, unfolded, freed: state.freed, ids: (state.new_ids, state.ends.end), newest })
}

/// Stores the part of a journal's run that the file lacks. Nothing takes effect until the transaction is committed.
///
/// If `is_blind`, it neither folds nor removes rows, and does not touch the table `past`. It then reads no more than
/// judging a commit read, so that damage which was there before cannot prevent the run from being stored.
pub(crate) fn apply_run(
    transaction: &WriteTransaction,
    pages: &Arc<Pages>,
    run: &Run,
    is_blind: bool,
) -> Attempt<RunApplied> {
    let tables = Tables::write(transaction, pages)?;
    let (mut ends, mark) = (tables.ends()?, tables.mark()?);
    tables.trust.require(|| "the newest commit".to_owned())?;
    if !is_blind {
        ends.start = Some(tables.start(&ends)?);
    }
    let lacking = run.beyond(&mark).map_err(Fault::Error)?;
    let mut highest = tables.highest_id()?;
    // A store of an earlier build does not say. A blind run does not read all ids to find out.
    let knows_highest = highest.is_some() || ends.end == 0 || !is_blind;
    let mut ids = Ids::default();
    if highest.is_none() && knows_highest {
        ids.refresh(&tables, &ends)?;
        highest = ids.highest();
    }
    let mut state = State {
        tables,
        ends,
        ids: &ids,
        new_ids: HashMap::new(),
        heads: HashMap::new(),
        freed: 0,
        has_gaps: false,
        is_blind,
        fault: None,
    };
    let mut until = mark;
    for (mark, commits) in lacking {
        state.has_gaps |= mark.frame > until.frame + 1;
        for commit in commits {
            state.apply_commit(commit)?;
            highest = highest.max(Some(commit.batch));
        }
        until = *mark;
    }
    // Even if it does not change: this transaction then makes durable what the system only shows.
    state.tables.set_mark(&Mark { is_complete: run.completes, ..until })?;
    if let Some(highest) = highest.filter(|_| knows_highest) {
        state.tables.set_highest_id(highest)?;
    }
    let unfolded = state.write_heads()?;
    Ok(RunApplied { unfolded, freed: state.freed })
}

/// What applying a run did within its transaction.
#[derive(Debug)]
pub(crate) struct RunApplied {
    /// The names of logs that now have rows.
    pub(crate) unfolded: Vec<Vec<u8>>,
    /// Approximately how many bytes of the file were freed.
    pub(crate) freed: u64,
}

/// Returns whether any of these batches is remembered.
pub(crate) fn any_remembered<T: TableRows>(tables: &Tables<T>, batches: &[BatchId]) -> Attempt<bool> {
    let ends = tables.ends()?;
    let mut ids = Ids::default();
    ids.refresh(tables, &ends)?;
    tables.trust.require(|| "what is remembered of commits".to_owned())?;
    Ok(batches.iter().any(|batch| ids.number(&ends, batch).is_some()))
}

/// The state of the store within a transaction.
struct State<'t> {
    tables: Tables<WriteTable<'t>>,
    ends: Ends,
    ids: &'t Ids,
    new_ids: HashMap<BatchId, u64>,
    /// Heads that were read or changed; changed ones are written once, at the end of the group.
    heads: HashMap<LogKey, (Head, Changed)>,
    /// The bytes that were removed.
    freed: u64,
    /// Whether earlier commits were given up, so that positions before this one's entries may be missing.
    has_gaps: bool,
    /// Whether to read only what judging a commit read.
    is_blind: bool,
    /// What went wrong while a batch was judged.
    fault: Option<Fault>,
}

type Changed = bool;

impl State<'_> {
    fn commit(&mut self, batch: Batch) -> Attempt<Outcome> {
        let known = self.new_ids.get(&batch.id).copied().or_else(|| self.ids.number(&self.ends, &batch.id));
        if let Some(number) = known {
            return Ok(Outcome::Committed(self.tables.remembered(&self.ends, number, batch.id)?.committed));
        }
        match batch.check(self) {
            Ok(None) => {}
            Ok(Some(conflict)) => return Ok(Outcome::Conflicted(conflict)),
            Err(error) => return Err(self.fault.take().unwrap_or(Fault::Error(error))),
        }
        let seq = (!batch.writes.is_empty()).then(|| self.ends.last_seq.map_or(Seq::FIRST, Seq::next));
        let change = batch.change(seq);
        let committed = self.apply(batch, seq)?;
        let last_seq = seq.or(self.ends.last_seq);
        self.new_ids.insert(change.batch, self.ends.end);
        let row = FeedRow { change, committed: committed.clone(), last_seq };
        self.tables.remember(&mut self.ends, &row)?;
        Ok(Outcome::Committed(committed))
    }

    /// Stores a commit that was judged before.
    fn apply_commit(&mut self, commit: &Commit) -> Attempt<()> {
        if self.has_gaps {
            self.leave_gaps(commit)?;
        }
        let batch = commit.to_batch();
        let change = batch.change(commit.seq);
        let committed = self.apply(batch, commit.seq)?;
        if committed != commit.remembered().committed() {
            return Err(Fault::damaged("the end of a log, which is not where the journal continues"));
        }
        let row = FeedRow { change, committed, last_seq: commit.seq.or(self.ends.last_seq) };
        self.tables.remember(&mut self.ends, &row)
    }

    /// Advances logs to the positions of a commit. Positions before them that no commit has are missing rows, which
    /// reading reports.
    fn leave_gaps(&mut self, commit: &Commit) -> Attempt<()> {
        for (log, entries) in &commit.appends {
            let mut head = self.head_of(log)?;
            if let Some(first) = entries.first().filter(|first| first.position > head.length) {
                head.length = first.position;
                self.heads.insert(log.clone(), (head, true));
            }
        }
        Ok(())
    }

    fn apply(&mut self, batch: Batch, seq: Option<Seq>) -> Attempt<Committed> {
        for write in batch.writes {
            // A damaged row is not overwritten.
            let row = version_of_row(&self.tables.records, &write.key)?;
            let name = name(&write.key);
            let is_bundled = match (&row, &write.body) {
                (Some(_), Some(_)) => false,
                _ => bundle::version(&self.tables, &name)?.is_some(),
            };
            self.tables.trust.require(|| write.key.to_string())?;
            let removed = match write.body.zip(seq) {
                Some((body, seq)) => {
                    self.tables.records.insert(&*name, &*encode_record(&name, seq, &body))?;
                    None
                }
                None if is_bundled => self.tables.records.insert(&*name, &*encode_removed(&name))?,
                None => self.tables.records.remove(&*name)?,
            };
            self.freed += removed.map_or(0, |value| value.value().len() as u64);
        }
        let (mut appended, mut folded) = (Vec::new(), Folded::default());
        for append in batch.appends {
            let mut head = self.head_of(&append.log)?;
            let start = head.length;
            match self.is_blind {
                true => self.tables.append_blindly(&mut head, append.entries)?,
                false => self.tables.append(&mut head, append.entries, &mut folded)?,
            }
            appended.push(start..head.length);
            self.heads.insert(append.log, (head, true));
        }
        for log in batch.seals {
            let mut head = self.head_of(&log)?;
            if !self.is_blind {
                self.tables.fold(&mut head, &mut folded)?;
            }
            head.state = LogState::Sealed;
            self.heads.insert(log, (head, true));
        }
        // At most once per log: a log that is already folded has no rows, so a seal does not fold it again.
        self.tables.store_chunks(&folded)?;
        for log in batch.removals {
            let mut head = self.head_of(&log)?;
            match self.is_blind {
                true => head = head.removed(),
                false => self.freed += self.tables.remove_log(&mut head)?,
            }
            self.heads.insert(log, (head, true));
        }
        Ok(Committed { seq, appended })
    }

    fn head_of(&mut self, log: &LogKey) -> Attempt<Head> {
        if let Some((head, _)) = self.heads.get(log) {
            return Ok(head.clone());
        }
        let head = head(&self.tables.logs, log)?;
        self.tables.trust.require(|| format!("log {log}"))?;
        self.heads.insert(log.clone(), (head.clone(), false));
        Ok(head)
    }

    /// Writes the heads that changed, and returns the names of logs that now have rows.
    fn write_heads(&mut self) -> Attempt<Vec<Vec<u8>>> {
        let mut unfolded = Vec::new();
        for (log, (head, changed)) in &self.heads {
            if *changed {
                let name = name(log);
                self.tables.logs.insert(&*name, &*head.encode(&name))?;
                if head.tail_bytes > 0 {
                    unfolded.push(name);
                }
            }
        }
        Ok(unfolded)
    }

    /// Keeps a fault for the caller of `Batch::check`, and gives that an error to pass on.
    fn keep<T>(&mut self, attempt: Attempt<T>) -> Result<T> {
        attempt.map_err(|fault| {
            self.fault = Some(fault);
            nofx_core::Error::unavailable("reading the store to judge a batch")
        })
    }
}

impl View for State<'_> {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        let version = version(&self.tables, key).and_then(|version| {
            self.tables.trust.require(|| key.to_string())?;
            Ok(version)
        });
        self.keep(version)
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        let head = self.head_of(log);
        Ok(self.keep(head)?.public(log.clone()))
    }
}
