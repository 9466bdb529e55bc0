//! A batch of changes that happen together or not at all, and its outcome.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use crate::body::Body;
use crate::error::{Error, Result};
use crate::ids::BatchId;
use crate::key::{LogKey, RecordKey};
use crate::record::{Change, Limits, LogHead, LogState, Seq};
use crate::time::Timestamp;

/// The changes that one caller wants, all or nothing.
///
/// Everything that a batch expects is judged on the state before the batch. Its parts may be in any order. It names a
/// record at most once among its writes, and a log at most once among its appends. One batch may append to a log and
/// seal it, but a batch that removes a log may do neither.
///
/// ```
/// # use nofx_core::{Body, Expect, Guard, Kind, LogKey, MemoryBackend, NewEntry, Outcome, RecordKey, Store};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let store = Store::new(std::sync::Arc::new(MemoryBackend::new()));
/// let (inbox, status) = (LogKey::new(Kind::of("inbox"), "ada")?, RecordKey::new(Kind::of("status"), "ada")?);
/// let letter = NewEntry { at: store.sources().now(), body: Body::parse(r#"{"from":"ben"}"#)? };
///
/// // Both happen or neither does.
/// let batch = store
///     .batch()
///     .append_at(inbox.clone(), 0, vec![letter])
///     .put(status.clone(), Expect::Absent, Body::parse(r#"{"unread":1}"#)?);
/// let Outcome::Committed(done) = store.commit(batch).await? else { panic!("the store was not empty") };
/// assert_eq!(done.appended, [0..1]);
///
/// // A batch whose expectation fails changes nothing and says what it found.
/// let stale = store.batch().put(status.clone(), Expect::Absent, Body::parse(r#"{"unread":1}"#)?);
/// let Outcome::Conflicted(conflict) = store.commit(stale).await? else { panic!("it was committed") };
/// assert_eq!(conflict.to_string(), "conflict: status/ada already exists");
///
/// // A record's version is the number of the commit that wrote it. A guard expects something that stays as it is.
/// let read = store
///     .batch()
///     .put(status, Expect::At(done.seq.unwrap()), Body::parse(r#"{"unread":0}"#)?)
///     .guard(Guard::Length { log: inbox, length: 1 });
/// store.commit(read).await?.committed()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Identifies this batch. While the store remembers it, which includes at least the last
    /// [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS), committing it again returns the first outcome and changes
    /// nothing.
    pub id: BatchId,
    /// Records to write or delete.
    pub writes: Vec<Write>,
    /// Entries to append.
    pub appends: Vec<Append>,
    /// Logs to seal. Sealing a sealed log changes nothing; sealing a missing one creates an empty sealed log.
    pub seals: Vec<LogKey>,
    /// Logs to remove for good, with all their entries: their ids are never used again.
    pub removals: Vec<LogKey>,
    /// Further expectations.
    pub guards: Vec<Guard>,
}

/// A record to write or delete.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Which record.
    pub key: RecordKey,
    /// What must be there beforehand.
    pub expect: Expect,
    /// The new content; `None` deletes the record. Deleting a missing record is no error.
    pub body: Option<Body>,
}

/// Entries to append to a log. The first entry creates the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// Which log.
    pub log: LogKey,
    /// How many entries it must have beforehand, if that matters.
    pub expect: Option<u64>,
    /// The entries, at least one.
    pub entries: Vec<NewEntry>,
}

/// An entry that does not have a position yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// When it happened, according to the writer's clock.
    pub at: Timestamp,
    /// Its content.
    pub body: Body,
}

/// What a batch expects of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// That it does not exist.
    Absent,
    /// That it was last written by this commit.
    At(Seq),
}

/// An expectation about something, usually about something that the batch does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// About a record.
    Record {
        /// Which record.
        key: RecordKey,
        /// What must be there.
        expect: Expect,
    },
    /// About the number of entries in a log; a log that does not exist has none.
    Length {
        /// Which log.
        log: LogKey,
        /// How many entries it must have.
        length: u64,
    },
}

/// The outcome of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened and is durable.
    Committed(Committed),
    /// It did not happen.
    Conflicted(Conflict),
}

/// What a committed batch received: its seq and the positions of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The seq of the commit, if the batch wrote or deleted records.
    pub seq: Option<Seq>,
    /// The positions of the new entries, for each append in the order of the batch.
    pub appended: Vec<Range<u64>>,
}

/// Why a batch did not happen: every expectation that failed, with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The batch.
    pub batch: BatchId,
    /// At least one.
    pub mismatches: Vec<Mismatch>,
}

