//! An open log: a file with a line for each entry, in position order.
//!
//! A line is `{"position":0,"at":"2025-09-08T14:21:17.345Z","checksum":"1a2b3c4d","body":…}`. If a log's name does not
//! contain its id, the file begins with a line that does. Nothing else is needed to find a position: lines are found by
//! bisection.

use std::io;
use std::ops::Range;

use nofx_core::{Body, LogEntry, LogKey, Timestamp, json};
use nofx_journal::escape::is_long;
use nofx_journal::files::ReadableFile;

use crate::layout;

/// How much is read at once.
const BLOCK: u64 = 1 << 16;

/// Returns the heading of a log: empty, unless the file name does not contain the id.
pub(crate) fn heading(log: &LogKey) -> Vec<u8> {
    match is_long(log.id()) {
        true => format!("{{\"log\":\"{}\",\"id\":{}}}\n", log.kind(), json::quote(log.id())).into_bytes(),
        false => Vec::new(),
    }
}

/// Parses the line that a log's file may begin with.
pub(crate) fn read_heading(line: &[u8]) -> Option<LogKey> {
    let text = std::str::from_utf8(line).ok()?;
    let (mut kind, mut id) = (None, None);
    for member in json::members(text) {
        let (name, value) = member.ok()?;
        let value = json::Text::from_json(value)?;
        match name {
            "\"log\"" => kind = value.as_str().and_then(layout::kind),
            "\"id\"" => id = value.as_str().map(str::to_owned),
            _ => return None,
        }
    }
    LogKey::new(kind?, id?).ok()
}

/// Writes the line of an entry.
pub(crate) fn write(entry: &LogEntry, out: &mut Vec<u8>) {
    head(entry, out);
    let text = entry.body.as_str();
    // Compact JSON has no line break. A text with one is not a valid body, but must be preserved all the same.
    if text.contains('\n') {
        out.extend_from_slice(b",\"text\":");
        out.extend_from_slice(json::quote(text).as_bytes());
    } else {
        out.extend_from_slice(b",\"body\":");
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

/// Returns the length of an entry's line.
pub(crate) fn length(entry: &LogEntry) -> u64 {
    let mut line = Vec::with_capacity(100);
    head(entry, &mut line);
    let text = entry.body.as_str();
    let value = if text.contains('\n') { json::quote(text).len() } else { text.len() };
    (line.len() + ",\"body\":}\n".len() + value) as u64
}

fn head(entry: &LogEntry, out: &mut Vec<u8>) {
    let (position, millis) = (entry.position, entry.at.as_millis());
    let spelled = entry.at.to_string();
    let checksum = checksum(position, entry.at, entry.body.as_str());
    // A year that this notation cannot express is written as milliseconds.
    let head = match Timestamp::parse(&spelled) == Some(entry.at) {
        true => format!("{{\"position\":{position},\"at\":\"{spelled}\",\"checksum\":\"{checksum:08x}\""),
        false => format!("{{\"position\":{position},\"at\":{millis},\"checksum\":\"{checksum:08x}\""),
    };
    out.extend_from_slice(head.as_bytes());
}

/// Parses a line without its end; `None` if it is not what was written.
pub(crate) fn read(line: &[u8]) -> Option<LogEntry> {
    let text = std::str::from_utf8(line).ok()?;
    let (position, rest) = text.strip_prefix("{\"position\":")?.split_once(",\"at\":")?;
    let (at, rest) = rest.split_once(",\"checksum\":\"")?;
    let (found, rest) = rest.split_once("\",")?;
    let rest = rest.strip_suffix('}')?;
    let body = match rest.strip_prefix("\"body\":") {
        Some(body) => Body::trusted(body),
        None => Body::trusted(json::Text::from_json(rest.strip_prefix("\"text\":")?)?.as_str()?),
    };
    let position: u64 = position.parse().ok()?;
    let at = match at.strip_prefix('"') {
        Some(spelled) => Timestamp::parse(spelled.strip_suffix('"')?)?,
        None => Timestamp::from_millis(at.parse().ok()?),
    };
    let fits = u32::from_str_radix(found, 16).ok()? == checksum(position, at, body.as_str());
    fits.then_some(LogEntry { position, at, body })
}

fn checksum(position: u64, at: Timestamp, text: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_le_bytes());
    hasher.update(&at.as_millis().to_le_bytes());
    hasher.update(text.as_bytes());
    hasher.finalize()
}

/// Parses the position from the beginning of a line.
fn position(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"position\":")?.split(|byte| *byte == b',').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The part of a file in which lines are searched.
#[derive(Clone, Debug)]
pub(crate) struct LineSearch<'a> {
    pub(crate) file: &'a dyn ReadableFile,
    /// From the end of the heading to the end of the last line.
    pub(crate) bytes: Range<u64>,
}

