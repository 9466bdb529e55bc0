//! The catalog: every key with its version or head, in one file that is derived, so it can be rebuilt from the others.
//!
//! It begins with everything, sorted, in **pages**; a head before them says where each begins and with which key. So a
//! key is found by reading one page. Each time the journal is applied, a block with the changes is appended. The head,
//! each page and each block have checksums; head and blocks have the frame of the journal up to which they are complete.
//! Blocks after a damaged one are not read. Records of index kinds are stored here with their bodies: reading them then
//! needs no other file, and either file can be rebuilt from the other.

use std::path::Path;
use std::sync::Arc;

use nofx_core::{Body, Key, LogKey, LogState, RecordKey, Result, Seq};
use nofx_journal::base::Mark;
use nofx_journal::codec::{Decoder, Encoder};
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::files::{ReadableFile, WritableFiles};

use crate::known::{Known, Page, Pages};
use crate::layout;
use crate::listed::{Listed, LogSlot, RecordSlot};

const HEAD_BYTES: usize = 8;
/// The catalog is rewritten when the changes exceed this and a quarter of the rest: every process keeps them in memory.
const CHANGES_BYTES: u64 = 1 << 18;
/// The size at which a page ends.
const PAGE_BYTES: usize = 8 << 10;
/// How much is read at first, in the hope that the head is not longer.
const FIRST_READ: u64 = 64 << 10;
/// What precedes everything that a checksum covers, so that a catalog of another layout is rewritten instead of misread.
const LAYOUT: &[u8] = b"nofx catalog 3";
/// The layout of earlier versions: one block with everything in the place of the head and its pages.
const BEFORE: &[u8] = b"nofx catalog 2";

/// The type of an item: a record, one with its body, or a log in one of its states.
const RECORD: u64 = 0;
const OPEN: u64 = 1;
const SEALED: u64 = 2;
const REMOVED: u64 = 3;
const WHOLE: u64 = 4;

/// Where the next block goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The end of the pages.
    first: u64,
    pub(crate) end: u64,
}

impl Extent {
    /// Returns whether the catalog should be rewritten.
    pub(crate) fn is_worn(&self) -> bool {
        self.end - self.first > CHANGES_BYTES.max(self.first / 4)
    }
}

/// The new state of a key.
#[derive(Debug)]
pub(crate) enum CatalogItem<'a> {
    /// A record, with its version unless it is gone, and its body if it shares a file.
    Record(&'a RecordKey, Option<Seq>, Option<&'a Body>),
    Log(&'a LogKey, &'a LogSlot),
}

/// What is read of a catalog: records and logs with their new states; `None` for a record that is gone.
type Items = (Vec<(RecordKey, Option<RecordSlot>)>, Vec<(LogKey, Option<LogSlot>)>);

/// Builds a block of changes that is complete up to a mark.
pub(crate) fn block<'a>(mark: &Mark, index_bytes: u64, items: impl Iterator<Item = CatalogItem<'a>>) -> Vec<u8> {
    let mut out = begin(mark, index_bytes);
    items.for_each(|item| write(&item, &mut out));
    end(out)
}

/// Builds a whole catalog.
pub(crate) fn whole(listed: &Listed) -> Vec<u8> {
    let mut pages = Vec::new();
    let records = listed.records.iter().map(|(key, slot)| {
        // A damaged record has no version that could be relied on.
        let version = if slot.damaged { Seq::new(u64::MAX) } else { Some(slot.version) };
        (key, CatalogItem::Record(key, version, slot.body.as_ref()))
    });
    let mut out = begin(&listed.mark, listed.index_bytes);
    write_pages(records, &mut out, &mut pages);
    write_pages(listed.logs.iter().map(|(log, slot)| (log, CatalogItem::Log(log, slot))), &mut out, &mut pages);
    let mut bytes = end(out);
    bytes.append(&mut pages);
    bytes
}

/// Writes items to pages, and to the head what is needed to find them.
fn write_pages<'a, K: Key>(
    items: impl Iterator<Item = (&'a K, CatalogItem<'a>)>,
    head: &mut Encoder,
    pages: &mut Vec<u8>,
) {
    let mut fences = Vec::new();
    let mut page: Option<(&K, Encoder)> = None;
    let mut finish = |page: Option<(&'a K, Encoder)>| {
        let Some((first, Encoder(bytes))) = page else { return };
        fences.push((first, bytes.len(), checksum(LAYOUT, &bytes)));
        pages.extend(bytes);
    };
    for (key, item) in items {
        if page.as_ref().is_some_and(|(_, bytes)| bytes.0.len() >= PAGE_BYTES) {
            finish(page.take());
        }
        write(&item, &mut page.get_or_insert_with(|| (key, Encoder::default())).1);
    }
    finish(page);
    head.number(fences.len() as u64);
    for (first, length, checksum) in fences {
        head.key(first);
        head.number(length as u64);
        head.number(u64::from(checksum));
    }
}

