//! Counts the calls to a backend.

use std::ops::Sub;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, LogEntry, LogHead, LogKey, LogQuery, LogScan, Outcome, Page,
    PersistenceBackend, Record, RecordKey, Result, ScanQuery,
};

/// A backend that counts the calls to the one inside it.
///
/// ```
/// # use std::sync::Arc;
/// # use nofx_core::{Batch, Body, Expect, Kind, MemoryBackend, PersistenceBackend, RecordKey, Sources};
/// # use nofx_testkit::Counting;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let counting = Counting::new(Arc::new(MemoryBackend::new()));
/// let before = counting.counts();
/// let key = RecordKey::new(Kind::of("agent"), "a")?;
/// let batch = Batch::new(Sources::default().batch_id()).put(key.clone(), Expect::Any, Body::parse("{}")?);
/// counting.commit(vec![batch]).await?;
/// counting.get(&[key]).await?;
/// let spent = counting.counts() - before;
/// assert_eq!((spent.groups, spent.committed, spent.get_calls, spent.records), (1, 1, 1, 1));
/// # nofx_core::Result::<()>::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Counting {
    inner: Arc<dyn PersistenceBackend>,
    counts: Mutex<CallCounts>,
}

/// The calls to a backend so far; the difference of two counts shows what something cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Calls of `get`.
    pub get_calls: u64,
    /// Calls of `scan`.
    pub scan_calls: u64,
    /// Calls of `heads`.
    pub heads_calls: u64,
    /// Calls of `logs`.
    pub logs_calls: u64,
    /// Calls of `read`.
    pub read_calls: u64,
    /// Calls of `changes`.
    pub changes_calls: u64,
    /// Calls of `close`.
    pub close_calls: u64,
    /// Records that `get` and `scan` returned.
    pub records: u64,
    /// Bytes of their bodies.
    pub record_bytes: u64,
    /// Heads that `heads` and `logs` returned.
    pub heads: u64,
    /// Entries that `read` returned.
    pub entries: u64,
    /// Bytes of their bodies.
    pub entry_bytes: u64,
    /// Changes that `changes` returned.
    pub changes: u64,
    /// Groups given to `commit`, each at least one flush.
    pub groups: u64,
    /// Batches in them.
    pub batches: u64,
    /// Bytes of their bodies.
    pub batch_bytes: u64,
    /// Batches whose outcome was committed.
    pub committed: u64,
    /// Batches whose outcome was a conflict.
    pub conflicted: u64,
    /// Calls of any kind that ended in an error.
    pub errors: u64,
}

macro_rules! differences {
    ($($field:ident)+) => {
        impl Sub for CallCounts {
            type Output = Self;

            fn sub(self, before: Self) -> Self {
                Self { $($field: self.$field - before.$field),+ }
            }
        }

        impl CallCounts {
            /// Returns the number of reading calls.
            pub fn reading_calls(&self) -> u64 {
                self.get_calls + self.scan_calls + self.heads_calls + self.logs_calls + self.read_calls + self.changes_calls
            }
        }
    };
}

differences! {
    get_calls scan_calls heads_calls logs_calls read_calls changes_calls close_calls records record_bytes heads entries
    entry_bytes changes groups batches batch_bytes committed conflicted errors
}

impl Counting {
    /// Counts the calls to `inner` from now on.
    pub fn new(inner: Arc<dyn PersistenceBackend>) -> Self {
        Self { inner, counts: Mutex::default() }
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> CallCounts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, answer: Result<T>, note: impl FnOnce(&mut CallCounts, Option<&T>)) -> Result<T> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.errors += u64::from(answer.is_err());
        note(&mut counts, answer.as_ref().ok());
        answer
    }
}

impl CallCounts {
    fn note_records<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            self.records += 1;
            self.record_bytes += record.body.len() as u64;
        }
    }

    fn note_outcomes(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Committed(_) => self.committed += 1,
                Outcome::Conflicted(_) => self.conflicted += 1,
            }
        }
    }
}

