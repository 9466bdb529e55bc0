//! The pages of the file, each compared with its checksum when it is read.
//!
//! redb keeps each page's checksum in its parent, over the used part of the page, and those of the roots in the header.
//! It writes them with each commit, but compares them only when it repairs a file. So a flipped bit in a key or in the
//! number of a page could hide rows, or lead in a circle. This module remembers what each page it sees says about its
//! children.
//!
//! A damaged page that leads to others is mended from those if possible. Any other is passed on as a leaf without rows,
//! which redb can walk over. Rows that are missing because of it are not taken for absent: readers ask [`Trust`] before
//! they return an answer. What this module assumes about redb's layout is true of its file format 3.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twox_hash::XxHash3_128;

use crate::fault::{Attempt, Fault};
use crate::header::{self, HEADER};
use crate::mend::Mending;

/// The offsets in a slot of the roots of the two trees of tables: the store's, and redb's own.
const ROOTS: [usize; 2] = [8, 40];

/// The first byte of a leaf and of a branch.
pub(crate) const LEAF: u8 = 1;
pub(crate) const BRANCH: u8 = 2;

/// A page of the highest order is as long as two to this power of the smallest ones.
const HIGHEST_ORDER: u32 = 20;

/// No page is longer: that of the longest body has it alone.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// When this many pages are known, the next read opens the file again.
const REOPEN_AT_PAGES: usize = 1 << 16;

/// When this many pages are known, all are forgotten, and pages below one that redb still has in memory are no longer
/// compared. Only a walk over gigabytes in one transaction gets here.
const MAX_KNOWN_PAGES: usize = 1 << 20;

/// The most damaged pages that are remembered individually.
const MAX_LISTED_DAMAGE: usize = 1000;

/// What is known of the pages of an open file.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    state: Mutex<State>,
    /// How often a damaged page was met.
    met: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    geometry: Option<Geometry>,
    /// What a page must be, by the offset where it begins.
    known: HashMap<u64, KnownPage>,
    contents: Vec<PageContent>,
    /// Where damaged pages begin, in the order in which they were met.
    damaged: Vec<u64>,
    /// Where damaged pages begin that could be mended from the pages below them.
    mended: BTreeSet<u64>,
    /// Whether one of redb's own trees is damaged, which record what is free.
    is_owner_damaged: bool,
    has_forgotten: bool,
}

/// Half of a page's checksum, and the index of its content.
#[derive(Clone, Copy, Debug)]
struct KnownPage {
    checksum: u64,
    content: u16,
}

/// What the leaves of a tree contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageContent {
    /// Whether the tree is redb's own.
    pub(crate) is_own: bool,
    /// Whether the values say where tables are.
    is_of_tables: bool,
    /// The length of keys and values, if all have the same length.
    pub(crate) key: Option<usize>,
    pub(crate) value: Option<usize>,
}

/// Where the pages of a file are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    page: u64,
    region_header: u64,
    region: u64,
}

impl Geometry {
    fn of(header: &[u8]) -> Option<Self> {
        let page = u64::from(u32_at(header, 12)?);
        let region_header = u64::from(u32_at(header, 16)?) * page;
        let region = region_header + u64::from(u32_at(header, 20)?) * page;
        Some(Self { page, region_header, region })
    }

    /// Returns the offset and the length of a page, from its number.
    pub(crate) fn place(self, number: u64) -> Option<(u64, usize)> {
        let length = self.page.checked_shl((number >> 59) as u32)?;
        Some((self.offset(number)?, usize::try_from(length).ok().filter(|length| *length <= MAX_PAGE_BYTES)?))
    }

    fn offset(self, number: u64) -> Option<u64> {
        let order = (number >> 59) as u32;
        let index = number & (0x000F_FFFF_u64 >> order.min(HIGHEST_ORDER));
        let region = (number >> 20) & 0x000F_FFFF;
        let within = index.checked_mul(self.page.checked_shl(order)?)?;
        let before = self.page.checked_add(region.checked_mul(self.region)?)?.checked_add(self.region_header)?;
        before.checked_add(within).filter(|_| order <= HIGHEST_ORDER)
    }
}

