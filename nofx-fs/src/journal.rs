//! The journal: the commit point, in segments that are used again and again.
//!
//! `docs/format/fs.md` shows the bytes. A segment is a header and frames behind it; each frame carries the checksum of the
//! frame before, and the salt of its segment enters its own, so that what an earlier use left behind is never taken for
//! a frame of this one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{Result, Seq, StoreId};

use crate::codec::{Commit, Reader, Writer};
use crate::fault::{During, is_of_the_file};
use crate::files::{Boot, Files, Handle, Layer, Opened};
use crate::layout;

/// Where the frames of a segment begin.
pub(crate) const HEADER_BYTES: u64 = 512;
/// The bytes of a frame before its payload: kind, length, number, checksum of the frame before, checksum.
const FRAME_BYTES: usize = 24;
const MAGIC: &[u8; 8] = b"nofx-fs\x01";
/// A frame that holds a group.
const GROUP: u32 = 0x7067_6e01;
/// A frame that says that the journal goes on in the next generation.
const END: u32 = 0x7067_6e02;
const PREFIX: &str = "segment-";

/// A place in the journal: behind a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which use of a segment.
    pub(crate) generation: u64,
    /// Bytes before the place.
    pub(crate) offset: u64,
    /// The number of the frame before it, counted from one through all generations.
    pub(crate) frame: u64,
    /// The checksum of that frame.
    pub(crate) chain: u32,
    /// How many batches were committed before it.
    pub(crate) commits: u64,
}

impl Position {
    /// Returns whether the same frame is before both places.
    pub(crate) fn is_same_frame(&self, other: &Self) -> bool {
        (self.frame, self.chain) == (other.frame, other.chain)
    }
}

/// How a generation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store: StoreId,
    pub(crate) salt: u64,
    /// Where its first frame will be.
    pub(crate) start: Position,
    pub(crate) last_seq: Option<Seq>,
}

impl Header {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
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

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.take(MAGIC.len())? != MAGIC {
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
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn Opened>,
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    /// How long the file is.
    pub(crate) room: u64,
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// A group, and the place behind it.
    Group(Vec<Commit>, Position),
    /// The journal goes on in the next generation.
    End,
    /// Nothing that was ever written whole.
    Nothing,
}

impl Segment {
    /// Returns every segment of a store that can be read, the oldest generation first.
    ///
    /// A generation whose beginning could not be flushed may be there twice; the one that was used comes later.
    pub(crate) fn all(files: &dyn Files, store: StoreId) -> Result<Vec<Self>> {
        let mut all = Self::of_any_store(files)?;
        all.retain(|segment| segment.header.store == store);
        all.sort_by_cached_key(|segment| (segment.header.start.generation, segment.is_used()));
        Ok(all)
    }

    /// Returns every segment that has a header, in no order.
    pub(crate) fn of_any_store(files: &dyn Files) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for path in segment_files(files)? {
            let file = match files.open(&path) {
                // Another process removed a spare one meanwhile; or it is damage, which the journal's frames show.
                Err(error) if error.kind() == io::ErrorKind::NotFound || is_of_the_file(&error) => continue,
                file => file.during("opening", &path)?,
            };
            if let Some(header) = read_header(&*file).during("reading", &path)? {
                let room = file.len().during("measuring", &path)?;
                found.push(Self { file, path, header, room });
            }
        }
        Ok(found)
    }

    /// Returns whether it seems to hold a group.
    pub(crate) fn is_used(&self) -> bool {
        self.has_head(&self.header.start).unwrap_or(true)
    }

    /// Returns the segments whose generations follow each other without a gap, up to the newest.
    ///
    /// What is before a gap is not needed any more: the file of the generation in the gap was used again or removed since.
    pub(crate) fn newest_run(files: &dyn Files, store: StoreId) -> Result<Vec<Self>> {
        let mut all = Self::all(files, store)?;
        let generation = |segment: &Self| segment.header.start.generation;
        let gap = all.windows(2).rposition(|pair| generation(&pair[0]) + 1 < generation(&pair[1]));
        Ok(all.split_off(gap.map_or(0, |at| at + 1)))
    }

