//! Intact documents and logs that the store does not list: they arrived late, or their record was given up before.

use std::io;
use std::path::Path;

use nofx_core::{Batch, BatchId, Body, Expect, LogEntry, LogKey, NewEntry, RecordKey, Result};
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::files::{Files, ReadableFile};

use crate::LIMITS;
use crate::archive::Archive;
use crate::document::{self, Said};
use crate::layout::{self, FileMeaning};
use crate::lines;
use crate::store::Keys;

/// An intact record or log that is not listed.
#[derive(Debug)]
pub(crate) enum Stray {
    Record(RecordKey, Body),
    Log(LogKey, Vec<LogEntry>, bool),
}

impl Stray {
    /// Reads the file of a record or a log that a store does not list. `None` if it lists it, or if the file is not
    /// intact.
    pub(crate) fn read(files: &dyn Files, keys: &Keys, path: &Path) -> Result<Option<Self>> {
        let read = match layout::named(path) {
            Some(FileMeaning::Record(..)) => record(files, keys, path),
            Some(FileMeaning::Open(kind, id)) => {
                log(files, keys, path, id.and_then(|id| LogKey::new(kind, id).ok()), false)
            }
            Some(FileMeaning::Sealed(kind, id)) => {
                log(files, keys, path, id.and_then(|id| LogKey::new(kind, id).ok()), true)
            }
            None => Ok(None),
        };
        match read {
            Err(error) if is_of_the_file(&error) || error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.during("reading", path),
        }
    }

    /// Builds the batches that list it again. They change nothing if any of it is listed by then.
    pub(crate) fn batches(self, mut id: impl FnMut() -> BatchId) -> Vec<Batch> {
        let (log, entries, is_sealed) = match self {
            Self::Record(key, body) => return vec![Batch::new(id()).put(key, Expect::Absent, body)],
            Self::Log(log, entries, is_sealed) => (log, entries, is_sealed),
        };
        let mut batches = Vec::new();
        let mut rest = entries.into_iter().peekable();
        while let Some(first) = rest.peek().map(|entry| entry.position) {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while let Some(entry) = rest.next_if(|entry| {
                part.is_empty() || bytes + entry.body.len() <= LIMITS.batch_bytes && part.len() < LIMITS.batch_items
            }) {
                bytes += entry.body.len();
                part.push(NewEntry { at: entry.at, body: entry.body });
            }
            batches.push(Batch::new(id()).append_at(log.clone(), first, part));
        }
        if is_sealed {
            batches.push(Batch::new(id()).seal(log));
        }
        batches
    }

    /// Returns a description of it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Record(key, _) => key.to_string(),
            Self::Log(log, entries, _) => format!("{log} with {} entries", entries.len()),
        }
    }
}

fn record(files: &dyn Files, keys: &Keys, path: &Path) -> io::Result<Option<Stray>> {
    let bytes = files.read(path)?.unwrap_or_default();
    let Some(Ok(Said::Record(key, _, Some(body)))) = std::str::from_utf8(&bytes).ok().map(document::read) else {
        return Ok(None);
    };
    // A deletion counts even if the files do not reflect it yet.
    Ok((!keys.has_record(&key) && layout::record(&key) == path).then_some(Stray::Record(key, body)))
}

fn log(
    files: &dyn Files,
    keys: &Keys,
    path: &Path,
    in_name: Option<LogKey>,
    is_sealed: bool,
) -> io::Result<Option<Stray>> {
    if in_name.as_ref().is_some_and(|log| keys.has_log(log)) {
        return Ok(None);
    }
    let file = files.open(path)?;
    let Some(plain) = plain(&*file, is_sealed)? else { return Ok(None) };
    let head = plain.split(|byte| *byte == b'\n').next().and_then(lines::read_heading);
    let Some(log) = in_name.or(head).filter(|log| !keys.has_log(log)) else { return Ok(None) };
    let named = if is_sealed { layout::sealed_log(&log) } else { layout::open_log(&log) };
    let Some(text) = plain.strip_prefix(lines::heading(&log).as_slice()).filter(|_| named == path) else {
        return Ok(None);
    };
    let entries: Option<Vec<_>> = (0..)
        .zip(text.split_inclusive(|byte| *byte == b'\n'))
        .map(|(position, line)| lines::read(line.strip_suffix(b"\n")?).filter(|entry| entry.position == position))
        .collect();
    Ok(entries.map(|entries| Stray::Log(log, entries, is_sealed)))
}

/// Returns the lines of a log; `None` if a piece of a sealed log is damaged.
fn plain(file: &dyn ReadableFile, is_sealed: bool) -> io::Result<Option<Vec<u8>>> {
    if !is_sealed {
        return file.read_range(0, u64::MAX).map(Some);
    }
    let Some(archive) = Archive::open(file)? else { return Ok(None) };
    let mut plain = Vec::new();
    for piece in 0..archive.pieces() {
        match archive.read(file, piece)? {
            Some(lines) => plain.extend(lines),
            None => return Ok(None),
        }
    }
    Ok(Some(plain))
}
