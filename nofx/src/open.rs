//! Opens the store at a location.

use std::sync::Arc;

use nofx_core::{Error, MemoryBackend, PersistenceBackend, Result, Sources, Store};

use crate::Location;
use crate::git;
#[cfg(any(feature = "fs", feature = "remote"))]
use crate::read_only::ReadOnly;

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
    /// `<file>-journal`: copy and move both together, while no program has the store open. After a store was open for more than a second and is
    /// closed, the file alone holds everything.
    #[cfg(feature = "redb")]
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
            #[cfg(feature = "redb")]
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
        return Err(Error::invalid(format!("no file can be called `{}`", name.to_string_lossy())));
    }
    let backend: Arc<dyn PersistenceBackend> = match location.scheme() {
        "memory" => Arc::new(MemoryBackend::new()),
        #[cfg(feature = "redb")]
        "redb" => Arc::new(open_redb(location, &options).await?),
        #[cfg(feature = "fs")]
        "fs" => ReadOnly::if_asked(open_fs(location, &options).await?, &options),
        #[cfg(feature = "remote")]
        "s3" | "gs" | "az" | "file" => ReadOnly::if_asked(open_remote(location, &options).await?, &options),
        scheme => return Err(no_backend(scheme)),
    };
    Ok(Store::with_sources(backend, options.sources))
}

#[cfg(feature = "redb")]
pub(crate) async fn open_redb(location: &Location, options: &Options) -> Result<nofx_redb::RedbBackend> {
    let path = location.path().unwrap_or(std::path::Path::new(""));
    let mut redb = nofx_redb::Options::default();
    redb.create = options.create;
    redb.read_only = options.read_only;
    redb.journal = options.journal;
    redb.sources = options.sources.clone();
    nofx_redb::RedbBackend::open_with(path, redb).await
}

#[cfg(feature = "fs")]
pub(crate) async fn open_fs(location: &Location, options: &Options) -> Result<nofx_fs::FsBackend> {
    let path = location.path().unwrap_or(std::path::Path::new(""));
    // Written last when a store is created.
    let config = path.join("config.json");
    match std::fs::metadata(&config) {
        Err(error) if !options.create => {
            return Err(match nofx_platform::is_missing(&error) {
                true => {
                    Error::invalid(format!("`{location}` is not a NofX store: it is a folder without a `config.json`"))
                }
                false => Error::unavailable_because(format!("opening `{}`", config.display()), error),
            });
        }
        _ => {}
    }
    let mut fs = nofx_fs::Options::default();
    fs.sources = options.sources.clone();
    nofx_fs::FsBackend::open_with(path, fs).await
}

#[cfg(feature = "remote")]
pub(crate) async fn open_remote(location: &Location, options: &Options) -> Result<nofx_remote::RemoteBackend> {
    let remote = nofx_remote::Options::default()
        .create(options.create)
        .requests(options.requests.clone())
        .sources(options.sources.clone());
    nofx_remote::RemoteBackend::open(&location.url(), remote).await
}

/// Returns the cargo feature that adds the backend of a scheme; `None` if no feature of this version does.
fn feature_of(scheme: &str) -> Option<&'static str> {
    match scheme {
        "redb" => Some("redb"),
        "fs" => Some("fs"),
        "s3" | "gs" | "az" | "file" => Some("remote"),
        _ => None,
    }
}

/// Says why a scheme cannot be opened: this build does not include its backend, or no build of this version has one.
fn no_backend(scheme: &str) -> Error {
    match feature_of(scheme) {
        Some(feature) => Error::invalid(format!(
            "`{scheme}:` needs the cargo feature `{feature}`, which this build does not include"
        )),
        None => Error::invalid(format!(
            "this version has no backend for `{scheme}:`; it has `redb:`, `fs:`, `s3:`, `gs:`, `az:`, `file:` and `memory:`"
        )),
    }
}

impl Location {
    /// Returns the reason if this build cannot open a store at this location.
    pub fn unsupported(&self) -> Option<Error> {
        let has = match self.missing_feature() {
            Some(_) => false,
            None => self.scheme() == "memory" || feature_of(self.scheme()).is_some(),
        };
        (!has).then(|| no_backend(self.scheme()))
    }

    /// Returns the cargo feature that this build lacks to open a store at this location, if that is why it cannot.
    pub fn missing_feature(&self) -> Option<&'static str> {
        let built = |feature: &&str| {
            (*feature == "redb" && cfg!(feature = "redb"))
                || (*feature == "fs" && cfg!(feature = "fs"))
                || (*feature == "remote" && cfg!(feature = "remote"))
        };
        feature_of(self.scheme()).filter(|feature| !built(feature))
    }
}
