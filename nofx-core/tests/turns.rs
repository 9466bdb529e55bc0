//! Who commits: the store's thread, or a caller that is alone and need not wait long.

#![expect(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use nofx_core::entity::{Message, Role, Session};
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, LogEntry, LogHead, LogKey, LogQuery, LogScan, MemoryBackend,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Result, ScanQuery, Store, Timestamp,
};
use tokio::sync::Semaphore;

/// What a commit does before it happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    Nothing,
    /// Blocks its thread for longer than callers may.
    Sleep,
    /// Waits at the gate.
    Wait,
    Panic,
}

/// A store in memory that records the size of its groups and the threads on which they are committed.
#[derive(Debug)]
struct Watched {
    memory: MemoryBackend,
    durability: Durability,
    first: Mutex<First>,
    gate: Semaphore,
    groups: Mutex<Vec<usize>>,
    threads: Mutex<Vec<String>>,
}

impl Watched {
    fn new() -> Arc<Self> {
        Self::as_durable_as(Durability::Disk)
    }

    fn as_durable_as(durability: Durability) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryBackend::new(),
            durability,
            first: Mutex::new(First::Nothing),
            gate: Semaphore::new(0),
            groups: Mutex::default(),
            threads: Mutex::default(),
        })
    }

    fn does_first(&self, first: First) {
        *self.first.lock().unwrap() = first;
    }

    fn groups(&self) -> Vec<usize> {
        self.groups.lock().unwrap().clone()
    }

    /// Returns whether the last group was committed by a caller.
    fn was_here(&self) -> bool {
        self.threads.lock().unwrap().last().is_some_and(|name| name != "nofx-commit")
    }
}

#[async_trait]
impl PersistenceBackend for Watched {
    fn info(&self) -> BackendInfo {
        BackendInfo { durability: self.durability, ..self.memory.info() }
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.memory.get(keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.memory.scan(query).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.memory.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.memory.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.memory.read(query).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.memory.changes(after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.groups.lock().unwrap().push(group.len());
        self.threads.lock().unwrap().push(thread::current().name().unwrap_or_default().to_owned());
        let first = *self.first.lock().unwrap();
        match first {
            First::Nothing => {}
            First::Sleep => thread::sleep(Duration::from_millis(2)),
            First::Wait => self.gate.acquire().await.unwrap().forget(),
            First::Panic => panic!("a backend panicked, as the test requires"),
        }
        self.memory.commit(group).await
    }

    async fn close(&self) -> Result<()> {
        self.memory.close().await
    }
}

fn log() -> LogKey {
    Session::history(&"s".into())
}

async fn append(store: &Store) -> Result<u64> {
    let message = Message::new("m", Timestamp::from_millis(0), Role::User, "hello");
    Ok(store.append(&log(), None, &[message]).await?.start)
}

/// Appends one after the other until the caller commits. A busy machine may take a few more.
async fn append_until_here(store: &Store, backend: &Watched) -> u64 {
    for _ in 0..100_000 {
        let position = append(store).await.unwrap();
        if backend.was_here() {
            return position;
        }
    }
    panic!("no caller ever committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_is_alone_commits_on_its_own_thread() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    let last = append_until_here(&store, &backend).await;
    assert_eq!(append(&store).await.unwrap(), last + 1);
    store.close().await.unwrap();
    assert_eq!(append(&store).await.unwrap_err().code(), "closed");
}

#[tokio::test]
async fn a_runtime_of_one_thread_is_not_held_up() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    for _ in 0..50 {
        append(&store).await.unwrap();
        assert!(!backend.was_here());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_waits_for_a_service() {
    let backend = Watched::as_durable_as(Durability::Service);
    let store = Store::new(backend.clone());
    for _ in 0..50 {
        append(&store).await.unwrap();
        assert!(!backend.was_here());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_commits_take_long_the_thread_makes_them() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    append_until_here(&store, &backend).await;
    backend.does_first(First::Sleep);
    append(&store).await.unwrap();
    for _ in 0..20 {
        append(&store).await.unwrap();
        assert!(!backend.was_here());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_one_task_awaits_together_share_flushes_again_after_a_while_alone() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    append_until_here(&store, &backend).await;
    let before = backend.groups().len();
    for appended in join_all((0..200).map(|_| append(&store))).await {
        appended.unwrap();
    }
    let groups = backend.groups().split_off(before);
    // Without yielding there would be two hundred, and on a machine that is not busy there are about four.
    assert!(groups.len() < 100, "{groups:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_began_and_stopped_waiting_for_still_happens_and_first() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    let last = append_until_here(&store, &backend).await;
    backend.does_first(First::Wait);
    let before = backend.groups().len();
    {
        let append = append(&store);
        tokio::select! {
            _ = append => panic!("the gate is closed"),
            () = async {
                while backend.groups().len() == before {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    }
    let next = tokio::spawn({
        let store = store.clone();
        async move { append(&store).await }
    });
    backend.gate.add_permits(10);
    assert_eq!(next.await.unwrap().unwrap(), last + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_for_what_a_caller_began() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    let last = append_until_here(&store, &backend).await;
    backend.does_first(First::Wait);
    let before = backend.groups().len();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { append(&store).await }
    });
    while backend.groups().len() == before {
        tokio::task::yield_now().await;
    }
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    backend.gate.add_permits(10);
    assert_eq!(waiting.await.unwrap().unwrap(), last + 1);
    closing.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_panics_below_a_caller_ends_the_store_and_not_the_caller() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    append_until_here(&store, &backend).await;
    backend.does_first(First::Panic);
    assert_eq!(append(&store).await.unwrap_err().code(), "unknown");
    backend.does_first(First::Nothing);
    assert!(["unavailable", "closed", "unknown"].contains(&append(&store).await.unwrap_err().code()));
    assert_eq!(store.close().await.unwrap_err().code(), "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_stop_waiting_at_any_moment_hold_up_no_others() {
    let backend = Watched::new();
    let store = Store::new(backend.clone());
    let callers = (0..200_u32).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..20_u32 {
                let mut append = Box::pin(append(&store));
                // Polled this often and no more.
                for _ in 0..(caller + round) % 4 {
                    if append.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                        break;
                    }
                }
                drop(append);
                tokio::task::yield_now().await;
            }
            append(&store).await.unwrap()
        })
    });
    for caller in join_all(callers.collect::<Vec<_>>()).await {
        caller.unwrap();
    }
    store.close().await.unwrap();
}
