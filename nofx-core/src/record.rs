//! What a store holds: records, logs and numbered commits.

use std::fmt;
use std::num::NonZeroU64;

use crate::body::Body;
use crate::error::{Error, Result};
use crate::ids::{BatchId, StoreId};
use crate::key::{LogKey, RecordKey};
use crate::time::Timestamp;

/// The number of a commit that wrote records, counted from one; also the version of each record it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(NonZeroU64);

impl Seq {
    /// The first number.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// Creates a number; `None` for zero.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Returns the number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// Returns the number of the next commit.
    pub fn next(self) -> Self {
        // 2^64 commits take half a million years at a million a second.
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its name.
    pub key: RecordKey,
    /// The commit that last wrote it.
    pub version: Seq,
    /// Its content.
    pub body: Body,
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// Its place in the log; positions are dense and start at zero.
    pub position: u64,
    /// When it happened, according to its writer's clock; not necessarily rising.
    pub at: Timestamp,
    /// Its content.
    pub body: Body,
}

/// What is known about a log without reading it.
#[derive(Clone, Debug, PartialEq)]
pub struct LogHead {
    /// Its name.
    pub log: LogKey,
    /// How many entries it has, which is also the next entry's position. Zero once it is removed.
    pub length: u64,
    /// The time of its last entry, if it has one.
    pub last_at: Option<Timestamp>,
    /// Whether it takes entries.
    pub state: LogState,
}

impl LogHead {
    /// Returns the head of a log that does not exist.
    pub fn missing(log: LogKey) -> Self {
        Self { log, length: 0, last_at: None, state: LogState::Open }
    }
}

/// Whether a log takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogState {
    /// It does, or it does not exist yet.
    Open,
    /// It takes no more entries; a backend may have compressed it.
    Sealed,
    /// It is gone, and its id is never used again.
    Removed,
}

/// One commit as watchers, backups and copies see it: what changed, not how.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The id of the batch.
    pub batch: BatchId,
    /// Its number, if it wrote records.
    pub seq: Option<Seq>,
    /// The records it wrote or deleted, in the order of the batch.
    pub records: Vec<RecordKey>,
    /// The logs it appended to, sealed or removed, each once.
    pub logs: Vec<LogKey>,
}

/// A place in the change feed of one store. Opaque and durable: it may be kept in a file for a year.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(pub String);

/// The form of a cursor, for backends that number their commits.
impl Cursor {
    /// Returns the cursor after as many commits of a store.
    ///
    /// ```
    /// # use nofx_core::{Cursor, Error, StoreId};
    /// let [store, another] = [7, 8].map(|byte| StoreId::from_bytes([byte; 16]));
    /// let cursor = Cursor::after(store, 12);
    /// assert_eq!(cursor.commits_of(store)?, Some(12));
    /// assert_eq!(cursor.commits_of(another)?, None);
    /// assert_eq!(Cursor("yesterday".to_owned()).commits_of(store).unwrap_err().code(), "invalid");
    /// # Ok::<_, Error>(())
    /// ```
    pub fn after(store: StoreId, commits: u64) -> Self {
        Self(format!("{store}:{commits}"))
    }

    /// Returns how many commits of a store this cursor comes after; `None` if it is of another store. `Invalid` if it is
    /// no cursor at all.
    pub fn commits_of(&self, store: StoreId) -> Result<Option<u64>> {
        let parsed = self.0.split_once(':').and_then(|(of, number)| Some((of, number.parse().ok()?)));
        match parsed {
            Some((of, commits)) => Ok((of == store.to_string()).then_some(commits)),
            None => {
                let shown: String = self.0.chars().take(80).collect();
                Err(Error::invalid(format!("`{}` is not a cursor", shown.escape_debug())))
            }
        }
    }
}

/// What a backend is and what it can take; reading it does no I/O.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendInfo {
    /// The backend's name, as in the scheme of a location.
    pub backend: &'static str,
    /// The store.
    pub store: StoreId,
    /// Who may have the store open concurrently, each reading and writing.
    pub sharing: Sharing,
    /// What a commit survives.
    pub durability: Durability,
    /// The largest items it takes.
    pub limits: Limits,
    /// Why this handle is read-only, if it is; each commit then fails with the error that fits the reason.
    pub read_only: Option<String>,
}

/// Phrases that backends use in [`BackendInfo::read_only`] or in errors, by which a program chooses its advice.
impl BackendInfo {
    /// The file system has no file locks. Only errors say so: a handle learns it when it commits.
    pub const NO_LOCKS: &str = "locks do not work";
    /// A newer version wrote the store.
    pub const NEWER_VERSION: &str = "newer version";
    /// Something is damaged that this command repairs.
    pub const REPAIR: &str = "nofx doctor --repair";
}

/// Who may have a store open concurrently, each reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// Handles within one process.
    Process,
    /// Processes on one machine.
    Machine,
    /// Machines on a network.
    Network,
}

/// What a committed batch survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing: the store is gone when its process ends.
    Process,
    /// A killed process and a power cut, provided that the disk keeps what it reports as flushed.
    Disk,
    /// The loss of this machine.
    Service,
}

/// The largest items that a backend takes. Every backend takes at least [`Limits::GUARANTEED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body.
    pub body_bytes: usize,
    /// Bytes of all bodies of one batch.
    pub batch_bytes: usize,
    /// Writes, entries, seals, removals and guards of one batch, together.
    pub batch_items: usize,
}

impl Limits {
    /// What every backend takes, so that no caller needs to ask: 16 MiB per body, 32 MiB of bodies and 10,000 parts
    /// (writes, entries, seals, removals and guards) per batch.
    pub const GUARANTEED: Self = Self { body_bytes: 16 << 20, batch_bytes: 32 << 20, batch_items: 10_000 };
}

/// How many commits a store remembers at least, to recognise repeated batch ids and to answer
/// [`changes`](crate::PersistenceBackend::changes).
pub const REMEMBERED_COMMITS: usize = 100_000;
