//! The table of schemes: all that the facade and the program know about each kind of store.
//!
//! A scheme is one row, in the file of its backend, and its name in [`SCHEMES`]. Everything else asks the table, so that no other file
//! changes for a new scheme. A row is there even if this build leaves its backend out: its locations are then parsed, and refused with the
//! name of the feature.

mod fs;
mod memory;
mod redb;
mod remote;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use nofx_core::{Error, PersistenceBackend, Repaired, Result};

use crate::neighbours::Neighbour;
use crate::{Finding, Location, Options};

/// Every scheme of this version, in the order in which errors list them and in which a folder is searched for a store.
const SCHEMES: &[&Scheme] =
    &[&redb::REDB, &fs::FS, &remote::S3, &remote::GS, &remote::AZ, &remote::FILE, &memory::MEMORY];

type Answer<'a, T> = BoxFuture<'a, Result<T>>;

/// What is done with the store at a location.
type OnStore<T> = for<'a> fn(&'a Location) -> Answer<'a, T>;

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Scheme {
    /// What is before the colon of a location.
    pub(crate) name: &'static str,
    /// How a location is written, if errors suggest this scheme.
    usage: Option<&'static str>,
    /// The cargo feature that adds the backend; `None` if every build has it.
    feature: Option<&'static str>,
    /// What follows the colon of a location, and what the store is.
    pub(crate) form: Form,
    /// What the backend can do; `None` if this build leaves it out.
    backend: Option<Backend>,
}

/// What follows the colon of a location, and what the store is.
#[derive(Debug)]
#[allow(dead_code, reason = "only the program looks for stores")]
pub(crate) enum Form {
    /// A path, of the file that holds the store.
    File {
        /// The file's name in a workspace's folder for its store.
        usual: &'static str,
        /// What may lie beside the file.
        neighbours: &'static [Neighbour],
        /// Returns whether a file is such a store.
        is_store: fn(&Path) -> bool,
    },
    /// A path, of the folder that holds the store.
    Folder {
        /// Returns whether a folder is such a store.
        is_store: fn(&Path) -> bool,
        /// The file that is written last when a store is created.
        last: &'static str,
        /// Whether the backend keeps the folder out of git's commits.
        ignores_itself: bool,
    },
    /// `///PATH`, the address of the folder that holds the store.
    FolderAddress {
        /// Returns whether a folder is such a store.
        is_store: fn(&Path) -> bool,
    },
    /// `//BUCKET/PREFIX`: the store is not on this machine.
    Bucket,
    /// Nothing: the store is in memory, and gone with its last handle.
    Memory,
}

/// What a backend can do. `None` is what it does not need or cannot do.
#[derive(Debug)]
#[allow(dead_code, reason = "the program uses more of it than the library")]
pub(crate) struct Backend {
    /// Opens a store.
    pub(crate) open: for<'a> fn(&'a Location, &'a Options) -> Answer<'a, Arc<dyn PersistenceBackend>>,
    /// Whether `open` heeds [`Options::read_only`]. Otherwise the facade refuses commits before they reach the backend.
    pub(crate) opens_read_only: bool,
    /// Lists problems that only the backend can see.
    pub(crate) check: Option<OnStore<Vec<Finding>>>,
    /// Repairs a store in place; with `true`, also by giving up what prevents it.
    pub(crate) repair: Option<for<'a> fn(&'a Location, bool) -> Answer<'a, Repaired>>,
    /// Whether a store can be created without a journal ([`Options::journal`]).
    pub(crate) journal_is_optional: bool,
    /// Whether a repair moves unreadable files into the folder `damaged`.
    pub(crate) sets_aside: bool,
    /// Moves a complete store in a file to another path on the same file system, unless something exists there, and returns whether it did.
    /// With it, a store can be created beside its path.
    pub(crate) publish: Option<for<'a> fn(&'a Path, &'a Path) -> Answer<'a, bool>>,
    /// Makes a store smaller; `None` if it stays small on its own.
    pub(crate) shrink: Option<Shrink>,
    /// Upgrades a store that no process has open to the newest format, and returns whether it was older; `None` if there is only one.
    pub(crate) upgrade: Option<OnStore<bool>>,
}

