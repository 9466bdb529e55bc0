//! The narrow waist: everything that a store needs from the place where it is kept.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::batch::{Batch, Outcome};
use crate::error::Result;
use crate::key::{LogKey, RecordKey};
use crate::query::{Changes, LogQuery, LogScan, Page, ScanQuery};
use crate::record::{BackendInfo, Cursor, LogEntry, LogHead, Record};

/// A place that keeps records, logs and numbered commits.
///
/// This is for backend authors; callers use [`Store`](crate::Store). A backend knows no entities: it stores kinds it
/// has never heard of. `nofx-testkit` has a case for each sentence below that it can test from outside; an implementation
/// that passes its suite is a backend.
///
/// ```
/// use nofx_core::{
///     Batch, BatchId, Body, Error, Expect, Kind, MemoryBackend, Outcome, PersistenceBackend, RecordKey,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> nofx_core::Result<()> {
/// let backend = MemoryBackend::new();
/// let key = RecordKey::new(Kind::of("note"), "today")?;
/// let write = |id: u8, text: &str| -> nofx_core::Result<Batch> {
///     Ok(Batch::new(BatchId::from_bytes([id; 16])).put(key.clone(), Expect::Absent, Body::parse(text)?))
/// };
///
/// // The batches of a group are judged in order: the second finds the record that the first has written.
/// let outcomes = backend.commit(vec![write(1, r#""first""#)?, write(2, r#""second""#)?]).await?;
/// assert!(matches!(outcomes[..], [Outcome::Committed(_), Outcome::Conflicted(_)]));
///
/// // A batch that is committed again, for example after `Unknown`, gets its first outcome.
/// assert_eq!(backend.commit(vec![write(1, r#""first""#)?]).await?, outcomes[..1]);
///
/// let found = backend.get(&[key.clone()]).await?;
/// assert_eq!(found[0].as_ref().unwrap().body.as_str(), r#""first""#);
///
/// backend.close().await?;
/// assert!(matches!(backend.get(&[key]).await, Err(Error::Closed)));
/// # Ok(()) }
/// ```
///
/// # What it holds
///
/// - **Records**: small, replaced whole. A record's version is the [`Seq`](crate::Seq) of the commit that last wrote
///   it.
/// - **Logs**: append-only entries at dense positions from zero. A log can be sealed, after which it takes no more
///   entries, and removed, after which it is empty and its id is never used again.
/// - **Commits**: the only way in which anything changes.
///
/// # Commits
///
/// - A batch happens entirely or not at all. The batches of a group happen in order, each judged on the state that the
///   batches before it left. Each batch of a group has its own outcome: one that conflicts does not stop its
///   neighbours.
/// - A committed batch that writes or deletes records gets the next [`Seq`](crate::Seq). Seqs rise by one and are
///   never used again. Other batches get none. Deleting a record also takes a seq, so a record that is written again
///   has a higher version.
/// - Everything that a batch expects is judged by [`Batch::check`] and by nothing else. A conflict is an outcome, not
///   an error, and leaves no trace.
/// - A batch carries an id. If the store remembers having committed that id, in an earlier group or in this one, it
///   returns the first outcome again and nothing happens. It remembers at least the last
///   [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS), including across close and open. Conflicts are not remembered:
///   such a batch is judged again.
/// - A batch that changes nothing, for example one of guards alone, is judged, remembered and reported like any other.
///
/// # Durability
///
/// When `commit` returns outcomes, every committed batch is as durable as [`BackendInfo::durability`] says.
///
/// # Errors
///
/// - [`Unknown`](crate::Error::Unknown) from `commit`: all, some or none of the group may have happened; committing the
///   same batches again settles it. With any other error, none has happened.
/// - What does not exist is `None`, an empty page, or a head of length zero; never an error.
/// - Damage is [`Corrupt`](crate::Error::Corrupt), naming the damaged item; everything else stays readable, and nothing
///   damaged is ever overwritten. A backend that stores bytes notices each flipped byte and each cut in what a read
///   depends on; only the newest commit may be missing silently, if it was torn and nothing else refers to it.
/// - A handle whose store was removed answers [`Gone`](crate::Error::Gone), and one whose store was replaced by another
///   [`Replaced`](crate::Error::Replaced); it never goes on with the other one.
///
/// # Cancellation
///
/// Once a commit has begun, that is, once its future was polled, it runs to its end even if the caller stops waiting: a
/// backend that waits inside `commit` hands the work to something that outlives the future.
///
/// # Panics
///
/// A backend returns its failures as errors. If its `commit` panics, [`Store`](crate::Store) accepts no more commits.
///
/// # Reads
///
/// - A read sees every commit that was acknowledged before it began, through any handle or process that shares the
///   store.
/// - A read never sees part of a batch. One `get` or `heads` call, and each page of `scan` and `read`, reflects the
///   store at a single point in time. The heads of `logs` may be from different points in time, each at least as new as
///   the start of the call.
/// - Bodies come back byte for byte.
/// - A page ends before an item that is damaged, and a page that would begin with it is `Corrupt`, with the same error
///   each time: so everything before and after it can be listed. Where it is unknown which items are damaged, a list has
///   every other item and ends in `Corrupt`.
/// - A handle that commits nothing leaves every file of the store as it is, so a store on a read-only disk can be read.
///
/// # Between calls
///
/// Nothing is held: no transaction, no cursor, no open stream. An idle handle costs nothing. Waiting for another
/// process ends within 30 seconds, in [`Locked`](crate::Error::Locked), which names that process where it can be known.
///
/// # Files
///
/// What a backend creates on a disk is private: only its owner can read and write it, whatever the process's default
/// permissions are.
///
/// # Threads
///
/// Any number of calls may run concurrently, from any thread, with or without a tokio runtime. `commit` may block the
/// thread that polls it until the disk has answered, because [`Store`](crate::Store) gives it a thread of its own or,
/// while commits are quick, a worker thread of a runtime. Reads of a local disk may block a worker thread as well.
/// One worker thread of each runtime always stays free, and a runtime with a single thread is never blocked:
/// [`reading`](crate::reading) sees to that, and [`blocking`](crate::blocking) for calls that wait for anything else.
/// There are no default bodies: when this trait grows, every decorator must decide.
#[async_trait]
pub trait PersistenceBackend: Debug + Send + Sync + 'static {
    /// Returns what this backend is and what it can take. Does no I/O and works on a closed handle.
    fn info(&self) -> BackendInfo;

    /// Returns each requested record, in the order of `keys`; `None` for one that does not exist.
    ///
    /// All of them are from one point in time.
    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>>;

    /// Returns records in key order.
    ///
    /// `Invalid` for a query that fails [`ScanQuery::validate`]. To continue, ask again after the last item of a page:
    /// a record that exists throughout is found exactly once.
    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>>;

    /// Returns the head of each requested log, in the order of `logs`.
    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>>;

    /// Returns the heads of open and sealed logs in key order, paged like `scan`.
    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>>;

    /// Returns entries of one log in position order.
    ///
    /// `Invalid` for a query that fails [`LogQuery::validate`].
    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>>;

    /// Returns at most `limit` commits after a cursor, in an order that is consistent with every record and every log.
    ///
    /// A caller that follows [`ChangePage::next`](crate::ChangePage::next) finds each commit once, whether this process
    /// or another made it. `None` starts at the oldest commit that is remembered, and answers `Gap` if there were older
    /// ones. A cursor stays valid for at least [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS) commits; after that,
    /// or for a cursor of another store, the answer is `Gap`. A cursor of another backend gets `Gap` or `Invalid`; text
    /// that never was a cursor gets `Invalid`. Commits without a seq are found too. With a limit of zero the answer
    /// says where the feed ends.
    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes>;

    /// Applies each batch in order, each all or nothing, all durable on return. The only write.
    ///
    /// Every batch is validated before any is applied; `Invalid` names the first bad one. An empty group does nothing.
    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>>;

    /// Waits for commits in flight and releases the store. Closing again is no error; any other call then returns
    /// [`Closed`](crate::Error::Closed), even if its query is invalid. Other handles of the store stay open.
    async fn close(&self) -> Result<()>;
}
