//! What a case works with: the place under test, handles on it, and helpers for assertions.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nofx_core::{
    Batch, Body, Change, Changes, Committed, Conflict, Cursor, Deadline, Direction, Key, KeyQuery, Kind, LogEntry,
    LogHead, LogKey, LogQuery, LogScan, NewEntry, Outcome, PersistenceBackend, Record, RecordKey, Result, ScanQuery,
    Sources, Timestamp,
};
use tokio::task::JoinHandle;

use crate::place::{Factory, Place};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// The kind of records for cases that do not need a specific one.
pub(crate) const NOTE: Kind = Kind::of("note");
/// The kind of logs for cases that do not need a specific one.
pub(crate) const TALK: Kind = Kind::of("talk");

/// One place of the backend under test.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) factory: Arc<dyn Factory>,
    place: Arc<dyn Place>,
}

impl Subject {
    pub(crate) async fn new(factory: Arc<dyn Factory>) -> Result<Self> {
        let place = factory.place().await?;
        Ok(Self { factory, place })
    }

    /// Opens another handle on the place.
    pub(crate) async fn open(&self) -> Result<Handle> {
        self.place.open().await.map(Handle)
    }

    /// Makes another, empty place.
    pub(crate) async fn elsewhere(&self) -> Result<Self> {
        Self::new(self.factory.clone()).await
    }

    /// Returns the folder of the store's files, if there are any.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.place.folder()
    }

    /// Returns the address of the place, if it has one.
    pub(crate) fn address(&self) -> Option<String> {
        self.place.address()
    }
}

/// A handle on the backend under test.
#[derive(Clone)]
pub(crate) struct Handle(pub(crate) Arc<dyn PersistenceBackend>);

impl Deref for Handle {
    type Target = dyn PersistenceBackend;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StoreContent {
    pub(crate) records: Vec<Record>,
    pub(crate) logs: Vec<(LogHead, Vec<LogEntry>)>,
}

impl Handle {
    /// Commits one batch and returns its outcome.
    pub(crate) async fn outcome(&self, batch: Batch) -> CaseResult<Outcome> {
        let mut outcomes = self.commit(vec![batch]).await?;
        ensure_eq!(outcomes.len(), 1, "a group of one batch has one outcome");
        outcomes.pop().ok_or_else(|| Unmet::new("no outcome"))
    }