impl LineSearch<'_> {
    /// Returns where the line of a position begins, or that of the next position found.
    pub(crate) fn find(&self, wanted: u64) -> io::Result<u64> {
        // The wanted line begins at or after `low`, and not after `high`.
        let (mut low, mut high) = (self.bytes.start, self.bytes.end);
        while high - low > BLOCK {
            let middle = low + (high - low) / 2;
            match self.readable_after(middle, high)? {
                Some((start, found)) if found <= wanted => low = start,
                _ => high = middle,
            }
        }
        let mut at = low;
        self.forward(low, &mut |line| {
            let before = position(line).is_none_or(|found| found < wanted);
            at += if before { line.len() as u64 + 1 } else { 0 };
            before
        })?;
        Ok(at)
    }

    /// Returns where the line of a position begins or should begin: at the end of the previous line, whatever follows
    /// that.
    pub(crate) fn start_of(&self, wanted: u64) -> io::Result<u64> {
        let Some(before) = wanted.checked_sub(1) else { return Ok(self.bytes.start) };
        let at = self.find(before)?;
        let mut entry = None;
        self.forward(at, &mut |line| {
            entry = read(line);
            false
        })?;
        match entry.filter(|entry| entry.position == before) {
            Some(entry) => Ok(at + length(&entry)),
            None => self.find(wanted),
        }
    }

    /// Returns the first line that begins after `from` and before `to` and has a readable position.
    fn readable_after(&self, from: u64, to: u64) -> io::Result<Option<(u64, u64)>> {
        let mut at = from;
        while let Some(end) = self.line_end(at, to)? {
            at = end + 1;
            let mut start = [0; 40];
            let count = self.file.read_full(&mut start, at)?;
            if at < to
                && let Some(found) = start.get(..count).and_then(position)
            {
                return Ok(Some((at, found)));
            }
        }
        Ok(None)
    }

    /// Returns the offset of the next line break.
    fn line_end(&self, from: u64, to: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at < to {
            let block = self.file.read_range(at, to.min(at + BLOCK))?;
            if block.is_empty() {
                break;
            }
            if let Some(found) = block.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(at + found as u64));
            }
            at += block.len() as u64;
        }
        Ok(None)
    }

    /// Passes each line from `from` on, without its end, to `each` until that returns `false`. What follows the last
    /// line end counts as a line too.
    pub(crate) fn forward(&self, from: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        let (mut at, mut kept) = (from, Vec::new());
        while at < self.bytes.end {
            let block = self.file.read_range(at, self.bytes.end.min(at + BLOCK))?;
            if block.is_empty() {
                break;
            }
            at += block.len() as u64;
            let mut rest = block.as_slice();
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (line, after) = rest.split_at(end);
                kept.extend_from_slice(line);
                if !each(&kept) {
                    return Ok(());
                }
                kept.clear();
                rest = after.get(1..).unwrap_or_default();
            }
            kept.extend_from_slice(rest);
        }
        if !kept.is_empty() {
            each(&kept);
        }
        Ok(())
    }

    /// Passes each line that ends before `to`, without its end and the last one first, to `each` until that returns
    /// `false`.
    pub(crate) fn backward(&self, to: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        // The bytes of lines not passed on yet, the first of which may begin before `at`.
        let (mut at, mut kept) = (to, Vec::new());
        while at > self.bytes.start {
            let from = at.saturating_sub(BLOCK.max(kept.len() as u64)).max(self.bytes.start);
            let mut block = self.file.read_range(from, at)?;
            // A file that is too short has zeros where the lines should be.
            block.resize(usize::try_from(at - from).unwrap_or_default(), 0);
            block.append(&mut kept);
            at = from;
            while let Some(before) = block.len().checked_sub(1) {
                let start = match block.iter().take(before).rposition(|byte| *byte == b'\n') {
                    Some(end) => end + 1,
                    None if at == self.bytes.start => 0,
                    None => break,
                };
                let line = block.get(start..).unwrap_or_default();
                if !each(line.strip_suffix(b"\n").unwrap_or(line)) {
                    return Ok(());
                }
                block.truncate(start);
            }
            kept = block;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nofx_core::Kind;

    use super::*;
    use nofx_journal::files::{Disk, WritableFiles};

    fn entry(position: u64, body: &str) -> LogEntry {
        LogEntry { position, at: Timestamp::from_millis(1_757_341_277_345), body: Body::trusted(body) }
    }

    #[test]
    fn lines_come_back_and_their_length_is_known() {
        for millis in [0, -1, 1_757_341_277_345, 253_402_300_800_000, i64::MIN, i64::MAX] {
            for body in ["{\"a\":\"},\\\"body\\\":\"}", "1", "no\njson", "{ }"] {
                let at = Timestamp::from_millis(millis);
                let entry = LogEntry { position: 7, at, body: Body::trusted(body) };
                let mut line = Vec::new();
                write(&entry, &mut line);
                assert_eq!(line.len() as u64, length(&entry));
                let line = line.strip_suffix(b"\n").unwrap();
                assert!(!line.contains(&b'\n'));
                assert_eq!(read(line), Some(entry));
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_a_line_is_noticed() {
        let mut line = Vec::new();
        write(&entry(12, "{\"a\":1}"), &mut line);
        line.pop();
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut flipped = line.clone();
                flipped[at] ^= 1 << bit;
                let found = read(&flipped);
                // The checksum's own digits may change their case.
                assert!(found.is_none() || found == Some(entry(12, "{\"a\":1}")), "byte {at}");
            }
        }
    }

    #[test]
    fn a_heading_holds_a_long_id() {
        let long = LogKey::new(Kind::of("talk"), "ü".repeat(256)).unwrap();
        let line = heading(&long);
        assert_eq!(read_heading(line.strip_suffix(b"\n").unwrap()), Some(long));
        assert!(heading(&LogKey::new(Kind::of("talk"), "short").unwrap()).is_empty());
    }

    #[test]
    fn positions_are_found_and_lines_given_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let file = Disk::new(dir.path()).edit(Path::new("log")).unwrap();
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        for position in 0..5000 {
            starts.push(text.len() as u64);
            let size = if position % 1000 == 7 { 200_000 } else { position as usize % 90 };
            write(&entry(position, &format!("\"{}\"", "x".repeat(size))), &mut text);
        }
        file.write_at(&text, 0).unwrap();
        let lines = LineSearch { file: &*file, bytes: 0..text.len() as u64 };
        for position in (0..5000).step_by(37).chain([0, 1006, 1007, 1008, 4999]) {
            assert_eq!(lines.find(position).unwrap(), starts[position as usize], "{position}");
        }
        assert_eq!(lines.find(5000).unwrap(), text.len() as u64);
        let mut found = Vec::new();
        lines
            .forward(starts[10], &mut |line| {
                found.push(read(line).unwrap().position);
                true
            })
            .unwrap();
        assert_eq!(found, (10..5000).collect::<Vec<_>>());
        found.clear();
        lines
            .backward(starts[4990], &mut |line| {
                found.push(read(line).unwrap().position);
                true
            })
            .unwrap();
        assert_eq!(found, (0..4990).rev().collect::<Vec<_>>());
    }
}
