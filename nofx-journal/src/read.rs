//! Reading: from the tail, and from the base for everything else, at a single point in time.
//!
//! 1. Read the tip, and follow to it.
//! 2. Copy from the tail what the answer needs, each item with its frame.
//! 3. Take a snapshot of the base. Drop from the copy what the snapshot holds.
//! 4. Merge the two.
//!
//! The tail is copied before the snapshot is taken, so that every frame is in at least one of them: a frame that the
//! tail forgot was in the base before.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::vec;

use nofx_core::{
    BatchId, Body, ChangePage, Changes, Cursor, Direction, Error, Key, KeyQuery, LogEntry, LogHead, LogKey, LogQuery,
    LogScan, LogState, Page, PageBuilder, Record, RecordKey, Result, ScanQuery, Seq,
};

use crate::base::{Snapshot, SnapshotError};
use crate::codec::Remembered;
use crate::damage::Doubts;
use crate::follower::{Follower, TRIES};
use crate::tail::{LastWrite, LogTail, Tail};
use crate::tip::Tip;

impl Follower {
    /// Returns records by key, all from a single point in time.
    pub fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.merged(
            |tail| keys.iter().map(|key| tail.record(key)).collect::<Vec<_>>(),
            |copied, base, doubts| {
                let held = base.mark().frame;
                let read = |(key, last): (&RecordKey, Option<LastWrite>)| {
                    let last = last.filter(|last| last.frame > held);
                    doubts.about(key, last.as_ref().map(|last| last.frame))?;
                    match last {
                        Some(last) => Ok(last.record.map(|written| record(key.clone(), written))),
                        None => base.record(key),
                    }
                };
                keys.iter().zip(copied).map(read).collect()
            },
        )
    }

    /// Returns a page of records.
    pub fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        query.validate()?;
        self.merged(
            |tail| tail.records(query),
            |mut copied, base, doubts| {
                copied.retain(|(_, last)| last.frame > base.mark().frame);
                let rows = Merged::of(query.direction, copied, base.records(query));
                let present = rows.filter(|row| !matches!(row, Ok((_, Some(last), _)) if last.record.is_none()));
                let load = |(key, last, found): (_, Option<LastWrite>, Option<Option<Record>>)| {
                    doubts.about(&key, last.as_ref().map(|last| last.frame))?;
                    match (last, found) {
                        (Some(LastWrite { record: Some(written), .. }), _) => Ok(record(key, written)),
                        (_, Some(Some(found))) => Ok(found),
                        _ => base.record(&key)?.ok_or_else(|| Error::corrupt(format!("{key}: it is missing")).into()),
                    }
                };
                page(whole(query, present, doubts), query.limit, load, |record| record.body.len())
            },
        )
    }

    /// Returns the heads of logs, all from a single point in time.
    pub fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.merged(
            |tail| logs.iter().map(|log| tail.head(log)).collect::<Vec<_>>(),
            |copied, base, doubts| {
                let head = |(log, mut tail): (&LogKey, LogTail)| {
                    tail.forget(base.mark().frame);
                    doubts.about(log, tail.touched())?;
                    let below = if tail.removed.is_some() { None } else { base.head(log)? };
                    Ok(tail.head(log, below).unwrap_or_else(|| LogHead::missing(log.clone())))
                };
                logs.iter().zip(copied).map(head).collect()
            },
        )
    }

    /// Returns a page of the heads of logs. Removed logs are not found.
    pub fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        query.validate()?;
        self.merged(
            |tail| tail.heads(query),
            |mut copied, base, doubts| {
                copied.iter_mut().for_each(|(_, tail)| tail.forget(base.mark().frame));
                copied.retain(|(_, tail)| !tail.is_empty());
                let heads = base.heads(query).map(|head| head.map(|head| (head.log.clone(), head)));
                let rows = Merged::of(query.direction, copied, heads);
                let present = rows.filter_map(|row| match row {
                    Ok((log, tail, head)) => {
                        let tail = tail.unwrap_or_default();
                        tail.head(&log, head).map(|head| Ok((head, tail.touched())))
                    }
                    Err(error) => Some(Err(error)),
                });
                let present = present.filter(|row| !matches!(row, Ok((head, _)) if head.state == LogState::Removed));
                let load = |(head, touched): (LogHead, _)| doubts.about(&head.log, touched).map(|()| head);
                page(whole(query, present, doubts), query.limit, load, |_| 0)
            },
        )
    }

    /// Returns a page of the entries of a log.
    pub fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        query.validate()?;
        let (log, limit) = (&query.log, query.limit);
        self.merged(
            |tail| (tail.head(log), tail.entries(query)),
            |(mut tail, mut recent), base, doubts| {
                let held = base.mark().frame;
                tail.forget(held);
                let doubt = doubts.about(log, tail.touched()).err();
                let head = if tail.removed.is_some() { None } else { base.head(log)? };
                let in_base = head.as_ref().map_or(0, |head| head.length);
                let length = tail.head(log, head).map_or(0, |head| head.length);
                // The existing content of a log is known, but perhaps not where it ends.
                let doubt = doubt.filter(|_| query.direction == Direction::Forward && query.range.end > length);
                let is_doubtful = doubt.is_some();
                if let Some(doubt) = doubt.filter(|_| query.range.start >= length) {
                    return Err(doubt);
                }
                let range = query.range.start.min(length)..query.range.end.min(length);
                recent.retain(|(frame, entry)| *frame > held && range.contains(&entry.position));
                // A base that had to be rebuilt may hold more entries than its mark says.
                let in_base = in_base.min(recent.first().map_or(u64::MAX, |(_, entry)| entry.position));
                let recent = recent.into_iter().map(|(_, entry)| Ok(entry));
                let older = base.entries(log, range.start.min(in_base)..range.end.min(in_base), query.direction);
                let missing = |position| SnapshotError::from(doubts.missing(log, position));
                let Page { items, .. } = match query.direction {
                    Direction::Forward => {
                        let mut next = range.start;
                        let rows = older.chain(recent).map(|row| match row {
                            Ok(entry) if entry.position != next => Err(missing(next)),
                            row => {
                                next += 1;
                                row
                            }
                        });
                        page(rows.take(limit), limit, Ok, size)?
                    }
                    Direction::Backward => {
                        let mut end = range.end;
                        let rows = recent.rev().chain(older).map(|row| match row {
                            Ok(entry) if entry.position + 1 != end => Err(missing(end - 1)),
                            row => {
                                end -= 1;
                                row
                            }
                        });
                        page(rows.take(limit), limit, Ok, size)?
                    }
                };
                let Some(last) = items.last().map(|entry| entry.position) else {
                    return match (range.is_empty() || limit == 0, query.direction) {
                        (true, _) => Ok(Page { items, more: false }),
                        (_, Direction::Forward) => Err(missing(range.start)),
                        (_, Direction::Backward) => Err(missing(range.end - 1)),
                    };
                };
                let more = match query.direction {
                    Direction::Forward => last + 1 < range.end || is_doubtful,
                    Direction::Backward => last > range.start,
                };
                Ok(Page { items, more })
            },
        )
    }

    /// Returns the commit of a batch, if it is remembered.
    pub fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>> {
        self.merged(
            |tail| tail.remembered(batch),
            |recent, base, doubts| match recent.filter(|(frame, _)| *frame > base.mark().frame) {
                Some((_, remembered)) => Ok(Some(remembered)),
                None => match (base.remembered(batch)?, doubts.of_lists()) {
                    (None, Some(error)) => Err(error.into()),
                    (found, _) => Ok(found),
                },
            },
        )
    }

    /// Returns at most `limit` commits from a number on, counted from zero, and how many there are in total. `None` if
    /// not all of them are remembered.
    pub fn commits(&self, from: u64, limit: usize) -> Result<Option<(Vec<Remembered>, u64)>> {
        self.merged(
            |tail| (tail.commits(from, limit), tail.whole_end().commits),
            |(mut recent, end), base, doubts| {
                let held = base.mark().commits;
                recent.retain(|(number, _)| *number >= held);
                let mut found = Vec::new();
                if from < held {
                    let Some(rows) = base.commits(from)? else { return Ok(None) };
                    found = rows.take(limit.min((held - from) as usize)).collect::<Result<_, _>>()?;
                }
                // Unless the base could not answer up to its end.
                if from.saturating_add(found.len() as u64) >= held {
                    found.extend(recent.into_iter().map(|(_, commit)| commit).take(limit - found.len()));
                }
                match doubts.of_lists() {
                    // It ends before what the journal lost.
                    Some(error) if found.is_empty() && limit > 0 && from <= end.max(held) => Err(error.into()),
                    _ => Ok(Some((found, end.max(held)))),
                }
            },
        )
    }

    /// Reads commits after a cursor, as [`PersistenceBackend::changes`](nofx_core::PersistenceBackend::changes) returns
    /// them.
    pub fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let cursor = |number| Cursor::after(self.store, number);
        let from = match after {
            None => Some(0),
            Some(cursor) => cursor.commits_of(self.store)?,
        };
        let found = from.map_or(Ok(None), |from| self.commits(from, limit))?;
        let Some((from, (found, end))) = from.zip(found).filter(|(from, (_, end))| from <= end) else {
            let (_, end) = self.commits(u64::MAX, 0)?.unwrap_or_default();
            return Ok(Changes::Gap { newest: cursor(end) });
        };
        let changes: Vec<_> = found.iter().map(Remembered::change).collect();
        Ok(Changes::Page(ChangePage { next: cursor(from + changes.len() as u64), changes, newest: cursor(end) }))
    }

    /// Reads at a single point in time: copies from the tail, and merges that with a snapshot of the base. Repeats if
    /// the base moved in between.
    fn merged<C, T>(
        &self,
        copy: impl Fn(&Tail) -> C,
        merge: impl Fn(C, &dyn Snapshot, &Doubts) -> Result<T, SnapshotError>,
    ) -> Result<T> {
        self.merged_by(|| self.follow(), copy, merge)
    }

    /// Likewise, with the caller's own way of following.
    pub(crate) fn merged_by<C, T>(
        &self,
        follow: impl Fn() -> Result<(u64, Option<Tip>)>,
        copy: impl Fn(&Tail) -> C,
        merge: impl Fn(C, &dyn Snapshot, &Doubts) -> Result<T, SnapshotError>,
    ) -> Result<T> {
        let mut before = None;
        for _ in 0..TRIES {
            let (reached, tip) = follow()?;
            let copied = {
                let tail = self.tail();
                // Unless another thread is starting again.
                (tail.position().frame >= reached).then(|| (copy(&tail), tail.start().frame, Doubts::of(&tail)))
            };
            let Some((copied, start, doubts)) = copied else { continue };
            let base = self.base.snapshot()?;
            let mark = base.mark();
            let has_moved = mark.frame < start || doubts.are_old(&mark);
            let answer = if has_moved { Err(SnapshotError::Moved) } else { merge(copied, &*base, &doubts) };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(SnapshotError::Failed(error)) => return Err(error),
                Err(SnapshotError::Differs(error)) if before.replace((tip, mark)) == Some((tip, mark)) => {
                    return Err(error);
                }
                Err(SnapshotError::Moved) if before.replace((tip, mark)) == Some((tip, mark)) => {
                    let (frame, folder) = (mark.frame + 1, self.layout.folder().display());
                    return Err(Error::corrupt(format!("the base ends before frame {frame}, where `{folder}` begins")));
                }
                Err(SnapshotError::Moved | SnapshotError::Differs(_)) => {}
            }
        }
        Err(Error::unavailable(format!(
            "reading `{}`: other processes kept changing it",
            self.layout.folder().display()
        )))
    }
}

