//! The convenient interface to a backend.

mod committer;
mod entries;
mod gap;
mod group;
mod pages;
mod turn;

use std::ops::Range;
use std::sync::Arc;

use futures_core::Stream;

use crate::backend::PersistenceBackend;
use crate::batch::{Batch, Committed, Expect, NewEntry, Outcome};
use crate::entity::{EntryEntity, RecordEntity, key_of};
use crate::error::{Error, Result};
use crate::ids::Sources;
use crate::key::{LogKey, RecordKey};
use crate::query::{Changes, LogQuery, LogScan, ScanQuery};
use crate::record::{BackendInfo, Cursor, LogEntry, LogHead, Record, Seq};
use committer::Committer;

/// How often [`Store::update`] tries when other writers change the record concurrently.
pub const UPDATE_TRIES: usize = 16;

/// An open store: typed access, lazy streams and shared flushes over any backend.
///
/// Cloning is cheap; all clones are one store. Commits from any number of tasks go to one thread, which passes
/// everything that is waiting to the backend as one group: they share one flush, and no caller waits for a group to
/// fill. A caller that stops waiting does not undo its commit. In a tokio runtime with several threads, a caller that
/// is alone commits on its own thread while commits take less than a millisecond.
///
/// ```
/// use std::sync::Arc;
/// use futures_util::TryStreamExt;
/// use nofx_core::entity::{Agent, Message, Role, Session};
/// use nofx_core::{Expect, LogQuery, MemoryBackend, Store, Timestamp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> nofx_core::Result<()> {
/// let store = Store::new(Arc::new(MemoryBackend::new()));
///
/// store.save(&Agent::new("ada", "Ada", "backend-specialist"), Expect::Absent).await?;
/// store.update::<Agent>(&"ada".into(), |agent| Ok(agent.map(|mut agent| {
///     agent.status = "working".into();
///     agent
/// }))).await?;
///
/// let history = Session::history(&"monday".into());
/// let hello = Message::new("m1", Timestamp::from_millis(0), Role::User, "hello");
/// assert_eq!(store.append(&history, None, &[hello]).await?, 0..1);
///
/// let entries: Vec<_> = store.read(LogQuery::newest_first(history, 50)).try_collect().await?;
/// assert_eq!(entries.len(), 1);
/// store.close().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn PersistenceBackend>,
    committer: Arc<Committer>,
    sources: Sources,
}

/// An entity and the version at which it was read, for use in [`Expect::At`].
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<E> {
    /// The entity.
    pub value: E,
    /// The commit that last wrote it.
    pub version: Seq,
}

impl Store {
    /// Opens a store on a backend, with the machine's clock and random numbers.
    ///
    /// Inside a tokio runtime, the backend's commits run in that runtime.
    pub fn new(backend: Arc<dyn PersistenceBackend>) -> Self {
        Self::with_sources(backend, Sources::default())
    }

    /// Opens a store whose times and ids come from `sources`.
    pub fn with_sources(backend: Arc<dyn PersistenceBackend>, sources: Sources) -> Self {
        let committer = Arc::new(Committer::start(backend.clone()));
        Self { backend, committer, sources }
    }

    /// Returns what the backend is and what it can take.
    pub fn info(&self) -> BackendInfo {
        self.backend.info()
    }

    /// Returns the underlying backend.
    pub fn backend(&self) -> &Arc<dyn PersistenceBackend> {
        &self.backend
    }

    /// Returns the clock and the source of ids.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Returns an empty batch with a new id.
    pub fn batch(&self) -> Batch {
        Batch::new(self.sources.batch_id())
    }

    /// Commits a batch. A conflict is an outcome, not an error.
    ///
    /// # Durability
    ///
    /// A committed batch is as durable as [`BackendInfo::durability`] says.
    ///
    /// # Errors
    ///
    /// [`Unknown`](Error::Unknown) if the batch may or may not have happened, even after it was committed again a few
    /// times; a clone of the batch can still be committed to settle it. With every other error it has not happened.
    /// [`Invalid`](Error::Invalid) for a batch that fails [`Batch::validate`].
    ///
    /// # Cancellation
    ///
    /// Once the batch is in the queue, dropping the future does not undo the commit, which then runs to its end. A
    /// caller that is dropped while it waits for room in the queue, behind 1,024 others, leaves nothing.
    ///
    /// # Panics
    ///
    /// Not by itself. If the backend panics, the callers that are waiting get `Unknown`, and the store accepts no more
    /// commits: open it again.
    pub async fn commit(&self, batch: Batch) -> Result<Outcome> {
        batch.validate(&self.backend.info().limits)?;
        self.committer.commit(batch).await
    }

