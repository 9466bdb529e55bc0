//! Stores records and logs in object storage, written by several machines concurrently.
//!
//! Nothing runs except the object store: every commit is one object, created under the next number only if that number
//! is free. The loser of a race reads the winning commit, judges again and tries the next number.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> nofx_core::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let location = format!("file://{}", dir.path().display());
//! use nofx_core::{Batch, Body, Expect, Kind, PersistenceBackend, RecordKey, Sources};
//! use nofx_remote::{Options, RemoteBackend};
//!
//! // For example `s3://bucket/team/store?region=eu-central-1`, with the credentials in the environment.
//! let backend = RemoteBackend::open(&location, Options::default()).await?;
//! let key = RecordKey::new(Kind::of("note"), "first")?;
//! let batch = Batch::new(Sources::default().batch_id()).put(key.clone(), Expect::Absent, Body::parse("[1]")?);
//! backend.commit(vec![batch]).await?;
//!
//! // Another machine opens the same location and sees it.
//! let elsewhere = RemoteBackend::open(&location, Options::default()).await?;
//! assert_eq!(elsewhere.get(&[key]).await?[0].as_ref().unwrap().body.as_str(), "[1]");
//! # Ok(()) }
//! ```
//!
//! - [`RemoteBackend`] is one opening of a store. It needs a tokio runtime with timers, the one in which it was opened.
//! - [`Options`] has credentials and time limits; the rest comes from the location or the environment.
//! - [`Requests`] counts requests, which object stores charge for.
//!
//! # Locations
//!
//! - `s3://bucket/prefix`: Amazon S3 and compatible servers. `?region=`, `?endpoint=http://127.0.0.1:9000`,
//!   `?path_style=false`; the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
//!   `AWS_ENDPOINT_URL` and the other variables that `object_store` knows. Profiles in `~/.aws` are not read.
//! - `gs://bucket/prefix`: Google Cloud Storage; `GOOGLE_SERVICE_ACCOUNT`, `GOOGLE_APPLICATION_CREDENTIALS`.
//! - `az://container/prefix`: Azure Blob Storage; `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`.
//! - `file:///folder`: a folder on this machine, or on a file server that creates files atomically.
//!
//! Every option of the client may be in the query, under the name that `object_store` gives it, as may
//! `request_timeout` and `commit_timeout` in seconds. Secrets may not: a location is shown to people.
//!
//! # What it does not do
//!
//! Up to about four busy machines on one store are fast; more are correct but slow. A server that ignores conditional
//! writes is rejected when a store is created on it. Nothing is encrypted beyond what the object store does.
//!
//! # Features
//!
//! `aws`, `azure` and `gcp`, all on by default: each adds its client. They share an HTTP client and TLS, which make up
//! nearly all of the cost; without any of the three only `file:` is left.

mod checkpoint;
mod collect;
mod commit;
mod fault;
mod feed;
mod folder;
mod frame;
mod judge;
mod line;
mod location;
mod moment;
mod names;
mod objects;
mod options;
mod packs;
mod probe;
mod read;
mod requests;
mod roll;
mod root;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, Error, Limits, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    Outcome, Page, PersistenceBackend, Record, RecordKey, Repaired, Result, ScanQuery, Sharing,
};
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::runtime::Handle;
use tokio::sync::RwLock;

pub use collect::Collected;
pub use options::Options;
pub use requests::Requests;
pub use root::Finding;

use location::StorePrefix;
use names::ObjectNames;
use objects::Objects;
use options::Rules;
use root::Root;

/// A store in object storage.
pub struct RemoteBackend {
    root: Arc<Root>,
    info: BackendInfo,
    shown: String,
    closed: AtomicBool,
    /// Held by commits in flight, so that closing can wait for them.
    begun: Arc<RwLock<()>>,
}

impl RemoteBackend {
    /// Opens the store at a location, and creates it if there is none, unless the options forbid it.
    ///
    /// `Invalid` if the location or an option is wrong, if there is no store and none may be created, or if one would
    /// have to be created on a server that does not honour create-if-absent.
    pub async fn open(location: &str, mut options: Options) -> Result<Self> {
        let place = location::find(location, &mut options)?;
        let rules = Rules::new(options.commit_timeout);
        Self::start(place, options, rules).await
    }

    /// Opens the store below a prefix of an existing object store client, like [`open`](Self::open).
    ///
    /// Its listings must be sorted by name. It should not retry by itself: this backend does.
    pub async fn over(store: Arc<dyn ObjectStore>, prefix: &str, options: Options) -> Result<Self> {
        let rules = Rules::new(options.commit_timeout);
        Self::start(Self::given(store, prefix), options, rules).await
    }

