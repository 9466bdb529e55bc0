//! A checkpoint object: the whole state after one commit, searchable without parsing all of it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use nofx_core::{Direction, Error, Key, KeyQuery, LogState, Result, Seq, StoreId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::commit::{CheckpointId, FORMAT, read_header, store_id};
use crate::frame;
use crate::line::{
    Claim, ClaimLine, Far, FarLine, Held, PackedFrame, PlaceLine, parse, push_claim, push_held, push_key, push_list,
    push_place, read_held,
};

/// Consecutive lines of one log, or of the feed, in a frame of a pack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chunk {
    /// The position of the first line.
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) place: PackedFrame,
    /// The size of the lines in bytes.
    pub(crate) raw: u64,
    /// The bodies that are not in the lines, by position.
    pub(crate) far: Vec<(u64, Far)>,
}

impl Chunk {
    pub(crate) fn end(&self) -> u64 {
        self.first + self.count
    }

    /// Describes a chunk of a log in errors.
    pub(crate) fn what(&self) -> String {
        format!("the entries {} to {} in pack {}", self.first, self.end().saturating_sub(1), self.place.pack)
    }
}

/// A log after some commit.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) claim: Claim,
    pub(crate) state: LogState,
    pub(crate) length: u64,
    pub(crate) last_at: Option<Timestamp>,
    /// The older entries, dense from position zero.
    pub(crate) chunks: Arc<[Chunk]>,
    /// The entries after the chunks.
    pub(crate) tail: Vec<(Timestamp, Held)>,
}

impl Log {
    /// Returns the position of the first entry of the tail.
    pub(crate) fn tail_start(&self) -> u64 {
        self.length - self.tail.len() as u64
    }
}

/// A checkpoint in memory; before the first one, the empty state.
pub(crate) struct Base {
    pub(crate) id: Option<CheckpointId>,
    pub(crate) last_seq: Option<Seq>,
    /// The change feed, oldest first; anything older is forgotten.
    pub(crate) feed: Vec<Chunk>,
    /// How many commits the feed has had in total.
    pub(crate) feed_end: u64,
    /// Every pack that this state refers to, with its size.
    pub(crate) packs: Vec<(Arc<str>, u64)>,
    text: Vec<u8>,
    records: Range<usize>,
    logs: Range<usize>,
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base").field("id", &self.id).field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    store: String,
    number: u64,
    nonce: String,
    seq: u64,
    feed_end: u64,
    #[serde(borrow)]
    feed: Vec<ChunkLine<'a>>,
    packs: Vec<(String, u64)>,
    records: usize,
    logs: usize,
}

#[derive(Deserialize)]
struct ChunkLine<'a>(u64, u64, #[serde(borrow)] PlaceLine<'a>, u64, #[serde(borrow)] Vec<(u64, FarLine<'a>)>);

impl ChunkLine<'_> {
    fn read(self) -> Chunk {
        let far = self.4.into_iter().map(|(position, far)| (position, far.read())).collect();
        Chunk { first: self.0, count: self.1, place: self.2.read(), raw: self.3, far }
    }
}

/// A record's line.
#[derive(Deserialize)]
pub(crate) struct RecordLine<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    u64,
    u8,
    #[serde(borrow)] &'a RawValue,
);

/// A log's line.
#[derive(Deserialize)]
pub(crate) struct LogLine<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] ClaimLine<'a>,
    u8,
    u64,
    Option<i64>,
    #[serde(borrow)] Vec<ChunkLine<'a>>,
);

/// A line that begins with a kind and an id.
pub(crate) trait KeyedLine<'a>: Deserialize<'a> {
    fn key(&self) -> (&str, &str);
}

impl<'a> KeyedLine<'a> for RecordLine<'a> {
    fn key(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl<'a> KeyedLine<'a> for LogLine<'a> {
    fn key(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl RecordLine<'_> {
    pub(crate) fn read(&self, what: &str) -> Result<(Seq, Held)> {
        let held = read_held(self.3, self.4, what)?;
        Seq::new(self.2).zip(held).ok_or_else(|| Error::corrupt(format!("{what}: a record without a version or body")))
    }
}

impl LogLine<'_> {
    pub(crate) fn read(self, what: &str) -> Result<Log> {
        let state = match self.3 {
            0 => LogState::Open,
            1 => LogState::Sealed,
            2 => LogState::Removed,
            _ => return Err(Error::too_new(format!("{what}: a log in a state unknown to this version"))),
        };
        let chunks = self.6.into_iter().map(ChunkLine::read).collect();
        let last_at = self.5.map(Timestamp::from_millis);
        Ok(Log { claim: self.2.read()?, state, length: self.4, last_at, chunks, tail: Vec::new() })
    }
}