impl Pages {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks what was read from the file, for which it may `read` more. A damaged page is mended, or becomes a leaf
    /// without rows.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8], read: impl Fn(u64, &mut [u8]) -> io::Result<()>) {
        if offset == 0 {
            if bytes.len() >= HEADER {
                self.state().learn_roots(bytes);
            }
            return;
        }
        let (known, content, geometry) = {
            let state = self.state();
            let Some(known) = state.known.get(&offset).copied() else { return };
            let Some(content) = state.contents.get(usize::from(known.content)).copied() else { return };
            let Some(geometry) = state.geometry else { return };
            (known, content, geometry)
        };
        if is_whole(bytes, &PageRef { number: 0, checksum: known.checksum, content }) {
            let children = children(bytes, content);
            if !children.is_empty() {
                self.state().learn(&children);
            }
            return;
        }
        if let Some((mended, children)) = (Mending { geometry, content, read: &read }).branch(bytes) {
            bytes.copy_from_slice(&mended);
            let mut state = self.state();
            state.learn(&children);
            state.mended.insert(offset);
            return;
        }
        bytes.fill(0);
        if let Some(first) = bytes.first_mut() {
            *first = LEAF;
        }
        let mut state = self.state();
        state.is_owner_damaged |= content.is_own;
        if state.damaged.len() < MAX_LISTED_DAMAGE && !state.damaged.contains(&offset) {
            state.damaged.push(offset);
        }
        self.met.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns whether a page's checksum is known.
    pub(crate) fn are_aware_of(&self, offset: u64) -> bool {
        self.state().known.contains_key(&offset)
    }

    /// Forgets a page that is about to be written.
    pub(crate) fn written(&self, offset: u64) {
        self.state().known.remove(&offset);
    }

    /// Returns whether redb knows what is free in the file.
    pub(crate) fn may_be_written(&self) -> bool {
        !self.state().is_owner_damaged
    }

    /// Returns whether redb's memory may differ from the file.
    pub(crate) fn are_spoiled(&self) -> bool {
        self.met() > 0
    }

    /// Returns whether this handle can still be used for reading. If not, the file is opened again, so that redb's
    /// memory matches the file and little is remembered here.
    pub(crate) fn are_usable(&self) -> bool {
        !self.are_spoiled() && !self.are_many()
    }

    /// Returns whether so much is remembered that the file should be opened again.
    pub(crate) fn are_many(&self) -> bool {
        let state = self.state();
        state.has_forgotten || state.known.len() > REOPEN_AT_PAGES
    }

    fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    /// Returns where the damaged pages begin that were met.
    pub(crate) fn damaged(&self) -> Vec<u64> {
        self.state().damaged.clone()
    }

    /// Returns where the damaged pages begin that were mended, so that nothing is missing.
    pub(crate) fn mended(&self) -> BTreeSet<u64> {
        self.state().mended.clone()
    }

    /// Returns the result of work on the file, or the fault if a damaged page was met.
    pub(crate) fn unless_damaged<T>(&self, done: Attempt<T>) -> Attempt<T> {
        match done {
            Err(Fault::Page { .. }) => done,
            done => self.require(0, || None).and(done),
        }
    }

    /// Fails if a damaged page was met on the way to `what`, not counting the first `before`.
    fn require(&self, before: usize, what: impl FnOnce() -> Option<String>) -> Attempt<()> {
        if self.met() <= before {
            return Ok(());
        }
        let damaged = self.damaged();
        let offset = damaged.get(before).or(damaged.last()).copied().unwrap_or_default();
        Err(Fault::Page { offset, what: what() })
    }
}

