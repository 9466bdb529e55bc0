//! Simulates damaged data, as readers see it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Error, LogEntry, LogHead, LogKey, LogQuery, LogScan, Outcome, Page,
    PersistenceBackend, Record, RecordKey, Result, ScanQuery,
};

/// A backend with unreadable data: an answer that would include it is `Corrupt` and names it or, for data lost
/// unnoticed, lacks it.
///
/// ```
/// # use std::sync::Arc;
/// # use nofx_core::{Batch, Body, Expect, Kind, MemoryBackend, PersistenceBackend, RecordKey, ScanQuery, Sources};
/// # use nofx_testkit::Damaging;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let damaging = Damaging::new(Arc::new(MemoryBackend::new()));
/// let key = RecordKey::new(Kind::of("agent"), "a")?;
/// let batch = Batch::new(Sources::default().batch_id()).put(key.clone(), Expect::Any, Body::parse("{}")?);
/// damaging.commit(vec![batch]).await?;
/// damaging.damage_record(key);
/// assert_eq!(damaging.scan(&ScanQuery::all(10)).await.unwrap_err().to_string(), "corrupt data in agent/a");
/// # nofx_core::Result::<()>::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Damaging {
    inner: Arc<dyn PersistenceBackend>,
    damage: Mutex<Damage>,
}

#[derive(Debug, Default)]
struct Damage {
    records: HashSet<RecordKey>,
    heads: HashSet<LogKey>,
    pieces: Vec<(LogKey, Range<u64>)>,
    lost: Vec<(LogKey, Range<u64>)>,
}

impl Damaging {
    /// Wraps a backend; nothing is damaged at first.
    pub fn new(inner: Arc<dyn PersistenceBackend>) -> Self {
        Self { inner, damage: Mutex::default() }
    }

    /// Makes a record unreadable.
    pub fn damage_record(&self, key: RecordKey) {
        self.damage().records.insert(key);
    }

    /// Makes the head of a log unreadable, and so all of its entries.
    pub fn damage_head(&self, log: LogKey) {
        self.damage().heads.insert(log);
    }

    /// Makes the entries at these positions unreadable, as if they were stored in one damaged piece.
    pub fn damage_entries(&self, log: LogKey, positions: Range<u64>) {
        self.damage().pieces.push((log, positions));
    }

    /// Removes entries without the backend noticing.
    pub fn lose_entries(&self, log: LogKey, positions: Range<u64>) {
        self.damage().lost.push((log, positions));
    }

    fn damage(&self) -> MutexGuard<'_, Damage> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Damage {
    fn record(&self, record: &Record) -> Result<()> {
        match self.records.contains(&record.key) {
            true => Err(Error::corrupt(record.key.to_string())),
            false => Ok(()),
        }
    }

    fn head(&self, log: &LogKey) -> Result<()> {
        match self.heads.contains(log) {
            true => Err(Error::corrupt(format!("the head of log {log}"))),
            false => Ok(()),
        }
    }

    fn entry(&self, log: &LogKey, entry: &LogEntry) -> Result<()> {
        match self.pieces.iter().find(|(damaged, piece)| damaged == log && piece.contains(&entry.position)) {
            Some((_, piece)) => Err(Error::corrupt(format!("the piece from position {} of log {log}", piece.start))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl PersistenceBackend for Damaging {
    fn info(&self) -> BackendInfo {
        self.inner.info()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let found = self.inner.get(keys).await?;
        found.iter().flatten().try_for_each(|record| self.damage().record(record))?;
        Ok(found)
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        let page = self.inner.scan(query).await?;
        page.items.iter().try_for_each(|record| self.damage().record(record))?;
        Ok(page)
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        logs.iter().try_for_each(|log| self.damage().head(log))?;
        self.inner.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        let page = self.inner.logs(query).await?;
        page.items.iter().try_for_each(|head| self.damage().head(&head.log))?;
        Ok(page)
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.damage().head(&query.log)?;
        let mut page = self.inner.read(query).await?;
        let damage = self.damage();
        let is_lost =
            |position: u64| damage.lost.iter().any(|(log, lost)| *log == query.log && lost.contains(&position));
        page.items.retain(|entry| !is_lost(entry.position));
        page.items.iter().try_for_each(|entry| damage.entry(&query.log, entry))?;
        Ok(page)
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.inner.changes(after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.inner.commit(group).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
