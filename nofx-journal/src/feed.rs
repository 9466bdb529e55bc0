//! What is remembered of old commits: the change feed, and the outcomes of batches that are committed again.
//!
//! Files of 20,000 commits each, without bodies. The applier appends to them; the newest commits are only in the
//! journal. Nothing is read before it is needed.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use nofx_core::{BatchId, Error, REMEMBERED_COMMITS, Result};

use crate::codec::{Decoder, Encoder, Remembered};
use crate::fault::{During, is_of_the_file};
use crate::files::{Files, WritableFiles};
use crate::layout;
use crate::quarantine;

/// How many commits a file holds. Files are forgotten as a whole.
const COMMITS: u64 = 20_000;
const HEAD_BYTES: usize = 8;
/// The maximum bytes of commits in one answer, unless a single commit has more.
const PAGE_BYTES: usize = 4 << 20;

/// What is known about the files.
#[derive(Debug, Default)]
pub struct Feed {
    files: VecDeque<FeedFile>,
    ids: HashMap<BatchId, u64>,
    /// The number after the last commit that was read.
    end: u64,
    /// The number after the last unreadable commit. A caller that follows changes from before it gets a gap.
    lost_end: u64,
    started: bool,
}

#[derive(Debug)]
struct FeedFile {
    number: u64,
    /// Where each commit begins, in order; [`LOST`] for a damaged one.
    starts: Vec<u32>,
    /// Where the next one goes.
    end: u64,
}

const LOST: u32 = u32::MAX;

impl Feed {
    /// Returns the number of the oldest commit such that it and all later ones are remembered.
    pub fn start(&self) -> u64 {
        self.first().max(self.lost_end)
    }

    /// Returns the number of the first commit that the files have room for.
    fn first(&self) -> u64 {
        self.files.front().map_or(self.end, |file| file.number * COMMITS)
    }

    /// Returns the number of a batch among the commits before `known`.
    pub fn find(&self, batch: &BatchId) -> Option<u64> {
        self.ids.get(batch).copied()
    }

    /// Reads what other processes added, up to the commit with this number, which the files are known to hold.
    pub fn catch_up(&mut self, files: &dyn Files, known: u64) -> Result<()> {
        if !self.started {
            let folder = Path::new(layout::FEED);
            let found = files.list(folder).during("listing", folder)?;
            let mut numbers: Vec<u64> = found.iter().filter_map(|entry| number_of(&entry.name)).collect();
            numbers.sort_unstable();
            // Only an unbroken sequence of files up to the newest is of use.
            let newest = known.saturating_sub(1) / COMMITS;
            let row = numbers.iter().rev().skip_while(|number| **number > newest).zip((0..=newest).rev());
            let first = row.take_while(|(found, expected)| *found == expected).last().map(|(found, _)| *found);
            self.end = first.map_or(known, |first| first * COMMITS);
            self.started = true;
        }
        while self.end < known {
            let number = self.end / COMMITS;
            self.begin_file(number);
            self.read_on(files, known.min((number + 1) * COMMITS))?;
            self.forget();
        }
        Ok(())
    }

    /// Makes the file with this number the newest one.
    fn begin_file(&mut self, number: u64) {
        if self.files.back().is_none_or(|file| file.number != number) {
            // If it does not begin with its first commit, the commits before that are lost.
            let lost = self.end.saturating_sub(number * COMMITS);
            if lost > 0 {
                self.lost_end = self.end;
            }
            self.files.push_back(FeedFile { number, starts: vec![LOST; lost as usize], end: 0 });
        }
    }

    /// Forgets the oldest files, as long as enough is remembered without them.
    fn forget(&mut self) {
        let before = self.first();
        while self.files.len() > 1 && self.end - (self.first() + COMMITS) >= REMEMBERED_COMMITS as u64 {
            self.files.pop_front();
        }
        let first = self.first();
        if first > before {
            self.ids.retain(|_, number| *number >= first);
        }
    }

