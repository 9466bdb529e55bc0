//! Bringing the files up to date, off the commit path.
//!
//! Everything that is written here is in the journal too, and a frame of the journal is given up only after what it says
//! was flushed to the files. So each step may be interrupted and done again, by this process or by another.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nofx_core::{Deadline, Error, LogEntry, LogKey, LogState, RecordKey, Result};

use crate::archive::{Archive, ArchiveWriter};
use crate::catalog::{self, Extent, Item, Mark};
use crate::document::{self, Said};
use crate::fault::During;
use crate::files::{Layer, Mode};
use crate::index;
use crate::lines::{self, Lines};
use crate::lock::Lock;
use crate::state::{LogSlot, RecordSlot, State, Unapplied};
use crate::store::{Call, Doors, Shared};
use crate::{aside, feed, layout};

/// The pause after the files could not be brought up to date.
const RETRY: Duration = Duration::from_secs(1);

/// Where the derived files end, as this process last saw them.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The last frame that the files held then.
    frame: u64,
    /// Missing if the catalog has to be written anew.
    catalog: Option<Extent>,
    index_end: u64,
    /// Set if the file of index kinds has to be written anew.
    renews_index: bool,
}

/// The thread that brings the files up to date until it is told to stop.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut failed = false;
    loop {
        let call = shared.wait_for_call(failed);
        // Who only looked leaves the files to those who stay.
        if call.stop && !shared.has_committed() {
            return;
        }
        failed = shared.apply().is_err();
        if call.stop {
            return;
        }
    }
}

impl Shared {
    /// Asks the thread that applies for something.
    pub(crate) fn ask(&self, what: Call) {
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Call { dirty: call.dirty | what.dirty, full: call.full | what.full, stop: call.stop | what.stop };
        if asked != *call {
            *call = asked;
            self.bell.notify_all();
        }
    }

