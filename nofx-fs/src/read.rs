//! Reading documents and logs from their files.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use nofx_core::{Direction, Error, LogEntry, LogKey, LogState, Record, RecordKey};
use nofx_journal::base::{Rows, SnapshotError};
use nofx_journal::fault::{During, into_error, is_of_the_file};
use nofx_journal::files::ReadableFile;

use crate::archive::Archive;
use crate::base::FsSnapshot;
use crate::document::{self, Said};
use crate::lines::{self, LineSearch};
use crate::listed::{LogSlot, RecordSlot};
use crate::{foreign_file, layout};

/// How many lines of an open log are read at first; each further time twice as many.
const FIRST_LINES: usize = 64;
/// How many bytes of lines are kept at most, unless one line has more.
const LINE_BYTES: usize = 1 << 20;

/// What follows the name of a log in an error about a single entry; one about the whole file has something else there.
pub(crate) const POSITION: &str = ": position ";

impl FsSnapshot<'_> {
    pub(crate) fn read_record(&self, key: &RecordKey, slot: &RecordSlot) -> Result<Record, SnapshotError> {
        let path = layout::record_or_index(key);
        let differs = |what: &str| {
            let path = self.base.root.join(&path);
            SnapshotError::Differs(Error::corrupt(format!("{key}, `{}`: {what}", path.display())))
        };
        if let Some(body) = slot.body.clone() {
            return Ok(Record { key: key.clone(), version: slot.version, body });
        }
        if layout::is_index(key.kind()) {
            return Err(differs("its line is missing or damaged"));
        }
        let bytes = match self.base.files().read(&path) {
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

    /// Returns the error for a log whose number of entries is not known.
    pub(crate) fn unknown_length(&self, log: &LogKey) -> SnapshotError {
        let path = self.base.root.join(layout::sealed_log(log));
        let what = "the number of its entries is unknown: its sealed file is damaged";
        Error::corrupt(format!("{log}, `{}`: {what}", path.display())).into()
    }

    pub(crate) fn read_entries<'a>(
        &'a self,
        log: &'a LogKey,
        range: Range<u64>,
        direction: Direction,
    ) -> Rows<'a, LogEntry> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let source = match self.known.log(log) {
            Ok(Some(slot)) => self.open_log(log, slot, &range, direction),
            Ok(None) => return Box::new(std::iter::empty()),
            Err(error) => Err(error),
        };
        match source {
            Ok(source) => Box::new(EntryRows { snapshot: self, log, range, direction, source }),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn open_log(
        &self,
        log: &LogKey,
        slot: LogSlot,
        range: &Range<u64>,
        direction: Direction,
    ) -> Result<Source, SnapshotError> {
        let (open, sealed) = (layout::open_log(log), layout::sealed_log(log));
        // Sealing turns one into the other, sooner or later.
        let order = if slot.state == LogState::Sealed { [&sealed, &open] } else { [&open, &sealed] };
        for path in order {
            let file = match self.base.files().open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if is_of_the_file(&error) => return Err(self.unreadable(log, path, &error)),
                file => file.during("opening", path)?,
            };
            let found = match path == &open {
                true => Lines::open(file, log, slot, range, direction).map(|lines| lines.map(Source::Lines)),
                false => Pieces::open(file, slot, range).map(|pieces| pieces.map(Source::Pieces)),
            };
            return match found {
                Ok(Some(source)) => Ok(source),
                Ok(None) => Err(self.unreadable(log, path, &foreign_file::BELONGS_ELSEWHERE)),
                Err(error) if is_of_the_file(&error) => Err(self.unreadable(log, path, &error)),
                Err(error) => Err(into_error(error, "reading", path).into()),
            };
        }
        Err(self.mismatch(log, order[0], wanted(range, direction)))
    }

    fn unreadable(&self, log: &LogKey, path: &Path, why: &impl std::fmt::Display) -> SnapshotError {
        SnapshotError::Differs(Error::corrupt(format!("{log}, `{}`: {why}", self.base.root.join(path).display())))
    }

    fn mismatch(&self, log: &LogKey, path: &Path, position: u64) -> SnapshotError {
        let path = self.base.root.join(path);
        SnapshotError::Differs(Error::corrupt(format!("{log}, `{}`{POSITION}{position}", path.display())))
    }
}

/// Returns the position that comes next.
fn wanted(range: &Range<u64>, direction: Direction) -> u64 {
    if direction == Direction::Forward { range.start } else { range.end - 1 }
}

/// The entries of a log, read from its file as far as they are asked for, up to the first that cannot be read.
struct EntryRows<'a> {
    snapshot: &'a FsSnapshot<'a>,
    log: &'a LogKey,
    /// The positions that are still wanted.
    range: Range<u64>,
    direction: Direction,
    source: Source,
}

enum Source {
    Lines(Lines),
    Pieces(Pieces),
}

