//! Rewriting rows in key order, so that redb's pages are full: what compacting and packing do to the tables.
//!
//! redb splits a full page in half, so rows that came in any order leave pages that are little more than half full.
//! Consecutive rows in key order, by contrast, it packs.

use std::ops::Bound;

use redb::{CursorMut, ReadTransaction, WriteTransaction};

use crate::bundle::{self, Bundled, FULL_BUNDLE};
use crate::chunk::{FIRST_LOG, again, owner};
use crate::codec::{decode_record, numbered};
use crate::compression::Effort;
use crate::fault::Attempt;
use crate::tables::{CHUNKS, Definition, ENTRIES, FEED, LOGS, META, PAST, RECORDS, TableRows};

/// The temporary name of a new table. The table is renamed in the same transaction, so no file ever contains this name.
const NEW_TABLE: Definition = Definition::new("made");

/// The capacity of a redb page after its header.
const PAGE: usize = 4096 - 4;

/// What redb adds to each row.
const ROW: usize = 8;

/// The smallest size of a piece, unless it is the last one.
const LEAST_PIECE: usize = 512;

/// The tables whose rows stay as they are; records and chunks are rewritten together.
pub(crate) const COPIED: [Definition; 5] = [META, LOGS, ENTRIES, FEED, PAST];

/// Rewrites a table with the same rows.
///
/// Nothing takes effect until the transaction is committed.
pub(crate) fn copy(transaction: &WriteTransaction, table: Definition) -> Attempt<()> {
    make(transaction, table, |writer| writer.write_all(&transaction.open_table(table)?))
}

/// Rewrites records and chunks: all records in bundles, and everything compressed more densely if `effort` says so.
///
/// Nothing takes effect until the transaction is committed. What cannot be read is copied as it is.
pub(crate) fn condense(transaction: &WriteTransaction, effort: Effort) -> Attempt<()> {
    let mut left = Vec::new();
    make(transaction, CHUNKS, |writer| {
        left = writer.write_condensed(&transaction.open_table(RECORDS)?, &transaction.open_table(CHUNKS)?, effort)?;
        Ok(())
    })?;
    make(transaction, RECORDS, |writer| writer.write_each(&left))
}

/// Does the work of [`copy`] and [`condense`] into another, empty file.
///
/// Nothing takes effect until the transaction is committed.
pub(crate) fn copy_into(from: &ReadTransaction, transaction: &WriteTransaction, effort: Effort) -> Attempt<()> {
    for table in COPIED {
        fill(transaction, table, |writer| writer.write_all(&from.open_table(table)?))?;
    }
    let mut left = Vec::new();
    fill(transaction, CHUNKS, |writer| {
        left = writer.write_condensed(&from.open_table(RECORDS)?, &from.open_table(CHUNKS)?, effort)?;
        Ok(())
    })?;
    fill(transaction, RECORDS, |writer| writer.write_each(&left))
}

