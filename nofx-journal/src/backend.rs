//! A handle on an open store, as callers of the waist see it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Error, LogEntry, LogHead, LogKey, LogQuery, LogScan, Outcome, Page,
    PersistenceBackend, Record, RecordKey, Result, ScanQuery, blocking, reading,
};
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::follower::Follower;

/// More commits than one handle will ever have in progress.
const ALL_COMMITS: u32 = 1 << 28;

/// A handle on a store with a journal: the whole contract of the waist, over any [`Base`](crate::base::Base).
#[derive(Debug)]
pub struct Journaled {
    info: BackendInfo,
    /// `None` once this handle is closed.
    engine: Mutex<Option<Arc<Engine>>>,
    /// Each commit takes one permit, and closing takes all.
    in_flight: Arc<Semaphore>,
}

impl Journaled {
    /// Returns a handle on an open store, with this description of it.
    pub fn new(engine: Arc<Engine>, info: BackendInfo) -> Self {
        let in_flight = Arc::new(Semaphore::new(ALL_COMMITS as usize));
        Self { info, engine: Mutex::new(Some(engine)), in_flight }
    }

    /// Returns the store. `Closed` if this handle is.
    pub fn engine(&self) -> Result<Arc<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)
    }

    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Follower) -> Result<T> + Send + 'static) -> Result<T> {
        let engine = self.engine()?;
        reading(move || read(engine.follower())).await
    }
}

#[async_trait]
impl PersistenceBackend for Journaled {
    fn info(&self) -> BackendInfo {
        self.info.clone()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let keys = keys.to_vec();
        self.read(move |follower| follower.get(&keys)).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        let query = query.clone();
        self.read(move |follower| follower.scan(&query)).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let logs = logs.to_vec();
        self.read(move |follower| follower.heads(&logs)).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        let query = query.clone();
        self.read(move |follower| follower.logs(&query)).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let query = query.clone();
        self.read(move |follower| follower.read(&query)).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let after = after.cloned();
        self.read(move |follower| follower.changes(after.as_ref(), limit)).await
    }

    /// May block the polling thread for the disk, as the contract allows, but not for other committers.
    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        // Closing waits for it, wherever the commit is from here on.
        let permit = self.in_flight.clone().try_acquire_owned().map_err(|_| Error::Closed)?;
        let engine = self.engine()?;
        match engine.try_commit(group) {
            Ok(done) => done,
            // A caller that stops waiting does not take the group along.
            Err(group) => {
                blocking(move || {
                    let done = engine.commit(group);
                    drop(permit);
                    done
                })
                .await
            }
        }
    }

    async fn close(&self) -> Result<()> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(engine) = engine else { return Ok(()) };
        if let Ok(all) = self.in_flight.acquire_many(ALL_COMMITS).await {
            all.forget();
        }
        self.in_flight.close();
        blocking(move || {
            // The last handle may have to bring the base up to date.
            drop(engine);
            Ok(())
        })
        .await
    }
}
