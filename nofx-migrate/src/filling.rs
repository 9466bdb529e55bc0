//! Fills a store in batches of a good size.

use nofx_core::{Append, Batch, Body, Expect, LogKey, NewEntry, RecordKey, Result, Store, Write};

/// How many bytes of bodies to collect before a batch is committed; one larger body has its own batch.
const BATCH_BYTES: usize = 4 << 20;

/// How many records and entries to collect before a batch is committed.
const BATCH_ITEMS: usize = 2_000;

/// Collects records and entries and commits them in batches, one after the other: for loading, copying and backups. An
/// import has its own `BatchWriter`, which gathers a batch while the one before is committed.
pub(crate) struct Filling<'a> {
    store: &'a Store,
    batch: Batch,
    bytes: usize,
    items: usize,
}

impl<'a> Filling<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, batch: store.batch(), bytes: 0, items: 0 }
    }

    /// Adds a record that must not exist yet.
    pub(crate) async fn put(&mut self, key: RecordKey, body: Body) -> Result<()> {
        self.write(Write { key, expect: Expect::Absent, body: Some(body) }).await
    }

    /// Sets a record to a body, whatever it was; removes it with `None`. No record may be named twice.
    pub(crate) async fn replace(&mut self, key: RecordKey, body: Option<Body>) -> Result<()> {
        self.write(Write { key, expect: Expect::Any, body }).await
    }

    async fn write(&mut self, write: Write) -> Result<()> {
        self.make_room(write.body.as_ref().map_or(0, Body::len)).await?;
        self.batch.writes.push(write);
        Ok(())
    }

    /// Adds the entry at `position`, which must be the end of the log.
    pub(crate) async fn append(&mut self, log: &LogKey, position: u64, entry: NewEntry) -> Result<()> {
        self.make_room(entry.body.len()).await?;
        match self.batch.appends.last_mut() {
            Some(append) if append.log == *log => append.entries.push(entry),
            _ => self.batch.appends.push(Append { log: log.clone(), expect: Some(position), entries: vec![entry] }),
        }
        Ok(())
    }

    pub(crate) async fn seal(&mut self, log: LogKey) -> Result<()> {
        self.make_room(0).await?;
        self.batch.seals.push(log);
        Ok(())
    }

    /// Commits what is left.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.commit().await
    }

    async fn make_room(&mut self, bytes: usize) -> Result<()> {
        if self.items == BATCH_ITEMS || (self.items > 0 && self.bytes + bytes > BATCH_BYTES) {
            self.commit().await?;
        }
        self.items += 1;
        self.bytes += bytes;
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, self.store.batch());
        (self.bytes, self.items) = (0, 0);
        if !batch.is_empty() {
            self.store.commit(batch).await?.committed()?;
        }
        Ok(())
    }
}