#[async_trait]
impl PersistenceBackend for Counting {
    fn info(&self) -> BackendInfo {
        self.inner.info()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let answer = self.inner.get(keys).await;
        self.note(answer, |counts, found| {
            counts.get_calls += 1;
            counts.note_records(found.into_iter().flatten().flatten());
        })
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        let answer = self.inner.scan(query).await;
        self.note(answer, |counts, page| {
            counts.scan_calls += 1;
            counts.note_records(page.into_iter().flat_map(|page| &page.items));
        })
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let answer = self.inner.heads(logs).await;
        self.note(answer, |counts, heads| {
            counts.heads_calls += 1;
            counts.heads += heads.map_or(0, |heads| heads.len() as u64);
        })
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        let answer = self.inner.logs(query).await;
        self.note(answer, |counts, page| {
            counts.logs_calls += 1;
            counts.heads += page.map_or(0, |page| page.items.len() as u64);
        })
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let answer = self.inner.read(query).await;
        self.note(answer, |counts, page| {
            counts.read_calls += 1;
            for entry in page.into_iter().flat_map(|page| &page.items) {
                counts.entries += 1;
                counts.entry_bytes += entry.body.len() as u64;
            }
        })
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let answer = self.inner.changes(after, limit).await;
        self.note(answer, |counts, changes| {
            counts.changes_calls += 1;
            if let Some(Changes::Page(page)) = changes {
                counts.changes += page.changes.len() as u64;
            }
        })
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let batches = group.len() as u64;
        let bytes: usize = group.iter().map(Batch::body_bytes).sum();
        let answer = self.inner.commit(group).await;
        self.note(answer, |counts, outcomes| {
            counts.groups += 1;
            counts.batches += batches;
            counts.batch_bytes += bytes as u64;
            counts.note_outcomes(outcomes.map(Vec::as_slice).unwrap_or_default());
        })
    }

    async fn close(&self) -> Result<()> {
        let answer = self.inner.close().await;
        self.note(answer, |counts, _| counts.close_calls += 1)
    }
}

#[cfg(test)]
mod tests {
    use nofx_core::{Body, Error, Expect, Kind, MemoryBackend, NewEntry, Sources, Timestamp};

    use super::*;

    #[tokio::test]
    async fn every_call_and_what_it_returned_is_counted() {
        let counting = Counting::new(Arc::new(MemoryBackend::new()));
        let (key, log) = (RecordKey::new(Kind::of("a"), "a").unwrap(), LogKey::new(Kind::of("a"), "a").unwrap());
        let body = Body::trusted("12345");
        let entry = NewEntry { at: Timestamp::from_millis(0), body: body.clone() };
        let batch = || Batch::new(Sources::default().batch_id()).put(key.clone(), Expect::Absent, body.clone());
        let appending = batch().append(log.clone(), vec![entry.clone(), entry]);
        counting.commit(vec![appending, batch()]).await.unwrap();
        counting.get(&[key.clone(), key.clone()]).await.unwrap();
        counting.scan(&ScanQuery::all(10)).await.unwrap();
        counting.heads(&[log.clone(), log.clone()]).await.unwrap();
        counting.logs(&LogScan::all(10)).await.unwrap();
        counting.read(&LogQuery::oldest_first(log, 10)).await.unwrap();
        counting.changes(None, 10).await.unwrap();
        assert!(matches!(counting.scan(&ScanQuery::all(0)).await, Err(Error::Invalid(_))));
        counting.close().await.unwrap();
        let expected = CallCounts {
            get_calls: 1,
            scan_calls: 2,
            heads_calls: 1,
            logs_calls: 1,
            read_calls: 1,
            changes_calls: 1,
            close_calls: 1,
            records: 3,
            record_bytes: 15,
            heads: 3,
            entries: 2,
            entry_bytes: 10,
            changes: 1,
            groups: 1,
            batches: 2,
            batch_bytes: 20,
            committed: 1,
            conflicted: 1,
            errors: 1,
        };
        assert_eq!(counting.counts(), expected);
        assert_eq!(counting.counts() - expected, CallCounts::default());
        assert_eq!(counting.counts().reading_calls(), 7);
    }
}
