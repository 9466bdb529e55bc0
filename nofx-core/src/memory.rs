//! A store in memory: the simplest implementation of the contract, and the oracle for all others.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::backend::PersistenceBackend;
use crate::batch::{Batch, Committed, Outcome, View};
use crate::error::{Error, Result};
use crate::ids::{BatchId, Sources, StoreId};
use crate::key::{LogKey, RecordKey};
use crate::query::{ChangePage, Changes, Direction, LogQuery, LogScan, Page, ScanQuery};
use crate::record::{
    BackendInfo, Change, Cursor, Durability, Limits, LogEntry, LogHead, LogState, REMEMBERED_COMMITS, Record, Seq,
    Sharing,
};

/// A store that is gone with its last handle.
///
/// Use it where there is no folder to store anything in; tests use it as the oracle. It is as strict as the contract
/// allows, so that what works on it works everywhere: it remembers exactly [`REMEMBERED_COMMITS`] commits, ends pages at
/// exactly [`PAGE_BYTES`](crate::PAGE_BYTES) and takes exactly [`Limits::GUARANTEED`].
#[derive(Debug)]
pub struct MemoryBackend {
    shared: Arc<Shared>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    store: StoreId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_seq: Option<Seq>,
    records: BTreeMap<RecordKey, (Seq, crate::Body)>,
    logs: BTreeMap<LogKey, Log>,
    feed: VecDeque<(Change, Committed)>,
    /// The number of the feed's first commit, counted from zero.
    feed_start: u64,
    /// The feed number of each remembered batch.
    remembered: HashMap<BatchId, u64>,
}

#[derive(Debug)]
struct Log {
    state: LogState,
    entries: Vec<LogEntry>,
}

impl MemoryBackend {
    /// Creates an empty store.
    pub fn new() -> Self {
        let shared = Shared { store: Sources::default().store_id(), state: Mutex::default() };
        Self { shared: Arc::new(shared), closed: AtomicBool::new(false) }
    }

    /// Returns another handle on the same store.
    pub fn another_handle(&self) -> Self {
        Self { shared: self.shared.clone(), closed: AtomicBool::new(false) }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        // Checked under the lock, so that nothing happens after `close` has held it.
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        Ok(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed: a batch is judged before it is applied, and applying it cannot
        // fail.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl PersistenceBackend for MemoryBackend {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            backend: "memory",
            store: self.shared.store,
            sharing: Sharing::Process,
            durability: Durability::Process,
            limits: Limits::GUARANTEED,
            read_only: None,
        }
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let state = self.state()?;
        Ok(keys.iter().map(|key| state.record(key)).collect())
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        let state = self.state()?;
        query.validate()?;
        let found = query.find_in(&state.records).filter_map(|(key, _)| state.record(key));
        Ok(page(found, query.limit, |record| record.body.len()))
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let state = self.state()?;
        Ok(logs.iter().map(|log| state.head(log)).collect())
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        let state = self.state()?;
        query.validate()?;
        let found = query
            .find_in(&state.logs)
            .filter(|(_, log)| log.state != LogState::Removed)
            .map(|(key, _)| state.head(key));
        Ok(page(found, query.limit, |_| 0))
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let state = self.state()?;
        query.validate()?;
        let entries = state.logs.get(&query.log).map(|log| log.entries.as_slice()).unwrap_or_default();
        let bounded = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(entries.len());
        let (start, end) = (bounded(query.range.start), bounded(query.range.end));
        let within = entries.get(start..end).unwrap_or_default().iter().cloned();
        Ok(match query.direction {
            Direction::Forward => page(within, query.limit, |entry| entry.body.len()),
            Direction::Backward => page(within.rev(), query.limit, |entry| entry.body.len()),
        })
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let state = self.state()?;
        let end = state.feed_start + state.feed.len() as u64;
        let newest = Cursor::after(self.shared.store, end);
        let from = match after {
            None => Some(0),
            Some(cursor) => cursor.commits_of(self.shared.store)?,
        };
        let Some(from) = from.filter(|from| (state.feed_start..=end).contains(from)) else {
            return Ok(Changes::Gap { newest });
        };
        let skipped = (from - state.feed_start) as usize;
        let changes: Vec<_> = state.feed.iter().skip(skipped).take(limit).map(|(change, _)| change.clone()).collect();
        let next = Cursor::after(self.shared.store, from + changes.len() as u64);
        Ok(Changes::Page(ChangePage { changes, next, newest }))
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut state = self.state()?;
        group.iter().try_for_each(|batch| batch.validate(&Limits::GUARANTEED))?;
        group.into_iter().map(|batch| state.commit(batch)).collect()
    }