    /// Reads the newest file up to the commit with a number.
    fn read_on(&mut self, files: &dyn Files, known: u64) -> Result<()> {
        let Some(file) = self.files.back_mut() else { return Ok(()) };
        let path = path_of(file.number);
        let read = files.open(&path).and_then(|opened| opened.read_range(file.end, u64::MAX));
        let bytes = match read {
            Err(error) if is_missing(&error) => Vec::new(),
            read => read.during("reading", &path)?,
        };
        let mut at = 0;
        while self.end < known {
            // After damage, finds the next whole commit.
            let found = (at..bytes.len()).find_map(|at| {
                let mut from = Decoder(bytes.get(at..)?);
                let (number, remembered) = read_one(&mut from)?;
                (self.end..known).contains(&number).then(|| (at, number, remembered, bytes.len() - from.0.len()))
            });
            let Some((start, number, remembered, after)) = found else {
                file.starts.extend((self.end..known).map(|_| LOST));
                (self.end, self.lost_end) = (known, known);
                at = bytes.len();
                break;
            };
            if number > self.end {
                file.starts.extend((self.end..number).map(|_| LOST));
                self.lost_end = number;
            }
            file.starts.push((file.end + start as u64) as u32);
            self.ids.insert(remembered.batch, number);
            self.end = number + 1;
            at = after;
        }
        file.end += at as u64;
        Ok(())
    }

    /// Finds where the commit with this number goes, which is the next one.
    pub fn find_end(&mut self, files: &dyn Files, first: u64) -> Result<()> {
        self.catch_up(files, first)?;
        self.look_again_if_shortened(files, first)
    }

    /// Returns what to write next of commits whose numbers begin at `first`; `None` if everything is there.
    ///
    /// After an error, a retry continues where it stopped.
    pub fn next_part(&mut self, first: u64, commits: &[Remembered]) -> Option<FeedPart> {
        let done = usize::try_from(self.end.saturating_sub(first)).unwrap_or(usize::MAX);
        let rest = commits.get(done..).filter(|rest| !rest.is_empty())?;
        let (file, room) = (self.end / COMMITS, (COMMITS - self.end % COMMITS) as usize);
        self.begin_file(file);
        let offset = self.files.back()?.end;
        let mut part = FeedPart { file, offset, bytes: Vec::new(), commits: Vec::new() };
        for (number, remembered) in (self.end..).zip(rest.iter().take(room)) {
            part.commits.push((number, remembered.batch, (offset + part.bytes.len() as u64) as u32));
            write_one(number, remembered, &mut part.bytes);
        }
        Some(part)
    }

    /// Records that a part was written.
    pub fn take(&mut self, part: FeedPart) {
        let Some(file) = self.files.back_mut() else { return };
        file.end = part.offset + part.bytes.len() as u64;
        for (number, batch, start) in part.commits {
            file.starts.push(start);
            self.ids.insert(batch, number);
            self.end = number + 1;
        }
        self.forget();
    }

    /// Returns the number of the oldest file that is needed.
    pub fn oldest_file(&self) -> u64 {
        self.first() / COMMITS
    }

    /// Starts again if the newest file is shorter than it was: it was repaired or removed.
    fn look_again_if_shortened(&mut self, files: &dyn Files, known: u64) -> Result<()> {
        let Some(file) = self.files.back().filter(|file| file.end > 0) else { return Ok(()) };
        let path = path_of(file.number);
        let length = match files.open(&path) {
            Err(error) if is_missing(&error) => 0,
            opened => opened.and_then(|opened| opened.len()).during("measuring", &path)?,
        };
        if length < file.end {
            // What a failed attempt appended is appended again.
            *self = Self::default();
            self.catch_up(files, known)?;
        }
        Ok(())
    }

