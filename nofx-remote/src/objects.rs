//! Requests to the object store: each limited in time, and repeated where that is safe.

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

use crate::fault::{Fault, Missing, has_done_nothing, is_hopeless, is_without_bucket};
use crate::names::{self, ObjectNames};
use crate::requests::Requests;

/// The slowest connection that requests allow for, in bytes per second.
const SLOW_LINE: u64 = 128 << 10;

/// How many of the newest commits are listed together.
const NEWEST: usize = 64;

/// The first and the longest wait before a retry.
const WAITS: (Duration, Duration) = (Duration::from_millis(30), Duration::from_secs(2));

/// The objects of one store.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) names: ObjectNames,
    /// The location in a form that is safe to show.
    pub(crate) shown: String,
    /// Whether a look at an object costs next to nothing.
    pub(crate) is_near: bool,
    /// Whether a listing is sorted, smallest name first.
    pub(crate) lists_in_order: bool,
    /// Values that must not be shown.
    pub(crate) secrets: Vec<String>,
    pub(crate) requests: Requests,
    /// The time limit of one small request.
    pub(crate) request: Duration,
    /// How long requests are retried.
    pub(crate) patience: Duration,
    pub(crate) sources: Sources,
}

/// The result of a create.
#[derive(Debug)]
pub(crate) enum Created {
    /// The object exists and is this one; its tag, if the store gives one.
    Yes(Option<String>),
    /// The store says that one exists already; it may be this one, and there may be none.
    Refused,
    /// It had no effect.
    No(Fault, Again),
    /// It may have happened, or may still happen.
    Unclear(Fault, Again),
}

/// Whether a retry may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Maybe,
    Never,
}

/// A fetched object.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    /// Distinguishes it from another object of the same name.
    pub(crate) tag: Option<String>,
    /// When it was created, in milliseconds, by the store's clock.
    pub(crate) made: i64,
}

/// The result of a look at an object.
#[derive(Debug)]
pub(crate) enum Look {
    /// The object with the tag.
    Same,
    /// Possibly a different object.
    Found(Fetched),
    Missing,
}