    /// Commits one batch, retrying while the backend says that this may help: others may be committing
    /// too.
    pub(crate) async fn patiently(&self, batch: Batch) -> CaseResult<Outcome> {
        let deadline = Deadline::after(Duration::from_secs(20));
        loop {
            match self.commit(vec![batch.clone()]).await {
                Err(error) if error.is_transient() && !deadline.has_passed() => {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                outcomes => return outcomes?.pop().ok_or_else(|| Unmet::new("no outcome")),
            }
        }
    }

    /// Commits one batch that must happen.
    #[track_caller]
    pub(crate) fn commits(&self, batch: Batch) -> impl Future<Output = CaseResult<Committed>> {
        let at = Location::caller();
        async move {
            match self.outcome(batch).await? {
                Outcome::Committed(committed) => Ok(committed),
                Outcome::Conflicted(conflict) => {
                    Err(Unmet::at(format!("a batch that should have happened got a {conflict}"), at))
                }
            }
        }
    }

    /// Commits one batch that must conflict.
    #[track_caller]
    pub(crate) fn conflicts(&self, batch: Batch) -> impl Future<Output = CaseResult<Conflict>> {
        let at = Location::caller();
        async move {
            match self.outcome(batch).await? {
                Outcome::Conflicted(conflict) => Ok(conflict),
                Outcome::Committed(committed) => {
                    Err(Unmet::at(format!("a batch that should have conflicted got {committed:?}"), at))
                }
            }
        }
    }

    /// Commits a group that must be refused as invalid, and returns the message.
    #[track_caller]
    pub(crate) fn refuses(&self, group: Vec<Batch>) -> impl Future<Output = CaseResult<String>> {
        let at = Location::caller();
        async move {
            match self.commit(group).await {
                Err(error) if error.code() == "invalid" => Ok(error.to_string()),
                other => Err(Unmet::at(format!("expected `invalid`, found {other:?}"), at)),
            }
        }
    }

    /// Returns one record.
    pub(crate) async fn record(&self, key: &RecordKey) -> CaseResult<Option<Record>> {
        let mut found = self.get(std::slice::from_ref(key)).await?;
        ensure_eq!(found.len(), 1, "getting one key gives one answer");
        Ok(found.pop().flatten())
    }

    /// Returns the text of one record.
    pub(crate) async fn text(&self, key: &RecordKey) -> CaseResult<Option<String>> {
        Ok(self.record(key).await?.map(|record| record.body.as_str().to_owned()))
    }

    /// Returns one head.
    pub(crate) async fn head(&self, log: &LogKey) -> CaseResult<LogHead> {
        let mut found = self.heads(std::slice::from_ref(log)).await?;
        ensure_eq!(found.len(), 1, "asking for one head gives one answer");
        found.pop().ok_or_else(|| Unmet::new("no head"))
    }

    /// Returns all entries of a log, page by page.
    pub(crate) async fn entries(&self, log: &LogKey) -> CaseResult<Vec<LogEntry>> {
        self.paged_entries(LogQuery::oldest_first(log.clone(), 1000)).await
    }

    /// Follows a query about a log to its end.
    pub(crate) async fn paged_entries(&self, mut query: LogQuery) -> CaseResult<Vec<LogEntry>> {
        let mut all = Vec::new();
        loop {
            let page = self.read(&query).await?;
            ensure!(page.items.len() <= query.limit, "a page of {} items, limit {}", page.items.len(), query.limit);
            let last = page.items.last().map(|entry| entry.position);
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
            let last = last.ok_or_else(|| Unmet::new("an empty page that says there is more"))?;
            ensure!(query.range.contains(&last), "position {last} of {:?}", query.range);
            match query.direction {
                Direction::Forward => query.range.start = last + 1,
                Direction::Backward => query.range.end = last,
            }
        }
    }

    /// Follows a query about records to its end.
    pub(crate) async fn paged_records(&self, mut query: ScanQuery) -> CaseResult<Vec<Record>> {
        let mut all = Vec::new();
        loop {
            let page = self.scan(&query).await?;
            ensure!(page.items.len() <= query.limit, "a page of {} items, limit {}", page.items.len(), query.limit);
            let last = page.items.last().map(|record| record.key.clone());
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
            go_on_after(&mut query, last)?;
        }
    }

    /// Follows a query about logs to its end.
    pub(crate) async fn paged_logs(&self, mut query: LogScan) -> CaseResult<Vec<LogHead>> {
        let mut all = Vec::new();
        loop {
            let page = self.logs(&query).await?;
            ensure!(page.items.len() <= query.limit, "a page of {} items, limit {}", page.items.len(), query.limit);
            let last = page.items.last().map(|head| head.log.clone());
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
            go_on_after(&mut query, last)?;
        }
    }

    /// Returns everything that the store holds.
    pub(crate) async fn content(&self) -> CaseResult<StoreContent> {
        let records = self.paged_records(ScanQuery::all(1000)).await?;
        let mut logs = Vec::new();
        for head in self.paged_logs(LogScan::all(1000)).await? {
            let entries = self.entries(&head.log).await?;
            logs.push((head, entries));
        }
        Ok(StoreContent { records, logs })
    }

    /// Follows the feed to its end; a gap is unexpected.
    pub(crate) async fn feed(&self, after: Option<&Cursor>, limit: usize) -> CaseResult<(Vec<Change>, Cursor)> {
        let mut after = after.cloned();
        let mut all = Vec::new();
        loop {
            match self.changes(after.as_ref(), limit).await? {
                Changes::Gap { newest } => return Err(Unmet::new(format!("a gap after {after:?}, newest {newest:?}"))),
                Changes::Page(page) => {
                    ensure!(page.changes.len() <= limit, "{} changes, limit {limit}", page.changes.len());
                    if page.changes.is_empty() {
                        return Ok((all, page.next));
                    }
                    all.extend(page.changes);
                    after = Some(page.next);
                }
            }
        }
    }

    /// Returns the end of the feed.
    pub(crate) async fn end(&self) -> CaseResult<Cursor> {
        Ok(match self.changes(None, 0).await? {
            Changes::Page(page) => page.newest,
            Changes::Gap { newest } => newest,
        })
    }
}

fn go_on_after<K: Key>(query: &mut KeyQuery<K>, last: Option<K>) -> CaseResult {
    let last = last.ok_or_else(|| Unmet::new("an empty page that says there is more"))?;
    ensure!(query.matches(&last), "{last} was found by {query:?}");
    query.after = Some(last);
    Ok(())
}

/// Runs something concurrently with the case, on a thread that a commit may block.
pub(crate) fn in_background<T: Send + 'static>(
    doing: impl Future<Output = CaseResult<T>> + Send + 'static,
) -> JoinHandle<CaseResult<T>> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(doing))
}

/// Makes an empty batch with its own id.
pub(crate) fn batch() -> Batch {
    Batch::new(Sources::default().batch_id())
}

/// Returns a record key of the default kind. The id must be valid.
pub(crate) fn note(id: impl AsRef<str>) -> CaseResult<RecordKey> {
    Ok(RecordKey::new(NOTE, id.as_ref())?)
}

/// Returns a log key of the default kind. The id must be valid.
pub(crate) fn talk(id: impl AsRef<str>) -> CaseResult<LogKey> {
    Ok(LogKey::new(TALK, id.as_ref())?)
}

/// Makes a body with a number.
pub(crate) fn number(n: u64) -> Body {
    Body::trusted(n.to_string())
}

/// Makes a body of exactly this many bytes, at least two.
pub(crate) fn sized(bytes: usize) -> Body {
    Body::trusted(format!("\"{}\"", "x".repeat(bytes.saturating_sub(2))))
}

/// Makes an entry with a number.
pub(crate) fn entry(n: u64) -> NewEntry {
    NewEntry { at: Timestamp::from_millis(1_700_000_000_000 + n as i64), body: number(n) }
}

/// Makes entries with these numbers.
pub(crate) fn entries(numbers: std::ops::Range<u64>) -> Vec<NewEntry> {
    numbers.map(entry).collect()
}

/// Returns the texts of entries.
pub(crate) fn texts(entries: &[LogEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.body.as_str()).collect()
}

/// Returns the ids of records.
pub(crate) fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.key.id()).collect()
}