pub(crate) fn push_record<K: Key>(out: &mut String, key: &K, version: Seq, held: &Held) {
    out.push('[');
    push_key(out, key);
    _ = write!(out, ",{version},");
    push_held(out, Some(held));
    out.push_str("]\n");
}

/// Writes a log's line. The log must have no tail.
pub(crate) fn push_log<K: Key>(out: &mut String, key: &K, log: &Log) {
    out.push('[');
    push_key(out, key);
    out.push(',');
    push_claim(out, log.claim);
    let state = match log.state {
        LogState::Open => 0,
        LogState::Sealed => 1,
        LogState::Removed => 2,
    };
    _ = write!(out, ",{state},{},", log.length);
    match log.last_at {
        None => out.push_str("null"),
        Some(at) => _ = write!(out, "{}", at.as_millis()),
    }
    out.push(',');
    push_list(out, log.chunks.iter(), push_chunk);
    out.push_str("]\n");
}

fn push_chunk(out: &mut String, chunk: &Chunk) {
    _ = write!(out, "[{},{},", chunk.first, chunk.count);
    push_place(out, &chunk.place);
    _ = write!(out, ",{},", chunk.raw);
    push_list(out, &chunk.far, |out, (position, far)| {
        _ = write!(out, "[{position},[");
        push_place(out, &far.place);
        _ = write!(out, ",{}]]", far.size);
    });
    out.push(']');
}

/// The contents of a checkpoint.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: StoreId,
    pub(crate) id: CheckpointId,
    pub(crate) last_seq: Option<Seq>,
    pub(crate) feed: Vec<Chunk>,
    pub(crate) feed_end: u64,
    pub(crate) packs: Vec<(Arc<str>, u64)>,
    /// The lines of all records.
    pub(crate) records: String,
    /// The lines of all logs.
    pub(crate) logs: String,
}

impl Base {
    /// Returns the state before the first checkpoint.
    pub(crate) fn empty() -> Self {
        Self {
            id: None,
            last_seq: None,
            feed: Vec::new(),
            feed_end: 0,
            packs: Vec::new(),
            text: Vec::new(),
            records: 0..0,
            logs: 0..0,
        }
    }

    /// Encodes a checkpoint.
    pub(crate) fn encode(parts: Parts) -> Result<(Self, Vec<u8>)> {
        let Parts { store, id, last_seq, feed, feed_end, packs, records, logs } = parts;
        let mut text = format!("{{\"nofx\":\"checkpoint\",\"format\":{FORMAT},\"store\":\"{store}\"");
        _ = write!(text, ",\"number\":{},\"nonce\":\"{}\"", id.number, id.nonce);
        _ = write!(text, ",\"seq\":{},\"feed_end\":{feed_end},\"feed\":", last_seq.map_or(0, Seq::get));
        push_list(&mut text, &feed, push_chunk);
        text.push_str(",\"packs\":");
        push_list(&mut text, &packs, |out, (pack, size)| _ = write!(out, "[\"{pack}\",{size}]"));
        _ = writeln!(text, ",\"records\":{},\"logs\":{}}}", records.len(), logs.len());
        let start = text.len();
        text.push_str(&records);
        text.push_str(&logs);
        let object = frame::pack(text.as_bytes(), frame::MAX_FRAME_BYTES)?;
        let (records, logs) = (start..start + records.len(), start + records.len()..text.len());
        let base = Self { id: Some(id), last_seq, feed, feed_end, packs, text: text.into(), records, logs };
        Ok((base, object))
    }

    /// Decodes a checkpoint object. Lines are parsed only when they are needed.
    pub(crate) fn decode(object: &[u8], id: &CheckpointId, store: StoreId, what: &str) -> Result<Self> {
        let text = frame::unpack(object, frame::MAX_FRAME_BYTES, &what)?;
        let start = text.iter().position(|byte| *byte == b'\n').ok_or_else(|| Error::corrupt(what))? + 1;
        let header: Header<'_> = read_header(&text[..start], what)?;
        let ours = store_id(&header.store, what)? == store && header.number == id.number && header.nonce == id.nonce;
        let middle = start.checked_add(header.records);
        let end = middle.and_then(|middle| middle.checked_add(header.logs));
        let (Some(middle), true) = (middle, end == Some(text.len()) && ours) else {
            return Err(Error::corrupt(format!("{what}: its first line does not match its content")));
        };
        Ok(Self {
            id: Some(id.clone()),
            last_seq: Seq::new(header.seq),
            feed: header.feed.into_iter().map(ChunkLine::read).collect(),
            feed_end: header.feed_end,
            packs: header.packs.into_iter().map(|(pack, size)| (pack.into(), size)).collect(),
            records: start..middle,
            logs: middle..text.len(),
            text,
        })
    }

