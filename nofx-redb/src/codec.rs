//! The bytes of each stored value. redb only sees keys and values that were encoded here.
//!
//! redb checks its pages only when a file is opened after a crash, so every value carries its own checksum. The
//! checksum also covers the table and the key: a value found under the wrong key counts as damaged.

use nofx_core::{BatchId, Body, Change, Committed, Key, Kind, LogHead, LogKey, LogState, RecordKey, Seq, Timestamp};

use crate::compression::{Codec, Effort, pack, unpack};

/// Bodies of this many bytes or more are compressed if that makes them smaller.
const COMPRESS_FROM: usize = 32;

/// Why a stored value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Its checksum is wrong, or its content is not what this code writes.
    Damaged,
    /// It is intact, but has a codec of a newer version.
    Newer(u64),
}

/// The result of reading a value.
pub(crate) type Unsealed<T> = Result<T, Unread>;

/// A table, as the checksums distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableTag {
    Meta = 1,
    Records = 2,
    Logs = 3,
    Entries = 4,
    Chunks = 5,
    Feed = 6,
    Past = 7,
    /// Not a table of its own: bundles are kept beside chunks.
    Bundles = 8,
}

fn checksum(table: TableTag, key: &[u8], payload: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[table as u8]);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize().to_le_bytes()
}

/// Prepends a checksum to a payload.
pub(crate) fn seal(table: TableTag, key: &[u8], payload: &Encoder) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + payload.0.len());
    value.extend_from_slice(&checksum(table, key, &payload.0));
    value.extend_from_slice(&payload.0);
    value
}

/// Returns the payload of a value, or `None` if it is damaged.
pub(crate) fn unseal<'v>(table: TableTag, key: &[u8], value: &'v [u8]) -> Option<Decoder<'v>> {
    let (sum, payload) = value.split_first_chunk::<4>()?;
    (*sum == checksum(table, key, payload)).then_some(Decoder(payload))
}

/// Writes the parts of a payload.
#[derive(Debug, Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    /// Writes a signed number; numbers near zero are short.
    pub(crate) fn signed(&mut self, number: i64) -> &mut Self {
        self.number(((number << 1) ^ (number >> 63)) as u64)
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn counted(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).raw(bytes)
    }

    /// Writes a body up to the end of the payload, compressed if that saves space.
    pub(crate) fn body(&mut self, body: &Body) -> &mut Self {
        self.shorter(body.as_str().as_bytes())
    }

    /// Writes bytes up to the end of the payload, compressed if that saves space.
    fn shorter(&mut self, bytes: &[u8]) -> &mut Self {
        match compressed(bytes) {
            Some((codec, smaller)) => self.number(codec as u64).number(bytes.len() as u64).raw(&smaller),
            None => self.number(Codec::Plain as u64).raw(bytes),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Borrows memory to write to; [`into_room`](Self::into_room) returns it.
    pub(crate) fn in_room(room: &mut Vec<u8>) -> Self {
        Self(std::mem::take(room))
    }

    pub(crate) fn into_room(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the parts of a payload. `None` means that it is not what was written.
#[derive(Debug)]
pub(crate) struct Decoder<'v>(&'v [u8]);

impl<'v> Decoder<'v> {
    pub(crate) fn new(bytes: &'v [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn raw(&mut self, length: usize) -> Option<&'v [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn counted(&mut self) -> Option<&'v [u8]> {
        let length = self.number()?;
        self.raw(usize::try_from(length).ok()?)
    }

    pub(crate) fn id(&mut self) -> Option<BatchId> {
        Some(BatchId::from_bytes(self.raw(16)?.try_into().ok()?))
    }

    pub(crate) fn rest(&mut self) -> &'v [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn body(&mut self) -> Unsealed<Body> {
        self.longer(body)
    }

    /// Reads what [`shorter`](Encoder::shorter) wrote, and passes it to `see`.
    fn longer<T>(&mut self, see: impl FnOnce(&[u8]) -> Option<T>) -> Unsealed<T> {
        let codec = Codec::of(self.number().ok_or(Unread::Damaged)?)?;
        let seen = match codec {
            Codec::Plain => see(self.rest()),
            _ => self.number().and_then(|length| unpack(codec, self.rest(), length, see)),
        };
        seen.ok_or(Unread::Damaged)
    }

    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Returns stored bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// Returns stored bytes as a body; bodies are text.
pub(crate) fn body(bytes: &[u8]) -> Option<Body> {
    Some(Body::trusted(text(bytes)?))
}

fn compressed(bytes: &[u8]) -> Option<(Codec, Vec<u8>)> {
    if bytes.len() < COMPRESS_FROM {
        return None;
    }
    let (codec, smaller) = pack(bytes, Effort::Quick)?;
    // The codec and the length take up to three bytes.
    (smaller.len() + 3 < bytes.len()).then_some((codec, smaller))
}

/// Returns `kind NUL id`. A kind contains no NUL, so these bytes sort as the keys do.
pub(crate) fn name(key: &impl Key) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.kind().as_str().len() + 1 + key.id().len());
    name.extend_from_slice(key.kind().as_str().as_bytes());
    name.push(0);
    name.extend_from_slice(key.id().as_bytes());
    name
}

/// Reads what [`name`] wrote.
pub(crate) fn parse_name<K: Key>(name: &[u8]) -> Option<K> {
    let (kind, id) = std::str::from_utf8(name).ok()?.split_once('\0')?;
    K::new(Kind::new(kind).ok()?, id).ok()
}

/// Returns a name for messages, even if the bytes are no longer a valid name.
pub(crate) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replacen('\0', "/", 1).escape_debug().to_string()
}

