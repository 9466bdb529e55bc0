//! Upgrades the store at a location.

use nofx_core::Result;

use crate::Location;

/// Upgrades the store at a location to the newest format that this version writes. Returns whether it had an older one.
///
/// No program should have the store open: an open handle finds it [`Replaced`](nofx_core::Error::Replaced) afterwards. Older versions may
/// not be able to read the upgraded store, so make a backup first.
pub async fn upgrade(location: &Location) -> Result<bool> {
    match location.backend()?.upgrade {
        Some(upgrade) => upgrade(location).await,
        None => Ok(false),
    }
}
