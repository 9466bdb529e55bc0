//! Laying rows down anew in the order of their keys, so that redb's pages are full.
//!
//! redb cuts a full page in half, so rows that came in any order leave pages that are little more than half full. A run of
//! rows in order, by contrast, it packs.

use std::ops::Bound;

use redb::{CursorMut, ReadTransaction, WriteTransaction};

use crate::bundle::{self, Bundled, FULL_BUNDLE};
use crate::chunk::{FIRST_LOG, again, owner};
use crate::codec::{decode_record, numbered};
use crate::fault::Attempt;
use crate::packing::Effort;
use crate::tables::{CHUNKS, Definition, ENTRIES, FEED, LOGS, META, PAST, RECORDS, Rows};

/// What a table is called while it is made. It gets its name in the same transaction, so no file ever has this one.
const MADE: Definition = Definition::new("made");

/// What a page of redb holds beside its header.
const PAGE: usize = 4096 - 4;

/// What redb adds to each row.
const ROW: usize = 8;

/// A piece is not smaller than this, unless it is the last one.
const LEAST_PIECE: usize = 512;

/// The tables whose rows stay as they are; records and chunks are laid down together.
pub(crate) const COPIED: [Definition; 5] = [META, LOGS, ENTRIES, FEED, PAST];

/// Lays a table down anew as it is.
///
/// Nothing has happened before the transaction is committed.
pub(crate) fn copy(transaction: &WriteTransaction, table: Definition) -> Attempt<()> {
    make(transaction, table, |run| run.lay_all(&transaction.open_table(table)?))
}

/// Lays records and chunks down anew: all records in bundles, and everything compressed more densely if that is asked for.
///
/// Nothing has happened before the transaction is committed. What cannot be read is copied as it is.
pub(crate) fn condense(transaction: &WriteTransaction, effort: Effort) -> Attempt<()> {
    let mut left = Vec::new();
    make(transaction, CHUNKS, |run| {
        left = run.lay_condensed(&transaction.open_table(RECORDS)?, &transaction.open_table(CHUNKS)?, effort)?;
        Ok(())
    })?;
    make(transaction, RECORDS, |run| run.lay_each(&left))
}

/// Does in another file, which is empty, what [`copy`] and [`condense`] do in one.
///
/// Nothing has happened before the transaction is committed.
pub(crate) fn lay_down(from: &ReadTransaction, transaction: &WriteTransaction, effort: Effort) -> Attempt<()> {
    for table in COPIED {
        fill(transaction, table, |run| run.lay_all(&from.open_table(table)?))?;
    }
    let mut left = Vec::new();
    fill(transaction, CHUNKS, |run| {
        left = run.lay_condensed(&from.open_table(RECORDS)?, &from.open_table(CHUNKS)?, effort)?;
        Ok(())
    })?;
    fill(transaction, RECORDS, |run| run.lay_each(&left))
}

