//! Lazy streams, built from pages so that nothing is held between two pages.
//!
//! Something unreadable is an error item in the stream, which continues after it: see
//! [`entries`](super::entries) for entries, and this file for records and heads. Any other error ends the
//! stream.

use std::future::Future;
use std::sync::Arc;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::gap;
use crate::backend::PersistenceBackend;
use crate::error::{Error, Result};
use crate::key::{Key, LogKey, RecordKey};
use crate::query::{KeyQuery, LogScan, Page, ScanQuery};
use crate::record::{LogHead, Record};

/// Items per page if the caller does not say.
pub(super) const DEFAULT_LIMIT: usize = 256;

pub(super) type Items<T> = BoxStream<'static, Result<T>>;

/// Something that is found by its key.
pub(super) trait Keyed: Sized + Send + 'static {
    type Key: Key;

    fn key(&self) -> &Self::Key;

    fn page(
        backend: &dyn PersistenceBackend,
        query: &KeyQuery<Self::Key>,
    ) -> impl Future<Output = Result<Page<Self>>> + Send;
}

impl Keyed for Record {
    type Key = RecordKey;

    fn key(&self) -> &RecordKey {
        &self.key
    }

    async fn page(backend: &dyn PersistenceBackend, query: &ScanQuery) -> Result<Page<Self>> {
        backend.scan(query).await
    }
}

impl Keyed for LogHead {
    type Key = LogKey;

    fn key(&self) -> &LogKey {
        &self.log
    }

    async fn page(backend: &dyn PersistenceBackend, query: &LogScan) -> Result<Page<Self>> {
        backend.logs(query).await
    }
}

/// Reads, page by page, what is found by key.
pub(super) fn keyed<T: Keyed>(backend: Arc<dyn PersistenceBackend>, query: KeyQuery<T::Key>) -> Items<T> {
    unfold(Scan::<T> { narrow: Narrow::new(query.limit), backend, query, last_error: None }, Scan::next)
}

/// Converts each item.
pub(super) fn map<T: 'static, U: 'static>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
    convert: fn(T) -> Result<U>,
) -> Items<U> {
    items.map(move |item| item.and_then(convert)).boxed()
}

/// Asks for several items at once, and for fewer where some cannot be read, until each unreadable one is
/// alone.
pub(super) async fn each<'k, K, T>(
    keys: &'k [K],
    ask: impl Fn(&'k [K]) -> BoxFuture<'k, Result<Vec<T>>>,
) -> Result<Vec<Result<T>>> {
    let mut found = Vec::with_capacity(keys.len());
    let mut todo = vec![keys];
    while let Some(keys) = todo.pop() {
        match ask(keys).await {
            Ok(things) => found.extend(things.into_iter().map(Ok)),
            Err(error) if !error.is_of_one_thing() => return Err(error),
            Err(error) if keys.len() <= 1 => found.push(Err(error)),
            Err(_) => {
                let (first, rest) = keys.split_at(keys.len() / 2);
                todo.extend([rest, first]);
            }
        }
    }
    Ok(found)
}

/// Takes the next items and the state that continues after them, until there is none.
pub(super) fn unfold<S, T, A>(first: S, next: impl Fn(S) -> A + Send + 'static) -> Items<T>
where
    S: Send + 'static,
    T: Send + 'static,
    A: Future<Output = (Vec<Result<T>>, Option<S>)> + Send + 'static,
{
    let steps = stream::unfold(Some(first), move |state| {
        let step = state.map(&next);
        async move { Some(step?.await) }
    });
    steps.fuse().map(stream::iter).flatten().boxed()
}

/// Finds the first unreadable item of a page by asking for less.
#[derive(Debug)]
pub(super) struct Narrow {
    limit: usize,
    /// The unreadable item is among this many next items; zero if that is not known.
    doubtful: usize,
    /// How many to ask for next.
    pub(super) ask: usize,
}

impl Narrow {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, doubtful: 0, ask: limit }
    }

    /// Records that the page could not be read; returns whether it was for one item, which is then the
    /// unreadable one.
    pub(super) fn failed(&mut self) -> bool {
        if self.ask <= 1 {
            *self = Self::new(self.limit);
            return true;
        }
        // The very next item is tried first: pages often end just before an unreadable one.
        let next = if self.doubtful == 0 { 1 } else { self.ask / 2 };
        self.doubtful = self.ask;
        self.ask = next;
        false
    }

    /// Records that this many items were read.
    pub(super) fn read(&mut self, items: usize) {
        self.doubtful = self.doubtful.saturating_sub(items);
        self.ask = if self.doubtful == 0 { self.limit } else { (self.doubtful / 2).max(1) };
    }

    /// Records that the next item is known to be unreadable.
    pub(super) fn doubt_the_next(&mut self) {
        (self.doubtful, self.ask) = (1, 1);
    }
}

/// Records or heads being read.
struct Scan<T: Keyed> {
    backend: Arc<dyn PersistenceBackend>,
    query: KeyQuery<T::Key>,
    narrow: Narrow,
    /// The error of the last unreadable item, because it may cover the next ones too.
    last_error: Option<String>,
}

impl<T: Keyed> Scan<T> {
    async fn next(mut self) -> (Vec<Result<T>>, Option<Self>) {
        loop {
            self.query.limit = self.narrow.ask;
            let page = match T::page(&*self.backend, &self.query).await {
                Err(error) if error.is_of_one_thing() && !self.narrow.failed() => continue,
                Err(error) if error.is_of_one_thing() => return self.pass(error).await,
                Err(error) => return (vec![Err(error)], None),
                Ok(page) => page,
            };
            self.narrow.read(page.items.len());
            self.last_error = None;
            let mut items = Vec::with_capacity(page.items.len());
            for item in page.items {
                // Otherwise a damaged index could make a reader loop.
                if !self.query.matches(item.key()) {
                    items.push(Err(Error::corrupt(format!("{}: it is in the wrong place", item.key()))));
                    return (items, None);
                }
                self.query.after = Some(item.key().clone());
                items.push(Ok(item));
            }
            let rest = page.more && !items.is_empty();
            return (items, rest.then_some(self));
        }
    }

    /// Continues after the unreadable item, if anything follows it.
    async fn pass(mut self, error: Error) -> (Vec<Result<T>>, Option<Self>) {
        let text = error.to_string();
        let after = match gap::after_gap::<T>(&*self.backend, &self.query, &text, self.last_error.as_deref()).await {
            Ok(after) => after,
            Err(other) => return (vec![Err(error), Err(other)], None),
        };
        // Several items that are damaged together are reported once.
        let item = (self.last_error.as_ref() != Some(&text)).then_some(Err(error));
        self.last_error = Some(text);
        let rest = after.map(|after| {
            self.query.after = Some(after);
            self
        });
        (item.into_iter().collect(), rest)
    }
}