/// How a backend makes an existing store smaller.
#[derive(Debug)]
#[allow(dead_code, reason = "a build may have no backend that needs it")]
pub(crate) struct Shrink {
    /// Makes a store as small as possible; it may be open in this process.
    pub(crate) compact: OnStore<()>,
    /// Returns whether a store was compacted before.
    pub(crate) was_compacted: OnStore<bool>,
    /// Returns free space to the file system; the store may be open in this process.
    pub(crate) give_back: OnStore<()>,
    /// Does what `compact` does by writing a new file, which takes less memory. No process may have the store open.
    pub(crate) pack: OnStore<()>,
}

impl Scheme {
    /// Returns the scheme of a name; `None` if this version has none.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|scheme| scheme.name == name)
    }

    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        SCHEMES.iter().copied()
    }
}

/// Returns the forms of a location, for errors.
pub(crate) fn usage() -> String {
    listed(Scheme::all().filter_map(|scheme| scheme.usage), "or")
}

/// Returns the forms of a location whose store outlives the program, for help.
#[cfg(feature = "cli")]
pub(crate) fn lasting_usage() -> String {
    let lasting = Scheme::all().filter(|scheme| !matches!(scheme.form, Form::Memory));
    listed(lasting.filter_map(|scheme| scheme.usage), "or")
}

/// Returns the form of a location whose store is a folder, for hints.
#[cfg(feature = "cli")]
pub(crate) fn folder_usage() -> &'static str {
    let folder = Scheme::all().find(|scheme| matches!(scheme.form, Form::Folder { .. }));
    folder.and_then(|scheme| scheme.usage).unwrap_or_default()
}

/// Lists texts as code.
fn listed<T: std::fmt::Display>(texts: impl Iterator<Item = T>, conjunction: &str) -> String {
    let mut texts: Vec<_> = texts.map(|text| format!("`{text}`")).collect();
    let last = texts.pop().unwrap_or_default();
    if texts.is_empty() { last } else { format!("{} {conjunction} {last}", texts.join(", ")) }
}

/// What the table says about a location.
impl Location {
    pub(crate) fn form(&self) -> Option<&'static Form> {
        Scheme::named(self.scheme()).map(|scheme| &scheme.form)
    }

    /// Returns what may lie beside the store's file; nothing for other stores.
    pub(crate) fn neighbours(&self) -> &'static [Neighbour] {
        match self.form() {
            Some(Form::File { neighbours, .. }) => neighbours,
            _ => &[],
        }
    }

    /// Returns the backend, or the reason if this build has none for the location.
    pub(crate) fn backend(&self) -> Result<&'static Backend> {
        let name = self.scheme();
        let Some(scheme) = Scheme::named(name) else {
            let names = listed(Scheme::all().map(|scheme| format!("{}:", scheme.name)), "and");
            return Err(Error::invalid(format!("this version has no backend for `{name}:`; it has {names}")));
        };
        scheme.backend.as_ref().ok_or_else(|| {
            let feature = scheme.feature.unwrap_or_default();
            Error::invalid(format!("`{name}:` needs the cargo feature `{feature}`, which this build does not include"))
        })
    }

    /// Returns the reason if this build cannot open a store at this location.
    pub fn unsupported(&self) -> Option<Error> {
        self.backend().err()
    }

    /// Returns the cargo feature that this build lacks to open a store at this location, if that is why it cannot.
    pub fn missing_feature(&self) -> Option<&'static str> {
        Scheme::named(self.scheme()).filter(|scheme| scheme.backend.is_none()).and_then(|scheme| scheme.feature)
    }
}