fn make(
    transaction: &WriteTransaction,
    table: Definition,
    lay: impl FnOnce(&mut Run<'_>) -> Attempt<()>,
) -> Attempt<()> {
    fill(transaction, MADE, lay)?;
    transaction.delete_table(table)?;
    Ok(transaction.rename_table(MADE, table)?)
}

/// Lays rows down behind those of a table.
fn fill(
    transaction: &WriteTransaction,
    table: Definition,
    lay: impl FnOnce(&mut Run<'_>) -> Attempt<()>,
) -> Attempt<()> {
    let mut table = transaction.open_table(table)?;
    let mut run = Run { rows: table.upper_bound_mut(Bound::<&[u8]>::Unbounded)?, room: PAGE };
    lay(&mut run)?;
    Ok(run.rows.close()?)
}

/// The name and the value of a row that stays a row.
type Left = (Vec<u8>, Vec<u8>);

/// Rows that are laid down in order.
struct Run<'t> {
    rows: CursorMut<'t, &'static [u8], &'static [u8]>,
    /// About how many bytes the page has left that the last row is in.
    room: usize,
}

impl Run<'_> {
    /// Lays records and chunks down. Returns the rows that have to stay rows.
    fn lay_condensed(&mut self, records: &impl Rows, chunks: &impl Rows, effort: Effort) -> Attempt<Vec<Left>> {
        let left = self.lay_records(records, chunks, effort)?;
        self.lay_chunks(chunks, effort)?;
        Ok(left)
    }

    fn lay_each(&mut self, rows: &[Left]) -> Attempt<()> {
        rows.iter().try_for_each(|(name, value)| self.lay(name, value))
    }

    fn lay_all(&mut self, rows: &impl Rows) -> Attempt<()> {
        for row in rows.iter()? {
            let (key, value) = row?;
            self.lay(key.value(), value.value())?;
        }
        Ok(())
    }

    fn lay(&mut self, key: &[u8], value: &[u8]) -> Attempt<()> {
        let size = key.len() + value.len() + ROW;
        let room = if size <= self.room { self.room } else { PAGE };
        self.room = room.saturating_sub(size);
        Ok(self.rows.insert_before(key, value)?)
    }

    /// Lays down something that is cut into pieces, so that they fill the pages.
    fn lay_pieces(&mut self, key: impl Fn(u32) -> Vec<u8>, value: &[u8]) -> Attempt<()> {
        let mut rest = value;
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

    fn lay_chunks(&mut self, old: &impl Rows, effort: Effort) -> Attempt<()> {
        let mut pieces: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for row in old.range::<&[u8]>(&numbered(FIRST_LOG)[..]..)? {
            let (key, value) = row?;
            if pieces.last().is_some_and(|(last, _)| owner(last) != owner(key.value())) {
                self.lay_chunk(&pieces, effort)?;
                pieces.clear();
            }
            pieces.push((key.value().to_vec(), value.value().to_vec()));
        }
        self.lay_chunk(&pieces, effort)
    }

    fn lay_chunk(&mut self, pieces: &[(Vec<u8>, Vec<u8>)], effort: Effort) -> Attempt<()> {
        let whole: Vec<u8> = pieces.iter().flat_map(|(_, value)| value).copied().collect();
        match pieces.first().and_then(|(key, _)| again(key, whole, effort)) {
            Some((key, value)) => self.lay_pieces(|piece| key(piece).to_vec(), &value),
            None => pieces.iter().try_for_each(|(key, value)| self.lay(key, value)),
        }
    }

    /// Lays all records down in bundles. Returns the rows that have to stay: what cannot be read, and what hides records
    /// of a bundle that cannot be read.
    fn lay_records(&mut self, rows: &impl Rows, chunks: &impl Rows, effort: Effort) -> Attempt<Vec<Left>> {
        let mut bundling = Bundling { run: self, effort, taken: Vec::new(), bytes: 0, left: Vec::new() };
        let mut rows = rows.iter()?.map(|row| row.map(|(name, value)| (name.value().to_vec(), value.value().to_vec())));
        let mut row = rows.next().transpose()?;
        for place in bundle::places(chunks)? {
            match bundle::records(chunks, &place) {
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
                    while let Some((name, value)) = row.take_if(|(name, _)| *name < place.first) {
                        bundling.row(name, value)?;
                        row = rows.next().transpose()?;
                    }
                    bundling.end()?;
                    bundle::each_piece(chunks, &place, |key, value| bundling.run.lay(key, value))?;
                    while let Some(hiding) = row.take_if(|(name, _)| *name <= place.last) {
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
    run: &'r mut Run<'t>,
    effort: Effort,
    taken: Vec<Bundled>,
    bytes: usize,
    /// Rows that stay rows.
    left: Vec<Left>,
}

impl Bundling<'_, '_> {
    fn row(&mut self, name: Vec<u8>, value: Vec<u8>) -> Attempt<()> {
        let record = match decode_record(&name, &value) {
            // What it hid is gone as well.
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
        if let Some((place, value)) = bundle::encode(&self.taken, self.effort)? {
            self.run.lay_pieces(|piece| place.piece_key(piece), &value)?;
        }
        self.taken.clear();
        self.bytes = 0;
        Ok(())
    }
}