fn begin(mark: &Mark, index_bytes: u64) -> Encoder {
    let mut out = Encoder(vec![0; HEAD_BYTES]);
    for number in [mark.frame, u64::from(mark.chain), mark.commits, mark.last_seq.map_or(0, Seq::get), index_bytes] {
        out.number(number);
    }
    out
}

/// Writes length and checksum of a head or block before it.
fn end(mut out: Encoder) -> Vec<u8> {
    let length = (out.0.len() - HEAD_BYTES) as u32;
    let checksum = checksum(LAYOUT, out.0.get(HEAD_BYTES..).unwrap_or_default());
    out.0[..4].copy_from_slice(&length.to_le_bytes());
    out.0[4..8].copy_from_slice(&checksum.to_le_bytes());
    out.0
}

fn write(item: &CatalogItem<'_>, out: &mut Encoder) {
    match item {
        CatalogItem::Record(key, version, body) => {
            let body = body.filter(|_| layout::is_index(key.kind()));
            out.number(if body.is_some() { WHOLE } else { RECORD });
            out.key(*key);
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
            out.key(*log);
            // An unknown log has no length that could be relied on.
            out.number(if slot.is_unknown { u64::MAX } else { slot.length });
            out.number(slot.bytes);
            out.number(u64::from(slot.last_at.is_some()));
            out.time(slot.last_at.unwrap_or_default());
        }
    }
}

/// Replaces the catalog. The name is not durable yet.
pub(crate) fn replace(writable: &dyn WritableFiles, bytes: &[u8]) -> Result<()> {
    let path = Path::new(layout::CATALOG);
    writable.replace(path, bytes).during("writing", path)
}

/// Appends a block, durably.
pub(crate) fn append(writable: &dyn WritableFiles, extent: Extent, block: &[u8]) -> Result<()> {
    let path = Path::new(layout::CATALOG);
    let file = writable.edit(path).during("opening", path)?;
    file.write_at(block, extent.end).during("writing", path)?;
    file.sync().during("flushing", path)
}

/// Reads a catalog, except for its pages, which are read as they are needed. `None` if it cannot be read: everything in
/// it can be rebuilt from the other files.
pub(crate) fn read(file: &Arc<dyn ReadableFile>) -> Result<Option<(Known, Option<Extent>)>> {
    match try_read(file) {
        Err(error) if is_of_the_file(&error) => Ok(None),
        found => found.during("reading", Path::new(layout::CATALOG)),
    }
}

fn try_read(file: &Arc<dyn ReadableFile>) -> std::io::Result<Option<(Known, Option<Extent>)>> {
    let mut bytes = file.read_range(0, FIRST_READ)?;
    let Some(length) = Decoder(&bytes).u32() else { return Ok(None) };
    let head_end = HEAD_BYTES as u64 + u64::from(length);
    if head_end > bytes.len() as u64 {
        bytes.extend(file.read_range(bytes.len() as u64, head_end)?);
    }
    let mut from = Decoder(&bytes);
    let Some(content) = next_block(&mut from, LAYOUT) else {
        return Ok(read_before(&file.read_range(0, u64::MAX)?).map(|known| (known, None)));
    };
    let Some((mut known, pages_end)) = read_head(file, content, head_end) else { return Ok(None) };
    let mut extent = Extent { first: pages_end, end: pages_end };
    if file.len()? < pages_end {
        return Ok(None);
    }
    let changes = file.read_range(pages_end, u64::MAX)?;
    Ok(read_on(&changes, &mut known, &mut extent).map(|()| (known, Some(extent))))
}

fn read_head(file: &Arc<dyn ReadableFile>, content: &[u8], mut at: u64) -> Option<(Known, u64)> {
    let mut from = Decoder(content);
    let (mark, index_bytes) = read_mark(&mut from)?;
    let (records, logs) = (read_fences(&mut from, &mut at)?, read_fences(&mut from, &mut at)?);
    from.0.is_empty().then(|| (Known::new(mark, index_bytes, Pages::new(file, records, logs)), at))
}

