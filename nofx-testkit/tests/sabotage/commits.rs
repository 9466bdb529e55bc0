//! Sabotages of `commit`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use nofx_core::{
    Batch, BatchId, Body, Changes, Committed, Conflict, Cursor, Expect, Guard, Limits, LogEntry, LogHead, LogKey,
    LogQuery, LogScan, MemoryBackend, Mismatch, Outcome, Page, PersistenceBackend, Record, RecordKey, Result,
    ScanQuery, Seq, Sources,
};

use crate::spoiled::Spoiler;

fn fresh_id() -> BatchId {
    Sources::default().batch_id()
}

/// Commits a group after changing each of its batches.
macro_rules! changed_batches {
    ($(#[$doc:meta])* $name:ident, $change:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        #[async_trait]
        impl Spoiler for $name {
            async fn commit(&self, inner: &MemoryBackend, mut group: Vec<Batch>) -> Result<Vec<Outcome>> {
                let change: fn(&mut Batch) = $change;
                group.iter_mut().for_each(change);
                inner.commit(group).await
            }
        }
    };
}

changed_batches!(PreconditionsIgnored, |batch| {
    for write in &mut batch.writes {
        write.expect = Expect::Any;
    }
});
changed_batches!(LengthsIgnored, |batch| {
    for append in &mut batch.appends {
        append.expect = None;
    }
});
changed_batches!(GuardsIgnored, |batch| batch.guards.clear());
changed_batches!(Forgetful, |batch| batch.id = fresh_id());
changed_batches!(SealsForgotten, |batch| batch.seals.clear());
changed_batches!(
    /// As parsing into a value and writing it again does: 1.10 becomes 1.1, and the last of two equal members stays.
    BodiesRewritten,
    |batch| {
        let entries = batch.appends.iter_mut().flat_map(|append| &mut append.entries).map(|entry| &mut entry.body);
        for body in batch.writes.iter_mut().filter_map(|write| write.body.as_mut()).chain(entries) {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(body.as_str()) {
                *body = Body::trusted(value.to_string());
            }
        }
    }
);

#[derive(Debug)]
pub(crate) struct FirstMismatchOnly;

#[async_trait]
impl Spoiler for FirstMismatchOnly {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut outcomes = inner.commit(group).await?;
        for outcome in &mut outcomes {
            if let Outcome::Conflicted(conflict) = outcome {
                conflict.mismatches.truncate(1);
            }
        }
        Ok(outcomes)
    }
}

/// Each conflict uses up a number.
#[derive(Debug)]
pub(crate) struct TracesOfConflicts;

#[async_trait]
impl Spoiler for TracesOfConflicts {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let outcomes = inner.commit(group).await?;
        for outcome in &outcomes {
            if let Outcome::Conflicted(conflict) = outcome {
                let key = RecordKey::new(nofx_core::Kind::of("trace"), conflict.batch.to_string())?;
                inner.commit(vec![Batch::new(fresh_id()).delete(key, Expect::Any)]).await?;
            }
        }
        Ok(outcomes)
    }
}

#[derive(Debug, Default)]
pub(crate) struct ConflictsRemembered(Mutex<HashMap<BatchId, Conflict>>);