impl State {
    fn learn_roots(&mut self, header: &[u8]) {
        self.geometry = Geometry::of(header);
        for slot in header::slots(header) {
            // redb itself refuses a damaged slot.
            let Some((used, checksum)) = slot.split_last_chunk::<16>() else { continue };
            if XxHash3_128::oneshot(used) != u128::from_le_bytes(*checksum) {
                continue;
            }
            for (tree, root) in ROOTS.into_iter().enumerate() {
                let content = PageContent { is_own: tree == 1, is_of_tables: true, key: None, value: None };
                if slot.get(1 + tree).is_some_and(|is_there| *is_there != 0)
                    && let Some(root) = child(slot, root, root + 8, content)
                {
                    self.learn(&[root]);
                }
            }
        }
    }

    fn learn(&mut self, children: &[PageRef]) {
        let Some(geometry) = self.geometry else { return };
        for child in children {
            let Some(offset) = geometry.offset(child.number) else { continue };
            let content = match self.contents.iter().position(|content| *content == child.content) {
                Some(content) => content,
                None => {
                    self.contents.push(child.content);
                    self.contents.len() - 1
                }
            };
            let Ok(content) = u16::try_from(content) else { continue };
            self.known.insert(offset, KnownPage { checksum: child.checksum, content });
        }
        if self.known.len() > MAX_KNOWN_PAGES {
            self.known = HashMap::new();
            self.has_forgotten = true;
        }
    }
}

/// What a page says about one below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRef {
    pub(crate) number: u64,
    checksum: u64,
    content: PageContent,
}

/// Returns whether a page matches its known checksum.
pub(crate) fn is_whole(bytes: &[u8], known: &PageRef) -> bool {
    let used = used(bytes, known.content).and_then(|used| bytes.get(..used));
    used.is_some_and(|used| XxHash3_128::oneshot(used) as u64 == known.checksum)
}

fn child(bytes: &[u8], number: usize, checksum: usize, content: PageContent) -> Option<PageRef> {
    Some(PageRef { number: u64_at(bytes, number)?, checksum: u64_at(bytes, checksum)?, content })
}

/// Returns how much of a page its checksum covers.
fn used(bytes: &[u8], content: PageContent) -> Option<usize> {
    let count = usize::from(u16_at(bytes, 2)?);
    let (keys, last) = match *bytes.first()? {
        LEAF => {
            let ends = |width: Option<usize>| if width.is_none() { 4 * count } else { 0 };
            let (keys, values) = (ends(content.key), ends(content.value));
            let last = count.checked_sub(1)?;
            let keys_end = match content.key {
                Some(width) => 4 + values + width.checked_mul(count)?,
                None => u32_at(bytes, 4 + 4 * last)? as usize,
            };
            return match content.value {
                Some(width) => keys_end.checked_add(width.checked_mul(count)?),
                None => Some(u32_at(bytes, 4 + keys + 4 * last)? as usize),
            };
        }
        BRANCH => (8 + 24 * (count + 1), count.checked_sub(1)?),
        _ => return None,
    };
    match content.key {
        Some(width) => keys.checked_add(width.checked_mul(count)?),
        None => Some(u32_at(bytes, keys + 4 * last)? as usize),
    }
}

