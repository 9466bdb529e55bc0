//! A database for one run: what grows with the number of files is in it, not in memory.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::error::MigrateError;

/// How many rows to fetch at once when many are read.
pub(crate) const PAGE_ROWS: usize = 128;

/// How much of the database is in memory, in KiB.
const CACHE_KIB: u32 = 8 << 10;

/// How many statements are kept ready.
const STATEMENTS: usize = 32;

/// A database without a name, in the system's folder for temporary files. It is gone when the process ends, however it ends.
pub(crate) struct TempDatabase(Mutex<Connection>);

impl fmt::Debug for TempDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl TempDatabase {
    /// Creates a database with these tables.
    pub(crate) fn new(tables: &str) -> Result<Self, MigrateError> {
        let make = || {
            // Without a name, SQLite creates a file that is removed while it is open.
            let connection = Connection::open("")?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            connection.execute_batch(&format!(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB};"
            ))?;
            // It is never committed: nothing has to outlive this run.
            connection.execute_batch(&format!("{tables}; BEGIN"))?;
            Ok(connection)
        };
        make().map(|connection| Self(Mutex::new(connection))).map_err(failed)
    }

    /// Does something with the database while other callers wait.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, MigrateError> {
        act(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).map_err(failed)
    }
}

fn failed(error: rusqlite::Error) -> MigrateError {
    MigrateError::TemporaryFile(Arc::new(io::Error::other(error)))
}

/// Visits rows that are fetched a page at a time: `fetch` returns those after a number, each with its own, in order.
pub(crate) fn paged<T, E>(
    mut fetch: impl FnMut(i64) -> Result<Vec<(i64, T)>, E>,
) -> impl Iterator<Item = Result<T, E>> {
    let (mut page, mut last) = (Vec::new().into_iter(), Some(0));
    std::iter::from_fn(move || {
        if page.len() == 0 {
            match fetch(last?) {
                Ok(rows) => {
                    last = rows.last().filter(|_| rows.len() == PAGE_ROWS).map(|(number, _)| *number);
                    page = rows.into_iter();
                }
                Err(error) => {
                    last = None;
                    return Some(Err(error));
                }
            }
        }
        page.next().map(|(_, row)| Ok(row))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_fetched_once_and_an_error_ends_it() {
        for count in [0, 1, PAGE_ROWS as i64, PAGE_ROWS as i64 + 1, 1000] {
            let fetch = |last: i64| {
                let rows = (last + 1..=count).take(PAGE_ROWS).map(|number| (number, number));
                Ok::<_, ()>(rows.collect())
            };
            let all: Result<Vec<i64>, ()> = paged(fetch).collect();
            assert_eq!(all, Ok((1..=count).collect()));
        }
        let fails =
            |last: i64| if last == 0 { Ok((1..=128).map(|number| (number, number)).collect()) } else { Err(()) };
        assert_eq!(paged(fails).map(|row| row.is_ok()).collect::<Vec<_>>(), [vec![true; 128], vec![false]].concat());
    }
}