fn read_fences<K: Listable>(from: &mut Decoder<'_>, at: &mut u64) -> Option<Vec<Page<K>>> {
    let mut pages = Vec::new();
    for _ in 0..from.count()? {
        let (first, start) = (from.key()?, *at);
        *at = at.checked_add(from.number()?)?;
        pages.push(Page::new(first, start..*at, u32::try_from(from.number()?).ok()?));
    }
    Some(pages)
}

/// Reads a catalog of earlier versions, which is rewritten when something is applied.
fn read_before(bytes: &[u8]) -> Option<Known> {
    let (mut rest, mut known) = (Decoder(bytes), None);
    while let Some(content) = next_block(&mut rest, BEFORE) {
        take_block(content, known.get_or_insert_with(Known::default))?;
    }
    known
}

/// Takes in the blocks that were appended since, as far as they are complete. `None` if one has an unknown content.
pub(crate) fn read_on(bytes: &[u8], known: &mut Known, extent: &mut Extent) -> Option<()> {
    let (mut rest, start) = (Decoder(bytes), extent.end);
    while let Some(content) = next_block(&mut rest, LAYOUT) {
        take_block(content, known)?;
        extent.end = start + (bytes.len() - rest.0.len()) as u64;
    }
    Some(())
}

/// Returns whether a complete block begins these bytes.
pub(crate) fn has_block(bytes: &[u8]) -> bool {
    next_block(&mut Decoder(bytes), LAYOUT).is_some()
}

fn next_block<'a>(rest: &mut Decoder<'a>, layout: &[u8]) -> Option<&'a [u8]> {
    let mut from = *rest;
    let (length, checksum) = (from.u32()?, from.u32()?);
    let content = from.take(length as usize)?;
    // No block is empty, but zeros would look like one.
    (!content.is_empty() && self::checksum(layout, content) == checksum).then(|| {
        *rest = from;
        content
    })
}

fn checksum(layout: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(layout);
    hasher.update(content);
    hasher.finalize()
}

fn read_mark(from: &mut Decoder<'_>) -> Option<(Mark, u64)> {
    let mark = Mark {
        frame: from.number()?,
        chain: u32::try_from(from.number()?).ok()?,
        commits: from.number()?,
        last_seq: from.seq()?,
        is_complete: false,
    };
    Some((mark, from.number()?))
}

fn take_block(content: &[u8], known: &mut Known) -> Option<()> {
    let mut from = Decoder(content);
    let (mark, index_bytes) = read_mark(&mut from)?;
    let (records, logs) = items(from)?;
    known.take(mark, index_bytes, records, logs);
    Some(())
}

fn items(mut from: Decoder<'_>) -> Option<Items> {
    let (mut records, mut logs) = (Vec::new(), Vec::new());
    // All bodies share one allocation: one each would take most of the time of reading many.
    let (mut bodies, mut ends) = (String::with_capacity(from.0.len()), Vec::new());
    while !from.0.is_empty() {
        match from.number()? {
            shape @ (RECORD | WHOLE) => {
                let (key, version): (RecordKey, _) = (from.key()?, from.seq()?);
                if shape == WHOLE {
                    bodies.push_str(from.text()?);
                    ends.push(bodies.len());
                }
                records.push((key, version, shape == WHOLE));
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
                logs.push((log, Some(LogSlot { state: log_state, length, last_at, bytes, is_unknown })));
            }
        }
    }
    let mut bodies = Body::trusted_parts(bodies, ends);
    let slot = |(key, version, is_whole): (RecordKey, Option<Seq>, bool)| {
        let body = if is_whole { bodies.next() } else { None };
        (key, version.map(|version| RecordSlot { version, body, damaged: version.get() == u64::MAX }))
    };
    Some((records.into_iter().map(slot).collect(), logs))
}

/// A key that a catalog lists.
pub(crate) trait Listable: Key {
    type Slot: Clone;

    /// Reads a page; `None` if it is not what was written.
    fn read_page(bytes: &[u8]) -> Option<Vec<(Self, Self::Slot)>>;
}

impl Listable for RecordKey {
    type Slot = RecordSlot;

    fn read_page(bytes: &[u8]) -> Option<Vec<(Self, RecordSlot)>> {
        let (records, logs) = items(Decoder(bytes))?;
        logs.is_empty().then(|| records.into_iter().filter_map(|(key, slot)| Some((key, slot?))).collect())
    }
}

