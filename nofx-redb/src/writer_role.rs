//! The writer role: taken when there is something to commit, and given back when another process waits for it or the
//! store is idle.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, TryLockError, Weak};
use std::thread;
use std::time::Duration;

use nofx_core::{Batch, BatchId, Deadline, Error, Outcome, Result};
use nofx_journal::base::Run;
use redb::{Database, ReadableDatabase, WriteTransaction};

use crate::commit::{GroupApplied, any_remembered, apply, apply_run};
use crate::compaction;
use crate::compression::Effort;
use crate::fault::{Attempt, Cause, Fault, contain};
use crate::feed::Ids;
use crate::file::Turnstile;
use crate::opener::FileWriter;
use crate::pages::Pages;
use crate::store::{OpenStore, WriterTurn, lock};
use crate::tables::{Tables, WriteTable};

/// How often the keeper of a writer checks whether another process wants the role.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// At idle, a log is folded if the bodies in its rows have at least this many bytes; smaller logs wait for more.
const MIN_FOLD_AT_IDLE_BYTES: u64 = 4 << 10;

/// Approximately how many bytes are folded in one transaction.
const SLICE_BYTES: u64 = 1 << 20;

/// When more logs than this wait to be folded, each commit folds a slice of them: a program that fills a store is never
/// idle.
const MAX_UNFOLDED_LOGS: usize = 1 << 13;

/// A larger file is not rewritten when it is compacted.
const MAX_REWRITE_BYTES: u64 = 256 << 20;

/// A larger file is rewritten with its chunks as they are: compressing them densely takes about a second for each
/// megabyte of the file, ten times as long as everything else.
const MAX_DENSE_BYTES: u64 = 8 << 20;

/// A smaller file is not shrunk at idle.
const MIN_SHRINK_BYTES: u64 = 256 << 10;

/// When one part in this many of a file was removed, the file is checked for gaps at idle.
const FREED_FRACTION: u64 = 32;

/// How long shrinking at idle waits for other processes to finish reading. After that it is left to the next idle time.
const SHRINK_WAIT: Duration = Duration::from_millis(500);

