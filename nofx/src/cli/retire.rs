//! Moves the content of a legacy folder aside, once everything in it is in a store. Nothing is deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nofx_platform::{flush_folder, remove_folder, replace};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::text::shown;
use crate::neighbours::with_suffix;

/// The folder that stays where it is: it holds a store.
const STORE: &str = "store";

/// Moves the content of a legacy folder into a new folder beside it, and returns that folder; `None` if there is nothing to move.
pub(super) fn retire(folder: &Path) -> Result<Option<PathBuf>> {
    let nothing_moved = |what: &Path, error: &io::Error| {
        let message = format!("everything is migrated, but `{}` cannot be moved: {error}", shown(what));
        let hint = match error.kind() {
            io::ErrorKind::CrossesDevices => {
                "nothing was moved: the folder is on a file system of its own; move its content yourself"
            }
            _ => "nothing was moved: change the permissions and run the command again",
        };
        Fault::new(Exit::Forbidden, message, hint)
    };
    let entries = entries(folder).map_err(|error| nothing_moved(folder, &error))?;
    if entries.is_empty() {
        return Ok(None);
    }
    let aside = make_aside(folder).map_err(|error| nothing_moved(folder, &error))?;
    let partly = |what: &Path, error: &io::Error| {
        let message = format!("everything is migrated, but `{}` cannot be moved: {error}", shown(what));
        let hint = format!("what was moved is in `{}`; run the command again to move the rest", shown(&aside));
        Fault::new(Exit::Forbidden, message, hint)
    };
    for (moved, name) in entries.iter().enumerate() {
        let from = folder.join(name);
        if let Err(error) = replace(&from, &aside.join(name)) {
            if moved > 0 {
                return Err(partly(&from, &error));
            }
            _ = remove_folder(&aside);
            return Err(nothing_moved(&from, &error));
        }
    }
    for changed in [&aside, folder] {
        // The moved names are durable once both folders are flushed.
        flush_folder(changed).map_err(|error| partly(changed, &error))?;
    }
    Ok(Some(aside))
}

fn entries(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| name != STORE);
    names.sort();
    Ok(names)
}

/// Creates a folder under a name that was free.
fn make_aside(folder: &Path) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let suffix = if number == 1 { ".retired".to_owned() } else { format!(".retired-{number}") };
        let aside = with_suffix(folder, &suffix);
        match fs::create_dir(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| aside),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
