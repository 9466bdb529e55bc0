//! Chunks: many entries of a log compressed together, and cut into rows that fill redb's pages.
//!
//! With one row per entry the file would be two to three times as large as the texts in it. So entries have rows of
//! their own only while there are few; then they are *folded*: compressed together and stored in pieces. redb gives a
//! value larger than its page of 4 KiB a power of two of pages, a quarter of them empty on average; pieces of one page
//! each avoid that.

use std::num::NonZero;
use std::ops::Bound;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nofx_core::{Body, LogEntry, NewEntry, Timestamp};
use redb::ReadableTable;

use crate::codec::{Decoder, Encoder, Head, TableTag, Unread, Unsealed, decode_entry, placed, seal, text, unseal};
use crate::compression::{Codec, Effort, pack, unpack, with_room};
use crate::fault::{Attempt, Fault};
use crate::tables::{TableRows, Tables, WriteTable};

/// A chunk is full when its bodies have this many bytes.
pub(crate) const FULL_CHUNK: usize = 128 << 10;

/// If a log's last chunk has fewer bytes than this, folding more extends it.
const SMALL_CHUNK: usize = 64 << 10;

/// A log is folded when the bodies in its rows would reach this many bytes.
pub(crate) const FOLD_BYTES: u64 = 16 << 10;

/// A log is folded when it would reach this many rows.
pub(crate) const FOLD_ROWS: u64 = 256;

/// What fits into one of redb's pages beside redb's own data and a key.
const PIECE: usize = 4096 - 64;

/// The lowest number of a log.
pub(crate) const FIRST_LOG: u64 = 1;

/// A decoded chunk.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) first: u64,
    /// The size of its bodies.
    pub(crate) bytes: usize,
    pub(crate) entries: Vec<(Timestamp, Body)>,
}

/// Returns the key of a piece of a chunk.
pub(crate) fn piece_key(log: u64, first: u64, piece: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&placed(log, first));
    key[16..].copy_from_slice(&piece.to_be_bytes());
    key
}

fn first_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(8..16)?.try_into().ok()?))
}

/// Returns which chunk a piece belongs to: its log and first position.
pub(crate) fn owner(key: &[u8]) -> Option<&[u8; 16]> {
    key.first_chunk()
}

/// Prepares a whole chunk to be cut into different pieces, compressed as densely as possible if `effort` says so.
/// Returns the keys of its pieces and its value; `None` if it is damaged.
pub(crate) fn again(key: &[u8], value: Vec<u8>, effort: Effort) -> Option<(impl Fn(u32) -> [u8; 20], Vec<u8>)> {
    let log = u64::from_be_bytes(*key.first_chunk()?);
    let first = first_of(key)?;
    let value = match effort {
        Effort::Quick => value,
        Effort::Dense => encode(log, first, &decode(log, first, &value).ok()?.entries, effort)?,
    };
    Some((move |piece| piece_key(log, first, piece), value))
}

/// Encodes consecutive entries; `None` if they cannot be compressed.
fn encode(log: u64, first: u64, entries: &[(Timestamp, Body)], effort: Effort) -> Option<Vec<u8>> {
    with_room(|room| {
        let mut plain = Encoder::in_room(room);
        let mut before = 0;
        for (at, body) in entries {
            // Times are stored as differences: they repeat, so they compress well.
            plain.signed(at.as_millis().wrapping_sub(before)).counted(body.as_str().as_bytes());
            before = at.as_millis();
        }
        *room = plain.into_room();
        let (codec, smaller) = pack(room, effort)?;
        let mut payload = Encoder::default();
        payload.number(codec as u64).number(entries.len() as u64).number(room.len() as u64).raw(&smaller);
        Some(seal(TableTag::Chunks, &placed(log, first), &payload))
    })
}

fn decode(log: u64, first: u64, value: &[u8]) -> Unsealed<Chunk> {
    let mut payload = unseal(TableTag::Chunks, &placed(log, first), value).ok_or(Unread::Damaged)?;
    let codec = Codec::of(payload.number().ok_or(Unread::Damaged)?)?;
    let count = payload.number().ok_or(Unread::Damaged)?;
    decode_entries(first, count, codec, payload).ok_or(Unread::Damaged)
}