impl OpenStore {
    /// Commits a group of valid batches, for a handle that may be closed concurrently.
    pub(crate) fn commit(self: &Arc<Self>, group: Vec<Batch>, closed: &AtomicBool) -> Result<Vec<Outcome>> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut turn = lock(&self.turn);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        // Closing waits for the turn too, so a commit that comes after it finds the handle closed.
        if closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        let ids = group.iter().map(|batch| batch.id).collect();
        let outcomes = self.commit_in_turn(&mut turn, group, ids);
        if outcomes.is_ok() && turn.unfolded.len() > MAX_UNFOLDED_LOGS {
            // A log that cannot be folded now can still be read.
            let _ = self.fold_own(&mut turn, 1, Patience::Slice);
        }
        self.end(&mut turn);
        outcomes
    }

    fn commit_in_turn(&self, turn: &mut WriterTurn, group: Vec<Batch>, ids: Vec<BatchId>) -> Result<Vec<Outcome>> {
        let mut prepared = self.prepare(turn, group.clone());
        if prepared.as_ref().is_err_and(|(fault, _)| fault.is_of_page()) {
            // A read through the same handle may have met the damage, or the damage is in the feed, where it can be
            // skipped.
            _ = self.learn_alone(turn);
            prepared = self.prepare(turn, group);
        }
        let Prepared { writer, transaction, applied } =
            prepared.map_err(|(fault, during)| self.opener.error_for(fault, during))?;
        if !applied.changed {
            return match contain(|| Ok(transaction.abort()?)) {
                Ok(()) => Ok(applied.outcomes),
                Err(fault) => {
                    self.let_go_if_useless(&fault, writer);
                    Err(self.opener.error_for(fault, "reading"))
                }
            };
        }
        let flushed = writer.flushes.done();
        match contain(|| Ok(transaction.commit()?)) {
            Ok(()) => {
                turn.unfolded.extend(applied.unfolded);
                turn.freed += applied.freed;
                let (ids, end) = applied.ids;
                *lock(&self.newest) = applied.newest;
                turn.ids.extend(ids, end);
                Ok(applied.outcomes)
            }
            Err(fault) => {
                turn.ids = Ids::default();
                Err(self.error_of_commit(fault, writer, flushed, &ids))
            }
        }
    }

    /// Applies a group in a transaction that is not committed yet. An error comes with what was being done.
    fn prepare(&self, turn: &mut WriterTurn, group: Vec<Batch>) -> Result<Prepared, (Fault, &'static str)> {
        let writer = self.writer().map_err(|fault| (fault, "opening"))?;
        if let Err(fault) = self.opener.require_own(&writer) {
            self.let_go_if_useless(&fault, writer);
            return Err((fault, "writing to"));
        }
        if turn.ids_of.replace(writer.identity) != Some(writer.identity) {
            turn.ids = Ids::default();
        }
        let applied = contain(|| {
            let transaction = writer.database.begin_write()?;
            let newest = lock(&self.newest).filter(|_| !writer.is_proved.load(Ordering::SeqCst));
            let applied = apply(&transaction, &writer.pages, &mut turn.ids, newest, group)?;
            writer.is_proved.store(true, Ordering::SeqCst);
            Ok((transaction, applied))
        });
        // Nothing derived from a damaged page may be committed.
        let applied = writer.pages.unless_damaged(applied).inspect_err(|_| turn.ids = Ids::default());
        match applied {
            Ok((transaction, applied)) => Ok(Prepared { writer, transaction, applied }),
            Err(fault) => {
                self.let_go_if_useless(&fault, writer);
                Err((fault, "writing to"))
            }
        }
    }

    /// Learns which batches are remembered, through a separate handle and skipping damaged ones: otherwise nothing
    /// could be committed any more.
    fn learn_alone(&self, turn: &mut WriterTurn) -> Attempt<()> {
        let source = self.alone()?;
        turn.ids = contain(|| {
            let tables = Tables::read(&source.begin_read()?, source.pages())?;
            let ends = tables.ends()?;
            tables.trust.require(|| "the newest commit".to_owned())?;
            let mut ids = Ids::default();
            ids.refresh(&tables, &ends)?;
            ids.leaves_past = source.pages().are_spoiled();
            Ok(ids)
        })?;
        turn.ids_of = Some(source.identity());
        Ok(())
    }

    /// Releases a file that can no longer be used, after nothing was committed.
    fn let_go_if_useless(&self, fault: &Fault, writer: FileWriter) {
        let is_usable = writer.pages.are_usable();
        drop(writer);
        if fault.is_stale() || !is_usable {
            self.release();
            lock(&self.opened).reader = None;
        }
    }

    /// Returns the error of a failed commit, which says whether it may have happened.
    fn error_of_commit(&self, fault: Fault, writer: FileWriter, flushed: u64, ids: &[BatchId]) -> Error {
        let may_be_visible = writer.flushes.done() > flushed;
        let flush_failed = writer.flushes.has_failed();
        drop(writer);
        self.release();
        // redb makes a commit visible only after flushing all its content.
        if !may_be_visible && (!flush_failed || fault.is_full()) {
            return self.opener.error_for(fault, "writing to");
        }
        // After a failed flush the system may show what the disk does not have, so reading it proves nothing.
        if !flush_failed && self.has_none(ids).unwrap_or(false) {
            return self.opener.error_for(fault, "writing to");
        }
        Error::unknown_because(format!("committing to `{}`", self.opener.path.display()), Cause(fault))
    }

    fn has_none(&self, ids: &[BatchId]) -> Attempt<bool> {
        let writer = self.writer()?;
        contain(|| Ok(!any_remembered(&Tables::read(&writer.database.begin_read()?, &writer.pages)?, ids)?))
    }

    /// Returns the writer, and takes the role if this process does not have it.
    ///
    /// The caller must have the turn.
    pub(crate) fn writer(&self) -> Attempt<FileWriter> {
        let now = self.opener.identity()?;
        if let Some(writer) = self.open_writer(now).filter(|writer| writer.pages.are_usable()) {
            return Ok(writer);
        }
        self.release();
        // Checks the file before opening it in a way that writes to it.
        self.require_newest(&self.source()?)?;
        let writer = self.opener.writer()?;
        self.require_same(writer.meta)?;
        let mut opened = lock(&self.opened);
        opened.reader = None;
        opened.known = writer.identity;
        opened.writer = Some(writer.clone());
        Ok(writer)
    }

    /// Gives the role back by closing the file for writing, which leaves it clean.
    ///
    /// The caller must have the turn.
    pub(crate) fn release(&self) {
        if let Some(database) = self.take_database() {
            // If it could not be closed cleanly, the next process to open it repairs it.
            let _ = contain(|| Ok(database.close()?));
        }
    }

    /// Takes sole ownership of the database. New reads open the file themselves; those in progress are short.
    pub(crate) fn take_database(&self) -> Option<Database> {
        let mut database = lock(&self.opened).writer.take()?.database;
        loop {
            match Arc::try_unwrap(database) {
                Ok(alone) => return Some(alone),
                Err(shared) => database = shared,
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Stores the part of a journal's run that the file lacks. Durable on return.
    pub(crate) fn apply_run(self: &Arc<Self>, run: &Run) -> Result<()> {
        let mut turn = lock(&self.turn);
        let attempt = |is_blind| self.in_transaction(|transaction, pages| apply_run(transaction, pages, run, is_blind));
        let applied = match attempt(false) {
            // The damage may be in what is only tidied up.
            Err(fault) if fault.is_of_page() => attempt(true),
            applied => applied,
        };
        if let Ok(applied) = &applied {
            turn.unfolded.extend(applied.unfolded.iter().cloned());
            turn.freed += applied.freed;
            if turn.unfolded.len() > MAX_UNFOLDED_LOGS {
                // What cannot be folded now can be read as it is.
                let _ = self.fold_own(&mut turn, 1, Patience::Slice);
            }
        }
        self.end(&mut turn);
        applied.map(drop).map_err(|fault| self.opener.error_for(fault, "writing to"))
    }

    /// Runs a transaction of the store's own.
    fn in_transaction<T>(&self, act: impl FnOnce(&WriteTransaction, &Arc<Pages>) -> Attempt<T>) -> Attempt<T> {
        let writer = self.writer()?;
        if let Err(fault) = self.opener.require_own(&writer) {
            self.let_go_if_useless(&fault, writer);
            return Err(fault);
        }
        let done = contain(|| {
            let transaction = writer.database.begin_write()?;
            let done = act(&transaction, &writer.pages)?;
            writer.pages.unless_damaged(Ok(()))?;
            transaction.commit()?;
            Ok(done)
        });
        let done = writer.pages.unless_damaged(done);
        drop(writer);
        done.inspect_err(|_| self.release())
    }

    /// Folds logs in transactions of bounded size. `next` folds some and returns whether there is more.
    pub(crate) fn fold_while(&self, mut next: impl FnMut(&mut Tables<WriteTable<'_>>) -> Attempt<bool>) -> Attempt<()> {
        while self.in_transaction(|transaction, pages| next(&mut Tables::write(transaction, pages)?))? {}
        Ok(())
    }

    /// Folds what this process left in rows, except logs with fewer than `least` bytes there.
    fn fold_own(&self, turn: &mut WriterTurn, least: u64, patience: Patience) -> Attempt<()> {
        if turn.unfolded.is_empty() {
            return Ok(());
        }
        let mut after = None;
        let folded = self.fold_while(|tables| {
            let mut folded = 0;
            while folded < SLICE_BYTES {
                let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let next = turn.unfolded.range::<Vec<u8>, _>((from, Bound::Unbounded)).next().cloned();
                let Some(name) = next else { return Ok(false) };
                let bytes = tables.fold_named(&name, least)?;
                folded += bytes;
                // A log that has no rows, or that cannot be folded, need not wait any more than a folded one.
                if bytes > 0 || least <= 1 {
                    turn.unfolded.remove(&name);
                }
                after = Some(name);
            }
            Ok(match patience {
                Patience::Slice => false,
                Patience::UntilWanted => !self.is_wanted(),
                Patience::All => true,
            })
        });
        // A log that cannot be folded must not block the others each time.
        folded.inspect_err(|_| turn.unfolded.clear())
    }

    fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0 || Turnstile::is_taken(&self.opener.path)
    }

    /// Waits for commits in flight, folds what this process left in rows, and releases the file. Does nothing if this
    /// process wrote nothing.
    pub(crate) fn let_go(&self) {
        let mut turn = lock(&self.turn);
        // What stays in rows can be read; the next process that appends to those logs folds them.
        let _ = self.fold_own(&mut turn, 1, Patience::All);
        turn.unfolded.clear();
        turn.ids = Ids::default();
        self.release();
        lock(&self.opened).reader = None;
    }

    /// Returns to the file system what this process has freed, if that is much.
    fn shrink_at_idle(&self, turn: &mut WriterTurn) {
        let length = self.length().unwrap_or(0);
        if !removed_much(turn, length) {
            return;
        }
        // What the last commit freed can be used from the next one on.
        let Ok(used) = self.in_transaction(|_, _| Ok(())).and_then(|()| self.used()) else { return };
        if used * 6 / 5 >= length {
            // The freed space is in use again, or becomes free with the next removals: check again after half as much.
            turn.freed /= 2;
        } else if self.shrink(SHRINK_WAIT).is_ok() {
            turn.freed = 0;
        }
        turn.looked_at = self.length().unwrap_or(0);
    }

    fn length(&self) -> Attempt<u64> {
        Ok(std::fs::metadata(&self.opener.path)?.len())
    }

    /// Folds everything and returns free pages to the file system.
    pub(crate) fn compact(&self) -> Result<()> {
        let mut turn = lock(&self.turn);
        let compacted = self.compact_in_turn(&mut turn);
        self.release();
        compacted.map_err(|fault| self.opener.error_for(fault, "compacting"))
    }

    /// Returns free pages to the file system.
    pub(crate) fn give_back(&self) -> Result<()> {
        let mut turn = lock(&self.turn);
        // Otherwise closing would fold what is left in rows, and leave gaps again.
        let folded = self.fold_own(&mut turn, 1, Patience::All);
        // What the last commit freed can be used from the next one on.
        let freed = folded.and_then(|()| self.in_transaction(|_, _| Ok(())));
        let given = freed.and_then(|()| self.shrink(self.opener.options.lock_wait));
        turn.freed = 0;
        self.release();
        given.map_err(|fault| self.opener.error_for(fault, "compacting"))
    }

    pub(crate) fn is_too_large_to_rewrite(&self) -> bool {
        self.length().is_ok_and(|length| length > MAX_REWRITE_BYTES)
    }

    fn compact_in_turn(&self, turn: &mut WriterTurn) -> Attempt<()> {
        let mut after = None;
        self.fold_while(|tables| {
            after = tables.fold_some(after.take(), SLICE_BYTES)?;
            Ok(after.is_some())
        })?;
        turn.unfolded.clear();
        turn.freed = 0;
        let length = self.length()?;
        if length <= MAX_REWRITE_BYTES {
            let effort = if length <= MAX_DENSE_BYTES { Effort::Dense } else { Effort::Quick };
            for table in compaction::COPIED {
                self.in_transaction(|transaction, _| compaction::copy(transaction, table))?;
            }
            self.in_transaction(|transaction, _| compaction::condense(transaction, effort))?;
        }
        self.shrink(self.opener.options.lock_wait)
    }

    /// Moves pages into the gaps before them, truncates the file, and gives the role back. Waits at most `wait` for
    /// other processes to finish reading.
    fn shrink(&self, wait: Duration) -> Attempt<()> {
        // redb moves pages according to their content, whatever that is.
        if let Some(page) = self.damaged_pages()?.into_iter().find(|page| page.hides) {
            return Err(Fault::Page { offset: page.at, what: None });
        }
        let deadline = Deadline::after(wait);
        let Some(mut database) = self.take_database() else { return Ok(()) };
        loop {
            match contain(|| Ok(database.compact()?)) {
                Err(Fault::Redb(redb::Error::TransactionInProgress)) if !deadline.has_passed() => {
                    thread::sleep(LOOK_INTERVAL)
                }
                Err(fault) => return Err(fault),
                Ok(_) => return contain(|| Ok(database.close()?)),
            }
        }
    }

    /// Returns how many bytes of the file are pages in use. Reads all of it.
    fn used(&self) -> Attempt<u64> {
        let writer = self.writer()?;
        contain(|| {
            let transaction = writer.database.begin_write()?;
            let stats = transaction.stats()?;
            transaction.abort()?;
            Ok(stats.allocated_pages() * stats.page_size() as u64)
        })
    }

    /// Waits for commits in flight.
    pub(crate) fn wait_for_commits(&self) {
        drop(lock(&self.turn));
    }

    /// Ends a turn: gives the role back now if another process waits for it, otherwise soon.
    fn end(self: &Arc<Self>, turn: &mut WriterTurn) {
        turn.idle = Deadline::after(self.opener.options.idle);
        if Turnstile::is_taken(&self.opener.path) {
            self.release();
        } else {
            self.keep(turn);
        }
    }

    /// Starts a keeper: a thread that gives the role back once it is idle or another process waits.
    fn keep(self: &Arc<Self>, turn: &mut WriterTurn) {
        if turn.kept || lock(&self.opened).writer.is_none() {
            return;
        }
        let shared = Arc::downgrade(self);
        // Without a keeper the role is given back at close, or at the end of a group if another process waits.
        turn.kept = thread::Builder::new().name("nofx-redb-idle".into()).spawn(move || keep(&shared)).is_ok();
    }
}

/// How long to continue folding logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// For one transaction of bounded size.
    Slice,
    /// Until another caller or process waits for the turn.
    UntilWanted,
    /// Until all are folded.
    All,
}

/// A group that was applied in a transaction that is not committed yet.
struct Prepared {
    writer: FileWriter,
    transaction: WriteTransaction,
    applied: GroupApplied,
}

/// Returns whether so much was removed that there may be gaps worth closing.
///
/// A file that was shrunk grows in large steps, even by the commits of a few more removals; after such a step little is
/// enough.
fn removed_much(turn: &WriterTurn, length: u64) -> bool {
    let has_leapt = turn.freed > 0 && turn.looked_at > 0 && length > turn.looked_at * 3 / 2;
    length >= MIN_SHRINK_BYTES && (has_leapt || turn.freed.saturating_mul(FREED_FRACTION) >= length)
}

fn keep(shared: &Weak<OpenStore>) {
    loop {
        thread::sleep(LOOK_INTERVAL);
        let Some(shared) = shared.upgrade() else { return };
        let mut turn = match shared.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => continue,
        };
        if lock(&shared.opened).writer.is_none() {
            turn.kept = false;
            return;
        }
        let wanted = Turnstile::is_taken(&shared.opener.path);
        if !wanted && !turn.idle.has_passed() {
            continue;
        }
        if !wanted {
            // A log that cannot be folded now can still be read, and is folded another time.
            let _ = shared.fold_own(&mut turn, MIN_FOLD_AT_IDLE_BYTES, Patience::UntilWanted);
            // Commits to a journal read the file too, and would have to wait.
            if !shared.has_journal {
                shared.shrink_at_idle(&mut turn);
            }
        }
        shared.release();
        turn.kept = false;
        return;
    }
}

