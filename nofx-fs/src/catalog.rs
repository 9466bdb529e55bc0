//! The catalog: every key with its version or head, in one file that is derived, so it can be rebuilt from the others.
//!
//! The first block contains everything. Each time the journal is applied, a block with the changes is appended. Each
//! block has a checksum and the frame of the journal up to which it is complete; blocks after a damaged one are not
//! read. Records of index kinds are stored here with their bodies: opening then needs no other file for them, and
//! either file can be rebuilt from the other.

use std::path::Path;

use nofx_core::{Body, LogKey, LogState, RecordKey, Result, Seq};
use nofx_journal::base::Mark;
use nofx_journal::codec::{Decoder, Encoder};
use nofx_journal::fault::During;
use nofx_journal::files::WritableFiles;

use crate::layout;
use crate::listed::{Listed, LogSlot, RecordSlot};

const HEAD_BYTES: usize = 8;
/// The catalog is rewritten when the changes exceed this and the size of the first block.
const CHANGES_BYTES: u64 = 1 << 18;

/// The type of an item: a record, one with its body, or a log in one of its states.
const RECORD: u64 = 0;
const OPEN: u64 = 1;
const SEALED: u64 = 2;
const REMOVED: u64 = 3;
const WHOLE: u64 = 4;

/// Where the next block goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The length of the first block.
    first: u64,
    pub(crate) end: u64,
}

impl Extent {
    /// Returns whether the catalog should be rewritten.
    pub(crate) fn is_worn(&self) -> bool {
        self.end - self.first > CHANGES_BYTES.max(self.first)
    }
}

/// The new state of a key.
#[derive(Debug)]
pub(crate) enum CatalogItem<'a> {
    /// A record, with its version unless it is gone, and its body if it shares a file.
    Record(&'a RecordKey, Option<Seq>, Option<&'a Body>),
    Log(&'a LogKey, &'a LogSlot),
}

/// Builds a block that is complete up to a mark.
pub(crate) fn block<'a>(mark: &Mark, index_bytes: u64, items: impl Iterator<Item = CatalogItem<'a>>) -> Vec<u8> {
    let mut out = Encoder(vec![0; HEAD_BYTES]);
    for number in [mark.frame, u64::from(mark.chain), mark.commits, mark.last_seq.map_or(0, Seq::get), index_bytes] {
        out.number(number);
    }
    for item in items {
        match item {
            CatalogItem::Record(key, version, body) => {
                let body = body.filter(|_| layout::is_index(key.kind()));
                out.number(if body.is_some() { WHOLE } else { RECORD });
                out.key(key);
                out.number(version.map_or(0, Seq::get));
                if let Some(body) = body {
                    out.bytes(body.as_str().as_bytes());
                }
            }
            CatalogItem::Log(log, slot) => {
                out.number(match slot.state {
                    LogState::Open => OPEN,
                    LogState::Sealed => SEALED,
                    LogState::Removed => REMOVED,
                });
                out.key(log);
                // An unknown log has no length that could be relied on.
                out.number(if slot.is_unknown { u64::MAX } else { slot.length });
                out.number(slot.bytes);
                out.number(u64::from(slot.last_at.is_some()));
                out.time(slot.last_at.unwrap_or_default());
            }
        }
    }
    let length = (out.0.len() - HEAD_BYTES) as u32;
    let checksum = checksum(out.0.get(HEAD_BYTES..).unwrap_or_default());
    out.0[..4].copy_from_slice(&length.to_le_bytes());
    out.0[4..8].copy_from_slice(&checksum.to_le_bytes());
    out.0
}

/// Lists everything that the files hold.
pub(crate) fn everything(listed: &Listed) -> impl Iterator<Item = CatalogItem<'_>> {
    let records = listed.records.iter().map(|(key, slot)| {
        // A damaged record has no version that could be relied on.
        let version = if slot.damaged { Seq::new(u64::MAX) } else { Some(slot.version) };
        CatalogItem::Record(key, version, slot.body.as_ref())
    });
    records.chain(listed.logs.iter().map(|(log, slot)| CatalogItem::Log(log, slot)))
}

/// Replaces the catalog by one block. The name is not durable yet.
pub(crate) fn replace(writable: &dyn WritableFiles, block: &[u8]) -> Result<Extent> {
    let path = Path::new(layout::CATALOG);
    writable.replace(path, block).during("writing", path)?;
    Ok(Extent { first: block.len() as u64, end: block.len() as u64 })
}

