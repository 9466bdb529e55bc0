//! Segments: the files of the journal, reused again and again.
//!
//! `docs/format/journal.md` shows the bytes. A segment is a header followed by frames; each frame carries the checksum
//! of the previous frame, and its own checksum includes the salt of its segment, so that remains of an earlier use are
//! never taken for frames of this one.

use std::collections::HashSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{Batch, Result, Seq, Sources, StoreId};

use crate::codec::{Commit, Decoder, Encoder};
use crate::fault::{During, is_of_the_file};
use crate::files::{Files, ReadableFile, WritableFile, WritableFiles};
use crate::layout::{Layout, Magic};

/// Where the frames of a segment begin.
pub const HEADER_BYTES: u64 = 512;
/// The bytes of a frame before its payload: kind, length, number, checksum of the frame before, checksum.
const FRAME_HEAD_BYTES: usize = 24;
/// A frame that holds a group.
const GROUP: u32 = 0x7067_6e01;
/// A frame that says that the journal continues in the next generation.
const END: u32 = 0x7067_6e02;
const PREFIX: &str = "segment-";
/// How many segments are kept for later use.
const SPARE_SEGMENTS: usize = 2;

/// Which segments the next generation may begin in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spares {
    /// Any that is no longer needed but the last one: a new file if there is no other.
    #[default]
    KeepLast,
    /// Any that is no longer needed.
    TakeLast,
}

impl Spares {
    /// Returns what a group may use: the last spare segment is for those that only remove, so that they still succeed on
    /// a full disk.
    #[must_use]
    pub(crate) fn for_group(group: &[Batch]) -> Self {
        if group.iter().all(Batch::only_removes) { Self::TakeLast } else { Self::KeepLast }
    }
}

/// A place in the journal: after a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Which use of a segment.
    pub generation: u64,
    /// The number of bytes before the place.
    pub offset: u64,
    /// The number of the frame before it, counted from one across all generations.
    pub frame: u64,
    /// The checksum of that frame.
    pub chain: u32,
    /// How many batches were committed before it.
    pub commits: u64,
}

impl Position {
    /// Returns whether the same frame precedes both places.
    pub(crate) fn is_same_frame(&self, other: &Self) -> bool {
        (self.frame, self.chain) == (other.frame, other.chain)
    }
}

/// How a generation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The store that it belongs to.
    pub store: StoreId,
    /// Included in the checksum of each frame; different for each use.
    pub salt: u64,
    /// Where its first frame will be.
    pub start: Position,
    /// The last version that was assigned before it.
    pub last_seq: Option<Seq>,
}

impl Header {
    /// Returns the header of the generation that follows a place of the previous one.
    #[must_use]
    pub fn after(at: &Position, store: StoreId, salt: u64, last_seq: Option<Seq>) -> Self {
        let start = Position { generation: at.generation + 1, offset: HEADER_BYTES, ..*at };
        Self { store, salt, start, last_seq }
    }

    fn to_bytes(self, magic: Magic) -> Vec<u8> {
        let mut bytes = magic.to_vec();
        bytes.extend_from_slice(self.store.as_bytes());
        for number in [self.salt, self.start.generation, self.start.frame, self.start.commits] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.last_seq.map_or(0, Seq::get).to_le_bytes());
        bytes.extend_from_slice(&self.start.chain.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.resize(HEADER_BYTES as usize, 0);
        bytes
    }

    fn parse(bytes: &[u8], magic: Magic) -> Option<Self> {
        let mut from = Decoder(bytes);
        if from.take(magic.len())? != magic {
            return None;
        }
        let store = StoreId::from_bytes(from.take(16)?.try_into().ok()?);
        let (salt, generation, frame, commits) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
        let (last_seq, chain) = (Seq::new(from.u64()?), from.u32()?);
        let covered = bytes.len() - from.0.len();
        let position = Position { generation, offset: HEADER_BYTES, frame, chain, commits };
        (crc32fast::hash(bytes.get(..covered)?) == from.u32()?).then_some(Self {
            store,
            salt,
            start: position,
            last_seq,
        })
    }
}

/// A segment in one of its uses.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The file, open for reading.
    pub file: Arc<dyn ReadableFile>,
    /// Its path when it was opened.
    pub path: PathBuf,
    /// How this use of it begins.
    pub header: Header,
    /// The length of the file.
    pub room: u64,
    magic: Magic,
}

/// What is at a place of a segment.
#[derive(Debug, PartialEq)]
pub enum NextFrame {
    /// A group, and the place after it.
    Group(Vec<Commit>, Position),
    /// The journal continues in the next generation.
    End,
    /// Nothing that was ever written completely.
    Nothing,
}