    /// Reads commits from a number on: at most `limit`, and perhaps fewer. `None` if they are forgotten.
    pub fn read(&self, files: &dyn Files, from: u64, limit: usize) -> Result<Option<Vec<Remembered>>> {
        let mut found = Vec::new();
        let Some(file) = self.files.iter().find(|file| file.number == from / COMMITS) else { return Ok(None) };
        let path = path_of(file.number);
        let first = (from % COMMITS) as usize;
        let start = file.starts.get(first).copied().filter(|start| *start != LOST);
        let Some(start) = start else {
            return Err(Error::corrupt(format!("`{}`: commit {from} cannot be read", path.display())));
        };
        let opened = match files.open(&path) {
            // Another process removed it because it was too old.
            Err(error) if is_missing(&error) => return Ok(None),
            opened => opened.during("opening", &path)?,
        };
        // A page ends where the next commit would be damaged.
        let wanted = file.starts.iter().skip(first).take(limit).take_while(|start| **start != LOST).count();
        let to = file.starts.get(first + wanted).copied().filter(|start| *start != LOST).map_or(file.end, u64::from);
        let bytes = opened
            .read_range(u64::from(start), to.min(u64::from(start) + PAGE_BYTES as u64))
            .during("reading", &path)?;
        let mut rest = Decoder(&bytes);
        while found.len() < wanted
            && let Some((number, remembered)) = read_one(&mut rest)
        {
            if number != from + found.len() as u64 {
                break;
            }
            found.push(remembered);
        }
        if found.is_empty() && wanted > 0 {
            // A single commit may be larger than a page.
            let bytes = opened.read_range(u64::from(start), file.end).during("reading", &path)?;
            let alone = read_one(&mut Decoder(&bytes)).filter(|(number, _)| *number == from);
            let damaged = || Error::corrupt(format!("`{}`: commit {from} at byte {start}", path.display()));
            found.push(alone.ok_or_else(damaged)?.1);
        }
        Ok(Some(found))
    }
}

/// Commits to be written after those in a file.
#[derive(Debug)]
pub struct FeedPart {
    file: u64,
    offset: u64,
    bytes: Vec<u8>,
    /// The number and the id of each, and where it begins.
    commits: Vec<(u64, BatchId, u32)>,
}

impl FeedPart {
    /// Writes it, durably except for the name; returns whether the name is new.
    pub fn write(&self, writable: &dyn WritableFiles) -> Result<bool> {
        let path = path_of(self.file);
        let is_new = self.offset == 0;
        if is_new {
            let folder = Path::new(layout::FEED);
            if let Err(error) = writable.make_dir(folder) {
                if error.kind() != io::ErrorKind::NotADirectory {
                    return Err(error).during("making", folder);
                }
                quarantine::put(writable, folder)?;
                writable.make_dir(folder).during("making", folder)?;
            }
        }
        let opened = match writable.edit(&path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                quarantine::put(writable, &path)?;
                writable.edit(&path)
            }
            opened => opened,
        };
        let opened = opened.during("opening", &path)?;
        quarantine::keep_rest(writable, &path, &*opened, self.offset, &self.bytes)?;
        opened.write_at(&self.bytes, self.offset).during("writing", &path)?;
        opened.sync().during("flushing", &path)?;
        Ok(is_new)
    }
}

/// Returns whether a file does not exist, or cannot be read for a reason of its own.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || is_of_the_file(error)
}

/// Removes the files with smaller numbers.
pub fn remove_older(writable: &dyn WritableFiles, oldest: u64) -> Result<()> {
    let folder = Path::new(layout::FEED);
    for entry in writable.list(folder).during("listing", folder)? {
        if number_of(&entry.name).is_some_and(|number| number < oldest) {
            let path = folder.join(&entry.name);
            writable.remove(&path).during("removing", &path)?;
        }
    }
    Ok(())
}

/// Damage in a file of the feed.
#[derive(Debug)]
pub struct FeedDamage {
    /// The file.
    pub path: PathBuf,
    /// The first byte that belongs to no commit.
    pub at: usize,
    /// The readable commits, as they are in the file.
    readable: Vec<u8>,
}

