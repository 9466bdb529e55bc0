//! Items with their own file, documents and logs, and how their files are written.
//!
//! Each step may be interrupted and repeated. What cannot be read is put aside, never deleted.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nofx_core::{Body, Error, LogEntry, LogKey, LogState, RecordKey, Result, Seq};
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::files::{ReadableFile, WritableFiles};
use nofx_journal::quarantine;

use crate::archive::{Archive, ArchiveWriter};
use crate::changes::LogChange;
use crate::document::{self, Said};
use crate::lines::{self, LineSearch};
use crate::listed::LogSlot;
use crate::{foreign_file, layout};

/// An item with its own file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FileItem {
    Record(RecordKey),
    Log(LogKey),
}

impl FileItem {
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Record(key) => layout::record(key),
            Self::Log(log) => layout::open_log(log),
        }
    }
}

/// Folders in which names were added or removed, and files to be removed, each with its item.
#[derive(Debug, Default)]
pub(crate) struct NameChanges {
    folders: BTreeSet<PathBuf>,
    going: Vec<(FileItem, PathBuf)>,
}

impl NameChanges {
    /// Notes that a name is new: it and the folders above it may not be durable yet.
    pub(crate) fn changed(&mut self, path: &Path) {
        self.folders.extend(path.ancestors().skip(1).map(Path::to_owned));
    }

    /// Adds the changes of another part of the work.
    pub(crate) fn join(&mut self, other: Self) {
        self.folders.extend(other.folders);
        self.going.extend(other.going);
    }

    pub(crate) fn flush(&self, writable: &dyn WritableFiles, at_once: usize) -> Result<()> {
        let folders: Vec<_> = self.folders.iter().rev().collect();
        let flushed = side_by_side(at_once, &folders, |folder| writable.sync_dir(folder).during("flushing", folder));
        flushed.into_iter().collect()
    }

    /// Removes the files to be removed, now that what replaces them is durable. Returns the ones that could not be
    /// removed, and why.
    pub(crate) fn remove(self, writable: &dyn WritableFiles, at_once: usize) -> Result<HashMap<FileItem, Error>> {
        let mut kept_back = HashMap::new();
        let mut folders = BTreeSet::new();
        for (thing, path) in &self.going {
            match writable.remove(path).during("removing", path) {
                Ok(()) => folders.extend(path.parent()),
                Err(error) => _ = kept_back.insert(thing.clone(), error),
            }
        }
        let folders: Vec<_> = folders.into_iter().collect();
        let flushed = side_by_side(at_once, &folders, |folder| writable.sync_dir(folder).during("flushing", folder));
        flushed.into_iter().collect::<Result<()>>()?;
        for folder in folders {
            // Only the folder of a single session ever stays empty for good; it does not matter when its name is
            // removed.
            if folder.components().count() > 2 {
                writable.remove_dir(folder).during("removing", folder)?;
            }
        }
        Ok(kept_back)
    }
}

/// Creates the folder of a file. A file with the folder's name is put aside.
fn make_folder(writable: &dyn WritableFiles, path: &Path) -> Result<()> {
    let above: Vec<_> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    for folder in above.into_iter().rev() {
        match writable.make_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotADirectory => make_in_place_of_a_file(writable, folder)?,
            made => made.during("making", folder)?,
        }
    }
    Ok(())
}

/// Puts aside a file that has the name of a folder, and creates the folder.
///
/// Several threads may find the file concurrently. Only one moves it: otherwise the next would move the folder that the
/// first one created.
fn make_in_place_of_a_file(writable: &dyn WritableFiles, folder: &Path) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match writable.make_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            quarantine::put(writable, folder)?;
            writable.make_dir(folder).during("making", folder)
        }
        made => made.during("making", folder),
    }
}