impl Iterator for EntryRows<'_> {
    type Item = Result<LogEntry, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        let wanted = wanted(&self.range, self.direction);
        let (path, line) = match &mut self.source {
            Source::Lines(lines) => (layout::open_log(self.log), lines.next(self.direction)),
            Source::Pieces(pieces) => (layout::sealed_log(self.log), pieces.next(self.direction)),
        };
        let entry = match line {
            Ok(line) => line.and_then(|line| lines::read(&line)).filter(|entry| entry.position == wanted),
            Err(error) => {
                self.range = 0..0;
                return Some(Err(match is_of_the_file(&error) {
                    true => self.snapshot.unreadable(self.log, &path, &error),
                    false => into_error(error, "reading", &path).into(),
                }));
            }
        };
        let Some(entry) = entry else {
            self.range = 0..0;
            return Some(Err(self.snapshot.mismatch(self.log, &path, wanted)));
        };
        match self.direction {
            Direction::Forward => self.range.start += 1,
            Direction::Backward => self.range.end -= 1,
        }
        Some(Ok(entry))
    }
}

/// The lines of an open log.
struct Lines {
    file: Arc<dyn ReadableFile>,
    /// From the end of the heading to the end of the last line.
    bytes: Range<u64>,
    /// Where the next line begins, or ends if they are read backward.
    at: u64,
    ready: VecDeque<Vec<u8>>,
    count: usize,
}

impl Lines {
    /// Finds the first line that is wanted; `None` if the file belongs to another log.
    fn open(
        file: Arc<dyn ReadableFile>,
        log: &LogKey,
        slot: LogSlot,
        range: &Range<u64>,
        direction: Direction,
    ) -> io::Result<Option<Self>> {
        if foreign_file::has_lines(&*file, log, &slot)? {
            return Ok(None);
        }
        let start = lines::heading(log).len() as u64;
        let bytes = start..slot.bytes.max(start);
        let first = if direction == Direction::Forward { range.start } else { range.end };
        let at = LineSearch { file: &*file, bytes: bytes.clone() }.find(first)?;
        Ok(Some(Self { file, bytes, at, ready: VecDeque::new(), count: FIRST_LINES }))
    }

    fn next(&mut self, direction: Direction) -> io::Result<Option<Vec<u8>>> {
        if self.ready.is_empty() {
            self.read_more(direction)?;
        }
        Ok(self.ready.pop_front())
    }

    fn read_more(&mut self, direction: Direction) -> io::Result<()> {
        let Self { file, bytes, at, ready, count } = self;
        let lines = LineSearch { file: &**file, bytes: bytes.clone() };
        let (from, mut kept) = (*at, 0);
        let mut keep = |line: &[u8]| {
            let length = line.len() as u64 + 1;
            *at = if direction == Direction::Forward { *at + length } else { at.saturating_sub(length) };
            kept += line.len();
            ready.push_back(line.to_vec());
            ready.len() < *count && kept < LINE_BYTES
        };
        match direction {
            Direction::Forward => lines.forward(from, &mut keep)?,
            Direction::Backward => lines.backward(from, &mut keep)?,
        }
        *count *= 2;
        Ok(())
    }
}

/// The lines of a sealed log, decompressed piece by piece.
struct Pieces {
    file: Arc<dyn ReadableFile>,
    /// `None` if its table is damaged.
    archive: Option<Archive>,
    /// The pieces that are still wanted.
    pieces: Range<usize>,
    /// The positions that were wanted at first.
    range: Range<u64>,
    plain: Vec<u8>,
    /// Where the lines of this piece are that are still wanted.
    ready: VecDeque<Range<usize>>,
}

impl Pieces {
    /// Finds the pieces that are wanted; `None` if the file belongs to another log.
    fn open(file: Arc<dyn ReadableFile>, slot: LogSlot, range: &Range<u64>) -> io::Result<Option<Self>> {
        let archive = Archive::open(&*file)?;
        let mut pieces = 0..0;
        if let Some(archive) = &archive {
            if foreign_file::has_archive(archive, &slot) {
                return Ok(None);
            }
            pieces = archive.piece_of(range.start)..archive.piece_of(range.end - 1) + 1;
        }
        Ok(Some(Self { file, archive, pieces, range: range.clone(), plain: Vec::new(), ready: VecDeque::new() }))
    }

    fn next(&mut self, direction: Direction) -> io::Result<Option<Vec<u8>>> {
        while self.ready.is_empty() && !self.pieces.is_empty() {
            self.read_more(direction)?;
        }
        let line = match direction {
            Direction::Forward => self.ready.pop_front(),
            Direction::Backward => self.ready.pop_back(),
        };
        Ok(line.and_then(|line| self.plain.get(line)).map(<[u8]>::to_vec))
    }

    fn read_more(&mut self, direction: Direction) -> io::Result<()> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let piece = match direction {
            Direction::Forward => self.pieces.next(),
            Direction::Backward => self.pieces.next_back(),
        };
        let Some(piece) = piece else { return Ok(()) };
        let Some(plain) = archive.read(&*self.file, piece)? else {
            // Nothing after it is asked for.
            self.pieces = 0..0;
            return Ok(());
        };
        let has_heading = piece == 0 && plain.starts_with(b"{\"log\"");
        let mut at = 0;
        let lines = plain.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let start = at;
            at += line.len();
            start..at - usize::from(line.ends_with(b"\n"))
        });
        let lines = lines.filter(|line| !line.is_empty()).skip(usize::from(has_heading));
        let wanted = (archive.first(piece)..).zip(lines).filter(|(position, _)| self.range.contains(position));
        self.ready = wanted.map(|(_, line)| line).collect();
        self.plain = plain;
        Ok(())
    }
}
