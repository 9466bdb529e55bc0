//! Opening the store that a location names.

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
    /// Whether a store that does not exist is made, with the folders above it. It is.
    pub create: bool,
    /// Whether the store is only read; no commit then ever reaches it. It is not.
    ///
    /// Its files are not touched either.
    pub read_only: bool,
    /// Whether a `redb:` store that does not exist is made with a journal beside its file, to which it then commits: one flush for each commit
    /// instead of two. It is not.
    ///
    /// A store that exists goes on as it was made, and the other kinds are not asked. A store with a journal is a file and a folder, `<file>-journal`,
    /// which are copied, moved and removed together while no program has it open.
    #[cfg(feature = "redb")]
    pub journal: bool,
    /// Where times and ids come from.
    pub sources: Sources,
    /// Counts the requests to object storage; clones count together. Other stores make none.
    #[cfg(feature = "remote")]
    pub requests: nofx_remote::Requests,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            #[cfg(feature = "redb")]
            journal: nofx_redb::Options::default().journal,
            sources: Sources::default(),
            #[cfg(feature = "remote")]
            requests: nofx_remote::Requests::default(),
        }
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
/// A store in memory is made empty each time, also if it is only to be read. One that is made in a checkout of git is kept out of commits: by a
/// `.gitignore` in a folder that was made for it, else by the checkout's `info/exclude`.
pub async fn open_with(location: &Location, options: Options) -> Result<Store> {
    let new = git::New::at(location).filter(|_| options.create && !options.read_only);
    let store = open_unlisted(location, options).await?;
    if let Some(new) = new {
        // That this fails is no reason to do without a store.
        _ = new.keep_out();
    }
    Ok(store)
}

/// Opens the store at a location, without a word to git.
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
    // Written last when a store is made.
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

/// Returns the cargo feature that brings the backend of a scheme; `None` if no version has one.
fn feature_of(scheme: &str) -> Option<&'static str> {
    match scheme {
        "redb" => Some("redb"),
        "fs" => Some("fs"),
        "s3" | "gs" | "az" | "file" => Some("remote"),
        _ => None,
    }
}

/// Says why a scheme cannot be opened: this build could have its backend, or no build of this version has one.
fn no_backend(scheme: &str) -> Error {
    match feature_of(scheme) {
        Some(feature) => {
            Error::invalid(format!("`{scheme}:` needs the cargo feature `{feature}`, which this build leaves out"))
        }
        None => Error::invalid(format!(
            "this version has no backend for `{scheme}:`; it has `redb:`, `fs:`, `s3:`, `gs:`, `az:`, `file:` and `memory:`"
        )),
    }
}

impl Location {
    /// Returns why no store at this location can be opened by this build, if so.
    pub fn unsupported(&self) -> Option<Error> {
        let has = match self.missing_feature() {
            Some(_) => false,
            None => self.scheme() == "memory" || feature_of(self.scheme()).is_some(),
        };
        (!has).then(|| no_backend(self.scheme()))
    }

    /// Returns the cargo feature without which this build cannot open a store here.
    pub fn missing_feature(&self) -> Option<&'static str> {
        let built = |feature: &&str| {
            (*feature == "redb" && cfg!(feature = "redb"))
                || (*feature == "fs" && cfg!(feature = "fs"))
                || (*feature == "remote" && cfg!(feature = "remote"))
        };
        feature_of(self.scheme()).filter(|feature| !built(feature))
    }
}
