//! What a process knows of the catalog: in memory is what changed since the catalog was last rewritten, and the pages
//! that were read so far.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering as Memory};
use std::sync::{Arc, OnceLock};

use nofx_core::{Direction, KeyQuery, LogKey, RecordKey};
use nofx_journal::base::{Mark, SnapshotError};
use nofx_journal::fault::{into_error, is_of_the_file};
use nofx_journal::files::ReadableFile;

use crate::catalog::{self, Listable};
use crate::layout;
use crate::listed::{Listed, LogSlot, RecordSlot};

/// What the files hold, as the catalog lists it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Up to where.
    pub(crate) mark: Mark,
    /// The length of the lines in the file that index kinds share.
    pub(crate) index_bytes: u64,
    pages: Arc<Pages>,
    /// What differs from the pages; `None` if it is gone.
    records: BTreeMap<RecordKey, Option<RecordSlot>>,
    logs: BTreeMap<LogKey, Option<LogSlot>>,
}

impl From<Listed> for Known {
    fn from(all: Listed) -> Self {
        Self {
            mark: all.mark,
            index_bytes: all.index_bytes,
            pages: Arc::default(),
            records: all.records.into_iter().map(|(key, slot)| (key, Some(slot))).collect(),
            logs: all.logs.into_iter().map(|(log, slot)| (log, Some(slot))).collect(),
        }
    }
}

impl Known {
    pub(crate) fn new(mark: Mark, index_bytes: u64, pages: Pages) -> Self {
        Self { mark, index_bytes, pages: Arc::new(pages), ..Self::default() }
    }

    /// Takes in what changed up to a mark.
    pub(crate) fn take(
        &mut self,
        mark: Mark,
        index_bytes: u64,
        records: Vec<(RecordKey, Option<RecordSlot>)>,
        logs: Vec<(LogKey, Option<LogSlot>)>,
    ) {
        (self.mark, self.index_bytes) = (mark, index_bytes);
        extend(&mut self.records, records);
        extend(&mut self.logs, logs);
    }

    pub(crate) fn record(&self, key: &RecordKey) -> Result<Option<RecordSlot>, SnapshotError> {
        match self.records.get(key) {
            Some(slot) => Ok(slot.clone()),
            None => self.pages.get(&self.pages.records, key),
        }
    }

    pub(crate) fn log(&self, log: &LogKey) -> Result<Option<LogSlot>, SnapshotError> {
        match self.logs.get(log) {
            Some(slot) => Ok(*slot),
            None => self.pages.get(&self.pages.logs, log),
        }
    }

    /// Returns the records that a query finds, in its direction, ignoring its limit.
    pub(crate) fn records<'a>(&'a self, query: &'a KeyQuery<RecordKey>) -> Found<'a, RecordKey> {
        merged(query, self.pages.find(&self.pages.records, query), query.find_in(&self.records))
    }

    /// Returns the logs that a query finds, likewise.
    pub(crate) fn logs<'a>(&'a self, query: &'a KeyQuery<LogKey>) -> Found<'a, LogKey> {
        merged(query, self.pages.find(&self.pages.logs, query), query.find_in(&self.logs))
    }

    /// Returns everything, read from all pages.
    pub(crate) fn whole(&self) -> Result<Listed, SnapshotError> {
        let mut all = Listed { mark: self.mark, index_bytes: self.index_bytes, ..Listed::default() };
        all.records = self.records(&KeyQuery::all(usize::MAX)).collect::<Result<_, _>>()?;
        all.logs = self.logs(&KeyQuery::all(usize::MAX)).collect::<Result<_, _>>()?;
        Ok(all)
    }

    /// Returns whether a page could not be read: then the catalog is not believed any more.
    pub(crate) fn is_damaged(&self) -> bool {
        self.pages.is_damaged.load(Memory::Relaxed)
    }
}

/// Adds sorted items to a map, which is made of them at once if it is empty.
fn extend<K: Ord, V>(map: &mut BTreeMap<K, V>, items: Vec<(K, V)>) {
    if map.is_empty() {
        *map = items.into_iter().collect();
    } else {
        map.extend(items);
    }
}

/// Keys with their slots, in order.
pub(crate) type Found<'a, K> = Box<dyn Iterator<Item = Result<(K, <K as Listable>::Slot), SnapshotError>> + 'a>;

