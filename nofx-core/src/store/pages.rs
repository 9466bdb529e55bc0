//! Lazy streams, built from pages so that nothing is held between two.

use std::future::Future;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::backend::PersistenceBackend;
use crate::error::Result;
use crate::query::{Direction, LogQuery, LogScan, Page, ScanQuery};
use crate::record::{LogEntry, LogHead, Record};

/// Items of a page where the caller did not say.
pub(super) const DEFAULT_LIMIT: usize = 256;

type Items<T> = BoxStream<'static, Result<T>>;

pub(super) fn records(backend: Arc<dyn PersistenceBackend>, query: ScanQuery) -> Items<Record> {
    follow(query, move |query| {
        let backend = backend.clone();
        async move {
            let page = backend.scan(&query).await?;
            let next = page.items.last().map(|last| query.after(last.key.clone()));
            Ok((page, next))
        }
    })
}

pub(super) fn heads(backend: Arc<dyn PersistenceBackend>, query: LogScan) -> Items<LogHead> {
    follow(query, move |query| {
        let backend = backend.clone();
        async move {
            let page = backend.logs(&query).await?;
            let next = page.items.last().map(|last| query.after(last.log.clone()));
            Ok((page, next))
        }
    })
}

pub(super) fn entries(backend: Arc<dyn PersistenceBackend>, query: LogQuery) -> Items<LogEntry> {
    follow(query, move |query| {
        let backend = backend.clone();
        async move {
            let page = backend.read(&query).await?;
            let next = page.items.last().map(|last| {
                let range = match query.direction {
                    Direction::Forward => last.position + 1..query.range.end,
                    Direction::Backward => query.range.start..last.position,
                };
                query.within(range)
            });
            Ok((page, next))
        }
    })
}

/// Converts each item.
pub(super) fn map<T: 'static, U: 'static>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
    convert: fn(T) -> Result<U>,
) -> Items<U> {
    items.map(move |item| item.and_then(convert)).boxed()
}

/// Asks page after page; `ask` also returns the question that continues its page.
fn follow<Q, T, A>(query: Q, ask: impl Fn(Q) -> A + Send + 'static) -> Items<T>
where
    Q: Send + 'static,
    T: Send + 'static,
    A: Future<Output = Result<(Page<T>, Option<Q>)>> + Send + 'static,
{
    let pages = stream::try_unfold(Some(query), move |query| {
        let asked = query.map(&ask);
        async move {
            let Some(asked) = asked else { return Ok(None) };
            let (page, next) = asked.await?;
            let items = stream::iter(page.items.into_iter().map(Ok));
            Ok(Some((items, next.filter(|_| page.more))))
        }
    });
    pages.try_flatten().boxed()
}
