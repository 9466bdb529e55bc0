//! A consistent copy of a store that other programs are writing to.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::TryStreamExt;
use nofx_core::{
    Changes, Cursor, Deadline, Error, LogHead, LogKey, LogQuery, LogScan, LogState, NewEntry, RecordKey, Result,
    ScanQuery, Store,
};

use crate::dump::{Counts, anything_in};
use crate::filling::Filling;

/// Items per page.
const PAGE: usize = 256;

/// How many commits to catch up with at once.
const CHANGES: usize = 1000;

/// How long a backup tries to catch up with other writers.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why a backup failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// One of the stores could not be read or written, or others write faster than the backup can copy.
    #[error(transparent)]
    Store(#[from] Error),
    /// The target holds something already. Nothing was written.
    #[error("the target is not empty: it holds {0}")]
    NotEmpty(String),
}

/// Copies the state of a store at one point in time into an empty store, while others write to the source.
///
/// Everything is copied as it is found; then whatever has changed since the start is copied again, until nothing has changed
/// since. So each batch of the source is in the copy entirely or not at all. Returns what was copied; `progress` is
/// called with what was copied so far.
pub async fn backup(
    from: &Store,
    to: &Store,
    progress: &mut (dyn FnMut(Counts) + Send),
) -> Result<Counts, BackupError> {
    if let Some(found) = anything_in(to).await? {
        return Err(BackupError::NotEmpty(found));
    }
    let begin = match from.changes(None, 0).await? {
        Changes::Page(page) => page.newest,
        Changes::Gap { newest } => newest,
    };
    let mut done = Counts::default();
    copy_records(from, to, &mut done, progress).await?;
    copy_logs(from, to, &mut done, progress).await?;
    catch_up(from, to, begin).await?;
    Ok(done)
}

async fn copy_records(
    from: &Store,
    to: &Store,
    done: &mut Counts,
    progress: &mut (dyn FnMut(Counts) + Send),
) -> Result<()> {
    let mut filling = Filling::new(to);
    let mut records = from.scan(ScanQuery::all(PAGE));
    while let Some(record) = records.try_next().await? {
        filling.put(record.key, record.body).await?;
        done.records += 1;
        progress(*done);
    }
    filling.finish().await
}

async fn copy_logs(
    from: &Store,
    to: &Store,
    done: &mut Counts,
    progress: &mut (dyn FnMut(Counts) + Send),
) -> Result<()> {
    let mut filling = Filling::new(to);
    let mut logs = from.logs(LogScan::all(PAGE));
    while let Some(head) = logs.try_next().await? {
        let mut copied = 0;
        let mut entries = from.read_whole(&head, PAGE);
        while let Some(entry) = entries.try_next().await? {
            filling.append(&head.log, entry.position, NewEntry { at: entry.at, body: entry.body }).await?;
            copied += 1;
        }
        // A log that was removed since is removed from the copy when that change is caught up with.
        if head.state == LogState::Sealed && copied == head.length {
            filling.seal(head.log).await?;
        }
        done.logs += 1;
        done.entries += copied;
        progress(*done);
    }
    filling.finish().await
}

/// Copies what has changed since a point in time, until nothing has changed since the last look.
async fn catch_up(from: &Store, to: &Store, begin: Cursor) -> Result<()> {
    let deadline = Deadline::after(PATIENCE);
    let mut after = begin;
    loop {
        let page = match from.changes(Some(&after), CHANGES).await? {
            Changes::Page(page) => page,
            Changes::Gap { .. } => {
                return Err(Error::unavailable("catching up: more was written than the store remembers"));
            }
        };
        if page.changes.is_empty() && page.next == page.newest {
            return Ok(());
        }
        if deadline.has_passed() {
            return Err(Error::unavailable("catching up: others write faster than can be copied"));
        }
        let records: BTreeSet<RecordKey> = page.changes.iter().flat_map(|change| change.records.clone()).collect();
        let logs: BTreeSet<LogKey> = page.changes.iter().flat_map(|change| change.logs.clone()).collect();
        replay_records(from, to, records.into_iter().collect()).await?;
        for log in logs {
            replay_log(from, to, log).await?;
        }
        after = page.next;
    }
}

async fn replay_records(from: &Store, to: &Store, keys: Vec<RecordKey>) -> Result<()> {
    let mut filling = Filling::new(to);
    for keys in keys.chunks(PAGE) {
        let (theirs, ours) = (from.get(keys).await?, to.get(keys).await?);
        for (key, (theirs, ours)) in keys.iter().zip(theirs.into_iter().zip(ours)) {
            let (theirs, ours) = (theirs.map(|record| record.body), ours.map(|record| record.body));
            if theirs != ours {
                filling.replace(key.clone(), theirs).await?;
            }
        }
    }
    filling.finish().await
}

async fn replay_log(from: &Store, to: &Store, log: LogKey) -> Result<()> {
    let (theirs, ours): (LogHead, LogHead) = (from.head(&log).await?, to.head(&log).await?);
    if theirs.state == LogState::Removed {
        return match ours.state == LogState::Removed || (ours.length == 0 && ours.state == LogState::Open) {
            true => Ok(()),
            false => to.commit(to.batch().remove(log)).await?.committed().map(drop),
        };
    }
    let mut filling = Filling::new(to);
    let mut entries = from.read(LogQuery::oldest_first(log.clone(), PAGE).within(ours.length..theirs.length));
    while let Some(entry) = entries.try_next().await? {
        filling.append(&log, entry.position, NewEntry { at: entry.at, body: entry.body }).await?;
    }
    if theirs.state == LogState::Sealed && ours.state == LogState::Open {
        filling.seal(log).await?;
    }
    filling.finish().await
}