#[cfg(test)]
mod tests {
    use nofx_core::{Body, Kind, LogKey, LogQuery, NewEntry, PersistenceBackend, Sources, Timestamp};

    use super::*;
    use crate::{Options, RedbBackend};

    #[tokio::test]
    async fn logs_that_wait_to_be_folded_do_not_become_more_and_more_while_a_store_is_filled() {
        const TOGETHER: usize = 500;
        let folder = tempfile::tempdir().unwrap();
        // The store is never idle.
        let options = Options { idle: Duration::from_secs(3600), ..Options::default() };
        let backend = RedbBackend::open_with(&folder.path().join("store.redb"), options).await.unwrap();
        let sources = Sources::default();
        let log = |number: usize| LogKey::new(Kind::of("history"), format!("log-{number:06}")).unwrap();
        let entry = || NewEntry { at: Timestamp::from_millis(0), body: Body::trusted("{\"said\":\"something\"}") };
        let logs = MAX_UNFOLDED_LOGS * 2;
        for from in (0..logs).step_by(TOGETHER) {
            let batch = Batch::new(sources.batch_id());
            let batch = (from..from + TOGETHER).fold(batch, |batch, number| batch.append(log(number), vec![entry()]));
            backend.commit(vec![batch]).await.unwrap();
            let waiting = lock(&backend.shared.turn).unfolded.len();
            assert!(waiting <= MAX_UNFOLDED_LOGS + TOGETHER, "{waiting} after {from}");
        }
        for number in [0, 1, logs / 2, logs - 1] {
            let page = PersistenceBackend::read(&backend, &LogQuery::oldest_first(log(number), 10)).await.unwrap();
            assert_eq!(page.items.len(), 1, "log {number}");
        }
        backend.close().await.unwrap();
    }
}