fn decode_entries(first: u64, count: u64, codec: Codec, mut payload: Decoder<'_>) -> Option<Chunk> {
    let length = payload.number()?;
    unpack(codec, payload.rest(), length, |plain| {
        let mut bodies = String::with_capacity(plain.len());
        let mut plain = Decoder::new(plain);
        let (mut at, mut times, mut ends) = (0_i64, Vec::new(), Vec::new());
        for _ in 0..count {
            at = at.wrapping_add(plain.signed()?);
            times.push(Timestamp::from_millis(at));
            bodies.push_str(text(plain.counted()?)?);
            ends.push(bodies.len());
        }
        plain.end()?;
        let bytes = bodies.len();
        Some(Chunk { first, bytes, entries: times.into_iter().zip(Body::trusted_parts(bodies, ends)).collect() })
    })
}

/// Reads the chunk that contains a position; `None` if there is none at or before it.
pub(crate) fn chunk_of(chunks: &impl TableRows, log: u64, position: u64) -> Attempt<Option<Chunk>> {
    let (lowest, highest) = (piece_key(log, 0, 0), piece_key(log, position, u32::MAX));
    let Some(last) = chunks.range::<&[u8]>(&lowest[..]..=&highest[..])?.next_back() else { return Ok(None) };
    let unread = |why, first: u64| Fault::unread(why, format!("the chunk from position {first}"));
    let first = first_of(last?.0.value()).ok_or_else(|| unread(Unread::Damaged, position))?;
    let (lowest, highest) = (piece_key(log, first, 0), piece_key(log, first, u32::MAX));
    let mut value = Vec::new();
    for piece in chunks.range::<&[u8]>(&lowest[..]..=&highest[..])? {
        value.extend_from_slice(piece?.1.value());
    }
    Ok(Some(decode(log, first, &value).map_err(|why| unread(why, first))?))
}

/// Reads an entry that has its own row.
pub(crate) fn entry_of(entries: &impl TableRows, log: u64, position: u64) -> Attempt<LogEntry> {
    let key = placed(log, position);
    let value = entries.get(&key[..])?;
    let decoded = value.ok_or(Unread::Damaged).and_then(|value| decode_entry(&key, value.value()));
    let (at, body) = decoded.map_err(|why| Fault::unread(why, format!("the entry at position {position}")))?;
    Ok(LogEntry { position, at, body })
}

