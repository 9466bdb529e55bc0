//! Numbers, texts and commits as bytes, for files that only programs read.
//!
//! What is written is read back unchanged. Input is never trusted: bytes that no writer wrote give `None`, not a panic.

use std::collections::HashSet;
use std::ops::Range;

use nofx_core::kind::KINDS;
use nofx_core::{
    Append, Batch, BatchId, Body, Change, Committed, Expect, Key, Kind, LogEntry, LogKey, NewEntry, RecordKey, Seq,
    Timestamp, Write,
};

/// A growing buffer of bytes.
#[derive(Debug, Default)]
pub struct Encoder(pub Vec<u8>);

impl Encoder {
    /// Writes seven bits per byte, lowest first; only the last byte has its highest bit clear.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Writes the number of bytes, then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Writes the kind and the id of a key.
    pub fn key(&mut self, key: &impl Key) {
        self.bytes(key.kind().as_str().as_bytes());
        self.bytes(key.id().as_bytes());
    }

    /// Writes a version, or that there is none.
    pub fn seq(&mut self, seq: Option<Seq>) {
        self.number(seq.map_or(0, Seq::get));
    }

    /// Times are small numbers near the present and may be before 1970.
    pub fn time(&mut self, at: Timestamp) {
        let millis = at.as_millis();
        self.number(((millis << 1) ^ (millis >> 63)) as u64);
    }
}

/// Bytes read from the front. Each step is `None` if they are not what it expects.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a>(pub &'a [u8]);

impl<'a> Decoder<'a> {
    /// Reads this many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads four bytes, lowest first.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Reads eight bytes, lowest first.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Reads what [`Encoder::number`] wrote.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Reads how many items follow, each of at least one byte, so that damage never leads to an absurd allocation.
    pub fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    /// Reads what [`Encoder::bytes`] wrote, if it is text.
    pub fn text(&mut self) -> Option<&'a str> {
        let count = self.count()?;
        std::str::from_utf8(self.take(count)?).ok()
    }

    /// Reads what [`Encoder::key`] wrote.
    pub fn key<K: Key>(&mut self) -> Option<K> {
        let kind = kind(self.text()?)?;
        K::new(kind, self.text()?).ok()
    }

    /// Reads what [`Encoder::seq`] wrote: `Some(None)` if there was none.
    pub fn seq(&mut self) -> Option<Option<Seq>> {
        Some(Seq::new(self.number()?))
    }

    /// Reads what [`Encoder::time`] wrote.
    pub fn time(&mut self) -> Option<Timestamp> {
        let number = self.number()?;
        Some(Timestamp::from_millis((number >> 1) as i64 ^ -((number & 1) as i64)))
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.count()?).map(|_| read(self)).collect()
    }
}

/// Returns the kind with this name, without allocating if this version knows it.
pub fn kind(name: &str) -> Option<Kind> {
    match KINDS.iter().find(|info| info.kind.as_str() == name) {
        Some(info) => Some(info.kind.clone()),
        None => Kind::new(name).ok(),
    }
}

/// A committed batch, as the journal stores it: its effect, not its expectations.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The id that the caller gave to the batch.
    pub batch: BatchId,
    /// The version of its records; `None` if it wrote none.
    pub seq: Option<Seq>,
    /// Its records with their new bodies; `None` deletes the record.
    pub writes: Vec<(RecordKey, Option<Body>)>,
    /// The entries of each log, with their positions.
    pub appends: Vec<(LogKey, Vec<LogEntry>)>,
    /// The logs that it sealed.
    pub seals: Vec<LogKey>,
    /// The logs that it removed.
    pub removals: Vec<LogKey>,
}

/// Splits a group into parts whose bodies have at most so many bytes, so that each fits into a frame. A batch with more
/// is a part of its own.
pub fn split(group: Vec<Batch>, most: usize) -> Vec<Vec<Batch>> {
    let mut parts: Vec<Vec<Batch>> = Vec::new();
    let mut room = 0;
    for batch in group {
        let bytes = batch.body_bytes();
        match parts.last_mut() {
            Some(part) if bytes <= room => part.push(batch),
            _ => {
                room = most;
                parts.push(vec![batch]);
            }
        }
        room = room.saturating_sub(bytes);
    }
    parts
}