    /// Returns whether the journal has another frame in the place of the last one before a place. `false` where it does not
    /// reach back that far.
    pub(crate) fn denies(files: &dyn Files, store: StoreId, at: &Position) -> Result<bool> {
        let run = Self::newest_run(files, store)?;
        let Some(segment) = run.iter().rfind(|segment| segment.header.start.frame <= at.frame) else {
            return Ok(false);
        };
        let mut position = segment.header.start;
        while position.frame < at.frame
            && let Found::Group(_, after) = segment.read(&position).during("reading", &segment.path)?
        {
            position = after;
        }
        Ok(position.frame == at.frame && position.chain != at.chain)
    }

    /// Begins a generation in a segment that nobody needs any more, or in a new one. Durable on return.
    ///
    /// Returns it with its file, for writing.
    pub(crate) fn begin(
        layer: &dyn Layer,
        path: PathBuf,
        header: Header,
        room: u64,
    ) -> Result<(Self, Arc<dyn Handle>)> {
        let file = layer.edit(&path).during("opening", &path)?;
        let length = file.len().during("measuring", &path)?;
        let is_new = length < room;
        if is_new && let Err(error) = fill(&*file, room) {
            if length == 0 {
                // Without a header it would be nobody's, and each try would leave one.
                _ = layer.remove(&path);
            }
            return Err(error).during("filling", &path);
        }
        file.write_at(&header.to_bytes(), 0).during("writing", &path)?;
        if let Err(error) = file.sync() {
            // Nobody can tell what of it is on the disk, so nobody shall go on in it.
            _ = file.write_at(&[0; HEADER_BYTES as usize], 0);
            return Err(error).during("flushing", &path);
        }
        // Only now that nobody can need what it held before.
        if length > room {
            file.set_len(room).during("cutting", &path)?;
        }
        if is_new {
            layer.sync_dir(Path::new(layout::JOURNAL)).during("flushing", Path::new(layout::JOURNAL))?;
        }
        Ok((Self { file: file.clone(), path, header, room }, file))
    }

