//! How many requests were made.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most objects that one page of a listing has.
const LISTED_AT_ONCE: usize = 1000;

/// Counts the requests that stores make; clones count together.
///
/// A request that is made again counts again. A listing counts once for each thousand objects, as it does in bills, and each object that
/// is deleted counts.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    puts: AtomicU64,
    gets: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
}

impl Requests {
    /// Returns how many objects were to be created.
    pub fn puts(&self) -> u64 {
        self.0.puts.load(Ordering::Relaxed)
    }

    /// Returns how many objects, or parts of them, were asked for.
    pub fn gets(&self) -> u64 {
        self.0.gets.load(Ordering::Relaxed)
    }

    /// Returns how many pages of listings were asked for.
    pub fn lists(&self) -> u64 {
        self.0.lists.load(Ordering::Relaxed)
    }

    /// Returns how many objects were to be deleted.
    pub fn deletes(&self) -> u64 {
        self.0.deletes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_put(&self) {
        self.0.puts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_get(&self) {
        self.0.gets.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_list(&self, found: usize) {
        self.0.lists.fetch_add(found.div_ceil(LISTED_AT_ONCE).max(1) as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_deletes(&self, deleted: usize) {
        self.0.deletes.fetch_add(deleted as u64, Ordering::Relaxed);
    }
}

/// Writes all four in one line.
impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (puts, gets, lists) = (self.puts(), self.gets(), self.lists());
        write!(f, "{puts} PUT, {gets} GET, {lists} LIST, {} DELETE", self.deletes())
    }
}
