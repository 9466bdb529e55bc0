//! Bringing the files up to date with a run of the journal.
//!
//! Everything that is written here is in the journal too, and the journal gives up a frame only after this has returned.
//! So each step may be interrupted and repeated, by this process or another. The block of the catalog comes last: until
//! it is there, nothing has changed for readers, who take from the journal what the catalog does not list.
//!
//! If the file of a record or log cannot be written, that item is kept back, and with it the catalog: the files then hold
//! nothing more for the journal. Other items are written all the same. What is kept back is read from the journal.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{Error, LogKey, LogState, Result};
use nofx_journal::base::{Run, SnapshotError};
use nofx_journal::fault::During;
use nofx_journal::files::Files;
use nofx_journal::{feed, quarantine};

use crate::base::FsBase;
use crate::catalog::{self, CatalogItem, Extent};
use crate::changes::Changes;
use crate::document;
use crate::index;
use crate::item_file::{FileItem, NameChanges, prepare_record, side_by_side, write_log};
use crate::known::Known;
use crate::layout;
use crate::listed::{Listed, LogSlot, RecordSlot};

/// What this process knows of the files that it brings up to date.
#[derive(Debug, Default)]
pub(crate) struct Applying {
    /// The last frame that the catalog listed then.
    frame: u64,
    /// Where the file of index kinds ends.
    index_end: u64,
    /// Whether the derived files have to be rewritten.
    renews: bool,
    /// The last frame up to which this process made the catalog durable.
    durable: u64,
    /// The last frame that this process has written to the files, except for what is kept back. The catalog does not
    /// list it.
    written: u64,
    kept_back: HashMap<FileItem, Error>,
}

impl Applying {
    /// Makes the next run rewrite the derived files.
    pub(crate) fn renew(&mut self) {
        (self.renews, self.written) = (true, 0);
    }

    /// Returns the files that are kept back, each with the reason.
    pub(crate) fn kept_back(&self) -> impl Iterator<Item = (PathBuf, &Error)> {
        self.kept_back.iter().map(|(thing, error)| (thing.path(), error))
    }

    /// Returns whether the file of an item lacks the content of a frame.
    fn lacks(&self, thing: &FileItem, frame: u64) -> bool {
        frame > self.written || self.kept_back.contains_key(thing)
    }
}

impl FsBase {
    pub(crate) fn take_run(&self, run: &Run) -> Result<()> {
        let mut applying = self.applying();
        // A catalog that turns out to be damaged is rebuilt.
        self.settled(|| self.try_run(run, &mut applying))
    }

    fn try_run(&self, run: &Run, applying: &mut Applying) -> Result<(), SnapshotError> {
        // Nothing is written over another copy of the store.
        self.refuse_another()?;
        let tip = self.tip();
        let (known, extent) = self.known_with_extent()?;
        let changes = Changes::of(run.beyond(&known.mark)?, &known, self.files())?;
        let was_reported = tip.map_or(0, |tip| tip.applied) >= known.mark.frame;
        if applying.durable < known.mark.frame && was_reported {
            applying.durable = known.mark.frame;
        }
        let is_durable = applying.durable >= known.mark.frame;
        if changes.until == known.mark && is_durable {
            return Ok(());
        }
        // What was never reported may have met a failed flush: the system shows what the disk lacks.
        let extent = extent.filter(|_| is_durable);
        self.write_files(&changes, known, extent, applying)?;
        applying.durable = changes.until.frame;
        Ok(())
    }

