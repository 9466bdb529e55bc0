//! Determining what the files hold from the files themselves, when the catalog is missing, stale or damaged.
//!
//! The files may hold more than the mark says that is determined here: a run that was interrupted, or is being applied.
//! That is harmless, because the journal has what comes after the mark, and readers take it from there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nofx_core::{Error, LogKey, LogState, RecordKey, Result, Seq, StoreId, Timestamp};
use nofx_journal::base::Mark;
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::files::{Files, ReadableFile};
use nofx_journal::segment::{HEADER_BYTES, NextFrame, Segment};
use nofx_journal::tip::Tip;

use crate::archive::{self, Archive};
use crate::document::{self, Said};
use crate::index;
use crate::layout::{self, FileMeaning};
use crate::lines::{self, LineSearch};
use crate::listed::{Listed, LogSlot, RecordSlot};

/// How often everything is read again if other processes changed it.
const TRIES: usize = 20;
/// The pause between two such attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// Reads every file.
pub(crate) fn rebuild(files: &dyn Files, store: StoreId, root: &Path) -> Result<Listed> {
    for _ in 0..TRIES {
        let before = held(files, store)?;
        let mut listed = Listed::default();
        walk(files, &mut |path, _| {
            if let Some(named) = layout::named(path) {
                take(files, &mut listed, path, named)?;
            }
            Ok(())
        })?;
        index::complete(&mut listed, index::read(files)?);
        let newest = listed.records.values().filter(|slot| !slot.damaged).map(|slot| slot.version).max();
        // What was applied in between may have been read too early or too late.
        if held(files, store)? == before {
            listed.mark = Mark { last_seq: before.last_seq.max(newest), ..before };
            return Ok(listed);
        }
        thread::sleep(PAUSE);
    }
    Err(Error::unavailable(format!("reading `{}`: its files kept changing", root.display())))
}

/// Returns up to where the files are known to hold everything: the tip says so, or the journal no longer has it.
fn held(files: &dyn Files, store: StoreId) -> Result<Mark> {
    let tip = files.open(Path::new(layout::TIP)).ok().and_then(|file| Tip::read(&*file).ok().flatten());
    let applied = tip.map_or(0, |tip| tip.applied);
    let mut mark = Mark::default();
    let segments = Segment::newest_run(files, &layout::AT, store)?;
    for (number, segment) in segments.iter().enumerate() {
        let header = &segment.header;
        if number > 0 && header.start.frame > applied {
            break;
        }
        let Mark { last_seq, .. } = mark;
        let start = header.start;
        mark = Mark { frame: start.frame, chain: start.chain, commits: start.commits, last_seq, is_complete: false };
        mark.last_seq = last_seq.max(header.last_seq);
        let mut at = start;
        while at.frame < applied
            && let NextFrame::Group(commits, after) = segment.read(&at).during("reading", &segment.path)?
        {
            (mark, at) = (mark.after(&commits, &after), after);
        }
        if at.frame < applied {
            // Behind damage: the frame itself may still be there.
            let whole = segment.whole_groups(HEADER_BYTES).during("reading", &segment.path)?;
            if let Some(frame) = whole.iter().find(|frame| frame.number == applied) {
                (mark.frame, mark.chain) = (applied, frame.checksum);
            }
        }
    }
    match tip {
        Some(Tip { durable, applied, .. }) if mark.frame < applied && durable.frame == applied => {
            Ok(Mark { frame: applied, chain: durable.chain, commits: durable.commits, ..mark })
        }
        _ => Ok(mark),
    }
}

/// Visits every file in the folders of records and logs.
pub(crate) fn walk(files: &dyn Files, visit: &mut dyn FnMut(&Path, &str) -> Result<()>) -> Result<()> {
    let mut folders: Vec<PathBuf> = layout::folders().map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        for entry in files.list(&folder).during("listing", &folder)? {
            let path = folder.join(&entry.name);
            match entry.is_dir {
                true => folders.push(path),
                false => visit(&path, &entry.name)?,
            }
        }
    }
    Ok(())
}