impl Listable for LogKey {
    type Slot = LogSlot;

    fn read_page(bytes: &[u8]) -> Option<Vec<(Self, LogSlot)>> {
        let (records, logs) = items(Decoder(bytes))?;
        records.is_empty().then(|| logs.into_iter().filter_map(|(log, slot)| Some((log, slot?))).collect())
    }
}

/// Returns whether the bytes of a page are those that were written.
pub(crate) fn is_intact(page: &[u8], expected: u32) -> bool {
    checksum(LAYOUT, page) == expected
}

#[cfg(test)]
mod tests {
    use nofx_core::{Direction, KeyQuery, Kind, LogScan, ScanQuery, Timestamp, kind};
    use nofx_journal::base::SnapshotError;
    use nofx_journal::files::Files;
    use nofx_journal::sim::{Dice, Sim};

    use super::*;

    const KINDS: [Kind; 3] = [kind::AGENT, kind::TEMPLATE_NAME, kind::HISTORY];

    fn key<K: Key>(number: u64) -> K {
        K::new(KINDS[number as usize % 3].clone(), format!("{:03}", number / 3)).unwrap()
    }

    fn slot(key: &RecordKey, version: u64) -> RecordSlot {
        let body = layout::is_index(key.kind()).then(|| Body::trusted(format!("{{\"t\":\"{}\"}}", "x".repeat(90))));
        RecordSlot { version: Seq::new(version).unwrap(), body, damaged: version == u64::MAX }
    }

    fn log_slot(length: u64) -> LogSlot {
        let state = [LogState::Open, LogState::Sealed, LogState::Removed][length as usize % 3];
        let last_at = length.is_multiple_of(2).then(|| Timestamp::from_millis(length as i64));
        LogSlot { state, length, last_at, bytes: length * 7, is_unknown: false }
    }

    /// Lists as many of each, on several pages.
    fn many(count: u64) -> Listed {
        let mark = Mark { frame: 7, chain: 8, commits: 9, last_seq: Seq::new(900), is_complete: false };
        let mut all = Listed { mark, index_bytes: 10, ..Listed::default() };
        for number in 0..count {
            let record: RecordKey = key(number);
            all.records.insert(record.clone(), slot(&record, if number == 5 { u64::MAX } else { number + 1 }));
            all.logs.insert(key(number), log_slot(number));
        }
        all
    }

    /// Writes a catalog and opens it.
    fn opened(bytes: Vec<u8>) -> Arc<dyn ReadableFile> {
        let sim = Sim::default();
        sim.replace(layout::CATALOG, bytes);
        sim.open(Path::new(layout::CATALOG)).unwrap()
    }

    fn known(bytes: Vec<u8>) -> (Known, Option<Extent>) {
        read(&opened(bytes)).unwrap().unwrap()
    }

    #[test]
    fn everything_comes_back_and_any_query_finds_what_it_finds_in_memory() {
        let (mut all, mut bytes) = (many(900), whole(&many(900)));
        let mut dice = Dice(7);
        for _ in 0..3 {
            // Changes, additions and removals, before, between and after what the pages list.
            let mark = Mark { frame: all.mark.frame + 1, ..all.mark };
            let changed: Vec<(RecordKey, Option<u64>)> =
                (0..60).map(|_| (key(dice.below(1000)), (!dice.one_in(3)).then(|| 1000 + dice.below(9)))).collect();
            let logs: Vec<(LogKey, LogSlot)> =
                (0..60).map(|_| (key(dice.below(1000)), log_slot(dice.below(99)))).collect();
            let slots: Vec<_> =
                changed.iter().map(|(key, version)| version.map(|version| slot(key, version))).collect();
            let records = changed.iter().zip(&slots).map(|((key, version), slot)| {
                let body = slot.as_ref().and_then(|slot| slot.body.as_ref());
                CatalogItem::Record(key, version.and_then(Seq::new), body)
            });
            let items = records.chain(logs.iter().map(|(log, slot)| CatalogItem::Log(log, slot)));
            bytes.extend(block(&mark, 11, items));
            changed.iter().zip(&slots).for_each(|((key, _), slot)| all.put(key.clone(), slot.clone()));
            all.logs.extend(logs);
            (all.mark, all.index_bytes) = (mark, 11);
        }
        let (known, extent) = known(bytes.clone());
        assert_eq!(extent.unwrap().end, bytes.len() as u64);
        assert_eq!(known.whole().unwrap(), all);
        for number in 0..1100 {
            assert_eq!(known.record(&key(number)).unwrap().as_ref(), all.records.get(&key(number)), "{number}");
            assert_eq!(known.log(&key(number)).unwrap().as_ref(), all.logs.get(&key(number)), "{number}");
        }
        for _ in 0..400 {
            let mut query: ScanQuery = match dice.below(4) {
                0 => KeyQuery::all(9),
                at => KeyQuery::of(KINDS[at as usize - 1].clone(), 9)
                    .prefixed(["", "0", "1", "29", "7"][dice.below(5) as usize]),
            };
            query.after = dice.one_in(2).then(|| key(dice.below(1100)));
            query.direction = [Direction::Forward, Direction::Backward][dice.below(2) as usize];
            let found: Vec<_> = known.records(&query).map(Result::unwrap).collect();
            let expected = query.find_in(&all.records).map(|(key, slot)| (key.clone(), slot.clone()));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{query:?}");
            let after = query.after.map(|after| LogKey::new(after.kind().clone(), after.id()).unwrap());
            let query = LogScan { kind: query.kind, prefix: query.prefix, after, direction: query.direction, limit: 9 };
            let found: Vec<_> = known.logs(&query).map(Result::unwrap).collect();
            let expected = query.find_in(&all.logs).map(|(log, slot)| (log.clone(), *slot));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{query:?}");
        }
    }

