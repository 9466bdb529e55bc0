//! The feed: what is remembered of the last commits, and their batch ids.
//!
//! The newest commits are rows. Older ones are combined and compressed, so that a commit touches the same few pages
//! however many came before it.

use std::collections::HashMap;
use std::ops::Bound;

use nofx_core::{BatchId, Change, ChangePage, Changes, Cursor, REMEMBERED_COMMITS, Seq, StoreId};

use crate::codec::{FeedRow, decode_past, decode_past_ids, encode_past, numbered, parse_numbered};
use crate::fault::{Attempt, Fault};
use crate::tables::{FEED, PAST, TableRows, Tables, WriteTable};

/// The most commits that are combined.
pub(crate) const MAX_COMMITS_PER_ROW: u64 = 128;

/// The most bytes of rows that are read or combined at once, unless a single commit has more.
const MAX_COMBINED_BYTES: usize = 256 << 10;

/// A page of changes ends after the commit with which it reaches this many keys.
const MAX_PAGE_KEYS: usize = 1 << 14;

/// The newest commits stay rows, so that the last commit of the feed is always a row.
const NEWEST_ROWS: u64 = 32;

/// Where the feed begins and ends, and the seq of the last commit that wrote records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The number of the oldest remembered commit; `None` if it was not read.
    pub(crate) start: Option<u64>,
    /// The number of the oldest commit that is a row.
    pub(crate) rows: u64,
    /// The number of the next commit.
    pub(crate) end: u64,
    pub(crate) last_seq: Option<Seq>,
}

fn damaged(number: u64) -> Fault {
    Fault::damaged(format!("commit {number} of the feed"))
}

impl<T: TableRows> Tables<T> {
    /// Reads where the feed begins and ends.
    pub(crate) fn ends(&self) -> Attempt<Ends> {
        self.need(&[FEED], || None)?;
        let (Some((first, _)), Some((last, value))) = (self.feed.first_row()?, self.feed.last_row()?) else {
            return Ok(Ends { start: None, rows: 0, end: 0, last_seq: None });
        };
        let number = |key: &[u8]| parse_numbered(key).ok_or_else(|| damaged(0));
        let (rows, last_number) = (number(first.value())?, number(last.value())?);
        let newest = FeedRow::decode(last.value(), value.value()).ok_or_else(|| damaged(last_number))?;
        Ok(Ends { start: None, rows, end: last_number + 1, last_seq: newest.last_seq })
    }

    /// Checks that the oldest and the newest commit with their own rows can be read. Does not decode what they changed,
    /// which may be thousands of names: each commit asks this.
    pub(crate) fn require_readable_ends(&self) -> Attempt<()> {
        self.need(&[FEED], || None)?;
        let (Some((first, _)), Some((last, value))) = (self.feed.first_row()?, self.feed.last_row()?) else {
            return Ok(());
        };
        let number = |key: &[u8]| parse_numbered(key).ok_or_else(|| damaged(0));
        let (_, newest) = (number(first.value())?, number(last.value())?);
        FeedRow::is_readable(last.value(), value.value()).then_some(()).ok_or_else(|| damaged(newest))
    }

    /// Reads the number of the oldest remembered commit.
    pub(crate) fn start(&self, ends: &Ends) -> Attempt<u64> {
        self.need(&[PAST], || None)?;
        let Some((first, _)) = self.past.first_row()? else { return Ok(ends.rows) };
        parse_numbered(first.value()).ok_or_else(|| damaged(0))
    }

    /// Reads what is remembered of at most `most` commits from a number on, limited to a bounded part of the feed, but
    /// of at least one commit if there is one.
    pub(crate) fn remembered_from(&self, ends: &Ends, from: u64, most: usize) -> Attempt<Vec<FeedRow>> {
        if from >= ends.rows {
            let (lowest, mut expected) = (numbered(from), from);
            let (mut rows, mut bytes) = (Vec::new(), 0);
            for row in self.feed.range::<&[u8]>(&lowest[..]..)?.take(most) {
                let (key, value) = row?;
                bytes += value.value().len();
                if bytes > MAX_COMBINED_BYTES && !rows.is_empty() {
                    break;
                }
                let row = FeedRow::decode(key.value(), value.value());
                let row = row.filter(|_| parse_numbered(key.value()) == Some(expected));
                rows.push(row.ok_or_else(|| damaged(expected))?);
                expected += 1;
            }
            return Ok(rows);
        }
        self.need(&[PAST], || None)?;
        let highest = numbered(from);
        let last = self.past.range::<&[u8]>(..=&highest[..])?.next_back().ok_or_else(|| damaged(from))?;
        let (key, value) = last?;
        let skipped = parse_numbered(key.value()).map(|first| (from - first) as usize);
        let rows = decode_past(key.value(), value.value()).zip(skipped);
        let (mut rows, skipped) = rows.filter(|(rows, skip)| *skip < rows.len()).ok_or_else(|| damaged(from))?;
        let mut rows = rows.split_off(skipped);
        rows.truncate(most);
        Ok(rows)
    }