impl Objects {
    /// Returns an object; `None` if there is none.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        Ok(self.get_tagged(path).await?.map(|fetched| fetched.bytes))
    }

    /// Returns an object with its tag; `None` if there is none.
    pub(crate) async fn get_tagged(&self, path: &Path) -> Result<Option<Fetched>> {
        match self.fetch(path, GetOptions::default()).await? {
            Look::Found(fetched) => Ok(Some(fetched)),
            Look::Same | Look::Missing => Ok(None),
        }
    }

    /// Returns part of an object; `None` if there is no such object. `Corrupt` if it ends before that part does.
    pub(crate) async fn get_range(&self, path: &Path, range: Range<u64>) -> Result<Option<Bytes>> {
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        match self.fetch(path, options).await? {
            Look::Found(Fetched { bytes, .. }) if bytes.len() as u64 == range.end - range.start => Ok(Some(bytes)),
            Look::Found(_) => Err(Error::corrupt(format!("`{path}`, which was cut off"))),
            Look::Same | Look::Missing => Ok(None),
        }
    }

    /// Looks at an object; it is sent only if its tag differs.
    pub(crate) async fn look(&self, path: &Path, tag: Option<String>) -> Result<Look> {
        self.fetch(path, GetOptions { if_none_match: tag, ..GetOptions::default() }).await
    }

    async fn fetch(&self, path: &Path, options: GetOptions) -> Result<Look> {
        let mut tries = self.tries();
        loop {
            let failed = match self.fetch_once(path, options.clone()).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(Look::Missing),
                Err(object_store::Error::NotModified { .. }) => return Ok(Look::Same),
                Ok(fetched) => return Ok(Look::Found(fetched)),
                Err(error) => error,
            };
            if let Some(GetRange::Bounded(range)) = &options.range
                && self.ends_before(path, range.start).await
            {
                return Err(Error::corrupt(format!("`{path}`, which was cut off")));
            }
            if is_hopeless(&failed) || !tries.again().await {
                return Err(self.fault(&failed).unavailable(format!("reading `{path}`")));
            }
        }
    }

    /// Returns whether an object is known to have no byte at an offset: stores refuse to send a range that does not
    /// exist.
    async fn ends_before(&self, path: &Path, place: u64) -> bool {
        self.requests.count_get();
        let head = self.store.get_opts(path, GetOptions { head: true, ..GetOptions::default() });
        matches!(timeout(self.request, head).await, Ok(Ok(found)) if found.meta.size <= place)
    }

    async fn fetch_once(&self, path: &Path, options: GetOptions) -> object_store::Result<Fetched> {
        self.requests.count_get();
        let begun = Instant::now();
        let late = |_| generic("no answer in time");
        let answer = timeout(self.request, self.store.get_opts(path, options)).await.map_err(late)??;
        let length = answer.range.end - answer.range.start;
        let (tag, made) = (answer.meta.e_tag.clone(), answer.meta.last_modified.timestamp_millis());
        let bytes = timeout_at(begun + self.time_for(length), answer.bytes()).await.map_err(late)??;
        match bytes.len() as u64 == length {
            true => Ok(Fetched { bytes, tag, made }),
            false => Err(generic("the answer ended early")),
        }
    }

    /// Creates an object, once, if the name is free.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Created {
        self.requests.count_put();
        let time = self.time_for(bytes.len() as u64);
        let put = self.store.put_opts(path, bytes.into(), PutOptions::from(PutMode::Create));
        match timeout(time, put).await {
            Ok(Ok(put)) => Created::Yes(put.e_tag),
            // S3 uses one code for both "exists" and "another create is in progress"; older clients of Azure called it
            // `Precondition`.
            Ok(Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })) => {
                Created::Refused
            }
            Ok(Err(error)) => {
                let fault = self.fault(&error);
                match (has_done_nothing(&error), is_hopeless(&error)) {
                    (true, true) => Created::No(fault, Again::Never),
                    (true, false) => Created::No(fault, Again::Maybe),
                    (false, true) => Created::Unclear(fault, Again::Never),
                    (false, false) => Created::Unclear(fault, Again::Maybe),
                }
            }
            Err(_) => Created::Unclear(Fault::in_words("no answer in time"), Again::Maybe),
        }
    }

    /// Creates an object whose name no other writer uses.
    pub(crate) async fn create_own(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let mut tries = self.tries();
        loop {
            let failed = match self.create(path, bytes.clone()).await {
                Created::Yes(_) => return Ok(()),
                Created::Refused => match self.get(path).await? {
                    Some(_) => return Ok(()),
                    None => Fault::in_words("refused, although the object does not exist"),
                },
                Created::No(fault, Again::Never) | Created::Unclear(fault, Again::Never) => {
                    return Err(fault.unavailable(format!("creating `{path}`")));
                }
                Created::No(fault, Again::Maybe) | Created::Unclear(fault, Again::Maybe) => fault,
            };
            if !tries.again().await {
                // An object that nothing refers to does not count as an effect.
                return Err(failed.unavailable(format!("creating `{path}`")));
            }
        }
    }

    /// Returns the numbers of the newest commits, newest first; not empty if there are any.
    pub(crate) async fn newest_commits(&self) -> Result<Vec<u64>> {
        let folder = self.names.folder(names::ROOT);
        let in_order = self.lists_in_order;
        let look = || async {
            let listed = self.store.list(Some(&folder));
            let numbers = listed.try_filter_map(|meta| ready(Ok(names::number(&meta.location))));
            self.requests.count_list(1);
            if in_order {
                return numbers.take(NEWEST).try_collect().await;
            }
            let mut numbers: Vec<_> = numbers.try_collect().await?;
            numbers.sort_unstable_by(|one, other| other.cmp(one));
            numbers.truncate(NEWEST);
            Ok(numbers)
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
                let what = format!("no bucket for `{folder}`; create the bucket or correct its name");
                return Err(Error::invalid_because(what, self.fault(&failed)));
            }
            if is_hopeless(&failed) || !tries.again().await {
                return Err(self.fault(&failed).unavailable(format!("listing `{folder}`")));
            }
        }
    }

    /// Deletes objects, and returns how many are gone. What cannot be deleted now can be deleted later.
    pub(crate) async fn delete(&self, paths: Vec<Path>) -> usize {
        self.requests.count_deletes(paths.len());
        let deleted = self.store.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        deleted.filter(|gone| ready(matches!(gone, Ok(_) | Err(object_store::Error::NotFound { .. })))).count().await
    }

    /// Starts a series of attempts.
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

/// A series of attempts with growing waits between them, and an end.
pub(crate) struct Tries<'a> {
    sources: &'a Sources,
    until: Instant,
    wait: Duration,
}

impl Tries<'_> {
    /// Waits before the next attempt; `false` if there is no time for one.
    pub(crate) async fn again(&mut self) -> bool {
        let wait = self.wait.mul_f64(between(self.sources, 0.5, 1.5));
        if Instant::now() + wait >= self.until {
            return false;
        }
        sleep(wait).await;
        self.wait = (self.wait * 2).min(WAITS.1);
        true
    }

    /// Sets a different end.
    pub(crate) fn until(mut self, end: Instant) -> Self {
        self.until = end;
        self
    }
}

/// Returns a random number between two limits.
pub(crate) fn between(sources: &Sources, low: f64, high: f64) -> f64 {
    let mut bytes = [0; 4];
    sources.ids.fill(&mut bytes);
    low + (high - low) * f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

fn generic(what: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "remote", source: what.into() }
}

/// Makes the error for a missing object to which others refer.
pub(crate) fn missing(path: &Path) -> Error {
    Error::corrupt_because(format!("`{path}`"), Missing)
}
