//! Bringing the files up to date, off the commit path.
//!
//! Everything that is written here is in the journal too, and a frame of the journal is given up only after its content
//! was flushed to the files. So each step may be interrupted and repeated, by this process or another.
//!
//! If the file of a record or log cannot be written, that item is kept back, and with it the frames of the journal from
//! the one that changed it on. Other items are written all the same. What is kept back is read from the journal.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use nofx_core::{Deadline, Error, LogState, Result};
use nofx_journal::fault::During;
use nofx_journal::files::{Files, WritableFiles};
use nofx_journal::lock::Lock;
use nofx_journal::shared_files::SharedFiles;
use nofx_journal::{feed, quarantine};

use crate::catalog::{self, BlockMark, CatalogItem, Extent};
use crate::document;
use crate::index;
use crate::item_file::{FileItem, NameChanges, prepare_record, side_by_side, write_log};
use crate::layout;
use crate::state::{LogSlot, StoreState, Unapplied};
use crate::writer::StoreWriter;

/// How many full segments the journal may hold beyond the files. A commit that finds more first brings the files up to
/// date, or reports why that is impossible.
const MAX_SEGMENTS: u64 = 32;
/// The pause between two checks whether another process is done.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the derived files end, as this process last saw them.
#[derive(Debug, Default)]
pub(crate) struct AppliedEnds {
    /// The last frame that the files held then.
    frame: u64,
    /// `None` if the catalog has to be rewritten.
    catalog: Option<Extent>,
    index_end: u64,
    /// Whether the file of index kinds has to be rewritten.
    renews_index: bool,
    /// The last frame that this process has written to the files, except for what is kept back. The catalog does not
    /// record it.
    written: u64,
    kept_back: HashMap<FileItem, Error>,
}

/// Runs the applier thread: brings the files up to date until it is stopped, and then once more if this process committed
/// anything. What another process committed is left to that.
pub(crate) fn run(writer: &StoreWriter) {
    writer.requests.serve(writer.options.apply_after, || writer.apply().map(drop));
    if writer.has_committed() {
        // What cannot be applied is in the journal.
        _ = writer.apply();
    }
}

impl StoreWriter {
    /// Brings the files up to date. `false` if another process is doing so.
    pub(crate) fn apply(&self) -> Result<bool> {
        if self.believe(self.tip()?).is_none() {
            let mut turn = self.turn();
            let (shared_files, held) = self.hold_waiting(SharedFiles::lock)?;
            self.catch_up_to_read(&mut turn, &shared_files, &held)?;
        }
        self.refresh()?;
        let mut applied = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((shared_files, _held)) = self.hold(SharedFiles::apply_lock, Lock::try_acquire)? else {
            return Ok(false);
        };
        if self.state().damage.is_some() {
            return Ok(true);
        }
        // Another process may have done more in the meantime, so the files may hold more than this one knows.
        let tip = self.believe(self.read_tip(shared_files.tip())?);
        let tip = tip.ok_or_else(|| Error::unavailable(format!("reading `{}`", layout::TIP)))?;
        if !self.follow(&mut self.state_mut(), &tip)? {
            return Ok(false);
        }
        let base = {
            let state = self.state();
            if !state.is_dirty() {
                if tip.applied < state.base {
                    self.report_applied(&shared_files, state.base);
                }
                return Ok(true);
            }
            state.base
        };
        // Do not overwrite what another copy of the store has written.
        self.refuse_replaced()?;
        applied.find(&*self.writable, base)?;
        let renews = applied.renews_index || applied.catalog.is_none_or(|extent| extent.is_worn());
        let (work, everything) = {
            let state = self.state();
            (state.unapplied(), renews.then(|| Snapshot::of(&state)))
        };
        self.write_files(&work, everything, &mut applied)?;
        self.report_applied(&shared_files, work.until.frame);
        self.state_mut().advance(work.until.frame);
        Ok(true)
    }

    /// Returns whether the journal holds so much beyond the files that the next commit has to wait for them.
    pub(crate) fn is_overfull(&self) -> bool {
        let state = self.state();
        state.damage.is_none() && state.dirty_bytes >= self.options.segment_bytes.saturating_mul(MAX_SEGMENTS)
    }

