//! Which store a command works on, and leaving nothing behind where one could not be made.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use nofx_core::workspace::Workspace;
use nofx_core::{Error, Store, Timestamp};

use super::exit::Exit;
use super::fault::{Fault, Result, chain};
use super::nearest::{USUAL, nearest};
use super::paths::{missing_folders, with_suffix};
use super::text::shown;
use crate::location::FORMS;
use crate::{Location, Options, open_with};

/// The environment's way to name a store.
const VARIABLE: &str = "NOFX_STORE";

/// The store to work on.
#[derive(Debug, clap::Args)]
pub struct StoreArg {
    /// Where the store is: `redb:PATH`, `fs:PATH`, `s3://BUCKET/PREFIX`.
    ///
    /// Without it: what the environment variable NOFX_STORE says; else the store in the nearest `.nofx/store` here or in a folder
    /// above; else, in a git worktree, the one of the checkout that it belongs to.
    #[arg(long, value_name = "LOCATION")]
    store: Option<OsString>,
}

impl StoreArg {
    /// Returns where the store is.
    pub(crate) fn location(&self) -> Result<Location> {
        if let Some(named) = &self.store {
            return parse(named);
        }
        if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            return parse(&named);
        }
        let here = std::env::current_dir().unwrap_or_default();
        let none = || {
            let message = format!("no store is named, and there is none in a `{USUAL}` in `{}` or above", shown(&here));
            Fault::new(Exit::NoStore, message, "name one with --store LOCATION, or make one with `nofx migrate`")
        };
        supported(nearest(&here).ok_or_else(none)?)
    }
}

/// Reads a location that this build can open.
pub(crate) fn parse(text: &OsStr) -> Result<Location> {
    let location = Location::from_os(text).map_err(|error| {
        let told = chain(&error);
        let why = told.trim_start_matches("invalid: ").split("; write").next().unwrap_or_default().to_owned();
        Fault::new(Exit::Malformed, why, format!("a location is {FORMS}"))
    })?;
    supported(location)
}

fn supported(location: Location) -> Result<Location> {
    let Some(error) = location.unsupported() else { return Ok(location) };
    let told = chain(&error);
    let why = told.trim_start_matches("invalid: ");
    Err(match location.missing_feature() {
        Some(feature) => Fault::new(Exit::LeftOut, why, format!("build the program with `--features {feature}`")),
        None => Fault::new(Exit::UnknownScheme, why, format!("a location is {FORMS}")),
    })
}

/// Opens a store that must be there, to read it.
pub(crate) async fn open_to_read(location: &Location) -> Result<Store> {
    open_existing(location, Options::read_only()).await
}

async fn open_existing(location: &Location, options: Options) -> Result<Store> {
    if let Some(path) = location.path() {
        if fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            let message = format!("there is no store at `{location}`");
            return Err(Fault::new(Exit::NoStore, message, "name one that exists, or make one with `nofx migrate`"));
        }
        refuse_another_shape(location, path)?;
    }
    open_with(location, options).await.map_err(|error| Fault::of_opening(&error, location))
}

/// A store that is there, as a workspace.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) location: Location,
    pub(crate) workspace: Workspace,
}

impl Opened {
    /// Opens a store to read it.
    pub(crate) async fn to_read(named: &StoreArg) -> Result<Self> {
        let location = named.location()?;
        let workspace = Workspace::new(open_to_read(&location).await?);
        Ok(Self { location, workspace })
    }

    /// Opens a store to change something in it.
    pub(crate) async fn to_write(named: &StoreArg) -> Result<Self> {
        let location = named.location()?;
        let store = open_existing(&location, Options::existing()).await?;
        refuse_read_only(&store, &location)?;
        Ok(Self { location, workspace: Workspace::new(store) })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.workspace.store().sources().now()
    }

    /// Reading or writing it failed.
    pub(crate) fn fault(&self, error: &Error) -> Fault {
        Fault::of_store(error, &self.location)
    }

    pub(crate) async fn close(&self) -> Result<()> {
        self.workspace.store().close().await.map_err(|error| self.fault(&error))
    }
}

