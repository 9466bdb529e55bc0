//! What the journal requires of a base, the place where commits are finally stored.
//!
//! A base knows nothing about processes, locks, groups or expectations. It is brought up to date in [runs](Run), by one
//! process at a time, and each read sees it at a single point in time.

use std::fmt::Debug;
use std::ops::Range;

use nofx_core::{
    BatchId, Direction, Error, LogEntry, LogHead, LogKey, LogScan, Record, RecordKey, Result, ScanQuery, Seq,
};

use crate::codec::{Commit, Remembered};
use crate::segment::Position;

/// The place where commits are finally stored.
pub trait Base: Debug + Send + Sync {
    /// Returns the current state of the base. Writes nothing, and waits for no lock of the journal.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>>;

    /// Takes in a run, all of it or nothing. Durable on return, including what it did not have to write because an
    /// earlier call did.
    ///
    /// Frames up to the mark that the base finds inside its own transaction are skipped: after a crash the same run, or
    /// one that begins earlier or ends later, gives the same result. A run that begins beyond the mark is `Corrupt`,
    /// and changes nothing. After a failed flush, everything that it should have made durable is written again: the
    /// system may show what the disk lacks.
    ///
    /// The same transaction records whether the base is [complete](Run::completes). An empty run only records that.
    ///
    /// If the marks of a run skip numbers, commits were given up: a log then continues at the position that the next
    /// commit gives, and what is missing before it cannot be read.
    ///
    /// Called by one process at a time, the holder of the apply lock.
    fn apply(&self, run: &Run) -> Result<()>;

    /// Returns whether the base can be read although its journal is missing, or is that of another store. It then
    /// answers with what it holds, and what the journal is known to have held beyond that is doubtful; nothing is
    /// committed until the journal is repaired. Otherwise every answer is `Corrupt`.
    fn is_readable_alone(&self) -> bool {
        false
    }

    /// Returns whether commits fail with this error of [`apply`](Self::apply), because the base can take in nothing
    /// any more. Otherwise they go on until the journal holds too much that the base lacks.
    fn stops_commits(&self, error: &Error) -> bool {
        matches!(error, Error::Corrupt(_))
    }
}

/// A base at a single point in time.
pub trait Snapshot {
    /// Returns how much of what was committed it holds.
    fn mark(&self) -> Mark;
    /// Returns the version of a record, without loading its body.
    fn version(&self, key: &RecordKey) -> Result<Option<Seq>, SnapshotError>;
    /// Returns whether a record whose version cannot be read can be overwritten all the same, because applying a commit
    /// reads nothing of it.
    fn overwrites_damage(&self) -> bool {
        false
    }
    /// Returns a record.
    fn record(&self, key: &RecordKey) -> Result<Option<Record>, SnapshotError>;
    /// Returns the keys of the records that a query finds, in its direction, ignoring its limit, each with the record
    /// if it is at hand. The bodies of the others are loaded as an answer needs them.
    fn records<'a>(&'a self, query: &'a ScanQuery) -> Rows<'a, (RecordKey, Option<Record>)>;
    /// Returns the head of a log, even of a removed one; `None` if it never existed.
    fn head(&self, log: &LogKey) -> Result<Option<LogHead>, SnapshotError>;
    /// Returns the heads of the logs that a query finds, in its direction, ignoring its limit. Removed logs are not
    /// included.
    fn heads<'a>(&'a self, query: &'a LogScan) -> Rows<'a, LogHead>;
    /// Returns the entries of a log at some positions, all of which exist.
    fn entries<'a>(&'a self, log: &'a LogKey, range: Range<u64>, direction: Direction) -> Rows<'a, LogEntry>;
    /// Fails if damage affects what applying a commit to these logs reads or changes, beyond what was read to judge it.
    /// Later damage may still keep the base from taking a run in.
    fn can_take(&self, _logs: &[&LogKey]) -> Result<(), SnapshotError> {
        Ok(())
    }
    /// Returns the commit of a batch, if it is remembered.
    fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>, SnapshotError>;
    /// Returns the commits from a number on, counted from zero; `None` if not all of them are remembered.
    fn commits(&self, from: u64) -> Result<Option<Rows<'_, Remembered>>, SnapshotError>;
}

/// Items that a snapshot yields one by one, so that only as much is read as an answer needs.
pub type Rows<'a, T> = Box<dyn Iterator<Item = Result<T, SnapshotError>> + 'a>;

/// Why a snapshot cannot answer.
#[derive(Debug)]
pub enum SnapshotError {
    /// The base no longer shows what it showed when the snapshot was taken, because its files change in place.
    Moved,
    /// An item is not what the snapshot lists: it was changed since, or it is damaged. This error describes the damage,
    /// and is the answer if nothing was committed or applied in between.
    Differs(Error),
    /// It cannot be read.
    Failed(Error),
}

impl From<Error> for SnapshotError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// How much of what was committed a base holds: everything up to one frame, and nothing after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The number of the frame.
    pub frame: u64,
    /// Its checksum.
    pub chain: u32,
    /// How many batches were committed up to it.
    pub commits: u64,
    /// The last version that was assigned up to it.
    pub last_seq: Option<Seq>,
    /// Whether the base says that it holds everything that was ever committed. Then it is a whole store without its journal.
    pub is_complete: bool,
}

impl Mark {
    /// Returns the mark after a group that follows this mark.
    #[must_use]
    pub fn after(&self, commits: &[Commit], after: &Position) -> Self {
        let last_seq = commits.iter().map(|commit| commit.seq).max().flatten().max(self.last_seq);
        Self { frame: after.frame, chain: after.chain, commits: after.commits, last_seq, is_complete: false }
    }
}

/// Consecutive frames of the journal, for a base to take in.
#[derive(Clone, Debug)]
pub struct Run {
    /// The mark after which it begins.
    pub after: Mark,
    /// The groups, each with the mark after it.
    pub groups: Vec<(Mark, Vec<Commit>)>,
    /// Whether this run brings the base to the end of the journal while no other process can commit. The base is then
    /// complete until it takes in a run that does not say so.
    pub completes: bool,
}

impl Run {
    /// Returns the mark of a base that has taken it in.
    pub fn until(&self) -> Mark {
        self.groups.last().map_or(self.after, |(mark, _)| *mark)
    }

    /// Returns the groups that a base with this mark lacks, in order. `Corrupt` if there is a gap before them.
    pub fn beyond(&self, mark: &Mark) -> Result<impl Iterator<Item = &(Mark, Vec<Commit>)>> {
        if self.after.frame > mark.frame {
            let (from, to) = (mark.frame + 1, self.after.frame);
            return Err(Error::corrupt(format!("the store: the base lacks frames {from} to {to} of the journal")));
        }
        let frame = mark.frame;
        Ok(self.groups.iter().filter(move |(mark, _)| mark.frame > frame))
    }
}
