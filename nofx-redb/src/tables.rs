//! The tables of a store, opened together.

use std::sync::Arc;

use nofx_core::{BatchId, Seq, StoreId};
use nofx_journal::base::Mark;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, WriteTransaction};

use crate::bundle::LastBundle;
use crate::codec::{Encoder, TableTag, seal, unseal};
use crate::fault::{Attempt, Fault};
use crate::pages::{Pages, Trust};

/// The format of a store that commits by redb transactions.
pub(crate) const FORMAT: u64 = 1;

/// The format of a store that commits to a journal beside the file.
pub(crate) const FORMAT_WITH_JOURNAL: u64 = 2;

pub(crate) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

pub(crate) const META: Definition = TableDefinition::new("nofx");
pub(crate) const RECORDS: Definition = TableDefinition::new("records");
pub(crate) const LOGS: Definition = TableDefinition::new("logs");
pub(crate) const ENTRIES: Definition = TableDefinition::new("entries");
pub(crate) const CHUNKS: Definition = TableDefinition::new("chunks");
pub(crate) const FEED: Definition = TableDefinition::new("feed");
pub(crate) const PAST: Definition = TableDefinition::new("past");

/// The tables of a store.
pub(crate) const ALL: [Definition; 7] = [META, RECORDS, LOGS, ENTRIES, CHUNKS, FEED, PAST];

/// A table that can be read, as the rest of this crate needs it.
///
/// The first and the last row are found by iterating: redb's own methods for them expect rows on every page, and a
/// damaged page has none.
pub(crate) trait TableRows: ReadableTable<&'static [u8], &'static [u8]> {
    fn first_row(&self) -> Attempt<Option<Row<'_>>> {
        Ok(self.iter()?.next().transpose()?)
    }

    fn last_row(&self) -> Attempt<Option<Row<'_>>> {
        Ok(self.iter()?.next_back().transpose()?)
    }
}

/// The key and the value of a row.
pub(crate) type Row<'t> = (RowBytes<'t>, RowBytes<'t>);

pub(crate) type RowBytes<'t> = redb::AccessGuard<'t, &'static [u8]>;

impl<T: ReadableTable<&'static [u8], &'static [u8]>> TableRows for T {}

/// A table in a read transaction.
pub(crate) type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A table in a write transaction.
pub(crate) type WriteTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

/// All tables.
#[derive(Debug)]
pub(crate) struct Tables<T> {
    pub(crate) meta: T,
    /// Name to a record written since the last compaction.
    pub(crate) records: T,
    pub(crate) logs: T,
    /// (log number, position) to an entry that is not folded yet.
    pub(crate) entries: T,
    /// (log number, first position, piece) to a piece of a chunk; before those, the pieces of bundles.
    pub(crate) chunks: T,
    pub(crate) last_bundle: LastBundle,
    /// Number of a recent commit to what is remembered of it.
    pub(crate) feed: T,
    /// Number of an older commit to what is remembered of it and of those that follow.
    pub(crate) past: T,
    pub(crate) trust: Trust,
    /// Tables whose first page is damaged, each with the page's offset. redb reads that page whenever a table is
    /// opened.
    damaged: Vec<(String, u64)>,
}

impl Tables<ReadTable> {
    pub(crate) fn read(transaction: &ReadTransaction, pages: &Arc<Pages>) -> Attempt<Self> {
        Self::open(pages, |table| transaction.open_table(table))
    }
}

impl<'t> Tables<WriteTable<'t>> {
    pub(crate) fn write(transaction: &'t WriteTransaction, pages: &Arc<Pages>) -> Attempt<Self> {
        // A damaged page makes redb panic while it opens a table. Another open table then panics too when it is
        // dropped, and two panics at once end the process. So each table is first opened alone.
        for table in ALL {
            drop(transaction.open_table(table)?);
        }
        Self::open(pages, |table| transaction.open_table(table))
    }
}

impl<T> Tables<T> {
    fn open(pages: &Arc<Pages>, open: impl Fn(Definition) -> Result<T, TableError>) -> Attempt<Self> {
        let mut damaged = Vec::new();
        let mut open = |table: Definition| {
            let trust = Trust::new(pages);
            let opened = open(table);
            if let Err(Fault::Page { offset, .. }) = trust.require(String::new) {
                damaged.push((table.name().to_owned(), offset));
            }
            opened
        };
        Ok(Self {
            meta: open(META)?,
            records: open(RECORDS)?,
            logs: open(LOGS)?,
            entries: open(ENTRIES)?,
            chunks: open(CHUNKS)?,
            last_bundle: LastBundle::default(),
            feed: open(FEED)?,
            past: open(PAST)?,
            trust: Trust::new(pages),
            damaged,
        })
    }

    /// Fails if the first page of one of these tables is damaged.
    pub(crate) fn need(&self, tables: &[Definition], what: impl FnOnce() -> Option<String>) -> Attempt<()> {
        let is_needed = |name: &str| tables.iter().any(|table| table.name() == name);
        match self.damaged.iter().find(|(name, _)| is_needed(name)) {
            Some((_, offset)) => Err(Fault::Page { offset: *offset, what: what() }),
            None => Ok(()),
        }
    }
}

/// A store's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) store: StoreId,
    /// The format in which it is written.
    pub(crate) format: u64,
    /// The oldest format that a program must know to read it.
    pub(crate) readable_from: u64,
}

