//! Opening the store that a location names.

use std::sync::Arc;

use nofx_core::{Error, MemoryBackend, Result, Sources, Store};

use crate::Location;

/// How a store is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Whether a store that does not exist is made, with the folders above it. It is.
    pub create: bool,
    /// Whether the store is only read; nothing is then ever written to its place. It is not.
    pub read_only: bool,
    /// Where times and ids come from.
    pub sources: Sources,
}

impl Default for Options {
    fn default() -> Self {
        Self { create: true, read_only: false, sources: Sources::default() }
    }
}

impl Options {
    /// Opens only a store that exists, and never writes.
    pub fn read_only() -> Self {
        Self { create: false, read_only: true, ..Self::default() }
    }

    /// Opens only a store that exists.
    pub fn existing() -> Self {
        Self { create: false, ..Self::default() }
    }
}

/// Opens the store at a location, making it if there is none.
///
/// `Invalid` if this version, or this build of it, has no backend for the location, or if what is there is no store.
pub async fn open(location: &Location) -> Result<Store> {
    open_with(location, Options::default()).await
}

/// Opens the store at a location.
///
/// A store in memory is made empty each time, also if it is only to be read.
pub async fn open_with(location: &Location, options: Options) -> Result<Store> {
    match location.scheme() {
        "memory" => Ok(Store::with_sources(Arc::new(MemoryBackend::new()), options.sources)),
        #[cfg(feature = "redb")]
        "redb" => {
            let backend = open_redb(location, &options).await?;
            Ok(Store::with_sources(Arc::new(backend), options.sources))
        }
        scheme => Err(no_backend(scheme)),
    }
}

/// Makes the store at a location as small as it can be, which pays after it was filled. Returns whether there was something to do.
///
/// Takes up to the time of writing the store anew. The store must exist; it may be open in this process.
pub async fn compact(location: &Location) -> Result<bool> {
    match location.scheme() {
        "memory" => Ok(false),
        #[cfg(feature = "redb")]
        "redb" => {
            let backend = open_redb(location, &Options::existing()).await?;
            let compacted = backend.compact().await;
            nofx_core::PersistenceBackend::close(&backend).await?;
            compacted.map(|()| true)
        }
        scheme => Err(no_backend(scheme)),
    }
}

#[cfg(feature = "redb")]
async fn open_redb(location: &Location, options: &Options) -> Result<nofx_redb::RedbBackend> {
    let path = location.path().unwrap_or(std::path::Path::new(""));
    let mut redb = nofx_redb::Options::default();
    redb.create = options.create;
    redb.read_only = options.read_only;
    redb.sources = options.sources.clone();
    nofx_redb::RedbBackend::open_with(path, redb).await
}

/// Says why a scheme cannot be opened: this build could have its backend, or no build of this version has one.
fn no_backend(scheme: &str) -> Error {
    match scheme {
        "redb" => Error::invalid("`redb:` needs the cargo feature `redb`, which this build leaves out"),
        _ => Error::invalid(format!("this version has no backend for `{scheme}:`; it has `redb:` and `memory:`")),
    }
}

impl Location {
    /// Returns why no store at this location can be opened by this build, if so.
    pub fn unsupported(&self) -> Option<Error> {
        let scheme = self.scheme();
        let is_supported = scheme == "memory" || (scheme == "redb" && cfg!(feature = "redb"));
        (!is_supported).then(|| no_backend(scheme))
    }
}