/// Merges what pages list with what changed since.
fn merged<'a, K: Listable>(
    query: &'a KeyQuery<K>,
    pages: impl Iterator<Item = Result<&'a (K, K::Slot), SnapshotError>> + 'a,
    since: impl Iterator<Item = (&'a K, &'a Option<K::Slot>)> + 'a,
) -> Found<'a, K> {
    let (mut pages, mut since) = (pages.peekable(), since.peekable());
    let changed = |(key, slot): (&K, &Option<K::Slot>)| slot.clone().map(|slot| Ok((key.clone(), slot)));
    Box::new(std::iter::from_fn(move || {
        loop {
            let order = match (pages.peek(), since.peek()) {
                (None, None) => return None,
                (Some(Err(_)), _) => Ordering::Less,
                (Some(Ok((listed, _))), Some((key, _))) => match query.direction {
                    Direction::Forward => listed.cmp(key),
                    Direction::Backward => (*key).cmp(listed),
                },
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            match order {
                Ordering::Less => return pages.next().map(|item| item.cloned()),
                Ordering::Equal => _ = pages.next(),
                Ordering::Greater => {}
            }
            // `None` is one that is gone.
            if let Some(found) = since.next().and_then(changed) {
                return Some(found);
            }
        }
    }))
}

/// The pages of a catalog, each read when it is needed.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    file: Option<Arc<dyn ReadableFile>>,
    is_damaged: AtomicBool,
    records: Vec<Page<RecordKey>>,
    logs: Vec<Page<LogKey>>,
}

/// Consecutive keys in one piece of the file.
#[derive(Debug)]
pub(crate) struct Page<K: Listable> {
    first: K,
    place: Range<u64>,
    checksum: u32,
    items: OnceLock<Vec<(K, K::Slot)>>,
}

impl<K: Listable> Page<K> {
    pub(crate) fn new(first: K, place: Range<u64>, checksum: u32) -> Self {
        Self { first, place, checksum, items: OnceLock::new() }
    }
}

impl Pages {
    pub(crate) fn new(file: &Arc<dyn ReadableFile>, records: Vec<Page<RecordKey>>, logs: Vec<Page<LogKey>>) -> Self {
        Self { file: Some(file.clone()), is_damaged: AtomicBool::new(false), records, logs }
    }

    /// Returns the items of a page. `Moved` if it is damaged: the catalog is then read again, or rebuilt.
    fn items<'a, K: Listable>(&self, page: &'a Page<K>) -> Result<&'a [(K, K::Slot)], SnapshotError> {
        if let Some(items) = page.items.get() {
            return Ok(items);
        }
        let path = Path::new(layout::CATALOG);
        let bytes = match self.file.as_ref().map(|file| file.read_range(page.place.start, page.place.end)) {
            Some(Err(error)) if !is_of_the_file(&error) => return Err(into_error(error, "reading", path).into()),
            Some(Ok(bytes)) => bytes,
            _ => Vec::new(),
        };
        let items = Some(&bytes).filter(|bytes| catalog::is_intact(bytes, page.checksum));
        match items.and_then(|bytes| K::read_page(bytes)) {
            Some(items) => Ok(page.items.get_or_init(|| items)),
            None => {
                self.is_damaged.store(true, Memory::Relaxed);
                Err(SnapshotError::Moved)
            }
        }
    }

    fn get<K: Listable>(&self, pages: &[Page<K>], key: &K) -> Result<Option<K::Slot>, SnapshotError> {
        let after = pages.partition_point(|page| page.first <= *key);
        let Some(page) = after.checked_sub(1).and_then(|at| pages.get(at)) else { return Ok(None) };
        let items = self.items(page)?;
        let found = items.binary_search_by(|(listed, _)| listed.cmp(key)).ok().and_then(|at| items.get(at));
        Ok(found.map(|(_, slot)| slot.clone()))
    }

    /// Returns what a query finds, in its direction.
    fn find<'a, K: Listable>(
        &'a self,
        pages: &'a [Page<K>],
        query: &'a KeyQuery<K>,
    ) -> impl Iterator<Item = Result<&'a (K, K::Slot), SnapshotError>> + 'a {
        // The page before the first that begins among the wanted keys may end with some of them.
        let from = pages.partition_point(|page| query.side_of(&page.first) == Ordering::Less).saturating_sub(1);
        let to = pages.partition_point(|page| query.side_of(&page.first) != Ordering::Greater);
        let wanted = pages.get(from..to).unwrap_or_default();
        let forward = query.direction == Direction::Forward;
        let in_order = (0..wanted.len()).map(move |at| if forward { at } else { wanted.len() - 1 - at });
        in_order.filter_map(|at| wanted.get(at)).flat_map(move |page| -> Box<dyn Iterator<Item = _> + 'a> {
            match self.items(page) {
                Err(error) => Box::new(std::iter::once(Err(error))),
                Ok(items) => {
                    let found = items.iter().filter(|(key, _)| query.matches(key)).map(Ok);
                    if forward { Box::new(found) } else { Box::new(found.rev()) }
                }
            }
        })
    }
}