    /// Returns the number of the first commit that the feed remembers.
    pub(crate) fn feed_start(&self) -> u64 {
        self.feed.first().map_or(self.feed_end, |chunk| chunk.first)
    }

    /// Returns its size in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn records(&self) -> SortedLines<'_> {
        SortedLines { bytes: &self.text[self.records.clone()] }
    }

    pub(crate) fn logs(&self) -> SortedLines<'_> {
        SortedLines { bytes: &self.text[self.logs.clone()] }
    }

    /// Returns its name for errors.
    pub(crate) fn what(&self) -> String {
        format!("checkpoint {}", self.id.as_ref().map_or(0, |id| id.number))
    }
}

/// Lines sorted by key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SortedLines<'a> {
    bytes: &'a [u8],
}

impl<'a> SortedLines<'a> {
    /// Returns the line of a key.
    pub(crate) fn find<L: KeyedLine<'a>, K: Key>(self, key: &K, what: &str) -> Result<Option<L>> {
        let wanted = (key.kind().as_str(), key.id());
        let start = self.seek::<L>(|kind, id| (kind, id) < wanted, what)?;
        let Some((bytes, _)) = self.line_at(start) else { return Ok(None) };
        let line: L = parse(bytes, what)?;
        Ok((line.key() == wanted).then_some(line))
    }

    /// Returns the lines that a query finds, in its direction. They are adjacent.
    pub(crate) fn matching<'q, L, K>(
        self,
        query: &'q KeyQuery<K>,
        what: &'q str,
    ) -> Result<impl Iterator<Item = Result<(K, L)>> + use<'a, 'q, L, K>>
    where
        L: KeyedLine<'a>,
        K: Key,
    {
        let forward = query.direction == Direction::Forward;
        let mut at = self.seek::<L>(|kind, id| is_before(query, kind, id), what)?;
        let mut next = move || {
            let bytes = if forward {
                let (line, next) = self.line_at(at)?;
                at = next;
                line
            } else {
                let (line, start) = self.line_before(at)?;
                at = start;
                line
            };
            Some(bytes)
        };
        Ok(std::iter::from_fn(move || {
            let read = |bytes| -> Result<(K, L)> {
                let line: L = parse(bytes, what)?;
                let (kind, id) = line.key();
                Ok((crate::line::read_key(kind, id, what)?, line))
            };
            match read(next()?) {
                Ok((key, line)) => query.matches(&key).then_some(Ok((key, line))),
                Err(error) => Some(Err(error)),
            }
        }))
    }

    /// Returns the start of the first line for which `before` is false; it must be false for all later ones too.
    fn seek<L: KeyedLine<'a>>(self, before: impl Fn(&str, &str) -> bool, what: &str) -> Result<usize> {
        let (mut low, mut high) = (0, self.bytes.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start = self.bytes[low..middle].iter().rposition(|byte| *byte == b'\n').map_or(low, |at| low + at + 1);
            let Some((bytes, end)) = self.line_at(start) else { break };
            let line: L = parse(bytes, what)?;
            let (kind, id) = line.key();
            if before(kind, id) {
                low = end;
            } else {
                high = start;
            }
        }
        Ok(low)
    }

    /// Returns the line that begins at an offset, and where the next one begins.
    fn line_at(self, start: usize) -> Option<(&'a [u8], usize)> {
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        Some((&rest[..length], start + length + 1))
    }

    /// Returns the line that ends just before an offset, and where it begins.
    fn line_before(self, end: usize) -> Option<(&'a [u8], usize)> {
        let line = self.bytes.get(..end.checked_sub(1)?)?;
        let start = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Some((&line[start..], start))
    }
}

/// Returns whether a key comes before the place where a query starts: forwards that is the first key that may match,
/// backwards the first key after all that may.
fn is_before<K: Key>(query: &KeyQuery<K>, kind: &str, id: &str) -> bool {
    let after = query.after.as_ref().map(|key| (key.kind().as_str(), key.id()));
    let wanted = query.kind.as_ref().map(nofx_core::Kind::as_str);
    match query.direction {
        Direction::Forward => {
            after.is_some_and(|after| (kind, id) <= after)
                || wanted.is_some_and(|wanted| (kind, id) < (wanted, query.prefix.as_str()))
        }
        Direction::Backward => {
            after.is_none_or(|after| (kind, id) < after)
                && wanted.is_none_or(|wanted| {
                    kind < wanted || kind == wanted && (id < query.prefix.as_str() || id.starts_with(&query.prefix))
                })
        }
    }
}
