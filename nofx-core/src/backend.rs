//! The narrow waist: everything that a store needs of the place it is kept in.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::batch::{Batch, Outcome};
use crate::error::Result;
use crate::key::{LogKey, RecordKey};
use crate::query::{Changes, LogQuery, LogScan, Page, ScanQuery};
use crate::record::{BackendInfo, Cursor, LogEntry, LogHead, Record};

/// A place that keeps records, logs and numbered commits.
///
/// This is for those who write backends; callers use [`Store`](crate::Store). A backend knows no entity: it keeps kinds it
/// has never heard of. `nofx-testkit` has a case for each sentence below; a backend that passes its suite is one.
///
/// # What it holds
///
/// - **Records**: small, replaced whole. A record's version is the [`Seq`](crate::Seq) of the commit that last wrote it.
/// - **Logs**: entries that are only ever appended, at dense positions from zero. A log can be sealed, after which it takes
///   no entries, and removed, after which it holds nothing and its id is never used again.
/// - **Commits**: the only way in which anything changes.
///
/// # Commits
///
/// - A batch happens entirely or not at all; the batches of a group happen in their order, each judged on what those before
///   it left. Each batch of a group has its own outcome: one that conflicts does not keep its neighbours from happening.
/// - A committed batch that writes or deletes records gets the next number of its store, rising by one and never used
///   again. Other batches get none. Deleting a record also takes a number; a record written again has a higher version.
/// - Everything that a batch expects is judged by [`Batch::check`] and by nothing else. A conflict is an outcome, not an
///   error, and leaves no trace.
/// - A batch carries an id. If the store remembers having committed that id, whether in an earlier group or in this one, the
///   first outcome is answered again and nothing happens. It remembers at least the last
///   [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS), also after it was closed and opened. Conflicts are not
///   remembered: such a batch is judged anew.
/// - When `commit` returns outcomes, every committed batch is as durable as [`BackendInfo::durability`] says.
/// - When `commit` returns an error, no batch of the group is known to have happened. [`Unknown`](crate::Error::Unknown)
///   means that all, some or none may have: committing the same batches again settles it. Every other error means that
///   none has.
/// - A batch that changes nothing, of guards alone for example, is judged, remembered and told like any other.
/// - A commit that has begun, that is, whose future was polled, ends, whoever stops waiting for it.
///
/// # Reads
///
/// - A read sees every commit that was acknowledged before it began, by whichever handle or process shares the store.
/// - A read never sees a part of a batch. All of one `get` or `heads`, and each page of `scan` and `read`, is one moment of
///   the store.
///   The heads of `logs` may be of different moments, each at least as new as the beginning of the call.
/// - Bodies come back byte for byte.
/// - What does not exist is `None`, an empty page, or a head of length zero; never an error.
/// - Damage is [`Corrupt`](crate::Error::Corrupt), naming the thing; everything else stays readable, and nothing damaged
///   is ever overwritten. A backend that keeps bytes notices each flipped byte and each cut of what a read depends on; only the
///   newest commit may be missing without a word, if it was torn and nothing else speaks of it.
///
/// # Between calls
///
/// Nothing is held: no transaction, no cursor, no open stream. A handle that is left alone costs nothing. Waiting for
/// another process ends within 30 seconds, in [`Locked`](crate::Error::Locked), which names it where that can be known.
///
/// # Files
///
/// What a backend creates on a disk is private: only its owner reads and writes it, whatever the process allows by default.
///
/// # Threads
///
/// Any number of calls may be made at once from any thread, with or without a tokio runtime. `commit` may block the thread that polls it until the disk has
/// answered, because [`Store`](crate::Store) gives it a thread of its own or, while commits are quick, one of several. The other
/// calls do not block for I/O when they are made in a tokio runtime: [`blocking`](crate::blocking) sees to that. There are no default bodies: when this trait grows, every
/// decorator must decide.
#[async_trait]
pub trait PersistenceBackend: Debug + Send + Sync + 'static {
    /// Returns what this backend is and can take. Costs no I/O and works on a closed handle.
    fn info(&self) -> BackendInfo;

    /// Returns each record that is asked for, in that order; `None` for one that does not exist.
    ///
    /// All of them as of one moment.
    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>>;

    /// Returns records in the order of their keys.
    ///
    /// `Invalid` for a question that fails [`ScanQuery::validate`]. Asking again after the last item of a page continues
    /// it: what exists throughout is found exactly once.
    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>>;

    /// Returns the head of each log that is asked for, in that order.
    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>>;

    /// Returns the heads of open and sealed logs in the order of their keys, paged as `scan` is.
    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>>;

    /// Returns entries of one log in the order of their positions.
    ///
    /// `Invalid` for a question that fails [`LogQuery::validate`].
    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>>;

    /// Returns at most `limit` commits after a cursor, in an order that fits every record and every log.
    ///
    /// Each commit is found once by whoever follows [`ChangePage::next`](crate::ChangePage::next), whether it was made by
    /// this process or by another. `None` asks from the oldest commit that is remembered, and answers `Gap` if there were
    /// older ones. A cursor stays good for at least [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS) commits;
    /// later, or for the cursor of another store, the answer is `Gap`. For the cursor of another backend it is `Gap` or `Invalid`;
    /// `Invalid` for text that never was a cursor. Commits without a number are found too. With a
    /// limit of zero it answers where the feed ends.
    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes>;

    /// Applies each batch in order, each all or nothing, all durable on return. The only write.
    ///
    /// Every batch is validated before any is applied; `Invalid` names the first bad one. An empty group is no work.
    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>>;

    /// Waits for commits in flight and lets go of the store. Closing again is no error; any other call then answers
    /// [`Closed`](crate::Error::Closed), a bad question too. Other handles of the store stay open.
    async fn close(&self) -> Result<()>;
}
