//! Sabotages of reading and of closing.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use nofx_core::{
    Batch, ChangePage, Changes, Cursor, Direction, LogEntry, LogHead, LogKey, LogQuery, LogScan, MemoryBackend,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Result, ScanQuery,
};

use crate::spoiled::Spoiler;

/// Continuing after a key starts one too late.
#[derive(Debug)]
pub(crate) struct ScanSkips;

#[async_trait]
impl Spoiler for ScanSkips {
    async fn scan(&self, inner: &MemoryBackend, query: &ScanQuery) -> Result<Page<Record>> {
        let mut query = query.clone();
        if query.after.is_some() {
            let skipped = inner.scan(&ScanQuery { limit: 1, ..query.clone() }).await?;
            query.after = skipped.items.into_iter().next().map(|record| record.key).or(query.after);
        }
        inner.scan(&query).await
    }
}

/// Continuing after a key starts with that key.
#[derive(Debug)]
pub(crate) struct ScanRepeats;

#[async_trait]
impl Spoiler for ScanRepeats {
    async fn scan(&self, inner: &MemoryBackend, query: &ScanQuery) -> Result<Page<Record>> {
        let mut page = inner.scan(query).await?;
        if let Some(after) = &query.after
            && let Some(repeated) = inner.get(std::slice::from_ref(after)).await?.remove(0)
            && query.limit > 1
        {
            page.items.insert(0, repeated);
            page.more |= page.items.len() > query.limit;
            page.items.truncate(query.limit);
        }
        Ok(page)
    }
}

/// A page in the middle of a log loses its last entry.
#[derive(Debug)]
pub(crate) struct ReadSkips;

#[async_trait]
impl Spoiler for ReadSkips {
    async fn read(&self, inner: &MemoryBackend, query: &LogQuery) -> Result<Page<LogEntry>> {
        let mut page = inner.read(query).await?;
        if page.more && page.items.len() > 2 {
            page.items.remove(1);
        }
        Ok(page)
    }
}

/// `more` is guessed from the size of a page.
#[derive(Debug)]
pub(crate) struct MoreWhenFull;

#[async_trait]
impl Spoiler for MoreWhenFull {
    async fn scan(&self, inner: &MemoryBackend, query: &ScanQuery) -> Result<Page<Record>> {
        let page = inner.scan(query).await?;
        Ok(Page { more: page.more || page.items.len() == query.limit, ..page })
    }
}

/// The newest page is the oldest one, reversed.
#[derive(Debug)]
pub(crate) struct BackwardReversed;

#[async_trait]
impl Spoiler for BackwardReversed {
    async fn read(&self, inner: &MemoryBackend, query: &LogQuery) -> Result<Page<LogEntry>> {
        let mut page = inner.read(&LogQuery { direction: Direction::Forward, ..query.clone() }).await?;
        if query.direction == Direction::Backward {
            page.items.reverse();
        }
        Ok(page)
    }
}

/// A kind is compared as a prefix.
#[derive(Debug)]
pub(crate) struct KindsRunTogether;

#[async_trait]
impl Spoiler for KindsRunTogether {
    async fn scan(&self, inner: &MemoryBackend, query: &ScanQuery) -> Result<Page<Record>> {
        let Some(kind) = query.kind.clone().filter(|_| query.prefix.is_empty()) else {
            return inner.scan(query).await;
        };
        let all = inner.scan(&ScanQuery { kind: None, limit: usize::MAX, ..query.clone() }).await?;
        let mut items: Vec<_> =
            all.items.into_iter().filter(|record| record.key.kind().as_str().starts_with(kind.as_str())).collect();
        let more = items.len() > query.limit || all.more;
        items.truncate(query.limit);
        Ok(Page { items, more })
    }
}

/// A prefix is scanned as a range that ends at the same text with its last character incremented; where there is no
/// such character, the range is empty.
#[derive(Debug)]
pub(crate) struct PrefixByNext;

#[async_trait]
impl Spoiler for PrefixByNext {
    async fn scan(&self, inner: &MemoryBackend, query: &ScanQuery) -> Result<Page<Record>> {
        let last = query.prefix.chars().last();
        if last.is_some_and(|last| char::from_u32(last as u32 + 1).is_none()) {
            return Ok(Page { items: Vec::new(), more: false });
        }
        inner.scan(query).await
    }
}

#[derive(Debug)]
pub(crate) struct SortedByTime;

#[async_trait]
impl Spoiler for SortedByTime {
    async fn read(&self, inner: &MemoryBackend, query: &LogQuery) -> Result<Page<LogEntry>> {
        let mut page = inner.read(query).await?;
        page.items.sort_by_key(|entry| entry.at);
        if query.direction == Direction::Backward {
            page.items.reverse();
        }
        Ok(page)
    }
}