    fn write_files(
        &self,
        changes: &Changes<'_>,
        known: Arc<Known>,
        extent: Option<Extent>,
        applying: &mut Applying,
    ) -> Result<(), SnapshotError> {
        let (writable, at_once) = (&*self.writable, self.at_once);
        applying.find(self.files(), &known, extent)?;
        if !is_file_or_missing(writable, layout::CATALOG)? {
            quarantine::put(writable, Path::new(layout::CATALOG))?;
        }
        let renews = applying.renews || extent.is_none_or(|extent| extent.is_worn());
        let mut everything = if renews { Some(known.whole()?) } else { None };
        // Readers that find the new block need no copy of what changed then.
        drop(known);
        let mut names = NameChanges::default();
        let mut kept_back = HashMap::new();
        let (mut lines, mut has_new_line) = (String::new(), false);
        let mut documents = Vec::new();
        for (key, change) in &changes.records {
            let thing = FileItem::Record((*key).clone());
            let is_index = layout::is_index(key.kind());
            if let Some(all) = &mut everything {
                let body = |body: &nofx_core::Body| Some(body.clone()).filter(|_| is_index);
                let slot = change.content.map(|(version, content)| RecordSlot {
                    version,
                    body: body(content),
                    damaged: false,
                });
                all.put((*key).clone(), slot);
            }
            if is_index {
                let version = change.content.map(|(version, _)| version).or(changes.until.last_seq);
                let body = change.content.map(|(_, body)| body);
                lines.extend(version.map(|version| document::to_line(key, version, body)));
                has_new_line |= change.frame > applying.written;
            } else if applying.lacks(&thing, change.frame) {
                documents.push((*key, change.content, thing));
            }
        }
        // All files are flushed before the first is renamed: a flush waits for the renames before it.
        let prepared = side_by_side(at_once, &documents, |(key, content, _)| prepare_record(writable, key, *content));
        for ((key, _, thing), prepared) in documents.into_iter().zip(prepared) {
            let done = prepared.and_then(|prepared| prepared.put(writable, key, &mut names));
            kept_back.extend(done.err().map(|error| (thing, error)));
        }
        let changed_logs: Vec<_> = changes.logs.iter().collect();
        let written = side_by_side(at_once, &changed_logs, |(log, change)| {
            let thing = FileItem::Log((**log).clone());
            applying.lacks(&thing, change.frame).then(|| write_log(writable, log, change))
        });
        let mut logs: Vec<(&LogKey, LogSlot)> = Vec::with_capacity(changed_logs.len());
        for ((log, change), written) in changed_logs.into_iter().zip(written) {
            let is_removed = change.after.state == LogState::Removed;
            if is_removed {
                lines.push_str(&document::removed_line(log));
                has_new_line |= change.frame > applying.written;
            }
            let mut bytes = if is_removed { 0 } else { change.written_bytes() };
            match written {
                Some(Ok((end, more))) => {
                    bytes = end;
                    names.join(more);
                }
                Some(Err(error)) => _ = kept_back.insert(FileItem::Log((*log).clone()), error),
                None => {}
            }
            logs.push((log, LogSlot { bytes, ..change.after }));
        }
        if let Some(all) = &mut everything {
            all.logs.extend(logs.iter().map(|(log, slot)| ((*log).clone(), *slot)));
        }
        if self.write_feed(changes)? {
            names.changed(&Path::new(layout::FEED).join("new"));
        }
        if kept_back.is_empty() && (has_new_line || everything.is_some()) {
            self.write_index(&lines, everything.as_ref(), applying, &mut names)?;
        } else if has_new_line && !applying.renews {
            // It is rewritten together with the catalog, or not at all.
            self.write_index(&lines, None, applying, &mut names)?;
        }
        names.flush(writable, at_once)?;
        kept_back.extend(names.remove(writable, at_once)?);
        (applying.written, applying.kept_back) = (changes.until.frame, kept_back);
        if let Some((_, error)) = applying.kept_back.iter().next() {
            return Err(error.clone().into());
        }

        let (mark, index_bytes) = (&changes.until, applying.index_end);
        match (extent, everything) {
            (Some(extent), None) => {
                let records = changes.records.iter().map(|(key, change)| {
                    CatalogItem::Record(
                        key,
                        change.content.map(|(version, _)| version),
                        change.content.map(|(_, body)| body),
                    )
                });
                let logs = logs.iter().map(|(log, slot)| CatalogItem::Log(log, slot));
                catalog::append(writable, extent, &catalog::block(mark, index_bytes, records.chain(logs)))?;
            }
            (_, everything) => {
                let all = Listed { mark: *mark, index_bytes, ..everything.unwrap_or_default() };
                catalog::replace(writable, &catalog::whole(&all))?;
                writable.sync_dir(Path::new("")).during("flushing", Path::new("."))?;
            }
        }
        applying.frame = mark.frame;
        Ok(())
    }

    /// Appends the commits to the feed, and removes feed files that are too old. Durable on return, except for names.
    ///
    /// Returns whether names were added or removed. Commits and reads of changes do not wait for its flushes.
    fn write_feed(&self, changes: &Changes<'_>) -> Result<bool> {
        let writable = &*self.writable;
        self.feed().find_end(self.files(), changes.first_commit)?;
        let mut renamed = false;
        loop {
            let part = self.feed().next_part(changes.first_commit, &changes.commits);
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

    fn write_index(
        &self,
        lines: &str,
        everything: Option<&Listed>,
        applying: &mut Applying,
        names: &mut NameChanges,
    ) -> Result<()> {
        let writable = &*self.writable;
        if let Some(all) = everything {
            let live = index::live_lines(all);
            if applying.renews || index::is_worn(applying.index_end, live.len() as u64) {
                // If this fails, the next run has to rewrite the catalog, which this removes first.
                applying.renews = true;
                index::renew(writable, &live)?;
                names.changed(Path::new(layout::INDEX));
                (applying.index_end, applying.renews) = (live.len() as u64, false);
                return Ok(());
            }
        }
        if !lines.is_empty() {
            if applying.index_end == 0 {
                names.changed(Path::new(layout::INDEX));
            }
            applying.index_end = index::append(writable, applying.index_end, lines)?;
        }
        Ok(())
    }
}

impl Applying {
    /// Finds where the file of index kinds ends, and what has to be rewritten because it was removed or damaged.
    fn find(&mut self, files: &dyn Files, known: &Known, extent: Option<Extent>) -> Result<()> {
        if self.frame != known.mark.frame {
            (self.frame, self.index_end, self.written) = (known.mark.frame, known.index_bytes, 0);
        }
        let is_whole = length(files, layout::INDEX)? >= self.index_end && is_file_or_missing(files, layout::INDEX)?;
        self.renews |= extent.is_none() || !is_whole;
        Ok(())
    }
}

/// Returns the length of a file; 0 if it is missing or cannot be opened.
fn length(files: &dyn Files, path: &str) -> Result<u64> {
    let path = Path::new(path);
    match files.open(path) {
        Ok(file) => file.len().during("measuring", path),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(0),
        Err(error) => Err(error).during("opening", path),
    }
}

/// Returns whether the name is free or a file's, not that of a folder or a symbolic link.
fn is_file_or_missing(files: &dyn Files, path: &str) -> Result<bool> {
    match files.open(Path::new(path)) {
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(false),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).during("opening", Path::new(path)),
        _ => Ok(true),
    }
}
