//! Queries whose answers come in pages.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

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

impl<T> Page<T> {
    /// Fills a page with what a query finds, up to `limit` items or [`PAGE_BYTES`], and checks whether there is more. For
    /// backend authors; `bytes` returns the size of an item's body.
    ///
    /// ```
    /// # use nofx_core::{Error, Page};
    /// let found = ["one", "two", "three"].map(Ok);
    /// let page = Page::fill(found, 2, |body| body.len())?;
    /// assert_eq!(page, Page { items: vec!["one", "two"], more: true });
    /// # Ok::<_, Error>(())
    /// ```
    pub fn fill<E>(
        found: impl IntoIterator<Item = Result<T, E>>,
        limit: usize,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<Self, E> {
        let mut page = PageBuilder::new(limit);
        for item in found {
            let item = item?;
            if page.is_full() {
                return Ok(page.end(true));
            }
            page.push(bytes(&item), item);
        }
        Ok(page.end(false))
    }
}

/// A page that is being filled, for backends that decide item by item what to read next.
#[derive(Clone, Debug)]
pub struct PageBuilder<T> {
    items: Vec<T>,
    bytes: usize,
    limit: usize,
}

impl<T> PageBuilder<T> {
    /// Begins a page of at most `limit` items.
    pub fn new(limit: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, limit }
    }

    /// Returns whether it has `limit` items or [`PAGE_BYTES`].
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    /// Adds an item, whose body has as many bytes.
    pub fn push(&mut self, bytes: usize, item: T) {
        self.bytes += bytes;
        self.items.push(item);
    }

    /// Returns the items so far.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// Makes the page full, because what comes next cannot be read.
    pub fn close(&mut self) {
        self.limit = self.items.len();
    }

    /// Ends the page; `more` says whether there is more.
    pub fn end(self, more: bool) -> Page<T> {
        Page { items: self.items, more }
    }
}