/// A head counts only the first entry of each multi-entry append.
#[derive(Debug)]
pub(crate) struct HeadsBehind;

#[async_trait]
impl Spoiler for HeadsBehind {
    async fn heads(&self, inner: &MemoryBackend, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        let mut heads = inner.heads(logs).await?;
        heads.iter_mut().filter(|head| head.length > 1).for_each(|head| head.length -= 1);
        Ok(heads)
    }
}

/// A listing reports each head as it was first listed.
#[derive(Debug, Default)]
pub(crate) struct OldHeads(Mutex<HashMap<LogKey, LogHead>>);

#[async_trait]
impl Spoiler for OldHeads {
    async fn logs(&self, inner: &MemoryBackend, query: &LogScan) -> Result<Page<LogHead>> {
        let mut page = inner.logs(query).await?;
        for head in &mut page.items {
            *head = self.0.lock().unwrap().entry(head.log.clone()).or_insert_with(|| head.clone()).clone();
        }
        Ok(page)
    }
}

/// A handle other than the first caches what it found once.
#[derive(Debug, Default)]
pub(crate) struct StaleHandles(Mutex<HashMap<(u64, RecordKey), Record>>);

#[async_trait]
impl Spoiler for StaleHandles {
    async fn get(&self, inner: &MemoryBackend, handle: u64, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let mut found = inner.get(keys).await?;
        if handle > 0 {
            let mut kept = self.0.lock().unwrap();
            for record in found.iter_mut().flatten() {
                *record = kept.entry((handle, record.key.clone())).or_insert_with(|| record.clone()).clone();
            }
        }
        Ok(found)
    }
}

/// Ids are stored in lower case, as on a case-insensitive file system.
#[derive(Debug)]
pub(crate) struct IdsFolded;

fn folded(key: &RecordKey) -> Result<RecordKey> {
    RecordKey::new(key.kind().clone(), key.id().to_lowercase())
}

#[async_trait]
impl Spoiler for IdsFolded {
    async fn get(&self, inner: &MemoryBackend, _: u64, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let inside = keys.iter().map(folded).collect::<Result<Vec<_>>>()?;
        let found = inner.get(&inside).await?;
        Ok(found.into_iter().zip(keys).map(|(record, key)| Some(Record { key: key.clone(), ..record? })).collect())
    }

    async fn commit(&self, inner: &MemoryBackend, mut group: Vec<Batch>) -> Result<Vec<Outcome>> {
        for batch in &mut group {
            // Of two that are now the same, the last stays.
            let mut kept = HashMap::new();
            for mut write in std::mem::take(&mut batch.writes) {
                write.key = folded(&write.key)?;
                kept.insert(write.key.clone(), write);
            }
            batch.writes = kept.into_values().collect();
        }
        inner.commit(group).await
    }
}

/// A full page of changes is followed by one commit that is never reported.
#[derive(Debug)]
pub(crate) struct FeedLoses;

#[async_trait]
impl Spoiler for FeedLoses {
    async fn changes(&self, inner: &MemoryBackend, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let changes = inner.changes(after, limit).await?;
        let Changes::Page(page) = changes else { return Ok(changes) };
        if limit == 0 || page.changes.len() < limit {
            return Ok(Changes::Page(page));
        }
        match inner.changes(Some(&page.next), 1).await? {
            Changes::Page(lost) => Ok(Changes::Page(ChangePage { next: lost.next, ..page })),
            gap => Ok(gap),
        }
    }
}

/// A reader that fell behind continues with what is left.
#[derive(Debug)]
pub(crate) struct GapNeverReported;

#[async_trait]
impl Spoiler for GapNeverReported {
    async fn changes(&self, inner: &MemoryBackend, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let changes = inner.changes(after, limit).await?;
        match (after, changes) {
            (None, Changes::Gap { newest }) => {
                Ok(Changes::Page(ChangePage { changes: Vec::new(), next: newest.clone(), newest }))
            }
            (_, changes) => Ok(changes),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ForeignCursorsTaken;

#[async_trait]
impl Spoiler for ForeignCursorsTaken {
    async fn changes(&self, inner: &MemoryBackend, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        let own = after
            .and_then(|cursor| cursor.0.split_once(':'))
            .map(|(_, number)| Cursor(format!("{}:{number}", inner.info().store)));
        inner.changes(own.as_ref().or(after), limit).await
    }
}

/// Closing only stops others from writing.
#[derive(Debug)]
pub(crate) struct ClosedStillReads;

#[async_trait]
impl Spoiler for ClosedStillReads {
    async fn heads(&self, inner: &MemoryBackend, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        inner.another_handle().heads(logs).await
    }
}
