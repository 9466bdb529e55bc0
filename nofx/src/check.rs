//! Checks and repairs that need the backend of a location.

use nofx_core::{Batch, Error, Expect, RecordKey, Repair, Repaired, Result, Store};

use crate::{Location, Options, open_with};

/// A problem that was found in a store.
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
    /// Returns a finding about a thing that cannot be read.
    pub fn damage(thing: impl Into<String>, what: impl Into<String>) -> Self {
        Self { thing: thing.into(), what: what.into(), is_damage: true }
    }
}

/// Repairs the store at a location as far as that is possible without inventing anything, and reports what was done. Nothing unreadable is
/// overwritten or removed. Call it while no other program has the store open.
///
/// Repairs that would lose data are not made but listed in [`Repaired::losses`]. With `gives_up`, which a person has to decide, they are
/// made.
///
/// - A store in a folder: derived data is rebuilt. What cannot be read and is in the way is moved to a folder inside the store.
/// - A store in one file: the file is recovered after a crash, and redb's own structures are checked. Values that cannot be read stay where
///   they are; reading names them. Its journal, if it has one, continues after its unreadable part.
/// - A store in object storage: a lost checkpoint is rebuilt from an older one. Unreadable commits that prevent new commits can be given
///   up.
///
/// `Invalid` for other stores, which have nothing to repair.
pub async fn repair(location: &Location, gives_up: bool) -> Result<Repaired> {
    let Some(repair) = location.backend()?.repair else {
        let scheme = location.scheme();
        return Err(Error::invalid(format!("a `{scheme}:` store has nothing that can be repaired in place")));
    };
    repair(location, gives_up).await
}

/// Gives up records that cannot be read, on any store: it no longer lists them. Either all of them or none, and nothing else: logs with the
/// same id are kept.
///
/// `Invalid` for a record that can be read, or that the store does not list.
pub async fn forget(location: &Location, keys: &[RecordKey]) -> Result<Vec<Repair>> {
    let store = open_with(location, Options::existing()).await?;
    let forgotten = forget_in(&store, keys).await;
    store.close().await?;
    forgotten
}

async fn forget_in(store: &Store, keys: &[RecordKey]) -> Result<Vec<Repair>> {
    let mut batch = Batch::new(store.sources().batch_id());
    let mut forgotten = Vec::new();
    for key in keys {
        match store.get(std::slice::from_ref(key)).await {
            Err(error @ Error::Corrupt(_)) => {
                let what = format!("{}; the store no longer lists it", error.chain());
                forgotten.push(Repair { thing: key.to_string(), what, aside: None });
            }
            Ok(found) if found.iter().all(Option::is_none) => {
                return Err(Error::invalid(format!("the store lists no {key}, so there is nothing to forget")));
            }
            Ok(_) => {
                return Err(Error::invalid(format!(
                    "{key} can be read; only records that cannot be read are forgotten"
                )));
            }
            Err(error) => return Err(error),
        }
        batch = batch.delete(key.clone(), Expect::Any);
    }
    store.commit(batch).await?;
    Ok(forgotten)
}

/// Lists problems that only the backend of a location can see, below a [`Store`](crate::Store), such as damaged or unexpected files.
/// Changes nothing.
///
/// Finds nothing if a backend has no check of its own: damage then shows when data is read.
pub async fn check(location: &Location) -> Result<Vec<Finding>> {
    match location.backend()?.check {
        Some(check) => check(location).await,
        None => Ok(Vec::new()),
    }
}
