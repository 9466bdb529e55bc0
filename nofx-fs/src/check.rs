//! Checking everything, to report what is damaged, missing or unexpected.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use nofx_core::{BackendInfo, Direction, Error, LogKey, LogQuery, LogState, RecordKey, Result};
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::feed;
use nofx_journal::files::UNFINISHED;
use nofx_journal::segment::{self, Segment};
use nofx_journal::shared_files;

use crate::read::POSITION;
use crate::reader::{StoreReader, TRIES, TRY_PAUSE};
use crate::store::OpenFolder;
use crate::stray::Stray;
use crate::{catalog, config, index, layout, rebuild};

/// A problem with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, within the store.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// How serious it is.
    pub severity: Severity,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is lost, and nothing has to be done.
    Note,
    /// The file is derived, and is rebuilt when the store is opened.
    Derived,
    /// Stored data cannot be read.
    Damage,
}

impl OpenFolder {
    /// Reads everything, and lists the problems. Changes nothing, and waits for no other process.
    pub(crate) fn check(&self) -> Result<Vec<Finding>> {
        let kept_back = self.opened_writer().map(|writer| {
            let applied = writer.applying.lock().unwrap_or_else(PoisonError::into_inner);
            applied.kept_back().map(|(path, error)| (path, error.chain())).collect()
        });
        let kept_back = kept_back.map_or_else(|| self.blocked(), Ok)?;
        self.findings(kept_back)
    }
}

impl StoreReader {
    fn findings(&self, kept_back: Vec<(PathBuf, String)>) -> Result<Vec<Finding>> {
        self.refresh()?;
        let mut findings = Vec::new();
        let mut find =
            |path: &Path, what: String, severity| findings.push(Finding { path: path.to_owned(), what, severity });
        if let Err(Error::Corrupt(_) | Error::Invalid(_)) | Ok(None) = config::read(&*self.files, &self.root) {
            find(Path::new(layout::CONFIG), "it is missing or damaged".to_owned(), Severity::Damage);
        }
        for path in shared_files::no_shared_files(&*self.files, &layout::AT) {
            find(&path, "it is not a file".to_owned(), Severity::Damage);
        }
        for (path, what) in self.strange_segments()? {
            find(&path, what.to_owned(), Severity::Note);
        }
        if let Some(damage) = &self.state().damage {
            find(Path::new(layout::JOURNAL), damage.clone(), Severity::Damage);
        }
        if let Some(what) = self.settled(Self::catalog_problem, Option::is_none)? {
            find(Path::new(layout::CATALOG), what.to_owned(), Severity::Derived);
        }
        for what in self.settled(Self::index_problems, Vec::is_empty)? {
            find(Path::new(layout::INDEX), what, Severity::Derived);
        }
        let damages = |reading: &Self| {
            let known = reading.state().base_commits;
            feed::damages(&*reading.files, known)
        };
        for damage in self.settled(damages, Vec::is_empty)? {
            let what = format!("the bytes from {} on are not a commit", damage.at);
            find(&damage.path, what, Severity::Damage);
        }
        let damaged = Path::new(layout::DAMAGED);
        for entry in self.files.list(damaged).during("listing", damaged)? {
            find(
                &damaged.join(entry.name),
                "it was moved aside because it could not be read".to_owned(),
                Severity::Note,
            );
        }
        for (path, error) in kept_back {
            find(&path, format!("its file cannot be brought up to date: {error}"), Severity::Damage);
        }
        let mut expected = HashSet::new();
        let unreadable = self.unreadable(&mut expected)?;
        for (key, what) in unreadable.records {
            find(&layout::record_or_index(&key), what, Severity::Damage);
        }
        for (log, what) in unreadable.logs {
            let is_sealed = self.state().logs.get(&log).is_some_and(|slot| slot.state == LogState::Sealed);
            let path = if is_sealed { layout::sealed_log(&log) } else { layout::open_log(&log) };
            find(&path, what, Severity::Damage);
        }
        let mut others = Vec::new();
        rebuild::walk(&*self.files, &mut |path, _| {
            others.extend((!expected.contains(path)).then(|| path.to_owned()));
            Ok(())
        })?;
        // What was written during the check is known by now, and what was to be removed may be gone.
        self.refresh()?;
        let expected = self.state().paths();
        for path in others.into_iter().filter(|path| !expected.contains(path)) {
            if self.files.open(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                continue;
            }
            if path.to_string_lossy().ends_with(UNFINISHED) {
                find(
                    &path,
                    "it is incomplete: its writer was interrupted or is still writing".to_owned(),
                    Severity::Note,
                );
            } else if layout::named(&path).is_none() {
                find(&path, "no file of a store has this name".to_owned(), Severity::Note);
            } else if let Some(stray) = Stray::read(&*self.files, &self.state(), &path)? {
                let what =
                    format!("it is intact but not listed; `{}` lists {} again", BackendInfo::REPAIR, stray.describe());
                find(&path, what, Severity::Damage);
            } else {
                find(&path, "this store has nothing that would be in this file".to_owned(), Severity::Note);
            }
        }
        Ok(findings)
    }

    /// Looks for problems, and again if another process changed something in between.
    fn settled<T>(&self, look: impl Fn(&Self) -> Result<T>, is_fine: impl Fn(&T) -> bool) -> Result<T> {
        let mut before = None;
        for _ in 0..TRIES {
            let found = look(self)?;
            let tip = self.tip()?;
            if is_fine(&found) || before.replace(tip) == Some(tip) {
                return Ok(found);
            }
            std::thread::sleep(TRY_PAUSE);
            self.refresh()?;
        }
        look(self)
    }