/// Returns what an intact page says about those below it.
fn children(bytes: &[u8], content: PageContent) -> Vec<PageRef> {
    let Some(count) = u16_at(bytes, 2).map(usize::from) else { return Vec::new() };
    match bytes.first() {
        Some(&BRANCH) => children_of(bytes, count, content),
        Some(&LEAF) if content.is_of_tables => {
            let starts = (0..count).map(|at| match at {
                0 => u32_at(bytes, 4 + 4 * count.checked_sub(1)?),
                _ => u32_at(bytes, 4 + 4 * count + 4 * (at - 1)),
            });
            starts.filter_map(|start| root_of_table(bytes.get(start? as usize..)?, content)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns what a branch with this many keys says about the pages below it.
pub(crate) fn children_of(branch: &[u8], count: usize, content: PageContent) -> Vec<PageRef> {
    let numbers = 8 + 16 * (count + 1);
    (0..=count).filter_map(|at| child(branch, numbers + 8 * at, 8 + 16 * at, content)).collect()
}

/// Reads where a table begins from its entry in the tree of tables: its kind, the number of rows, whether it has a
/// root, the root with its checksum and a count, and the widths of keys and values, each after a flag whether there is
/// one.
fn root_of_table(definition: &[u8], tree: PageContent) -> Option<PageRef> {
    let width = |at: usize| match *definition.get(at)? {
        0 => Some(None),
        _ => Some(Some(u32_at(definition, at + 1)? as usize)),
    };
    // A table that may have several values for a key has a different layout. No store has one.
    if *definition.first()? != 3 || *definition.get(9)? == 0 {
        return None;
    }
    let content = PageContent { is_own: tree.is_own, is_of_tables: false, key: width(42)?, value: width(47)? };
    child(definition, 10, 18, content)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether what is read through a handle can be trusted.
#[derive(Debug)]
pub(crate) struct Trust {
    pages: Arc<Pages>,
    /// How many damaged pages had been met when reading began. What they concern is reported elsewhere.
    before: Cell<usize>,
    /// How many damaged pages had been met when the answer was complete.
    met: Cell<Option<usize>>,
}

impl Trust {
    pub(crate) fn new(pages: &Arc<Pages>) -> Self {
        Self { pages: pages.clone(), before: Cell::new(pages.met()), met: Cell::new(None) }
    }

    /// Fails if a damaged page was met on the way to `what`.
    pub(crate) fn require(&self, what: impl FnOnce() -> String) -> Attempt<()> {
        self.pages.require(self.before.get(), || Some(what()))
    }

    /// Ignores the damage met so far in what is read next.
    pub(crate) fn renew(&self) {
        self.before.set(self.pages.met());
    }

    /// Notes that the answer is complete. What follows only finds out whether there is more.
    pub(crate) fn complete(&self) {
        self.met.set(Some(self.pages.met()));
    }

    /// Returns whether a damaged page was met after the answer was complete.
    pub(crate) fn met_more(&self) -> bool {
        self.met.get().is_some_and(|met| met < self.pages.met())
    }

    /// Returns what was read through a handle that nothing else used, if it can be trusted.
    pub(crate) fn unless_damaged<T>(&self, read: Attempt<T>) -> Attempt<T> {
        match read {
            Err(Fault::Page { .. }) => read,
            Ok(_) if self.met.get() == Some(self.before.get()) => read,
            read => self.pages.require(self.before.get(), || None).and(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_where_its_number_says() {
        let geometry = Geometry { page: 4096, region_header: 0, region: 4 << 30 };
        assert_eq!(geometry.offset(0), Some(4096));
        assert_eq!(geometry.offset(5), Some(6 * 4096));
        // The third page of four small ones, in the second region.
        assert_eq!(geometry.offset((2 << 59) | (1 << 20) | 3), Some((4 << 30) + 4096 + 3 * 4 * 4096));
        assert_eq!(geometry.offset(21 << 59), None);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for content in [
            PageContent { is_own: false, is_of_tables: true, key: None, value: None },
            PageContent { is_own: true, is_of_tables: false, key: Some(16), value: None },
            PageContent { is_own: true, is_of_tables: false, key: None, value: Some(usize::MAX) },
        ] {
            for first in [LEAF, BRANCH, 0, 3] {
                for fill in [0, 1, 0x7f, 0xff] {
                    for length in [0, 1, 3, 4, 8, 40, 4096] {
                        let mut bytes = vec![fill; length];
                        bytes.iter_mut().take(1).for_each(|byte| *byte = first);
                        let _ = used(&bytes, content);
                        let _ = children(&bytes, content);
                    }
                }
            }
        }
    }
}
