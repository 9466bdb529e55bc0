//! Laying rows down anew in the order of their keys, so that redb's pages are full.
//!
//! redb cuts a full page in half, so rows that came in any order leave pages that are little more than half full. A run of
//! rows in order, by contrast, it packs.

use std::ops::Bound;

use redb::{CursorMut, ReadableTable, TableHandle, WriteTransaction};

use crate::chunk::{denser, owner};
use crate::codec::denser_record;
use crate::fault::Attempt;
use crate::tables::{CHUNKS, Definition, RECORDS};

/// What a table is called while it is made. It gets its name in the same transaction, so no file ever has this one.
const MADE: Definition = Definition::new("made");

/// What a page of redb holds beside its header.
const PAGE: usize = 4096 - 4;

/// What redb adds to each row.
const ROW: usize = 8;

/// A piece of a chunk is not smaller than this, unless it is the last one.
const LEAST_PIECE: usize = 512;

/// Lays a table down anew, compressing more densely what is in it.
///
/// Nothing has happened before the transaction is committed. What cannot be read is copied as it is.
pub(crate) fn rebuild(transaction: &WriteTransaction, table: Definition) -> Attempt<()> {
    {
        let old = transaction.open_table(table)?;
        let mut made = transaction.open_table(MADE)?;
        let mut run = Run { rows: made.upper_bound_mut(Bound::<&[u8]>::Unbounded)?, room: PAGE };
        if table.name() == CHUNKS.name() {
            run.lay_chunks(&old)?;
        } else {
            for row in old.iter()? {
                let (key, value) = row?;
                let (key, value) = (key.value(), value.value());
                let denser = (table.name() == RECORDS.name()).then(|| denser_record(key, value)).flatten();
                run.lay(key, denser.as_deref().unwrap_or(value))?;
            }
        }
        run.rows.close()?;
    }
    transaction.delete_table(table)?;
    Ok(transaction.rename_table(MADE, table)?)
}

/// Rows that are laid down in order.
struct Run<'t> {
    rows: CursorMut<'t, &'static [u8], &'static [u8]>,
    /// About how many bytes the page has left that the last row is in.
    room: usize,
}

impl Run<'_> {
    fn lay(&mut self, key: &[u8], value: &[u8]) -> Attempt<()> {
        let size = key.len() + value.len() + ROW;
        let room = if size <= self.room { self.room } else { PAGE };
        self.room = room.saturating_sub(size);
        Ok(self.rows.insert_before(key, value)?)
    }

    fn lay_chunks(&mut self, old: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Attempt<()> {
        let mut pieces: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for row in old.iter()? {
            let (key, value) = row?;
            if pieces.last().is_some_and(|(last, _)| owner(last) != owner(key.value())) {
                self.lay_chunk(&pieces)?;
                pieces.clear();
            }
            pieces.push((key.value().to_vec(), value.value().to_vec()));
        }
        self.lay_chunk(&pieces)
    }

    fn lay_chunk(&mut self, pieces: &[(Vec<u8>, Vec<u8>)]) -> Attempt<()> {
        let whole: Vec<u8> = pieces.iter().flat_map(|(_, value)| value).copied().collect();
        let Some((key, value)) = pieces.first().and_then(|(key, _)| denser(key, &whole)) else {
            return pieces.iter().try_for_each(|(key, value)| self.lay(key, value));
        };
        let mut rest = &*value;
        for piece in 0.. {
            let key = key(piece);
            let room = self.room.saturating_sub(key.len() + ROW);
            let room = if room < LEAST_PIECE.min(rest.len()) { PAGE - key.len() - ROW } else { room };
            let (first, behind) = rest.split_at(room.min(rest.len()));
            self.lay(&key, first)?;
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }
}
