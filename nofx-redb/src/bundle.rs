//! Bundles: neighbouring records, compressed together.
//!
//! As a row, each record has a key that mostly repeats its neighbour's, and a text too short to compress well.
//! Compacting bundles records. Later writes are rows again, and a row hides the record of the same name in a bundle. So
//! a bundle never changes; only the next compaction replaces it.

use std::cmp::Ordering;
use std::sync::Mutex;

use nofx_core::{Body, Direction, Seq};

use crate::chunk::FIRST_LOG;
use crate::codec::{Decoder, Encoder, TableTag, Unread, Unsealed, body, numbered, seal, shown, unseal};
use crate::compression::{Codec, Effort, pack, unpack};
use crate::fault::{Attempt, Fault};
use crate::store::lock;
use crate::tables::{TableRows, Tables};

/// A bundle ends before its plain text exceeds this many bytes. Reading one record reads the whole bundle.
pub(crate) const FULL_BUNDLE: usize = 24 << 10;

/// Bundles are kept in the table of chunks, before the chunks of the first log.
const LOG: u64 = FIRST_LOG - 1;

/// Identifies a bundle by the names of its first and last record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BundleRange {
    pub(crate) first: Vec<u8>,
    pub(crate) last: Vec<u8>,
}

impl BundleRange {
    pub(crate) fn holds(&self, name: &[u8]) -> bool {
        self.first.as_slice() <= name && name <= self.last.as_slice()
    }

    fn key(&self) -> Vec<u8> {
        let mut key = before(&self.first);
        escape(&self.last, &mut key);
        key
    }

    /// Returns the key of a piece.
    pub(crate) fn piece_key(&self, piece: u32) -> Vec<u8> {
        [&self.key()[..], &piece.to_be_bytes()].concat()
    }

    /// Reads what [`piece_key`](Self::piece_key) wrote; `None` if the key belongs to a chunk or is damaged.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        let mut rest = key.strip_prefix(&numbered(LOG))?.strip_suffix(key.last_chunk::<4>()?)?;
        let range = Self { first: unescape(&mut rest)?, last: unescape(&mut rest)? };
        rest.is_empty().then_some(range)
    }

    fn shown(&self) -> String {
        format!("the records from {} to {}", shown(&self.first), shown(&self.last))
    }
}

/// Returns the lower bound of the keys of bundles that begin with a name.
fn before(first: &[u8]) -> Vec<u8> {
    let mut key = numbered(LOG).to_vec();
    escape(first, &mut key);
    key
}

/// Returns an upper bound of the keys of bundles that begin with a name: no name contains this byte.
fn after(first: &[u8]) -> Vec<u8> {
    let mut key = before(first);
    key.push(0xff);
    key
}

/// Writes a name with a terminator, so that keys sort as names do.
fn escape(name: &[u8], key: &mut Vec<u8>) {
    for byte in name {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    key.extend([0, 0]);
}

fn unescape(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        if *byte == 0 {
            let (mark, after) = rest.split_first()?;
            *rest = after;
            match mark {
                0 => return Some(name),
                0xff => {}
                _ => return None,
            }
        }
        name.push(*byte);
    }
}

/// A record in a bundle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bundled {
    pub(crate) name: Vec<u8>,
    pub(crate) version: Seq,
    pub(crate) body: Body,
}

impl Bundled {
    /// Returns the approximate size of its plain text in bytes.
    pub(crate) fn size(&self) -> usize {
        self.name.len() + self.body.len() + 8
    }
}

/// Encodes consecutive records. Returns the range and value of the bundle; `None` for no records.
pub(crate) fn encode(records: &[Bundled], effort: Effort) -> Attempt<Option<(BundleRange, Vec<u8>)>> {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(None) };
    let mut plain = Encoder::default();
    for record in records {
        plain.counted(&record.name).number(record.version.get()).counted(record.body.as_str().as_bytes());
    }
    let packed = pack(plain.as_bytes(), effort);
    let (codec, smaller) = packed.ok_or_else(|| Fault::damaged("compressing records"))?;
    let range = BundleRange { first: first.name.clone(), last: last.name.clone() };
    let mut payload = Encoder::default();
    payload.number(codec as u64).number(records.len() as u64);
    payload.number(plain.as_bytes().len() as u64).raw(&smaller);
    let value = seal(TableTag::Bundles, &range.key(), &payload);
    Ok(Some((range, value)))
}

/// A decoded bundle.
#[derive(Debug)]
struct Bundle {
    count: u64,
    plain: Vec<u8>,
}