/// Applies `each` to many items, several at a time: the disk completes many flushes as fast as one.
pub(crate) fn side_by_side<T: Sync, R: Send>(at_once: usize, things: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
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
        // If no thread can be started, this one does all the work.
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
pub(crate) enum PreparedDocument {
    /// It was written before.
    Nothing,
    /// It is renamed into place.
    New,
    /// It is removed.
    Gone,
}

impl PreparedDocument {
    pub(crate) fn put(self, writable: &dyn WritableFiles, key: &RecordKey, names: &mut NameChanges) -> Result<()> {
        let path = layout::record(key);
        match self {
            // Its name may not be durable yet.
            Self::Nothing => names.changed(&path),
            Self::New => {
                writable.put(&path).during("writing", &path)?;
                names.changed(&path);
            }
            Self::Gone => names.going.push((FileItem::Record(key.clone()), path)),
        }
        Ok(())
    }
}

pub(crate) fn prepare_record(
    writable: &dyn WritableFiles,
    key: &RecordKey,
    wanted: Option<(Seq, &Body)>,
) -> Result<PreparedDocument> {
    let path = layout::record(key);
    let old = match writable.read(&path) {
        // A symbolic link, a folder, or a bad sector on the disk.
        Err(error) if is_of_the_file(&error) => Some(Vec::new()),
        old => old.during("reading", &path)?,
    };
    if wanted.is_some() && old.is_none() {
        make_folder(writable, &path)?;
    }
    if let Some(old) = old {
        match std::str::from_utf8(&old).map_err(|error| error.to_string()).and_then(document::read) {
            Ok(Said::Record(found, version, _)) if found == *key => {
                if wanted.is_some_and(|(wanted, _)| wanted == version) {
                    return Ok(PreparedDocument::Nothing);
                }
            }
            _ => _ = quarantine::put(writable, &path)?,
        }
    }
    let Some((version, body)) = wanted else { return Ok(PreparedDocument::Gone) };
    writable.prepare(&path, document::to_file(key, version, body).as_bytes()).during("writing", &path)?;
    Ok(PreparedDocument::New)
}

/// Writes the file of a log. Returns its new length and the changed names.
pub(crate) fn write_log(
    writable: &dyn WritableFiles,
    log: &LogKey,
    change: &LogChange<'_>,
) -> Result<(u64, NameChanges)> {
    let mut names = NameChanges::default();
    let end = match change.after.state {
        LogState::Open if was_sealed(writable, log, change)? => change.written_bytes(),
        LogState::Open => write_open(writable, log, change, &mut names)?,
        LogState::Sealed => write_sealed(writable, log, change, &mut names)?,
        LogState::Removed => remove_log(writable, log, &change.before, &mut names).map(|()| 0)?,
    };
    Ok((end, names))
}

/// Writes what an open log's file lacks, and returns its new length.
fn write_open(
    writable: &dyn WritableFiles,
    log: &LogKey,
    change: &LogChange<'_>,
    names: &mut NameChanges,
) -> Result<u64> {
    let path = layout::open_log(log);
    let (mut new, mut start) = (Vec::new(), change.before.bytes);
    if change.before.length == 0 {
        (new, start) = (lines::heading(log), 0);
    }
    change.entries.iter().for_each(|entry| lines::write(entry, &mut new));
    let end = start + new.len() as u64;
    let file = match writable.edit(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(writable, &path)?;
            writable.edit(&path)
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            quarantine::put(writable, &path)?;
            writable.edit(&path)
        }
        opened => opened,
    };
    let file = file.during("opening", &path)?;
    refuse_foreign(&*file, log, &change.before)?;
    let length = file.len().during("measuring", &path)?;
    // A lost part becomes a hole. The other lines keep their places, and the next entry starts its own line.
    if let Some(before) = start.checked_sub(1)
        && file.read_range(before, start).during("reading", &path)? != b"\n"
    {
        (new, start) = ([b"\n".as_slice(), &new].concat(), before);
    }
    if length == 0 && start > 0 {
        file.write_at(&lines::heading(log), 0).during("writing", &path)?;
    }
    quarantine::keep_rest(writable, &path, &*file, start, &new)?;
    file.write_at(&new, start).during("writing", &path)?;
    if length > end {
        file.set_len(end).during("cutting", &path)?;
    }
    file.sync().during("flushing", &path)?;
    if length == 0 || change.before.length == 0 {
        names.changed(&path);
    }
    Ok(end)
}

/// Returns whether an interrupted run already replaced the open file by a sealed one, which has these entries too: the
/// journal seals the log later.
fn was_sealed(writable: &dyn WritableFiles, log: &LogKey, change: &LogChange<'_>) -> Result<bool> {
    let (open, sealed) = (layout::open_log(log), layout::sealed_log(log));
    if !matches!(writable.open(&open), Err(error) if error.kind() == ErrorKind::NotFound) {
        return Ok(false);
    }
    let Ok(file) = writable.open(&sealed) else { return Ok(false) };
    let archive = Archive::open(&*file).during("reading", &sealed)?;
    Ok(archive.is_some_and(|archive| archive.length >= change.after.length))
}

