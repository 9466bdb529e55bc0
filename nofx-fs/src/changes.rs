//! What a run changes in the files: for each item the last state, whatever came before it in the run.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use nofx_core::{Body, LogEntry, LogKey, LogState, RecordKey, Seq};
use nofx_journal::base::{Mark, SnapshotError};
use nofx_journal::codec::{Commit, Remembered};
use nofx_journal::fault::During;
use nofx_journal::files::Files;

use crate::known::Known;
use crate::layout;
use crate::lines::{self, LineSearch};
use crate::listed::LogSlot;

/// What the files lack.
#[derive(Debug)]
pub(crate) struct Changes<'r> {
    /// What the files hold once they have it.
    pub(crate) until: Mark,
    pub(crate) records: BTreeMap<&'r RecordKey, RecordChange<'r>>,
    pub(crate) logs: BTreeMap<&'r LogKey, LogChange<'r>>,
    /// The number of the first commit, and the commits.
    pub(crate) first_commit: u64,
    pub(crate) commits: Vec<Remembered>,
}

/// The last write to a record.
#[derive(Debug)]
pub(crate) struct RecordChange<'r> {
    /// The frame that made it.
    pub(crate) frame: u64,
    /// `None` if it was deleted.
    pub(crate) content: Option<(Seq, &'r Body)>,
}

/// What happened to a log.
#[derive(Debug)]
pub(crate) struct LogChange<'r> {
    /// The last frame that changed it.
    pub(crate) frame: u64,
    /// What its file holds.
    pub(crate) before: LogSlot,
    /// What it is to hold.
    pub(crate) after: LogSlot,
    /// The entries that it lacks.
    pub(crate) entries: Vec<&'r LogEntry>,
}

impl<'r> Changes<'r> {
    /// Collects what some groups change in files that hold what is listed.
    pub(crate) fn of(
        groups: impl Iterator<Item = &'r (Mark, Vec<Commit>)>,
        known: &Known,
        files: &dyn Files,
    ) -> Result<Self, SnapshotError> {
        let mut changes = Self {
            until: known.mark,
            records: BTreeMap::new(),
            logs: BTreeMap::new(),
            first_commit: known.mark.commits,
            commits: Vec::new(),
        };
        for (mark, commits) in groups {
            for commit in commits {
                changes.take(mark.frame, commit, known)?;
            }
            changes.until = *mark;
        }
        for (log, change) in &mut changes.logs {
            change.fit(log, files)?;
        }
        Ok(changes)
    }

    fn take(&mut self, frame: u64, commit: &'r Commit, known: &Known) -> Result<(), SnapshotError> {
        self.commits.push(commit.remembered());
        for (key, body) in &commit.writes {
            self.records.insert(key, RecordChange { frame, content: commit.seq.zip(body.as_ref()) });
        }
        for (log, entries) in &commit.appends {
            let change = self.log(log, frame, known)?;
            change.entries.extend(entries);
            // A file that was listed without a catalog may show a seal that comes later.
            change.after.state = LogState::Open;
            if let Some(last) = entries.last() {
                (change.after.length, change.after.last_at) = (last.position + 1, Some(last.at));
            }
        }
        for log in &commit.seals {
            self.log(log, frame, known)?.after.state = LogState::Sealed;
        }
        for log in &commit.removals {
            let change = self.log(log, frame, known)?;
            change.entries.clear();
            change.after = LogSlot::REMOVED;
        }
        Ok(())
    }

    fn log(&mut self, log: &'r LogKey, frame: u64, known: &Known) -> Result<&mut LogChange<'r>, SnapshotError> {
        let change = match self.logs.entry(log) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = known.log(log)?.unwrap_or_else(|| LogSlot::missing(log));
                entry.insert(LogChange { frame, before, after: before, entries: Vec::new() })
            }
        };
        change.frame = frame;
        Ok(change)
    }
}

impl LogChange<'_> {
    /// Lets the new entries follow those before them: a file that was listed without a catalog may be ahead of the
    /// journal. If commits were given up, the entries follow what is there.
    fn fit(&mut self, log: &LogKey, files: &dyn Files) -> nofx_core::Result<()> {
        let Some(first) = self.entries.first().map(|entry| entry.position) else { return Ok(()) };
        if first >= self.before.length {
            return Ok(());
        }
        let path = layout::open_log(log);
        let start = lines::heading(log).len() as u64;
        if let Ok(file) = files.open(&path) {
            let end = file.len().during("measuring", &path)?;
            let lines = LineSearch { file: &*file, bytes: start..end.max(start) };
            self.before.bytes = lines.start_of(first).during("reading", &path)?;
        }
        (self.before.length, self.before.last_at) = (first, None);
        Ok(())
    }

    /// Returns the length of an open log's file once it holds everything.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.before.bytes + self.entries.iter().map(|entry| lines::length(entry)).sum::<u64>()
    }
}
