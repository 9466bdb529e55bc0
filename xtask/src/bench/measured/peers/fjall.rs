//! fjall: a log-structured store in Rust.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::MESSAGE;
use crate::Result;

pub(in crate::bench::measured) struct Fjall {
    database: Database,
    rows: Keyspace,
    inserted: u64,
}

impl Fjall {
    pub(in crate::bench::measured) fn create(path: &Path) -> Result<Self> {
        let database = Database::builder(path).open()?;
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default)?;
        Ok(Self { database, rows, inserted: 0 })
    }

    /// Inserts one row for each session and flushes once.
    pub(in crate::bench::measured) fn insert(&mut self, sessions: u64) -> Result<u64> {
        for session in 0..sessions {
            let key = [session.to_be_bytes(), self.inserted.to_be_bytes()].concat();
            self.rows.insert(key, [b'x'; MESSAGE])?;
        }
        self.inserted += 1;
        // The data and what is needed to find it: what fdatasync makes durable.
        self.database.persist(PersistMode::SyncData)?;
        Ok(sessions)
    }
}
