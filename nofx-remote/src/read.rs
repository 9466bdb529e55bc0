//! Answering queries: first from memory, at a single point in time, then from packs.

use std::ops::Range;

use futures_util::{StreamExt, TryStreamExt, stream};
use nofx_core::{
    ChangePage, Changes, Cursor, Direction, Error, Key, KeyQuery, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    PAGE_BYTES, Page, Record, RecordKey, Result, ScanQuery, Seq, Timestamp,
};
use serde_json::value::RawValue;

use crate::checkpoint::Chunk;
use crate::fault::naming;
use crate::feed::read_chunk;
use crate::line::{Held, THERE, parse, read_held};
use crate::packs::AT_ONCE;
use crate::root::Root;

/// The maximum number of commits on one page of the feed.
const CHANGES_AT_ONCE: usize = 10_000;

type Found = (RecordKey, Seq, Held);

impl Root {
    pub(crate) async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let look = |state: &crate::state::State| -> Result<Vec<Option<Found>>> {
            keys.iter().map(|key| Ok(state.record(key)?.map(|(seq, held)| (key.clone(), seq, held)))).collect()
        };
        let found = self.fresh(look).await?;
        let absent = keys.iter().zip(&found).find(|(_, found)| found.is_none());
        if let Some(error) = absent.and_then(|(key, _)| Some(naming(self.blocked()?, key.to_string()))) {
            return Err(error);
        }
        let whole = found.into_iter().map(|found| async {
            match found {
                Some(found) => self.whole(found).await.map(Some),
                None => Ok(None),
            }
        });
        stream::iter(whole).buffered(AT_ONCE).try_collect().await
    }

    async fn whole(&self, (key, version, held): Found) -> Result<Record> {
        let body = self.packs.body(held).await.map_err(|error| naming(error, key.to_string()))?;
        Ok(Record { key, version, body })
    }

    pub(crate) async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        query.validate()?;
        let found = self
            .fresh(|state| Page::fill(state.scan(query, &state.base.what())?, query.limit, |(_, _, held)| held.len()))
            .await?;
        let whole = stream::iter(found.items.into_iter().map(|found| self.whole(found)));
        self.end_of_list(query, up_to_damage(whole.buffered(AT_ONCE).collect().await, found.more)?)
    }

    /// Ends a list that may lack writes of a damaged newest commit with that error, as if it came after everything
    /// else.
    fn end_of_list<K: Key, T>(&self, query: &KeyQuery<K>, page: Page<T>) -> Result<Page<T>> {
        let Some(error) = self.blocked() else { return Ok(page) };
        match (query.direction, &query.after) {
            (Direction::Forward, _) if !page.more && page.items.is_empty() => Err(error),
            (Direction::Backward, None) => Err(error),
            (Direction::Forward, _) => Ok(Page { more: true, ..page }),
            (Direction::Backward, Some(_)) => Ok(page),
        }
    }

    pub(crate) async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let heads: Vec<LogHead> = self.fresh(|state| logs.iter().map(|log| state.head(log)).collect()).await?;
        let absent = heads.iter().find(|head| **head == LogHead::missing(head.log.clone()));
        match absent.and_then(|head| Some(naming(self.blocked()?, head.log.to_string()))) {
            Some(error) => Err(error),
            None => Ok(heads),
        }
    }

    pub(crate) async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        query.validate()?;
        let found =
            self.fresh(|state| Page::fill(state.scan_logs(query, &state.base.what())?, query.limit, |_| 0)).await?;
        self.end_of_list(query, found)
    }

    pub(crate) async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        query.validate()?;
        let Some(wanted) = self.fresh(|state| Ok(state.log(&query.log)?.map(|log| Wanted::of(&log, query)))).await?
        else {
            return Ok(Page { items: Vec::new(), more: false });
        };
        let mut entries = Entries { found: Vec::new(), bytes: 0, limit: query.limit };
        let (before, after) = match query.direction {
            Direction::Forward => (Vec::new(), wanted.tail),
            Direction::Backward => (wanted.tail, Vec::new()),
        };
        entries.take(before);
        let mut chunks = wanted.chunks.iter();
        let mut is_cut = false;
        while let wave = entries.next_wave(&mut chunks, &wanted.range)
            && !(wave.is_empty() || is_cut)
        {
            let texts = self.packs.each_text(wave.iter().copied()).await;
            for (chunk, text) in wave.into_iter().zip(texts) {
                let found = text.and_then(|text| entries_of(chunk, &text, &wanted.range));
                match found.map_err(|error| naming(error, format!("{}: {}", query.log, chunk.what()))) {
                    Ok(mut found) => {
                        if query.direction == Direction::Backward {
                            found.reverse();
                        }
                        entries.take(found);
                    }
                    // The next page begins with the unreadable part.
                    Err(error) if error.is_of_one_thing() && !entries.found.is_empty() => {
                        is_cut = true;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if !is_cut {
            entries.take(after);
        }
        let more = match (entries.found.last(), query.direction) {
            (None, _) => false,
            (Some((last, ..)), Direction::Forward) => last + 1 < wanted.range.end,
            (Some((last, ..)), Direction::Backward) => *last > wanted.range.start,
        };
        let whole = entries.found.into_iter().map(|(position, at, held)| async move {
            let body = self.packs.body(held).await;
            let body =
                body.map_err(|error| naming(error, format!("{}: the body at position {position}", query.log)))?;
            Ok(LogEntry { position, at, body })
        });
        up_to_damage(stream::iter(whole).buffered(AT_ONCE).collect().await, more)
    }

    pub(crate) async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let limit = limit.min(CHANGES_AT_ONCE);
        let (store, from, end, chunks, recent) = self
            .fresh(|state| {
                let (start, end) = (state.base.feed_start(), state.feed_end());
                let from = match after {
                    None => Some(0),
                    Some(cursor) => cursor.commits_of(state.store)?,
                };
                let from = from.filter(|from| (start..=end).contains(from));
                let first = from.unwrap_or(end);
                let chunks: Vec<_> = state.base.feed.iter().filter(|chunk| chunk.end() > first).cloned().collect();
                let skipped = first.saturating_sub(state.base.feed_end) as usize;
                let recent = state.recent.iter().skip(skipped).take(limit).map(|item| item.change.clone());
                Ok((state.store, from, end, chunks, recent.collect::<Vec<_>>()))
            })
            .await?;
        let newest = Cursor::after(store, end);
        let Some(from) = from else { return Ok(Changes::Gap { newest }) };
        let mut changes = Vec::new();
        for chunk in chunks {
            if changes.len() < limit {
                let next = from + changes.len() as u64;
                let items = read_chunk(&self.packs, &chunk, next, limit - changes.len()).await?;
                changes.extend(items.into_iter().map(|item| item.change));
            }
        }
        changes.extend(recent);
        changes.truncate(limit);
        if let Some(error) = self.blocked().filter(|_| changes.is_empty() && limit > 0) {
            return Err(error);
        }
        let next = Cursor::after(store, from + changes.len() as u64);
        Ok(Changes::Page(ChangePage { changes, next, newest }))
    }
}

/// Ends a page before the first unreadable item, with which the next page begins.
fn up_to_damage<T>(found: Vec<Result<T>>, more: bool) -> Result<Page<T>> {
    let mut items = Vec::with_capacity(found.len());
    for item in found {
        match item {
            Ok(item) => items.push(item),
            Err(error) if error.is_of_one_thing() && !items.is_empty() => return Ok(Page { items, more: true }),
            Err(error) => return Err(error),
        }
    }
    Ok(Page { items, more })
}

/// An entry whose body may be in a pack.
type Entry = (u64, Timestamp, Held);

/// What a query asks of one log, at a single point in time.
struct Wanted {
    /// The positions that exist.
    range: Range<u64>,
    /// The chunks that cover them, in the requested direction.
    chunks: Vec<Chunk>,
    /// The entries after the chunks, in the requested direction.
    tail: Vec<Entry>,
}

impl Wanted {
    fn of(log: &crate::checkpoint::Log, query: &LogQuery) -> Self {
        let range = query.range.start.min(log.length)..query.range.end.min(log.length);
        let overlaps = |chunk: &&Chunk| chunk.first < range.end && chunk.end() > range.start;
        let mut chunks: Vec<_> = log.chunks.iter().filter(overlaps).cloned().collect();
        let start = log.tail_start();
        let tail = log.tail.iter().enumerate().map(|(at, entry)| (start + at as u64, entry));
        let tail = tail.filter(|(position, _)| range.contains(position));
        let tail = tail.map(|(position, (at, held))| (position, *at, held.clone()));
        let tail = match query.direction {
            Direction::Forward => tail.take(query.limit).collect(),
            Direction::Backward => {
                chunks.reverse();
                tail.rev().take(query.limit).collect()
            }
        };
        Self { range, chunks, tail }
    }
}

/// The entries of a page being filled.
struct Entries {
    found: Vec<Entry>,
    bytes: usize,
    limit: usize,
}

impl Entries {
    fn is_full(&self) -> bool {
        self.found.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    /// Returns the next chunks that are needed to fill the page, all at once, if their lines are as long as they
    /// appear to be.
    fn next_wave<'a>(&self, chunks: &mut impl Iterator<Item = &'a Chunk>, range: &Range<u64>) -> Vec<&'a Chunk> {
        let (mut lines, mut bytes) = (self.found.len() as u64, self.bytes);
        let mut wave = Vec::new();
        while lines < self.limit as u64
            && bytes < PAGE_BYTES
            && let Some(chunk) = chunks.next()
        {
            lines += chunk.end().min(range.end) - chunk.first.max(range.start);
            bytes += chunk.raw as usize;
            wave.push(chunk);
        }
        wave
    }

    fn take(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if self.is_full() {
                return;
            }
            self.bytes += entry.2.len();
            self.found.push(entry);
        }
    }
}

/// Returns the entries of a chunk that are in a range.
fn entries_of(chunk: &Chunk, text: &[u8], range: &Range<u64>) -> Result<Vec<Entry>> {
    let what = chunk.what();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let wanted = (chunk.first..).zip(lines).filter(|(position, _)| range.contains(position));
    wanted
        .map(|(expected, line)| {
            let (position, at, how, raw): (u64, i64, u8, &RawValue) = parse(line, &what)?;
            let far = || chunk.far.iter().find(|(at, _)| *at == position).map(|(_, far)| Held::There(far.clone()));
            let held = if how == THERE { far() } else { read_held(how, raw, &what)? };
            let held = held.filter(|_| position == expected).ok_or_else(|| Error::corrupt(what.as_str()))?;
            Ok((position, Timestamp::from_millis(at), held))
        })
        .collect()
}
