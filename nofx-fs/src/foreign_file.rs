//! Recognises that the file in a log's place belongs to another log, although nothing in it is damaged.
//!
//! No line names its log. But what is known of a log, the end and the time of its last line, matches no other.

use std::io;

use nofx_core::{LogKey, LogState};
use nofx_journal::files::ReadableFile;

use crate::archive::Archive;
use crate::lines::{self, LineSearch};
use crate::listed::LogSlot;

/// The error text for a log whose file belongs to another.
pub(crate) const BELONGS_ELSEWHERE: &str =
    "it is intact, but it belongs to another log or is an older file of this log";

/// How much of the end of a file is read first.
const TAIL_BYTES: u64 = 4096;

/// Returns whether a file has intact lines where the last line of a log should be, which do not belong to that log.
///
/// Damage or truncation there proves nothing.
pub(crate) fn has_lines(file: &dyn ReadableFile, log: &LogKey, slot: &LogSlot) -> io::Result<bool> {
    let Some(last) = slot.length.checked_sub(1) else { return Ok(false) };
    let length = file.len()?;
    let start = lines::heading(log).len() as u64;
    if length < slot.bytes {
        // A truncated file may end anywhere. One that ends with a whole line is another file, or was another once.
        return Ok(length > start && line_before(file, start, length)?.is_some_and(|line| is_whole(&line)));
    }
    let Some(line) = line_before(file, start, slot.bytes)? else { return Ok(false) };
    if line.ends_with(b"\n") {
        let entry = line.strip_suffix(b"\n").and_then(lines::read);
        return Ok(entry.is_some_and(|entry| entry.position != last || slot.last_at.is_some_and(|at| entry.at != at)));
    }
    // A line of another file may extend across the end of this log.
    let from = slot.bytes - line.len() as u64;
    let mut goes_on = false;
    LineSearch { file, bytes: start..length }.forward(from, &mut |line| {
        goes_on = from + line.len() as u64 >= slot.bytes && lines::read(line).is_some();
        false
    })?;
    Ok(goes_on)
}

/// Returns whether a sealed log is a different one.
pub(crate) fn has_archive(archive: &Archive, slot: &LogSlot) -> bool {
    slot.state == LogState::Sealed && (archive.length, archive.last_at) != (slot.length, slot.last_at)
}

fn is_whole(line: &[u8]) -> bool {
    line.strip_suffix(b"\n").and_then(lines::read).is_some()
}

/// Returns the bytes between the last line break before byte `end - 1` and `end`.
fn line_before(file: &dyn ReadableFile, start: u64, end: u64) -> io::Result<Option<Vec<u8>>> {
    let mut room = TAIL_BYTES;
    loop {
        let from = end.saturating_sub(room).max(start);
        let bytes = file.read_range(from, end)?;
        let Some(before) = bytes.len().checked_sub(1) else { return Ok(None) };
        let found = bytes.iter().take(before).rposition(|byte| *byte == b'\n');
        if found.is_some() || from == start {
            return Ok(bytes.get(found.map_or(0, |at| at + 1)..).map(<[u8]>::to_vec));
        }
        room *= 16;
    }
}