fn refuse_read_only(store: &Store, location: &Location) -> Result<()> {
    let Some(reason) = store.info().read_only else { return Ok(()) };
    let message = format!("`{location}` can only be read: {reason}");
    Err(match reason.contains("newer version") {
        true => Fault::new(Exit::TooNew, message, "use a newer version of this program"),
        false => Fault::new(Exit::Forbidden, message, "give yourself permission, or choose another place"),
    })
}

/// A store that is filled.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) location: Location,
    pub(crate) store: Store,
    /// What did not exist before: the folders above the store, if it did not exist itself.
    made: Option<Vec<PathBuf>>,
}

impl Target {
    /// Opens a store to fill it, making it if there is none.
    pub(crate) async fn open(location: Location) -> Result<Self> {
        let made = location.path().filter(|path| fs::symlink_metadata(path).is_err()).map(missing_folders);
        if let Some(path) = location.path() {
            refuse_another_shape(&location, path)?;
        }
        match open_with(&location, Options::default()).await {
            Ok(store) => {
                refuse_read_only(&store, &location)?;
                Ok(Self { location, store, made })
            }
            Err(error) => {
                let fault = Fault::of_opening(&error, &location);
                remove(&location, made);
                Err(fault)
            }
        }
    }

    /// Returns whether the store was made by this command.
    pub(crate) fn is_new(&self) -> bool {
        self.made.is_some()
    }

    /// Closes the store after success.
    pub(crate) async fn close(&self) -> Result<()> {
        self.store.close().await.map_err(|error| Fault::of_store(&error, &self.location))
    }

    /// Closes the store after a failure. One that was made for this is removed, with the folders made for it, unless it holds
    /// something that the next attempt can go on from.
    pub(crate) async fn abandon(self, resumable: bool) {
        let holds_something = nofx_migrate::anything_in(&self.store).await.is_ok_and(|found| found.is_some());
        // The failure that led here is what is told.
        _ = self.store.close().await;
        if !(resumable && holds_something) {
            remove(&self.location, self.made);
        }
    }
}

/// Refuses a folder where a file should be, and the reverse.
fn refuse_another_shape(location: &Location, path: &Path) -> Result<()> {
    let in_folder = location.folder().is_some();
    let what = match fs::metadata(path) {
        Ok(found) if found.is_dir() && !in_folder => "a folder",
        Ok(found) if found.is_file() && in_folder => "a file",
        // A pipe would be waited for, for ever.
        Ok(found) if !found.is_file() && !found.is_dir() => "a pipe, a socket or a device",
        _ => return Ok(()),
    };
    let message = format!("`{}` is not a NofX store: it is {what}", shown(path));
    let hint = match in_folder {
        true => "name the store's folder; `.nofx/store` is usual",
        false => "name the store's file, as `.nofx/store/nofx.redb`; a store in a folder is `fs:PATH`",
    };
    Err(Fault::new(Exit::Foreign, message, hint))
}

/// Removes a store that was made in vain.
fn remove(location: &Location, made: Option<Vec<PathBuf>>) {
    let (Some(path), Some(folders)) = (location.path(), made) else { return };
    if location.folder().is_some() {
        _ = fs::remove_dir_all(path);
    } else {
        for suffix in ["", ".lock", ".new"] {
            _ = fs::remove_file(with_suffix(path, suffix));
        }
    }
    for folder in folders {
        // Only if it is empty: somebody else may have used it meanwhile.
        _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_this_build_leaves_out_has_a_code_of_its_own() {
        for (text, built) in [
            ("redb:x", cfg!(feature = "redb")),
            ("fs:x", cfg!(feature = "fs")),
            ("s3://x", cfg!(feature = "remote")),
            ("file:///x", cfg!(feature = "remote")),
        ] {
            match parse(OsStr::new(text)) {
                Ok(_) => assert!(built, "{text}"),
                Err(fault) => assert!(!built && fault.exit() == Exit::LeftOut, "{fault:?}"),
            }
        }
        assert_eq!(parse(OsStr::new("postgres:x")).unwrap_err().exit(), Exit::UnknownScheme);
        assert_eq!(parse(OsStr::new("x")).unwrap_err().exit(), Exit::Malformed);
        assert_eq!(parse(OsStr::new("memory:")).unwrap().scheme(), "memory");
    }
}
