//! Requests to the object store: each bounded in time, and repeated where repeating is safe.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{StreamExt, TryStreamExt, stream};
use nofx_core::{Error, Result, Sources};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, PutMode, PutOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::fault::{Fault, has_done_nothing, is_hopeless, is_without_bucket};
use crate::names::{self, Names};
use crate::requests::Requests;

/// The slowest line that a request is given time for, in bytes per second.
const SLOW_LINE: u64 = 128 << 10;

/// The first and the longest wait before a request is made again.
const WAITS: (Duration, Duration) = (Duration::from_millis(30), Duration::from_secs(2));

/// The objects of one store.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) names: Names,
    /// Whether a listing begins with the smallest name.
    pub(crate) lists_in_order: bool,
    /// What must not be shown.
    pub(crate) secrets: Vec<String>,
    pub(crate) requests: Requests,
    /// How long one small request may take.
    pub(crate) request: Duration,
    /// How long requests are made again.
    pub(crate) patience: Duration,
    pub(crate) sources: Sources,
}

/// What became of a create.
#[derive(Debug)]
pub(crate) enum Created {
    /// The object is there and it is this one.
    Yes,
    /// The store says that there was one already; it may be this one, and there may be none.
    Refused,
    /// Nothing happened.
    No(Fault, Again),
    /// It may have happened, or may still happen.
    Unclear(Fault),
}

/// Whether trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Maybe,
    Never,
}

impl Objects {
    /// Returns an object; `None` if there is none.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        self.fetch(path, None).await
    }

    /// Returns a part of an object; `None` if there is no such object.
    pub(crate) async fn get_range(&self, path: &Path, range: Range<u64>) -> Result<Option<Bytes>> {
        self.fetch(path, Some(range)).await
    }

    async fn fetch(&self, path: &Path, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let mut tries = self.tries();
        loop {
            let failed = match self.fetch_once(path, range.clone()).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) => error,
            };
            if is_hopeless(&failed) || !tries.again().await {
                return Err(self.fault(&failed).unavailable(format!("reading `{path}`")));
            }
        }
    }

    async fn fetch_once(&self, path: &Path, range: Option<Range<u64>>) -> object_store::Result<Bytes> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        self.requests.count_get();
        let begun = Instant::now();
        let late = |_| generic("no answer in time");
        let answer = timeout(self.request, self.store.get_opts(path, options)).await.map_err(late)??;
        let length = answer.range.end - answer.range.start;
        let bytes = timeout_at(begun + self.time_for(length), answer.bytes()).await.map_err(late)??;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(generic("the answer ended early")),
        }
    }

    /// Creates an object once, if there is none of that name.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Created {
        self.requests.count_put();
        let time = self.time_for(bytes.len() as u64);
        let put = self.store.put_opts(path, bytes.into(), PutOptions::from(PutMode::Create));
        match timeout(time, put).await {
            Ok(Ok(_)) => Created::Yes,
            // S3 says both "exists" and "somebody is just trying" in one code; older clients of Azure called it `Precondition`.
            Ok(Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })) => {
                Created::Refused
            }
            Ok(Err(error)) => {
                let fault = self.fault(&error);
                match (has_done_nothing(&error), is_hopeless(&error)) {
                    (true, true) => Created::No(fault, Again::Never),
                    (true, false) => Created::No(fault, Again::Maybe),
                    (false, _) => Created::Unclear(fault),
                }
            }
            Err(_) => Created::Unclear(Fault::new(&"no answer in time", &[])),
        }
    }

    /// Creates an object whose name nobody else uses.
    pub(crate) async fn create_own(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let mut tries = self.tries();
        loop {
            let failed = match self.create(path, bytes.clone()).await {
                Created::Yes => return Ok(()),
                Created::Refused => match self.get(path).await? {
                    Some(_) => return Ok(()),
                    None => Fault::new(&"refused, without an object", &[]),
                },
                Created::No(fault, Again::Never) => return Err(fault.unavailable(format!("creating `{path}`"))),
                Created::No(fault, Again::Maybe) | Created::Unclear(fault) => fault,
            };
            if !tries.again().await {
                // An object that nothing names is no effect.
                return Err(failed.unavailable(format!("creating `{path}`")));
            }
        }
    }

    /// Returns the number of the newest commit; `None` if there is none.
    pub(crate) async fn newest_commit(&self) -> Result<Option<u64>> {
        let folder = self.names.folder(names::ROOT);
        let only_first = self.lists_in_order;
        let look = || async {
            let listed = self.store.list(Some(&folder));
            let mut numbers = listed.try_filter_map(|meta| ready(Ok(names::number(&meta.location))));
            self.requests.count_list(1);
            match only_first {
                true => numbers.try_next().await,
                false => numbers.try_fold(None, |newest, number| async move { Ok(newest.max(Some(number))) }).await,
            }
        };
        self.listing(&folder, look).await
    }

    /// Returns everything in a folder.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        let folder = self.names.folder(folder);
        let look = || async {
            let all: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
            self.requests.count_list(all.len());
            Ok(all)
        };
        self.listing(&folder, look).await
    }

    async fn listing<T, F>(&self, folder: &Path, look: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut tries = self.tries();
        loop {
            let listed = timeout(self.patience, look()).await.unwrap_or_else(|_| Err(generic("no answer in time")));
            let failed = match listed {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if is_without_bucket(&failed) {
                let what = format!("there is no bucket to hold `{folder}`; create it, or correct its name");
                return Err(Error::invalid_because(what, self.fault(&failed)));
            }
            if is_hopeless(&failed) || !tries.again().await {
                return Err(self.fault(&failed).unavailable(format!("listing `{folder}`")));
            }
        }
    }

    /// Deletes objects, and returns how many are gone. What cannot be deleted now can be later.
    pub(crate) async fn delete(&self, paths: Vec<Path>) -> usize {
        self.requests.count_deletes(paths.len());
        let deleted = self.store.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        deleted.filter(|gone| ready(matches!(gone, Ok(_) | Err(object_store::Error::NotFound { .. })))).count().await
    }

    /// Starts a row of tries.
    pub(crate) fn tries(&self) -> Tries<'_> {
        Tries { sources: &self.sources, until: Instant::now() + self.patience, wait: WAITS.0 }
    }

    fn fault(&self, error: &object_store::Error) -> Fault {
        Fault::new(error, &self.secrets)
    }

    fn time_for(&self, bytes: u64) -> Duration {
        self.request + Duration::from_secs(bytes / SLOW_LINE)
    }
}

/// A row of tries with growing waits between them, and an end.
pub(crate) struct Tries<'a> {
    sources: &'a Sources,
    until: Instant,
    wait: Duration,
}

impl Tries<'_> {
    /// Waits before the next try; `false` if there is no time for one.
    pub(crate) async fn again(&mut self) -> bool {
        let wait = self.wait.mul_f64(between(self.sources, 0.5, 1.5));
        if Instant::now() + wait >= self.until {
            return false;
        }
        sleep(wait).await;
        self.wait = (self.wait * 2).min(WAITS.1);
        true
    }

    /// Ends the row at another moment.
    pub(crate) fn until(mut self, end: Instant) -> Self {
        self.until = end;
        self
    }
}

/// Returns a random number between two.
pub(crate) fn between(sources: &Sources, low: f64, high: f64) -> f64 {
    let mut bytes = [0; 4];
    sources.ids.fill(&mut bytes);
    low + (high - low) * f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

fn generic(what: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "remote", source: what.into() }
}

/// Says that an object is gone that others name.
pub(crate) fn missing(path: &Path) -> Error {
    Error::corrupt(format!("`{path}`, which is missing"))
}
