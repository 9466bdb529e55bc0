//! Batches of a reasonable size, each committed while the next is gathered.
//!
//! A thing that is larger than a batch is committed in several; an interrupted import continues from there.

use std::collections::HashSet;
use std::fmt;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use nofx_core::{Append, Body, Error, Expect, LogKey, NewEntry, Outcome, RecordKey, Result, Seq, Store, Write};

use crate::options::Options;

/// The most bytes at which a batch is committed.
const BATCH_BYTES: u64 = 8 << 20;

/// The part of the memory that a batch may use.
const BATCH_PART: u64 = 8;

/// The number of parts at which a batch is committed; every store accepts more.
const BATCH_ITEMS: usize = 8000;

/// Collects writes and commits them in batches; small writes that belong together stay together.
pub(crate) struct BatchWriter<'a> {
    store: &'a Store,
    dry_run: bool,
    most_bytes: usize,
    batch: nofx_core::Batch,
    items: usize,
    bytes: usize,
    in_flight: Option<BoxFuture<'a, Result<Outcome>>>,
    commits: u64,
    /// The numbers of the commits that wrote records.
    seqs: HashSet<Seq>,
}

/// What is to be written of one thing.
#[derive(Debug, Default)]
pub(crate) struct ThingChanges {
    pub(crate) puts: Vec<(RecordKey, Expect, Body)>,
    pub(crate) deletes: Vec<RecordKey>,
    /// Entries for a log, and its length before.
    pub(crate) appends: Vec<(LogKey, u64, Vec<NewEntry>)>,
    pub(crate) seals: Vec<LogKey>,
}

impl fmt::Debug for BatchWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter")
            .field("commits", &self.commits)
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}

impl<'a> BatchWriter<'a> {
    pub(crate) fn new(store: &'a Store, options: &Options) -> Self {
        let most_bytes = (options.memory / BATCH_PART).min(BATCH_BYTES) as usize;
        Self {
            store,
            dry_run: options.dry_run,
            most_bytes,
            batch: store.batch(),
            items: 0,
            bytes: 0,
            in_flight: None,
            commits: 0,
            seqs: HashSet::new(),
        }
    }

    /// Returns whether nothing is to be written.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Returns how many commits were made.
    pub(crate) fn commits(&self) -> u64 {
        self.commits
    }

    /// Returns the numbers of the commits that wrote records.
    pub(crate) fn seqs(&self) -> &HashSet<Seq> {
        &self.seqs
    }

    /// Writes everything, in one batch with other things if it is small, else in several.
    pub(crate) async fn write(&mut self, changes: ThingChanges) -> Result<()> {
        self.make_room(changes.items(), changes.bytes()).await?;
        for (key, expect, body) in changes.puts {
            self.make_room(1, body.len()).await?;
            self.count(1, body.len());
            self.batch.writes.push(Write { key, expect, body: Some(body) });
        }
        for key in changes.deletes {
            self.make_room(1, 0).await?;
            self.count(1, 0);
            self.batch.writes.push(Write { key, expect: Expect::Any, body: None });
        }
        for (log, length, entries) in changes.appends {
            self.append(log, length, entries).await?;
        }
        for log in changes.seals {
            self.make_room(1, 0).await?;
            self.count(1, 0);
            self.batch.seals.push(log);
        }
        Ok(())
    }

    async fn append(&mut self, log: LogKey, mut length: u64, entries: Vec<NewEntry>) -> Result<()> {
        let mut run = Vec::new();
        for entry in entries {
            if self.is_full_with(1, entry.body.len()) {
                length = self.append_run(&log, length, &mut run);
                self.submit().await?;
            }
            self.count(1, entry.body.len());
            run.push(entry);
        }
        self.append_run(&log, length, &mut run);
        Ok(())
    }

    fn append_run(&mut self, log: &LogKey, length: u64, run: &mut Vec<NewEntry>) -> u64 {
        let added = run.len() as u64;
        if added == 0 {
            return length;
        }
        let entries = std::mem::take(run);
        // A batch names a log once.
        if let Some(append) = self.batch.appends.iter_mut().find(|append| append.log == *log) {
            append.entries.extend(entries);
        } else {
            self.batch.appends.push(Append { log: log.clone(), expect: Some(length), entries });
        }
        length + added
    }

    fn count(&mut self, items: usize, bytes: usize) {
        self.items += items;
        self.bytes += bytes;
    }

    fn is_full_with(&self, items: usize, bytes: usize) -> bool {
        self.items > 0 && (self.items + items > BATCH_ITEMS || self.bytes + bytes > self.most_bytes)
    }

    /// Commits what was collected if this much more would be too much.
    async fn make_room(&mut self, items: usize, bytes: usize) -> Result<()> {
        match self.is_full_with(items, bytes) {
            true => self.submit().await,
            false => Ok(()),
        }
    }

    /// Starts to commit what was collected, after what was submitted before.
    async fn submit(&mut self) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, self.store.batch());
        (self.items, self.bytes) = (0, 0);
        if batch.is_empty() || self.dry_run {
            return Ok(());
        }
        self.settle().await?;
        let mut commit = Box::pin(self.store.commit(batch));
        // Once polled it is in flight, and continues without being polled.
        self.in_flight = Some(match (&mut commit).now_or_never() {
            Some(outcome) => ready(outcome).boxed(),
            None => commit,
        });
        Ok(())
    }

    /// Waits until what was submitted is committed.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        let Some(in_flight) = self.in_flight.take() else { return Ok(()) };
        match in_flight.await? {
            Outcome::Committed(committed) => {
                self.commits += 1;
                self.seqs.extend(committed.seq);
                Ok(())
            }
            Outcome::Conflicted(conflict) => Err(Error::Conflict(Box::new(conflict))),
        }
    }

    /// Commits what was collected.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.submit().await?;
        self.settle().await
    }
}

impl ThingChanges {
    fn items(&self) -> usize {
        let entries: usize = self.appends.iter().map(|(_, _, entries)| entries.len()).sum();
        self.puts.len() + self.deletes.len() + self.seals.len() + entries
    }

    fn bytes(&self) -> usize {
        let records: usize = self.puts.iter().map(|(_, _, body)| body.len()).sum();
        let entries = self.appends.iter().flat_map(|(_, _, entries)| entries).map(|entry| entry.body.len());
        records + entries.sum::<usize>()
    }
}