impl Tables<WriteTable<'_>> {
    /// Appends to a log: as rows while there are few, otherwise by folding the entries into `folded` with all other
    /// rows of the log.
    pub(crate) fn append(&mut self, head: &mut Head, entries: Vec<NewEntry>, folded: &mut Folded) -> Attempt<()> {
        self.begin_append(head, &entries)?;
        let bytes = bytes_of(&entries);
        let rows = head.length - head.folded + entries.len() as u64;
        if head.tail_bytes + bytes >= FOLD_BYTES || rows >= FOLD_ROWS {
            match self.rows_of(head) {
                Ok(rows) => return self.fold_with(head, rows, entries, folded),
                // The log continues after the damaged row, which stays where it is.
                Err(fault) if fault.is_of_value() => {}
                Err(fault) => return Err(fault),
            }
        }
        self.append_rows(head, entries)
    }

    /// Numbers a log that has no number yet, and updates the time of its last entry.
    fn begin_append(&mut self, head: &mut Head, entries: &[NewEntry]) -> Attempt<()> {
        if head.number == 0 {
            head.number = self.next_log_number()?;
        }
        if let Some(last) = entries.last() {
            head.last_at = last.at;
        }
        Ok(())
    }

    /// Appends to a log without reading its entries.
    pub(crate) fn append_blindly(&mut self, head: &mut Head, entries: Vec<NewEntry>) -> Attempt<()> {
        self.begin_append(head, &entries)?;
        self.append_rows(head, entries)
    }

    fn append_rows(&mut self, head: &mut Head, entries: Vec<NewEntry>) -> Attempt<()> {
        let bytes = bytes_of(&entries);
        for entry in entries {
            let key = placed(head.number, head.length);
            self.entries.insert(&key[..], &*crate::codec::encode_entry(&key, entry.at, &entry.body))?;
            head.length += 1;
        }
        head.tail_bytes += bytes;
        Ok(())
    }

    /// Folds all rows of a log, unless one of them is damaged.
    pub(crate) fn fold(&mut self, head: &mut Head, folded: &mut Folded) -> Attempt<()> {
        if head.tail_bytes == 0 {
            return Ok(());
        }
        match self.rows_of(head) {
            Ok(rows) => self.fold_with(head, rows, Vec::new(), folded),
            Err(fault) if fault.is_of_value() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn rows_of(&self, head: &Head) -> Attempt<Vec<LogEntry>> {
        (head.folded..head.length).map(|position| entry_of(&self.entries, head.number, position)).collect()
    }

    /// Folds all rows of a log and the new entries after them.
    fn fold_with(
        &mut self,
        head: &mut Head,
        rows: Vec<LogEntry>,
        new: Vec<NewEntry>,
        folded: &mut Folded,
    ) -> Attempt<()> {
        let mut run = self.take_small_chunk(head)?;
        self.remove_rows(head)?;
        head.length += new.len() as u64;
        head.folded = head.length;
        let rows = rows.into_iter().map(|row| (row.at, row.body));
        let new = new.into_iter().map(|entry| (entry.at, entry.body));
        for (at, body) in rows.chain(new) {
            run.bytes += body.len();
            run.entries.push((at, body));
            if run.bytes >= FULL_CHUNK {
                let next =
                    Run { log: run.log, first: run.first + run.entries.len() as u64, bytes: 0, entries: Vec::new() };
                folded.add(std::mem::replace(&mut run, next));
            }
        }
        folded.add(run);
        Ok(())
    }

    /// Takes the last chunk of a log out again if it is small.
    fn take_small_chunk(&mut self, head: &Head) -> Attempt<Run> {
        let run = |first| Run { log: head.number, first, bytes: 0, entries: Vec::new() };
        if head.folded == 0 {
            return Ok(run(0));
        }
        let chunk = match chunk_of(&self.chunks, head.number, head.folded - 1) {
            // A damaged chunk stays where it is.
            Err(fault) if fault.is_of_value() => None,
            chunk => chunk?,
        };
        match chunk {
            Some(chunk) if chunk.bytes < SMALL_CHUNK && chunk.first + chunk.entries.len() as u64 == head.folded => {
                self.remove_chunks(head.number, chunk.first)?;
                Ok(Run { bytes: chunk.bytes, entries: chunk.entries, ..run(chunk.first) })
            }
            _ => Ok(run(head.folded)),
        }
    }

    /// Stores the folded entries as chunks.
    pub(crate) fn store_chunks(&mut self, folded: &Folded) -> Attempt<()> {
        folded.encoded(|run, value| {
            for (piece, bytes) in (0..).zip(value.chunks(PIECE)) {
                self.chunks.insert(&piece_key(run.log, run.first, piece)[..], bytes)?;
            }
            Ok(())
        })
    }

    /// Removes the rows of a log. Returns how many bytes they had.
    fn remove_rows(&mut self, head: &mut Head) -> Attempt<u64> {
        if head.tail_bytes == 0 {
            return Ok(0);
        }
        head.tail_bytes = 0;
        remove(&mut self.entries, &placed(head.number, 0), &placed(head.number, u64::MAX))
    }

    /// Removes the chunks of a log from a position on. Returns how many bytes they had.
    fn remove_chunks(&mut self, log: u64, from: u64) -> Attempt<u64> {
        remove(&mut self.chunks, &piece_key(log, from, 0), &piece_key(log, u64::MAX, u32::MAX))
    }

    /// Removes a log and its content. Its number and name are never used again. Returns how many bytes it had.
    pub(crate) fn remove_log(&mut self, head: &mut Head) -> Attempt<u64> {
        let mut bytes = 0;
        if head.number != 0 {
            bytes = self.remove_rows(head)? + self.remove_chunks(head.number, 0)?;
        }
        *head = head.removed();
        Ok(bytes)
    }

    /// Folds the rows of a log if their bodies have at least `least` bytes. Returns how many bytes they had.
    pub(crate) fn fold_named(&mut self, name: &[u8], least: u64) -> Attempt<u64> {
        let head = self.logs.get(name)?.and_then(|value| Head::decode(name, value.value()));
        let Some(mut head) = head.filter(|head| head.tail_bytes >= least.max(1)) else { return Ok(0) };
        let bytes = head.tail_bytes;
        let mut folded = Folded::default();
        self.fold(&mut head, &mut folded)?;
        self.store_chunks(&folded)?;
        if head.tail_bytes > 0 {
            return Ok(0);
        }
        self.logs.insert(name, &*head.encode(name))?;
        Ok(bytes)
    }

    /// Folds logs in name order, beginning after `after`, until about `most` bytes are folded. Returns the name of the
    /// last one if there may be more.
    pub(crate) fn fold_some(&mut self, after: Option<Vec<u8>>, most: u64) -> Attempt<Option<Vec<u8>>> {
        let mut after = after;
        let mut folded = 0;
        while folded < most {
            let next = {
                let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let next = self.logs.range::<&[u8]>((from, Bound::Unbounded))?.next().transpose()?;
                next.map(|(name, _)| name.value().to_vec())
            };
            let Some(name) = next else { return Ok(None) };
            folded += self.fold_named(&name, 1)?;
            after = Some(name);
        }
        Ok(after)
    }
}

fn bytes_of(entries: &[NewEntry]) -> u64 {
    entries.iter().map(|entry| entry.body.len() as u64).sum()
}

/// Removes the rows from one key to another. Returns how many bytes their values had.
fn remove(table: &mut WriteTable<'_>, lowest: &[u8], highest: &[u8]) -> Attempt<u64> {
    let mut bytes = 0;
    table.retain_in::<&[u8], _>(lowest..=highest, |_, value| {
        bytes += value.len() as u64;
        false
    })?;
    Ok(bytes)
}

/// Entries that become one chunk.
#[derive(Debug)]
struct Run {
    log: u64,
    first: u64,
    bytes: usize,
    entries: Vec<(Timestamp, Body)>,
}

/// Folded entries of several logs that are not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    runs: Vec<Run>,
    bytes: usize,
}

