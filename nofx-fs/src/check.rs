//! Looking at everything, to say what is damaged, missing or strange.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use nofx_core::{Direction, Error, LogKey, LogQuery, LogState, RecordKey, Result};

use crate::fault::During;
use crate::files::UNFINISHED;
use crate::store::{Shared, Still};
use crate::stray::Stray;
use crate::{config, feed, layout, rebuild, repair};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, within the store.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// What it means.
    pub severity: Severity,
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is lost, and nothing has to be done.
    Note,
    /// It is derived, and made again when the store is opened.
    Derived,
    /// Something that was stored cannot be read.
    Damage,
}

impl Shared {
    /// Reads everything, and lists what is not as it should be. Changes nothing.
    pub(crate) fn check(&self) -> Result<Vec<Finding>> {
        // What the files lack is told below, and by whom it is kept back.
        _ = self.apply();
        // Files that are just being written would look strange. Who may only read cannot keep others from writing.
        let still = match self.read_only {
            None => Some(self.hold_still_and_current()?),
            Some(_) => self.refresh().map(|()| None)?,
        };
        let mut findings = Vec::new();
        let mut find =
            |path: &Path, what: String, severity| findings.push(Finding { path: path.to_owned(), what, severity });
        if let Err(Error::Corrupt(_) | Error::Invalid(_)) | Ok(None) = config::read(&*self.layer, &self.root) {
            find(Path::new(layout::CONFIG), "it is missing or damaged".to_owned(), Severity::Damage);
        }
        for path in repair::no_doors(&*self.layer) {
            find(&path, "it is no file".to_owned(), Severity::Damage);
        }
        for (path, what) in self.strange_segments()? {
            find(&path, what.to_owned(), Severity::Note);
        }
        if let Some(damage) = &self.state().damage {
            find(Path::new(layout::JOURNAL), damage.clone(), Severity::Damage);
        }
        if let Some(what) = self.catalog_problem()? {
            find(Path::new(layout::CATALOG), what.to_owned(), Severity::Derived);
        }
        for what in self.index_problems()? {
            find(Path::new(layout::INDEX), what, Severity::Derived);
        }
        let known = self.state().base_commits;
        for damage in feed::damages(&*self.layer, known)? {
            let what = format!("what stands from byte {} on is no commit", damage.at);
            find(&damage.path, what, Severity::Damage);
        }
        let damaged = Path::new(layout::DAMAGED);
        for entry in self.layer.list(damaged).during("listing", damaged)? {
            find(&damaged.join(entry.name), "it was put aside because it could not be read".to_owned(), Severity::Note);
        }
        for (path, error) in still.iter().flat_map(|still| still.applied.kept_back()) {
            let what = format!("its file cannot be brought up to date: {}", error.chain());
            find(&path, what, Severity::Damage);
        }
        let mut expected = HashSet::new();
        let unreadable = self.unreadable(&mut expected, still.as_ref())?;
        for (key, what) in unreadable.records {
            find(&layout::record_or_index(&key), what, Severity::Damage);
        }
        for (log, what) in unreadable.logs {
            let is_sealed = self.state().logs.get(&log).is_some_and(|slot| slot.state == LogState::Sealed);
            let path = if is_sealed { layout::sealed_log(&log) } else { layout::open_log(&log) };
            find(&path, what, Severity::Damage);
        }
        rebuild::walk(&*self.layer, &mut |path, name| {
            if name.ends_with(UNFINISHED) {
                find(path, "its writer ended before it was whole".to_owned(), Severity::Note);
            } else if layout::named(path).is_none() {
                find(path, "nothing in a store has this name".to_owned(), Severity::Note);
            } else if expected.contains(path) {
            } else if let Some(stray) = Stray::read(&*self.layer, &self.state(), path)? {
                let what = format!("it is whole and not listed; `nofx doctor --repair` lists {} again", stray.told());
                find(path, what, Severity::Damage);
            } else {
                find(path, "nothing in this store should have this file".to_owned(), Severity::Note);
            }
            Ok(())
        })?;
        Ok(findings)
    }

    /// Reads every record and every log, and notes the files that may be there.
    ///
    /// What holds still is read as it is; otherwise what others change meanwhile is read again.
    pub(crate) fn unreadable(&self, expected: &mut HashSet<PathBuf>, still: Option<&Still<'_>>) -> Result<Unreadable> {
        let (records, logs) = {
            let state = self.state();
            let logs = state.logs.iter().filter(|(_, slot)| slot.state != LogState::Removed);
            let logs: Vec<_> = logs.map(|(log, slot)| (log.clone(), slot.length)).collect();
            (state.records.keys().cloned().collect::<Vec<RecordKey>>(), logs)
        };
        let mut found = Unreadable::default();
        for key in records {
            expected.insert(layout::record(&key));
            let keys = std::slice::from_ref(&key);
            let record = if still.is_some() { self.records_now(keys).map_err(Error::from) } else { self.get(keys) };
            match record {
                Err(Error::Corrupt(failure)) => found.records.push((key, failure.what)),
                other => _ = other?,
            }
        }
        for (log, length) in logs {
            expected.extend([layout::open_log(&log), layout::sealed_log(&log)]);
            for what in self.unreadable_entries(&log, length, still)? {
                found.logs.push((log.clone(), what));
            }
        }
        Ok(found)
    }

    /// Reads a log; says of each run of entries that cannot be read where it begins and ends.
    fn unreadable_entries(&self, log: &LogKey, length: u64, still: Option<&Still<'_>>) -> Result<Vec<String>> {
        let (mut found, mut position) = (Vec::new(), 0);
        let mut run: Option<(u64, String)> = None;
        while position < length {
            let range = position..length;
            let query = LogQuery { log: log.clone(), range, direction: Direction::Forward, limit: usize::MAX };
            let page = if still.is_some() { self.entries_now(&query).map_err(Error::from) } else { self.read(&query) };
            match page {
                Ok(page) => {
                    found.extend(run.take().map(|run| told(run, position)));
                    position = page.items.last().map_or(length, |last| last.position + 1);
                }
                // It is about the whole file, as often as one asks.
                Err(Error::Corrupt(failure)) if !failure.what.contains(": position ") => {
                    return Ok(vec![failure.what]);
                }
                Err(Error::Corrupt(failure)) => {
                    run.get_or_insert((position, failure.what));
                    // What lies behind it may be readable.
                    position += 1;
                }
                Err(error) => return Err(error),
            }
        }
        found.extend(run.map(|run| told(run, length)));
        Ok(found)
    }
}

fn told((first, what): (u64, String), end: u64) -> String {
    if first + 1 == end { what } else { format!("{what} to {}", end - 1) }
}

/// What a store lists and cannot read.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    pub(crate) records: Vec<(RecordKey, String)>,
    pub(crate) logs: Vec<(LogKey, String)>,
}