/// Returns the key of something that is identified by a number.
pub(crate) fn numbered(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Reads what [`numbered`] wrote.
pub(crate) fn parse_numbered(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// Returns the key of an entry: the number of its log, then its position.
pub(crate) fn placed(log: u64, position: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&log.to_be_bytes());
    key[8..].copy_from_slice(&position.to_be_bytes());
    key
}

/// The stored head of a log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    /// The log's number in the keys of its entries; zero if it never had an entry.
    pub(crate) number: u64,
    /// The number of entries.
    pub(crate) length: u64,
    /// How many of them are in chunks; the ones after those are rows.
    pub(crate) folded: u64,
    /// The size of the bodies in rows.
    pub(crate) tail_bytes: u64,
    pub(crate) last_at: Timestamp,
    pub(crate) state: LogState,
}

impl Head {
    pub(crate) const MISSING: Self = Self {
        number: 0,
        length: 0,
        folded: 0,
        tail_bytes: 0,
        last_at: Timestamp::from_millis(0),
        state: LogState::Open,
    };

    /// Returns what remains after the log is removed: its number and name are never used again.
    pub(crate) fn removed(&self) -> Self {
        Self { number: self.number, state: LogState::Removed, ..Self::MISSING }
    }

    pub(crate) fn encode(&self, name: &[u8]) -> Vec<u8> {
        let mut payload = Encoder::default();
        payload.number(self.number).number(self.length).number(self.folded).number(self.tail_bytes);
        payload.signed(self.last_at.as_millis());
        payload.number(match self.state {
            LogState::Open => 0,
            LogState::Sealed => 1,
            LogState::Removed => 2,
        });
        seal(TableTag::Logs, name, &payload)
    }

    pub(crate) fn decode(name: &[u8], value: &[u8]) -> Option<Self> {
        let mut payload = unseal(TableTag::Logs, name, value)?;
        let head = Self {
            number: payload.number()?,
            length: payload.number()?,
            folded: payload.number()?,
            tail_bytes: payload.number()?,
            last_at: Timestamp::from_millis(payload.signed()?),
            state: match payload.number()? {
                0 => LogState::Open,
                1 => LogState::Sealed,
                2 => LogState::Removed,
                _ => return None,
            },
        };
        payload.end()?;
        Some(head)
    }

    /// Returns the head as callers see it.
    pub(crate) fn public(&self, log: LogKey) -> LogHead {
        let last_at = (self.length > 0).then_some(self.last_at);
        LogHead { log, length: self.length, last_at, state: self.state }
    }
}