    /// Reads what stands behind `at`.
    pub(crate) fn read(&self, at: &Position) -> io::Result<Found> {
        let mut head = [0; FRAME_BYTES];
        if self.file.read_full(&mut head, at.offset)? < FRAME_BYTES {
            return Ok(Found::Nothing);
        }
        let Some(frame) = Frame::parse(&head) else { return Ok(Found::Nothing) };
        if frame.number != at.frame + 1 || frame.previous != at.chain {
            return Ok(Found::Nothing);
        }
        let start = at.offset + FRAME_BYTES as u64;
        let payload = self.file.read_range(start, start + u64::from(frame.length))?;
        if payload.len() as u64 != u64::from(frame.length) || frame.checksum != self.checksum(&head, &payload) {
            return Ok(Found::Nothing);
        }
        if frame.kind == END {
            return Ok(Found::End);
        }
        let mut from = Reader(&payload);
        let commits: Option<Vec<_>> =
            from.count().and_then(|count| (0..count).map(|_| Commit::read(&mut from)).collect());
        let Some(commits) = commits else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("frame {} cannot be understood", frame.number),
            ));
        };
        let after = Position {
            generation: at.generation,
            offset: start + u64::from(frame.length),
            frame: frame.number,
            chain: frame.checksum,
            commits: at.commits + commits.len() as u64,
        };
        Ok(Found::Group(commits, after))
    }

    /// Returns whether bytes look like the frame behind a place, though something of it is wrong.
    pub(crate) fn resembles_frame(&self, at: &Position, bytes: &[u8]) -> bool {
        let mut from = Reader(bytes);
        let (kind, _, number, previous) = (from.u32(), from.u32(), from.u64(), from.u32());
        let right = [kind == Some(GROUP), number == Some(at.frame + 1), previous == Some(at.chain)];
        right.into_iter().filter(|is_right| *is_right).count() > 1
    }

    /// Returns whether a frame seems to begin at a place.
    pub(crate) fn has_head(&self, at: &Position) -> io::Result<bool> {
        let frame = self.head(at.offset)?;
        Ok(frame.is_some_and(|frame| (frame.kind, frame.number, frame.previous) == (GROUP, at.frame + 1, at.chain)))
    }

    /// Returns whether its path still names this file, and that this use of it: it has the last frame, which begins at an
    /// offset and ends at the place, or else it is still new.
    pub(crate) fn stands(&self, last: Option<(u64, Position)>) -> io::Result<bool> {
        if !self.is_in_place()? {
            return Ok(false);
        }
        let Some((offset, after)) = last else { return Ok(read_header(&*self.file)? == Some(self.header)) };
        let frame = self.head(offset)?;
        Ok(frame.is_some_and(|frame| (frame.number, frame.checksum) == (after.frame, after.chain)))
    }

    /// Returns whether another whole frame of the same number stands where the last one did.
    pub(crate) fn has_other(&self, offset: u64, after: &Position) -> io::Result<bool> {
        let Some(frame) = self.head(offset)? else { return Ok(false) };
        let before = Position { frame: after.frame - 1, chain: frame.previous, offset, ..*after };
        Ok(matches!(self.read(&before)?, Found::Group(_, other) if other.chain != after.chain))
    }

    /// Returns whether its path still names this file.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        self.file.is_at(&self.path)
    }

    /// Returns the head of a frame at an offset, if there is one.
    fn head(&self, offset: u64) -> io::Result<Option<Frame>> {
        let mut head = [0; FRAME_BYTES];
        self.file.read_full(&mut head, offset)?;
        Ok(Frame::parse(&head))
    }

    /// Makes the frame of a group that goes behind `at`, and says where it ends.
    pub(crate) fn frame(&self, at: &Position, commits: &[Commit]) -> (Vec<u8>, Position) {
        let mut payload = Writer(vec![0; FRAME_BYTES]);
        payload.number(commits.len() as u64);
        commits.iter().for_each(|commit| commit.write(&mut payload));
        let (bytes, checksum) = self.seal(GROUP, at, payload.0);
        let after = Position {
            generation: at.generation,
            offset: at.offset + bytes.len() as u64,
            frame: at.frame + 1,
            chain: checksum,
            commits: at.commits + commits.len() as u64,
        };
        (bytes, after)
    }

    /// Makes the frame that says, behind `at`, that the journal goes on elsewhere.
    pub(crate) fn end(&self, at: &Position) -> Vec<u8> {
        self.seal(END, at, vec![0; FRAME_BYTES]).0
    }

    /// Looks for whole frames behind a place where none begins, in their order.
    ///
    /// A frame is only written once the one before it is durable. So if there is one, what stands at the place was durable
    /// too and was damaged since; if there is none, it never was.
    pub(crate) fn frames_beyond(&self, at: &Position) -> io::Result<Vec<WholeFrame>> {
        let mut frames = self.whole_groups(at.offset)?;
        frames.retain(|frame| frame.number > at.frame + 1);
        frames.sort_by_key(|frame| frame.number);
        Ok(frames)
    }

    /// Returns every whole frame of a group behind an offset, wherever it begins.
    pub(crate) fn whole_groups(&self, offset: u64) -> io::Result<Vec<WholeFrame>> {
        let rest = self.file.read_range(offset, u64::MAX)?;
        let mut found = Vec::new();
        let heads = rest.windows(FRAME_BYTES).enumerate().filter(|(_, head)| head.starts_with(&GROUP.to_le_bytes()));
        for (start, head) in heads {
            let Some(frame) = Frame::parse(head) else { continue };
            let payload = start + FRAME_BYTES;
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
        let length = (bytes.len() - FRAME_BYTES) as u32;
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..16].copy_from_slice(&(at.frame + 1).to_le_bytes());
        bytes[16..20].copy_from_slice(&at.chain.to_le_bytes());
        let checksum = self.checksum(&bytes, &bytes[FRAME_BYTES..]);
        bytes[20..24].copy_from_slice(&checksum.to_le_bytes());
        (bytes, checksum)
    }

    fn checksum(&self, head: &[u8], payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.header.salt.to_le_bytes());
        hasher.update(head.get(..FRAME_BYTES - 4).unwrap_or_default());
        hasher.update(payload);
        hasher.finalize()
    }
}

/// Writes zeros: overwriting them needs no change of the file's length when it is flushed, which appending does.
fn fill(file: &dyn Handle, room: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    (0..room).step_by(zeros.len()).try_for_each(|offset| {
        let rest = usize::try_from(room - offset).unwrap_or(zeros.len()).min(zeros.len());
        file.write_at(zeros.get(..rest).unwrap_or_default(), offset)
    })
}

