//! The file that index kinds share: a line for each change of one of their records, and for each removed log.
//!
//! The last line of a key counts. The catalog holds the same records; this file is for people, and to rebuild a lost
//! catalog.

use std::collections::HashMap;
use std::path::Path;

use nofx_core::{Error, LogKey, LogState, RecordKey, Result};
use nofx_journal::fault::During;
use nofx_journal::files::{Files, WritableFiles};
use nofx_journal::quarantine;

use crate::document::{self, Said};
use crate::layout;
use crate::listed::{Listed, LogSlot, RecordSlot};

/// Obsolete lines are dropped when they exceed this and the size of the others.
const WORN_BYTES: u64 = 1 << 18;

/// The content of the file.
#[derive(Debug, Default)]
pub(crate) struct IndexFile {
    pub(crate) records: HashMap<RecordKey, RecordSlot>,
    pub(crate) removed: Vec<LogKey>,
    /// The end of the last good line.
    pub(crate) end: u64,
    /// The numbers of damaged lines before that, from one.
    pub(crate) damaged: Vec<usize>,
    /// Whether something follows the last good line.
    pub(crate) has_rest: bool,
}

/// Reads the file.
pub(crate) fn read(files: &dyn Files) -> Result<IndexFile> {
    let path = Path::new(layout::INDEX);
    let bytes = files.read(path).during("reading", path)?.unwrap_or_default();
    let (mut index, mut at, mut unsure) = (IndexFile::default(), 0, Vec::new());
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        at += line.len() as u64;
        let said = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok()).map(document::read);
        match said {
            Some(Ok(Said::Record(key, version, Some(body)))) => {
                index.records.insert(key, RecordSlot { version, body: Some(body), damaged: false });
            }
            Some(Ok(Said::Record(key, _, None))) => _ = index.records.remove(&key),
            Some(Ok(Said::Removed(log))) => index.removed.push(log),
            // Damaged if a good line follows; otherwise it may never have been durable.
            Some(Err(_)) | None => {
                unsure.push(number);
                continue;
            }
        }
        index.end = at;
        index.damaged.append(&mut unsure);
    }
    index.has_rest = !unsure.is_empty();
    Ok(index)
}

/// Adds the records of index kinds and the removed logs to what was found in other files.
pub(crate) fn complete(listed: &mut Listed, index: IndexFile) {
    listed.records.extend(index.records);
    listed.logs.extend(index.removed.into_iter().map(|log| (log, LogSlot::REMOVED)));
}

/// Writes lines at `end`, durably, and returns where they end.
pub(crate) fn append(writable: &dyn WritableFiles, end: u64, lines: &str) -> Result<u64> {
    let path = Path::new(layout::INDEX);
    let file = writable.edit(path).during("opening", path)?;
    let after = end + lines.len() as u64;
    file.write_at(lines.as_bytes(), end).during("writing", path)?;
    if file.len().during("measuring", path)? > after {
        file.set_len(after).during("cutting", path)?;
    }
    file.sync().during("flushing", path)?;
    Ok(after)
}

/// Rewrites the whole file. An unreadable one is first put aside. The new file's name is not durable yet.
pub(crate) fn renew(writable: &dyn WritableFiles, lines: &str) -> Result<()> {
    let path = Path::new(layout::INDEX);
    let is_readable = match read(writable) {
        Ok(found) => found.damaged.is_empty() && !found.has_rest,
        // A symbolic link, or a folder.
        Err(Error::Corrupt(_)) => false,
        Err(error) => return Err(error),
    };
    if !is_readable {
        quarantine::put(writable, path)?;
    }
    // The catalog contains the length of this file, and would be wrong if the power failed before it is rewritten.
    let catalog = Path::new(layout::CATALOG);
    writable.remove(catalog).during("removing", catalog)?;
    writable.sync_dir(Path::new("")).during("flushing", Path::new("."))?;
    writable.replace(path, lines.as_bytes()).during("writing", path)
}

/// Returns whether the file should be rewritten, given its length and that of the lines that still count.
pub(crate) fn is_worn(end: u64, live: u64) -> bool {
    end.saturating_sub(live) > WORN_BYTES.max(live)
}

/// Formats everything that still counts.
pub(crate) fn live_lines(listed: &Listed) -> String {
    let records = listed.records.iter().filter(|(key, slot)| layout::is_index(key.kind()) && !slot.damaged);
    let records = records.map(|(key, slot)| document::to_line(key, slot.version, slot.body.as_ref()));
    let removed = listed.logs.iter().filter(|(_, slot)| slot.state == LogState::Removed);
    records.chain(removed.map(|(log, _)| document::removed_line(log))).collect()
}
