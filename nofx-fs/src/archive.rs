//! A sealed log: its lines compressed by zstd in pieces, and a table of the pieces.
//!
//! The table is at the end, in a frame that zstd's own tools skip. So `zstd -dc` prints the lines, and a page only
//! reads the pieces that it needs. Pieces and table have checksums.

use std::io;

use nofx_core::Timestamp;
use nofx_journal::codec::{Decoder, Encoder};
use nofx_journal::files::ReadableFile;

use crate::LIMITS;

/// The minimum size of the text that is compressed together.
const PIECE_BYTES: usize = 1 << 18;
/// The upper limit of a piece's size: it ends with the line that exceeds the minimum, and quoting turns one byte into
/// at most six.
const MAX_PIECE_BYTES: usize = PIECE_BYTES + 6 * LIMITS.body_bytes + 1024;
const LEVEL: i32 = 3;
/// The first of the magic numbers of frames that zstd skips.
const SKIPPABLE: u32 = 0x184D_2A50;
const MAGIC: &[u8; 8] = b"nofxseal";
/// The end of the file: length and checksum of the table, then [`MAGIC`].
const FOOTER_BYTES: usize = 16;

/// A group of compressed lines.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    /// The position of its first entry.
    first: u64,
    offset: u64,
    compressed: u64,
    plain: u64,
    checksum: u32,
}

/// Builds the bytes of a sealed log from its lines.
#[derive(Debug, Default)]
pub(crate) struct ArchiveWriter {
    done: Vec<u8>,
    pieces: Vec<Piece>,
    plain: Vec<u8>,
    /// The position of the first entry in `plain`.
    first: u64,
    length: u64,
    last_at: Option<Timestamp>,
}

impl ArchiveWriter {
    /// Starts with the heading of the log, if it has one.
    pub(crate) fn new(heading: Vec<u8>) -> Self {
        Self { plain: heading, ..Self::default() }
    }

    /// Adds the line of the next entry, including its line end.
    pub(crate) fn push(&mut self, line: &[u8], at: Timestamp) -> io::Result<()> {
        self.plain.extend_from_slice(line);
        self.length += 1;
        self.last_at = Some(at);
        if self.plain.len() >= PIECE_BYTES { self.compress() } else { Ok(()) }
    }

    fn compress(&mut self) -> io::Result<()> {
        let compressed = zstd::bulk::compress(&self.plain, LEVEL)?;
        self.pieces.push(Piece {
            first: self.first,
            offset: self.done.len() as u64,
            compressed: compressed.len() as u64,
            plain: self.plain.len() as u64,
            checksum: crc32fast::hash(&compressed),
        });
        self.done.extend_from_slice(&compressed);
        self.plain.clear();
        self.first = self.length;
        Ok(())
    }

    /// Returns the whole file.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        // An empty log has one empty piece, so that `zstd -dc` finds a frame.
        if !self.plain.is_empty() || self.pieces.is_empty() {
            self.compress()?;
        }
        let mut table = Encoder::default();
        table.number(self.length);
        table.number(u64::from(self.last_at.is_some()));
        table.time(self.last_at.unwrap_or_default());
        table.number(self.pieces.len() as u64);
        for piece in &self.pieces {
            for number in [piece.first, piece.offset, piece.compressed, piece.plain, u64::from(piece.checksum)] {
                table.number(number);
            }
        }
        let length = u32::try_from(table.0.len()).map_err(io::Error::other)?;
        let mut done = self.done;
        done.extend_from_slice(&SKIPPABLE.to_le_bytes());
        done.extend_from_slice(&(length + FOOTER_BYTES as u32).to_le_bytes());
        done.extend_from_slice(&table.0);
        done.extend_from_slice(&length.to_le_bytes());
        done.extend_from_slice(&crc32fast::hash(&table.0).to_le_bytes());
        done.extend_from_slice(MAGIC);
        Ok(done)
    }
}

/// The table of a sealed log.
#[derive(Debug, PartialEq)]
pub(crate) struct Archive {
    pub(crate) length: u64,
    pub(crate) last_at: Option<Timestamp>,
    pieces: Vec<Piece>,
}

impl Archive {
    /// Reads the table; `None` if it is damaged.
    pub(crate) fn open(file: &dyn ReadableFile) -> io::Result<Option<Self>> {
        let length = file.len()?;
        let Some(footer_at) = length.checked_sub(FOOTER_BYTES as u64) else { return Ok(None) };
        let footer = file.read_range(footer_at, length)?;
        let mut from = Decoder(&footer);
        let (Some(size), Some(checksum), true) = (from.u32(), from.u32(), from.0 == MAGIC) else { return Ok(None) };
        let Some(table_at) = footer_at.checked_sub(u64::from(size)) else { return Ok(None) };
        let table = file.read_range(table_at, footer_at)?;
        Ok((crc32fast::hash(&table) == checksum).then(|| Self::parse(&table)).flatten())
    }

    fn parse(table: &[u8]) -> Option<Self> {
        let mut from = Decoder(table);
        let (length, has_time, at) = (from.number()?, from.number()? == 1, from.time()?);
        let pieces = (0..from.count()?).map(|_| {
            Some(Piece {
                first: from.number()?,
                offset: from.number()?,
                compressed: from.number()?,
                plain: from.number()?,
                checksum: u32::try_from(from.number()?).ok()?,
            })
        });
        Some(Self { length, pieces: pieces.collect::<Option<_>>()?, last_at: has_time.then_some(at) })
    }