    fn given(store: Arc<dyn ObjectStore>, prefix: &str) -> StorePrefix {
        StorePrefix {
            shown: store.to_string(),
            store,
            prefix: Path::from(prefix),
            scheme: "remote",
            lists_in_order: true,
            is_near: false,
            sharing: Sharing::Network,
            durability: Durability::Service,
            secrets: Vec::new(),
        }
    }

    async fn start(place: StorePrefix, options: Options, rules: Rules) -> Result<Self> {
        let objects = Objects {
            store: place.store,
            names: ObjectNames::new(place.prefix),
            shown: place.shown.clone(),
            is_near: place.is_near,
            lists_in_order: place.lists_in_order,
            secrets: place.secrets,
            requests: options.requests,
            request: options.request_timeout,
            patience: options.commit_timeout,
            sources: options.sources,
        };
        let root = Arc::new(Root::new(objects, rules));
        let store = root.open(options.create).await?;
        let store = store.ok_or_else(|| location::no_store(&place.shown))?;
        let info = BackendInfo {
            backend: place.scheme,
            store,
            sharing: place.sharing,
            durability: place.durability,
            limits: Limits::GUARANTEED,
            read_only: root.blocked().map(|damaged| damaged.chain()),
        };
        Ok(Self { root, info, shown: place.shown, closed: AtomicBool::new(false), begun: Arc::default() })
    }

    /// Deletes what was not needed for a day. A handle that commits does this by itself about once an hour, so call it
    /// only for the figures.
    pub async fn collect(&self) -> Result<Collected> {
        self.while_open()?;
        self.root.refresh().await?;
        collect::collect(&self.root).await
    }

    /// Lists objects that are damaged, cut or missing, and commits that were refused to the host that created them.
    /// Changes nothing.
    pub async fn check(&self) -> Result<Vec<Finding>> {
        self.while_open()?;
        self.root.check().await
    }

    /// Repairs what can be repaired, and reports what was done. Nothing unreadable is overwritten or removed.
    ///
    /// A checkpoint that is lost or damaged is rebuilt from an older one. If the newest commits cannot be read, nothing
    /// can be committed, and the repair reports that; with `gives_up` the store continues without them.
    pub async fn repair(&self, gives_up: bool) -> Result<Repaired> {
        self.while_open()?;
        self.root.repair(gives_up).await
    }

    /// Returns how often another writer committed first since this handle was opened.
    #[cfg(test)]
    fn lost_races(&self) -> u64 {
        self.root.lost_races()
    }

    /// Runs a future that uses timers: in the caller's runtime or, if there is none, in the one where the store was
    /// opened.
    async fn timed<T>(&self, act: impl Future<Output = T> + Send) -> T {
        let runtime = Handle::try_current().unwrap_or_else(|_| self.root.runtime().clone());
        let mut act = pin!(act);
        poll_fn(|context| {
            let _entered = runtime.enter();
            act.as_mut().poll(context)
        })
        .await
    }

    fn while_open(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        self.root.while_here()
    }
}

/// Shows the location, without its options.
impl fmt::Debug for RemoteBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteBackend")
            .field("location", &self.shown)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl PersistenceBackend for RemoteBackend {
    fn info(&self) -> BackendInfo {
        self.info.clone()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.while_open()?;
        self.timed(async { self.root.explained(self.root.get(keys).await).await }).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.while_open()?;
        self.timed(async { self.root.explained(self.root.scan(query).await).await }).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.while_open()?;
        self.timed(async { self.root.explained(self.root.heads(logs).await).await }).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.while_open()?;
        self.timed(async { self.root.explained(self.root.logs(query).await).await }).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.while_open()?;
        self.timed(async { self.root.explained(self.root.read(query).await).await }).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.while_open()?;
        self.timed(async { self.root.explained(self.root.changes(after, limit).await).await }).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.while_open()?;
        group.iter().try_for_each(|batch| batch.validate(&self.info.limits))?;
        if group.is_empty() {
            return Ok(Vec::new());
        }
        // Without waiting: a caller that stops waiting must not take the group along. It fails only while the handle is closed.
        let begun = self.begun.clone().try_read_owned().map_err(|_| Error::Closed)?;
        self.while_open()?;
        let root = self.root.clone();
        // Spawned, so that a caller who stops waiting does not stop the commit.
        let commit = self.root.runtime().spawn(async move {
            let outcomes = root.explained(root.commit(&group).await).await;
            drop(begun);
            outcomes
        });
        commit.await.unwrap_or_else(|error| Err(Error::unknown_because("committing", error)))
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        let _none = self.begun.write().await;
        self.timed(self.root.close()).await;
        Ok(())
    }
}