impl Commit {
    /// Makes the commit of a batch, given the length of each log it appends to.
    pub fn of(batch: Batch, seq: Option<Seq>, mut length: impl FnMut(&LogKey) -> u64) -> Self {
        let appends = batch.appends.into_iter().map(|append| {
            let positions = length(&append.log)..;
            let entries = positions.zip(append.entries);
            let entries = entries.map(|(position, new)| LogEntry { position, at: new.at, body: new.body });
            (append.log, entries.collect())
        });
        Self {
            batch: batch.id,
            seq,
            writes: batch.writes.into_iter().map(|write| (write.key, write.body)).collect(),
            appends: appends.collect(),
            seals: batch.seals,
            removals: batch.removals,
        }
    }

    /// Returns a batch with the same effect and no expectations.
    pub fn to_batch(&self) -> Batch {
        let write = |(key, body): &(RecordKey, Option<Body>)| Write {
            key: key.clone(),
            expect: Expect::Any,
            body: body.clone(),
        };
        let append = |(log, entries): &(LogKey, Vec<LogEntry>)| {
            let entries = entries.iter().map(|entry| NewEntry { at: entry.at, body: entry.body.clone() });
            Append { log: log.clone(), expect: None, entries: entries.collect() }
        };
        Batch {
            id: self.batch,
            writes: self.writes.iter().map(write).collect(),
            appends: self.appends.iter().map(append).collect(),
            seals: self.seals.clone(),
            removals: self.removals.clone(),
            guards: Vec::new(),
        }
    }

    /// Writes it in the form of a journal frame.
    pub fn write(&self, out: &mut Encoder) {
        out.0.extend_from_slice(self.batch.as_bytes());
        out.seq(self.seq);
        out.number(self.writes.len() as u64);
        for (key, body) in &self.writes {
            out.key(key);
            out.bytes(body.as_ref().map_or(&[], |body| body.as_str().as_bytes()));
        }
        out.number(self.appends.len() as u64);
        for (log, entries) in &self.appends {
            out.key(log);
            out.number(entries.first().map_or(0, |entry| entry.position));
            out.number(entries.len() as u64);
            for entry in entries {
                out.time(entry.at);
                out.bytes(entry.body.as_str().as_bytes());
            }
        }
        for logs in [&self.seals, &self.removals] {
            out.number(logs.len() as u64);
            logs.iter().for_each(|log| out.key(log));
        }
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            batch: BatchId::from_bytes(from.take(16)?.try_into().ok()?),
            seq: from.seq()?,
            writes: from.list(|from| {
                let (key, body) = (from.key()?, from.text()?);
                // No body is empty.
                Some((key, (!body.is_empty()).then(|| Body::trusted(body))))
            })?,
            appends: from.list(|from| {
                let (log, first) = (from.key()?, from.number()?);
                let mut positions = first..;
                let entries = from.list(|from| {
                    let position = positions.next()?;
                    Some(LogEntry { position, at: from.time()?, body: Body::trusted(from.text()?) })
                });
                Some((log, entries?))
            })?,
            seals: from.list(Decoder::key)?,
            removals: from.list(Decoder::key)?,
        })
    }

    /// Returns the part of it that is remembered for long.
    pub fn remembered(&self) -> Remembered {
        let ranges = self.appends.iter().map(|(log, entries)| {
            let start = entries.first().map_or(0, |entry| entry.position);
            (log.clone(), start..start + entries.len() as u64)
        });
        let mut logs: Vec<(LogKey, Range<u64>)> = ranges.collect();
        let appended = logs.len();
        let mut seen: HashSet<_> = self.appends.iter().map(|(log, _)| log).collect();
        let others = self.seals.iter().chain(&self.removals).filter(|log| seen.insert(*log));
        logs.extend(others.map(|log| (log.clone(), 0..0)));
        let records = self.writes.iter().map(|(key, _)| key.clone()).collect();
        Remembered { batch: self.batch, seq: self.seq, records, logs, appended }
    }
}