    #[test]
    fn each_flipped_byte_is_noticed_by_those_who_read_its_page_and_nobody_else() {
        let bytes = whole(&many(900));
        let (all, head) = (many(900), HEAD_BYTES + Decoder(&bytes).u32().unwrap() as usize);
        for at in (0..bytes.len()).step_by(97) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            let found = read(&opened(flipped)).unwrap();
            let Some((known, _)) = found.filter(|_| at >= head) else {
                assert!(at < head, "{at}");
                continue;
            };
            let mut unread = 0;
            for (key, slot) in &all.records {
                match known.record(key) {
                    Err(SnapshotError::Moved) => unread += 1,
                    found => assert_eq!(found.unwrap().as_ref(), Some(slot), "{at}"),
                }
            }
            for (log, slot) in &all.logs {
                match known.log(log) {
                    Err(SnapshotError::Moved) => unread += 1,
                    found => assert_eq!(found.unwrap().as_ref(), Some(slot), "{at}"),
                }
            }
            assert!(unread > 0 && unread < 900, "{at}: {unread}");
            assert!(known.is_damaged());
        }
    }

    #[test]
    fn opening_reads_the_head_and_a_key_one_page() {
        let all = many(900);
        let sim = Sim::default();
        sim.replace(layout::CATALOG, whole(&all));
        let file = sim.open(Path::new(layout::CATALOG)).unwrap();
        let (known, _) = read(&file).unwrap().unwrap();
        let before = sim.reads();
        known.record(&key(4)).unwrap().unwrap();
        known.record(&key(7)).unwrap().unwrap();
        assert_eq!(sim.reads() - before, 1, "the page of both is read once");
        known.log(&key(4)).unwrap().unwrap();
        assert_eq!(sim.reads() - before, 2);
    }

    /// `nofx catalog 2` had one block with everything, and was otherwise the same.
    #[test]
    fn a_catalog_of_the_earlier_layout_is_read() {
        let mut all = many(2400);
        let as_before = |mut block: Vec<u8>| {
            let checksum = checksum(BEFORE, &block[HEAD_BYTES..]);
            block[4..8].copy_from_slice(&checksum.to_le_bytes());
            block
        };
        let records = all.records.iter().map(|(key, slot)| {
            CatalogItem::Record(
                key,
                Some(slot.version).filter(|_| !slot.damaged).or(Seq::new(u64::MAX)),
                slot.body.as_ref(),
            )
        });
        let items = records.chain(all.logs.iter().map(|(log, slot)| CatalogItem::Log(log, slot)));
        let mut bytes = as_before(block(&all.mark, all.index_bytes, items));
        all.mark.frame += 1;
        let gone = key(4);
        bytes.extend(as_before(block(
            &all.mark,
            all.index_bytes,
            [CatalogItem::Record(&gone, None, None)].into_iter(),
        )));
        all.records.remove(&gone);
        assert!(bytes.len() as u64 > FIRST_READ, "{}", bytes.len());
        let (known, extent) = known(bytes);
        assert_eq!(known.whole().unwrap(), all);
        assert_eq!(extent, None, "nothing is appended to it");
    }
}
