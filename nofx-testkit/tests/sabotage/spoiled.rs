//! A store in memory with one defect.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, LogEntry, LogHead, LogKey, LogQuery, LogScan, MemoryBackend,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Result, ScanQuery,
};
use nofx_testkit::{Factory, Place};

/// One defect; everything that a sabotage does not override is correct.
///
/// One value serves all handles of a place; `handle` tells them apart.
#[async_trait]
pub(crate) trait Spoiler: Debug + Send + Sync + 'static {
    async fn get(&self, inner: &MemoryBackend, _handle: u64, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        inner.get(keys).await
    }

    async fn scan(&self, inner: &MemoryBackend, query: &ScanQuery) -> Result<Page<Record>> {
        inner.scan(query).await
    }

    async fn heads(&self, inner: &MemoryBackend, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        inner.heads(logs).await
    }

    async fn logs(&self, inner: &MemoryBackend, query: &LogScan) -> Result<Page<LogHead>> {
        inner.logs(query).await
    }

    async fn read(&self, inner: &MemoryBackend, query: &LogQuery) -> Result<Page<LogEntry>> {
        inner.read(query).await
    }

    async fn changes(&self, inner: &MemoryBackend, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        inner.changes(after, limit).await
    }

    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        inner.commit(group).await
    }

    async fn close(&self, inner: &MemoryBackend) -> Result<()> {
        inner.close().await
    }
}

/// No defect.
#[derive(Debug)]
pub(crate) struct Honest;

impl Spoiler for Honest {}

/// Makes places whose stores have one defect.
pub(crate) struct SpoiledFactory {
    name: &'static str,
    spoiler: fn() -> Arc<dyn Spoiler>,
}

impl SpoiledFactory {
    pub(crate) fn new(name: &'static str, spoiler: fn() -> Arc<dyn Spoiler>) -> Self {
        Self { name, spoiler }
    }
}

#[async_trait]
impl Factory for SpoiledFactory {
    fn name(&self) -> &str {
        self.name
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        Ok(Arc::new(SpoiledPlace {
            memory: MemoryBackend::new(),
            spoiler: (self.spoiler)(),
            handles: AtomicU64::new(0),
        }))
    }
}

struct SpoiledPlace {
    memory: MemoryBackend,
    spoiler: Arc<dyn Spoiler>,
    handles: AtomicU64,
}

#[async_trait]
impl Place for SpoiledPlace {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        let handle = self.handles.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(Spoiled { inner: self.memory.another_handle(), spoiler: self.spoiler.clone(), handle }))
    }
}

#[derive(Debug)]
struct Spoiled {
    inner: MemoryBackend,
    spoiler: Arc<dyn Spoiler>,
    handle: u64,
}

#[async_trait]
impl PersistenceBackend for Spoiled {
    /// The place keeps the store while all handles are closed, so the cases about opening again apply.
    fn info(&self) -> BackendInfo {
        BackendInfo { backend: "spoiled", durability: Durability::Disk, ..self.inner.info() }
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.spoiler.get(&self.inner, self.handle, keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.spoiler.scan(&self.inner, query).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.spoiler.heads(&self.inner, logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.spoiler.logs(&self.inner, query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let page = self.spoiler.read(&self.inner, query).await;
        // As a backend does that waits for its disk on another thread.
        tokio::task::yield_now().await;
        page
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.spoiler.changes(&self.inner, after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.spoiler.commit(&self.inner, group).await
    }

    async fn close(&self) -> Result<()> {
        self.spoiler.close(&self.inner).await
    }
}