#[async_trait]
impl Spoiler for ConflictsRemembered {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for batch in group {
            let id = batch.id;
            let before = self.0.lock().unwrap().get(&id).cloned();
            let outcome = match before {
                Some(conflict) => Outcome::Conflicted(conflict),
                None => inner.commit(vec![batch]).await?.remove(0),
            };
            if let Outcome::Conflicted(conflict) = &outcome {
                self.0.lock().unwrap().insert(id, conflict.clone());
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// After a conflict the rest of the group gets the same one.
#[derive(Debug)]
pub(crate) struct ConflictStopsGroup;

#[async_trait]
impl Spoiler for ConflictStopsGroup {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut stopped: Option<Conflict> = None;
        let mut outcomes = Vec::new();
        for batch in group {
            let outcome = match &stopped {
                Some(conflict) => Outcome::Conflicted(Conflict { batch: batch.id, ..conflict.clone() }),
                None => inner.commit(vec![batch]).await?.remove(0),
            };
            if let Outcome::Conflicted(conflict) = &outcome {
                stopped = Some(conflict.clone());
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// Remembered batches are looked up once, before the group.
#[derive(Debug)]
pub(crate) struct ForgetfulWithinGroups;

#[async_trait]
impl Spoiler for ForgetfulWithinGroups {
    async fn commit(&self, inner: &MemoryBackend, mut group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut seen = HashSet::new();
        for batch in &mut group {
            if !seen.insert(batch.id) {
                batch.id = fresh_id();
                batch.writes.iter_mut().for_each(|write| write.expect = Expect::Any);
            }
        }
        inner.commit(group).await
    }
}

/// A repeated batch is told that its entries are at the current end of the log.
#[derive(Debug, Default)]
pub(crate) struct WrongRepeats(Mutex<HashSet<BatchId>>);

#[async_trait]
impl Spoiler for WrongRepeats {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let batches = group.clone();
        let mut outcomes = inner.commit(group).await?;
        for (batch, outcome) in batches.iter().zip(&mut outcomes) {
            let Outcome::Committed(committed) = outcome else { continue };
            if self.0.lock().unwrap().insert(batch.id) {
                continue;
            }
            for (append, range) in batch.appends.iter().zip(&mut committed.appended) {
                let end = inner.heads(std::slice::from_ref(&append.log)).await?[0].length;
                *range = end.saturating_sub(append.entries.len() as u64)..end;
            }
        }
        Ok(outcomes)
    }
}

/// Each batch is validated when its turn comes.
#[derive(Debug)]
pub(crate) struct LateValidation;

#[async_trait]
impl Spoiler for LateValidation {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for batch in group {
            outcomes.extend(inner.commit(vec![batch]).await?);
        }
        Ok(outcomes)
    }
}

#[derive(Debug)]
pub(crate) struct GroupSizes;

#[async_trait]
impl Spoiler for GroupSizes {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let bytes: usize = group.iter().map(Batch::body_bytes).sum();
        if bytes > Limits::GUARANTEED.batch_bytes {
            return Err(nofx_core::Error::invalid(format!("a group of {bytes} bytes")));
        }
        inner.commit(group).await
    }
}

#[derive(Debug)]
pub(crate) struct BackwardGroups;

#[async_trait]
impl Spoiler for BackwardGroups {
    async fn commit(&self, inner: &MemoryBackend, mut group: Vec<Batch>) -> Result<Vec<Outcome>> {
        group.reverse();
        let mut outcomes = inner.commit(group).await?;
        outcomes.reverse();
        Ok(outcomes)
    }
}

/// Deletions take no number of their own: numbers are reported as if there had been none, so the version of a record
/// that is written, deleted and written again occurs twice.
#[derive(Debug, Default)]
pub(crate) struct Renumbered(Mutex<BTreeSet<Seq>>);

impl Renumbered {
    fn renumbered(&self, seq: Seq) -> Seq {
        let deletions = self.0.lock().unwrap().range(..=seq).count() as u64;
        Seq::new(seq.get() - deletions).unwrap_or(Seq::FIRST)
    }

    /// Returns a number that is reported as this one and belongs to a record.
    fn meant(&self, told: Seq) -> Seq {
        let mut seq = told;
        while self.0.lock().unwrap().contains(&seq) || self.renumbered(seq) < told {
            seq = seq.next();
        }
        seq
    }

    fn expectation(&self, expect: Expect) -> Expect {
        match expect {
            Expect::At(seq) => Expect::At(self.meant(seq)),
            other => other,
        }
    }

    fn record(&self, mut record: Record) -> Record {
        record.version = self.renumbered(record.version);
        record
    }
}

#[async_trait]
impl Spoiler for Renumbered {
    async fn get(&self, inner: &MemoryBackend, _: u64, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let found = inner.get(keys).await?;
        Ok(found.into_iter().map(|record| record.map(|record| self.record(record))).collect())
    }

    async fn scan(&self, inner: &MemoryBackend, query: &ScanQuery) -> Result<Page<Record>> {
        let Page { items, more } = inner.scan(query).await?;
        Ok(Page { items: items.into_iter().map(|record| self.record(record)).collect(), more })
    }

    async fn changes(&self, inner: &MemoryBackend, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let mut changes = inner.changes(after, limit).await?;
        if let Changes::Page(page) = &mut changes {
            page.changes.iter_mut().for_each(|change| change.seq = change.seq.map(|seq| self.renumbered(seq)));
        }
        Ok(changes)
    }

    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for mut batch in group {
            let deletes = !batch.writes.is_empty() && batch.writes.iter().all(|write| write.body.is_none());
            let expected: Vec<_> = batch.writes.iter().map(|write| write.expect).collect();
            batch.writes.iter_mut().for_each(|write| write.expect = self.expectation(write.expect));
            for guard in &mut batch.guards {
                if let Guard::Record { expect, .. } = guard {
                    *expect = self.expectation(*expect);
                }
            }
            let mut outcome = inner.commit(vec![batch]).await?.remove(0);
            match &mut outcome {
                Outcome::Committed(Committed { seq: Some(seq), .. }) => {
                    if deletes {
                        self.0.lock().unwrap().insert(*seq);
                    }
                    *seq = self.renumbered(*seq);
                }
                Outcome::Committed(_) => {}
                Outcome::Conflicted(conflict) => {
                    for (mismatch, before) in conflict.mismatches.iter_mut().zip(expected) {
                        if let Mismatch::Record { expected, found, .. } = mismatch {
                            *expected = before;
                            *found = found.map(|seq| self.renumbered(seq));
                        }
                    }
                }
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// A removed log is only emptied: the next log with its id starts over.
#[derive(Debug, Default)]
pub(crate) struct RemovedIdsReused(Mutex<HashMap<LogKey, u32>>);

impl RemovedIdsReused {
    fn inside(&self, log: &LogKey) -> LogKey {
        match self.0.lock().unwrap().get(log) {
            Some(life) => LogKey::new(log.kind().clone(), format!("{}\u{1}{life}", log.id())).unwrap_or(log.clone()),
            None => log.clone(),
        }
    }
}

#[async_trait]
impl Spoiler for RemovedIdsReused {
    async fn heads(&self, inner: &MemoryBackend, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let inside: Vec<_> = logs.iter().map(|log| self.inside(log)).collect();
        let heads = inner.heads(&inside).await?;
        Ok(heads.into_iter().zip(logs).map(|(head, log)| LogHead { log: log.clone(), ..head }).collect())
    }

    async fn logs(&self, inner: &MemoryBackend, query: &LogScan) -> Result<Page<LogHead>> {
        let mut page = inner.logs(query).await?;
        for head in &mut page.items {
            if let Some((id, _)) = head.log.id().split_once('\u{1}') {
                head.log = LogKey::new(head.log.kind().clone(), id)?;
            }
        }
        Ok(page)
    }

    async fn read(&self, inner: &MemoryBackend, query: &LogQuery) -> Result<Page<LogEntry>> {
        inner.read(&LogQuery { log: self.inside(&query.log), ..query.clone() }).await
    }

    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for mut batch in group {
            let removed = batch.removals.clone();
            batch.appends.iter_mut().for_each(|append| append.log = self.inside(&append.log));
            batch.seals.iter_mut().for_each(|log| *log = self.inside(log));
            batch.removals.iter_mut().for_each(|log| *log = self.inside(log));
            let outcome = inner.commit(vec![batch]).await?.remove(0);
            if let Outcome::Committed(_) = outcome {
                removed.into_iter().for_each(|log| *self.0.lock().unwrap().entry(log).or_default() += 1);
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// A batch that expects nothing of records writes them, and appends a moment later.
#[derive(Debug)]
pub(crate) struct HalfVisible;

#[async_trait]
impl Spoiler for HalfVisible {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for batch in group {
            let expects_nothing = batch.writes.iter().all(|write| write.expect == Expect::Any);
            if !expects_nothing || batch.appends.is_empty() || batch.writes.is_empty() {
                outcomes.extend(inner.commit(vec![batch]).await?);
                continue;
            }
            let first = Batch { writes: batch.writes, ..Batch::new(fresh_id()) };
            let Committed { seq, .. } = inner.commit(vec![first]).await?.remove(0).committed()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let rest = inner.commit(vec![Batch { writes: Vec::new(), ..batch }]).await?.remove(0).committed()?;
            outcomes.push(Outcome::Committed(Committed { seq, ..rest }));
        }
        Ok(outcomes)
    }
}

/// The first record of a batch is visible a moment before the rest; the final state is correct.
#[derive(Debug)]
pub(crate) struct RecordByRecord;

#[async_trait]
impl Spoiler for RecordByRecord {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        for batch in &group {
            let early = batch.writes.first().filter(|write| write.expect == Expect::Any && batch.writes.len() > 1);
            if let Some(write) = early {
                inner.commit(vec![Batch { writes: vec![write.clone()], ..Batch::new(fresh_id()) }]).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        inner.commit(group).await
    }
}

/// Versions are compared first; the write then happens whatever has changed since.
#[derive(Debug)]
pub(crate) struct CheckThenAct;

#[async_trait]
impl Spoiler for CheckThenAct {
    async fn commit(&self, inner: &MemoryBackend, mut group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut may_happen = group.len() == 1;
        for write in group.iter().flat_map(|batch| &batch.writes) {
            let found = inner.get(std::slice::from_ref(&write.key)).await?.remove(0).map(|record| record.version);
            may_happen &= match write.expect {
                Expect::Any => true,
                Expect::Absent => found.is_none(),
                Expect::At(seq) => found == Some(seq),
            };
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        if may_happen {
            group.iter_mut().flat_map(|batch| &mut batch.writes).for_each(|write| write.expect = Expect::Any);
        }
        inner.commit(group).await
    }
}

/// A caller who stops waiting before the first step stops the commit.
#[derive(Debug)]
pub(crate) struct Abortable;

#[async_trait]
impl Spoiler for Abortable {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        tokio::task::yield_now().await;
        inner.commit(group).await
    }
}

/// A commit that has begun continues after its handle was closed.
#[derive(Debug)]
pub(crate) struct ClosingDoesNotWait;

#[async_trait]
impl Spoiler for ClosingDoesNotWait {
    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        inner.heads(&[]).await?;
        let behind = inner.another_handle();
        tokio::time::sleep(Duration::from_millis(5)).await;
        behind.commit(group).await
    }
}

/// A read holds a lock until it is polled to its end, and a commit waits for it.
#[derive(Debug, Default)]
pub(crate) struct ReadersLock(tokio::sync::RwLock<()>);

#[async_trait]
impl Spoiler for ReadersLock {
    async fn read(&self, inner: &MemoryBackend, query: &LogQuery) -> Result<Page<LogEntry>> {
        let _held = self.0.read().await;
        tokio::task::yield_now().await;
        inner.read(query).await
    }

    async fn commit(&self, inner: &MemoryBackend, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let _held = self.0.write().await;
        inner.commit(group).await
    }
}
