//! Checking everything, to report what is damaged, missing or unexpected.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nofx_core::{BackendInfo, Direction, Error, LogKey, LogQuery, LogState, RecordKey, Result};
use nofx_journal::base::SnapshotError;
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::feed;
use nofx_journal::files::UNFINISHED;
use nofx_journal::segment::{self, Segment};
use nofx_journal::shared_files;

use crate::read::POSITION;
use crate::store::{Keys, OpenFolder};
use crate::stray::Stray;
use crate::{catalog, config, index, layout, rebuild};

/// How often something that may be changing is read again before it is reported as damaged.
const TRIES: usize = 20;
/// The pause between two such attempts.
const PAUSE: Duration = Duration::from_millis(1);

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
        let mut kept_back: Vec<_> =
            self.base.applying().kept_back().map(|(path, error)| (path, error.chain())).collect();
        if kept_back.is_empty() && !self.engine.has_committed() {
            kept_back = self.blocked()?;
        }
        self.findings(kept_back)
    }

    /// Returns what of the journal cannot be read, as text.
    pub(crate) fn journal_damage(&self) -> Result<Option<String>> {
        match self.follower().damage() {
            Err(Error::Corrupt(failure)) => Ok(Some(failure.what)),
            found => found,
        }
    }

    fn findings(&self, kept_back: Vec<(PathBuf, String)>) -> Result<Vec<Finding>> {
        let damage = self.journal_damage()?;
        let mut findings = Vec::new();
        let mut find =
            |path: &Path, what: String, severity| findings.push(Finding { path: path.to_owned(), what, severity });
        if let Err(Error::Corrupt(_) | Error::Invalid(_)) | Ok(None) = config::read(self.files(), &self.root) {
            find(Path::new(layout::CONFIG), "it is missing or damaged".to_owned(), Severity::Damage);
        }
        for path in shared_files::no_shared_files(self.files(), &layout::AT) {
            find(&path, "it is not a file".to_owned(), Severity::Damage);
        }
        for (path, what) in self.strange_segments()? {
            find(&path, what.to_owned(), Severity::Note);
        }
        if let Some(damage) = damage {
            find(Path::new(layout::JOURNAL), damage, Severity::Damage);
        }
        if let Some(what) = self.settled(Self::catalog_problem, Option::is_none)? {
            find(Path::new(layout::CATALOG), what.to_owned(), Severity::Derived);
        }
        for what in self.settled(Self::index_problems, Vec::is_empty)? {
            find(Path::new(layout::INDEX), what, Severity::Derived);
        }
        let damages = |folder: &Self| feed::damages(folder.files(), folder.base.known()?.mark.commits);
        for damage in self.settled(damages, Vec::is_empty)? {
            let what = format!("the bytes from {} on are not a commit", damage.at);
            find(&damage.path, what, Severity::Damage);
        }
        for path in self.put_aside()? {
            find(&path, "it was moved aside because it could not be read".to_owned(), Severity::Note);
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
            let is_sealed = self.is_sealed(&log);
            let path = if is_sealed { layout::sealed_log(&log) } else { layout::open_log(&log) };
            find(&path, what, Severity::Damage);
        }
        let mut others = Vec::new();
        rebuild::walk(self.files(), &mut |path, _| {
            others.extend((!expected.contains(path)).then(|| path.to_owned()));
            Ok(())
        })?;
        // What was written during the check is known by now, and what was to be removed may be gone.
        let keys = self.keys()?;
        let expected = keys.paths();
        for path in others.into_iter().filter(|path| !expected.contains(path)) {
            if self.files().open(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
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
            } else if let Some(stray) = Stray::read(self.files(), &keys, &path)? {
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
            let tip = self.base.tip();
            if is_fine(&found) || before.replace(tip) == Some(tip) {
                return Ok(found);
            }
            thread::sleep(PAUSE);
        }
        look(self)
    }

    /// Returns what is in the journal only because its file is blocked, as far as that can be determined without
    /// writing.
    fn blocked(&self) -> Result<Vec<(PathBuf, String)>> {
        let why = |path: PathBuf| match self.files().open(&path) {
            Err(error) if is_of_the_file(&error) => Some((path, error.to_string())),
            _ => None,
        };
        Ok(self.keys()?.unapplied_paths().filter_map(why).collect())
    }

    /// Returns what was moved aside.
    pub(crate) fn put_aside(&self) -> Result<Vec<PathBuf>> {
        let damaged = Path::new(layout::DAMAGED);
        let files = self.files().list(damaged).during("listing", damaged)?;
        let journal = Path::new(layout::JOURNAL);
        let segments = self.files().list(journal).during("listing", journal)?;
        let segments = segments.into_iter().filter(|entry| entry.name.starts_with(layout::DAMAGED_SEGMENT));
        let segments = segments.map(|entry| journal.join(entry.name));
        Ok(files.into_iter().map(|entry| damaged.join(entry.name)).chain(segments).collect())
    }

    fn is_sealed(&self, log: &LogKey) -> bool {
        let head = self.follower().heads(std::slice::from_ref(log)).ok().and_then(|mut heads| heads.pop());
        match head {
            Some(head) => head.state == LogState::Sealed,
            None => {
                let slot = self.base.settled(|| self.base.known()?.log(log));
                slot.is_ok_and(|slot| slot.is_some_and(|slot| slot.state == LogState::Sealed))
            }
        }
    }

    /// Returns what is wrong with the catalog.
    pub(crate) fn catalog_problem(&self) -> Result<Option<&'static str>> {
        let applied = self.base.tip().map_or(0, |tip| tip.applied);
        let path = Path::new(layout::CATALOG);
        let file = match self.files().open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound || is_of_the_file(&error) => None,
            opened => Some(opened.during("opening", path)?),
        };
        let found = file.as_ref().map(catalog::read).transpose()?.flatten();
        Ok(match found.map(|(known, _)| known.whole()) {
            None | Some(Err(SnapshotError::Moved)) => Some("it is missing or damaged"),
            Some(Err(SnapshotError::Differs(error) | SnapshotError::Failed(error))) => return Err(error),
            Some(Ok(listed)) if listed.mark.frame < applied => Some("it is older than the files"),
            Some(Ok(_)) => None,
        })
    }

    /// Returns what is wrong with the file of index kinds.
    pub(crate) fn index_problems(&self) -> Result<Vec<String>> {
        let found = match index::read(self.files()) {
            Err(Error::Corrupt(failure)) => return Ok(vec![format!("{} cannot be read", failure.what)]),
            found => found?,
        };
        let mut problems = match *found.damaged {
            [] => Vec::new(),
            [line] => vec![format!("line {line} cannot be read")],
            [first, ..] => vec![format!("{} lines cannot be read, the first is line {first}", found.damaged.len())],
        };
        let keys = self.keys()?;
        let missing = keys.listed.records.iter().filter(|(key, slot)| {
            let is_there = || found.records.get(*key).is_some_and(|line| line.version >= slot.version);
            layout::is_index(key.kind()) && !slot.damaged && !keys.records.contains(*key) && !is_there()
        });
        match missing.count() {
            0 => {}
            count => problems.push(format!("it lacks {count} records")),
        }
        Ok(problems)
    }

    /// Returns the files that are named like segments but do not belong to this store, and what is wrong with each.
    pub(crate) fn strange_segments(&self) -> Result<Vec<(PathBuf, &'static str)>> {
        let files = self.files();
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
        let Keys { listed, records, logs } = self.keys()?;
        let mut found = ListedUnreadable::default();
        let records: BTreeSet<_> = records.into_iter().chain(listed.records.keys().cloned()).collect();
        for key in records {
            expected.insert(layout::record(&key));
            match self.follower().get(std::slice::from_ref(&key)) {
                Err(Error::Corrupt(failure)) => found.records.push((key, failure.what)),
                other => _ = other?,
            }
        }
        let present =
            listed.logs.iter().filter(|(_, slot)| slot.state != LogState::Removed).map(|(log, _)| log.clone());
        let logs: BTreeSet<_> = logs.into_iter().chain(present).collect();
        for log in logs {
            expected.extend([layout::open_log(&log), layout::sealed_log(&log)]);
            let length = match self.follower().heads(std::slice::from_ref(&log)) {
                Ok(heads) => heads.first().map_or(0, |head| head.length),
                // Its end is not known. What is known of it can be read.
                Err(Error::Corrupt(failure)) if listed.logs.get(&log).is_none_or(|slot| slot.is_unknown) => {
                    found.logs.push((log, failure.what));
                    continue;
                }
                Err(Error::Corrupt(_)) => listed.logs.get(&log).map_or(0, |slot| slot.length),
                Err(error) => return Err(error),
            };
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
            match self.follower().read(&query) {
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