/// Encodes a record.
pub(crate) fn encode_record(name: &[u8], version: Seq, body: &Body) -> Vec<u8> {
    let mut payload = Encoder::default();
    payload.number(version.get()).body(body);
    seal(TableTag::Records, name, &payload)
}

/// Encodes the removal of a record, which hides the one in a bundle.
pub(crate) fn encode_removed(name: &[u8]) -> Vec<u8> {
    let mut payload = Encoder::default();
    payload.number(0);
    seal(TableTag::Records, name, &payload)
}

/// Decodes the version of a record and leaves its body to be decoded later; `Some(None)` if it was removed.
pub(crate) fn decode_record<'v>(name: &[u8], value: &'v [u8]) -> Option<Option<(Seq, Decoder<'v>)>> {
    let mut payload = unseal(TableTag::Records, name, value)?;
    match Seq::new(payload.number()?) {
        Some(version) => Some(Some((version, payload))),
        None => payload.end().map(|()| None),
    }
}

/// Encodes an entry that has its own row.
pub(crate) fn encode_entry(key: &[u8], at: Timestamp, body: &Body) -> Vec<u8> {
    let mut payload = Encoder::default();
    payload.signed(at.as_millis()).body(body);
    seal(TableTag::Entries, key, &payload)
}

/// Decodes what [`encode_entry`] wrote.
pub(crate) fn decode_entry(key: &[u8], value: &[u8]) -> Unsealed<(Timestamp, Body)> {
    let mut payload = unseal(TableTag::Entries, key, value).ok_or(Unread::Damaged)?;
    let at = Timestamp::from_millis(payload.signed().ok_or(Unread::Damaged)?);
    Ok((at, payload.body()?))
}

/// A remembered commit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FeedRow {
    pub(crate) change: Change,
    pub(crate) committed: Committed,
    /// The seq of the store's last commit that wrote records, up to and including this one.
    pub(crate) last_seq: Option<Seq>,
}

impl FeedRow {
    /// Encodes a commit that has its own row.
    pub(crate) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut payload = Encoder::default();
        payload.raw(self.change.batch.as_bytes()).shorter(self.without_id().as_bytes());
        seal(TableTag::Feed, key, &payload)
    }

    /// Decodes what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let mut payload = unseal(TableTag::Feed, key, value)?;
        let batch = payload.id()?;
        payload.longer(|plain| Self::with_id(batch, Decoder(plain))).ok()
    }

    /// Returns whether a row is undamaged and this version can read it, without decompressing what the commit changed.
    pub(crate) fn is_readable(key: &[u8], value: &[u8]) -> bool {
        let codec = || {
            let mut payload = unseal(TableTag::Feed, key, value)?;
            payload.id()?;
            Codec::of(payload.number()?).ok()
        };
        codec().is_some()
    }

    fn without_id(&self) -> Encoder {
        let number = |seq: Option<Seq>| seq.map_or(0, Seq::get);
        let mut payload = Encoder::default();
        payload.number(number(self.change.seq)).number(number(self.last_seq));
        payload.number(self.committed.appended.len() as u64);
        for range in &self.committed.appended {
            payload.number(range.start).number(range.end - range.start);
        }
        payload.number(self.change.records.len() as u64);
        for record in &self.change.records {
            payload.counted(&name(record));
        }
        payload.number(self.change.logs.len() as u64);
        for log in &self.change.logs {
            payload.counted(&name(log));
        }
        payload
    }

    fn with_id(batch: BatchId, mut payload: Decoder<'_>) -> Option<Self> {
        let seq = Seq::new(payload.number()?);
        let last_seq = Seq::new(payload.number()?);
        let mut appended = Vec::new();
        for _ in 0..payload.number()? {
            let start = payload.number()?;
            appended.push(start..start.checked_add(payload.number()?)?);
        }
        let mut records: Vec<RecordKey> = Vec::new();
        for _ in 0..payload.number()? {
            records.push(parse_name(payload.counted()?)?);
        }
        let mut logs: Vec<LogKey> = Vec::new();
        for _ in 0..payload.number()? {
            logs.push(parse_name(payload.counted()?)?);
        }
        payload.end()?;
        let change = Change { batch, seq, records, logs };
        Some(Self { change, committed: Committed { seq, appended }, last_seq })
    }
}

