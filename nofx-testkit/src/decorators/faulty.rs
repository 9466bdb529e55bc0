//! Fails on request.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Error, LogEntry, LogHead, LogKey, LogQuery, LogScan, Outcome, Page,
    PersistenceBackend, Record, RecordKey, Result, ScanQuery,
};
use tokio::sync::Notify;

/// A backend that fails on request, and otherwise calls the one inside it.
///
/// ```
/// # use std::sync::Arc;
/// # use nofx_core::{Batch, Error, MemoryBackend, PersistenceBackend, Sources};
/// # use nofx_testkit::{Fault, Faulty};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let faulty = Faulty::new(Arc::new(MemoryBackend::new()));
/// faulty.on_commits([Fault::After(Error::unknown("the answer got lost"))]);
/// let batch = Batch::new(Sources::default().batch_id());
/// assert!(faulty.commit(vec![batch.clone()]).await.is_err());
/// // It happened all the same, so that committing it again answers the first outcome.
/// assert!(faulty.commit(vec![batch]).await.is_ok());
/// # });
/// ```
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn PersistenceBackend>,
    commits: Mutex<VecDeque<Fault>>,
    reads: Mutex<VecDeque<Fault>>,
}

/// What goes wrong in one call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing.
    None,
    /// The call fails and nothing happened.
    Before(Error),
    /// The call takes effect, then returns an error.
    After(Error),
    /// The call takes effect and returns, this much later.
    Delay(Duration),
    /// The call begins when the test says so. The fault is no longer [`pending`](Faulty::pending) once the call waits.
    Hold(Arc<Notify>),
    /// Nothing happens and the call never returns.
    Drop,
    /// The call takes effect and never returns.
    DropAnswer,
}

impl Fault {
    /// There is no space for a write.
    pub fn full() -> Self {
        Self::Before(Error::full("a fault of the test"))
    }

    /// The store cannot be reached.
    pub fn unavailable() -> Self {
        Self::Before(Error::unavailable("a fault of the test"))
    }

    /// It happened, but the caller gets an unknown outcome.
    pub fn unknown_though_it_happened() -> Self {
        Self::After(Error::unknown("a fault of the test"))
    }

    /// It did not happen, but the caller gets an unknown outcome.
    pub fn unknown_and_it_did_not_happen() -> Self {
        Self::Before(Error::unknown("a fault of the test"))
    }
}

impl Faulty {
    /// Wraps a backend; nothing fails at first.
    pub fn new(inner: Arc<dyn PersistenceBackend>) -> Self {
        Self { inner, commits: Mutex::default(), reads: Mutex::default() }
    }

    /// Queues faults for the next commits, one each, after those already queued.
    pub fn on_commits(&self, faults: impl IntoIterator<Item = Fault>) {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Queues faults for the next reading calls of any kind, one each, after those already queued.
    pub fn on_reads(&self, faults: impl IntoIterator<Item = Fault>) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Returns how many faults are still queued.
    pub fn pending(&self) -> usize {
        let left = |faults: &Mutex<VecDeque<Fault>>| faults.lock().unwrap_or_else(PoisonError::into_inner).len();
        left(&self.commits) + left(&self.reads)
    }

    async fn call<T: Send>(
        &self,
        faults: &Mutex<VecDeque<Fault>>,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let fault = faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => call.await,
            Fault::Before(error) => Err(error),
            Fault::After(error) => call.await.and(Err(error)),
            Fault::Delay(delay) => {
                let answer = call.await;
                tokio::time::sleep(delay).await;
                answer
            }
            Fault::Hold(begin) => {
                begin.notified().await;
                call.await
            }
            Fault::Drop => pending().await,
            Fault::DropAnswer => {
                // The result is lost, whatever it is.
                let _ = call.await;
                pending().await
            }
        }
    }
}

