//! What `Store` adds to a backend: shared flushes, settled outcomes, lazy streams and closing.

#![expect(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]
#![expect(clippy::single_range_in_vec_init, reason = "a range of positions in a list is what an append returns")]

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use nofx_core::entity::{Agent, Message, Role, Session};
use nofx_core::{
    BackendInfo, Batch, Body, Changes, Cursor, Error, Expect, Kind, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    MemoryBackend, Outcome, Page, PersistenceBackend, Record, RecordKey, Result, ScanQuery, Store, Timestamp,
    UPDATE_TRIES,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What a commit does instead of succeeding.
enum Scripted {
    FailBefore(Error),
    FailAfter(Error),
}

/// A store in memory whose commits wait at a gate, are counted, and fail on request.
#[derive(Debug)]
struct Gated {
    memory: MemoryBackend,
    gate: Semaphore,
    script: Mutex<VecDeque<Scripted>>,
    groups: Mutex<Vec<usize>>,
    reads: Mutex<usize>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("scripted")
    }
}

impl Gated {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryBackend::new(),
            gate: Semaphore::new(0),
            script: Mutex::default(),
            groups: Mutex::default(),
            reads: Mutex::default(),
        })
    }

    fn open() -> Arc<Self> {
        let gated = Self::closed();
        gated.let_in(1_000_000);
        gated
    }

    fn let_in(&self, commits: usize) {
        self.gate.add_permits(commits);
    }

    fn next(&self, scripted: Scripted) {
        self.script.lock().unwrap().push_back(scripted);
    }

    fn groups(&self) -> Vec<usize> {
        self.groups.lock().unwrap().clone()
    }

    /// Waits until a commit is at the gate.
    async fn wait_for_a_commit(&self) {
        while self.groups().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl PersistenceBackend for Gated {
    fn info(&self) -> BackendInfo {
        self.memory.info()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.memory.get(keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        *self.reads.lock().unwrap() += 1;
        self.memory.scan(query).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.memory.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.memory.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        *self.reads.lock().unwrap() += 1;
        self.memory.read(query).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.memory.changes(after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.groups.lock().unwrap().push(group.len());
        self.gate.acquire().await.unwrap().forget();
        let scripted = self.script.lock().unwrap().pop_front();
        match scripted {
            Some(Scripted::FailBefore(error)) => Err(error),
            Some(Scripted::FailAfter(error)) => {
                self.memory.commit(group).await?;
                Err(error)
            }
            None => self.memory.commit(group).await,
        }
    }

    async fn close(&self) -> Result<()> {
        self.memory.close().await
    }
}

fn log() -> LogKey {
    Session::history(&"s".into())
}

fn message(number: usize) -> Message {
    Message::new(format!("m{number}"), Timestamp::from_millis(number as i64), Role::User, "hello")
}

type Appending = JoinHandle<Result<Range<u64>>>;

/// Starts an append that waits in the backend, and others that queue up behind it.
async fn gather(backend: &Gated, store: &Store, others: usize) -> (Appending, Vec<Appending>) {
    let append = |number| {
        let store = store.clone();
        tokio::spawn(async move { store.append(&log(), None, &[message(number)]).await })
    };
    let first = append(0);
    backend.wait_for_a_commit().await;
    let others = (1..=others).map(append).collect();
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    (first, others)
}

#[tokio::test]
async fn callers_that_arrive_during_a_flush_share_the_next_one() {
    let backend = Gated::closed();
    let store = Store::new(backend.clone());
    let (first, others) = gather(&backend, &store, 20).await;
    backend.let_in(2);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(backend.groups(), [1, 20], "no caller waited for a group to fill, and twenty shared one commit");
    assert_eq!(store.head(&log()).await.unwrap().length, 21);
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_without_doing_it_twice() {
    let backend = Gated::open();
    backend.next(Scripted::FailAfter(Error::unknown("flushing")));
    backend.next(Scripted::FailBefore(Error::unknown("flushing")));
    let store = Store::new(backend.clone());
    assert_eq!(store.append(&log(), None, &[message(0)]).await.unwrap(), 0..1);
    assert_eq!(store.head(&log()).await.unwrap().length, 1);
    assert_eq!(backend.groups(), [1, 1, 1]);
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_reported_and_can_be_settled_later() {
    let backend = Gated::open();
    for _ in 0..3 {
        backend.next(Scripted::FailAfter(Error::unknown("flushing")));
    }
    let store = Store::new(backend);
    let batch = store.batch().append(log(), vec![store.entry(&message(0)).unwrap()]);
    assert_eq!(store.commit(batch.clone()).await.unwrap_err().code(), "unknown");
    let committed = store.commit(batch).await.unwrap().committed().unwrap();
    assert_eq!(committed.appended, [0..1]);
    assert_eq!(store.head(&log()).await.unwrap().length, 1);
}

#[tokio::test]
async fn what_may_have_happened_is_never_reported_as_if_it_had_not() {
    let backend = Gated::open();
    backend.next(Scripted::FailAfter(Error::unknown("flushing")));
    backend.next(Scripted::FailBefore(Error::Locked { what: "store".to_owned(), holder: None }));
    let store = Store::new(backend);
    let batch = store.batch().append(log(), vec![store.entry(&message(0)).unwrap()]);
    assert_eq!(store.commit(batch.clone()).await.unwrap_err().code(), "unknown");
    assert_eq!(store.commit(batch).await.unwrap().committed().unwrap().appended, [0..1]);
}

#[tokio::test]
async fn a_batch_that_meets_damage_fails_no_other_of_its_group() {
    let backend = Gated::closed();
    let store = Store::new(backend.clone());
    let (first, others) = gather(&backend, &store, 2).await;
    backend.let_in(1);
    first.await.unwrap().unwrap();
    backend.next(Scripted::FailBefore(Error::corrupt("agent/a")));
    backend.next(Scripted::FailBefore(Error::corrupt("agent/a")));
    backend.let_in(100);
    let mut codes = Vec::new();
    for other in others {
        codes.push(other.await.unwrap().map_err(|error| error.code()).err());
    }
    assert_eq!(codes, [Some("corrupt"), None]);
}

#[tokio::test]
async fn on_a_full_disk_each_batch_of_a_group_is_tried_alone() {
    let backend = Gated::closed();
    let store = Store::new(backend.clone());
    let (first, others) = gather(&backend, &store, 3).await;
    // The first passes; then the group of three is refused, and of the three, each alone, the first.
    backend.let_in(1);
    first.await.unwrap().unwrap();
    backend.next(Scripted::FailBefore(Error::full("store")));
    backend.next(Scripted::FailBefore(Error::full("store")));
    backend.let_in(100);
    let mut codes = Vec::new();
    for other in others {
        codes.push(other.await.unwrap().map_err(|error| error.code()).err());
    }
    assert_eq!(codes, [Some("full"), None, None], "each was tried alone");
    assert_eq!(backend.groups(), [1, 3, 1, 1, 1]);
}

#[tokio::test]
async fn a_caller_who_stops_waiting_does_not_undo_its_commit() {
    let backend = Gated::closed();
    let store = Store::new(backend.clone());
    let entries = [message(0)];
    let log = log();
    {
        let append = store.append(&log, None, &entries);
        tokio::select! {
            _ = append => panic!("the gate is closed"),
            () = backend.wait_for_a_commit() => {}
        }
    }
    backend.let_in(2);
    assert_eq!(store.append(&log, None, &[message(1)]).await.unwrap(), 1..2);
}

#[tokio::test]
async fn closing_commits_what_waits_and_then_says_closed() {
    let backend = Gated::closed();
    let store = Store::new(backend.clone());
    let other = store.clone();
    let waiting = tokio::spawn(async move { other.append(&log(), None, &[message(0)]).await });
    backend.wait_for_a_commit().await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    backend.let_in(10);
    waiting.await.unwrap().unwrap();
    closing.await.unwrap().unwrap();
    store.close().await.unwrap();
    assert_eq!(store.append(&log(), None, &[message(1)]).await.unwrap_err().code(), "closed");
    assert_eq!(store.head(&log()).await.unwrap_err().code(), "closed");
}

#[test]
fn a_store_needs_no_runtime_of_its_callers() {
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let (done, waited) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(async {
            store.append(&log(), None, &[message(0)]).await?;
            store.close().await
        });
        done.send(result).unwrap();
    });
    waited.recv_timeout(std::time::Duration::from_secs(10)).unwrap().unwrap();
}

#[tokio::test]
async fn streams_fetch_a_page_only_when_it_is_needed() {
    let backend = Gated::open();
    let store = Store::new(backend.clone());
    let entries: Vec<_> = (0..1000).map(message).collect();
    store.append(&log(), None, &entries).await.unwrap();

    let newest = store.read(LogQuery::newest_first(log(), 50));
    let positions: Vec<_> = futures_util::StreamExt::take(newest, 50).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(positions.first().unwrap().position, 999);
    assert_eq!(*backend.reads.lock().unwrap(), 1);

    let all: Vec<_> = store.read(LogQuery::oldest_first(log(), 300)).try_collect().await.unwrap();
    let positions: Vec<_> = all.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, (0..1000).collect::<Vec<_>>());
    assert_eq!(*backend.reads.lock().unwrap(), 1 + 4);
}

#[tokio::test]
async fn scans_cross_pages_in_both_directions() {
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let kind = Kind::of("note");
    for id in ["a", "ab", "b", "c", "d"] {
        let key = RecordKey::new(kind.clone(), id).unwrap();
        let batch = store.batch().put(key, Expect::Absent, Body::parse("1").unwrap());
        store.commit(batch).await.unwrap().committed().unwrap();
    }
    let ids = |query: ScanQuery| {
        let found = store.scan(query).map_ok(|record| record.key.id().to_owned());
        async move { found.try_collect::<Vec<_>>().await.unwrap().join(" ") }
    };
    assert_eq!(ids(ScanQuery::of(kind.clone(), 2)).await, "a ab b c d");
    assert_eq!(ids(ScanQuery::of(kind.clone(), 2).backward()).await, "d c b ab a");
    assert_eq!(ids(ScanQuery::of(kind.clone(), 1).prefixed("a")).await, "a ab");
    assert_eq!(ids(ScanQuery::of(kind.clone(), 1).prefixed("a").backward()).await, "ab a");
    assert_eq!(ids(ScanQuery::of(kind, 3).prefixed("x")).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_of_one_record_are_never_lost() {
    let store = Store::new(Arc::new(MemoryBackend::new()));
    store.save(&Agent::new("a", "Ada", "tester"), Expect::Absent).await.unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..UPDATE_TRIES {
                    let raise = |agent: Option<Agent>| {
                        Ok(agent.map(|mut agent| {
                            agent.tasks_completed += 1;
                            agent
                        }))
                    };
                    while let Err(error) = store.update::<Agent>(&"a".into(), raise).await {
                        assert_eq!(error.code(), "conflict");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let agent = store.load::<Agent>(&"a".into()).await.unwrap().unwrap();
    assert_eq!(agent.value.tasks_completed, 4 * UPDATE_TRIES as u64);
}

#[tokio::test]
async fn typed_calls_turn_a_conflict_into_an_error_that_names_the_thing() {
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let agent = Agent::new("a", "Ada", "tester");
    let first = store.save(&agent, Expect::Absent).await.unwrap();
    let error = store.save(&agent, Expect::Absent).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("conflict", "conflict: agent/a already exists".to_owned()));
    let second = store.save(&agent, Expect::At(first)).await.unwrap();
    assert!(second > first);
    store.append(&log(), Some(0), &[message(0)]).await.unwrap();
    let error = store.append(&log(), Some(0), &[message(0)]).await.unwrap_err();
    assert_eq!(error.to_string(), "conflict: log history/s has 1 entries where 0 were expected");
    store.delete::<Agent>(&"a".into(), Expect::At(second)).await.unwrap();
    assert!(store.load::<Agent>(&"a".into()).await.unwrap().is_none());
}
