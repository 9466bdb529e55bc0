//! Logs that can be removed and still continue: entries added after a removal go to a successor.
//!
//! The id of a removed log is never used again, but an agent whose transcript was removed may write another one. A
//! removal leaves an empty sealed successor, so that the next number is known.

use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::batch::Guard;
use crate::entity::{EntryEntity, first_id, number_of, successor, successors};
use crate::error::{Error, Result};
use crate::key::{Kind, LogKey};
use crate::query::{Direction, LogQuery, LogScan};
use crate::record::{LogEntry, LogHead, LogState};
use crate::workspace::Workspace;

/// Heads per page.
const PAGE: usize = 256;

impl Workspace {
    /// Appends an entry to a log or, if that was removed, to its successor.
    pub(crate) async fn append_on<E: EntryEntity>(&self, verb: &str, log: &LogKey, entry: &E) -> Result<()> {
        if self.operation.is_some() {
            return self.append_once(verb, log, entry).await;
        }
        let added = match self.store.append(log, None, std::slice::from_ref(entry)).await {
            Ok(added) if added.start > 0 => return Ok(()),
            Ok(_) => true,
            Err(Error::Conflict(_)) => false,
            Err(error) => return Err(error),
        };
        let entry = &self.store.entry(entry)?;
        let decided = self.decide(verb, move |_| async move {
            let newest = self.successors(log, Direction::Backward).try_next().await?;
            // In a copy of a store a removed log looks as if it had never existed, but it has successors: the entry
            // goes after theirs.
            if added && (newest.is_none() || self.store.head(log).await?.length != 1) {
                return Ok(((), None));
            }
            let number = match newest {
                Some((number, head)) if head.state == LogState::Open => number,
                Some((number, _)) => number + 1,
                None => 1,
            };
            let batch = self.store.batch().append(successor(log, number), vec![entry.clone()]);
            Ok(((), Some(if added { batch.guard(alone(log)).remove(log.clone()) } else { batch })))
        });
        decided.await?;
        Ok(())
    }

    /// Appends an entry once within an operation.
    async fn append_once<E: EntryEntity>(&self, verb: &str, log: &LogKey, entry: &E) -> Result<()> {
        let entry = &self.store.entry(entry)?;
        self.decide(verb, move |attempt| async move {
            if attempt.has_happened() {
                return Ok(((), None));
            }
            let newest = self.successors(log, Direction::Backward).try_next().await?;
            let log = match newest {
                Some((_, head)) if head.state == LogState::Open => head.log,
                Some((number, _)) => successor(log, number + 1),
                None if self.store.head(log).await?.state == LogState::Open => log.clone(),
                None => successor(log, 1),
            };
            Ok(((), Some(self.store.batch().append(log, vec![entry.clone()]))))
        })
        .await?;
        Ok(())
    }

    /// Returns the entries of a log and its successors, newest first, read lazily.
    pub(crate) fn read_on(
        &self,
        log: &LogKey,
        limit: usize,
    ) -> impl Stream<Item = Result<LogEntry>> + Send + Unpin + use<> {
        let store = self.store.clone();
        let successors = self.successors(log, Direction::Backward).map_ok(|(_, head)| head.log);
        let all = successors.chain(stream::iter([Ok(log.clone())]));
        all.map_ok(move |log| store.read(LogQuery::newest_first(log, limit))).try_flatten().boxed()
    }

    /// Permanently removes the entries of a log; returns whether there were any. One that is added concurrently may
    /// stay.
    pub(crate) async fn remove_on(&self, verb: &str, log: &LogKey) -> Result<bool> {
        let decided = self.decide(verb, move |attempt| async move {
            if attempt.has_happened() {
                return Ok((true, None));
            }
            let mut heads = vec![(0, self.store.head(log).await?)];
            heads.extend(self.successors(log, Direction::Forward).try_collect::<Vec<_>>().await?);
            if heads.iter().all(|(_, head)| head.length == 0) {
                return Ok((false, None));
            }
            let next = heads.iter().map(|(number, _)| number + 1).max().unwrap_or_default();
            let batch = heads.into_iter().fold(self.store.batch(), |batch, (_, head)| batch.remove(head.log));
            Ok((true, Some(batch.seal(successor(log, next)))))
        });
        Ok(decided.await?.0)
    }

    /// Permanently removes the entries of all logs of a kind in this namespace, one log after the other.
    pub(crate) async fn clear_on(&self, kind: &Kind) -> Result<()> {
        self.takes_no_operation("clear")?;
        let kind = self.namespace.kind(kind);
        let mut heads = self.store.logs(LogScan::of(kind.clone(), PAGE).prefixed(self.namespace.prefix()));
        while let Some(head) = heads.try_next().await? {
            self.remove_on("clear", &LogKey::new(kind.clone(), first_id(head.log.id()))?).await?;
        }
        Ok(())
    }

    /// Returns the numbers and heads of the successors of a log.
    fn successors(
        &self,
        log: &LogKey,
        direction: Direction,
    ) -> impl Stream<Item = Result<(u32, LogHead)>> + Send + Unpin + use<> {
        let query = LogScan::of(log.kind().clone(), PAGE).prefixed(successors(log));
        let heads = self.store.logs(LogScan { direction, ..query });
        let numbered = |head: LogHead| Some((number_of(head.log.id())?.1, head));
        heads.try_filter_map(move |head| std::future::ready(Ok(numbered(head)))).boxed()
    }
}

/// Expects that a log has only the one entry.
fn alone(log: &LogKey) -> Guard {
    Guard::Length { log: log.clone(), length: 1 }
}
