//! What a backend knows to check about the store at a location.

use nofx_core::Result;

use crate::Location;

/// Something about a store that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The thing: a file of the store, a record, a log.
    pub thing: String,
    /// What is wrong with it.
    pub what: String,
    /// Whether something that was stored cannot be read. Otherwise nothing is lost.
    pub is_damage: bool,
}

impl Finding {
    /// Says what is wrong with a thing so that it cannot be read.
    pub fn damage(thing: impl Into<String>, what: impl Into<String>) -> Self {
        Self { thing: thing.into(), what: what.into(), is_damage: true }
    }
}

/// Lists what the backend of a location finds wrong below what a [`Store`](crate::Store) can see, such as files that are damaged
/// or strange. Changes nothing.
///
/// Finds nothing where a backend has no check of its own: what is damaged then shows when it is read.
pub async fn check(location: &Location) -> Result<Vec<Finding>> {
    match location.scheme() {
        #[cfg(feature = "fs")]
        "fs" => {
            let backend = crate::open::open_fs(location, &crate::Options::existing()).await?;
            let found = backend.check().await;
            nofx_core::PersistenceBackend::close(&backend).await?;
            let told = |found: nofx_fs::Finding| Finding {
                thing: found.path.display().to_string(),
                what: found.what,
                is_damage: found.severity == nofx_fs::Severity::Damage,
            };
            Ok(found?.into_iter().map(told).collect())
        }
        _ => location.unsupported().map_or(Ok(Vec::new()), Err),
    }
}
