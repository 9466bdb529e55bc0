//! A mock for hosts whose tests need specific scripted answers.

use async_trait::async_trait;
use mockall::mock;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, LogEntry, LogHead, LogKey, LogQuery, LogScan, Outcome, Page,
    PersistenceBackend, Record, RecordKey, Result, ScanQuery,
};

mock! {
    /// A backend that returns what a test scripts, made by `mockall`.
    ///
    /// [`MemoryBackend`](nofx_core::MemoryBackend) is better for testing that code works, and [`Faulty`](crate::Faulty)
    /// for testing how it handles failures; use this for answers that neither gives.
    ///
    /// ```
    /// use nofx_core::{Error, PersistenceBackend};
    /// use nofx_testkit::MockBackend;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut mock = MockBackend::new();
    /// mock.expect_get().times(1).returning(|_| Err(Error::corrupt("agent/7f3a")));
    /// assert_eq!(mock.get(&[]).await.unwrap_err().code(), "corrupt");
    /// # });
    /// ```
    #[derive(Debug)]
    pub Backend {}

    #[async_trait]
    impl PersistenceBackend for Backend {
        fn info(&self) -> BackendInfo;
        async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>>;
        async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>>;
        async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>>;
        async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>>;
        async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>>;
        async fn changes<'a, 'b>(&'a self, after: Option<&'b Cursor>, limit: usize) -> Result<Changes>;
        async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>>;
        async fn close(&self) -> Result<()>;
    }
}