/// An expectation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// A record is not what was expected.
    Record {
        /// Which record.
        key: RecordKey,
        /// What was expected.
        expected: Expect,
        /// Its version, or `None` if it does not exist.
        found: Option<Seq>,
    },
    /// A log has a different number of entries.
    Length {
        /// Which log.
        log: LogKey,
        /// What was expected.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The batch appends to a sealed log.
    Sealed {
        /// Which log.
        log: LogKey,
    },
    /// The batch appends to or seals a log that was removed.
    Removed {
        /// Which log.
        log: LogKey,
    },
}

/// What [`Batch::check`] asks a backend, about the state just before the batch.
pub trait View {
    /// Returns the version of a record, or `None` if it does not exist.
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>>;
    /// Returns the head of a log; one that does not exist is open and empty.
    fn head(&mut self, log: &LogKey) -> Result<LogHead>;
}

impl Batch {
    /// Creates a batch that does nothing yet.
    pub fn new(id: BatchId) -> Self {
        Self {
            id,
            writes: Vec::new(),
            appends: Vec::new(),
            seals: Vec::new(),
            removals: Vec::new(),
            guards: Vec::new(),
        }
    }

    /// Adds a write of a record.
    pub fn put(mut self, key: RecordKey, expect: Expect, body: Body) -> Self {
        self.writes.push(Write { key, expect, body: Some(body) });
        self
    }

    /// Adds the deletion of a record.
    pub fn delete(mut self, key: RecordKey, expect: Expect) -> Self {
        self.writes.push(Write { key, expect, body: None });
        self
    }

    /// Adds entries at the end of a log of any length.
    pub fn append(mut self, log: LogKey, entries: Vec<NewEntry>) -> Self {
        self.appends.push(Append { log, expect: None, entries });
        self
    }

    /// Adds entries at the end of a log that must have `length` entries beforehand.
    pub fn append_at(mut self, log: LogKey, length: u64, entries: Vec<NewEntry>) -> Self {
        self.appends.push(Append { log, expect: Some(length), entries });
        self
    }

    /// Adds the sealing of a log.
    pub fn seal(mut self, log: LogKey) -> Self {
        self.seals.push(log);
        self
    }

    /// Adds the removal of a log.
    pub fn remove(mut self, log: LogKey) -> Self {
        self.removals.push(log);
        self
    }