    /// Waits until there is something to do, and it is time to do it.
    fn wait_for_call(&self, failed: bool) -> Call {
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        while !(call.stop || call.dirty || failed) {
            call = self.bell.wait(call).unwrap_or_else(PoisonError::into_inner);
        }
        let wait = if failed { RETRY } else { self.options.apply_after };
        let deadline = Deadline::after(wait);
        while !(call.stop || call.full && !failed || deadline.has_passed()) {
            let waited = self.bell.wait_timeout(call, deadline.remaining());
            call = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let asked = *call;
        *call = Call { stop: asked.stop, ..Call::default() };
        asked
    }

    /// Brings the files up to date. `false` if another process is doing so.
    pub(crate) fn apply(&self) -> Result<bool> {
        if self.read_only.is_some() {
            return Ok(true);
        }
        self.refresh()?;
        let mut applied = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((doors, _held)) = self.hold(Doors::apply_lock, Lock::try_acquire)? else { return Ok(false) };
        // Another process may have done more until just now, and then the files hold more than this one knows of.
        let tip = self.read_tip(&doors)?.ok_or_else(|| Error::unavailable(format!("reading `{}`", layout::TIP)))?;
        if !self.follow(&mut self.state_mut(), &tip)? {
            return Ok(false);
        }
        let base = {
            let state = self.state();
            if state.damage.is_some() || !state.is_dirty() {
                if tip.applied < state.base {
                    self.tell_applied(&doors, state.base);
                }
                return Ok(true);
            }
            state.base
        };
        // Nothing is written over what another copy of the store knows.
        self.refuse_replaced()?;
        applied.find(&*self.layer, base)?;
        let renews = applied.renews_index || applied.catalog.is_none_or(|extent| extent.is_worn());
        let (work, everything) = {
            let state = self.state();
            (state.unapplied(), renews.then(|| Snapshot::of(&state)))
        };
        self.write_files(&work, everything, &mut applied)?;
        self.tell_applied(&doors, work.until.frame);
        self.state_mut().advance(work.until.frame);
        Ok(true)
    }

    fn write_files(&self, work: &Unapplied, everything: Option<Snapshot>, applied: &mut Applied) -> Result<()> {
        let layer = &*self.layer;
        let mut names = Names::default();
        let mut lines = String::new();
        for (key, slot) in &work.records {
            if layout::is_index(key.kind()) {
                let body = slot.as_ref().and_then(|slot| slot.body.as_ref());
                let version = slot.as_ref().map(|slot| slot.version).or(work.last_seq);
                lines.extend(version.map(|version| document::to_line(key, version, body)));
            } else {
                write_record(layer, key, slot.as_ref(), &mut names)?;
            }
        }
        let mut logs = Vec::with_capacity(work.logs.len());
        for (log, slot) in &work.logs {
            let bytes = match slot.state {
                LogState::Open => write_open(layer, log, slot, &mut names)?,
                LogState::Sealed => write_sealed(layer, log, slot, &mut names)?,
                LogState::Removed => {
                    lines.push_str(&document::removed_line(log));
                    remove_log(layer, log, slot, &mut names)?;
                    0
                }
            };
            logs.push((log, LogSlot { base: slot.length, bytes, recent: Default::default(), ..slot.clone() }));
        }
        if self.write_feed(work)? {
            names.changed(&Path::new(layout::FEED).join("new"));
        }
        applied.write_index(layer, &lines, everything.as_ref(), &mut names)?;
        names.flush(layer)?;
        names.remove(layer)?;

        let mark = Mark {
            frame: work.until.frame,
            chain: work.until.chain,
            commits: work.until.commits,
            last_seq: work.last_seq,
            index_bytes: applied.index_end,
        };
        applied.frame = mark.frame;
        applied.catalog = Some(match (applied.catalog, everything) {
            (Some(extent), None) => {
                let records = work.records.iter().map(|(key, slot)| Item::Record(key, slot.as_ref()));
                let logs = logs.iter().map(|(log, slot)| Item::Log(log, slot));
                catalog::append(layer, extent, &catalog::block(&mark, records.chain(logs)))?
            }
            (_, everything) => {
                let mut all = everything.unwrap_or_default().0;
                all.logs.extend(logs.into_iter().map(|(log, slot)| (log.clone(), slot)));
                let extent = catalog::replace(layer, &catalog::block(&mark, catalog::everything(&all)))?;
                layer.sync_dir(Path::new("")).during("flushing", Path::new("."))?;
                extent
            }
        });
        Ok(())
    }
}

impl Shared {
    /// Appends what happened to the feed, and removes files of it that are too old. Durable on return, except for names.
    ///
    /// Returns whether names are new or gone. Those who ask for changes and who commit do not wait for its flushes.
    fn write_feed(&self, work: &Unapplied) -> Result<bool> {
        let layer = &*self.layer;
        self.feed().find_end(layer, work.first_commit)?;
        let mut renamed = false;
        loop {
            let part = self.feed().next_part(work.first_commit, &work.commits);
            let Some(part) = part else { break };
            renamed |= part.write(layer)?;
            self.feed().take(part);
        }
        if renamed {
            let oldest = self.feed().oldest_file();
            feed::remove_older(layer, oldest)?;
        }
        Ok(renamed)
    }
}

/// Every key of a state, at one moment.
#[derive(Debug, Default)]
struct Snapshot(State);

impl Snapshot {
    fn of(state: &State) -> Self {
        Self(state.keys())
    }
}

impl Applied {
    /// Makes the next application write the derived files anew.
    pub(crate) fn renew(&mut self) {
        (self.catalog, self.renews_index) = (None, true);
    }

    /// Finds where the derived files end, if another process wrote them since, or somebody took them away.
    fn find(&mut self, layer: &dyn Layer, base: u64) -> Result<()> {
        if self.frame == base
            && let Some(extent) = self.catalog
            && length(layer, layout::CATALOG)? >= extent.end
        {
            return Ok(());
        }
        let catalog = catalog::read(layer)?.filter(|(mark, ..)| mark.frame == base);
        let index_end = catalog.as_ref().map(|(mark, ..)| mark.index_bytes);
        let is_whole = match index_end {
            Some(end) => length(layer, layout::INDEX)? >= end,
            None => false,
        };
        *self = Self {
            frame: base,
            catalog: catalog.filter(|_| !self.renews_index).map(|(_, extent, _)| extent),
            index_end: index_end.unwrap_or_default(),
            renews_index: self.renews_index || !is_whole,
        };
        Ok(())
    }

