//! Reading: from the state, and from the files for what it does not hold.
//!
//! Any process may change a file while it is read, but never in a way that matters: a document is replaced as a whole
//! and contains its version, and the entries that the files are known to hold stay where they are. If a file does not
//! match the state, it is read again with a newer state, and is damaged if that does not help.

use std::io;
use std::path::Path;

use nofx_core::{
    ChangePage, Changes, Cursor, Direction, Error, Key, KeyQuery, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    LogState, Page, PageBuilder, Record, RecordKey, Result, ScanQuery,
};
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::files::ReadableFile;

use crate::archive::Archive;
use crate::document::{self, Said};
use crate::lines::{self, LineSearch};
use crate::reader::StoreReader;
use crate::state::{LogSlot, RecordSlot, StoreState};
use crate::{foreign_file, layout};

/// How often a read is repeated while other processes change what it reads.
const TRIES: usize = 100;

/// A mismatch with the state: the file is damaged, or the state is stale.
#[derive(Debug)]
pub(crate) enum ReadMismatch {
    Differs(String),
    Failed(Error),
}

impl From<Error> for ReadMismatch {
    fn from(error: Error) -> Self {
        match error {
            // A symbolic link or another non-file may have been put in the file's place.
            Error::Corrupt(failure) => Self::Differs(failure.what),
            error => Self::Failed(error),
        }
    }
}

/// For callers that know the state is not stale.
impl From<ReadMismatch> for Error {
    fn from(mismatch: ReadMismatch) -> Self {
        match mismatch {
            ReadMismatch::Differs(what) => Self::corrupt(what),
            ReadMismatch::Failed(error) => error,
        }
    }
}

