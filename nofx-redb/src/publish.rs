//! Giving a complete store its final name.

use std::fs;
use std::io;
use std::path::Path;

use crate::base;
use crate::fault::{Attempt, Fault};
use crate::file::{self, Turnstile};
use crate::options::Options;
use crate::store::OpenStore;
use nofx_core::{Deadline, Error, Result};

/// Renames the store in a file, unless the new name is taken.
///
/// Two things cannot be renamed in one step, so the journal is not moved. The file takes in all of it and records that
/// it is complete; the next commit starts a journal at the new place.
pub(crate) fn publish(made: &Path, path: &Path) -> Result<bool> {
    let shared = OpenStore::open(made, Options { create: false, ..Options::default() })?;
    if shared.has_journal {
        base::engine(&shared).complete()?;
    }
    // A file must not be open while it is renamed.
    shared.let_go();
    let cannot = |error| Error::unavailable_because(format!("opening `{}`", path.display()), error);
    let path = file::canonical(path).map_err(cannot)?;
    let published = publish_to(&shared, &path);
    published.map_err(|fault| fault.into_error(&path, "creating"))
}

fn publish_to(shared: &OpenStore, path: &Path) -> Attempt<bool> {
    let deadline = Deadline::after(shared.opener.options.lock_wait);
    // As when a store is created there: no other process starts a journal while this one has the turnstile.
    let Some(_turnstile) = Turnstile::enter(path, &deadline)? else {
        return Err(redb::Error::DatabaseAlreadyOpen.into());
    };
    if fs::symlink_metadata(path).is_ok() {
        return Ok(false);
    }
    base::refuse_orphan(path).map_err(Fault::Error)?;
    if shared.has_journal {
        // An empty journal that an interrupted attempt left would be taken for this store's.
        base::discard(path).map_err(Fault::Error)?;
    }
    match file::publish(&shared.opener.path, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        published => Ok(published.map(|()| true)?),
    }
}