/// Finds bytes that belong to no commit, except what a crash leaves after the newest commit, number `known - 1`.
pub fn damages(files: &dyn Files, known: u64) -> Result<Vec<FeedDamage>> {
    let folder = Path::new(layout::FEED);
    let found = files.list(folder).during("listing", folder)?;
    let mut numbers: Vec<u64> = found.iter().filter_map(|entry| number_of(&entry.name)).collect();
    numbers.sort_unstable();
    let mut damages = Vec::new();
    for path in numbers.into_iter().map(path_of) {
        let bytes = match files.read(&path) {
            // A symbolic link, a folder, or a bad place on the disk.
            Err(error) if is_of_the_file(&error) => Some(vec![0]),
            read => read.during("reading", &path)?,
        };
        damages.extend(bytes.and_then(|bytes| damage_in(&path, &bytes, known)));
    }
    Ok(damages)
}

fn damage_in(path: &Path, bytes: &[u8], known: u64) -> Option<FeedDamage> {
    let (mut at, mut damaged, mut readable, mut last) = (0, None, Vec::new(), None);
    while at < bytes.len() {
        let mut from = Decoder(bytes.get(at..)?);
        match read_one(&mut from) {
            Some((number, _)) => {
                let after = bytes.len() - from.0.len();
                readable.extend_from_slice(bytes.get(at..after)?);
                (at, last) = (after, Some(number));
            }
            None => {
                let is_newest = last.is_some_and(|last| last + 1 >= known);
                if is_newest {
                    break;
                }
                damaged = damaged.or(Some(at));
                at += 1;
            }
        }
    }
    damaged.map(|at| FeedDamage { path: path.to_owned(), at, readable })
}

impl FeedDamage {
    /// Moves the file aside and leaves its readable part in its place. Durable on return.
    pub fn repair(&self, writable: &dyn WritableFiles) -> Result<PathBuf> {
        let kept = quarantine::put(writable, &self.path)?;
        writable.replace(&self.path, &self.readable).during("writing", &self.path)?;
        writable.sync_dir(Path::new(layout::FEED)).during("flushing", Path::new(layout::FEED))?;
        Ok(kept)
    }
}

fn write_one(number: u64, remembered: &Remembered, bytes: &mut Vec<u8>) {
    let mut out = Encoder(vec![0; HEAD_BYTES]);
    out.number(number);
    remembered.write(&mut out);
    let length = (out.0.len() - HEAD_BYTES) as u32;
    let checksum = crc32fast::hash(out.0.get(HEAD_BYTES..).unwrap_or_default());
    out.0[..4].copy_from_slice(&length.to_le_bytes());
    out.0[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes.append(&mut out.0);
}

fn read_one(from: &mut Decoder<'_>) -> Option<(u64, Remembered)> {
    let (length, checksum) = (from.u32()?, from.u32()?);
    let content = from.take(length as usize)?;
    if content.is_empty() || crc32fast::hash(content) != checksum {
        return None;
    }
    let mut content = Decoder(content);
    Some((content.number()?, Remembered::read(&mut content)?))
}

fn path_of(number: u64) -> PathBuf {
    Path::new(layout::FEED).join(format!("{number:08}"))
}

fn number_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|number| format!("{number:08}") == name)
}

#[cfg(test)]
mod tests {
    use nofx_core::{Kind, LogKey, RecordKey, Seq};

    use super::*;
    use crate::sim::Sim;

    fn remembered(number: u64) -> Remembered {
        let note = RecordKey::new(Kind::of("note"), "a").unwrap();
        let talk = LogKey::new(Kind::of("talk"), "t").unwrap();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let batch = BatchId::from_bytes(id);
        Remembered { batch, seq: Seq::new(6), records: vec![note], logs: vec![(talk, 300..302)], appended: 1 }
    }

    /// Writes the commits with some numbers as an applier does.
    fn append(sim: &Sim, feed: &mut Feed, numbers: std::ops::Range<u64>) {
        let commits: Vec<_> = numbers.clone().map(remembered).collect();
        feed.find_end(sim, numbers.start).unwrap();
        while let Some(part) = feed.next_part(numbers.start, &commits) {
            part.write(sim).unwrap();
            feed.take(part);
        }
    }