fn take(files: &dyn Files, listed: &mut Listed, path: &Path, named: FileMeaning) -> Result<()> {
    match named {
        FileMeaning::Record(kind, id) => {
            let in_name = id.and_then(|id| RecordKey::new(kind, id).ok());
            // If a record cannot be read, it is damaged if its file name contains the id; otherwise it is unknown.
            let slot = match files.read(path) {
                Ok(bytes) => read_record(path, &bytes.unwrap_or_default(), in_name.as_ref()),
                Err(error) if is_of_the_file(&error) => None,
                Err(error) => return Err(error).during("reading", path),
            };
            let damaged = || Some((in_name?, RecordSlot { version: Seq::FIRST, body: None, damaged: true }));
            listed.records.extend(slot.or_else(damaged));
        }
        FileMeaning::Open(kind, id) => {
            let Some(file) = open(files, path)? else { return Ok(()) };
            let Some(log) = name_log(&*file, kind, id).during("reading", path)? else { return Ok(()) };
            let slot = measure(&*file, &log).during("reading", path)?;
            // A sealed file of the same log was finished before this one could be removed.
            listed.logs.entry(log).or_insert(slot);
        }
        FileMeaning::Sealed(kind, id) => {
            let Some(file) = open(files, path)? else { return Ok(()) };
            let archive = Archive::open(&*file).during("reading", path)?;
            let in_name = id.and_then(|id| LogKey::new(kind, id).ok());
            let heading = || -> Result<Option<LogKey>> {
                let Some(archive) = &archive else { return Ok(None) };
                let piece = archive.read(&*file, 0).during("reading", path)?.unwrap_or_default();
                Ok(piece.split(|byte| *byte == b'\n').next().and_then(lines::read_heading))
            };
            let Some(log) = in_name.map_or_else(heading, |log| Ok(Some(log)))? else { return Ok(()) };
            let counted = match &archive {
                Some(archive) => Some((archive.length, archive.last_at)),
                // All its lines may still be there.
                None => count(&log, &file.read_range(0, u64::MAX).during("reading", path)?),
            };
            let is_unknown = counted.is_none();
            let (length, last_at) = counted.unwrap_or_default();
            listed.logs.insert(log, LogSlot { state: LogState::Sealed, length, last_at, bytes: 0, is_unknown });
        }
    }
    Ok(())
}

/// Counts the entries of a sealed log with a damaged table, and returns the time of the last; `None` if not all can be
/// read.
fn count(log: &LogKey, bytes: &[u8]) -> Option<(u64, Option<Timestamp>)> {
    // A file that was truncated between two pieces ends without a table.
    let (plain, true) = archive::all_lines(bytes)? else { return None };
    let (mut length, mut last_at) = (0, None);
    for line in plain.strip_prefix(lines::heading(log).as_slice())?.split_inclusive(|byte| *byte == b'\n') {
        let entry = lines::read(line.strip_suffix(b"\n")?).filter(|entry| entry.position == length)?;
        (length, last_at) = (length + 1, Some(entry.at));
    }
    Some((length, last_at))
}

/// Opens a file; `None` if it was just removed, or is not a file that can be opened, such as a symbolic link.
fn open(files: &dyn Files, path: &Path) -> Result<Option<std::sync::Arc<dyn ReadableFile>>> {
    match files.open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        opened => opened.map(Some).during("opening", path),
    }
}

fn read_record(path: &Path, bytes: &[u8], in_name: Option<&RecordKey>) -> Option<(RecordKey, RecordSlot)> {
    let Ok(Said::Record(key, version, Some(_))) = document::read(std::str::from_utf8(bytes).ok()?) else { return None };
    let in_place = layout::record(&key) == path && in_name.is_none_or(|named| *named == key);
    in_place.then_some((key, RecordSlot { version, body: None, damaged: false }))
}

fn name_log(file: &dyn ReadableFile, kind: nofx_core::Kind, id: Option<String>) -> std::io::Result<Option<LogKey>> {
    if let Some(id) = id {
        return Ok(LogKey::new(kind, id).ok());
    }
    let mut named = None;
    LineSearch { file, bytes: 0..file.len()? }.forward(0, &mut |line| {
        named = lines::read_heading(line);
        false
    })?;
    Ok(named)
}

/// Finds the last good line. What follows it was never durable, or is damaged.
fn measure(file: &dyn ReadableFile, log: &LogKey) -> std::io::Result<LogSlot> {
    let start = lines::heading(log).len() as u64;
    let end = file.len()?.max(start);
    let lines = LineSearch { file, bytes: start..end };
    let mut last = None;
    lines.backward(end, &mut |line| {
        last = lines::read(line);
        last.is_none()
    })?;
    let missing = LogSlot::missing(log);
    let Some(entry) = last else { return Ok(missing) };
    let bytes = lines.find(entry.position)? + lines::length(&entry);
    let length = entry.position + 1;
    Ok(LogSlot { length, last_at: Some(entry.at), bytes, ..missing })
}