    fn write_index(
        &mut self,
        layer: &dyn Layer,
        lines: &str,
        everything: Option<&Snapshot>,
        names: &mut Names,
    ) -> Result<()> {
        // Whatever happens now, where the file ends has to be looked at again if this is not brought to its end.
        let extent = self.catalog.take();
        if let Some(Snapshot(state)) = everything {
            let live = index::live_lines(state);
            if self.renews_index || index::is_worn(self.index_end, live.len() as u64) {
                index::renew(layer, &live)?;
                names.changed(Path::new(layout::INDEX));
                (self.index_end, self.renews_index) = (live.len() as u64, false);
                return Ok(());
            }
        }
        if !lines.is_empty() {
            if self.index_end == 0 {
                names.changed(Path::new(layout::INDEX));
            }
            self.index_end = index::append(layer, self.index_end, lines)?;
        }
        self.catalog = extent;
        Ok(())
    }
}

/// Returns how long a file is; one that is missing, or that cannot be opened, is empty.
fn length(layer: &dyn Layer, path: &str) -> Result<u64> {
    let path = Path::new(path);
    match layer.open(path, Mode::Read) {
        Ok(file) => file.len().during("measuring", path),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(0),
        Err(error) => Err(error).during("opening", path),
    }
}

/// Names that are new or gone, and files that shall go.
#[derive(Debug, Default)]
struct Names {
    folders: BTreeSet<PathBuf>,
    going: Vec<PathBuf>,
}

impl Names {
    /// Notes that a name is new: it and the folders above it may not be durable yet.
    fn changed(&mut self, path: &Path) {
        self.folders.extend(path.ancestors().skip(1).map(Path::to_owned));
    }

    fn flush(&self, layer: &dyn Layer) -> Result<()> {
        self.folders.iter().rev().try_for_each(|folder| layer.sync_dir(folder).during("flushing", folder))
    }

    /// Removes what shall go, now that what takes its place is durable.
    fn remove(&self, layer: &dyn Layer) -> Result<()> {
        let mut folders = BTreeSet::new();
        for path in &self.going {
            layer.remove(path).during("removing", path)?;
            folders.extend(path.parent());
        }
        for folder in &folders {
            layer.sync_dir(folder).during("flushing", folder)?;
            // Only the folder of one session is ever empty for good; it does not matter when its name goes.
            if folder.components().count() > 2 {
                layer.remove_dir(folder).during("removing", folder)?;
            }
        }
        Ok(())
    }
}

fn write_record(layer: &dyn Layer, key: &RecordKey, slot: Option<&RecordSlot>, names: &mut Names) -> Result<()> {
    let path = layout::record(key);
    let wanted = slot.and_then(|slot| Some((slot.version, slot.body.as_ref()?)));
    let old = match layer.read(&path) {
        // A symbolic link, or a folder.
        Err(error) if error.kind() == ErrorKind::InvalidData => Some(Vec::new()),
        old => old.during("reading", &path)?,
    };
    if let Some(old) = old {
        match std::str::from_utf8(&old).map_err(|error| error.to_string()).and_then(document::read) {
            Ok(Said::Record(found, version, _)) if found == *key => {
                if wanted.is_some_and(|(wanted, _)| wanted == version) {
                    // Written before, but perhaps its name is not durable.
                    names.changed(&path);
                    return Ok(());
                }
            }
            _ => _ = aside::put(layer, &path)?,
        }
    }
    match wanted {
        Some((version, body)) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            layer.make_dirs(folder).during("making", folder)?;
            layer.replace(&path, document::to_file(key, version, body).as_bytes()).during("writing", &path)?;
            names.changed(&path);
        }
        None => names.going.push(path),
    }
    Ok(())
}

