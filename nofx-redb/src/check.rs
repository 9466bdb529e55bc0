//! Reading every page of a store's tables, to find the damaged ones.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::fault::{Attempt, contain};
use crate::store::OpenStore;
use crate::tables::{ALL, Definition};

/// A damaged page of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct DamagedPage {
    /// The offset in the file at which it begins.
    pub at: u64,
    /// Whether data cannot be read because of it. Otherwise it only led to other pages and could be reconstructed from
    /// them; a commit that passes through it rewrites it.
    pub hides: bool,
}

impl OpenStore {
    /// Reads every page of the store's tables and returns the damaged ones. Does not find those below a page that hides
    /// them.
    pub(crate) fn damaged_pages(&self) -> Attempt<BTreeSet<DamagedPage>> {
        let mut damaged = BTreeSet::new();
        for table in ALL {
            let mut after = None;
            while let Some(last) = self.read_some(table, after.take(), &mut damaged)? {
                after = Some(last);
            }
        }
        Ok(damaged)
    }

    /// Reads the rows of a table after a key, until so many pages are remembered that the file should be opened again.
    /// Returns the key of the last row in that case.
    fn read_some(
        &self,
        table: Definition,
        after: Option<Vec<u8>>,
        damaged: &mut BTreeSet<DamagedPage>,
    ) -> Attempt<Option<Vec<u8>>> {
        let source = self.alone()?;
        let read = contain(|| {
            let after = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            for row in source.begin_read()?.open_table(table)?.range::<&[u8]>((after, Bound::Unbounded))? {
                let (key, _) = row?;
                if source.pages().are_many() {
                    return Ok(Some(key.value().to_vec()));
                }
            }
            Ok(None)
        });
        let met = source.pages().damaged();
        // If rows cannot be found because of a damaged page, that page is reported instead.
        let read = if met.is_empty() { read? } else { read.unwrap_or_default() };
        damaged.extend(met.into_iter().map(|at| DamagedPage { at, hides: true }));
        damaged.extend(source.pages().mended().into_iter().map(|at| DamagedPage { at, hides: false }));
        Ok(read)
    }
}
