//! A host's own records and logs.

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::Workspace;
use crate::batch::{Batch, Guard, Outcome};
use crate::error::{Error, Result};
use crate::key::{Key, Kind, LogKey, RecordKey};
use crate::query::{Direction, KeyQuery, LogQuery, LogScan, ScanQuery};
use crate::record::{LogEntry, LogHead, Record};
use crate::store::Store;

/// The prefix of hosts' kinds; no kind of an entity has it.
pub(super) const OWN: &str = "x-";

/// The longest name for a host's records, in bytes.
const RECORDS_NAME_BYTES: usize = 16;

/// A host's own records and logs, separate from those of the entities.
///
/// They are of kinds `x-<name>-…`, which only this name can access. Copies, backups and full dumps include them, the
/// canonical dump does not. They can hold any JSON, and its meaning is up to the host.
///
/// The id of a log is never used again once the log was removed. To start a log over, keep a record that says which log
/// is current, and change both in one batch:
///
/// ```
/// # use std::sync::Arc;
/// # use nofx_core::workspace::Workspace;
/// # use nofx_core::{Batch, Body, Expect, LogKey, MemoryBackend, NewEntry, RecordKey, Store, Timestamp};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(Arc::new(MemoryBackend::new())));
/// let records = workspace.records("chat")?;
/// let pointer = records.key("thread", "t1")?;
/// let begin = |generation: u64| -> nofx_core::Result<(LogKey, Body)> {
///     Ok((records.log("turns", &format!("t1/{generation}"))?, Body::parse(&format!(r#"{{"log":{generation}}}"#))?))
/// };
///
/// let (first, points) = begin(1)?;
/// let said = || vec![NewEntry { at: Timestamp::from_millis(0), body: Body::parse(r#"{"said":"hello"}"#).unwrap() }];
/// let batch = records.batch().put(pointer.clone(), Expect::Absent, points).append(first.clone(), said());
/// let version = records.commit(batch).await?.committed()?.seq.unwrap();
///
/// // Started over: the old log goes, the pointer names the next one.
/// let (second, points) = begin(2)?;
/// let batch = records.batch().put(pointer, Expect::At(version), points).remove(first).append(second, said());
/// records.commit(batch).await?.committed()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Records {
    store: Store,
    /// The prefix of its kinds.
    prefix: String,
}

impl Workspace {
    /// Returns a host's own records and logs under a name. They belong to no namespace.
    ///
    /// `Invalid` unless the name has 1 to 16 lower-case letters and digits, starting with a letter.
    pub fn records(&self, name: &str) -> Result<Records> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        // With a hyphen, the kinds of one name could also be those of another.
        let is_name = name.len() <= RECORDS_NAME_BYTES
            && name.bytes().all(is_plain)
            && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        match is_name {
            true => Ok(Records { store: self.store.clone(), prefix: format!("{OWN}{name}-") }),
            false => Err(Error::invalid(format!(
                "`{}` is not a valid name for records; give 1 to {RECORDS_NAME_BYTES} lower-case letters and digits, the first a letter",
                name.escape_debug()
            ))),
        }
    }
}

impl Records {
    /// Returns the kind `x-<name>-<kind>`. `Invalid` if that is not a valid kind.
    pub fn kind(&self, kind: &str) -> Result<Kind> {
        Kind::new(format!("{}{kind}", self.prefix))
    }

    /// Returns the key of a record.
    pub fn key(&self, kind: &str, id: &str) -> Result<RecordKey> {
        RecordKey::new(self.kind(kind)?, id)
    }

    /// Returns the key of a log.
    pub fn log(&self, kind: &str, id: &str) -> Result<LogKey> {
        LogKey::new(self.kind(kind)?, id)
    }

    /// Returns an empty batch with a new id.
    pub fn batch(&self) -> Batch {
        self.store.batch()
    }

    /// Returns each requested record, in order and from one point in time; `None` for one that does not exist.
    pub async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        keys.iter().try_for_each(|key| self.require(key.kind()))?;
        self.store.get(keys).await
    }

    /// Returns all records that a query finds, in pages of its limit, like [`Store::scan`]. A forward query without a
    /// kind finds records of all kinds under this name.
    pub fn scan(&self, query: ScanQuery) -> Result<impl Stream<Item = Result<Record>> + Send + Unpin + use<>> {
        let found = self.store.scan(self.own(query)?);
        Ok(self.until_another(found, |record| record.key.kind()))
    }

    /// Returns the heads of all logs that a query finds, like [`scan`](Self::scan).
    pub fn logs(&self, query: LogScan) -> Result<impl Stream<Item = Result<LogHead>> + Send + Unpin + use<>> {
        let found = self.store.logs(self.own(query)?);
        Ok(self.until_another(found, |head| head.log.kind()))
    }

    /// Returns the entries of a log, in pages of the query's limit, like [`Store::read`].
    pub fn read(&self, query: LogQuery) -> Result<impl Stream<Item = Result<LogEntry>> + Send + Unpin + use<>> {
        self.require(query.log.kind())?;
        query.validate()?;
        Ok(self.store.read(query))
    }

    /// Returns the head of a log; one that does not exist is open and empty.
    pub async fn head(&self, log: &LogKey) -> Result<LogHead> {
        self.require(log.kind())?;
        self.store.head(log).await
    }

    /// Commits a batch, all or nothing, and waits until it is durable; a conflict is an outcome, as with
    /// [`Store::commit`].
    ///
    /// `Invalid` if the batch names anything outside this name, even in an expectation.
    pub async fn commit(&self, batch: Batch) -> Result<Outcome> {
        let guarded = batch.guards.iter().map(|guard| match guard {
            Guard::Record { key, .. } => key.kind(),
            Guard::Length { log, .. } => log.kind(),
        });
        let logs = batch.appends.iter().map(|append| &append.log).chain(&batch.seals).chain(&batch.removals);
        let written = batch.writes.iter().map(|write| write.key.kind());
        written.chain(logs.map(LogKey::kind)).chain(guarded).try_for_each(|kind| self.require(kind))?;
        self.store.commit(batch).await
    }

    fn require(&self, kind: &Kind) -> Result<()> {
        match kind.as_str().strip_prefix(&self.prefix) {
            Some(rest) if !rest.is_empty() => Ok(()),
            _ => Err(Error::invalid(format!(
                "kind `{kind}` does not belong to these records, whose kinds begin with `{}`",
                self.prefix
            ))),
        }
    }

    /// Restricts a query to start with this name's items.
    fn own<K: Key>(&self, query: KeyQuery<K>) -> Result<KeyQuery<K>> {
        query.validate()?;
        if let Some(kind) = &query.kind {
            self.require(kind)?;
            return Ok(query);
        }
        if query.direction == Direction::Backward {
            return Err(Error::invalid("a backward query needs a kind"));
        }
        if let Some(after) = &query.after {
            self.require(after.kind())?;
            return Ok(query);
        }
        // Nothing has this kind, which sorts before all others under this name.
        let before = K::new(Kind::new(self.prefix.clone())?, "\u{0}")?;
        Ok(query.after(before))
    }

    /// Ends a stream at the first item under another name.
    fn until_another<T: Send + 'static>(
        &self,
        found: impl Stream<Item = Result<T>> + Send + Unpin + 'static,
        kind: impl Fn(&T) -> &Kind + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let prefix = self.prefix.clone();
        let is_own = move |one: &Result<T>| one.as_ref().map_or(true, |one| kind(one).as_str().starts_with(&prefix));
        found.take_while(move |one| std::future::ready(is_own(one))).boxed()
    }
}