    /// Reads what is remembered of one commit.
    pub(crate) fn remembered(&self, ends: &Ends, number: u64, batch: BatchId) -> Attempt<FeedRow> {
        let first = self.remembered_from(ends, number, 1)?.into_iter().next();
        first.filter(|row| row.change.batch == batch).ok_or_else(|| damaged(number))
    }

    /// Returns the newest remembered commit.
    pub(crate) fn newest(&self) -> Attempt<Option<(u64, BatchId)>> {
        let ends = self.ends()?;
        let Some(number) = ends.end.checked_sub(1) else { return Ok(None) };
        let newest = self.remembered_from(&ends, number, 1)?.pop();
        Ok(newest.map(|newest| (number, newest.change.batch)))
    }

    /// Returns whether the feed may continue after a commit: whether that commit is stored under its number, as far as
    /// can be determined.
    pub(crate) fn may_follow(&self, ends: &Ends, (number, batch): (u64, BatchId)) -> bool {
        let is_same = || match self.remembered_from(ends, number, 1) {
            Ok(rows) => rows.first().is_none_or(|row| row.change.batch == batch),
            // It may have been forgotten since, or be damaged.
            Err(_) => true,
        };
        number < ends.end && is_same()
    }

    /// Returns commits from a number on.
    pub(crate) fn changes(&self, store: StoreId, from: Option<u64>, limit: usize) -> Attempt<Changes> {
        let ends = self.ends()?;
        let newest = Cursor::after(store, ends.end);
        let is_remembered = match from {
            Some(from) if from < ends.rows => from >= self.start(&ends)?,
            Some(from) => from <= ends.end,
            None => false,
        };
        let Some(from) = from.filter(|_| is_remembered) else { return Ok(Changes::Gap { newest }) };
        let mut changes: Vec<Change> = Vec::new();
        let (mut next, mut keys) = (from, 0);
        while next < ends.end && changes.len() < limit && keys < MAX_PAGE_KEYS {
            let rows = self.remembered_from(&ends, next, limit - changes.len())?;
            keys += rows.iter().map(|row| row.change.records.len() + row.change.logs.len()).sum::<usize>();
            changes.extend(rows.into_iter().map(|row| row.change));
            next = from + changes.len() as u64;
        }
        Ok(Changes::Page(ChangePage { changes, next: Cursor::after(store, next), newest }))
    }
}

/// The numbers of remembered batches, in memory. Only a writer needs them.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    numbers: HashMap<BatchId, u64>,
    /// Every commit before this number is known.
    end: u64,
    /// Whether the combined part of the feed is damaged somewhere. It is then left as it is and nothing is added to it.
    pub(crate) leaves_past: bool,
}

impl Ids {
    /// Learns what any process committed since the last call.
    pub(crate) fn refresh<T: TableRows>(&mut self, tables: &Tables<T>, ends: &Ends) -> Attempt<()> {
        if self.end > ends.end {
            // The store was replaced by an older copy.
            *self = Self::default();
        }
        if self.end < ends.rows && !self.leaves_past {
            let lowest = numbered((self.end + 1).saturating_sub(MAX_COMMITS_PER_ROW));
            for row in tables.past.range::<&[u8]>((Bound::Included(&lowest[..]), Bound::Unbounded))? {
                let (key, value) = row?;
                // Damaged ids are skipped: otherwise nothing could be committed.
                let ids = decode_past_ids(key.value(), value.value()).map(|(ids, _)| ids).unwrap_or_default();
                self.numbers.extend(ids.into_iter().zip(parse_numbered(key.value()).unwrap_or(0)..));
            }
        }
        let lowest = numbered(self.end.max(ends.rows));
        for row in tables.feed.range::<&[u8]>(&lowest[..]..)? {
            let (key, value) = row?;
            if let Some((number, row)) = parse_numbered(key.value()).zip(FeedRow::decode(key.value(), value.value())) {
                self.numbers.insert(row.change.batch, number);
            }
        }
        self.end = ends.end;
        if self.numbers.len() > REMEMBERED_COMMITS + REMEMBERED_COMMITS / 4 {
            self.numbers.retain(|_, number| ends.start.is_none_or(|start| *number >= start));
        }
        Ok(())
    }

