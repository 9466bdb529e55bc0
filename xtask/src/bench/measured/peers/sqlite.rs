//! SQLite as a peer: a write-ahead log, flushed with each commit.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nofx_core::Deadline;
use rusqlite::{Connection, params};

use super::MESSAGE;
use crate::Result;
use crate::bench::measured::round::Turn;

/// A database and the connections of its writers.
#[derive(Debug)]
pub(in crate::bench::measured) struct Sqlite(Vec<Mutex<Connection>>);

impl Sqlite {
    pub(in crate::bench::measured) fn open(path: &Path, writers: u64) -> Result<Self> {
        let connections = (0..writers).map(|_| {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(60))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute(
                "CREATE TABLE IF NOT EXISTS entries (log INTEGER, position INTEGER, body BLOB, PRIMARY KEY (log, position)) \
                 WITHOUT ROWID",
                [],
            )?;
            Ok(Mutex::new(connection))
        });
        Ok(Self(connections.collect::<rusqlite::Result<_>>()?))
    }

    /// Inserts one row for each session in one transaction of the first connection.
    pub(in crate::bench::measured) fn insert(&self, sessions: u64) -> Result<u64> {
        if let Some(connection) = self.0.first() {
            insert(&mut connection.lock().unwrap_or_else(PoisonError::into_inner), 0..sessions)?;
        }
        Ok(sessions)
    }

    /// Fills a session with messages, all in one transaction.
    pub(in crate::bench::measured) fn fill(&self, session: i64, messages: &[String]) -> Result {
        let Some(connection) = self.0.first() else { return Ok(()) };
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        for (position, said) in (0_i64..).zip(messages) {
            transaction.execute("INSERT INTO entries VALUES (?1, ?2, ?3)", params![session, position, said])?;
        }
        Ok(transaction.commit()?)
    }

    /// Lets each connection insert rows, one per transaction, until the turn is over.
    pub(in crate::bench::measured) fn insert_by_all(&self, turn: Duration) -> Result<Turn> {
        let clock = Deadline::after(turn);
        let operations = thread::scope(|scope| {
            let writers = self.0.iter().zip(0_u64..).map(|(connection, session)| {
                scope.spawn(move || {
                    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut operations = 0;
                    while !clock.has_passed() {
                        insert(&mut connection, session..session + 1)?;
                        operations += 1;
                    }
                    Ok::<u64, rusqlite::Error>(operations)
                })
            });
            let writers: Vec<_> = writers.collect();
            writers.into_iter().map(|writer| writer.join().map_err(|_| "a writer panicked")).collect::<Vec<_>>()
        });
        let mut all = 0;
        for operations in operations {
            all += operations??;
        }
        Ok(Turn { operations: all, took: clock.elapsed(), ..Turn::default() })
    }
}

fn insert(connection: &mut Connection, sessions: std::ops::Range<u64>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO entries SELECT ?1, coalesce(max(position), -1) + 1, ?2 FROM entries WHERE log = ?1",
        )?;
        for session in sessions {
            insert.execute(params![session as i64, [b'x'; MESSAGE].as_slice()])?;
        }
    }
    transaction.commit()
}
