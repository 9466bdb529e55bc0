//! Loads a full dump.

use std::io::BufRead;

use futures_util::TryStreamExt;
use nofx_core::{LogKey, LogScan, LogState, ScanQuery, Store};

use super::full::FullDump;
use super::lines::{Item, Lines, Step};
use crate::filling::Filling;

/// Why a full dump could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] nofx_core::Error),
    /// The dump could not be read.
    #[error("line {line} of the dump cannot be read")]
    Read {
        /// The line, from one.
        line: u64,
        /// The underlying error.
        source: std::io::Error,
    },
    /// The dump is not, or no longer, what [`dump_full`](crate::dump_full) wrote.
    #[error("line {line} of the dump {what}")]
    Damaged {
        /// The line, from one.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The store holds something already.
    #[error("the store is not empty: it holds {0}")]
    NotEmpty(String),
}

/// Fills an empty store with the content of a full dump, so that a full dump of the store has the same bytes.
///
/// Reads line by line and holds one batch in memory. Only the last line shows whether the dump is complete: if this fails, the store
/// may hold a part and should be discarded. A caller that can read the input twice should call [`check_dump`] first.
pub async fn load(input: &mut impl BufRead, store: &Store) -> Result<FullDump, LoadError> {
    if let Some(found) = anything_in(store).await? {
        return Err(LoadError::NotEmpty(found));
    }
    let mut lines = Lines::new(input)?;
    let mut filling = Filling::new(store);
    let mut log: Option<(LogKey, LogState, u64)> = None;
    loop {
        match lines.step()? {
            Step::Item(Item::Record(key, body)) => filling.put(key, body).await?,
            Step::Item(Item::Log(key, LogState::Sealed, 0)) => filling.seal(key).await?,
            Step::Item(Item::Log(key, state, length)) => log = Some((key, state, length)),
            Step::Item(Item::Entry(position, entry)) => {
                let Some((key, state, length)) = &log else { continue };
                filling.append(key, position, entry).await?;
                if *state == LogState::Sealed && position + 1 == *length {
                    filling.seal(key.clone()).await?;
                }
            }
            Step::End(full) => {
                filling.finish().await?;
                return Ok(full);
            }
        }
    }
}

/// Reads a full dump to its end without loading it, and checks whether it is complete.
pub fn check_dump(input: &mut impl BufRead) -> Result<FullDump, LoadError> {
    let mut lines = Lines::new(input)?;
    loop {
        if let Step::End(full) = lines.step()? {
            return Ok(full);
        }
    }
}

/// Returns the name of something that a store holds, or `None` if it is empty.
pub async fn anything_in(store: &Store) -> nofx_core::Result<Option<String>> {
    if let Some(record) = store.scan(ScanQuery::all(1)).try_next().await? {
        return Ok(Some(record.key.to_string()));
    }
    let log = store.logs(LogScan::all(1)).try_next().await?;
    Ok(log.map(|head| format!("log {}", head.log)))
}
