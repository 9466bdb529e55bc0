//! Plain redb, without our code.

use std::path::Path;

use redb::{Builder, ConcurrencyMode, Database, ReadableTable, TableDefinition};

use super::MESSAGE;
use crate::Result;

const ROWS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("rows");

#[derive(Debug)]
pub(in crate::bench::measured) struct BareRedb(Database);

impl BareRedb {
    pub(in crate::bench::measured) fn create(path: &Path) -> Result<Self> {
        let mut builder = Builder::new();
        builder.set_concurrency_mode(ConcurrencyMode::SingleWriter).set_cache_size(32 << 20);
        Ok(Self(builder.create(path)?))
    }

    /// Inserts one row for each session in one transaction.
    pub(in crate::bench::measured) fn insert(&self, sessions: u64) -> Result<u64> {
        let transaction = self.0.begin_write()?;
        {
            let mut rows = transaction.open_table(ROWS)?;
            for session in 0..sessions {
                let last = rows.range((session, 0)..(session + 1, 0))?.next_back().transpose()?;
                let position = last.map_or(0, |(key, _)| key.value().1 + 1);
                rows.insert((session, position), [b'x'; MESSAGE].as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(sessions)
    }
}