    /// Brings the files up to date if the journal holds too much beyond them. The error says why if that is not
    /// possible.
    pub(crate) fn make_room(&self) -> Result<()> {
        let deadline = Deadline::after(self.options.lock_wait);
        while self.is_overfull() && !self.apply()? {
            if deadline.has_passed() {
                let what = format!("another process is bringing the files of `{}` up to date", self.root.display());
                return Err(Error::unavailable(what));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn write_files(&self, work: &Unapplied, everything: Option<Snapshot>, applied: &mut AppliedEnds) -> Result<()> {
        let writable = &*self.writable;
        let mut names = NameChanges::default();
        let mut kept_back = HashMap::new();
        let at_once = self.options.at_once;
        let (mut lines, mut has_new_line) = (String::new(), false);
        let mut documents = Vec::new();
        for (key, slot, frame) in &work.records {
            let thing = FileItem::Record(key.clone());
            if layout::is_index(key.kind()) {
                let body = slot.as_ref().and_then(|slot| slot.body.as_ref());
                let version = slot.as_ref().map(|slot| slot.version).or(work.last_seq);
                lines.extend(version.map(|version| document::to_line(key, version, body)));
                has_new_line |= *frame > applied.written;
            } else if applied.lacks(&thing, *frame) {
                documents.push((key, slot.as_ref(), thing));
            }
        }
        // All files are flushed before the first is renamed: a flush waits for the renames before it.
        let prepared = side_by_side(at_once, &documents, |(key, slot, _)| prepare_record(writable, key, *slot));
        for ((key, _, thing), prepared) in documents.into_iter().zip(prepared) {
            let done = prepared.and_then(|prepared| prepared.put(writable, key, &mut names));
            kept_back.extend(done.err().map(|error| (thing, error)));
        }
        let written = side_by_side(at_once, &work.logs, |(log, slot, frame)| {
            applied.lacks(&FileItem::Log(log.clone()), *frame).then(|| write_log(writable, log, slot))
        });
        let mut logs = Vec::with_capacity(work.logs.len());
        for ((log, slot, frame), written) in work.logs.iter().zip(written) {
            if slot.state == LogState::Removed {
                lines.push_str(&document::removed_line(log));
                has_new_line |= *frame > applied.written;
            }
            let mut bytes = if slot.state == LogState::Removed { 0 } else { slot.written_bytes() };
            match written {
                Some(Ok((end, more))) => {
                    bytes = end;
                    names.join(more);
                }
                Some(Err(error)) => _ = kept_back.insert(FileItem::Log(log.clone()), error),
                None => {}
            }
            let (base, base_at) = (slot.length, slot.last_at);
            logs.push((log, LogSlot { base, bytes, base_at, recent: Default::default(), ..slot.clone() }));
        }
        if self.write_feed(work)? {
            names.changed(&Path::new(layout::FEED).join("new"));
        }
        if has_new_line || everything.is_some() {
            applied.write_index(writable, &lines, everything.as_ref(), &mut names)?;
        }
        names.flush(writable, at_once)?;
        kept_back.extend(names.remove(writable, at_once)?);
        (applied.written, applied.kept_back) = (work.until.frame, kept_back);
        if let Some((_, error)) = applied.kept_back.iter().next() {
            return Err(error.clone());
        }

        let mark = BlockMark {
            frame: work.until.frame,
            chain: work.until.chain,
            commits: work.until.commits,
            last_seq: work.last_seq,
            index_bytes: applied.index_end,
        };
        applied.frame = mark.frame;
        applied.catalog = Some(match (applied.catalog, everything) {
            (Some(extent), None) => {
                let records = work.records.iter().map(|(key, slot, _)| CatalogItem::Record(key, slot.as_ref()));
                let logs = logs.iter().map(|(log, slot)| CatalogItem::Log(log, slot));
                catalog::append(writable, extent, &catalog::block(&mark, records.chain(logs)))?
            }
            (_, everything) => {
                let mut all = everything.unwrap_or_default().0;
                all.logs.extend(logs.into_iter().map(|(log, slot)| (log.clone(), slot)));
                let extent = catalog::replace(writable, &catalog::block(&mark, catalog::everything(&all)))?;
                writable.sync_dir(Path::new("")).during("flushing", Path::new("."))?;
                extent
            }
        });
        Ok(())
    }
}

impl StoreWriter {
    /// Appends the commits to the feed, and removes feed files that are too old. Durable on return, except for names.
    ///
    /// Returns whether names were added or removed. Commits and reads of changes do not wait for its flushes.
    fn write_feed(&self, work: &Unapplied) -> Result<bool> {
        let writable = &*self.writable;
        self.feed().find_end(&*self.files, work.first_commit)?;
        let mut renamed = false;
        loop {
            let part = self.feed().next_part(work.first_commit, &work.commits);
            let Some(part) = part else { break };
            renamed |= part.write(writable)?;
            self.feed().take(part);
        }
        if renamed {
            let oldest = self.feed().oldest_file();
            feed::remove_older(writable, oldest)?;
        }
        Ok(renamed)
    }
}

/// Every key of a state at a single point in time.
#[derive(Debug, Default)]
struct Snapshot(StoreState);

impl Snapshot {
    fn of(state: &StoreState) -> Self {
        Self(state.keys())
    }
}

impl AppliedEnds {
    /// Makes the next application rewrite the derived files.
    pub(crate) fn renew(&mut self) {
        (self.catalog, self.renews_index, self.written) = (None, true, 0);
    }

    /// Returns whether the file of an item lacks the content of a frame.
    fn lacks(&self, thing: &FileItem, frame: u64) -> bool {
        frame > self.written || self.kept_back.contains_key(thing)
    }

    /// Returns the files that are kept back, each with the reason.
    pub(crate) fn kept_back(&self) -> impl Iterator<Item = (PathBuf, &Error)> {
        self.kept_back.iter().map(|(thing, error)| (thing.path(), error))
    }

    /// Finds where the derived files end, if they were written by another process or removed since.
    fn find(&mut self, writable: &dyn WritableFiles, base: u64) -> Result<()> {
        if self.frame == base
            && let Some(extent) = self.catalog
            && length(writable, layout::CATALOG)? >= extent.end
            && length(writable, layout::INDEX)? >= self.index_end
            && is_file_or_missing(writable, layout::INDEX)?
        {
            return Ok(());
        }
        if !is_file_or_missing(writable, layout::CATALOG)? {
            quarantine::put(writable, Path::new(layout::CATALOG))?;
        }
        let catalog = catalog::read(writable)?.filter(|(mark, ..)| mark.frame == base);
        let index_end = catalog.as_ref().map(|(mark, ..)| mark.index_bytes);
        let is_whole = match index_end {
            Some(end) => length(writable, layout::INDEX)? >= end && is_file_or_missing(writable, layout::INDEX)?,
            None => false,
        };
        *self = Self {
            frame: base,
            catalog: catalog.filter(|_| !self.renews_index).map(|(_, extent, _)| extent),
            index_end: index_end.unwrap_or_default(),
            renews_index: self.renews_index || !is_whole,
            written: if self.frame == base { self.written } else { 0 },
            kept_back: std::mem::take(&mut self.kept_back),
        };
        Ok(())
    }

    fn write_index(
        &mut self,
        writable: &dyn WritableFiles,
        lines: &str,
        everything: Option<&Snapshot>,
        names: &mut NameChanges,
    ) -> Result<()> {
        // If writing fails below, the next application has to find the end of the file again.
        let extent = self.catalog.take();
        if let Some(Snapshot(state)) = everything {
            let live = index::live_lines(state);
            if self.renews_index || index::is_worn(self.index_end, live.len() as u64) {
                index::renew(writable, &live)?;
                names.changed(Path::new(layout::INDEX));
                (self.index_end, self.renews_index) = (live.len() as u64, false);
                return Ok(());
            }
        }
        if !lines.is_empty() {
            if self.index_end == 0 {
                names.changed(Path::new(layout::INDEX));
            }
            self.index_end = index::append(writable, self.index_end, lines)?;
        }
        self.catalog = extent;
        Ok(())
    }
}

/// Returns the length of a file; 0 if it is missing or cannot be opened.
fn length(writable: &dyn Files, path: &str) -> Result<u64> {
    let path = Path::new(path);
    match writable.open(path) {
        Ok(file) => file.len().during("measuring", path),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(0),
        Err(error) => Err(error).during("opening", path),
    }
}

/// Returns whether the name is free or a file's, not that of a folder or a symbolic link.
fn is_file_or_missing(writable: &dyn Files, path: &str) -> Result<bool> {
    match writable.open(Path::new(path)) {
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(false),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).during("opening", Path::new(path)),
        _ => Ok(true),
    }
}