/// The size from which it pays to start threads: compressing this much takes a millisecond, starting and ending a
/// thread 43 microseconds (two shared virtual cores).
const MIN_PARALLEL_BYTES: usize = 512 << 10;

/// The most threads that compress folded entries: the work before and after is done by one.
const MAX_THREADS: usize = 4;

impl Folded {
    fn add(&mut self, run: Run) {
        self.bytes += run.bytes;
        if !run.entries.is_empty() {
            self.runs.push(run);
        }
    }

    /// Passes all chunks as stored to `see`, in order. Large amounts are encoded by several threads, while this one
    /// calls `see` with what is ready.
    fn encoded(&self, mut see: impl FnMut(&Run, &[u8]) -> Attempt<()>) -> Attempt<()> {
        let encode = |run: &Run| encode(run.log, run.first, &run.entries, Effort::Quick);
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        let threads = if self.bytes < MIN_PARALLEL_BYTES { 1 } else { cores().min(MAX_THREADS).min(self.runs.len()) };
        let values: Vec<_> = self.runs.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        // Encodes the next chunk that no thread has begun; `None` if there is none.
        let encode_next = || {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (run, value) = self.runs.get(at).zip(values.get(at))?;
            value.set(encode(run)).ok()
        };
        let mut left = self.runs.iter().zip(&values).peekable();
        let mut see_ready = || {
            while let Some((run, value)) = left.next_if(|(_, value)| value.get().is_some()) {
                let value = value.get().and_then(Option::as_ref);
                see(run, value.ok_or_else(|| Fault::damaged("compressing a chunk"))?)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // If this fails, the current thread does more of the work.
                _ = thread::Builder::new().spawn_scoped(scope, || while encode_next().is_some() {});
            }
            while encode_next().is_some() {
                see_ready()?;
            }
            Ok::<_, Fault>(())
        })?;
        see_ready()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_encoded_by_several_threads_as_by_one() {
        let mut folded = Folded::default();
        for log in 1..=40 {
            let body = |number: u64| Body::trusted(format!("\"{}\"", format!("{log} said {number}. ").repeat(90)));
            let entries: Vec<_> =
                (0..log).map(|number| (Timestamp::from_millis(number as i64), body(number))).collect();
            let bytes = entries.iter().map(|(_, body)| body.len()).sum();
            folded.add(Run { log, first: log * 3, bytes, entries });
        }
        assert!(folded.bytes > MIN_PARALLEL_BYTES);
        let mut seen = folded.runs.iter();
        let see = |run: &Run, value: &[u8]| {
            assert_eq!(seen.next().unwrap().log, run.log);
            assert_eq!(decode(run.log, run.first, value).unwrap().entries, run.entries);
            Ok(())
        };
        folded.encoded(see).unwrap();
        assert!(seen.next().is_none());
    }
}