    /// Reads an entity.
    pub async fn load<E: RecordEntity>(&self, id: &E::Id) -> Result<Option<Versioned<E>>> {
        self.load_as(&key_of::<E>(id)).await
    }

    /// Reads an entity stored under a key other than its own.
    pub(crate) async fn load_as<E: RecordEntity>(&self, key: &RecordKey) -> Result<Option<Versioned<E>>> {
        let found = self.backend.get(std::slice::from_ref(key)).await?;
        found.into_iter().flatten().next().map(decode).transpose()
    }

    /// Writes an entity and returns its new version. [`Conflict`](Error::Conflict) if the stored one is not as
    /// expected.
    pub async fn save<E: RecordEntity>(&self, entity: &E, expect: Expect) -> Result<Seq> {
        let batch = self.batch().put(entity.key(), expect, entity.to_body()?);
        written(self.commit(batch).await?.committed()?)
    }

    /// Deletes an entity. [`Conflict`](Error::Conflict) if the stored one is not as expected.
    pub async fn delete<E: RecordEntity>(&self, id: &E::Id, expect: Expect) -> Result<Seq> {
        let batch = self.batch().delete(key_of::<E>(id), expect);
        written(self.commit(batch).await?.committed()?)
    }

    /// Changes an entity, reading it and trying again while other writers change it: at most [`UPDATE_TRIES`] times.
    ///
    /// `change` gets the entity, or `None` if there is none, and returns its new value; returning `None` leaves
    /// everything as it is. Returns the entity that was written, if one was.
    pub async fn update<E: RecordEntity>(
        &self,
        id: &E::Id,
        mut change: impl FnMut(Option<E>) -> Result<Option<E>>,
    ) -> Result<Option<Versioned<E>>> {
        let mut tries = 0;
        loop {
            let found = self.load::<E>(id).await?;
            let expect = found.as_ref().map_or(Expect::Absent, |found| Expect::At(found.version));
            let Some(value) = change(found.map(|found| found.value))? else { return Ok(None) };
            tries += 1;
            match self.save(&value, expect).await {
                Ok(version) => return Ok(Some(Versioned { value, version })),
                Err(Error::Conflict(_)) if tries < UPDATE_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns all entities of a type in key order, read lazily.
    pub fn list<E: RecordEntity>(&self) -> impl Stream<Item = Result<Versioned<E>>> + Send + Unpin + use<E> {
        self.list_after(None)
    }

    /// Like [`list`](Self::list), but returns only entities whose keys come after that of an id, which need not exist.
    pub(crate) fn list_after<E: RecordEntity>(
        &self,
        after: Option<&E::Id>,
    ) -> impl Stream<Item = Result<Versioned<E>>> + Send + Unpin + use<E> {
        let query = ScanQuery { after: after.map(key_of::<E>), ..ScanQuery::of(E::KIND, pages::DEFAULT_LIMIT) };
        self.list_as(query)
    }

    /// Returns the entities that a query finds, read lazily.
    pub(crate) fn list_as<E: RecordEntity>(
        &self,
        query: ScanQuery,
    ) -> impl Stream<Item = Result<Versioned<E>>> + Send + Unpin + use<E> {
        pages::map(self.scan(query), decode)
    }

    /// Appends entities to a log and returns their positions. With `length`, [`Conflict`](Error::Conflict) if the log
    /// has a different length.
    pub async fn append<E: EntryEntity>(&self, log: &LogKey, length: Option<u64>, entries: &[E]) -> Result<Range<u64>> {
        let entries = entries.iter().map(|entry| self.entry(entry)).collect::<Result<Vec<_>>>()?;
        let mut batch = self.batch().append(log.clone(), entries);
        batch.appends.iter_mut().for_each(|append| append.expect = length);
        let committed = self.commit(batch).await?.committed()?;
        committed
            .appended
            .into_iter()
            .next()
            .ok_or_else(|| Error::corrupt(format!("the outcome of an append to {log}")))
    }

    /// Converts an entity to an entry; one without a time gets the current time.
    pub fn entry<E: EntryEntity>(&self, entity: &E) -> Result<NewEntry> {
        Ok(NewEntry { at: entity.at().unwrap_or_else(|| self.sources.now()), body: entity.to_body()? })
    }

    /// Returns each requested record, in order and from one point in time; `None` for one that does not exist.
    pub async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.backend.get(keys).await
    }

    /// Returns the result of reading each requested record, in order: one that is damaged, or was written by a later
    /// version, is an error in its place and does not hide the others.
    pub async fn get_each(&self, keys: &[RecordKey]) -> Result<Vec<Result<Option<Record>>>> {
        pages::each(keys, |keys| self.backend.get(keys)).await
    }

    /// Returns the result of reading the head of each requested log, like [`get_each`](Self::get_each).
    pub async fn heads_each(&self, logs: &[LogKey]) -> Result<Vec<Result<LogHead>>> {
        pages::each(logs, |logs| self.backend.heads(logs)).await
    }

    /// Returns the head of a log; one that does not exist is open and empty.
    pub async fn head(&self, log: &LogKey) -> Result<LogHead> {
        let heads = self.backend.heads(std::slice::from_ref(log)).await?;
        heads.into_iter().next().ok_or_else(|| Error::corrupt(format!("the head of {log}")))
    }

    /// Returns all records that a query finds. Reads lazily, in pages of the query's limit.
    ///
    /// Each page is from one point in time; nothing is held between two pages. A record that is damaged, or was written
    /// by a later version, is an error in its place, and the stream continues after it; any other error ends it.
    /// Several records that are damaged together give one error.
    pub fn scan(&self, query: ScanQuery) -> impl Stream<Item = Result<Record>> + Send + Unpin + use<> {
        pages::keyed(self.backend.clone(), query)
    }

    /// Returns the heads of all logs that a query finds, in pages of the query's limit; what cannot be read is reported
    /// as by [`scan`](Self::scan).
    pub fn logs(&self, query: LogScan) -> impl Stream<Item = Result<LogHead>> + Send + Unpin + use<> {
        pages::keyed(self.backend.clone(), query)
    }

    /// Returns all entries that a query finds. Reads lazily, in pages of the query's limit.
    ///
    /// Entries that are damaged, or were written by a later version, are an error in their place, which names them and
    /// their [`positions`](Error::positions), and the stream continues after them; any other error ends it. So with a
    /// range that is no longer than the log, each position is answered once, by an entry or by an error.
    pub fn read(&self, query: LogQuery) -> impl Stream<Item = Result<LogEntry>> + Send + Unpin + use<> {
        entries::entries(self.backend.clone(), query)
    }

    /// Returns all entries that a log had when its head was read, oldest first, in pages of `limit`: for callers that
    /// claim to have seen everything. Like [`read`](Self::read), but entries missing at the end are an error too,
    /// unless the log was removed since.
    pub fn read_whole(
        &self,
        head: &LogHead,
        limit: usize,
    ) -> impl Stream<Item = Result<LogEntry>> + Send + Unpin + use<> {
        entries::whole(self.backend.clone(), head, limit)
    }

    /// Returns at most `limit` commits after a cursor; see [`PersistenceBackend::changes`].
    pub async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.backend.changes(after, limit).await
    }

    /// Commits what is waiting, then releases the store. Closing again is no error.
    ///
    /// Waits at most ten seconds; after that `Unknown`: commits in flight continue, and may happen.
    pub async fn close(&self) -> Result<()> {
        self.committer.close().await
    }
}

fn decode<E: RecordEntity>(record: Record) -> Result<Versioned<E>> {
    let named = |error| match error {
        Error::Corrupt(failure) => Error::Corrupt(crate::Failure { what: record.key.to_string(), ..failure }),
        other => other,
    };
    Ok(Versioned { value: E::from_body(&record.body).map_err(named)?, version: record.version })
}

fn written(committed: Committed) -> Result<Seq> {
    committed.seq.ok_or_else(|| Error::corrupt("the outcome of a write, which has no seq"))
}