const META_FORMAT: &[u8] = b"format";
const META_STORE: &[u8] = b"store";
const META_NUMBERS: &[u8] = b"numbers";
const META_MARK: &[u8] = b"mark";
const META_HIGHEST: &[u8] = b"highest";

impl Meta {
    /// Reads a store's description; `None` if this is another program's redb file.
    pub(crate) fn read(transaction: &ReadTransaction) -> Attempt<Option<Self>> {
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::Storage(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let damaged = || Fault::damaged("the description of the store");
        let Some(format) = meta.get(META_FORMAT)? else { return Ok(None) };
        let mut payload = unseal(TableTag::Meta, META_FORMAT, format.value()).ok_or_else(damaged)?;
        let (format, readable_from) = payload.number().zip(payload.number()).ok_or_else(damaged)?;
        let store = meta.get(META_STORE)?.ok_or_else(damaged)?;
        let mut payload = unseal(TableTag::Meta, META_STORE, store.value()).ok_or_else(damaged)?;
        let store = payload.raw(16).and_then(|bytes| bytes.try_into().ok()).ok_or_else(damaged)?;
        Ok(Some(Self { store: StoreId::from_bytes(store), format, readable_from }))
    }

    /// Returns the description of the same store in the newest format.
    pub(crate) fn upgraded(self) -> Self {
        Self { format: FORMAT_WITH_JOURNAL, readable_from: FORMAT_WITH_JOURNAL, ..self }
    }

    /// Writes a store's description, and creates its tables.
    pub(crate) fn write(self, transaction: &WriteTransaction, pages: &Arc<Pages>) -> Attempt<()> {
        let mut tables = Tables::write(transaction, pages)?;
        let mut format = Encoder::default();
        format.number(self.format).number(self.readable_from);
        tables.meta.insert(META_FORMAT, &*seal(TableTag::Meta, META_FORMAT, &format))?;
        let mut store = Encoder::default();
        store.raw(self.store.as_bytes());
        tables.meta.insert(META_STORE, &*seal(TableTag::Meta, META_STORE, &store))?;
        if self.format == FORMAT_WITH_JOURNAL {
            tables.set_mark(&Mark::default())?;
        }
        Ok(())
    }
}

impl<T: TableRows> Tables<T> {
    /// Reads how far the file holds what was committed to the journal.
    pub(crate) fn mark(&self) -> Attempt<Mark> {
        self.need(&[META], || None)?;
        let damaged = || Fault::damaged("how far the journal was applied");
        let value = self.meta.get(META_MARK)?.ok_or_else(damaged)?;
        let mut payload = unseal(TableTag::Meta, META_MARK, value.value()).ok_or_else(damaged)?;
        let mut read = || {
            let (frame, chain) = (payload.number()?, u32::try_from(payload.number()?).ok()?);
            let (commits, last_seq) = (payload.number()?, Seq::new(payload.number()?));
            // Missing in a file of an earlier build of this format, which never says so.
            let is_complete = payload.number() == Some(1);
            payload.end()?;
            Some(Mark { frame, chain, commits, last_seq, is_complete })
        };
        read().ok_or_else(damaged)
    }

    /// Reads the highest batch id that was ever stored here through a journal. `None` if that is not known: a store
    /// of an earlier build lacks it, or it is damaged.
    pub(crate) fn highest_id(&self) -> Attempt<Option<BatchId>> {
        self.need(&[META], || None)?;
        let value = self.meta.get(META_HIGHEST)?;
        Ok(value.and_then(|value| unseal(TableTag::Meta, META_HIGHEST, value.value())?.id()))
    }
}

impl Tables<WriteTable<'_>> {
    /// Writes how far the file holds what was committed to the journal.
    pub(crate) fn set_mark(&mut self, mark: &Mark) -> Attempt<()> {
        let mut payload = Encoder::default();
        payload.number(mark.frame).number(u64::from(mark.chain));
        payload.number(mark.commits).number(mark.last_seq.map_or(0, Seq::get)).number(mark.is_complete.into());
        self.meta.insert(META_MARK, &*seal(TableTag::Meta, META_MARK, &payload))?;
        Ok(())
    }

    /// Writes that the file holds all that was ever committed, before the first commit to a journal.
    pub(crate) fn set_mark_of_all(&mut self) -> Attempt<()> {
        let ends = self.ends()?;
        self.set_mark(&Mark { commits: ends.end, last_seq: ends.last_seq, is_complete: true, ..Mark::default() })
    }

    /// Writes the highest batch id.
    pub(crate) fn set_highest_id(&mut self, id: BatchId) -> Attempt<()> {
        let mut payload = Encoder::default();
        payload.raw(id.as_bytes());
        self.meta.insert(META_HIGHEST, &*seal(TableTag::Meta, META_HIGHEST, &payload))?;
        Ok(())
    }

    /// Returns a number that no log has had before.
    pub(crate) fn next_log_number(&mut self) -> Attempt<u64> {
        let damaged = || Fault::damaged("the last log number");
        let last = match self.meta.get(META_NUMBERS)? {
            Some(value) => unseal(TableTag::Meta, META_NUMBERS, value.value())
                .and_then(|mut payload| payload.number())
                .ok_or_else(damaged)?,
            None => 0,
        };
        let mut payload = Encoder::default();
        payload.number(last + 1);
        self.meta.insert(META_NUMBERS, &*seal(TableTag::Meta, META_NUMBERS, &payload))?;
        Ok(last + 1)
    }
}