/// Writes the file of a sealed log and lets the open one be removed. What cannot be read stays as it is, in the open
/// file.
fn write_sealed(
    writable: &dyn WritableFiles,
    log: &LogKey,
    change: &LogChange<'_>,
    names: &mut NameChanges,
) -> Result<u64> {
    let (open_path, path) = (layout::open_log(log), layout::sealed_log(log));
    let is_whole = match writable.open(&path) {
        Ok(file) => {
            let archive = Archive::open(&*file).during("reading", &path)?;
            archive.is_some_and(|archive| !foreign_file::has_archive(&archive, &change.after))
        }
        Err(_) => false,
    };
    if !is_whole {
        let Some(archive) = compress(writable, log, change)? else { return write_open(writable, log, change, names) };
        make_folder(writable, &path)?;
        quarantine::put_if_there(writable, &path)?;
        writable.replace(&path, &archive).during("writing", &path)?;
    }
    names.changed(&path);
    names.going.push((FileItem::Log(log.clone()), open_path));
    Ok(0)
}

/// Compresses a log; `None` if an entry cannot be read.
fn compress(writable: &dyn WritableFiles, log: &LogKey, change: &LogChange<'_>) -> Result<Option<Vec<u8>>> {
    let LogChange { before, entries, .. } = change;
    let path = layout::open_log(log);
    // Where commits were given up, entries are missing.
    if (before.length..).zip(entries).any(|(position, entry)| entry.position != position) {
        return Ok(None);
    }
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
    if before.length > 0 {
        let file = match writable.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound || is_of_the_file(&error) => return Ok(None),
            Err(error) => return Err(error).during("opening", &path),
        };
        refuse_foreign(&*file, log, before)?;
        let lines = LineSearch { file: &*file, bytes: start..before.bytes };
        let mut each = |line: &[u8]| {
            let entry = lines::read(line).filter(|entry| entry.position == next);
            next += u64::from(entry.is_some());
            entry.is_some_and(|entry| push(&entry)) && next < before.length
        };
        lines.forward(start, &mut each).during("reading", &path)?;
    }
    if next == before.length {
        entries.iter().all(|entry| push(entry));
    }
    failed.during("compressing", &path)?;
    if next < before.length { Ok(None) } else { archive.finish().during("compressing", &path).map(Some) }
}

/// Prevents writing entries of one log to the file of another.
fn refuse_foreign(file: &dyn ReadableFile, log: &LogKey, slot: &LogSlot) -> Result<()> {
    let path = layout::open_log(log);
    match foreign_file::has_lines(file, log, slot).during("reading", &path)? {
        true => Err(Error::corrupt(format!("{log}, `{}`: {}", path.display(), foreign_file::BELONGS_ELSEWHERE))),
        false => Ok(()),
    }
}

/// Removes the files of a removed log; those that cannot be read, or belong to another log, are put aside.
fn remove_log(writable: &dyn WritableFiles, log: &LogKey, slot: &LogSlot, names: &mut NameChanges) -> Result<()> {
    for path in [layout::open_log(log), layout::sealed_log(log)] {
        let file = match writable.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                quarantine::put(writable, &path)?;
                continue;
            }
            Err(error) => return Err(error).during("opening", &path),
        };
        let is_open = path.extension().is_some_and(|extension| extension == "jsonl");
        let is_whole = if is_open { is_readable(log, &*file, slot) } else { is_archive(&*file) };
        match is_whole.during("reading", &path)? {
            true => names.going.push((FileItem::Log(log.clone()), path)),
            false => _ = quarantine::put(writable, &path)?,
        }
    }
    Ok(())
}

fn is_readable(log: &LogKey, file: &dyn ReadableFile, slot: &LogSlot) -> std::io::Result<bool> {
    if foreign_file::has_lines(file, log, slot)? {
        return Ok(false);
    }
    let start = lines::heading(log).len() as u64;
    let end = file.len()?;
    let mut whole = true;
    LineSearch { file, bytes: start..end.max(start) }.forward(start, &mut |line| {
        whole = lines::read(line).is_some();
        whole
    })?;
    Ok(whole)
}

fn is_archive(file: &dyn ReadableFile) -> std::io::Result<bool> {
    let Some(archive) = Archive::open(file)? else { return Ok(false) };
    for piece in 0..archive.pieces() {
        if archive.read(file, piece)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