fn read_header(file: &dyn Opened) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES as usize];
    let count = file.read_full(&mut bytes, 0)?;
    Ok(bytes.get(..count).and_then(Header::parse))
}

/// Returns whether nothing stands where the header of a segment should be, or no file is there any more.
pub(crate) fn is_blank(files: &dyn Files, path: &Path) -> bool {
    match files.open(path) {
        Ok(file) => file.read_range(0, HEADER_BYTES).is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Returns every file that is called a segment, whatever it holds.
pub(crate) fn segment_files(files: &dyn Files) -> Result<Vec<PathBuf>> {
    let folder = Path::new(layout::JOURNAL);
    let names = files.list(folder).during("listing", folder)?.into_iter().map(|entry| entry.name);
    Ok(names.filter(|name| name.starts_with(PREFIX)).map(|name| folder.join(name)).collect())
}

/// Returns the path of the first segment that no name is given to yet.
pub(crate) fn unused_path(files: &dyn Files) -> Result<PathBuf> {
    let taken = segment_files(files)?;
    let path = |number: u64| Path::new(layout::JOURNAL).join(format!("{PREFIX}{number}"));
    Ok((0..).map(path).find(|path| !taken.contains(path)).unwrap_or_default())
}

/// A frame that was found by looking for one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeFrame {
    pub(crate) number: u64,
    /// The checksum of the frame before it.
    pub(crate) previous: u32,
    pub(crate) checksum: u32,
    pub(crate) offset: u64,
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
    fn parse(head: &[u8]) -> Option<Self> {
        let mut from = Reader(head);
        let kind = from.u32()?;
        let frame =
            Self { kind, length: from.u32()?, number: from.u64()?, previous: from.u32()?, checksum: from.u32()? };
        matches!(kind, GROUP | END).then_some(frame)
    }
}

/// What processes tell each other through `journal/tip`, which is never flushed: how far the journal is durable, and how far the other
/// files hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) durable: Position,
    /// The start of the system in which this was told, where that has a name.
    pub(crate) boot: Option<Boot>,
    /// The last frame that the other files hold.
    pub(crate) applied: u64,
}

/// Where the second half of the tip stands; each half has one writer at a time.
const APPLIED_AT: u64 = 64;

impl Tip {
    /// Reads the tip; `None` if it is not whole.
    pub(crate) fn read(file: &dyn Opened) -> io::Result<Option<Self>> {
        let mut bytes = [0; 2 * APPLIED_AT as usize];
        // In one go: what a read lacks, the checksums notice, and a second one would be there only to find the end.
        file.read_at(&mut bytes, 0)?;
        let (durable, applied) = bytes.split_at(APPLIED_AT as usize);
        let durable = checked(durable, 52).and_then(|mut from| {
            let boot: Boot = from.take(16)?.try_into().ok()?;
            let (generation, offset, frame, commits) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
            let durable = Position { generation, offset, frame, chain: from.u32()?, commits };
            Some(Self { durable, boot: (boot != NO_BOOT).then_some(boot), applied: 0 })
        });
        let applied = checked(applied, 8).and_then(|mut from| from.u64()).unwrap_or_default();
        Ok(durable.map(|durable| Self { applied, ..durable }))
    }

    /// Tells that the journal is durable up to a place. Only for the holder of the lock.
    pub(crate) fn tell_durable(file: &dyn Handle, durable: &Position, boot: Option<Boot>) -> io::Result<()> {
        let mut bytes = boot.unwrap_or(NO_BOOT).to_vec();
        for number in [durable.generation, durable.offset, durable.frame, durable.commits] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&durable.chain.to_le_bytes());
        file.write_at(&with_checksum(bytes), 0)
    }

    /// Tells that the files hold every frame up to `applied`. Only for the holder of the lock for applying.
    pub(crate) fn tell_applied(file: &dyn Handle, applied: u64) -> io::Result<()> {
        file.write_at(&with_checksum(applied.to_le_bytes().to_vec()), APPLIED_AT)
    }
}

/// What stands in the tip where starts of the system have no name.
const NO_BOOT: Boot = [0; 16];

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn checked(bytes: &[u8], length: usize) -> Option<Reader<'_>> {
    let mut from = Reader(bytes);
    let content = from.take(length)?;
    (from.u32()? == crc32fast::hash(content)).then_some(Reader(content))
}
