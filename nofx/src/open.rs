//! Opens the store at a location.

use std::sync::Arc;

use nofx_core::{Error, Result, Sources, Store};

use crate::Location;
use crate::git;
use crate::read_only::ReadOnlyBackend;

/// How a store is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Whether to create a store that does not exist, with the folders above it. The default is true.
    pub create: bool,
    /// Whether to open the store read-only: no commit then ever reaches it, and its files are not touched. The default is false.
    pub read_only: bool,
    /// Whether to create a new `redb:` store with a journal beside its file. It then commits to the journal, with one flush for each commit
    /// instead of two. The default is true.
    ///
    /// An existing store stays as it was created, and other kinds of stores ignore this. A store with a journal is a file and a folder,
    /// `<file>-journal`: copy and move both together, while no program has the store open. When such a store is closed after being open for
    /// more than a second, the file is normally brought up to date and is then a whole store by itself.
    pub journal: bool,
    /// The source of times and ids.
    pub sources: Sources,
    /// Counts the requests to object storage; clones share one count. Other stores make none.
    #[cfg(feature = "remote")]
    pub requests: nofx_remote::Requests,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            journal: true,
            sources: Sources::default(),
            #[cfg(feature = "remote")]
            requests: nofx_remote::Requests::default(),
        }
    }
}

impl Options {
    /// Opens only an existing store, read-only.
    pub fn read_only() -> Self {
        Self { create: false, read_only: true, ..Self::default() }
    }

    /// Opens only an existing store.
    pub fn existing() -> Self {
        Self { create: false, ..Self::default() }
    }
}

/// Opens the store at a location, creating it if it does not exist.
///
/// `Invalid` if this version, or this build of it, has no backend for the location, or if what is there is not a store.
pub async fn open(location: &Location) -> Result<Store> {
    open_with(location, Options::default()).await
}

/// Opens the store at a location, with options.
///
/// A store in memory starts empty each time, even if it is opened read-only. A store that is created inside a git checkout is kept out of
/// commits: by a `.gitignore` if its folder was created for it, else by the checkout's `info/exclude`.
pub async fn open_with(location: &Location, options: Options) -> Result<Store> {
    let new = git::New::at(location).filter(|_| options.create && !options.read_only);
    let store = open_unlisted(location, options).await?;
    if let Some(new) = new {
        // The store is usable even if this fails.
        _ = new.keep_out();
    }
    Ok(store)
}

/// Opens the store at a location, without telling git to ignore it.
pub(crate) async fn open_unlisted(location: &Location, options: Options) -> Result<Store> {
    if options.create
        && !options.read_only
        && let Some(name) = location.path().and_then(nofx_platform::refused_name)
    {
        return Err(Error::invalid(format!("`{}` is not a valid file name here", name.to_string_lossy())));
    }
    let backend = location.backend()?;
    let opened = (backend.open)(location, &options).await?;
    let opened = match options.read_only && !backend.opens_read_only {
        true => Arc::new(ReadOnlyBackend(opened)),
        false => opened,
    };
    Ok(Store::with_sources(opened, options.sources))
}