fn record(key: RecordKey, (version, body): (Seq, Body)) -> Record {
    Record { key, version, body }
}

fn size(entry: &LogEntry) -> usize {
    entry.body.len()
}

/// Rows of the tail and of the base, in key order: each key once, with what either says about it.
struct Merged<K, T, B: Iterator> {
    direction: Direction,
    tail: Peekable<vec::IntoIter<(K, T)>>,
    base: Peekable<B>,
}

impl<K, T, V, B: Iterator<Item = Result<(K, V), SnapshotError>>> Merged<K, T, B> {
    fn of(direction: Direction, tail: Vec<(K, T)>, base: B) -> Self {
        Self { direction, tail: tail.into_iter().peekable(), base: base.peekable() }
    }
}

impl<K: Key, T, V, B: Iterator<Item = Result<(K, V), SnapshotError>>> Iterator for Merged<K, T, B> {
    type Item = Result<(K, Option<T>, Option<V>), SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.tail.peek(), self.base.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) | (_, Some(Err(_))) => Ordering::Greater,
            (Some((recent, _)), Some(Ok((older, _)))) => match self.direction {
                Direction::Forward => recent.cmp(older),
                Direction::Backward => older.cmp(recent),
            },
        };
        let recent = if order.is_le() { self.tail.next() } else { None };
        let older = if order.is_ge() {
            self.base.next()?
        } else {
            return recent.map(|(key, tail)| Ok((key, Some(tail), None)));
        };
        Some(older.map(|(key, base)| (key, recent.map(|(_, tail)| tail), Some(base))))
    }
}