/// A commit without its bodies: enough for the feed and for a batch that is committed again.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// The id of the batch.
    pub batch: BatchId,
    /// The version of its records.
    pub seq: Option<Seq>,
    /// The records that it wrote or deleted.
    pub records: Vec<RecordKey>,
    /// First the logs that it appended to, with the positions of the new entries; then the others it changed.
    pub logs: Vec<(LogKey, Range<u64>)>,
    /// How many of the logs it appended to.
    pub appended: usize,
}

impl Remembered {
    /// Returns what followers of the feed are told.
    pub fn change(&self) -> Change {
        let logs = self.logs.iter().map(|(log, _)| log.clone()).collect();
        Change { batch: self.batch, seq: self.seq, records: self.records.clone(), logs }
    }

    /// Returns the answer that the caller got, and gets again for the same id.
    pub fn committed(&self) -> Committed {
        let appended = self.logs.iter().take(self.appended).map(|(_, range)| range.clone()).collect();
        Committed { seq: self.seq, appended }
    }

    /// Writes it in the form of the feed.
    pub fn write(&self, out: &mut Encoder) {
        out.0.extend_from_slice(self.batch.as_bytes());
        out.seq(self.seq);
        out.number(self.records.len() as u64);
        self.records.iter().for_each(|key| out.key(key));
        out.number(self.appended as u64);
        out.number(self.logs.len() as u64);
        for (log, range) in &self.logs {
            out.key(log);
            out.number(range.start);
            out.number(range.end - range.start);
        }
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(from: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            batch: BatchId::from_bytes(from.take(16)?.try_into().ok()?),
            seq: from.seq()?,
            records: from.list(Decoder::key)?,
            appended: usize::try_from(from.number()?).ok()?,
            logs: from.list(|from| {
                let (log, start) = (from.key()?, from.number()?);
                Some((log, start..start.checked_add(from.number()?)?))
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commit() -> Commit {
        let log = |id| LogKey::new(Kind::of("talk"), id).unwrap();
        let record = |id| RecordKey::new(Kind::of("note"), id).unwrap();
        let entry = |at| NewEntry { at: Timestamp::from_millis(at), body: Body::trusted("{\"a\":1}") };
        let batch = Batch::new(BatchId::from_bytes([7; 16]))
            .put(record("a"), Expect::Any, Body::trusted("1"))
            .delete(record("b\0"), Expect::Any)
            .append(log("x"), vec![entry(i64::MIN), entry(i64::MAX), entry(-1)])
            .seal(log("x"))
            .remove(log("z"));
        Commit::of(batch, Seq::new(u64::MAX), |_| 300)
    }

    #[test]
    fn commits_come_back() {
        let mut out = Encoder::default();
        commit().write(&mut out);
        assert_eq!(Commit::read(&mut Decoder(&out.0)), Some(commit()));
        for end in 0..out.0.len() {
            assert_eq!(Commit::read(&mut Decoder(&out.0[..end])), None, "cut at {end}");
        }
    }

    #[test]
    fn what_is_remembered_comes_back() {
        let remembered = commit().remembered();
        let mut out = Encoder::default();
        remembered.write(&mut out);
        assert_eq!(Remembered::read(&mut Decoder(&out.0)).as_ref(), Some(&remembered));
        assert_eq!(remembered.committed().appended, vec![300..303]);
        assert_eq!(remembered.change().logs.len(), 2);
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, millis: i64) {
            let mut out = Encoder::default();
            out.number(number);
            out.time(Timestamp::from_millis(millis));
            let mut from = Decoder(&out.0);
            prop_assert_eq!(from.number(), Some(number));
            prop_assert_eq!(from.time(), Some(Timestamp::from_millis(millis)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = Commit::read(&mut Decoder(&bytes));
            let _ = Remembered::read(&mut Decoder(&bytes));
        }
    }
}