impl Segment {
    /// Returns every readable segment of a store, oldest generation first.
    ///
    /// A generation whose beginning could not be flushed may be there twice; the used one comes later.
    pub fn all(files: &dyn Files, layout: &Layout, store: StoreId) -> Result<Vec<Self>> {
        let mut all = Self::of_any_store(files, layout)?;
        all.retain(|segment| segment.header.store == store);
        all.sort_by_cached_key(|segment| (segment.header.start.generation, segment.is_used()));
        Ok(all)
    }

    /// Returns every segment that has a header, in no particular order.
    pub fn of_any_store(files: &dyn Files, layout: &Layout) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for path in segment_files(files, layout)? {
            let file = match files.open(&path) {
                // Another process has just removed a spare one; or it is damage, which shows in the journal's frames.
                Err(error) if error.kind() == io::ErrorKind::NotFound || is_of_the_file(&error) => continue,
                file => file.during("opening", &path)?,
            };
            if let Some(header) = read_header(&*file, layout.magic).during("reading", &path)? {
                let room = file.len().during("measuring", &path)?;
                found.push(Self { file, path, header, room, magic: layout.magic });
            }
        }
        Ok(found)
    }

    /// Returns whether it seems to hold a group.
    pub fn is_used(&self) -> bool {
        self.has_head(&self.header.start).unwrap_or(true)
    }

    /// Returns the segments whose generations follow one another without a gap, up to the newest.
    ///
    /// Anything before a gap is no longer needed: the file of the generation in the gap was reused or removed since.
    pub fn newest_run(files: &dyn Files, layout: &Layout, store: StoreId) -> Result<Vec<Self>> {
        let mut all = Self::all(files, layout, store)?;
        let generation = |segment: &Self| segment.header.start.generation;
        let gap = all.windows(2).rposition(|pair| generation(&pair[0]) + 1 < generation(&pair[1]));
        Ok(all.split_off(gap.map_or(0, |at| at + 1)))
    }

    /// Finds the segment in which the journal continues after the end of a generation.
    pub(crate) fn next(files: &dyn Files, layout: &Layout, store: StoreId, end: &Position) -> Result<Option<Self>> {
        Ok(Self::all(files, layout, store)?.into_iter().rfind(|segment| {
            let start = &segment.header.start;
            start.generation > end.generation && start.is_same_frame(end)
        }))
    }

    /// Begins the next generation: in the oldest segment whose frames the base holds entirely and which `spares` allows,
    /// or in a new one. Durable on return.
    ///
    /// The base must be known to hold every frame up to `applied` durably: the applier reported so after its own flush.
    /// Surplus segments are removed. Returns the new one with its file, for writing.
    pub(crate) fn begin_next(
        writable: &dyn WritableFiles,
        layout: &Layout,
        header: Header,
        applied: u64,
        room: u64,
        spares: Spares,
    ) -> Result<(Self, Arc<dyn WritableFile>)> {
        let all = Self::all(writable, layout, header.store)?;
        let needed_from = |pair: &[Self]| pair.get(1).map_or(u64::MAX, |next| next.header.start.frame);
        let spare = all.windows(2).take_while(|pair| needed_from(pair) <= applied).count();
        let kept = if spares == Spares::KeepLast { 1 } else { 0 };
        let mut unneeded = all.iter().take(spare);
        let path = match unneeded.next().filter(|_| spare > kept) {
            Some(oldest) => oldest.path.clone(),
            None => unused_path(writable, layout)?,
        };
        let begun = Self::begin(writable, layout, path, header, room)?;
        // The oldest go first, so that the remaining generations have no gap.
        for surplus in unneeded.take(spare.saturating_sub(1 + SPARE_SEGMENTS)) {
            writable.remove(&surplus.path).during("removing", &surplus.path)?;
        }
        Ok(begun)
    }

    /// Begins a generation in the file at a path, whatever it held, or in a new file. Durable on return.
    ///
    /// Returns it with its file, for writing.
    pub fn begin(
        writable: &dyn WritableFiles,
        layout: &Layout,
        path: PathBuf,
        header: Header,
        room: u64,
    ) -> Result<(Self, Arc<dyn WritableFile>)> {
        let file = writable.edit(&path).during("opening", &path)?;
        let length = file.len().during("measuring", &path)?;
        let is_new = length < room;
        if is_new && let Err(error) = fill(&*file, room) {
            if length == 0 {
                // Without a header it would belong to no store, and each attempt would leave one.
                _ = writable.remove(&path);
            }
            return Err(error).during("filling", &path);
        }
        file.write_at(&header.to_bytes(layout.magic), 0).during("writing", &path)?;
        if let Err(error) = file.sync() {
            // It is no longer known what of it is on the disk, so no process may continue in it.
            _ = file.write_at(&[0; HEADER_BYTES as usize], 0);
            return Err(error).during("flushing", &path);
        }
        // Only now, when its previous content is not needed.
        if length > room {
            file.set_len(room).during("cutting", &path)?;
        }
        if is_new {
            writable.sync_dir(layout.folder()).during("flushing", layout.folder())?;
        }
        Ok((Self { file: file.clone(), path, header, room, magic: layout.magic }, file))
    }

    /// Writes the bytes between two offsets again. Not durable yet.
    ///
    /// If another writer's flush failed, the disk lacks them although the system shows them; another flush alone would
    /// not write them.
    pub(crate) fn write_again(&self, file: &dyn WritableFile, from: u64, to: u64) -> io::Result<()> {
        file.write_at(&self.file.read_range(from, to)?, from)
    }

    /// Reads what comes after `at`.
    pub fn read(&self, at: &Position) -> io::Result<NextFrame> {
        let mut head = [0; FRAME_HEAD_BYTES];
        if self.file.read_full(&mut head, at.offset)? < FRAME_HEAD_BYTES {
            return Ok(NextFrame::Nothing);
        }
        let Some(frame) = Frame::parse(&head) else { return Ok(NextFrame::Nothing) };
        if frame.number != at.frame + 1 || frame.previous != at.chain {
            return Ok(NextFrame::Nothing);
        }
        let start = at.offset + FRAME_HEAD_BYTES as u64;
        let payload = self.file.read_range(start, start + u64::from(frame.length))?;
        if payload.len() as u64 != u64::from(frame.length) || frame.checksum != self.checksum(&head, &payload) {
            return Ok(NextFrame::Nothing);
        }
        if frame.kind == END {
            return Ok(NextFrame::End);
        }
        let mut from = Decoder(&payload);
        let commits: Option<Vec<_>> =
            from.count().and_then(|count| (0..count).map(|_| Commit::read(&mut from)).collect());
        let Some(commits) = commits else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("frame {} cannot be decoded", frame.number),
            ));
        };
        let after = Position {
            generation: at.generation,
            offset: start + u64::from(frame.length),
            frame: frame.number,
            chain: frame.checksum,
            commits: at.commits + commits.len() as u64,
        };
        Ok(NextFrame::Group(commits, after))
    }

    /// Steps over the group after `at` and reads only the head of its frame. `None` if none begins there.
    ///
    /// The head is proven only by the head of the next frame, which repeats its checksum. The commits in the group are not
    /// counted.
    pub(crate) fn skip(&self, at: &Position) -> io::Result<Option<Position>> {
        let follows = |frame: &Frame| (frame.kind, frame.number, frame.previous) == (GROUP, at.frame + 1, at.chain);
        Ok(self.head(at.offset)?.filter(follows).map(|frame| Position {
            offset: at.offset + FRAME_HEAD_BYTES as u64 + u64::from(frame.length),
            frame: frame.number,
            chain: frame.checksum,
            ..*at
        }))
    }

    /// Returns whether bytes look like all the frames after a place, up to a number, although something in them is
    /// wrong.
    pub(crate) fn resembles_frames(&self, at: &Position, bytes: &[u8], last: u64) -> bool {
        let (mut rest, mut previous) = (bytes, Some(at.chain));
        for expected in at.frame + 1..=last {
            let mut from = Decoder(rest);
            let (kind, _, number, found) = (from.u32(), from.u32(), from.u64(), from.u32());
            let right = [kind == Some(GROUP), number == Some(expected), found == previous.or(found)];
            let end = self.end_of(rest).filter(|_| right.into_iter().filter(|is_right| *is_right).count() > 1);
            match end.and_then(|end| rest.get(end..)) {
                Some(after) => (previous, rest) = (None, after),
                None => return false,
            }
        }
        true
    }

    /// Returns where the frame ends that begins these bytes; `None` if it was cut off. One bit of its length may be
    /// wrong.
    fn end_of(&self, bytes: &[u8]) -> Option<usize> {
        let mut head: [u8; FRAME_HEAD_BYTES] = *bytes.first_chunk()?;
        let length = Frame::length_in(&head);
        let end = |length: u32| Some(FRAME_HEAD_BYTES + length as usize).filter(|end| *end <= bytes.len());
        let mut is_right = |length: u32, end: usize| {
            head[4..8].copy_from_slice(&length.to_le_bytes());
            let checksum = u32::from_le_bytes([head[20], head[21], head[22], head[23]]);
            self.checksum(&head, &bytes[FRAME_HEAD_BYTES..end]) == checksum
        };
        end(length).or_else(|| {
            let others = (0..u32::BITS).map(|bit| length ^ (1 << bit));
            others
                .filter_map(|length| Some((length, end(length)?)))
                .find(|(length, end)| is_right(*length, *end))
                .map(|(_, end)| end)
        })
    }

    /// Returns whether a frame seems to begin at a place.
    pub(crate) fn has_head(&self, at: &Position) -> io::Result<bool> {
        Ok(self.skip(at)?.is_some())
    }

    /// Returns whether its path still refers to this file in this use: it still has the last frame, which begins at an
    /// offset and ends at the place, or it is still new.
    pub(crate) fn is_intact_in_place(&self, last: Option<(u64, Position)>) -> io::Result<bool> {
        Ok(self.is_in_place()? && self.is_intact(last)?)
    }

    /// Returns whether this file is still in this use: it still has the last frame, or it is still new.
    pub(crate) fn is_intact(&self, last: Option<(u64, Position)>) -> io::Result<bool> {
        let Some((offset, after)) = last else { return Ok(read_header(&*self.file, self.magic)? == Some(self.header)) };
        let frame = self.head(offset)?;
        Ok(frame.is_some_and(|frame| (frame.number, frame.checksum) == (after.frame, after.chain)))
    }

    /// Returns whether a different whole frame with the same number is in the place of the last one.
    pub(crate) fn has_different_frame(&self, offset: u64, after: &Position) -> io::Result<bool> {
        let Some(frame) = self.head(offset)? else { return Ok(false) };
        let before = Position { frame: after.frame - 1, chain: frame.previous, offset, ..*after };
        Ok(matches!(self.read(&before)?, NextFrame::Group(_, other) if other.chain != after.chain))
    }

    /// Returns whether its path still refers to this file.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        self.file.is_at(&self.path)
    }

    /// Returns the head of a frame at an offset, if there is one.
    fn head(&self, offset: u64) -> io::Result<Option<Frame>> {
        let mut head = [0; FRAME_HEAD_BYTES];
        self.file.read_full(&mut head, offset)?;
        Ok(Frame::parse(&head))
    }

    /// Makes the frame of a group for the place after `at`, and returns where it ends.
    pub(crate) fn frame(&self, at: &Position, commits: &[Commit]) -> (Vec<u8>, Position) {
        let mut payload = Encoder(vec![0; FRAME_HEAD_BYTES]);
        payload.number(commits.len() as u64);
        commits.iter().for_each(|commit| commit.write(&mut payload));
        self.frame_again(at, commits, payload.0)
    }

    /// Makes the frame of a group for another place from `frame`, which was made for the first one, so that large bodies
    /// are not encoded twice.
    pub(crate) fn frame_again(&self, at: &Position, commits: &[Commit], frame: Vec<u8>) -> (Vec<u8>, Position) {
        let (bytes, checksum) = self.seal(GROUP, at, frame);
        let after = Position {
            generation: at.generation,
            offset: at.offset + bytes.len() as u64,
            frame: at.frame + 1,
            chain: checksum,
            commits: at.commits + commits.len() as u64,
        };
        (bytes, after)
    }

    /// Makes the frame which says, after `at`, that the journal continues elsewhere.
    pub(crate) fn end(&self, at: &Position) -> Vec<u8> {
        self.seal(END, at, vec![0; FRAME_HEAD_BYTES]).0
    }

    /// Finds whole frames after a place where none begins, in order.
    ///
    /// A frame is only written once the one before it is durable. So if a later one exists, the content at this place
    /// was durable too and was damaged since; if none exists, it never was.
    pub(crate) fn frames_beyond(&self, at: &Position) -> io::Result<Vec<WholeFrame>> {
        let mut frames = self.whole_groups(at.offset)?;
        frames.retain(|frame| frame.number > at.frame + 1);
        frames.sort_by_key(|frame| frame.number);
        Ok(frames)
    }

    /// Returns every whole frame of a group after an offset, wherever it begins.
    pub fn whole_groups(&self, offset: u64) -> io::Result<Vec<WholeFrame>> {
        let rest = self.file.read_range(offset, u64::MAX)?;
        let mut found = Vec::new();
        let heads =
            rest.windows(FRAME_HEAD_BYTES).enumerate().filter(|(_, head)| head.starts_with(&GROUP.to_le_bytes()));
        for (start, head) in heads {
            let Some(frame) = Frame::parse(head) else { continue };
            let payload = start + FRAME_HEAD_BYTES;
            let payload = rest.get(payload..payload + frame.length as usize);
            if payload.is_some_and(|payload| self.checksum(head, payload) == frame.checksum) {
                let Frame { number, previous, checksum, .. } = frame;
                found.push(WholeFrame { number, previous, checksum, offset: offset + start as u64 });
            }
        }
        Ok(found)
    }

    /// Fills in the head of a frame.
    fn seal(&self, kind: u32, at: &Position, mut bytes: Vec<u8>) -> (Vec<u8>, u32) {
        let length = (bytes.len() - FRAME_HEAD_BYTES) as u32;
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..16].copy_from_slice(&(at.frame + 1).to_le_bytes());
        bytes[16..20].copy_from_slice(&at.chain.to_le_bytes());
        let checksum = self.checksum(&bytes, &bytes[FRAME_HEAD_BYTES..]);
        bytes[20..24].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    fn checksum(&self, head: &[u8], payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.header.salt.to_le_bytes());
        hasher.update(head.get(..FRAME_HEAD_BYTES - 4).unwrap_or_default());
        hasher.update(payload);
        hasher.finalize()
    }
}