/// Returns the rows of a list, with the journal's losses as an error that comes after all of them.
fn whole<'a, K: Key, R: 'a>(
    query: &KeyQuery<K>,
    rows: impl Iterator<Item = Result<R, SnapshotError>> + 'a,
    doubts: &Doubts,
) -> Box<dyn Iterator<Item = Result<R, SnapshotError>> + 'a> {
    let lost = doubts.of_lists().filter(|_| query.limit > 0).map(|error| Err(error.into()));
    match (query.direction, &query.after) {
        (Direction::Forward, _) => Box::new(rows.chain(lost)),
        (Direction::Backward, None) => Box::new(lost.into_iter().chain(rows)),
        (Direction::Backward, Some(_)) => Box::new(rows),
    }
}

/// Fills a page, and checks whether there is more. Something unreadable ends a page that has items; the next page
/// begins with it.
fn page<R, T>(
    rows: impl Iterator<Item = Result<R, SnapshotError>>,
    limit: usize,
    load: impl Fn(R) -> Result<T, SnapshotError>,
    size: impl Fn(&T) -> usize,
) -> Result<Page<T>, SnapshotError> {
    let mut page = PageBuilder::new(limit);
    for row in rows {
        if row.is_ok() && page.is_full() {
            return Ok(page.end(true));
        }
        match row.and_then(&load) {
            Ok(item) => page.push(size(&item), item),
            Err(SnapshotError::Failed(_) | SnapshotError::Differs(_)) if !page.items().is_empty() => {
                return Ok(page.end(true));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page.end(false))
}