    fn path() -> &'static str {
        "feed/00000000"
    }

    /// The same bytes as in `docs/format/journal.md`, spelled out again.
    #[test]
    fn a_commit_has_the_bytes_of_the_page() {
        let sim = Sim::default();
        append(&sim, &mut Feed::default(), 0..1);
        let logs = b"\x01\x01\x04talk\x01t\xac\x02\x02";
        let content = [&b"\0"[..], &[0; 16], b"\x06\x01\x04note\x01a", logs].concat();
        let head = [(content.len() as u32).to_le_bytes(), crc32fast::hash(&content).to_le_bytes()].concat();
        assert_eq!(sim.everything()[path()], [head, content].concat());
    }

    #[test]
    fn what_was_appended_is_found_by_its_number_and_by_its_id_and_not_beyond_what_is_known() {
        let sim = Sim::default();
        let mut writer = Feed::default();
        append(&sim, &mut writer, 0..5);
        append(&sim, &mut writer, 5..9);
        let mut other = Feed::default();
        other.catch_up(&sim, 7).unwrap();
        assert_eq!(other.find(&remembered(6).batch), Some(6));
        assert_eq!(other.find(&remembered(7).batch), None, "no base is known to hold it");
        assert_eq!(other.read(&sim, 4, 100).unwrap().unwrap(), [4, 5, 6].map(remembered));
        other.catch_up(&sim, 9).unwrap();
        assert_eq!(other.find(&remembered(7).batch), Some(7));
        assert_eq!((other.start(), other.read(&sim, 8, 100).unwrap().unwrap()), (0, vec![remembered(8)]));
    }

    #[test]
    fn a_commit_that_is_damaged_hides_itself_and_moves_the_start_behind_it() {
        let sim = Sim::default();
        append(&sim, &mut Feed::default(), 0..5);
        sim.tamper(path(), |bytes| {
            let third = bytes.len() / 5 * 2;
            bytes[third + 20] ^= 1;
        });
        let mut feed = Feed::default();
        feed.catch_up(&sim, 5).unwrap();
        assert_eq!(feed.start(), 3);
        assert_eq!(feed.find(&remembered(2).batch), None);
        assert_eq!(feed.read(&sim, 3, 100).unwrap().unwrap(), [3, 4].map(remembered));
        let found = damages(&sim, 5).unwrap();
        assert_eq!(found.len(), 1);
        found[0].repair(&sim).unwrap();
        assert!(damages(&sim, 5).unwrap().is_empty());
    }

    /// A part was written, and its writer killed before it could report to the base that its commits are there.
    #[test]
    fn what_an_attempt_left_is_written_again_in_its_place() {
        let sim = Sim::default();
        append(&sim, &mut Feed::default(), 0..5);
        append(&sim, &mut Feed::default(), 3..7);
        let mut feed = Feed::default();
        feed.catch_up(&sim, 7).unwrap();
        assert_eq!(feed.read(&sim, 0, 100).unwrap().unwrap(), (0..7).map(remembered).collect::<Vec<_>>());
        assert!(sim.platter().names().all(|name| !name.starts_with("damaged")));
    }

    #[test]
    fn the_oldest_file_is_forgotten_once_enough_is_remembered_without_it() {
        let sim = Sim::default();
        let mut feed = Feed::default();
        let kept = REMEMBERED_COMMITS as u64;
        for first in (0..kept + COMMITS).step_by(COMMITS as usize) {
            append(&sim, &mut feed, first..first + COMMITS);
        }
        assert_eq!((feed.start(), feed.oldest_file()), (COMMITS, 1));
        assert_eq!(feed.find(&remembered(0).batch), None);
        remove_older(&sim, feed.oldest_file()).unwrap();
        let mut other = Feed::default();
        other.catch_up(&sim, kept + COMMITS).unwrap();
        assert_eq!((other.start(), other.find(&remembered(COMMITS).batch)), (COMMITS, Some(COMMITS)));
    }
}
