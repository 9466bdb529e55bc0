//! Giving a store that is complete the name that it is to have.

use std::fs;
use std::io;
use std::path::Path;

use crate::behind;
use crate::fault::{Attempt, Fault};
use crate::options::Options;
use crate::place::{self, Turnstile};
use crate::store::Shared;
use nofx_core::{Deadline, Error, Result};

/// Gives the store in a file another name, unless something has that.
///
/// Two things cannot be renamed in one step, so a journal is not moved. The file takes in everything in it and records that it is complete; the next
/// commit begins a journal at the new place.
pub(crate) fn publish(made: &Path, path: &Path) -> Result<bool> {
    let shared = Shared::open(made, Options { create: false, ..Options::default() })?;
    if shared.has_journal {
        behind::engine(&shared).complete()?;
    }
    // What is renamed is open nowhere.
    shared.let_go();
    let cannot = |error| Error::unavailable_because(format!("opening `{}`", path.display()), error);
    let path = place::canonical(path).map_err(cannot)?;
    let published = publish_to(&shared, &path);
    published.map_err(|fault| fault.told(&path, "creating"))
}

fn publish_to(shared: &Shared, path: &Path) -> Attempt<bool> {
    let deadline = Deadline::after(shared.door.options.lock_wait);
    // As those who make a store there: none of them begins a journal as long as this process has it.
    let Some(_turnstile) = Turnstile::enter(path, &deadline)? else {
        return Err(redb::Error::DatabaseAlreadyOpen.into());
    };
    if fs::symlink_metadata(path).is_ok() {
        return Ok(false);
    }
    behind::refuse_orphan(path).map_err(Fault::Told)?;
    if shared.has_journal {
        // One without commits, left by an interrupted attempt, would be taken for this store's.
        behind::discard(path).map_err(Fault::Told)?;
    }
    match place::publish(&shared.door.path, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        published => Ok(published.map(|()| true)?),
    }
}
