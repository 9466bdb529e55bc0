//! Bringing the files up to date, off the commit path.
//!
//! Everything that is written here is in the journal too, and a frame of the journal is given up only after what it says
//! was flushed to the files. So each step may be interrupted and done again, by this process or by another.
//!
//! A thing whose file cannot be written keeps back itself and the frames of the journal from the one that touched it, but no other
//! thing: those are written all the same. What is kept back is read from the journal.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use nofx_core::{Deadline, Error, LogEntry, LogKey, LogState, RecordKey, Result};

use crate::archive::{Archive, ArchiveWriter};
use crate::catalog::{self, Extent, Item, Mark};
use crate::document::{self, Said};
use crate::fault::{During, is_of_the_file};
use crate::files::{Files, Layer, Opened};
use crate::index;
use crate::lines::{self, Lines};
use crate::lock::Lock;
use crate::state::{LogSlot, RecordSlot, State, Unapplied};
use crate::writing::{Doors, Writing};
use crate::{aside, feed, layout, stranger};

/// The first pause after the files could not be brought up to date.
const RETRY: Duration = Duration::from_secs(1);
/// The pause after that happened again and again.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How many full segments the journal may hold beyond the files. Whoever commits more brings the files up to date first, or is
/// told why that cannot be done.
const MOST_SEGMENTS: u64 = 32;
/// The pause between two looks at whether another process is done.
const PAUSE: Duration = Duration::from_millis(10);

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
    /// The last frame that this process has written to the files, but for what is kept back. The catalog does not tell it.
    written: u64,
    kept_back: HashMap<Thing, Error>,
}

/// What has a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Thing {
    Record(RecordKey),
    Log(LogKey),
}

/// What the thread that applies is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) dirty: bool,
    pub(crate) full: bool,
    pub(crate) stop: bool,
}

/// The thread that brings the files up to date until it is told to stop.
pub(crate) fn run(writing: &Arc<Writing>) {
    let mut pause = None;
    loop {
        let call = writing.wait_for_call(pause);
        // Who committed nothing leaves the files to those who stay.
        if call.stop && !writing.has_committed() {
            return;
        }
        pause = match writing.apply() {
            Ok(_) => None,
            // What is kept back does not get better by being tried all the time.
            Err(_) => Some(pause.map_or(RETRY, |before: Duration| LONGEST_RETRY.min(before * 2))),
        };
        if call.stop {
            return;
        }
    }
}

impl Writing {
    /// Asks the thread that applies for something.
    pub(crate) fn ask(&self, what: Call) {
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Call { dirty: call.dirty | what.dirty, full: call.full | what.full, stop: call.stop | what.stop };
        if asked != *call {
            *call = asked;
            self.bell.notify_all();
        }
    }

