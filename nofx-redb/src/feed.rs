//! The feed: what is remembered of the last commits.

use nofx_core::{BatchId, ChangePage, Changes, Cursor, Error, REMEMBERED_COMMITS, Result, Seq, StoreId};

use crate::codec::{Encoder, Remembered, Table, numbered, parse_numbered, seal, unseal};
use crate::fault::{Attempt, Fault};
use crate::tables::{Rows, Tables, WriteTable};

/// How many commits are forgotten at once, so that most commits touch only the end of the feed.
const FORGET: u64 = 256;

/// Where the feed begins and ends, and the last number given to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The number of the oldest commit that is remembered.
    pub(crate) start: u64,
    /// The number of the next commit.
    pub(crate) end: u64,
    pub(crate) last_seq: Option<Seq>,
}

fn damaged(number: u64) -> Fault {
    Fault::damaged(format!("commit {number} of the feed"))
}

/// Reads where the feed begins and ends.
pub(crate) fn ends(feed: &impl Rows) -> Attempt<Ends> {
    let (Some((first, _)), Some((last, value))) = (feed.first()?, feed.last()?) else {
        return Ok(Ends { start: 0, end: 0, last_seq: None });
    };
    let start = parse_numbered(first.value()).ok_or_else(|| damaged(0))?;
    let last_number = parse_numbered(last.value()).ok_or_else(|| damaged(start))?;
    let remembered = Remembered::decode(last.value(), value.value()).ok_or_else(|| damaged(last_number))?;
    Ok(Ends { start, end: last_number + 1, last_seq: remembered.last_seq })
}

/// Reads what is remembered of a batch.
pub(crate) fn remembered(feed: &impl Rows, batches: &impl Rows, batch: &BatchId) -> Attempt<Option<Remembered>> {
    let Some(value) = batches.get(&batch.as_bytes()[..])? else { return Ok(None) };
    let number = unseal(Table::Batches, batch.as_bytes(), value.value())
        .and_then(|mut payload| payload.number())
        .ok_or_else(|| Fault::damaged(format!("batch {batch}")))?;
    let key = numbered(number);
    let row = feed.get(&key[..])?.and_then(|value| Remembered::decode(&key, value.value()));
    Ok(Some(row.filter(|row| row.change.batch == *batch).ok_or_else(|| damaged(number))?))
}

/// Returns commits from a number.
pub(crate) fn changes(feed: &impl Rows, store: StoreId, from: Option<u64>, limit: usize) -> Attempt<Changes> {
    let ends = ends(feed)?;
    let newest = cursor(store, ends.end);
    let Some(from) = from.filter(|from| (ends.start..=ends.end).contains(from)) else {
        return Ok(Changes::Gap { newest });
    };
    let mut changes = Vec::new();
    let (lowest, mut next) = (numbered(from), from);
    for row in feed.range::<&[u8]>(&lowest[..]..)?.take(limit) {
        let (key, value) = row?;
        let row = Remembered::decode(key.value(), value.value());
        let expected = parse_numbered(key.value()) == Some(next);
        changes.push(row.filter(|_| expected).ok_or_else(|| damaged(next))?.change);
        next += 1;
    }
    Ok(Changes::Page(ChangePage { changes, next: cursor(store, next), newest }))
}

fn cursor(store: StoreId, number: u64) -> Cursor {
    Cursor(format!("{store}:{number}"))
}

/// Reads a cursor; `None` for one of another store.
pub(crate) fn parse_cursor(store: StoreId, cursor: &Cursor) -> Result<Option<u64>> {
    let invalid = || Error::invalid(format!("`{}` is not a cursor", cursor.0.escape_debug()));
    let (of, number) = cursor.0.split_once(':').ok_or_else(invalid)?;
    let number: u64 = number.parse().map_err(|_| invalid())?;
    Ok((of == store.to_string()).then_some(number))
}

impl Tables<WriteTable<'_>> {
    /// Remembers a commit, and forgets the oldest when there are more than enough.
    pub(crate) fn remember(&mut self, ends: &mut Ends, row: &Remembered) -> Attempt<()> {
        let key = numbered(ends.end);
        self.feed.insert(&key[..], &*row.encode(&key))?;
        let id = row.change.batch.as_bytes();
        let mut number = Encoder::default();
        number.number(ends.end);
        self.batches.insert(&id[..], &*seal(Table::Batches, id, &number))?;
        ends.end += 1;
        ends.last_seq = row.last_seq;
        if ends.end - ends.start >= REMEMBERED_COMMITS as u64 + FORGET {
            self.forget(ends)?;
        }
        Ok(())
    }

    fn forget(&mut self, ends: &mut Ends) -> Attempt<()> {
        for number in ends.start..ends.start + FORGET {
            let key = numbered(number);
            let row = self.feed.remove(&key[..])?;
            let id = row.and_then(|value| Remembered::decode(&key, value.value())).map(|row| row.change.batch);
            // The id of a damaged row stays in `batches`, where it answers that it is damaged.
            if let Some(id) = id {
                self.batches.remove(&id.as_bytes()[..])?;
            }
        }
        ends.start += FORGET;
        Ok(())
    }
}
