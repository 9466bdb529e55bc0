//! Making the store at a location small.

use std::fs;
use std::path::Path;

#[cfg(feature = "redb")]
use nofx_core::PersistenceBackend;
use nofx_core::Result;

use crate::Location;
#[cfg(feature = "redb")]
use crate::Options;
use crate::neighbours::journal_of;
#[cfg(feature = "redb")]
use crate::open::open_redb;

/// The most bytes of a store that is made small once it was filled. What would be saved in a larger one is needed again by what is
/// written next (docs/decisions/migration-by-things.md).
const COMPACTED: u64 = 16 << 20;

/// Makes the store at a location small, which pays after it was filled. Returns whether there was something to do. Conversations are
/// compressed again only in files of up to 8 MiB.
///
/// Takes up to the time of rewriting the store. The store must exist; it may be open in this process.
pub async fn compact(location: &Location) -> Result<bool> {
    match location.scheme() {
        #[cfg(feature = "redb")]
        "redb" => {
            let backend = open_redb(location, &Options::existing()).await?;
            let compacted = backend.compact().await;
            backend.close().await?;
            compacted.map(|()| true)
        }
        // The others keep themselves small.
        _ => location.unsupported().map_or(Ok(false), Err),
    }
}

/// Gives back to the file system what was removed from the store at a location, where that is not done in passing.
///
/// The store must exist; it may be open in this process.
pub async fn give_back(location: &Location) -> Result<()> {
    match location.scheme() {
        #[cfg(feature = "redb")]
        "redb" => {
            let backend = open_redb(location, &Options::existing()).await?;
            let given = backend.give_back().await;
            backend.close().await?;
            given
        }
        _ => location.unsupported().map_or(Ok(()), Err),
    }
}

/// Makes the store at a location as small as pays once it was filled, by a migration, a load or a copy. Returns whether it was compacted.
///
/// A store of up to 16 MiB is compacted, unless it is not new and that was done before: so this goes on where something that
/// was interrupted had begun. A larger one that is new only gives back what is free in it. Otherwise as [`compact`].
pub async fn settle(location: &Location, is_new: bool) -> Result<bool> {
    if bytes_at(location).is_some_and(|bytes| bytes > COMPACTED) {
        if is_new {
            give_back(location).await?;
        }
        return Ok(false);
    }
    if !is_new && was_compacted(location).await? {
        return Ok(false);
    }
    compact(location).await
}

/// Returns whether [`compact`] was done to a store before, or has nothing to do there.
async fn was_compacted(location: &Location) -> Result<bool> {
    match location.scheme() {
        #[cfg(feature = "redb")]
        "redb" => {
            let backend = open_redb(location, &Options::existing()).await?;
            let was_compacted = backend.was_compacted().await;
            backend.close().await?;
            was_compacted
        }
        _ => Ok(true),
    }
}

/// Returns how many bytes the files of a store have together, if it is in a place of this machine. What cannot be looked at counts nothing.
pub(crate) fn bytes_at(location: &Location) -> Option<u64> {
    let path = location.path()?;
    let journal = if location.scheme() == "redb" { bytes_below(&journal_of(path)) } else { 0 };
    Some(bytes_below(path) + journal)
}

/// Returns how many bytes a file has, or all files in a folder together.
fn bytes_below(path: &Path) -> u64 {
    let mut bytes = 0;
    let mut paths = vec![path.to_owned()];
    while let Some(path) = paths.pop() {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                paths.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
            Ok(found) => bytes += found.len(),
            Err(_) => {}
        }
    }
    bytes
}