impl Bundle {
    fn decode(range: &BundleRange, value: &[u8]) -> Unsealed<Self> {
        let mut payload = unseal(TableTag::Bundles, &range.key(), value).ok_or(Unread::Damaged)?;
        let codec = Codec::of(payload.number().ok_or(Unread::Damaged)?)?;
        let (count, length) = payload.number().zip(payload.number()).ok_or(Unread::Damaged)?;
        let plain = unpack(codec, payload.rest(), length, |plain| Some(plain.to_vec()));
        let plain = plain.ok_or(Unread::Damaged)?;
        Ok(Self { count, plain })
    }

    /// Passes names, versions and bodies to `see` in order, until it returns something.
    fn find<T>(&self, mut see: impl FnMut(&[u8], Seq, &[u8]) -> Option<T>) -> Unsealed<Option<T>> {
        let mut rest = Decoder::new(&self.plain);
        for _ in 0..self.count {
            let mut next = || Some((rest.counted()?, Seq::new(rest.number()?)?, rest.counted()?));
            let (name, version, body) = next().ok_or(Unread::Damaged)?;
            if let Some(answer) = see(name, version, body) {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}

fn owned(bytes: &[u8]) -> Unsealed<Body> {
    body(bytes).ok_or(Unread::Damaged)
}

/// Passes the stored pieces of a bundle to `see`, with their keys.
pub(crate) fn each_piece(
    chunks: &impl TableRows,
    range: &BundleRange,
    mut see: impl FnMut(&[u8], &[u8]) -> Attempt<()>,
) -> Attempt<()> {
    let (lowest, highest) = (range.piece_key(0), range.piece_key(u32::MAX));
    for piece in chunks.range::<&[u8]>(&lowest[..]..=&highest[..])? {
        let (key, piece) = piece?;
        see(key.value(), piece.value())?;
    }
    Ok(())
}

fn read(chunks: &impl TableRows, range: &BundleRange) -> Attempt<Bundle> {
    let mut value = Vec::new();
    each_piece(chunks, range, |_, piece| {
        value.extend_from_slice(piece);
        Ok(())
    })?;
    Bundle::decode(range, &value).map_err(|why| Fault::unread(why, range.shown()))
}

/// Reads all records of a bundle.
pub(crate) fn records(chunks: &impl TableRows, range: &BundleRange) -> Attempt<Vec<Bundled>> {
    let mut records = Vec::new();
    let read = read(chunks, range)?.find(|name, version, body| match owned(body) {
        Ok(body) => {
            records.push(Bundled { name: name.to_vec(), version, body });
            None
        }
        Err(why) => Some(why),
    });
    match read {
        Ok(None) => Ok(records),
        Ok(Some(why)) | Err(why) => Err(Fault::unread(why, range.shown())),
    }
}

/// Returns the range of the bundle that may contain a name.
fn range_of(chunks: &impl TableRows, name: &[u8]) -> Attempt<Option<BundleRange>> {
    let range = last_range(chunks, &after(name))?;
    Ok(range.filter(|range| range.holds(name)))
}

/// Returns the range of the last bundle whose key is below `end`.
fn last_range(chunks: &impl TableRows, end: &[u8]) -> Attempt<Option<BundleRange>> {
    let least = numbered(LOG);
    chunks.range::<&[u8]>(&least[..]..end)?.next_back().map(|row| place_at(row?.0.value())).transpose()
}

/// Returns the range of the first bundle whose key is at or above `start`.
fn first_range(chunks: &impl TableRows, start: &[u8]) -> Attempt<Option<BundleRange>> {
    let end = numbered(FIRST_LOG);
    chunks.range::<&[u8]>(start..&end[..])?.next().map(|row| place_at(row?.0.value())).transpose()
}

fn place_at(key: &[u8]) -> Attempt<BundleRange> {
    BundleRange::of(key).ok_or_else(|| Fault::damaged("the place of some records"))
}

/// Returns whether there is a bundle.
pub(crate) fn is_any(chunks: &impl TableRows) -> Attempt<bool> {
    let (lowest, end) = (numbered(LOG), numbered(FIRST_LOG));
    Ok(chunks.range::<&[u8]>(&lowest[..]..&end[..])?.next().transpose()?.is_some())
}

/// Returns the ranges of all bundles in order.
pub(crate) fn ranges(chunks: &impl TableRows) -> Attempt<Vec<BundleRange>> {
    let mut ranges = Vec::new();
    let mut start = numbered(LOG).to_vec();
    while let Some(range) = first_range(chunks, &start)? {
        start = after(&range.first);
        ranges.push(range);
    }
    Ok(ranges)
}

/// The bundle that was read last in a transaction: the records of a list are often neighbours.
#[derive(Debug, Default)]
pub(crate) struct LastBundle(Mutex<Option<(BundleRange, Bundle)>>);

/// Returns the version of a record in a bundle.
pub(crate) fn version<T: TableRows>(tables: &Tables<T>, name: &[u8]) -> Attempt<Option<Seq>> {
    find(tables, name, |version, _| Ok(version))
}

/// Reads a record in a bundle.
pub(crate) fn record<T: TableRows>(tables: &Tables<T>, name: &[u8]) -> Attempt<Option<(Seq, Body)>> {
    find(tables, name, |version, body| Ok((version, owned(body)?)))
}

fn find<T: TableRows, A>(
    tables: &Tables<T>,
    name: &[u8],
    take: impl Fn(Seq, &[u8]) -> Unsealed<A>,
) -> Attempt<Option<A>> {
    let mut last = lock(&tables.last_bundle.0);
    let (range, bundle) = match last.take().filter(|(range, _)| range.holds(name)) {
        Some(last) => last,
        None => {
            let Some(range) = range_of(&tables.chunks, name)? else { return Ok(None) };
            let bundle = read(&tables.chunks, &range)?;
            (range, bundle)
        }
    };
    let found = bundle.find(|other, version, body| match other.cmp(name) {
        Ordering::Less => None,
        Ordering::Equal => Some(Some(take(version, body))),
        Ordering::Greater => Some(None),
    });
    let found = found.and_then(|found| found.flatten().transpose());
    let found = found.map_err(|why| Fault::unread(why, range.shown()));
    *last = Some((range, bundle));
    found
}

/// The records in bundles, one by one in a direction, from a name that may be among them.
#[derive(Debug)]
pub(crate) struct Walk<'t, T> {
    chunks: &'t T,
    direction: Direction,
    /// Records of the current bundle, the next one last.
    ahead: Vec<Bundled>,
    /// A key between the current bundle and the next one; `None` at the end.
    at: Option<Vec<u8>>,
}

impl<'t, T: TableRows> Walk<'t, T> {
    /// Starts at the first record at or after `start`, forward, or at the last one up to `start`, backward. Without
    /// `start`, begins at the end where the direction begins.
    pub(crate) fn new(chunks: &'t T, direction: Direction, start: Option<&[u8]>) -> Attempt<Self> {
        let at = match (direction, start) {
            (Direction::Forward, None) => numbered(LOG).to_vec(),
            (Direction::Backward, None) => numbered(FIRST_LOG).to_vec(),
            (Direction::Backward, Some(start)) => after(start),
            (Direction::Forward, Some(start)) => match range_of(chunks, start)? {
                Some(range) => range.key(),
                None => after(start),
            },
        };
        Ok(Self { chunks, direction, ahead: Vec::new(), at: Some(at) })
    }

    pub(crate) fn next(&mut self) -> Attempt<Option<Bundled>> {
        while self.ahead.is_empty() {
            let Some(at) = self.at.take() else { return Ok(None) };
            let range = match self.direction {
                Direction::Forward => first_range(self.chunks, &at)?,
                Direction::Backward => last_range(self.chunks, &at)?,
            };
            let Some(range) = range else { return Ok(None) };
            self.ahead = records(self.chunks, &range)?;
            self.at = Some(match self.direction {
                Direction::Forward => {
                    self.ahead.reverse();
                    after(&range.first)
                }
                Direction::Backward => before(&range.first),
            });
        }
        Ok(self.ahead.pop())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundled(name: &str, body: &str) -> Bundled {
        Bundled { name: name.into(), version: Seq::FIRST, body: Body::trusted(body) }
    }

    proptest! {
        #[test]
        fn keys_come_back_and_have_the_order_of_names(
            mut names in prop::collection::btree_set("[\0-\u{1}a-b]{0,6}", 4),
            piece in any::<u32>(),
        ) {
            let mut next = || names.pop_first().unwrap().into_bytes();
            let one = BundleRange { first: next(), last: next() };
            let other = BundleRange { first: next(), last: next() };
            prop_assert_eq!(BundleRange::of(&one.piece_key(piece)), Some(one.clone()));
            prop_assert!(one.piece_key(piece) < other.piece_key(0));
            prop_assert!(before(&one.first) < one.piece_key(0) && one.piece_key(u32::MAX) < after(&one.first));
            prop_assert!(after(&one.first) < before(&other.first));
        }

        #[test]
        fn any_changed_byte_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8) {
            let (range, mut value) = encode(&[bundled("a", "\"words\""), bundled("b", "1")], Effort::Dense).unwrap().unwrap();
            prop_assert!(Bundle::decode(&range, &value).is_ok());
            let at = at.index(value.len());
            value[at] ^= 1_u8 << bit;
            prop_assert_eq!(Bundle::decode(&range, &value).err(), Some(Unread::Damaged));
        }
    }

    #[test]
    fn a_bundle_under_another_key_is_damaged() {
        let (range, value) = encode(&[bundled("a", "1"), bundled("c", "2")], Effort::Quick).unwrap().unwrap();
        let other = BundleRange { last: b"b".to_vec(), ..range };
        assert_eq!(Bundle::decode(&other, &value).err(), Some(Unread::Damaged));
    }
}