    /// Waits until there is something to do, and it is time to do it: after `pause` if it could not be done before.
    fn wait_for_call(&self, pause: Option<Duration>) -> Call {
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        while !(call.stop || call.dirty || pause.is_some()) {
            call = self.bell.wait(call).unwrap_or_else(PoisonError::into_inner);
        }
        let deadline = Deadline::after(pause.unwrap_or(self.options.apply_after));
        while !(call.stop || call.full && pause.is_none() || deadline.has_passed()) {
            let waited = self.bell.wait_timeout(call, deadline.remaining());
            call = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let asked = *call;
        *call = Call { stop: asked.stop, ..Call::default() };
        asked
    }

    /// Brings the files up to date. `false` if another process is doing so.
    pub(crate) fn apply(&self) -> Result<bool> {
        if self.believed(self.tip()?).is_none() {
            let mut turn = self.turn();
            let (doors, held) = self.hold_waiting(Doors::lock)?;
            self.catch_up_to_read(&mut turn, &doors, &held)?;
        }
        self.refresh()?;
        let mut applied = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((doors, _held)) = self.hold(Doors::apply_lock, Lock::try_acquire)? else { return Ok(false) };
        if self.state().damage.is_some() {
            return Ok(true);
        }
        // Another process may have done more until just now, and then the files hold more than this one knows of.
        let tip = self.believed(self.read_tip(&*doors.tip)?);
        let tip = tip.ok_or_else(|| Error::unavailable(format!("reading `{}`", layout::TIP)))?;
        if !self.follow(&mut self.state_mut(), &tip)? {
            return Ok(false);
        }
        let base = {
            let state = self.state();
            if !state.is_dirty() {
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

    /// Returns whether the journal holds so much that the files lack that the next commit has to wait for them.
    pub(crate) fn is_overfull(&self) -> bool {
        let state = self.state();
        state.damage.is_none() && state.dirty_bytes >= self.options.segment_bytes.saturating_mul(MOST_SEGMENTS)
    }

    /// Brings the files up to date if the journal holds too much that they lack. Says why if that cannot be done.
    pub(crate) fn make_room(&self) -> Result<()> {
        let deadline = Deadline::after(self.options.lock_wait);
        while self.is_overfull() && !self.apply()? {
            if deadline.has_passed() {
                let what = format!("another process brings the files of `{}` up to date", self.root.display());
                return Err(Error::unavailable(what));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn write_files(&self, work: &Unapplied, everything: Option<Snapshot>, applied: &mut Applied) -> Result<()> {
        let layer = &*self.layer;
        let mut names = Names::default();
        let mut kept_back = HashMap::new();
        let at_once = self.options.at_once;
        let (mut lines, mut has_new_line) = (String::new(), false);
        let mut documents = Vec::new();
        for (key, slot, frame) in &work.records {
            let thing = Thing::Record(key.clone());
            if layout::is_index(key.kind()) {
                let body = slot.as_ref().and_then(|slot| slot.body.as_ref());
                let version = slot.as_ref().map(|slot| slot.version).or(work.last_seq);
                lines.extend(version.map(|version| document::to_line(key, version, body)));
                has_new_line |= *frame > applied.written;
            } else if applied.lacks(&thing, *frame) {
                documents.push((key, slot.as_ref(), thing));
            }
        }
        // All are flushed before the first is renamed: a flush waits for the renames before it.
        let prepared = side_by_side(at_once, &documents, |(key, slot, _)| prepare_record(layer, key, *slot));
        for ((key, _, thing), prepared) in documents.into_iter().zip(prepared) {
            let done = prepared.and_then(|prepared| prepared.put(layer, key, &mut names));
            kept_back.extend(done.err().map(|error| (thing, error)));
        }
        let written = side_by_side(at_once, &work.logs, |(log, slot, frame)| {
            applied.lacks(&Thing::Log(log.clone()), *frame).then(|| write_log(layer, log, slot))
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
                Some(Err(error)) => _ = kept_back.insert(Thing::Log(log.clone()), error),
                None => {}
            }
            let (base, base_at) = (slot.length, slot.last_at);
            logs.push((log, LogSlot { base, bytes, base_at, recent: Default::default(), ..slot.clone() }));
        }
        if self.write_feed(work)? {
            names.changed(&Path::new(layout::FEED).join("new"));
        }
        if has_new_line || everything.is_some() {
            applied.write_index(layer, &lines, everything.as_ref(), &mut names)?;
        }
        names.flush(layer, at_once)?;
        kept_back.extend(names.remove(layer, at_once)?);
        (applied.written, applied.kept_back) = (work.until.frame, kept_back);
        if let Some((_, error)) = applied.kept_back.iter().next() {
            return Err(error.clone());
        }

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
                let records = work.records.iter().map(|(key, slot, _)| Item::Record(key, slot.as_ref()));
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

impl Writing {
    /// Appends what happened to the feed, and removes files of it that are too old. Durable on return, except for names.
    ///
    /// Returns whether names are new or gone. Those who ask for changes and who commit do not wait for its flushes.
    fn write_feed(&self, work: &Unapplied) -> Result<bool> {
        let layer = &*self.layer;
        self.feed().find_end(&*self.files, work.first_commit)?;
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
        (self.catalog, self.renews_index, self.written) = (None, true, 0);
    }

    /// Returns whether the file of a thing lacks what a frame said of it.
    fn lacks(&self, thing: &Thing, frame: u64) -> bool {
        frame > self.written || self.kept_back.contains_key(thing)
    }

    /// Returns the files of what is kept back, and why it is.
    pub(crate) fn kept_back(&self) -> impl Iterator<Item = (PathBuf, &Error)> {
        self.kept_back.iter().map(|(thing, error)| (thing.path(), error))
    }

    /// Finds where the derived files end, if another process wrote them since, or somebody took them away.
    fn find(&mut self, layer: &dyn Layer, base: u64) -> Result<()> {
        if self.frame == base
            && let Some(extent) = self.catalog
            && length(layer, layout::CATALOG)? >= extent.end
            && length(layer, layout::INDEX)? >= self.index_end
            && is_file_or_missing(layer, layout::INDEX)?
        {
            return Ok(());
        }
        if !is_file_or_missing(layer, layout::CATALOG)? {
            aside::put(layer, Path::new(layout::CATALOG))?;
        }
        let catalog = catalog::read(layer)?.filter(|(mark, ..)| mark.frame == base);
        let index_end = catalog.as_ref().map(|(mark, ..)| mark.index_bytes);
        let is_whole = match index_end {
            Some(end) => length(layer, layout::INDEX)? >= end && is_file_or_missing(layer, layout::INDEX)?,
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
fn length(layer: &dyn Files, path: &str) -> Result<u64> {
    let path = Path::new(path);
    match layer.open(path) {
        Ok(file) => file.len().during("measuring", path),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(0),
        Err(error) => Err(error).during("opening", path),
    }
}

/// Returns whether nothing but a file has this name, such as a folder or a symbolic link.
fn is_file_or_missing(layer: &dyn Files, path: &str) -> Result<bool> {
    match layer.open(Path::new(path)) {
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(false),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).during("opening", Path::new(path)),
        _ => Ok(true),
    }
}

impl Thing {
    fn path(&self) -> PathBuf {
        match self {
            Self::Record(key) => layout::record(key),
            Self::Log(log) => layout::open_log(log),
        }
    }
}

/// Names that are new or gone, and files that shall go, each with what it belongs to.
#[derive(Debug, Default)]
struct Names {
    folders: BTreeSet<PathBuf>,
    going: Vec<(Thing, PathBuf)>,
}

impl Names {
    /// Notes that a name is new: it and the folders above it may not be durable yet.
    fn changed(&mut self, path: &Path) {
        self.folders.extend(path.ancestors().skip(1).map(Path::to_owned));
    }

    /// Adds what another part of the work changed.
    fn join(&mut self, other: Self) {
        self.folders.extend(other.folders);
        self.going.extend(other.going);
    }

    fn flush(&self, layer: &dyn Layer, at_once: usize) -> Result<()> {
        let folders: Vec<_> = self.folders.iter().rev().collect();
        let flushed = side_by_side(at_once, &folders, |folder| layer.sync_dir(folder).during("flushing", folder));
        flushed.into_iter().collect()
    }

    /// Removes what shall go, now that what takes its place is durable. Returns what could not go, and why.
    fn remove(self, layer: &dyn Layer, at_once: usize) -> Result<HashMap<Thing, Error>> {
        let mut kept_back = HashMap::new();
        let mut folders = BTreeSet::new();
        for (thing, path) in &self.going {
            match layer.remove(path).during("removing", path) {
                Ok(()) => folders.extend(path.parent()),
                Err(error) => _ = kept_back.insert(thing.clone(), error),
            }
        }
        let folders: Vec<_> = folders.into_iter().collect();
        let flushed = side_by_side(at_once, &folders, |folder| layer.sync_dir(folder).during("flushing", folder));
        flushed.into_iter().collect::<Result<()>>()?;
        for folder in folders {
            // Only the folder of one session is ever empty for good; it does not matter when its name goes.
            if folder.components().count() > 2 {
                layer.remove_dir(folder).during("removing", folder)?;
            }
        }
        Ok(kept_back)
    }
}

/// Makes the folder that a file belongs in. A file that has its name is kept aside.
fn make_folder(layer: &dyn Layer, path: &Path) -> Result<()> {
    let above: Vec<_> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    for folder in above.into_iter().rev() {
        if let Err(error) = layer.make_dir(folder) {
            if error.kind() != ErrorKind::NotADirectory {
                return Err(error).during("making", folder);
            }
            aside::put(layer, folder)?;
            layer.make_dir(folder).during("making", folder)?;
        }
    }
    Ok(())
}

/// Does something with each of many things, some of them at a time: the disk answers many flushes as soon as one.
fn side_by_side<T: Sync, R: Send>(at_once: usize, things: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let (at, Some(thing)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            (at, things.get(at))
        } {
            done.push((at, each(thing)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        // Where no thread can be had, this one does it all.
        let start = || thread::Builder::new().name("nofx-fs-flush".to_owned()).spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..at_once.min(things.len())).filter_map(|_| start()).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What is left to do about a document once all are flushed.
#[derive(Debug)]
enum Prepared {
    /// It was written before.
    Nothing,
    /// It gets its name.
    New,
    /// It goes.
    Gone,
}

impl Prepared {
    fn put(self, layer: &dyn Layer, key: &RecordKey, names: &mut Names) -> Result<()> {
        let path = layout::record(key);
        match self {
            // Perhaps its name is not durable.
            Self::Nothing => names.changed(&path),
            Self::New => {
                layer.put(&path).during("writing", &path)?;
                names.changed(&path);
            }
            Self::Gone => names.going.push((Thing::Record(key.clone()), path)),
        }
        Ok(())
    }
}

fn prepare_record(layer: &dyn Layer, key: &RecordKey, slot: Option<&RecordSlot>) -> Result<Prepared> {
    let path = layout::record(key);
    let wanted = slot.and_then(|slot| Some((slot.version, slot.body.as_ref()?)));
    let old = match layer.read(&path) {
        // A symbolic link, a folder, or a bad place on the disk.
        Err(error) if is_of_the_file(&error) => Some(Vec::new()),
        old => old.during("reading", &path)?,
    };
    if wanted.is_some() && old.is_none() {
        make_folder(layer, &path)?;
    }
    if let Some(old) = old {
        match std::str::from_utf8(&old).map_err(|error| error.to_string()).and_then(document::read) {
            Ok(Said::Record(found, version, _)) if found == *key => {
                if wanted.is_some_and(|(wanted, _)| wanted == version) {
                    return Ok(Prepared::Nothing);
                }
            }
            _ => _ = aside::put(layer, &path)?,
        }
    }
    let Some((version, body)) = wanted else { return Ok(Prepared::Gone) };
    layer.prepare(&path, document::to_file(key, version, body).as_bytes()).during("writing", &path)?;
    Ok(Prepared::New)
}

/// Writes the file of a log, and returns how long it is then and which names changed.
fn write_log(layer: &dyn Layer, log: &LogKey, slot: &LogSlot) -> Result<(u64, Names)> {
    let mut names = Names::default();
    let end = match slot.state {
        LogState::Open => write_open(layer, log, slot, &mut names)?,
        LogState::Sealed => write_sealed(layer, log, slot, &mut names)?,
        LogState::Removed => remove_log(layer, log, slot, &mut names).map(|()| 0)?,
    };
    Ok((end, names))
}

/// Writes what an open log's file lacks, and returns how long it is then.
fn write_open(layer: &dyn Layer, log: &LogKey, slot: &LogSlot, names: &mut Names) -> Result<u64> {
    let path = layout::open_log(log);
    let (mut new, mut start) = (Vec::new(), slot.bytes);
    if slot.base == 0 {
        (new, start) = (lines::heading(log), 0);
    }
    slot.recent.iter().for_each(|(_, entry)| lines::write(entry, &mut new));
    let end = start + new.len() as u64;
    let file = match layer.edit(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(layer, &path)?;
            layer.edit(&path)
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            aside::put(layer, &path)?;
            layer.edit(&path)
        }
        opened => opened,
    };
    let file = file.during("opening", &path)?;
    refuse_stranger(&*file, log, slot)?;
    let length = file.len().during("measuring", &path)?;
    // What is lost of it is a hole. The lines keep their places, and the next one begins a line of its own.
    if let Some(before) = start.checked_sub(1)
        && file.read_range(before, start).during("reading", &path)? != b"\n"
    {
        (new, start) = ([b"\n".as_slice(), &new].concat(), before);
    }
    if length == 0 && start > 0 {
        file.write_at(&lines::heading(log), 0).during("writing", &path)?;
    }
    aside::keep_rest(layer, &path, &*file, start, &new)?;
    file.write_at(&new, start).during("writing", &path)?;
    if length > end {
        file.set_len(end).during("cutting", &path)?;
    }
    file.sync().during("flushing", &path)?;
    if length == 0 || slot.base == 0 {
        names.changed(&path);
    }
    Ok(end)
}

/// Writes the file of a sealed log; the open one goes. What cannot be read stays as it is, in the open file.
fn write_sealed(layer: &dyn Layer, log: &LogKey, slot: &LogSlot, names: &mut Names) -> Result<u64> {
    let (open_path, path) = (layout::open_log(log), layout::sealed_log(log));
    let is_whole = match layer.open(&path) {
        Ok(file) => {
            let archive = Archive::open(&*file).during("reading", &path)?;
            archive.is_some_and(|archive| !stranger::has_archive(&archive, slot))
        }
        Err(_) => false,
    };
    if !is_whole {
        let Some(archive) = compress(layer, log, slot)? else { return write_open(layer, log, slot, names) };
        make_folder(layer, &path)?;
        aside::put_if_there(layer, &path)?;
        layer.replace(&path, &archive).during("writing", &path)?;
    }
    names.changed(&path);
    names.going.push((Thing::Log(log.clone()), open_path));
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
        let file = match layer.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound || is_of_the_file(&error) => return Ok(None),
            Err(error) => return Err(error).during("opening", &path),
        };
        refuse_stranger(&*file, log, slot)?;
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

/// Keeps what is written to one log out of the file of another.
fn refuse_stranger(file: &dyn Opened, log: &LogKey, slot: &LogSlot) -> Result<()> {
    let path = layout::open_log(log);
    match stranger::has_lines(file, log, slot).during("reading", &path)? {
        true => Err(Error::corrupt(format!("{log}, `{}`: {}", path.display(), stranger::TOLD))),
        false => Ok(()),
    }
}

/// Lets the files of a removed log go; those that cannot be read, or are of another log, are kept aside.
fn remove_log(layer: &dyn Layer, log: &LogKey, slot: &LogSlot, names: &mut Names) -> Result<()> {
    for path in [layout::open_log(log), layout::sealed_log(log)] {
        let file = match layer.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                aside::put(layer, &path)?;
                continue;
            }
            Err(error) => return Err(error).during("opening", &path),
        };
        let is_open = path.extension().is_some_and(|extension| extension == "jsonl");
        let is_whole = if is_open { is_readable(log, &*file, slot) } else { is_archive(&*file) };
        match is_whole.during("reading", &path)? {
            true => names.going.push((Thing::Log(log.clone()), path)),
            false => _ = aside::put(layer, &path)?,
        }
    }
    Ok(())
}

fn is_readable(log: &LogKey, file: &dyn Opened, slot: &LogSlot) -> std::io::Result<bool> {
    if stranger::has_lines(file, log, slot)? {
        return Ok(false);
    }
    let start = lines::heading(log).len() as u64;
    let end = file.len()?;
    let mut whole = true;
    Lines { file, bytes: start..end.max(start) }.forward(start, &mut |line| {
        whole = lines::read(line).is_some();
        whole
    })?;
    Ok(whole)
}

fn is_archive(file: &dyn Opened) -> std::io::Result<bool> {
    let Some(archive) = Archive::open(file)? else { return Ok(false) };
    for piece in 0..archive.pieces() {
        if archive.read(file, piece)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
