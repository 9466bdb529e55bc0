//! Counts requests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum number of objects on one page of a listing.
const LISTED_AT_ONCE: usize = 1000;

/// Counts the requests that stores make; clones share the counts.
///
/// A retried request counts again. A listing counts once for each thousand objects, as it is billed, and each deleted
/// object counts.
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
    /// Returns how many creates were requested.
    pub fn puts(&self) -> u64 {
        self.0.puts.load(Ordering::Relaxed)
    }

    /// Returns how many reads of objects, or parts of them, were requested.
    pub fn gets(&self) -> u64 {
        self.0.gets.load(Ordering::Relaxed)
    }

    /// Returns how many pages of listings were requested.
    pub fn lists(&self) -> u64 {
        self.0.lists.load(Ordering::Relaxed)
    }

    /// Returns how many deletes were requested.
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

/// Writes all four on one line.
impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (puts, gets, lists) = (self.puts(), self.gets(), self.lists());
        write!(f, "{puts} PUT, {gets} GET, {lists} LIST, {} DELETE", self.deletes())
    }
}
