//! Reads the lines of a full dump and validates everything that a line allows to validate.

use std::io::{BufRead, Read};

use nofx_core::json::{Object, Text};
use nofx_core::{Body, Kind, LogKey, LogState, NewEntry, RecordKey, Timestamp};

use super::full::{Counts, FIRST_LINE, FullDump, entry_line, last_line, log_line, record_line};
use super::load::LoadError;
use crate::digest::{Running, hex};

/// The longest line that is read. No backend accepts a body of this size.
const MAX_LINE_BYTES: u64 = 64 << 20;

type Result<T, E = LoadError> = std::result::Result<T, E>;

/// The content of a line.
#[derive(Debug)]
pub(super) enum Item {
    Record(RecordKey, Body),
    Log(LogKey, LogState, u64),
    Entry(u64, NewEntry),
}

/// Reads items up to the dump's own last line, and nothing after it.
pub(super) struct Lines<'a, R> {
    input: &'a mut R,
    number: u64,
    digest: Running,
    counts: Counts,
    last_record: Option<RecordKey>,
    last_log: Option<LogKey>,
    /// The next position in the log that is being read, and its length.
    entries: (u64, u64),
}

/// A step through the dump.
pub(super) enum Step {
    Item(Item),
    /// The last line, which agrees with everything before it.
    End(FullDump),
}

impl<'a, R: BufRead> Lines<'a, R> {
    /// Starts to read; the first line must be that of a full dump.
    pub(super) fn new(input: &'a mut R) -> Result<Self> {
        let mut lines = Self {
            input,
            number: 0,
            digest: Running::default(),
            counts: Counts::default(),
            last_record: None,
            last_log: None,
            entries: (0, 0),
        };
        // Not a whole line: what is not a dump may have no line ends.
        let mut start = Vec::new();
        lines.number = 1;
        lines.input.take(FIRST_LINE.len() as u64).read_to_end(&mut start).map_err(|error| lines.unreadable(error))?;
        if start != FIRST_LINE.as_bytes() {
            return Err(lines.damaged("is not the first line of a full dump of version 1"));
        }
        lines.digest.add(&start);
        Ok(lines)
    }

    pub(super) fn step(&mut self) -> Result<Step> {
        let line = self.read_line()?;
        let Ok(object) = Object::parse(&line) else { return Err(self.damaged("is not a JSON object")) };
        if object.get("end").is_some() {
            return self.end(&line).map(Step::End);
        }
        let item = item(&object).ok_or_else(|| self.damaged("is neither a record, a log nor an entry"))?;
        // Anything that this reader understands but the writer would not write is damage: dumping again must give the same bytes.
        let rewritten = match &item {
            Item::Record(key, body) => record_line(key, body),
            Item::Log(key, state, length) => log_line(key, *state, *length),
            Item::Entry(position, entry) => entry_line(*position, entry.at, &entry.body),
        };
        if rewritten != line {
            return Err(self.damaged("is not written as a full dump writes it"));
        }
        self.take(&item)?;
        self.digest.add(line.as_bytes());
        Ok(Step::Item(item))
    }

    fn read_line(&mut self) -> Result<String> {
        self.number += 1;
        let mut line = Vec::new();
        let limited = &mut self.input.take(MAX_LINE_BYTES);
        if let Err(error) = limited.read_until(b'\n', &mut line) {
            return Err(self.unreadable(error));
        }
        if line.last() != Some(&b'\n') {
            return Err(self.damaged(match line.len() as u64 {
                0 => "is missing: the dump is truncated",
                MAX_LINE_BYTES => "is too long",
                _ => "has no line end: the dump is truncated",
            }));
        }
        String::from_utf8(line).map_err(|_| self.damaged("is not UTF-8"))
    }

    /// Checks an item against those before it.
    fn take(&mut self, item: &Item) -> Result<()> {
        let (next, length) = self.entries;
        match item {
            Item::Entry(position, _) => {
                if *position != next || next >= length {
                    return Err(self.damaged("is not the entry that is due here"));
                }
                self.entries.0 += 1;
                self.counts.entries += 1;
                return Ok(());
            }
            _ if next < length => return Err(self.damaged("comes before the entries of the log are complete")),
            Item::Record(key, _) => {
                if self.last_log.is_some() || self.last_record.as_ref().is_some_and(|last| last >= key) {
                    return Err(self.damaged("is a record out of order"));
                }
                self.last_record = Some(key.clone());
                self.counts.records += 1;
            }
            Item::Log(key, _, length) => {
                if self.last_log.as_ref().is_some_and(|last| last >= key) {
                    return Err(self.damaged("is a log out of order"));
                }
                self.last_log = Some(key.clone());
                self.entries = (0, *length);
                self.counts.logs += 1;
            }
        }
        Ok(())
    }

    fn end(&mut self, line: &str) -> Result<FullDump> {
        if self.entries.0 < self.entries.1 {
            return Err(self.damaged("comes before the entries of the log are complete"));
        }
        let full = FullDump { counts: self.counts, sha256: hex(&std::mem::take(&mut self.digest).finish()) };
        if last_line(&full) != line {
            return Err(self.damaged("states other counts or another digest than the lines before it have"));
        }
        match self.input.fill_buf() {
            Ok([]) => Ok(full),
            Ok(_) => {
                self.number += 1;
                Err(self.damaged("follows the last line of the dump"))
            }
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn damaged(&self, what: &str) -> LoadError {
        LoadError::Damaged { line: self.number, what: what.to_owned() }
    }

    fn unreadable(&self, source: std::io::Error) -> LoadError {
        LoadError::Read { line: self.number, source }
    }
}

fn item(object: &Object) -> Option<Item> {
    let id = || Some(object.read::<Text>("id")?.as_str()?.to_owned());
    let kind = |name: &str| Kind::new(object.read::<Text>(name)?.as_str()?).ok();
    let body = || Body::parse(object.get("body")?).ok();
    if object.get("record").is_some() {
        return Some(Item::Record(RecordKey::new(kind("record")?, id()?).ok()?, body()?));
    }
    if object.get("log").is_some() {
        let state = match object.read::<Text>("state")?.as_str()? {
            "open" => LogState::Open,
            "sealed" => LogState::Sealed,
            _ => return None,
        };
        return Some(Item::Log(LogKey::new(kind("log")?, id()?).ok()?, state, object.read("length")?));
    }
    let at = Timestamp::from_millis(object.read("at")?);
    Some(Item::Entry(object.read("entry")?, NewEntry { at, body: body()? }))
}
