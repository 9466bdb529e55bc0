//! Finds and opens the store that a command works on.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use nofx_core::workspace::Workspace;
use nofx_core::{Error, Store, Timestamp};
use nofx_platform::resolved;

use super::exit::Exit;
use super::fault::{Fault, Result, advice, chain};
use super::nearest::{USUAL, nearest};
use super::requests::RequestCounter;
use super::text::shown;
use crate::schemes::{Form, folder_usage, lasting_usage, usage};
use crate::{Location, Options, open_with};

/// The environment variable that names a store.
const VARIABLE: &str = "NOFX_STORE";

/// How the store is found.
const STORE_SEARCH: &str = "\
A path that begins with `~/` is relative to the home folder. Without a location, the store is the one that the environment variable \
NOFX_STORE names; else the one in the nearest `.nofx/store` in this folder or above; else, in a git worktree, the one of the checkout \
that the worktree belongs to.";

fn store_help() -> String {
    format!("Where the store is: {}", lasting_usage())
}

/// The store to work on.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArg {
    #[arg(long, value_name = "LOCATION", help = store_help(), long_help = format!("{}.\n\n{STORE_SEARCH}", store_help()))]
    store: Option<OsString>,

    /// Work in this namespace, such as the one of another host; the default namespace if not given.
    #[arg(long, value_name = "NAME", global = true)]
    namespace: Option<String>,
}

impl StoreArg {
    /// Returns a workspace in the chosen namespace.
    pub(crate) fn workspace(&self, store: Store) -> Result<Workspace> {
        let workspace = Workspace::new(store);
        let Some(name) = &self.namespace else { return Ok(workspace) };
        workspace.namespace(name).map_err(|error| {
            let (why, hint) = advice(&error);
            Fault::new(Exit::Usage, why, hint)
        })
    }

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
            let message =
                format!("no store was named, and no folder `{USUAL}` in `{}` or above holds one", shown(&here));
            Fault::new(Exit::NoStore, message, "name one with --store LOCATION, or create one with `nofx migrate`")
        };
        supported(nearest(&here).ok_or_else(none)?)
    }
}

/// Parses a location that this build can open.
pub(crate) fn parse(text: &OsStr) -> Result<Location> {
    let location = Location::from_os(text).map_err(|error| {
        let message = chain(&error);
        let why = message.trim_start_matches("invalid: ").split("; write").next().unwrap_or_default().to_owned();
        Fault::new(Exit::Malformed, why, format!("a location is {}", usage()))
    })?;
    supported(location)
}

fn supported(location: Location) -> Result<Location> {
    let Some(error) = location.unsupported() else { return Ok(location) };
    let message = chain(&error);
    let why = message.trim_start_matches("invalid: ");
    Err(match location.missing_feature() {
        Some(feature) => Fault::new(Exit::LeftOut, why, format!("build the program with `--features {feature}`")),
        None => Fault::new(Exit::UnknownScheme, why, format!("a location is {}", usage())),
    })
}

/// Opens an existing store for reading, and counts its requests to object storage. Every command that reads goes through this.
pub(crate) async fn open_to_read(location: &Location, requests: &RequestCounter) -> Result<Store> {
    refuse_nothing(location)?;
    let opened = open_with(location, requests.counting(Options::read_only())).await;
    opened.map_err(|refused| Fault::of_opening(&refused, location))
}

/// Refuses a location where nothing is, a folder where a file is expected, and a file where a folder is.
pub(crate) fn refuse_nothing(location: &Location) -> Result<()> {
    let Some(path) = location.path() else { return Ok(()) };
    let is_missing = |path: &Path| fs::symlink_metadata(path).is_err_and(|error| nofx_platform::is_missing(&error));
    // Parts of a store without its main file are reported by opening it.
    let is_nothing = is_missing(path) && location.parts().all(|part| is_missing(&part));
    let is_empty = || location.folder().is_some() && fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_none());
    if is_nothing || is_empty() {
        return Err(Fault::no_store(location));
    }
    refuse_another_shape(location, path)
}

/// Returns whether two locations are known to lead to the same store. Each store in memory is a different one.
pub(crate) fn is_same_place(one: &Location, other: &Location) -> bool {
    let paths = one.path().zip(other.path());
    !matches!(one.form(), Some(Form::Memory))
        && (one == other || paths.is_some_and(|(one, other)| resolved(one) == resolved(other)))
}

/// An existing store, opened as a workspace.
#[derive(Debug)]
pub(crate) struct OpenedWorkspace {
    pub(crate) location: Location,
    pub(crate) workspace: Workspace,
}

impl OpenedWorkspace {
    /// Opens a store for reading.
    pub(crate) async fn to_read(named: &StoreArg) -> Result<Self> {
        let location = named.location()?;
        let workspace = named.workspace(open_to_read(&location, &RequestCounter::default()).await?)?;
        Ok(Self { location, workspace })
    }

    /// Opens a store for writing.
    pub(crate) async fn to_write(named: &StoreArg) -> Result<Self> {
        let location = named.location()?;
        refuse_nothing(&location)?;
        let store = open_with(&location, Options::existing()).await;
        let store = store.map_err(|error| Fault::of_opening(&error, &location))?;
        refuse_read_only(&store, &location)?;
        Ok(Self { location, workspace: named.workspace(store)? })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.workspace.store().sources().now()
    }

    /// Returns the fault for an error of this store.
    pub(crate) fn fault(&self, error: &Error) -> Fault {
        Fault::of_store(error, &self.location)
    }

    pub(crate) async fn close(&self) -> Result<()> {
        self.workspace.store().close().await.map_err(|error| self.fault(&error))
    }
}

pub(super) fn refuse_read_only(store: &Store, location: &Location) -> Result<()> {
    let Some(reason) = store.info().read_only else { return Ok(()) };
    Err(Fault::of_read_only(&reason, location))
}

/// Refuses a folder where a file is expected, and a file where a folder is.
pub(super) fn refuse_another_shape(location: &Location, path: &Path) -> Result<()> {
    let usual = match location.form() {
        Some(Form::File { usual, .. }) => Some(usual),
        _ => None,
    };
    let in_folder = usual.is_none();
    let leads = |found: fs::Metadata| found.is_symlink();
    if fs::symlink_metadata(path).is_ok_and(leads) && fs::metadata(path).is_err() {
        let message = format!("`{}` is a dangling link", shown(path));
        return Err(Fault::new(Exit::Foreign, message, "remove the link, or create its target"));
    }
    let what = match fs::metadata(path) {
        Ok(found) if found.is_dir() && !in_folder => "a folder",
        Ok(found) if found.is_file() && in_folder => "a file",
        // Opening a pipe would block forever.
        Ok(found) if !found.is_file() && !found.is_dir() => "a pipe, a socket or a device",
        _ => return Ok(()),
    };
    let message = format!("`{}` is not a NofX store: it is {what}", shown(path));
    let hint = match usual {
        Some(usual) => {
            let folder = folder_usage();
            format!("name the store's file, such as `{USUAL}/{usual}`; a store in a folder is `{folder}`")
        }
        None => format!("name the store's folder, usually `{USUAL}`"),
    };
    Err(Fault::new(Exit::Foreign, message, hint))
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
