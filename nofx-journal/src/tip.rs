//! The tip: what processes tell each other about the journal, in a small file that is never flushed.

use std::io;

use crate::codec::Decoder;
use crate::files::{Boot, ReadableFile, WritableFile};
use crate::follower::TRIES;
use crate::segment::Position;

/// What processes tell each other through `journal/tip`, which is never flushed: how far the journal is durable, and
/// how much of it the base holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// How far the journal is durable.
    pub durable: Position,
    /// The boot in which this was written, where boots can be identified.
    pub boot: Option<Boot>,
    /// The last frame that the base holds.
    pub applied: u64,
}

/// The offset of the second half of the tip; each half has one writer at a time.
const APPLIED_AT: u64 = 64;

impl Tip {
    /// Reads the tip, and again while another process is writing it. `None` if it cannot be read.
    pub(crate) fn read_whole(file: &dyn ReadableFile) -> Option<Self> {
        for _ in 0..TRIES {
            match Self::read(file).ok()? {
                None => std::thread::yield_now(),
                tip => return tip,
            }
        }
        None
    }

    /// Reads the tip; `None` if it is incomplete.
    pub fn read(file: &dyn ReadableFile) -> io::Result<Option<Self>> {
        let mut bytes = [0; 2 * APPLIED_AT as usize];
        // In one call: if a read is short, the checksums show it, and a second read would only serve to find the end.
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

    /// Reports that the journal is durable up to a place. Only for the holder of the commit lock.
    pub(crate) fn write_durable(file: &dyn WritableFile, durable: &Position, boot: Option<Boot>) -> io::Result<()> {
        let mut bytes = boot.unwrap_or(NO_BOOT).to_vec();
        for number in [durable.generation, durable.offset, durable.frame, durable.commits] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&durable.chain.to_le_bytes());
        file.write_at(&with_checksum(bytes), 0)
    }

    /// Reports that the base holds every frame up to `applied`. Only for the holder of the apply lock.
    pub(crate) fn write_applied(file: &dyn WritableFile, applied: u64) -> io::Result<()> {
        file.write_at(&with_checksum(applied.to_le_bytes().to_vec()), APPLIED_AT)
    }
}

/// The value in the tip where boots cannot be identified.
const NO_BOOT: Boot = [0; 16];

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn checked(bytes: &[u8], length: usize) -> Option<Decoder<'_>> {
    let mut from = Decoder(bytes);
    let content = from.take(length)?;
    (from.u32()? == crc32fast::hash(content)).then_some(Decoder(content))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::files::WritableFiles;
    use crate::sim::Sim;

    const PLACE: Position = Position { generation: 3, offset: 700, frame: 41, chain: 0xabcd, commits: 50 };

    fn written(boot: Option<Boot>) -> (Sim, Arc<dyn WritableFile>) {
        let sim = Sim::default();
        let file = sim.edit(Path::new("tip")).unwrap();
        Tip::write_durable(&*file, &PLACE, boot).unwrap();
        Tip::write_applied(&*file, 40).unwrap();
        (sim, file)
    }

    #[test]
    fn a_tip_has_the_bytes_of_the_page_and_comes_back() {
        for boot in [None, Some([7; 16])] {
            let (_, file) = written(boot);
            let numbers = [3, 700, 41, 50_u64].map(u64::to_le_bytes).concat();
            let mut first = [boot.unwrap_or_default().as_slice(), &numbers, &0xabcd_u32.to_le_bytes()].concat();
            first.extend(crc32fast::hash(&first).to_le_bytes());
            first.resize(64, 0);
            first.extend(40_u64.to_le_bytes());
            first.extend(crc32fast::hash(&40_u64.to_le_bytes()).to_le_bytes());
            assert_eq!(file.read_range(0, u64::MAX).unwrap(), first);
            assert_eq!(Tip::read(&*file).unwrap(), Some(Tip { durable: PLACE, boot, applied: 40 }));
        }
    }

    #[test]
    fn a_tip_that_is_torn_is_none_and_half_of_it_reports_nothing_as_applied() {
        let (sim, file) = written(Some([7; 16]));
        for at in 0..76 {
            sim.tamper("tip", |bytes| bytes[at] ^= 4);
            let expected = match at {
                ..56 => None,
                56..64 => Some(40),
                _ => Some(0),
            };
            assert_eq!(Tip::read(&*file).unwrap().map(|tip| tip.applied), expected, "byte {at}");
            sim.tamper("tip", |bytes| bytes[at] ^= 4);
        }
        sim.tamper("tip", |bytes| bytes.truncate(64));
        assert_eq!(Tip::read(&*file).unwrap().map(|tip| tip.applied), Some(0));
        sim.tamper("tip", Vec::clear);
        assert_eq!(Tip::read(&*file).unwrap(), None);
    }
}