    /// Returns what is in the journal only because its file is blocked, as far as that can be determined without
    /// writing.
    fn blocked(&self) -> Result<Vec<(PathBuf, String)>> {
        self.refresh()?;
        let paths = self.state().unapplied_paths();
        let why = |path: PathBuf| match self.files.open(&path) {
            Err(error) if is_of_the_file(&error) => Some((path, error.to_string())),
            _ => None,
        };
        Ok(paths.into_iter().filter_map(why).collect())
    }

    /// Returns what is wrong with the catalog.
    pub(crate) fn catalog_problem(&self) -> Result<Option<&'static str>> {
        Ok(match catalog::read(&*self.files) {
            Ok(None) => Some("it is missing or damaged"),
            Ok(Some((mark, ..))) if mark.frame < self.state().base => Some("it is older than the files"),
            found => found.map(|_| None)?,
        })
    }

    /// Returns what is wrong with the file of index kinds.
    pub(crate) fn index_problems(&self) -> Result<Vec<String>> {
        let found = match index::read(&*self.files) {
            Err(Error::Corrupt(failure)) => return Ok(vec![format!("{} cannot be read", failure.what)]),
            found => found?,
        };
        let mut problems = match *found.damaged {
            [] => Vec::new(),
            [line] => vec![format!("line {line} cannot be read")],
            [first, ..] => vec![format!("{} lines cannot be read, the first is line {first}", found.damaged.len())],
        };
        let state = self.state();
        let missing = state.records.iter().filter(|(key, slot)| {
            let is_there = || found.records.get(*key).is_some_and(|line| line.version >= slot.version);
            layout::is_index(key.kind()) && !slot.damaged && !state.is_unapplied(key) && !is_there()
        });
        match missing.count() {
            0 => {}
            count => problems.push(format!("it lacks {count} records")),
        }
        Ok(problems)
    }

    /// Returns the files that are named like segments but do not belong to this store, and what is wrong with each.
    pub(crate) fn strange_segments(&self) -> Result<Vec<(PathBuf, &'static str)>> {
        let files = &*self.files;
        let of_any = Segment::of_any_store(files, &layout::AT)?;
        let strange = |path: PathBuf| match of_any.iter().find(|segment| segment.path == path) {
            Some(segment) if segment.header.store == self.store => None,
            Some(_) => Some((path, "it belongs to another store")),
            // A segment that was never begun is empty.
            None => (!segment::is_blank(files, &path)).then_some((path, "its header cannot be read")),
        };
        Ok(segment::segment_files(files, &layout::AT)?.into_iter().filter_map(strange).collect())
    }

    /// Reads every record and every log, and collects the files that may exist.
    pub(crate) fn unreadable(&self, expected: &mut HashSet<PathBuf>) -> Result<ListedUnreadable> {
        let (records, logs) = {
            let state = self.state();
            let logs = state.logs.iter().filter(|(_, slot)| slot.state != LogState::Removed);
            let logs: Vec<_> = logs.map(|(log, slot)| (log.clone(), slot.length)).collect();
            (state.records.keys().cloned().collect::<Vec<RecordKey>>(), logs)
        };
        let mut found = ListedUnreadable::default();
        for key in records {
            expected.insert(layout::record(&key));
            match self.get(std::slice::from_ref(&key)) {
                Err(Error::Corrupt(failure)) => found.records.push((key, failure.what)),
                other => _ = other?,
            }
        }
        for (log, length) in logs {
            expected.extend([layout::open_log(&log), layout::sealed_log(&log)]);
            let is_unknown = self.state().logs.get(&log).is_some_and(|slot| slot.is_unknown);
            if is_unknown && let Err(Error::Corrupt(failure)) = self.read(&LogQuery::oldest_first(log.clone(), 1)) {
                found.logs.push((log, failure.what));
                continue;
            }
            for what in self.unreadable_entries(&log, length)? {
                found.logs.push((log.clone(), what));
            }
        }
        Ok(found)
    }

    /// Reads a log. Reports the beginning and end of each range of entries that cannot be read.
    fn unreadable_entries(&self, log: &LogKey, length: u64) -> Result<Vec<String>> {
        let (mut found, mut position) = (Vec::new(), 0);
        let mut run: Option<(u64, String)> = None;
        while position < length {
            let range = position..length;
            let query = LogQuery { log: log.clone(), range, direction: Direction::Forward, limit: usize::MAX };
            match self.read(&query) {
                Ok(page) => {
                    found.extend(run.take().map(|run| describe(run, position)));
                    position = page.items.last().map_or(length, |last| last.position + 1);
                }
                // The error is about the whole file, whatever is read.
                Err(Error::Corrupt(failure)) if !failure.what.contains(POSITION) => {
                    return Ok(vec![failure.what]);
                }
                Err(Error::Corrupt(failure)) => {
                    run.get_or_insert((position, failure.what));
                    // The entries after it may be readable.
                    position += 1;
                }
                Err(error) => return Err(error),
            }
        }
        found.extend(run.map(|run| describe(run, length)));
        Ok(found)
    }
}

fn describe((first, what): (u64, String), end: u64) -> String {
    if first + 1 == end { what } else { format!("{what} to {}", end - 1) }
}

/// What a store lists and cannot read.
#[derive(Debug, Default)]
pub(crate) struct ListedUnreadable {
    pub(crate) records: Vec<(RecordKey, String)>,
    pub(crate) logs: Vec<(LogKey, String)>,
}