#[async_trait]
impl PersistenceBackend for Faulty {
    fn info(&self) -> BackendInfo {
        self.inner.info()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.call(&self.reads, self.inner.get(keys)).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.call(&self.reads, self.inner.scan(query)).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.call(&self.reads, self.inner.heads(logs)).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.call(&self.reads, self.inner.logs(query)).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.call(&self.reads, self.inner.read(query)).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.call(&self.reads, self.inner.changes(after, limit)).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.call(&self.commits, self.inner.commit(group)).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use nofx_core::{Deadline, Kind, LogState, MemoryBackend, Sources};

    use super::*;

    fn seal(id: &str) -> (LogKey, Vec<Batch>) {
        let log = LogKey::new(Kind::of("a"), id).unwrap();
        (log.clone(), vec![Batch::new(Sources::default().batch_id()).seal(log)])
    }

    #[tokio::test]
    async fn each_fault_does_what_it_says_and_then_all_is_well() {
        let memory = MemoryBackend::new();
        let faulty = Faulty::new(Arc::new(memory.another_handle()));
        let cases = [
            (Fault::full(), Some("full"), false),
            (Fault::unavailable(), Some("unavailable"), false),
            (Fault::unknown_though_it_happened(), Some("unknown"), true),
            (Fault::unknown_and_it_did_not_happen(), Some("unknown"), false),
            (Fault::None, None, true),
        ];
        faulty.on_commits(cases.iter().map(|(fault, ..)| fault.clone()));
        for (n, (_, code, happens)) in cases.iter().enumerate() {
            let (log, group) = seal(&n.to_string());
            assert_eq!(faulty.commit(group).await.err().map(|error| error.code()), *code, "{n}");
            let sealed = memory.heads(&[log]).await.unwrap()[0].state == LogState::Sealed;
            assert_eq!(sealed, *happens, "{n}");
        }
        assert_eq!(faulty.pending(), 0);
        assert!(faulty.commit(seal("last").1).await.is_ok());
    }

    #[tokio::test]
    async fn a_dropped_call_never_answers_and_a_delayed_one_is_late() {
        let memory = MemoryBackend::new();
        let faulty = Faulty::new(Arc::new(memory.another_handle()));
        faulty.on_commits([Fault::Drop, Fault::DropAnswer, Fault::Delay(Duration::from_millis(30))]);
        for (id, state) in [("a", LogState::Open), ("b", LogState::Sealed)] {
            let (log, group) = seal(id);
            assert!(faulty.commit(group).now_or_never().is_none());
            assert_eq!(memory.heads(&[log]).await.unwrap()[0].state, state, "{id}");
        }
        let waiting = Deadline::after(Duration::from_millis(30));
        faulty.commit(seal("c").1).await.unwrap();
        assert!(waiting.has_passed());
    }

    #[tokio::test]
    async fn a_held_call_begins_when_it_is_let_go() {
        let memory = MemoryBackend::new();
        let faulty = Faulty::new(Arc::new(memory.another_handle()));
        let begin = Arc::new(Notify::new());
        faulty.on_commits([Fault::Hold(begin.clone())]);
        let (log, group) = seal("a");
        let held = faulty.commit(group);
        tokio::pin!(held);
        assert!(held.as_mut().now_or_never().is_none());
        assert_eq!(faulty.pending(), 0);
        assert_eq!(memory.heads(std::slice::from_ref(&log)).await.unwrap()[0].state, LogState::Open);
        begin.notify_one();
        held.await.unwrap();
        assert_eq!(memory.heads(&[log]).await.unwrap()[0].state, LogState::Sealed);
    }

    #[tokio::test]
    async fn reads_fail_in_the_order_given() {
        let faulty = Faulty::new(Arc::new(MemoryBackend::new()));
        faulty.on_reads([Fault::None, Fault::unavailable()]);
        assert!(faulty.get(&[]).await.is_ok());
        assert!(faulty.changes(None, 1).await.is_err());
        assert!(faulty.scan(&ScanQuery::all(1)).await.is_ok());
    }
}