/// Writes what an open log's file lacks, and returns how long it is then.
fn write_open(layer: &dyn Layer, log: &LogKey, slot: &LogSlot, names: &mut Names) -> Result<u64> {
    let path = layout::open_log(log);
    let (mut new, mut start) = (Vec::new(), slot.bytes);
    if slot.base == 0 {
        (new, start) = (lines::heading(log), 0);
        let folder = path.parent().unwrap_or(Path::new(""));
        layer.make_dirs(folder).during("making", folder)?;
        names.changed(&path);
    }
    slot.recent.iter().for_each(|(_, entry)| lines::write(entry, &mut new));
    let end = start + new.len() as u64;
    let file = layer.open(&path, Mode::Write).during("opening", &path)?;
    aside::keep_rest(layer, &path, &*file, start, &new)?;
    file.write_at(&new, start).during("writing", &path)?;
    if file.len().during("measuring", &path)? > end {
        file.set_len(end).during("cutting", &path)?;
    }
    file.sync().during("flushing", &path)?;
    Ok(end)
}

/// Writes the file of a sealed log; the open one goes. What cannot be read stays as it is, in the open file.
fn write_sealed(layer: &dyn Layer, log: &LogKey, slot: &LogSlot, names: &mut Names) -> Result<u64> {
    let (open_path, path) = (layout::open_log(log), layout::sealed_log(log));
    names.changed(&path);
    let is_whole = match layer.open(&path, Mode::Read) {
        Ok(file) => {
            let archive = Archive::open(&*file).during("reading", &path)?;
            archive.is_some_and(|archive| archive.length == slot.length)
        }
        Err(_) => false,
    };
    if !is_whole {
        let Some(archive) = compress(layer, log, slot)? else { return write_open(layer, log, slot, names) };
        aside::put_if_there(layer, &path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        layer.make_dirs(folder).during("making", folder)?;
        layer.replace(&path, &archive).during("writing", &path)?;
    }
    names.going.push(open_path);
    Ok(0)
}

/// Compresses a log; `None` if an entry cannot be read.
fn compress(layer: &dyn Layer, log: &LogKey, slot: &LogSlot) -> Result<Option<Vec<u8>>> {
    let path = layout::open_log(log);
    let heading = lines::heading(log);
    let start = heading.len() as u64;
    let mut archive = ArchiveWriter::new(heading);
    let mut failed = Ok(());
    let mut next = 0;
    let mut push = |entry: &LogEntry| {
        let mut line = Vec::new();
        lines::write(entry, &mut line);
        failed = archive.push(&line, entry.at);
        failed.is_ok()
    };
    if slot.base > 0 {
        let file = match layer.open(&path, Mode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).during("opening", &path),
        };
        let lines = Lines { file: &*file, bytes: start..slot.bytes };
        let mut each = |line: &[u8]| {
            let entry = lines::read(line).filter(|entry| entry.position == next);
            next += u64::from(entry.is_some());
            entry.is_some_and(|entry| push(&entry)) && next < slot.base
        };
        lines.forward(start, &mut each).during("reading", &path)?;
    }
    if next == slot.base {
        slot.recent.iter().all(|(_, entry)| push(entry));
    }
    failed.during("compressing", &path)?;
    if next < slot.base { Ok(None) } else { archive.finish().during("compressing", &path).map(Some) }
}

/// Lets the files of a removed log go; those that cannot be read are kept aside.
fn remove_log(layer: &dyn Layer, log: &LogKey, _: &LogSlot, names: &mut Names) -> Result<()> {
    for path in [layout::open_log(log), layout::sealed_log(log)] {
        let file = match layer.open(&path, Mode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                aside::put(layer, &path)?;
                continue;
            }
            Err(error) => return Err(error).during("opening", &path),
        };
        let is_open = path.extension().is_some_and(|extension| extension == "jsonl");
        let is_whole = if is_open { is_readable(log, &*file) } else { is_archive(&*file) };
        match is_whole.during("reading", &path)? {
            true => names.going.push(path),
            false => _ = aside::put(layer, &path)?,
        }
    }
    Ok(())
}

fn is_readable(log: &LogKey, file: &dyn crate::files::Handle) -> std::io::Result<bool> {
    let start = lines::heading(log).len() as u64;
    let end = file.len()?;
    let mut whole = true;
    Lines { file, bytes: start..end.max(start) }.forward(start, &mut |line| {
        whole = lines::read(line).is_some();
        whole
    })?;
    Ok(whole)
}

fn is_archive(file: &dyn crate::files::Handle) -> std::io::Result<bool> {
    let Some(archive) = Archive::open(file)? else { return Ok(false) };
    for piece in 0..archive.pieces() {
        if archive.read(file, piece)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