/// Appends a block, durably.
pub(crate) fn append(writable: &dyn WritableFiles, extent: Extent, block: &[u8]) -> Result<Extent> {
    let path = Path::new(layout::CATALOG);
    let file = writable.edit(path).during("opening", path)?;
    file.write_at(block, extent.end).during("writing", path)?;
    file.sync().during("flushing", path)?;
    Ok(Extent { end: extent.end + block.len() as u64, ..extent })
}

/// Reads a whole catalog; `None` if it begins with no readable block: everything in it can be rebuilt from the other
/// files.
pub(crate) fn read(bytes: &[u8]) -> Option<(Listed, Extent)> {
    let (mut rest, mut listed, mut extent) = (Decoder(bytes), Listed::default(), Extent::default());
    while let Some(content) = next_block(&mut rest) {
        take_block(content, &mut listed)?;
        extent.end = (bytes.len() - rest.0.len()) as u64;
        if extent.first == 0 {
            extent.first = extent.end;
        }
    }
    (extent.end > 0).then_some((listed, extent))
}

/// Takes in the blocks that were appended since, as far as they are complete. `None` if one has an unknown content.
pub(crate) fn read_on(bytes: &[u8], listed: &mut Listed, extent: &mut Extent) -> Option<()> {
    let (mut rest, start) = (Decoder(bytes), extent.end);
    while let Some(content) = next_block(&mut rest) {
        take_block(content, listed)?;
        extent.end = start + (bytes.len() - rest.0.len()) as u64;
    }
    Some(())
}

/// Returns whether a complete block begins these bytes.
pub(crate) fn has_block(bytes: &[u8]) -> bool {
    next_block(&mut Decoder(bytes)).is_some()
}

fn next_block<'a>(rest: &mut Decoder<'a>) -> Option<&'a [u8]> {
    let mut from = *rest;
    let (length, checksum) = (from.u32()?, from.u32()?);
    let content = from.take(length as usize)?;
    // No block is empty, but zeros would look like one.
    (!content.is_empty() && self::checksum(content) == checksum).then(|| {
        *rest = from;
        content
    })
}

/// The checksum covers a prefix that identifies this layout, so that a catalog of another layout is rewritten instead
/// of misread.
fn checksum(content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"nofx catalog 2");
    hasher.update(content);
    hasher.finalize()
}

fn take_block(content: &[u8], listed: &mut Listed) -> Option<()> {
    let mut from = Decoder(content);
    let mark = Mark {
        frame: from.number()?,
        chain: u32::try_from(from.number()?).ok()?,
        commits: from.number()?,
        last_seq: from.seq()?,
        is_complete: false,
    };
    let index_bytes = from.number()?;
    let (mut records, mut logs) = (Vec::new(), Vec::new());
    while !from.0.is_empty() {
        match from.number()? {
            shape @ (RECORD | WHOLE) => {
                let (key, version): (RecordKey, _) = (from.key()?, from.seq()?);
                let body = if shape == WHOLE { Some(Body::trusted(from.text()?)) } else { None };
                let slot = version.map(|version| RecordSlot { version, body, damaged: version.get() == u64::MAX });
                records.push((key, slot));
            }
            shape => {
                let log: LogKey = from.key()?;
                let (length, bytes, has_time, at) = (from.number()?, from.number()?, from.number()?, from.time()?);
                let log_state = match shape {
                    OPEN => LogState::Open,
                    SEALED => LogState::Sealed,
                    REMOVED => LogState::Removed,
                    _ => return None,
                };
                let last_at = (has_time == 1).then_some(at);
                let is_unknown = length == u64::MAX;
                let length = if is_unknown { 0 } else { length };
                logs.push((log, LogSlot { state: log_state, length, last_at, bytes, is_unknown }));
            }
        }
    }
    (listed.mark, listed.index_bytes) = (mark, index_bytes);
    if listed.records.is_empty() && listed.logs.is_empty() {
        // The items are sorted, so the maps are built at once.
        listed.records = records.into_iter().filter_map(|(key, slot)| Some((key, slot?))).collect();
        listed.logs = logs.into_iter().collect();
        return Some(());
    }
    records.into_iter().for_each(|(key, slot)| listed.put(key, slot));
    listed.logs.extend(logs);
    Some(())
}
