//! Repairing: derived files are rebuilt, and what cannot be read is put aside, never deleted.
//!
//! Nothing is invented and nothing is given up: a record with a missing or damaged file stays listed, because the file
//! may still arrive. A log keeps its positions, so damaged parts stay where they are, and what is around them can be
//! read.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nofx_core::{Batch, Deadline, LogKey, LogState, Loss, Outcome, RecordKey, Repair, Repaired, Result};
use nofx_journal::escape::escape;
use nofx_journal::fault::During;
use nofx_journal::files::WritableFiles;
use nofx_journal::{feed, quarantine, shared_files};
use nofx_platform::slashed;

use crate::archive::{Archive, ArchiveWriter, all_lines};
use crate::listed::LogSlot;
use crate::store::OpenFolder;
use crate::stray::Stray;
use crate::{foreign_file, layout, lines, rebuild};

/// How long other processes get to apply what can no longer be read from the journal.
const GRACE: Duration = Duration::from_secs(3);
/// The pause between two checks of what other processes did.
const PAUSE: Duration = Duration::from_millis(10);

/// Describes what was done about a file.
pub(crate) fn done(path: &Path, what: impl Into<String>, aside: Option<PathBuf>) -> Repair {
    Repair { thing: slashed(path), what: what.into(), aside: aside.map(|aside| slashed(&aside)) }
}

/// Puts aside whatever is in the place of the tip and the lock files and is not a file, or in the place of the journal
/// and is not a folder. Called before a store is opened.
pub(crate) fn free_doors(writable: &dyn WritableFiles) -> Result<Vec<Repair>> {
    let mut repairs = Vec::new();
    let journal = Path::new(layout::JOURNAL);
    if writable.open(journal).is_ok() {
        let what = "it was not a folder; the journal was started again";
        repairs.push(done(journal, what, Some(quarantine::put(writable, journal)?)));
    }
    for path in shared_files::no_shared_files(writable, &layout::AT) {
        repairs.push(done(&path, "it was not a file; it was created again", Some(quarantine::put(writable, &path)?)));
    }
    Ok(repairs)
}

impl OpenFolder {
    /// Repairs what can be repaired, and returns what was done.
    pub(crate) fn repair(&self, gives_up: bool) -> Result<Repaired> {
        let is_damaged = self.journal_damage()?.is_some();
        if is_damaged {
            self.wait_for_files()?;
        }
        let Repaired { mut repairs, mut losses } = self.engine.repair(gives_up)?;
        if !losses.is_empty() {
            // Nothing can be committed until this is decided.
            return Ok(Repaired { repairs, losses });
        }
        repairs.extend(self.engine.alone(|| self.put_segments_aside())?);
        let mut expected = HashSet::new();
        let mut again = Vec::new();
        let unreadable = self.unreadable(&mut expected)?;
        let catalog = self.catalog_problem()?;
        let index = self.index_problems()?;
        self.engine.alone(|| {
            if let Some(what) = catalog {
                self.base.applying().renew();
                again.push((PathBuf::from(layout::CATALOG), format!("{what}; it was rebuilt")));
            }
            if !index.is_empty() {
                let what = format!("{}; it was rewritten from the catalog", index.join(", "));
                again.push((PathBuf::from(layout::INDEX), what));
                self.base.applying().renew();
            }
            repairs.extend(self.repair_feed()?);
            repairs.extend(self.repair_logs(&unreadable.logs, gives_up, &mut losses)?);
            repairs.extend(self.free_places(&unreadable.records)?);
            Ok(())
        })?;
        repairs.extend(self.take_back(&expected)?);
        let before = self.aside_now()?;
        // Derived files are only replaced together with a commit, so that other processes notice.
        self.engine.commit(vec![Batch::new(self.options.sources.batch_id())])?;
        self.apply_now()?;
        let new: Vec<String> = self.aside_now()?.into_iter().filter(|name| !before.contains(name)).collect();
        for (path, what) in again {
            let prefix = format!("{}.", escape(&slashed(&path)));
            let name = new.iter().find(|name| name.starts_with(&prefix));
            repairs.push(done(&path, what, name.map(|name| Path::new(layout::DAMAGED).join(name))));
        }
        Ok(Repaired { repairs, losses })
    }

