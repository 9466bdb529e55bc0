//! Records and logs in the order of their real ids.
//!
//! Keys sort as their ids do, except for the few ids that no key can hold: those are stored under their digest, all together
//! somewhere in the middle. They are read first, and each is returned where its real id belongs.

use std::collections::VecDeque;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use nofx_core::json::{Object, Text};
use nofx_core::{Error, Key, Kind, LogHead, LogKey, LogScan, Record, RecordKey, Result, ScanQuery, Store};

/// The prefix of a key that holds the digest of an id. No other key begins with it.
const DIGESTED: &str = "sha256:";

/// Items per page.
const PAGE: usize = 256;

/// The record and its member that hold the real id.
#[derive(Clone, Copy)]
pub(super) struct TrueId {
    pub(super) kind: &'static Kind,
    pub(super) member: &'static str,
}

/// What can be listed by key.
pub(super) trait Listed: Sized + Send + 'static {
    type Key: Key;
    fn key(&self) -> &Self::Key;
    fn list(store: &Store, kind: Kind, prefix: &str) -> BoxStream<'static, Result<Self>>;
    async fn fetch(store: &Store, key: &Self::Key) -> Result<Option<Self>>;
}

impl Listed for Record {
    type Key = RecordKey;

    fn key(&self) -> &RecordKey {
        &self.key
    }

    fn list(store: &Store, kind: Kind, prefix: &str) -> BoxStream<'static, Result<Self>> {
        Box::pin(store.scan(ScanQuery::of(kind, PAGE).prefixed(prefix)))
    }

    async fn fetch(store: &Store, key: &RecordKey) -> Result<Option<Self>> {
        Ok(store.get(std::slice::from_ref(key)).await?.into_iter().flatten().next())
    }
}

impl Listed for LogHead {
    type Key = LogKey;

    fn key(&self) -> &LogKey {
        &self.log
    }

    fn list(store: &Store, kind: Kind, prefix: &str) -> BoxStream<'static, Result<Self>> {
        Box::pin(store.logs(LogScan::of(kind, PAGE).prefixed(prefix)))
    }

    async fn fetch(store: &Store, key: &LogKey) -> Result<Option<Self>> {
        store.head(key).await.map(Some)
    }
}

/// Everything of a kind, one item after the other.
pub(super) struct InOrder<T: Listed> {
    store: Store,
    plain: BoxStream<'static, Result<T>>,
    next_plain: Option<T>,
    digested: VecDeque<(Text, T::Key)>,
}

impl<T: Listed> InOrder<T> {
    pub(super) async fn of(store: &Store, kind: &Kind, true_id: TrueId) -> Result<Self> {
        let mut digested = Vec::new();
        let mut found = T::list(store, kind.clone(), DIGESTED);
        while let Some(item) = found.try_next().await? {
            digested.push((resolve(store, item.key().id(), true_id).await?, item.key().clone()));
        }
        digested.sort();
        let mut in_order = Self {
            store: store.clone(),
            plain: T::list(store, kind.clone(), ""),
            next_plain: None,
            digested: digested.into(),
        };
        in_order.advance().await?;
        Ok(in_order)
    }

    /// Returns the next one with its real id.
    pub(super) async fn next(&mut self) -> Result<Option<(Text, T)>> {
        loop {
            let plain = self.next_plain.as_ref().map(|item| Text::from(item.key().id()));
            let digested_first = match (&plain, self.digested.front()) {
                (Some(plain), Some((id, _))) => id < plain,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            if !digested_first {
                let item = self.next_plain.take();
                self.advance().await?;
                return Ok(plain.zip(item));
            }
            if let Some((id, key)) = self.digested.pop_front()
                && let Some(item) = T::fetch(&self.store, &key).await?
            {
                return Ok(Some((id, item)));
            }
        }
    }

    async fn advance(&mut self) -> Result<()> {
        while let Some(item) = self.plain.try_next().await? {
            if !item.key().id().starts_with(DIGESTED) {
                self.next_plain = Some(item);
                break;
            }
        }
        Ok(())
    }
}

/// Returns the id for a digest, or the digest if it is not known.
async fn resolve(store: &Store, digest: &str, true_id: TrueId) -> Result<Text> {
    let key = RecordKey::new(true_id.kind.clone(), digest)?;
    let Some(record) = Record::fetch(store, &key).await? else { return Ok(digest.into()) };
    Ok(object(&record)?.read(true_id.member).unwrap_or_else(|| digest.into()))
}

/// Reads a record that must be an object.
pub(super) fn object(record: &Record) -> Result<Object> {
    Object::parse(record.body.as_str()).map_err(|error| Error::corrupt_because(record.key.to_string(), error))
}
