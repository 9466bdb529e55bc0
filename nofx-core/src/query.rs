//! Queries whose answers come in pages.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::key::{Key, Kind, LogKey, RecordKey};
use crate::record::{Change, Cursor};

/// The size of a page's bodies, in bytes, at which a backend may end the page before `limit` items. A page has at least
/// one item if there is one to find.
pub const PAGE_BYTES: usize = 4 << 20;

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest key or oldest entry first.
    #[default]
    Forward,
    /// Largest key or newest entry first.
    Backward,
}

/// One part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The items found, in the requested order.
    pub items: Vec<T>,
    /// Whether there is more; ask again after the last item. A page with more is never empty.
    pub more: bool,
}

/// Asks for records in key order.
pub type ScanQuery = KeyQuery<RecordKey>;

/// Asks for logs in key order; removed ones are not found.
pub type LogScan = KeyQuery<LogKey>;

/// Asks for items in key order: by kind, then by id, both compared as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyQuery<K> {
    /// Only this kind; `None` for every kind.
    pub kind: Option<Kind>,
    /// Only ids that begin with this; requires a kind.
    pub prefix: String,
    /// Only keys after this one, in the requested direction. It need not exist.
    pub after: Option<K>,
    /// The order.
    pub direction: Direction,
    /// The maximum number of items, at least one.
    pub limit: usize,
}

impl<K: Key> KeyQuery<K> {
    /// Asks for everything.
    pub fn all(limit: usize) -> Self {
        Self { kind: None, prefix: String::new(), after: None, direction: Direction::Forward, limit }
    }

    /// Asks for one kind.
    pub fn of(kind: Kind, limit: usize) -> Self {
        Self { kind: Some(kind), ..Self::all(limit) }
    }

    /// Only ids that begin with `prefix`.
    pub fn prefixed(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Only keys after `key`.
    pub fn after(mut self, key: K) -> Self {
        self.after = Some(key);
        self
    }

    /// Largest key first.
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Judges the query. `Invalid` says what is wrong.
    pub fn validate(&self) -> Result<()> {
        if self.limit == 0 {
            return Err(Error::invalid("the limit of a page is zero"));
        }
        if self.kind.is_none() && !self.prefix.is_empty() {
            return Err(Error::invalid("a prefix needs a kind"));
        }
        Ok(())
    }

    /// Returns whether the query asks for this key.
    pub fn matches(&self, key: &K) -> bool {
        self.kind.as_ref().is_none_or(|kind| kind == key.kind())
            && key.id().starts_with(&self.prefix)
            && self.after.as_ref().is_none_or(|after| match self.direction {
                Direction::Forward => key > after,
                Direction::Backward => key < after,
            })
    }
}

/// Asks for entries of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// Which log. One that does not exist or was removed has no entries.
    pub log: LogKey,
    /// Which positions; positions beyond the end of the log are not found.
    pub range: Range<u64>,
    /// The order.
    pub direction: Direction,
    /// The maximum number of items, at least one.
    pub limit: usize,
}

impl LogQuery {
    /// Asks for entries, oldest first.
    pub fn oldest_first(log: LogKey, limit: usize) -> Self {
        Self { log, range: 0..u64::MAX, direction: Direction::Forward, limit }
    }

    /// Asks for entries, newest first.
    pub fn newest_first(log: LogKey, limit: usize) -> Self {
        Self { direction: Direction::Backward, ..Self::oldest_first(log, limit) }
    }

    /// Only entries at these positions.
    pub fn within(mut self, range: Range<u64>) -> Self {
        self.range = range;
        self
    }

    /// Judges the query. `Invalid` says what is wrong.
    pub fn validate(&self) -> Result<()> {
        if self.limit == 0 {
            return Err(Error::invalid("the limit of a page is zero"));
        }
        Ok(())
    }
}

/// The answer to [`changes`](crate::PersistenceBackend::changes).
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// The next commits.
    Page(ChangePage),
    /// The store no longer remembers everything since the cursor, or the cursor belongs to another store. Scan again,
    /// then continue from `newest`.
    Gap {
        /// The end of the feed when this was answered, hence before the new scan.
        newest: Cursor,
    },
}

/// Commits in an order that is consistent with every record and every log.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangePage {
    /// The commits; empty at the end of the feed.
    pub changes: Vec<Change>,
    /// Just after the last of them; ask again from here.
    pub next: Cursor,
    /// The end of the feed when this was answered.
    pub newest: Cursor,
}
