//! Looking at everything, to say what is damaged, missing or strange.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use nofx_core::{Direction, Error, LogQuery, LogState, RecordKey, Result};

use crate::fault::During;
use crate::files::UNFINISHED;
use crate::store::Shared;
use crate::{catalog, index, layout, rebuild};

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
        self.refresh()?;
        // Files that are just being written would look strange.
        let _turn = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let doors = self.doors()?;
        let _held = match self.read_only {
            None => Some(doors.apply_lock()?.acquire(self.options.lock_wait)?),
            Some(_) => None,
        };
        let mut findings = Vec::new();
        let mut find =
            |path: &Path, what: String, severity| findings.push(Finding { path: path.to_owned(), what, severity });
        if let Some(damage) = &self.state().damage {
            find(Path::new(layout::JOURNAL), damage.clone(), Severity::Damage);
        }
        if catalog::read(&*self.layer)?.is_none() {
            find(Path::new(layout::CATALOG), "it cannot be read".to_owned(), Severity::Derived);
        }
        for line in index::read(&*self.layer)?.damaged {
            find(Path::new(layout::INDEX), format!("line {line} cannot be read"), Severity::Damage);
        }
        let damaged = Path::new(layout::DAMAGED);
        for entry in self.layer.list(damaged).during("listing", damaged)? {
            find(&damaged.join(entry.name), "it was put aside because it could not be read".to_owned(), Severity::Note);
        }
        let mut expected = HashSet::new();
        for (path, what) in self.unreadable(&mut expected)? {
            find(&path, what, Severity::Damage);
        }
        rebuild::walk(&*self.layer, &mut |path, name| {
            if name.ends_with(UNFINISHED) {
                find(path, "its writer ended before it was whole".to_owned(), Severity::Note);
            } else if layout::named(path).is_none() {
                find(path, "nothing in a store has this name".to_owned(), Severity::Note);
            } else if !expected.contains(path) {
                find(path, "nothing in this store should have this file".to_owned(), Severity::Note);
            }
            Ok(())
        })?;
        Ok(findings)
    }

    /// Reads every record and every log, and notes the files that may be there.
    fn unreadable(&self, expected: &mut HashSet<PathBuf>) -> Result<Vec<(PathBuf, String)>> {
        let (records, logs) = {
            let state = self.state();
            let logs = state.logs.iter().filter(|(_, slot)| slot.state != LogState::Removed);
            let logs: Vec<_> = logs.map(|(log, slot)| (log.clone(), slot.length)).collect();
            (state.records.keys().cloned().collect::<Vec<RecordKey>>(), logs)
        };
        let mut found = Vec::new();
        for key in records {
            let path = layout::record(&key);
            match self.get(std::slice::from_ref(&key)) {
                Err(Error::Corrupt(failure)) => found.push((path.clone(), failure.what)),
                other => _ = other?,
            }
            expected.insert(path);
        }
        for (log, length) in logs {
            let mut position = 0;
            while position < length {
                let query = LogQuery {
                    log: log.clone(),
                    range: position..length,
                    direction: Direction::Forward,
                    limit: usize::MAX,
                };
                match self.read(&query) {
                    Ok(page) => position = page.items.last().map_or(length, |last| last.position + 1),
                    Err(Error::Corrupt(failure)) => {
                        found.push((layout::open_log(&log), failure.what));
                        // What lies behind it may be readable.
                        position += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            expected.extend([layout::open_log(&log), layout::sealed_log(&log)]);
        }
        Ok(found)
    }
}
