//! Read-only handles for backends that have none of their own.

use std::sync::Arc;

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Error, LogEntry, LogHead, LogKey, LogQuery, LogScan, Outcome, Page,
    PersistenceBackend, Record, RecordKey, Result, ScanQuery,
};

/// Passes reads to a backend and refuses every commit.
#[derive(Debug)]
pub(crate) struct ReadOnlyBackend(pub(crate) Arc<dyn PersistenceBackend>);

#[async_trait]
impl PersistenceBackend for ReadOnlyBackend {
    fn info(&self) -> BackendInfo {
        let info = self.0.info();
        let reason = info.read_only.unwrap_or_else(|| "it was opened for reading only".to_owned());
        BackendInfo { read_only: Some(reason), ..info }
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.0.get(keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.0.scan(query).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.0.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.0.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.0.read(query).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.0.changes(after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        match group.is_empty() {
            true => self.0.commit(group).await,
            false => Err(Error::invalid("the store was opened for reading only")),
        }
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}
