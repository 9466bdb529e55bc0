//! What a backend knows to check about the store at a location.

use nofx_core::{Error, Result};

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

/// Something that a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// The thing: a file of the store.
    pub thing: String,
    /// What was wrong with it, and what was done about it.
    pub what: String,
    /// Where it, or what could not be read of it, is kept now.
    pub aside: Option<String>,
}

/// Repairs the store at a location as far as that is possible without inventing anything, and says what was done. Nothing that
/// cannot be read is overwritten or removed. To be called while no other program has the store open.
///
/// - A store in a folder: what is derived is made again, and what cannot be read is moved to a folder inside the store.
/// - A store in one file: the file is brought into order after a crash, and redb's own structures are checked. Values that
///   cannot be read stay where they are; reading names them.
///
/// `Invalid` for other stores, which have nothing of the kind.
pub async fn repair(location: &Location) -> Result<Vec<Repair>> {
    match location.scheme() {
        #[cfg(feature = "fs")]
        "fs" => {
            let path = location.path().unwrap_or(std::path::Path::new(""));
            let told = |done: nofx_fs::Repair| Repair {
                thing: done.path.display().to_string(),
                what: done.what,
                aside: done.aside.map(|aside| aside.display().to_string()),
            };
            let repairs = nofx_fs::FsBackend::repair(path, nofx_fs::Options::default()).await?;
            Ok(repairs.into_iter().map(told).collect())
        }
        #[cfg(feature = "redb")]
        "redb" => {
            let backend = crate::open::open_redb(location, &crate::Options::existing()).await?;
            let repaired = backend.repair().await;
            nofx_core::PersistenceBackend::close(&backend).await?;
            let what = "its pages did not fit together, and redb has repaired them";
            let thing = location.path().unwrap_or(std::path::Path::new("")).display().to_string();
            Ok(repaired?.then(|| Repair { thing, what: what.to_owned(), aside: None }).into_iter().collect())
        }
        scheme => Err(location.unsupported().unwrap_or_else(|| {
            Error::invalid(format!("there is nothing to repair in place in a store of `{scheme}:`"))
        })),
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