impl StoreReader {
    pub(crate) fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.consistently(|| self.records_now(keys))
    }

    /// Reads records from the current state and files.
    pub(crate) fn records_now(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, ReadMismatch> {
        let state = self.state();
        if let Some((key, damage)) = keys.iter().find_map(|key| Some((key, state.doubts_record(key)?))) {
            return Err(lost(key, damage).into());
        }
        let slots: Vec<_> = keys.iter().map(|key| state.records.get(key).cloned()).collect();
        drop(state);
        let read = |(key, slot): (&RecordKey, Option<RecordSlot>)| slot.map(|slot| self.record(key, slot)).transpose();
        keys.iter().zip(slots).map(read).collect()
    }

    pub(crate) fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        query.validate()?;
        self.consistently(|| {
            let state = self.state();
            // One record more than requested shows whether there is more.
            let found = query.find_in(&state.records).take(query.limit.saturating_add(1));
            let doubt = |key| state.doubts_record(key).map(|damage| lost(key, damage));
            let found: Vec<_> = found.map(|(key, slot)| (key.clone(), slot.clone(), doubt(key))).collect();
            let loss = loss_at_end(&state, query)?;
            drop(state);
            let mut page = PageBuilder::new(query.limit);
            for (key, slot, doubt) in found {
                if page.is_full() {
                    return Ok(page.end(true));
                }
                if let Some(error) = doubt {
                    return Err(error.into());
                }
                let record = self.record(&key, slot)?;
                page.push(record.body.len(), record);
            }
            Ok(end_of_list(page, query.limit, loss)?)
        })
    }

    pub(crate) fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.refresh()?;
        let state = self.state();
        if let Some((log, damage)) = logs.iter().find_map(|log| Some((log, state.doubts_log(log)?))) {
            return Err(lost(log, damage));
        }
        Ok(logs.iter().map(|log| state.head(log)).collect())
    }

    pub(crate) fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        query.validate()?;
        self.refresh()?;
        let state = self.state();
        let loss = loss_at_end(&state, query)?;
        let present = query.find_in(&state.logs).filter(|(_, slot)| slot.state != LogState::Removed);
        let mut page = PageBuilder::new(query.limit);
        for (log, slot) in present {
            if page.is_full() {
                return Ok(page.end(true));
            }
            if let Some(damage) = state.doubts_log(log) {
                return Err(lost(log, damage));
            }
            page.push(0, slot.head(log));
        }
        end_of_list(page, query.limit, loss)
    }

    pub(crate) fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        query.validate()?;
        self.consistently(|| self.entries_now(query))
    }

    /// Reads entries from the current state and files.
    pub(crate) fn entries_now(&self, query: &LogQuery) -> Result<Page<LogEntry>, ReadMismatch> {
        let state = self.state();
        let slot = state.logs.get(&query.log);
        let length = slot.map_or(0, |slot| slot.length);
        if slot.is_some_and(|slot| slot.is_unknown)
            && let Some(damage) = state.doubts_log(&query.log)
        {
            let path = layout::sealed_log(&query.log);
            return Err(ReadMismatch::Differs(format!(
                "{}, `{}`: {damage}",
                query.log,
                self.root.join(path).display()
            )));
        }
        // The entries of a log are known, but perhaps not where it ends.
        let doubt =
            state.doubts_log(&query.log).filter(|_| query.direction == Direction::Forward && query.range.end > length);
        if let Some(damage) = doubt.filter(|_| query.range.start == length) {
            return Err(Error::corrupt(format!("{}: {damage}", query.log)).into());
        }
        let is_doubtful = doubt.is_some();
        let Some(slot) = slot else { return Ok(Page { items: Vec::new(), more: false }) };
        let range = query.range.start.min(slot.length)..query.range.end.min(slot.length);
        let mut page = PageBuilder::new(query.limit);
        let file = LogSlot { recent: Default::default(), ..slot.clone_head() };
        let in_memory = range.start.max(slot.base)..range.end;
        let recent = slot.recent.iter().map(|(_, entry)| entry).filter(|entry| in_memory.contains(&entry.position));
        // Where the journal lost a group, entries are missing.
        let missing = |position| self.mismatch(&query.log, Path::new(layout::JOURNAL), position);
        let in_file = range.start..range.end.min(slot.base);
        match query.direction {
            Direction::Forward => {
                let mut recent_page = PageBuilder::new(query.limit);
                let mut next = in_memory.start;
                for entry in recent {
                    if recent_page.is_full() || entry.position != next {
                        break;
                    }
                    next += 1;
                    recent_page.push(entry.body.len(), entry.clone());
                }
                drop(state);
                self.entries(query, &file, in_file, &mut page)?;
                if page.items().is_empty() && recent_page.items().is_empty() && next < in_memory.end && query.limit > 0
                {
                    return Err(missing(next));
                }
                for entry in recent_page.end(false).items {
                    if page.is_full() {
                        break;
                    }
                    page.push(entry.body.len(), entry);
                }
                let more = page.items().last().is_some_and(|last| last.position + 1 < range.end || is_doubtful);
                Ok(page.end(more))
            }
            Direction::Backward => {
                let mut end = in_memory.end;
                for entry in recent.rev() {
                    if page.is_full() || entry.position + 1 != end {
                        break;
                    }
                    end -= 1;
                    page.push(entry.body.len(), entry.clone());
                }
                drop(state);
                if in_memory.start < end && !page.is_full() {
                    let more = !page.items().is_empty();
                    return if more { Ok(page.end(true)) } else { Err(missing(end - 1)) };
                }
                self.entries(query, &file, in_file, &mut page)?;
                let more = page.items().last().is_some_and(|last| last.position > range.start);
                Ok(page.end(more))
            }
        }
    }

    pub(crate) fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let from = match after {
            None => Some(0),
            Some(cursor) => cursor.commits_of(self.store)?,
        };
        self.refresh()?;
        let (base, end, recent, loss) = {
            let state = self.state();
            let base = state.base_commits;
            // If the journal lost commits that the files have, it ends before them.
            let end = state.position.commits.max(base);
            let numbers = from.unwrap_or(end).max(base)..end;
            let recent = numbers.map_while(|number| state.recent_commit_at(number).cloned());
            (base, end, recent.take(limit).collect::<Vec<_>>(), lacks_lost(&state))
        };
        let newest = Cursor::after(self.store, end);
        let mut feed = self.feed();
        feed.catch_up(&*self.files, base)?;
        let Some(from) = from.filter(|from| (feed.start()..=end).contains(from)) else {
            return Ok(Changes::Gap { newest });
        };
        let mut found = Vec::new();
        if from < base && limit > 0 {
            match feed.read(&*self.files, from, limit.min((base - from) as usize)) {
                Ok(Some(remembered)) => found = remembered,
                Ok(None) | Err(Error::Corrupt(_)) => return Ok(Changes::Gap { newest }),
                Err(error) => return Err(error),
            }
        }
        if from + found.len() as u64 >= base {
            let rest = limit - found.len();
            found.extend(recent.into_iter().take(rest));
        }
        if let Some(error) = loss.filter(|_| found.is_empty() && limit > 0) {
            return Err(error);
        }
        let next = Cursor::after(self.store, from + found.len() as u64);
        Ok(Changes::Page(ChangePage { changes: found.iter().map(|one| one.change()).collect(), next, newest }))
    }

    /// Reads until state and files match, or until it is clear that they never will.
    fn consistently<T>(&self, mut look: impl FnMut() -> Result<T, ReadMismatch>) -> Result<T> {
        let mut before = None;
        for _ in 0..TRIES {
            self.refresh()?;
            let (frame, base) = {
                let state = self.state();
                (state.position.frame, state.base)
            };
            match look() {
                Ok(found) => return Ok(found),
                Err(ReadMismatch::Failed(error)) => return Err(error),
                // Nothing was committed or applied since the previous attempt.
                Err(ReadMismatch::Differs(what)) if before == Some((frame, base)) => return Err(Error::corrupt(what)),
                Err(ReadMismatch::Differs(_)) => before = Some((frame, base)),
            }
        }
        Err(Error::unavailable(format!("reading `{}`: other processes kept changing it", self.root.display())))
    }

    fn record(&self, key: &RecordKey, slot: RecordSlot) -> Result<Record, ReadMismatch> {
        let path = layout::record_or_index(key);
        let differs =
            |what: &str| ReadMismatch::Differs(format!("{key}, `{}`: {what}", self.root.join(&path).display()));
        if let Some(body) = slot.body {
            return Ok(Record { key: key.clone(), version: slot.version, body });
        }
        if layout::is_index(key.kind()) {
            return Err(differs("its line is missing or damaged"));
        }
        let bytes = match self.files.read(&path) {
            Err(error) if is_of_the_file(&error) => return Err(differs(&error.to_string())),
            read => read.during("reading", &path)?.ok_or_else(|| differs("it is missing"))?,
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| differs(&error.to_string()))?;
        match document::read(text) {
            Ok(Said::Record(found, version, Some(body))) if found == *key => match version == slot.version {
                true => Ok(Record { key: found, version, body }),
                false => Err(differs(&format!("it has version {version} where {} is expected", slot.version))),
            },
            Ok(_) => Err(differs("it belongs to something else")),
            Err(what) => Err(differs(&what)),
        }
    }

    /// Adds entries from the file of a log to a page.
    fn entries(
        &self,
        query: &LogQuery,
        slot: &LogSlot,
        range: std::ops::Range<u64>,
        page: &mut PageBuilder<LogEntry>,
    ) -> Result<(), ReadMismatch> {
        if range.is_empty() || page.is_full() {
            return Ok(());
        }
        let (open, sealed) = (layout::open_log(&query.log), layout::sealed_log(&query.log));
        // Sealing turns one into the other, sooner or later.
        let order = if slot.state == LogState::Sealed { [&sealed, &open] } else { [&open, &sealed] };
        let mut reader = Entries { direction: query.direction, range, page, broken: None };
        for path in order {
            let file = match self.files.open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if is_of_the_file(&error) => return Err(self.unreadable_log(&query.log, path, &error)),
                file => file.during("opening", path)?,
            };
            let read = match path == &open {
                true => reader.lines(&*file, slot, &query.log),
                false => reader.archive(&*file, slot),
            };
            match read {
                Ok(true) => {}
                Ok(false) => return Err(self.unreadable_log(&query.log, path, &foreign_file::BELONGS_ELSEWHERE)),
                Err(error) if is_of_the_file(&error) => return Err(self.unreadable_log(&query.log, path, &error)),
                Err(error) => return Err(error).during("reading", path)?,
            }
            return reader.end(|position| self.mismatch(&query.log, path, position));
        }
        let first = if query.direction == Direction::Forward { reader.range.start } else { reader.range.end - 1 };
        reader.broken = Some(first);
        reader.end(|position| self.mismatch(&query.log, order[0], position))
    }

    fn unreadable_log(&self, log: &LogKey, path: &Path, why: &impl std::fmt::Display) -> ReadMismatch {
        ReadMismatch::Differs(format!("{log}, `{}`: {why}", self.root.join(path).display()))
    }

    fn mismatch(&self, log: &LogKey, path: &Path, position: u64) -> ReadMismatch {
        ReadMismatch::Differs(format!("{log}, `{}`{POSITION}{position}", self.root.join(path).display()))
    }
}