    /// Returns the number of pieces. The first one contains the heading too.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Returns the index of the piece that contains a position.
    pub(crate) fn piece_of(&self, position: u64) -> usize {
        self.pieces.partition_point(|piece| piece.first <= position).saturating_sub(1)
    }

    /// Returns the position of the first entry of a piece.
    pub(crate) fn first(&self, piece: usize) -> u64 {
        self.pieces.get(piece).map_or(self.length, |piece| piece.first)
    }

    /// Reads the lines of a piece; `None` if it is damaged.
    pub(crate) fn read(&self, file: &dyn ReadableFile, piece: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(piece) = self.pieces.get(piece) else { return Ok(None) };
        let compressed = file.read_range(piece.offset, piece.offset.saturating_add(piece.compressed))?;
        if crc32fast::hash(&compressed) != piece.checksum {
            return Ok(None);
        }
        Ok(unpack(&compressed, piece.plain))
    }
}

/// Decompresses a piece of a given length; `None` if its length differs, or exceeds that of any piece.
fn unpack(compressed: &[u8], length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_PIECE_BYTES)?;
    zstd::bulk::decompress(compressed, length).ok().filter(|plain| plain.len() == length)
}

/// Returns the lines of a sealed log without using its table, which may be damaged, and whether a table seems to follow
/// them; `None` if a piece is damaged.
pub(crate) fn all_lines(mut bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut plain = Vec::new();
    while bytes.starts_with(&zstd::zstd_safe::MAGICNUMBER.to_le_bytes()) {
        let (piece, rest) = bytes.split_at_checked(zstd::zstd_safe::find_frame_compressed_size(bytes).ok()?)?;
        // Each piece contains its length.
        plain.extend(unpack(piece, zstd::zstd_safe::get_frame_content_size(piece).ok()??)?);
        bytes = rest;
    }
    Some((plain, bytes.starts_with(&SKIPPABLE.to_le_bytes())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use nofx_journal::files::{Disk, WritableFiles};

    #[test]
    fn pieces_are_found_and_every_flipped_byte_is_noticed() {
        let line = |n: u64| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", "y".repeat(n as usize % 999));
        let mut writer = ArchiveWriter::new(Vec::new());
        (0..2000).for_each(|n| writer.push(line(n).as_bytes(), Timestamp::from_millis(n as i64)).unwrap());
        let bytes = writer.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = Disk::new(dir.path()).edit(Path::new("x")).unwrap();
        file.write_at(&bytes, 0).unwrap();
        let archive = Archive::open(&*file).unwrap().unwrap();
        assert_eq!((archive.length, archive.last_at), (2000, Some(Timestamp::from_millis(1999))));
        assert!(archive.pieces() > 2);
        let whole: String = (0..2000).map(line).collect();
        assert_eq!(all_lines(&bytes[..bytes.len() - 1]), Some((whole.into_bytes(), true)));
        let piece = archive.piece_of(1500);
        let text = String::from_utf8(archive.read(&*file, piece).unwrap().unwrap()).unwrap();
        let at = (1500 - archive.first(piece)) as usize;
        assert_eq!(text.lines().nth(at), Some(line(1500).trim_end()));
        for at in (0..bytes.len()).step_by(7) {
            file.write_at(&[bytes[at] ^ 1], at as u64).unwrap();
            let whole = Archive::open(&*file).unwrap().is_some_and(|archive| {
                (0..archive.pieces()).all(|piece| archive.read(&*file, piece).unwrap().is_some())
            });
            // The header of the skippable frame is not used.
            let in_skip_head = bytes[at.saturating_sub(7)..].starts_with(&SKIPPABLE.to_le_bytes())
                || (at.saturating_sub(7)..=at).any(|start| bytes[start..].starts_with(&SKIPPABLE.to_le_bytes()));
            assert!(!whole || in_skip_head, "byte {at}");
            file.write_at(&[bytes[at]], at as u64).unwrap();
        }
    }

    #[test]
    fn a_piece_that_does_not_say_its_length_or_says_too_much_is_not_unpacked() {
        use std::io::Write as _;
        let mut unsaid = zstd::stream::Encoder::new(Vec::new(), LEVEL).unwrap();
        unsaid.write_all(&[b'x'; 10_000]).unwrap();
        assert_eq!(all_lines(&unsaid.finish().unwrap()), None);
        let bomb = zstd::bulk::compress(&vec![b'x'; MAX_PIECE_BYTES + 1], LEVEL).unwrap();
        assert!(bomb.len() < 1 << 20, "it is small before it is unpacked");
        assert_eq!(all_lines(&bomb), None);
        assert_eq!(unpack(&bomb, 1 << 40), None);
        let fits = zstd::bulk::compress(&[b'x'; 10_000], LEVEL).unwrap();
        assert_eq!(unpack(&fits, 10_000), Some(vec![b'x'; 10_000]));
        assert_eq!(unpack(&fits, 10_001), None);
    }

    #[test]
    fn an_empty_log_is_an_archive_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = Disk::new(dir.path()).edit(Path::new("x")).unwrap();
        file.write_at(&ArchiveWriter::new(Vec::new()).finish().unwrap(), 0).unwrap();
        assert_eq!(Archive::open(&*file).unwrap().unwrap().length, 0);
    }
}