/// Asks for records in key order.
///
/// ```
/// # use futures_util::TryStreamExt;
/// # use nofx_core::{Body, Expect, Kind, MemoryBackend, RecordKey, ScanQuery, Store};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let store = Store::new(std::sync::Arc::new(MemoryBackend::new()));
/// let note = Kind::of("note");
/// for id in ["2025/may", "2026/june", "2026/may", "2026/july"] {
///     let batch = store.batch().put(RecordKey::new(note.clone(), id)?, Expect::Absent, Body::parse("{}")?);
///     store.commit(batch).await?.committed()?;
/// }
///
/// // One page; the next one begins after its last item.
/// let query = ScanQuery::of(note.clone(), 2).prefixed("2026/");
/// let page = store.backend().scan(&query).await?;
/// assert_eq!(page.items.iter().map(|record| record.key.id()).collect::<Vec<_>>(), ["2026/july", "2026/june"]);
/// assert!(page.more);
/// let rest = store.backend().scan(&query.after(page.items[1].key.clone())).await?;
/// assert_eq!(rest.items[0].key.id(), "2026/may");
///
/// // A store continues by itself: the limit is only how much it reads at once.
/// let all: Vec<_> = store.scan(ScanQuery::of(note, 2).backward()).try_collect().await?;
/// assert_eq!(all.len(), 4);
/// # Ok(()) }
/// ```
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

    /// Rejects a query that no store can answer, whatever it holds. `Invalid` says what is wrong.
    pub fn validate(&self) -> Result<()> {
        if self.limit == 0 {
            return Err(Error::invalid("the limit of a page is zero; it must be at least 1"));
        }
        if self.kind.is_none() && !self.prefix.is_empty() {
            return Err(Error::invalid("a query with a prefix also needs a kind"));
        }
        Ok(())
    }

    /// Returns what the query finds in a map, in its direction, ignoring its limit: for backends that hold keys in
    /// memory. Costs a look-up and what is taken of the answer.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// # use nofx_core::{Kind, RecordKey, ScanQuery};
    /// let note = Kind::of("note");
    /// let mut all = BTreeMap::new();
    /// for id in ["may", "june", "july"] {
    ///     all.insert(RecordKey::new(note.clone(), id)?, id);
    /// }
    /// let query = ScanQuery::of(note, 1).prefixed("j").backward();
    /// assert_eq!(query.find_in(&all).map(|(_, id)| *id).collect::<Vec<_>>(), ["june", "july"]);
    /// # Ok::<_, nofx_core::Error>(())
    /// ```
    pub fn find_in<'a, V>(&'a self, all: &'a BTreeMap<K, V>) -> Box<dyn Iterator<Item = (&'a K, &'a V)> + 'a> {
        let after = self.after.as_ref();
        // No id is smaller than a single NUL.
        let prefix = if self.prefix.is_empty() { "\0" } else { &self.prefix };
        let first = self.kind.as_ref().and_then(|kind| K::new(kind.clone(), prefix).ok());
        // Matching keys are adjacent, so the answer ends at the first that does not match.
        match self.direction {
            Direction::Forward => {
                let from = match (after, first) {
                    (Some(after), Some(first)) if *after < first => Bound::Included(first),
                    (Some(after), _) => Bound::Excluded(after.clone()),
                    (None, Some(first)) => Bound::Included(first),
                    (None, None) => Bound::Unbounded,
                };
                Box::new(all.range((from, Bound::Unbounded)).take_while(|(key, _)| self.matches(key)))
            }
            Direction::Backward => {
                let until = match (after, self.end()) {
                    (Some(after), Some(end)) if *after > end => Bound::Excluded(end),
                    (Some(after), _) => Bound::Excluded(after.clone()),
                    (None, end) => end.map_or(Bound::Unbounded, Bound::Excluded),
                };
                let rest = all.range((Bound::Unbounded, until)).rev();
                // If the end could not be expressed, it is searched for.
                Box::new(rest.skip_while(|(key, _)| !self.matches(key)).take_while(|(key, _)| self.matches(key)))
            }
        }
    }

    /// Returns the first key after everything that has the kind and the prefix, if it can be expressed.
    fn end(&self) -> Option<K> {
        let kind = self.kind.as_ref()?;
        let mut prefix: Vec<char> = self.prefix.chars().collect();
        while let Some(last) = prefix.pop() {
            // The next character, skipping the gap of the surrogates.
            let next = char::from_u32(u32::from(last) + 1).or((last == '\u{d7ff}').then_some('\u{e000}'));
            if let Some(next) = next {
                prefix.push(next);
                return K::new(kind.clone(), prefix.into_iter().collect::<String>()).ok();
            }
        }
        // No kind is between a kind and the same with a hyphen, and no id is smaller than this one.
        K::new(Kind::new(format!("{kind}-")).ok()?, "\0").ok()
    }

    /// Returns where a key is, in key order, relative to those that the query asks for: before them (`Less`), among them
    /// or after them. For backends that keep sorted keys in files, and look for the part to read.
    pub fn side_of(&self, key: &K) -> Ordering {
        let by_after = self.after.as_ref().map(|after| match self.direction {
            Direction::Forward if key <= after => Ordering::Less,
            Direction::Backward if key >= after => Ordering::Greater,
            _ => Ordering::Equal,
        });
        let by_kind = self.kind.as_ref().map(|kind| {
            let by_id = if key.id().starts_with(&self.prefix) { Ordering::Equal } else { key.id().cmp(&self.prefix) };
            key.kind().cmp(kind).then(by_id)
        });
        by_kind.unwrap_or(Ordering::Equal).then(by_after.unwrap_or(Ordering::Equal))
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
///
/// ```
/// # use futures_util::TryStreamExt;
/// # use nofx_core::{Body, Kind, LogKey, LogQuery, MemoryBackend, NewEntry, Store, Timestamp};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let store = Store::new(std::sync::Arc::new(MemoryBackend::new()));
/// let steps = LogKey::new(Kind::of("steps"), "monday")?;
/// let entries = ["0", "1", "2", "3"].map(|number| NewEntry { at: Timestamp::from_millis(0), body: Body::trusted(number) });
/// store.commit(store.batch().append(steps.clone(), entries.to_vec())).await?.committed()?;
///
/// // The newest entries, for a list that shows the end first.
/// let page = store.backend().read(&LogQuery::newest_first(steps.clone(), 2)).await?;
/// assert_eq!(page.items.iter().map(|entry| entry.position).collect::<Vec<_>>(), [3, 2]);
/// assert!(page.more);
///
/// // The entries since position 1. A store reads page after page.
/// let since: Vec<_> = store.read(LogQuery::oldest_first(steps, 2).within(1..u64::MAX)).try_collect().await?;
/// assert_eq!(since.len(), 3);
/// # Ok(()) }
/// ```
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

    /// Rejects a query that no store can answer, whatever it holds. `Invalid` says what is wrong.
    pub fn validate(&self) -> Result<()> {
        if self.limit == 0 {
            return Err(Error::invalid("the limit of a page is zero; it must be at least 1"));
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
        /// The end of the feed when this was answered, which is before the new scan.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids around everything that is special about the end of a prefix.
    const IDS: [&str; 14] = [
        "\u{1}",
        "a",
        "a\u{d7ff}",
        "a\u{d7ff}x",
        "a\u{e000}",
        "a\u{10ffff}",
        "a\u{10ffff}x",
        "ab",
        "b",
        "b-",
        "bb",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
        "ß",
    ];

    #[test]
    fn a_query_finds_in_a_map_what_it_matches_in_either_direction() {
        let kinds = ["note", "note-a", "note0", "other"].map(Kind::of);
        let keys = || kinds.iter().flat_map(|kind| IDS.map(|id| RecordKey::new(kind.clone(), id).unwrap()));
        // Every third key is missing, so that a query may continue after a key that does not exist.
        let all: BTreeMap<_, _> = keys().enumerate().filter(|(at, _)| at % 3 != 1).map(|(at, key)| (key, at)).collect();
        let afters: Vec<_> = keys().map(Some).chain([None]).collect();
        let mut asked = 0;
        for after in &afters {
            for (kind, prefix) in kinds
                .iter()
                .flat_map(|kind| IDS.iter().chain(&[""]).map(move |id| (Some(kind), *id)))
                .chain([(None, "")])
            {
                for direction in [Direction::Forward, Direction::Backward] {
                    let query = ScanQuery {
                        kind: kind.cloned(),
                        prefix: prefix.into(),
                        after: after.clone(),
                        direction,
                        limit: 1,
                    };
                    let mut expected: Vec<_> = all.iter().filter(|(key, _)| query.matches(key)).collect();
                    if direction == Direction::Backward {
                        expected.reverse();
                    }
                    assert_eq!(query.find_in(&all).collect::<Vec<_>>(), expected, "{query:?}");
                    let sides: Vec<_> = all.keys().map(|key| query.side_of(key)).collect();
                    let matches = all.keys().map(|key| query.matches(key));
                    assert!(sides.is_sorted(), "{query:?}");
                    assert!(sides.iter().map(|side| *side == Ordering::Equal).eq(matches), "{query:?}");
                    asked += 1;
                }
            }
        }
        assert_eq!(asked, 57 * 61 * 2);
    }
}