    /// Returns whether every commit before a number is known.
    pub(crate) fn reach(&self, end: u64) -> bool {
        self.end == end
    }

    /// Makes the next refresh read everything again, because something may be missing. Known ids stay.
    pub(crate) fn doubt(&mut self) {
        self.end = 0;
    }

    /// Returns whether a batch is not among the known ones.
    pub(crate) fn is_unknown(&self, batch: &BatchId) -> bool {
        !self.numbers.contains_key(batch)
    }

    /// Returns the highest known batch id.
    pub(crate) fn highest(&self) -> Option<BatchId> {
        self.numbers.keys().copied().max()
    }

    /// Returns the number of a remembered batch.
    pub(crate) fn number(&self, ends: &Ends, batch: &BatchId) -> Option<u64> {
        self.numbers.get(batch).copied().filter(|number| ends.start.is_none_or(|start| *number >= start))
    }

    /// Adds the commits that this process just made.
    pub(crate) fn extend(&mut self, committed: HashMap<BatchId, u64>, end: u64) {
        self.numbers.extend(committed);
        self.end = end;
    }
}

impl Tables<WriteTable<'_>> {
    /// Remembers a commit, and forgets the oldest when there are more than enough.
    pub(crate) fn remember(&mut self, ends: &mut Ends, row: &FeedRow) -> Attempt<()> {
        let key = numbered(ends.end);
        self.feed.insert(&key[..], &*row.encode(&key))?;
        ends.end += 1;
        ends.last_seq = row.last_seq;
        let Some(start) = ends.start else { return Ok(()) };
        if ends.end - ends.rows >= NEWEST_ROWS + MAX_COMMITS_PER_ROW {
            self.take_together(ends)?;
        }
        // The oldest combined row is removed as a whole. It has no more commits than may be forgotten.
        if ends.end - start >= REMEMBERED_COMMITS as u64 + MAX_COMMITS_PER_ROW {
            let after = numbered(start + 1);
            self.past.retain_in::<&[u8], _>(..&after[..], |_, _| false)?;
            ends.start = Some(self.start(ends)?);
        }
        Ok(())
    }

    /// Combines the oldest rows.
    fn take_together(&mut self, ends: &mut Ends) -> Attempt<()> {
        let rows = match self.remembered_from(ends, ends.rows, MAX_COMMITS_PER_ROW as usize) {
            Ok(rows) => rows,
            // Damaged rows stay where they are, and so do those after them.
            Err(Fault::Damaged(_)) => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let first = numbered(ends.rows);
        ends.rows += rows.len() as u64;
        let after = numbered(ends.rows);
        self.past.insert(&first[..], &*encode_past(&first, &rows))?;
        self.feed.retain_in::<&[u8], _>(&first[..]..&after[..], |_, _| false)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use nofx_core::{Batch, Body, Expect, Kind, PersistenceBackend, RecordKey, Sources};
    use redb::{ReadableDatabase, ReadableTable};

    use super::*;
    use crate::RedbBackend;

    #[tokio::test]
    async fn commits_of_many_records_are_remembered_a_bounded_part_at_a_time() {
        const COMMITS: usize = 300;
        const RECORDS: usize = 300;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let backend = RedbBackend::open(&path).await.unwrap();
        let sources = Sources::default();
        // Ids that do not compress.
        let id = || (0..6).map(|_| sources.batch_id().to_string()).collect::<String>();
        for _ in 0..COMMITS {
            let puts = (0..RECORDS).map(|_| RecordKey::new(Kind::of("note"), id()).unwrap());
            let put = |batch: Batch, key| batch.put(key, Expect::Absent, Body::trusted("1"));
            backend.commit(vec![puts.fold(Batch::new(sources.batch_id()), put)]).await.unwrap();
        }
        let (mut found, mut after) = (0, None);
        while found < COMMITS {
            let Changes::Page(page) = backend.changes(after.as_ref(), COMMITS).await.unwrap() else { panic!("a gap") };
            let keys: usize = page.changes.iter().map(|change| change.records.len()).sum();
            assert!((RECORDS..COMMITS * RECORDS / 2).contains(&keys), "{keys} keys in a page");
            found += page.changes.len();
            after = Some(page.next);
        }
        backend.close().await.unwrap();

        let database = redb::Database::open(&path).unwrap();
        let past = database.begin_read().unwrap().open_table(PAST).unwrap();
        let rows: Vec<usize> = past.iter().unwrap().map(|row| row.unwrap().1.value().len()).collect();
        assert!(rows.len() > 1 && rows.iter().all(|bytes| *bytes < 2 * MAX_COMBINED_BYTES), "{rows:?}");
    }
}