/// Returns a number that no other use of a segment has.
pub fn salt(sources: &Sources) -> u64 {
    let mut bytes = [0; 16];
    sources.ids.fill(&mut bytes);
    bytes.iter().fold(0, |salt, byte| salt << 4 ^ salt >> 60 ^ u64::from(*byte))
}

/// Writes zeros: flushing an overwrite does not have to update the file's length, as flushing an append does.
fn fill(file: &dyn WritableFile, room: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    (0..room).step_by(zeros.len()).try_for_each(|offset| {
        let rest = usize::try_from(room - offset).unwrap_or(zeros.len()).min(zeros.len());
        file.write_at(zeros.get(..rest).unwrap_or_default(), offset)
    })
}

fn read_header(file: &dyn ReadableFile, magic: Magic) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES as usize];
    let count = file.read_full(&mut bytes, 0)?;
    Ok(bytes.get(..count).and_then(|bytes| Header::parse(bytes, magic)))
}

/// Returns whether nothing is where the header of a segment should be, or the file is gone.
pub fn is_blank(files: &dyn Files, path: &Path) -> bool {
    match files.open(path) {
        Ok(file) => file.read_range(0, HEADER_BYTES).is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Returns whether the bytes seem to contain every group frame with some numbers, to its end.
pub(crate) fn contain_frames(bytes: &[u8], mut numbers: RangeInclusive<u64>) -> bool {
    let heads = bytes.windows(FRAME_HEAD_BYTES).enumerate().filter(|(_, head)| head.starts_with(&GROUP.to_le_bytes()));
    let frames = heads.filter_map(|(start, head)| Some((start + FRAME_HEAD_BYTES, Frame::parse(head)?)));
    let whole = frames.filter(|(start, frame)| start + frame.length as usize <= bytes.len());
    let held: HashSet<u64> = whole.map(|(_, frame)| frame.number).collect();
    numbers.all(|number| held.contains(&number))
}

/// Returns whether the frame that follows a place is in a segment whose header is damaged, as far as can be seen.
pub(crate) fn continues_without_header(files: &dyn Files, layout: &Layout, at: &Position) -> Result<bool> {
    let whole: Vec<_> = Segment::of_any_store(files, layout)?.into_iter().map(|segment| segment.path).collect();
    let headless = segment_files(files, layout)?.into_iter().filter(|path| !whole.contains(path));
    let is_next = |frame: Frame| (frame.kind, frame.number, frame.previous) == (GROUP, at.frame + 1, at.chain);
    let has_next = |path: PathBuf| {
        // A folder or a link in the place of a segment holds nothing.
        let bytes = files.read(&path).ok().flatten().unwrap_or_default();
        bytes.windows(FRAME_HEAD_BYTES).any(|head| Frame::parse(head).is_some_and(is_next))
    };
    Ok(headless.into_iter().any(has_next))
}

/// Returns whether any file named like a segment contains a byte other than zero.
pub(crate) fn any_segment_has_data(files: &dyn Files, layout: &Layout) -> Result<bool> {
    let is_used = |path: PathBuf| !matches!(files.read(&path), Ok(Some(bytes)) if bytes.iter().all(|byte| *byte == 0));
    Ok(segment_files(files, layout)?.into_iter().any(is_used))
}

/// Returns every file named like a segment, whatever it contains.
pub fn segment_files(files: &dyn Files, layout: &Layout) -> Result<Vec<PathBuf>> {
    let folder = layout.folder();
    let names = files.list(folder).during("listing", folder)?.into_iter().map(|entry| entry.name);
    Ok(names.filter(|name| name.starts_with(PREFIX)).map(|name| folder.join(name)).collect())
}

/// Returns the path of the first segment name that is not in use.
pub(crate) fn unused_path(files: &dyn Files, layout: &Layout) -> Result<PathBuf> {
    let taken = segment_files(files, layout)?;
    let path = |number: u64| layout.folder().join(format!("{PREFIX}{number}"));
    Ok((0..).map(path).find(|path| !taken.contains(path)).unwrap_or_default())
}

/// A frame that was found by searching.
#[derive(Clone, Copy, Debug)]
pub struct WholeFrame {
    /// Its number.
    pub number: u64,
    /// The checksum of the frame before it.
    pub previous: u32,
    /// Its own checksum.
    pub checksum: u32,
    /// Where it begins.
    pub offset: u64,
}

/// The head of a frame.
struct Frame {
    kind: u32,
    length: u32,
    number: u64,
    previous: u32,
    checksum: u32,
}

impl Frame {
    fn length_in(head: &[u8; FRAME_HEAD_BYTES]) -> u32 {
        u32::from_le_bytes([head[4], head[5], head[6], head[7]])
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let mut from = Decoder(head);
        let kind = from.u32()?;
        let frame =
            Self { kind, length: from.u32()?, number: from.u64()?, previous: from.u32()?, checksum: from.u32()? };
        matches!(kind, GROUP | END).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use nofx_core::{Batch, BatchId, Body, Expect, Kind, LogKey, NewEntry, RecordKey, Timestamp};

    use super::*;
    use crate::sim::Sim;

    const STORE: StoreId = StoreId::from_bytes([9; 16]);
    const ROOM: u64 = 2048;

    fn layout() -> Layout {
        Layout::new("journal", *b"nofx-fs\x01")
    }

    fn sim() -> Sim {
        let sim = Sim::default();
        sim.make_dir(layout().folder()).unwrap();
        sim
    }

    fn commit(number: u8) -> Commit {
        let note = RecordKey::new(Kind::of("note"), "a").unwrap();
        let talk = LogKey::new(Kind::of("talk"), "t").unwrap();
        let entry = NewEntry { at: Timestamp::from_millis(-2), body: Body::trusted("7") };
        let batch = Batch::new(BatchId::from_bytes([number; 16]));
        let batch = batch.put(note, Expect::Any, Body::trusted("{}")).append(talk.clone(), vec![entry]).seal(talk);
        Commit::of(batch, Seq::new(u64::from(number)), |_| 300)
    }

    /// Begins the next generation after a place, and writes a group of one commit for each number.
    fn begun(sim: &Sim, at: &Position, applied: u64, numbers: &[u8]) -> (Segment, Vec<Position>) {
        let header = Header::after(at, STORE, at.generation + 77, Seq::new(5));
        let (segment, file) = Segment::begin_next(sim, &layout(), header, applied, ROOM, Spares::TakeLast).unwrap();
        let mut places = vec![header.start];
        for number in numbers {
            let at = places[places.len() - 1];
            let (frame, after) = segment.frame(&at, &[commit(*number)]);
            file.write_at(&frame, at.offset).unwrap();
            places.push(after);
        }
        file.sync().unwrap();
        (segment, places)
    }

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    /// The same bytes as in `docs/format/journal.md`, spelled out again.
    #[test]
    fn a_header_and_a_frame_have_the_bytes_of_the_page() {
        let at = Position { generation: 2, offset: 700, frame: 40, chain: 0xabcd, commits: 50 };
        let (segment, places) = begun(&sim(), &at, 0, &[6]);
        let bytes = segment.file.read_range(0, u64::MAX).unwrap();
        assert_eq!(bytes.len() as u64, ROOM);

        let numbers = [2 + 77, 3, 40, 50, 5_u64].map(u64::to_le_bytes).concat();
        let head = joined(&[b"nofx-fs\x01", &[9; 16], &numbers, &0xabcd_u32.to_le_bytes()]);
        let mut header = joined(&[&head, &crc32fast::hash(&head).to_le_bytes()]);
        header.resize(512, 0);
        assert_eq!(&bytes[..512], &header[..]);

        // One batch, its id and number; a record with its body; one log with an entry at 300; one log sealed, none removed.
        let record = b"\x01\x04note\x01a\x02{}";
        let entries = b"\x01\x04talk\x01t\xac\x02\x01\x03\x017";
        let payload = joined(&[b"\x01", &[6; 16], b"\x06", record, entries, b"\x01\x04talk\x01t\x00"]);
        let kind = 0x7067_6e01_u32.to_le_bytes();
        let length = (payload.len() as u32).to_le_bytes();
        let head = joined(&[&kind, &length, &41_u64.to_le_bytes(), &0xabcd_u32.to_le_bytes()]);
        let checksum = crc32fast::hash(&joined(&[&79_u64.to_le_bytes(), &head, &payload]));
        let frame = joined(&[&head, &checksum.to_le_bytes(), &payload]);
        assert_eq!(&bytes[512..512 + frame.len()], &frame[..]);
        assert!(bytes[512 + frame.len()..].iter().all(|byte| *byte == 0));
        let after =
            Position { generation: 3, offset: 512 + frame.len() as u64, frame: 41, chain: checksum, commits: 51 };
        assert_eq!(places[1], after);

        let head = joined(&[&0x7067_6e02_u32.to_le_bytes(), &[0; 4], &42_u64.to_le_bytes(), &checksum.to_le_bytes()]);
        let checksum = crc32fast::hash(&joined(&[&79_u64.to_le_bytes(), &head]));
        assert_eq!(segment.end(&after), joined(&[&head, &checksum.to_le_bytes()]));
    }

    #[test]
    fn frames_come_back_in_their_order_and_nowhere_else() {
        let (segment, places) = begun(&sim(), &Position::default(), 0, &[1, 2, 3]);
        for (number, pair) in (1..).zip(places.windows(2)) {
            assert_eq!(segment.read(&pair[0]).unwrap(), NextFrame::Group(vec![commit(number)], pair[1]));
        }
        assert_eq!(segment.read(&places[3]).unwrap(), NextFrame::Nothing);
        // The frame of a different place, and one that follows a different frame.
        let elsewhere = Position { offset: places[1].offset, ..places[0] };
        let forked = Position { chain: places[1].chain ^ 1, ..places[1] };
        assert_eq!(segment.read(&elsewhere).unwrap(), NextFrame::Nothing);
        assert_eq!(segment.read(&forked).unwrap(), NextFrame::Nothing);
    }

    #[test]
    fn a_group_is_stepped_over_whatever_became_of_its_commits() {
        let sim = sim();
        let (segment, places) = begun(&sim, &Position::default(), 0, &[1, 2]);
        let skipped = |at: &Position| segment.skip(at).unwrap();
        let behind = |at: usize| Some(Position { commits: places[at - 1].commits, ..places[at] });
        assert_eq!((skipped(&places[0]), skipped(&places[1]), skipped(&places[2])), (behind(1), behind(2), None));
        sim.tamper(segment.path.to_str().unwrap(), |bytes| bytes[places[0].offset as usize + FRAME_HEAD_BYTES] ^= 1);
        assert_eq!((segment.read(&places[0]).unwrap(), skipped(&places[0])), (NextFrame::Nothing, behind(1)));
        // Another checksum than the next head repeats, another place, another number.
        sim.tamper(segment.path.to_str().unwrap(), |bytes| bytes[places[0].offset as usize + 20] ^= 1);
        assert_eq!(skipped(&skipped(&places[0]).unwrap()), None);
        assert_eq!(skipped(&Position { offset: places[1].offset, ..places[0] }), None);
        assert_eq!(skipped(&Position { frame: 7, ..places[1] }), None);
    }

    #[test]
    fn every_flipped_bit_of_a_frame_and_every_cut_makes_it_none() {
        let sim = sim();
        let (segment, places) = begun(&sim, &Position::default(), 0, &[1]);
        let path = segment.path.to_str().unwrap();
        let (from, to) = (places[0].offset as usize, places[1].offset as usize);
        for at in from..to {
            for bit in 0..8 {
                sim.tamper(path, |bytes| bytes[at] ^= 1 << bit);
                assert_eq!(segment.read(&places[0]).unwrap(), NextFrame::Nothing, "bit {bit} of byte {at}");
                sim.tamper(path, |bytes| bytes[at] ^= 1 << bit);
            }
            let whole = segment.file.read_range(0, u64::MAX).unwrap();
            sim.tamper(path, |bytes| bytes.truncate(at));
            assert_eq!(segment.read(&places[0]).unwrap(), NextFrame::Nothing, "cut at {at}");
            sim.tamper(path, |bytes| *bytes = whole);
        }
        assert_eq!(segment.read(&places[0]).unwrap(), NextFrame::Group(vec![commit(1)], places[1]));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let sim = sim();
        let (segment, _) = begun(&sim, &Position::default(), 0, &[]);
        let path = segment.path.to_str().unwrap();
        for at in 0..72 {
            sim.tamper(path, |bytes| bytes[at] ^= 1 << (at % 8));
            assert_eq!(Segment::all(&sim, &layout(), STORE).unwrap().len(), 0, "byte {at}");
            sim.tamper(path, |bytes| bytes[at] ^= 1 << (at % 8));
        }
        assert_eq!(Segment::all(&sim, &layout(), STORE).unwrap()[0].header, segment.header);
    }

    #[test]
    fn what_an_earlier_generation_left_is_no_frame_of_this_one() {
        let sim = sim();
        let (first, places) = begun(&sim, &Position::default(), 0, &[1, 2]);
        // The same place of the same file, but for the salt.
        let header = Header { salt: first.header.salt + 1, ..first.header };
        let (again, _) = Segment::begin(&sim, &layout(), first.path.clone(), header, ROOM).unwrap();
        assert_eq!(
            first.read(&places[0]).unwrap(),
            NextFrame::Group(vec![commit(1)], places[1]),
            "it still stands there"
        );
        assert_eq!(again.read(&places[0]).unwrap(), NextFrame::Nothing);
        assert!(again.whole_groups(HEADER_BYTES).unwrap().is_empty());
    }

    #[test]
    fn frames_behind_damage_are_found() {
        let sim = sim();
        let (segment, places) = begun(&sim, &Position::default(), 0, &[1, 2, 3]);
        assert!(segment.frames_beyond(&places[3]).unwrap().is_empty());
        sim.tamper(segment.path.to_str().unwrap(), |bytes| bytes[places[0].offset as usize + 30] ^= 1);
        let found = segment.frames_beyond(&places[0]).unwrap();
        assert_eq!(
            found.iter().map(|frame| (frame.number, frame.offset)).collect::<Vec<_>>(),
            [(2, places[1].offset), (3, places[2].offset)]
        );
    }

    #[test]
    fn the_journal_goes_on_in_the_generation_that_follows() {
        let sim = sim();
        let (_, places) = begun(&sim, &Position::default(), 0, &[1]);
        assert!(Segment::next(&sim, &layout(), STORE, &places[1]).unwrap().is_none());
        let (second, _) = begun(&sim, &places[1], 0, &[2]);
        assert_eq!(Segment::next(&sim, &layout(), STORE, &places[1]).unwrap().unwrap().header, second.header);
        assert!(
            Segment::next(&sim, &layout(), STORE, &Position { chain: 1, ..places[1] }).unwrap().is_none(),
            "behind another frame"
        );
        assert!(
            Segment::next(&sim, &layout(), StoreId::from_bytes([1; 16]), &places[1]).unwrap().is_none(),
            "of another store"
        );
    }

    #[test]
    fn a_segment_is_used_again_only_once_the_base_holds_all_of_it() {
        let sim = sim();
        let (first, places) = begun(&sim, &Position::default(), 0, &[1, 2]);
        let (second, places) = begun(&sim, &places[2], 1, &[3]);
        assert_ne!(second.path, first.path, "it is the only one");
        let (third, places) = begun(&sim, &places[1], 1, &[4]);
        assert!(third.path != first.path && third.path != second.path, "the base holds the first frame of two");
        let (fourth, _) = begun(&sim, &places[1], 2, &[5]);
        assert_eq!(fourth.path, first.path);
        assert_eq!(Segment::newest_run(&sim, &layout(), STORE).unwrap().len(), 3);
    }

    #[test]
    fn surplus_segments_go_and_two_are_kept() {
        let sim = sim();
        let mut at = Position::default();
        for number in 1..8 {
            at = begun(&sim, &at, 0, &[number]).1[1];
        }
        assert_eq!(segment_files(&sim, &layout()).unwrap().len(), 7);
        begun(&sim, &at, 7, &[]);
        let left: Vec<_> =
            Segment::all(&sim, &layout(), STORE).unwrap().iter().map(|one| one.header.start.generation).collect();
        assert_eq!(left, [5, 6, 7, 8]);
    }

    #[test]
    fn a_generation_whose_beginning_cannot_be_flushed_is_none() {
        let sim = sim();
        sim.set_faults(|faults| faults.fail_flush = Some(1));
        let header = Header::after(&Position::default(), STORE, 1, None);
        assert_eq!(
            Segment::begin_next(&sim, &layout(), header, 0, ROOM, Spares::TakeLast).unwrap_err().code(),
            "unavailable"
        );
        assert!(Segment::all(&sim, &layout(), STORE).unwrap().is_empty());
    }

    #[test]
    fn a_segment_for_which_there_is_no_room_leaves_no_file() {
        let sim = sim();
        sim.set_faults(|faults| faults.room = Some(1000));
        let header = Header::after(&Position::default(), STORE, 1, None);
        assert_eq!(
            Segment::begin_next(&sim, &layout(), header, 0, 1 << 20, Spares::TakeLast).unwrap_err().code(),
            "full"
        );
        assert!(
            segment_files(&sim, &layout()).unwrap().is_empty()
                || is_blank(&sim, &segment_files(&sim, &layout()).unwrap()[0])
        );
    }

    /// The system shows what a failed flush left in memory, until the power fails.
    #[test]
    fn what_a_failed_flush_left_is_on_the_disk_once_it_was_written_again() {
        for is_written_again in [false, true] {
            let sim = sim();
            let (segment, places) = begun(&sim, &Position::default(), 0, &[]);
            let file = sim.edit(&segment.path).unwrap();
            let (frame, after) = segment.frame(&places[0], &[commit(1)]);
            file.write_at(&frame, places[0].offset).unwrap();
            sim.set_faults(|faults| faults.fail_flush = Some(1));
            file.sync().unwrap_err();
            if is_written_again {
                segment.write_again(&*file, places[0].offset, after.offset).unwrap();
            }
            file.sync().unwrap();
            assert_ne!(segment.read(&places[0]).unwrap(), NextFrame::Nothing);
            let left = Sim::holding(sim.platter().flushed());
            let left = Segment::all(&left, &layout(), STORE).unwrap();
            assert_eq!(left[0].read(&places[0]).unwrap() != NextFrame::Nothing, is_written_again);
        }
    }
}