/// What follows the name of a log in an error about a single entry; one about the whole file has something else there.
pub(crate) const POSITION: &str = ": position ";

impl LogSlot {
    fn clone_head(&self) -> Self {
        Self { recent: Default::default(), state: self.state, length: self.length, last_at: self.last_at, ..*self }
    }
}

/// Reads entries from a file, in one direction.
struct Entries<'a> {
    direction: Direction,
    /// The positions that are still wanted.
    range: std::ops::Range<u64>,
    page: &'a mut PageBuilder<LogEntry>,
    /// The position that cannot be read.
    broken: Option<u64>,
}

impl Entries<'_> {
    /// `false` if the file belongs to another log.
    fn lines(&mut self, file: &dyn ReadableFile, slot: &LogSlot, log: &LogKey) -> io::Result<bool> {
        if foreign_file::has_lines(file, log, slot)? {
            return Ok(false);
        }
        let start = lines::heading(log).len() as u64;
        let lines = LineSearch { file, bytes: start..slot.bytes.max(start) };
        match self.direction {
            Direction::Forward => {
                let from = lines.find(self.range.start)?;
                lines.forward(from, &mut |line| self.take(line))?;
            }
            Direction::Backward => {
                let to = lines.find(self.range.end)?;
                lines.backward(to, &mut |line| self.take(line))?;
            }
        }
        self.stop_if_unfinished();
        Ok(true)
    }

    /// `false` if the file belongs to another log.
    fn archive(&mut self, file: &dyn ReadableFile, slot: &LogSlot) -> io::Result<bool> {
        let Some(archive) = Archive::open(file)? else {
            self.stop_if_unfinished();
            return Ok(true);
        };
        if foreign_file::has_archive(&archive, slot) {
            return Ok(false);
        }
        let (first, last) = (archive.piece_of(self.range.start), archive.piece_of(self.range.end - 1));
        let mut pieces: Vec<usize> = (first..=last).collect();
        if self.direction == Direction::Backward {
            pieces.reverse();
        }
        for piece in pieces {
            let plain = archive.read(file, piece)?.unwrap_or_default();
            let lines = plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let lines = lines.skip(usize::from(piece == 0 && plain.starts_with(b"{\"log\"")));
            let skipped = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
            let went_on = match self.direction {
                Direction::Forward => {
                    lines.skip(skipped(archive.first(piece), self.range.start)).all(|line| self.take(line))
                }
                Direction::Backward => {
                    let lines: Vec<_> = lines.take(skipped(archive.first(piece), self.range.end)).collect();
                    lines.into_iter().rev().all(|line| self.take(line))
                }
            };
            if !went_on {
                return Ok(true);
            }
        }
        self.stop_if_unfinished();
        Ok(true)
    }

    /// Takes the next line; `false` if no more is wanted.
    fn take(&mut self, line: &[u8]) -> bool {
        if self.page.is_full() || self.range.is_empty() {
            return false;
        }
        let wanted = self.wanted();
        let Some(entry) = lines::read(line).filter(|entry| entry.position == wanted) else {
            self.broken = Some(wanted);
            return false;
        };
        match self.direction {
            Direction::Forward => self.range.start += 1,
            Direction::Backward => self.range.end -= 1,
        }
        self.page.push(entry.body.len(), entry);
        !self.page.is_full() && !self.range.is_empty()
    }

    fn wanted(&self) -> u64 {
        if self.direction == Direction::Forward { self.range.start } else { self.range.end - 1 }
    }

    /// Notes that the file ended before everything was found.
    fn stop_if_unfinished(&mut self) {
        if !self.range.is_empty() && !self.page.is_full() && self.broken.is_none() {
            self.broken = Some(self.wanted());
        }
    }

    /// Fails at the broken position, unless there are entries before it: then the next page fails.
    fn end(self, mismatch: impl Fn(u64) -> ReadMismatch) -> Result<(), ReadMismatch> {
        match self.broken {
            Some(position) if self.page.items().is_empty() => Err(mismatch(position)),
            Some(_) => {
                self.page.close();
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Ends a list that may lack what the journal lost: then the next page fails.
fn end_of_list<T>(page: PageBuilder<T>, limit: usize, loss: Option<Error>) -> Result<Page<T>> {
    match loss {
        Some(error) if page.items().is_empty() && limit > 0 => Err(error),
        loss => Ok(page.end(loss.is_some())),
    }
}

/// Returns the error for a key that the journal's lost part may concern.
fn lost(key: &impl Key, damage: &str) -> Error {
    Error::corrupt(format!("{key}: {damage}"))
}

/// Returns the error for a list or the feed that may lack what the journal lost.
fn lacks_lost(state: &StoreState) -> Option<Error> {
    (!state.lost.is_empty()).then(|| Error::corrupt(state.damage.clone().unwrap_or_default()))
}

/// Returns the error that a list ends with because it may lack what the journal lost, as if that came after everything
/// else. A list that begins there fails at once.
fn loss_at_end<K: Key>(state: &StoreState, query: &KeyQuery<K>) -> Result<Option<Error>> {
    match (query.direction, &query.after) {
        (Direction::Forward, _) => Ok(lacks_lost(state)),
        (Direction::Backward, None) => lacks_lost(state).map_or(Ok(None), Err),
        (Direction::Backward, Some(_)) => Ok(None),
    }
}