    async fn close(&self) -> Result<()> {
        let _in_flight = self.lock();
        self.closed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl State {
    fn record(&self, key: &RecordKey) -> Option<Record> {
        let (version, body) = self.records.get(key)?;
        Some(Record { key: key.clone(), version: *version, body: body.clone() })
    }

    fn head(&self, log: &LogKey) -> LogHead {
        match self.logs.get(log) {
            None => LogHead::missing(log.clone()),
            Some(Log { state, entries }) => LogHead {
                log: log.clone(),
                length: entries.len() as u64,
                last_at: entries.last().map(|entry| entry.at),
                state: *state,
            },
        }
    }

    fn commit(&mut self, batch: Batch) -> Result<Outcome> {
        if let Some(number) = self.remembered.get(&batch.id) {
            let (_, first) = &self.feed[(number - self.feed_start) as usize];
            return Ok(Outcome::Committed(first.clone()));
        }
        if let Some(conflict) = batch.check(self)? {
            return Ok(Outcome::Conflicted(conflict));
        }
        let change = batch.change((!batch.writes.is_empty()).then(|| self.next_seq()));
        let committed = self.apply(batch, change.seq);
        self.remember(change, committed.clone());
        Ok(Outcome::Committed(committed))
    }

    fn next_seq(&self) -> Seq {
        self.last_seq.map_or(Seq::FIRST, Seq::next)
    }

    fn apply(&mut self, batch: Batch, seq: Option<Seq>) -> Committed {
        if let Some(seq) = seq {
            self.last_seq = Some(seq);
            for write in batch.writes {
                match write.body {
                    Some(body) => self.records.insert(write.key, (seq, body)),
                    None => self.records.remove(&write.key),
                };
            }
        }
        let mut appended = Vec::new();
        for append in batch.appends {
            let entries = &mut self.log(append.log).entries;
            let start = entries.len() as u64;
            for (position, entry) in (start..).zip(append.entries) {
                entries.push(LogEntry { position, at: entry.at, body: entry.body });
            }
            appended.push(start..entries.len() as u64);
        }
        for log in batch.seals {
            self.log(log).state = LogState::Sealed;
        }
        for log in batch.removals {
            *self.log(log) = Log { state: LogState::Removed, entries: Vec::new() };
        }
        Committed { seq, appended }
    }

    fn log(&mut self, log: LogKey) -> &mut Log {
        self.logs.entry(log).or_insert(Log { state: LogState::Open, entries: Vec::new() })
    }

    fn remember(&mut self, change: Change, committed: Committed) {
        self.remembered.insert(change.batch, self.feed_start + self.feed.len() as u64);
        self.feed.push_back((change, committed));
        if self.feed.len() > REMEMBERED_COMMITS
            && let Some((forgotten, _)) = self.feed.pop_front()
        {
            self.remembered.remove(&forgotten.batch);
            self.feed_start += 1;
        }
    }
}

impl View for State {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        Ok(self.records.get(key).map(|(version, _)| *version))
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        Ok(State::head(self, log))
    }
}

/// Fills a page, as reading from memory cannot fail.
fn page<T>(found: impl Iterator<Item = T>, limit: usize, bytes: impl Fn(&T) -> usize) -> Page<T> {
    let Ok(page) = Page::fill(found.map(Ok::<T, Infallible>), limit, bytes);
    page
}
