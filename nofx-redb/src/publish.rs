//! Giving a store that is complete the name that it is to have.

use std::fs;
use std::io;
use std::path::Path;

use nofx_core::{Deadline, Error, Result};
use nofx_journal::base::{Base, Mark};

use crate::behind;
use crate::fault::{Attempt, Fault};
use crate::options::Options;
use crate::place::{self, Turnstile};
use crate::store::Shared;

/// Gives the store in a file another name, unless something has that.
///
/// Two things cannot be renamed in one step, so a journal is not moved. Everything in it is laid down in the file; then an empty journal is begun
/// at the new place, behind what the file holds; then the file gets its name. What is left by a crash before that is an empty journal, which the next
/// one to make a store there takes away.
pub(crate) fn publish(made: &Path, path: &Path) -> Result<bool> {
    let shared = Shared::open(made, Options { create: false, ..Options::default() })?;
    let applied = if shared.has_journal { Some(applied(&shared)?) } else { None };
    // What is renamed is open nowhere.
    shared.let_go();
    let cannot = |error| Error::unavailable_because(format!("opening `{}`", path.display()), error);
    let path = place::canonical(path).map_err(cannot)?;
    let published = publish_applied(&shared, applied, &path);
    published.map_err(|fault| fault.told(&path, "creating"))
}

/// Brings the file up to date with its journal, and returns how far that is.
fn applied(shared: &std::sync::Arc<Shared>) -> Result<Mark> {
    behind::engine(shared).complete()?;
    Ok(behind::base(shared).snapshot()?.mark())
}

fn publish_applied(shared: &Shared, applied: Option<Mark>, path: &Path) -> Attempt<bool> {
    let deadline = Deadline::after(shared.door.options.lock_wait);
    // As those who make a store there: none of them begins a journal as long as this process has it.
    let Some(_turnstile) = Turnstile::enter(path, &deadline)? else {
        return Err(redb::Error::DatabaseAlreadyOpen.into());
    };
    if fs::symlink_metadata(path).is_ok() {
        return Ok(false);
    }
    behind::refuse_orphan(path).map_err(Fault::Told)?;
    if let Some(mark) = applied {
        behind::create(path, shared.meta.store, &mark, &shared.door.options).map_err(Fault::Told)?;
    }
    match place::publish(&shared.door.path, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        published => Ok(published.map(|()| true)?),
    }
}