/// Encodes consecutive commits: their batch ids, then the rest.
pub(crate) fn encode_past(key: &[u8], rows: &[FeedRow]) -> Vec<u8> {
    let mut payload = Encoder::default();
    payload.number(rows.len() as u64);
    let mut plain = Encoder::default();
    for row in rows {
        payload.raw(row.change.batch.as_bytes());
        plain.counted(row.without_id().as_bytes());
    }
    payload.shorter(plain.as_bytes());
    seal(TableTag::Past, key, &payload)
}

/// Decodes the batch ids of what [`encode_past`] wrote, and leaves the rest.
pub(crate) fn decode_past_ids<'v>(key: &[u8], value: &'v [u8]) -> Option<(Vec<BatchId>, Decoder<'v>)> {
    let mut payload = unseal(TableTag::Past, key, value)?;
    let ids = (0..payload.number()?).map(|_| payload.id()).collect::<Option<_>>()?;
    Some((ids, payload))
}

/// Decodes what [`encode_past`] wrote.
pub(crate) fn decode_past(key: &[u8], value: &[u8]) -> Option<Vec<FeedRow>> {
    let (ids, mut payload) = decode_past_ids(key, value)?;
    let rows = payload.longer(|plain| {
        let mut plain = Decoder::new(plain);
        let rows = ids.into_iter().map(|id| FeedRow::with_id(id, Decoder(plain.counted()?))).collect();
        plain.end()?;
        rows
    });
    rows.ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(id: &str) -> LogKey {
        LogKey::new(Kind::of("log"), id).unwrap()
    }

    fn body() -> impl Strategy<Value = Body> {
        prop_oneof!["[a-z]{1,40}", "(words and ){90,200}"].prop_map(|text| Body::trusted(format!("\"{text}\"")))
    }

    fn remembered() -> impl Strategy<Value = FeedRow> {
        let ranges = prop::collection::vec((any::<u32>(), 1..9_u64), 0..4);
        let ids = prop::collection::vec("[a-zA-Z\\PC]{1,20}", 0..4);
        (any::<[u8; 16]>(), any::<u64>(), any::<u64>(), ranges, ids).prop_map(|(batch, seq, last, ranges, ids)| {
            let seq = Seq::new(seq);
            let logs: Vec<_> = ids.iter().map(|id| log(id)).collect();
            let records = ids.iter().map(|id| RecordKey::new(Kind::of("record"), id.as_str()).unwrap()).collect();
            let appended = ranges.iter().map(|(start, length)| u64::from(*start)..u64::from(*start) + length).collect();
            FeedRow {
                change: Change { batch: BatchId::from_bytes(batch), seq, records, logs },
                committed: Committed { seq, appended },
                last_seq: Seq::new(last),
            }
        })
    }

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>(), signed in any::<i64>()) {
            let mut written = Encoder::default();
            written.number(number).signed(signed);
            let mut bytes = Decoder::new(written.as_bytes());
            prop_assert_eq!(bytes.number(), Some(number));
            prop_assert_eq!(bytes.signed(), Some(signed));
            prop_assert_eq!(bytes.end(), Some(()));
        }

        #[test]
        fn records_and_entries_come_back(body in body(), version in 1..u64::MAX, at in any::<i64>(), id in "\\PC{1,30}") {
            let name = name(&log(&id));
            let version = Seq::new(version).unwrap();
            let record = encode_record(&name, version, &body);
            let decoded = decode_record(&name, &record);
            let (found, mut rest) = decoded.unwrap().unwrap();
            let found = (found, rest.body());
            prop_assert_eq!(found, (version, Ok(body.clone())));
            let key = placed(7, 9);
            let at = Timestamp::from_millis(at);
            let value = encode_entry(&key, at, &body);
            prop_assert_eq!(decode_entry(&key, &value), Ok((at, body)));
        }

        #[test]
        fn heads_come_back(number in any::<u64>(), length in any::<u64>(), at in any::<i64>(), state in 0..3) {
            let state = [LogState::Open, LogState::Sealed, LogState::Removed][state as usize];
            let last_at = Timestamp::from_millis(at);
            let head = Head { number, length, folded: length / 2, tail_bytes: length / 3, last_at, state };
            prop_assert_eq!(Head::decode(b"a\0b", &head.encode(b"a\0b")), Some(head));
        }

        #[test]
        fn commits_come_back(rows in prop::collection::vec(remembered(), 1..20)) {
            let key = numbered(3);
            prop_assert_eq!(FeedRow::decode(&key, &rows[0].encode(&key)), Some(rows[0].clone()));
            prop_assert_eq!(decode_past(&key, &encode_past(&key, &rows)), Some(rows));
        }

        #[test]
        fn names_come_back_and_keep_their_order(one in "\\PC{1,20}", other in "[\0-z]{1,20}") {
            let (one, other) = (log(&one), log(&other));
            prop_assert_eq!(parse_name(&name(&one)), Some(one.clone()));
            prop_assert_eq!(parse_name(&name(&other)), Some(other.clone()));
            prop_assert_eq!(name(&one).cmp(&name(&other)), one.cmp(&other));
        }

        #[test]
        fn any_changed_byte_is_noticed(body in body(), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut value = encode_record(b"a\0b", Seq::FIRST, &body);
            let at = at.index(value.len());
            value[at] ^= 1_u8 << bit;
            prop_assert!(decode_record(b"a\0b", &value).is_none());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut payload = Encoder::default();
            payload.raw(&bytes);
            let key = numbered(1);
            let _ = Head::decode(&key, &seal(TableTag::Logs, &key, &payload));
            let _ = FeedRow::decode(&key, &seal(TableTag::Feed, &key, &payload));
            let _ = decode_past(&key, &seal(TableTag::Past, &key, &payload));
            let _ = decode_entry(&key, &seal(TableTag::Entries, &key, &payload));
            let value = seal(TableTag::Records, &key, &payload);
            let _ = decode_record(&key, &value).flatten().map(|(_, mut rest)| rest.body());
        }
    }

    #[test]
    fn a_value_under_another_key_or_in_another_table_is_damaged() {
        let value = encode_record(b"a\0b", Seq::FIRST, &Body::trusted("1"));
        assert!(decode_record(b"a\0c", &value).is_none());
        assert!(unseal(TableTag::Entries, b"a\0b", &value).is_none());
    }

    #[test]
    fn each_codec_is_read_and_a_number_that_is_none_is_of_a_newer_version() {
        let plain = "{\"name\":\"Ada\"} ".repeat(90);
        let body = Body::trusted(plain.as_str());
        let zstd = zstd::bulk::compress(plain.as_bytes(), 3).unwrap();
        let length = plain.len() as u64;
        let read = |write: &dyn Fn(&mut Encoder)| {
            let mut payload = Encoder::default();
            write(&mut payload);
            Decoder::new(payload.as_bytes()).body()
        };
        assert_eq!(read(&|payload| _ = payload.number(0).raw(plain.as_bytes())), Ok(body.clone()));
        assert_eq!(read(&|payload| _ = payload.number(1).number(length).raw(&zstd)), Ok(body.clone()));
        assert_eq!(read(&|payload| _ = payload.number(1).number(length + 1).raw(&zstd)), Err(Unread::Damaged));
        let (codec, primed) = pack(plain.as_bytes(), Effort::Dense).unwrap();
        assert_eq!(codec, Codec::Primed);
        assert_eq!(read(&|payload| _ = payload.number(2).number(length).raw(&primed)), Ok(body.clone()));
        for number in [3, 900] {
            assert_eq!(read(&|payload| _ = payload.number(number).raw(&zstd)), Err(Unread::Newer(number)));
        }
        assert_eq!(read(&|payload| _ = payload.body(&body)), Ok(body.clone()));
    }

    #[test]
    fn bodies_of_a_few_hundred_bytes_are_compressed() {
        let body = Body::trusted("{\"name\":\"Ada\",\"status\":\"active\"} ".repeat(8).as_str());
        let mut payload = Encoder::default();
        payload.body(&body);
        assert!(payload.as_bytes().len() < body.len() / 2);
    }
}