    /// Waits until the files hold what is known to be durable, if another process can apply it.
    fn wait_for_files(&self) -> Result<()> {
        let deadline = Deadline::after(GRACE);
        while let Some(tip) = self.base.tip().filter(|tip| tip.applied < tip.durable.frame) {
            // What this process cannot follow can only come from a process that has it in memory.
            if deadline.has_passed() || self.follower().position().frame >= tip.durable.frame {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Moves files aside that are named like segments but do not belong to this store.
    fn put_segments_aside(&self) -> Result<Vec<Repair>> {
        let move_aside = |(path, what): (PathBuf, &str)| {
            let kept = quarantine::put(&*self.writable, &path)?;
            Ok(done(&path, format!("{what}; the journal does not need it"), Some(kept)))
        };
        self.strange_segments()?.into_iter().map(move_aside).collect()
    }

    /// Rewrites what can be read of damaged files of the feed.
    fn repair_feed(&self) -> Result<Vec<Repair>> {
        let mut repairs = Vec::new();
        let known = self.base.known()?.mark.commits;
        for damage in feed::damages(&*self.writable, known)? {
            let what = format!("commits from byte {} on cannot be read and are no longer remembered", damage.at);
            let aside = Some(damage.repair(&*self.writable)?);
            repairs.push(done(&damage.path, what, aside));
        }
        if !repairs.is_empty() {
            *self.base.feed() = Default::default();
        }
        Ok(repairs)
    }

    /// Puts aside what has the name of a document and is not a file, to make room for one.
    fn free_places(&self, records: &[(RecordKey, String)]) -> Result<Vec<Repair>> {
        let writable = &*self.writable;
        let mut repairs = Vec::new();
        for (key, what) in records {
            let path = layout::record_or_index(key);
            if writable.open(&path).is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
                repairs.push(done(&path, what, Some(quarantine::put(writable, &path)?)));
            }
        }
        Ok(repairs)
    }

    /// Lists intact files again that are in their place but not listed.
    fn take_back(&self, expected: &HashSet<PathBuf>) -> Result<Vec<Repair>> {
        let mut paths = Vec::new();
        rebuild::walk(self.files(), &mut |path, _| {
            paths.extend((!expected.contains(path)).then(|| path.to_owned()));
            Ok(())
        })?;
        let mut repairs = Vec::new();
        for path in paths {
            let Some(stray) = Stray::read(self.files(), &self.keys()?, &path)? else { continue };
            let what = format!("it was intact but not listed; {} is listed again", stray.describe());
            // In one group, so that the file is never listed in part.
            let outcomes = self.engine.commit(stray.batches(|| self.options.sources.batch_id()))?;
            if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))) {
                repairs.push(done(&path, what, None));
            }
        }
        Ok(repairs)
    }

    /// Brings the files up to date, and waits for another process that is doing so. What is kept back is reported by a
    /// check.
    fn apply_now(&self) -> Result<()> {
        match self.engine.apply() {
            Err(error) if self.base.applying().kept_back().next().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    fn aside_now(&self) -> Result<BTreeSet<String>> {
        let folder = Path::new(layout::DAMAGED);
        Ok(self.writable.list(folder).during("listing", folder)?.into_iter().map(|entry| entry.name).collect())
    }

    /// Rebuilds the tables of sealed logs, and puts aside what has the name of a log and is not a file.
    fn repair_logs(&self, logs: &[(LogKey, String)], gives_up: bool, losses: &mut Vec<Loss>) -> Result<Vec<Repair>> {
        let writable = &*self.writable;
        let listed = self.base.listed()?;
        let mut repairs = Vec::new();
        for (log, _) in logs {
            let Some(slot) = listed.logs.get(log) else { continue };
            let (is_sealed, length) = (slot.state == LogState::Sealed, slot.length);
            let path = if is_sealed { layout::sealed_log(log) } else { layout::open_log(log) };
            let bytes = match writable.read(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    let what = format!("it is not a file, so the entries of {log} are missing");
                    repairs.push(done(&path, what, Some(quarantine::put(writable, &path)?)));
                    continue;
                }
                Err(error) => return Err(error).during("reading", &path),
                Ok(bytes) => bytes,
            };
            if bytes.is_some() && self.is_foreign(log, slot, &path)? {
                let what = format!("{}; {log} loses what its own file had", foreign_file::BELONGS_ELSEWHERE);
                match gives_up {
                    true => repairs.push(done(&path, what, Some(quarantine::put(writable, &path)?))),
                    false => losses.push(Loss { thing: slashed(&path), what }),
                }
                continue;
            }
            if is_sealed
                && let Some(bytes) = bytes
                && let Some(whole) = sealed_again(log, length, &bytes)
            {
                let kept = quarantine::put(writable, &path)?;
                writable.replace(&path, &whole).during("writing", &path)?;
                let folder = path.parent().unwrap_or(Path::new(""));
                writable.sync_dir(folder).during("flushing", folder)?;
                let what = format!("its table was damaged and was rebuilt; all {length} entries of {log} are there");
                repairs.push(done(&path, what, Some(kept)));
            }
        }
        Ok(repairs)
    }

    fn is_foreign(&self, log: &LogKey, slot: &LogSlot, path: &Path) -> Result<bool> {
        let file = self.writable.open(path).during("opening", path)?;
        match slot.state {
            LogState::Sealed => {
                let archive = Archive::open(&*file).during("reading", path)?;
                Ok(archive.is_some_and(|archive| foreign_file::has_archive(&archive, slot)))
            }
            _ => foreign_file::has_lines(&*file, log, slot).during("reading", path),
        }
    }
}

/// Rebuilds the file of a sealed log from its lines; `None` if one of them cannot be read.
fn sealed_again(log: &LogKey, length: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    let (plain, _) = all_lines(bytes)?;
    let heading = lines::heading(log);
    let mut archive = ArchiveWriter::new(heading.clone());
    let mut next = 0;
    for line in plain.strip_prefix(heading.as_slice())?.split_inclusive(|byte| *byte == b'\n') {
        let entry = lines::read(line.strip_suffix(b"\n")?).filter(|entry| entry.position == next)?;
        archive.push(line, entry.at).ok()?;
        next += 1;
    }
    (next == length).then(|| archive.finish().ok()).flatten()
}
