//! Compacts the store at a location.

use std::fs;
use std::path::Path;

use nofx_core::Result;

use crate::Location;

/// The size limit, in bytes, up to which a store is compacted after it was filled. In a larger store, the next writes would need the saved
/// space again (docs/decisions/migration-by-things.md).
const COMPACTED: u64 = 16 << 20;

/// Compacts the store at a location, which is worth it after it was filled. Returns whether this kind of store can be compacted.
/// Conversations are recompressed only in files of up to 8 MiB.
///
/// Takes up to the time of rewriting the store. The store must exist; it may be open in this process.
pub async fn compact(location: &Location) -> Result<bool> {
    let Some(shrink) = &location.backend()?.shrink else { return Ok(false) };
    (shrink.compact)(location).await.map(|()| true)
}

/// Returns the space of removed data to the file system, for stores that do not do that continuously.
///
/// The store must exist; it may be open in this process.
pub async fn give_back(location: &Location) -> Result<()> {
    match &location.backend()?.shrink {
        Some(shrink) => (shrink.give_back)(location).await,
        None => Ok(()),
    }
}

/// Makes the store at a location smaller after a migration, a load or a copy has filled it, as far as that is worth it. Returns whether it
/// was compacted.
///
/// A store of up to 16 MiB is compacted, unless it is not new and was compacted before: so a run after an interrupted one completes its
/// work. A larger store only returns its free space to the file system, and only if it is new. Otherwise as [`compact`].
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

/// Returns whether a store was compacted before, or is of a kind that [`compact`] does nothing for.
async fn was_compacted(location: &Location) -> Result<bool> {
    match &location.backend()?.shrink {
        Some(shrink) => (shrink.was_compacted)(location).await,
        None => Ok(true),
    }
}

/// Returns the total size in bytes of a store's files, if it is on this machine. Files that cannot be examined count as zero.
pub(crate) fn bytes_at(location: &Location) -> Option<u64> {
    let path = location.path()?;
    Some(bytes_below(path) + location.parts().map(|part| bytes_below(&part)).sum::<u64>())
}

/// Returns the size in bytes of a file, or of all files in a folder together.
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