    /// Adds an expectation.
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Returns whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.appends.is_empty() && self.seals.is_empty() && self.removals.is_empty()
    }

    /// Returns whether it is there to remove: it appends nothing, and writes no content of records unless it also removes
    /// a log, as a purge does, which records what was removed. Stores keep room for such batches on a full disk.
    pub fn only_removes(&self) -> bool {
        let writes_no_content = self.writes.iter().all(|write| write.body.is_none());
        self.appends.is_empty() && !self.is_empty() && (writes_no_content || !self.removals.is_empty())
    }

    /// Returns the total size of its bodies in bytes.
    pub fn body_bytes(&self) -> usize {
        let records = self.writes.iter().filter_map(|write| write.body.as_ref());
        let entries = self.appends.iter().flat_map(|append| &append.entries).map(|entry| &entry.body);
        records.chain(entries).map(Body::len).sum()
    }

    /// Returns what watchers see of the batch once it is committed as `seq`.
    pub fn change(&self, seq: Option<Seq>) -> Change {
        let touched = self.appends.iter().map(|append| &append.log).chain(&self.seals).chain(&self.removals);
        let mut seen = HashSet::new();
        let logs = touched.filter(|log| seen.insert(*log)).cloned().collect();
        let records = self.writes.iter().map(|write| write.key.clone()).collect();
        Change { batch: self.id, seq, records, logs }
    }

    /// Rejects what no store could accept, whatever it holds. `Invalid` says what is wrong.
    ///
    /// Each batch is judged on its own, so that joining a group never makes one fail.
    pub fn validate(&self, limits: &Limits) -> Result<()> {
        let invalid = |what: String| Err(Error::invalid(format!("batch {}: {what}", self.id)));
        let mut written = HashSet::new();
        for write in &self.writes {
            if !written.insert(&write.key) {
                return invalid(format!("writes {} twice", write.key));
            }
        }
        let mut appended = HashSet::new();
        for append in &self.appends {
            if !appended.insert(&append.log) {
                return invalid(format!("appends to {} twice", append.log));
            }
            if append.entries.is_empty() {
                return invalid(format!("appends nothing to {}", append.log));
            }
        }
        let sealed: HashSet<_> = self.seals.iter().collect();
        for log in &self.removals {
            if appended.contains(log) || sealed.contains(log) {
                return invalid(format!("removes {log}, which it also appends to or seals"));
            }
        }
        self.validate_size(limits)
    }

    fn validate_size(&self, limits: &Limits) -> Result<()> {
        let invalid = |what: String| Err(Error::invalid(format!("batch {}: {what}", self.id)));
        let too_large = |what: String, body: &Body| {
            let (size, limit) = (body.len(), limits.body_bytes);
            invalid(format!("{what} has {size} bytes; the limit is {limit}"))
        };
        for write in &self.writes {
            if let Some(body) = write.body.as_ref().filter(|body| body.len() > limits.body_bytes) {
                return too_large(write.key.to_string(), body);
            }
        }
        for append in &self.appends {
            if let Some(entry) = append.entries.iter().find(|entry| entry.body.len() > limits.body_bytes) {
                return too_large(format!("an entry of {}", append.log), &entry.body);
            }
        }
        let items = self.writes.len()
            + self.appends.iter().map(|append| append.entries.len()).sum::<usize>()
            + self.seals.len()
            + self.removals.len()
            + self.guards.len();
        if items > limits.batch_items {
            return invalid(format!("has {items} parts; the limit is {}", limits.batch_items));
        }
        let bytes = self.body_bytes();
        if bytes > limits.batch_bytes {
            return invalid(format!("has {bytes} bytes; the limit is {}", limits.batch_bytes));
        }
        Ok(())
    }

    /// Judges what the batch expects. This is the only place that does so. `None` means that the batch may happen.
    pub fn check(&self, view: &mut dyn View) -> Result<Option<Conflict>> {
        let mut mismatches = Vec::new();
        let mut expect_record = |key: &RecordKey, expected: Expect, view: &mut dyn View| -> Result<()> {
            if expected == Expect::Any {
                return Ok(());
            }
            let found = view.version(key)?;
            let holds = match expected {
                Expect::Any => true,
                Expect::Absent => found.is_none(),
                Expect::At(seq) => found == Some(seq),
            };
            if !holds {
                mismatches.push(Mismatch::Record { key: key.clone(), expected, found });
            }
            Ok(())
        };
        for write in &self.writes {
            expect_record(&write.key, write.expect, view)?;
        }
        for guard in &self.guards {
            if let Guard::Record { key, expect } = guard {
                expect_record(key, *expect, view)?;
            }
        }
        for append in &self.appends {
            let head = view.head(&append.log)?;
            match (head.state, append.expect) {
                (LogState::Removed, _) => mismatches.push(Mismatch::Removed { log: append.log.clone() }),
                (_, Some(expected)) if expected != head.length => {
                    mismatches.push(Mismatch::Length { log: append.log.clone(), expected, found: head.length });
                }
                (LogState::Sealed, _) => mismatches.push(Mismatch::Sealed { log: append.log.clone() }),
                (LogState::Open, _) => {}
            }
        }
        for log in &self.seals {
            if view.head(log)?.state == LogState::Removed {
                mismatches.push(Mismatch::Removed { log: log.clone() });
            }
        }
        for guard in &self.guards {
            if let Guard::Length { log, length } = guard {
                let found = view.head(log)?.length;
                if found != *length {
                    mismatches.push(Mismatch::Length { log: log.clone(), expected: *length, found });
                }
            }
        }
        Ok((!mismatches.is_empty()).then_some(Conflict { batch: self.id, mismatches }))
    }
}

impl Outcome {
    /// Returns what the batch received, or [`Error::Conflict`].
    pub fn committed(self) -> Result<Committed> {
        match self {
            Self::Committed(committed) => Ok(committed),
            Self::Conflicted(conflict) => Err(Error::Conflict(Box::new(conflict))),
        }
    }
}

/// Names the first few mismatches and says how many more there are.
impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 3;
        f.write_str("conflict: ")?;
        for (at, mismatch) in self.mismatches.iter().take(NAMED).enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            mismatch.fmt(f)?;
        }
        match self.mismatches.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { key, expected: Expect::Absent, .. } => write!(f, "{key} already exists"),
            Self::Record { key, found: None, .. } => write!(f, "{key} does not exist"),
            Self::Record { key, .. } => write!(f, "{key} has changed since it was read"),
            Self::Length { log, expected, found } => {
                write!(f, "log {log} has {found} entries where {expected} were expected")
            }
            Self::Sealed { log } => write!(f, "log {log} is sealed"),
            Self::Removed { log } => write!(f, "log {log} was removed"),
        }
    }
}
