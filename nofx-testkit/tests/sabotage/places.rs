//! Sabotages of what a store contains when it is opened again.

use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, LogEntry, LogHead, LogKey, LogQuery, LogScan, MemoryBackend,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Result, ScanQuery, Sources,
};
use nofx_testkit::{Factory, Place};

/// What is no longer there when a store is opened again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Losing {
    Nothing,
    LastGroup,
    BatchIds,
}

/// Makes places that keep what was committed, and build a new store from it when no handle is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rebuilding {
    pub(crate) losing: Losing,
}

#[async_trait]
impl Factory for Rebuilding {
    fn name(&self) -> &str {
        "rebuilding"
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        Ok(Arc::new(RebuildingPlace { losing: self.losing, kept: Arc::default(), open: Mutex::default() }))
    }
}

type Kept = Arc<Mutex<Vec<Vec<Batch>>>>;

struct RebuildingPlace {
    losing: Losing,
    kept: Kept,
    open: Mutex<Weak<MemoryBackend>>,
}

#[async_trait]
impl Place for RebuildingPlace {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        let open = self.open.lock().unwrap().upgrade();
        let shared = match open {
            Some(shared) => shared,
            None => self.rebuild().await?,
        };
        *self.open.lock().unwrap() = Arc::downgrade(&shared);
        Ok(Arc::new(Rebuilt { inner: shared.another_handle(), shared, kept: self.kept.clone() }))
    }
}

impl RebuildingPlace {
    async fn rebuild(&self) -> Result<Arc<MemoryBackend>> {
        if self.losing == Losing::LastGroup {
            self.kept.lock().unwrap().pop();
        }
        let kept = self.kept.lock().unwrap().clone();
        let memory = MemoryBackend::new();
        for mut group in kept {
            if self.losing == Losing::BatchIds {
                group.iter_mut().for_each(|batch| batch.id = Sources::default().batch_id());
            }
            memory.commit(group).await?;
        }
        Ok(Arc::new(memory))
    }
}

#[derive(Debug)]
struct Rebuilt {
    inner: MemoryBackend,
    /// Keeps the store while a handle is left.
    #[expect(dead_code, reason = "held, not used")]
    shared: Arc<MemoryBackend>,
    kept: Kept,
}

#[async_trait]
impl PersistenceBackend for Rebuilt {
    fn info(&self) -> BackendInfo {
        BackendInfo { backend: "rebuilt", durability: Durability::Disk, ..self.inner.info() }
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.inner.get(keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.inner.scan(query).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.inner.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.inner.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        // As a backend does that waits for its disk on another thread.
        tokio::task::yield_now().await;
        self.inner.read(query).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.inner.changes(after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let outcomes = self.inner.commit(group.clone()).await?;
        self.kept.lock().unwrap().push(group);
        Ok(outcomes)
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