fn make(
    transaction: &WriteTransaction,
    table: Definition,
    write: impl FnOnce(&mut RowWriter<'_>) -> Attempt<()>,
) -> Attempt<()> {
    fill(transaction, NEW_TABLE, write)?;
    transaction.delete_table(table)?;
    Ok(transaction.rename_table(NEW_TABLE, table)?)
}

/// Appends rows to a table.
fn fill(
    transaction: &WriteTransaction,
    table: Definition,
    write: impl FnOnce(&mut RowWriter<'_>) -> Attempt<()>,
) -> Attempt<()> {
    let mut table = transaction.open_table(table)?;
    let mut writer = RowWriter { rows: table.upper_bound_mut(Bound::<&[u8]>::Unbounded)?, room: PAGE };
    write(&mut writer)?;
    Ok(writer.rows.close()?)
}

/// The name and the value of a row that stays a row.
type Left = (Vec<u8>, Vec<u8>);

/// Rows that are written in order.
struct RowWriter<'t> {
    rows: CursorMut<'t, &'static [u8], &'static [u8]>,
    /// Approximately how many bytes are left in the page of the last row.
    room: usize,
}

impl RowWriter<'_> {
    /// Writes records and chunks. Returns the rows that have to stay rows.
    fn write_condensed(
        &mut self,
        records: &impl TableRows,
        chunks: &impl TableRows,
        effort: Effort,
    ) -> Attempt<Vec<Left>> {
        let left = self.write_records(records, chunks, effort)?;
        self.write_chunks(chunks, effort)?;
        Ok(left)
    }

    fn write_each(&mut self, rows: &[Left]) -> Attempt<()> {
        rows.iter().try_for_each(|(name, value)| self.write(name, value))
    }

    fn write_all(&mut self, rows: &impl TableRows) -> Attempt<()> {
        for row in rows.iter()? {
            let (key, value) = row?;
            self.write(key.value(), value.value())?;
        }
        Ok(())
    }

    fn write(&mut self, key: &[u8], value: &[u8]) -> Attempt<()> {
        let size = key.len() + value.len() + ROW;
        let room = if size <= self.room { self.room } else { PAGE };
        self.room = room.saturating_sub(size);
        Ok(self.rows.insert_before(key, value)?)
    }

    /// Writes a value cut into pieces, so that they fill the pages.
    fn write_pieces(&mut self, key: impl Fn(u32) -> Vec<u8>, value: &[u8]) -> Attempt<()> {
        let mut rest = value;
        for piece in 0.. {
            let key = key(piece);
            let room = self.room.saturating_sub(key.len() + ROW);
            let room = if room < LEAST_PIECE.min(rest.len()) { PAGE - key.len() - ROW } else { room };
            let (first, after) = rest.split_at(room.min(rest.len()));
            self.write(&key, first)?;
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn write_chunks(&mut self, old: &impl TableRows, effort: Effort) -> Attempt<()> {
        let mut pieces: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for row in old.range::<&[u8]>(&numbered(FIRST_LOG)[..]..)? {
            let (key, value) = row?;
            if pieces.last().is_some_and(|(last, _)| owner(last) != owner(key.value())) {
                self.write_chunk(&pieces, effort)?;
                pieces.clear();
            }
            pieces.push((key.value().to_vec(), value.value().to_vec()));
        }
        self.write_chunk(&pieces, effort)
    }

    fn write_chunk(&mut self, pieces: &[(Vec<u8>, Vec<u8>)], effort: Effort) -> Attempt<()> {
        let whole: Vec<u8> = pieces.iter().flat_map(|(_, value)| value).copied().collect();
        match pieces.first().and_then(|(key, _)| again(key, whole, effort)) {
            Some((key, value)) => self.write_pieces(|piece| key(piece).to_vec(), &value),
            None => pieces.iter().try_for_each(|(key, value)| self.write(key, value)),
        }
    }

    /// Writes all records in bundles. Returns the rows that have to stay rows: those that cannot be read, and those
    /// that hide records of a bundle that cannot be read.
    fn write_records(&mut self, rows: &impl TableRows, chunks: &impl TableRows, effort: Effort) -> Attempt<Vec<Left>> {
        let mut bundling = Bundling { writer: self, effort, taken: Vec::new(), bytes: 0, left: Vec::new() };
        let mut rows = rows.iter()?.map(|row| row.map(|(name, value)| (name.value().to_vec(), value.value().to_vec())));
        let mut row = rows.next().transpose()?;
        for range in bundle::ranges(chunks)? {
            match bundle::records(chunks, &range) {
                Ok(records) => {
                    for record in records {
                        let mut hidden = false;
                        while let Some((name, value)) = row.take_if(|(name, _)| *name <= record.name) {
                            hidden = name == record.name;
                            bundling.row(name, value)?;
                            row = rows.next().transpose()?;
                        }
                        if !hidden {
                            bundling.take(record)?;
                        }
                    }
                }
                Err(fault) if fault.is_of_value() => {
                    while let Some((name, value)) = row.take_if(|(name, _)| *name < range.first) {
                        bundling.row(name, value)?;
                        row = rows.next().transpose()?;
                    }
                    bundling.end()?;
                    bundle::each_piece(chunks, &range, |key, value| bundling.writer.write(key, value))?;
                    while let Some(hiding) = row.take_if(|(name, _)| *name <= range.last) {
                        bundling.left.push(hiding);
                        row = rows.next().transpose()?;
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
        while let Some((name, value)) = row {
            bundling.row(name, value)?;
            row = rows.next().transpose()?;
        }
        bundling.end()?;
        Ok(bundling.left)
    }
}

/// Records on their way into bundles.
struct Bundling<'r, 't> {
    writer: &'r mut RowWriter<'t>,
    effort: Effort,
    taken: Vec<Bundled>,
    bytes: usize,
    /// Rows that stay rows.
    left: Vec<Left>,
}

impl Bundling<'_, '_> {
    fn row(&mut self, name: Vec<u8>, value: Vec<u8>) -> Attempt<()> {
        let record = match decode_record(&name, &value) {
            // The record that it hid is dropped as well.
            Some(None) => return Ok(()),
            Some(Some((version, mut body))) => body.body().ok().map(|body| (version, body)),
            None => None,
        };
        match record {
            Some((version, body)) => self.take(Bundled { name, version, body }),
            None => {
                self.left.push((name, value));
                Ok(())
            }
        }
    }

    fn take(&mut self, record: Bundled) -> Attempt<()> {
        if self.bytes + record.size() > FULL_BUNDLE {
            self.end()?;
        }
        self.bytes += record.size();
        self.taken.push(record);
        Ok(())
    }

    fn end(&mut self) -> Attempt<()> {
        if let Some((range, value)) = bundle::encode(&self.taken, self.effort)? {
            self.writer.write_pieces(|piece| range.piece_key(piece), &value)?;
        }
        self.taken.clear();
        self.bytes = 0;
        Ok(())
    }
}
