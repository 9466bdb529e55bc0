//! Repairing: derived files are rebuilt, and what cannot be read is put aside, never deleted.
//!
//! Nothing is invented and nothing is given up: a record with a missing or damaged file stays listed, because the file
//! may still arrive. A log keeps its positions, so damaged parts stay where they are, and what is around them can be
//! read.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use nofx_core::{Batch, Deadline, Error, LogKey, LogState, Loss, Outcome, RecordKey, Repair, Repaired, Result};
use nofx_journal::escape::escape;
use nofx_journal::fault::During;
use nofx_journal::feed;
use nofx_journal::files::WritableFiles;
use nofx_journal::quarantine;
use nofx_journal::segment::{self, HEADER_BYTES, Header, NextFrame, Position, Segment};
use nofx_journal::shared_files::{self, SharedFiles};
use nofx_platform::slashed;

use crate::archive::{Archive, ArchiveWriter, all_lines};
use crate::state::LogSlot;
use crate::stray::Stray;
use crate::writer::StoreWriter;
use crate::{catalog, foreign_file, layout, lines, rebuild};

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

fn groups_of(count: u64) -> String {
    if count == 1 { "one group of commits".to_owned() } else { format!("{count} groups of commits") }
}

impl StoreWriter {
    /// Repairs what can be repaired, and returns what was done.
    pub(crate) fn repair(&self, gives_up: bool) -> Result<Repaired> {
        let mut losses = Vec::new();
        let from_files = self.state().damage.is_some();
        let mut repairs = self.repair_journal(gives_up, &mut losses)?;
        if !losses.is_empty() {
            // Nothing can be committed until this is decided.
            return Ok(Repaired { repairs, losses });
        }
        self.refresh()?;
        let (mut expected, mut again) = (Default::default(), Vec::new());
        let unreadable = self.unreadable(&mut expected)?;
        repairs.extend(self.repair_derived(&mut again, from_files)?);
        repairs.extend(self.repair_logs(&unreadable.logs, gives_up, &mut losses)?);
        repairs.extend(self.free_places(&unreadable.records)?);
        repairs.extend(self.take_back(&expected)?);
        let before = self.aside_now()?;
        // Derived files are only replaced together with a commit, so that other processes notice.
        self.commit(vec![Batch::new(self.options.sources.batch_id())])?;
        self.apply_now()?;
        let new: Vec<String> = self.aside_now()?.into_iter().filter(|name| !before.contains(name)).collect();
        for (path, what) in again {
            let prefix = format!("{}.", escape(&slashed(&path)));
            let name = new.iter().find(|name| name.starts_with(&prefix));
            repairs.push(done(&path, what, name.map(|name| Path::new(layout::DAMAGED).join(name))));
        }
        Ok(Repaired { repairs, losses })
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
        rebuild::walk(&*self.files, &mut |path, _| {
            paths.extend((!expected.contains(path)).then(|| path.to_owned()));
            Ok(())
        })?;
        let mut repairs = Vec::new();
        for path in paths {
            let Some(stray) = Stray::read(&*self.writable, &self.state(), &path)? else { continue };
            let what = format!("it was intact but not listed; {} is listed again", stray.describe());
            // In one group, so that the file is never listed in part.
            let outcomes = self.commit(stray.batches(|| self.options.sources.batch_id()))?;
            if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))) {
                repairs.push(done(&path, what, None));
            }
        }
        Ok(repairs)
    }

    /// Makes the next application rewrite the derived files that are not as they should be.
    ///
    /// After a repair of the journal the catalog is always rewritten, so that is not reported.
    fn repair_derived(&self, again: &mut Vec<(PathBuf, String)>, is_known: bool) -> Result<Vec<Repair>> {
        let mut repairs = Vec::new();
        let mut frozen = self.freeze_files()?;
        if let Some(what) = self.catalog_problem()? {
            frozen.applied.renew();
            if !is_known {
                again.push((layout::CATALOG.into(), format!("{what}; it was rebuilt")));
            }
        }
        let problems = self.index_problems()?;
        if !problems.is_empty() {
            let what = format!("{}; it was rewritten from the catalog", problems.join(", "));
            again.push((layout::INDEX.into(), what));
            frozen.applied.renew();
        }
        let known = self.state().base_commits;
        for damage in feed::damages(&*self.writable, known)? {
            let what = format!("commits from byte {} on cannot be read and are no longer remembered", damage.at);
            let aside = Some(damage.repair(&*self.writable)?);
            repairs.push(done(&damage.path, what, aside));
        }
        if !repairs.is_empty() {
            *self.feed() = Default::default();
        }
        Ok(repairs)
    }

    /// Brings the files up to date, and waits for another process that is doing so. What is kept back is reported by a
    /// check.
    fn apply_now(&self) -> Result<()> {
        let deadline = Deadline::after(self.options.lock_wait);
        loop {
            match self.apply() {
                Ok(true) if !self.state().is_dirty() => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    let applied = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
                    return if applied.kept_back().next().is_some() { Ok(()) } else { Err(error) };
                }
            }
            if deadline.has_passed() {
                return Err(Error::unavailable(format!("`{}` is busy", self.root.display())));
            }
            thread::sleep(PAUSE);
        }
    }

    fn aside_now(&self) -> Result<BTreeSet<String>> {
        let folder = Path::new(layout::DAMAGED);
        Ok(self.writable.list(folder).during("listing", folder)?.into_iter().map(|entry| entry.name).collect())
    }

    /// Rebuilds the tables of sealed logs, and puts aside what has the name of a log and is not a file.
    fn repair_logs(&self, logs: &[(LogKey, String)], gives_up: bool, losses: &mut Vec<Loss>) -> Result<Vec<Repair>> {
        let _frozen = self.freeze_files()?;
        let writable = &*self.writable;
        let mut repairs = Vec::new();
        for (log, _) in logs {
            let Some(slot) = self.state().logs.get(log).cloned() else { continue };
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
            if bytes.is_some() && self.is_foreign(log, &slot, &path)? {
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

    /// Lets the journal continue after damage, in a new generation.
    ///
    /// What cannot be read of it is lost to the store, unless the files already hold it; the journal's files are put
    /// aside.
    fn repair_journal(&self, gives_up: bool, losses: &mut Vec<Loss>) -> Result<Vec<Repair>> {
        if self.state().damage.is_none() {
            let _turn = self.turn();
            let _held = self.hold_waiting(SharedFiles::lock)?;
            let move_aside = |(path, what): (PathBuf, &str)| {
                let kept = quarantine::put(&*self.writable, &path)?;
                Ok(done(&path, format!("{what}; the journal does not need it"), Some(kept)))
            };
            return self.strange_segments()?.into_iter().map(move_aside).collect();
        }
        self.wait_for_files()?;
        let _turn = self.turn();
        let (shared_files, held) = self.hold_waiting(SharedFiles::lock)?;
        self.load_holding(&shared_files, &held)?;
        let Some(damage) = self.state().damage.clone() else { return Ok(Vec::new()) };
        let repairs = self.begin_after_damage(&shared_files, &damage, gives_up, losses)?;
        self.load_holding(&shared_files, &held)?;
        Ok(repairs)
    }

    /// Waits until the files hold what is known to be durable, if another process can apply it.
    fn wait_for_files(&self) -> Result<()> {
        let deadline = Deadline::after(GRACE);
        while let Some(tip) = self.tip()?.filter(|tip| tip.applied < tip.durable.frame) {
            // What this process cannot follow can only come from a process that has it in memory.
            if deadline.has_passed() || self.state().position.frame >= tip.durable.frame {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn begin_after_damage(
        &self,
        shared_files: &SharedFiles,
        damage: &str,
        gives_up: bool,
        losses: &mut Vec<Loss>,
    ) -> Result<Vec<Repair>> {
        let writable = &*self.writable;
        let tip = self.read_tip(shared_files.tip())?;
        let segments = Segment::all(writable, &layout::AT, self.store)?;
        let is_headless = |path: &PathBuf| segments.iter().all(|segment| segment.path != *path);
        let headless: Vec<_> = segment::segment_files(writable, &layout::AT)?.into_iter().filter(is_headless).collect();
        let mut frames = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let groups = segment.whole_groups(HEADER_BYTES).during("reading", &segment.path)?;
            frames.extend(groups.into_iter().map(|frame| (frame, at)));
        }
        let (base, base_commits, last_seq, broken_from) = {
            let state = self.state();
            (state.base, state.base_commits, state.last_seq, state.position.generation)
        };
        // Everything that the files do not hold is copied, wherever it is: each group describes its changes completely.
        frames.sort_by_key(|(frame, _)| frame.number);
        let mut chain = catalog::read(writable)?.filter(|(mark, ..)| mark.frame == base).map(|(mark, ..)| mark.chain);
        let mut commits = Vec::new();
        let (mut last, mut lost) = (base, 0);
        while let Some((frame, at)) = frames.iter().find(|(frame, _)| {
            frame.number > last && (frame.number > last + 1 || chain.is_none_or(|chain| frame.previous == chain))
        }) {
            lost += frame.number - last - 1;
            last = frame.number - 1;
            let place = Position { frame: last, chain: frame.previous, offset: frame.offset, ..Position::default() };
            match segments[*at].read(&place).during("reading", &segments[*at].path)? {
                NextFrame::Group(group, _) => commits.push(group),
                NextFrame::End | NextFrame::Nothing => break,
            }
            (last, chain) = (frame.number, Some(frame.checksum));
        }
        let newest = frames.iter().map(|(frame, _)| frame.number).max().unwrap_or_default();
        let durable = tip.map_or(0, |tip| tip.durable.frame);
        lost += newest.max(durable).saturating_sub(last);
        if lost > 0 && !gives_up {
            let what = format!("{damage}; repairing it gives up {}", groups_of(lost));
            losses.push(Loss { thing: layout::JOURNAL.to_owned(), what });
            return Ok(Vec::new());
        }
        let start = Position {
            // A gap in the generations shows that nothing before it is needed.
            generation: segments.last().map_or(0, |segment| segment.header.start.generation) + 2,
            offset: HEADER_BYTES,
            // No frame number is reused.
            frame: newest.max(durable).max(base),
            chain: 0,
            commits: base_commits,
        };
        let header = Header { store: self.store, salt: segment::salt(&self.options.sources), start, last_seq };
        let (next, file) = Segment::begin(
            writable,
            &layout::AT,
            segment::unused_path(writable, &layout::AT)?,
            header,
            self.options.segment_bytes,
        )?;
        let mut end = start;
        for group in &commits {
            let (bytes, after) = next.frame(&end, group);
            file.write_at(&bytes, end.offset).during("writing", &next.path)?;
            end = after;
        }
        file.sync().during("flushing", &next.path)?;
        let broken = segments.iter().filter(|segment| segment.header.start.generation >= broken_from);
        let broken = broken.map(|segment| segment.path.clone());
        let mut repairs = Vec::new();
        for path in broken.chain(headless) {
            let kept = quarantine::put(writable, &path)?;
            let what = match lost {
                0 => format!("{damage}; the journal continues in `{}`", next.path.display()),
                _ => {
                    format!("{damage}; the journal continues in `{}`, without {}", next.path.display(), groups_of(lost))
                }
            };
            repairs.push(done(&path, what, Some(kept)));
        }
        if repairs.is_empty() {
            let what = format!("{damage}; the journal was started again");
            repairs.push(done(&next.path, what, None));
        }
        let folder = Path::new(layout::JOURNAL);
        writable.sync_dir(folder).during("flushing", folder)?;
        _ = self.report_durable(shared_files, &end);
        self.report_applied(shared_files, start.frame);
        Ok(repairs)
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
