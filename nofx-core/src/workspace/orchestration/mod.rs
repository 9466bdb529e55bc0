//! The messages between agents: one log in segments, so that old ones can be removed without touching the others.

pub(super) mod page;

use std::sync::{Arc, Mutex, PoisonError};

use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::batch::{Batch, NewEntry};
use crate::entity::{Entity, OrchestrationMessage};
use crate::error::{Error, Result};
use crate::json::Text;
use crate::key::LogKey;
use crate::kind::ORCHESTRATION;
use crate::query::{Direction, LogQuery, LogScan};
use crate::record::{LogHead, LogState};
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::decide::Attempt;
use crate::workspace::event::{EventKind, with_event};
use crate::workspace::take_places::take_places;

/// The maximum number of messages in a segment.
pub const SEGMENT_MESSAGES: u64 = 10_000;

/// The bytes of messages at which a segment ends.
pub const SEGMENT_BYTES: u64 = 8 << 20;

/// Entries per page.
const PAGE: usize = 256;

/// The maximum number of segments that one batch removes.
const REMOVED_TOGETHER: usize = 5000;

/// Which messages between agents to read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrchestrationFilter {
    /// Only messages from or to this participant.
    pub participant: Option<Text>,
    /// Only messages of this type.
    pub kind: Option<Text>,
    /// Only messages of this time or later, according to their sender's clock.
    pub since: Option<Timestamp>,
    /// Only messages before this time.
    pub until: Option<Timestamp>,
    /// The order: newest first by default.
    pub oldest_first: bool,
}

/// What is known about the log of messages between agents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrchestrationStats {
    /// How many messages there are.
    pub messages: u64,
    /// The time of the oldest, if it can be read.
    pub oldest: Option<Timestamp>,
    /// The time of the newest.
    pub newest: Option<Timestamp>,
    /// The number of segments.
    pub segments: u64,
}

/// What this handle knows about the growing segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growing(Arc<Mutex<Option<Segment>>>);

/// A segment as last seen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    number: u32,
    length: u64,
    bytes: u64,
    sealed: bool,
}

impl Segment {
    fn is_full(&self) -> bool {
        self.sealed || self.length >= SEGMENT_MESSAGES || self.bytes >= SEGMENT_BYTES
    }
}

impl Growing {
    fn get(&self) -> Option<Segment> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, segment: Option<Segment>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = segment;
    }
}

/// The messages between agents.
///
/// ```
/// # use futures_util::TryStreamExt;
/// # use nofx_core::workspace::{OrchestrationFilter, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::OrchestrationMessage};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// let now = workspace.store().sources().now();
/// let mut assigned = OrchestrationMessage::new("m1", now, "task.assigned");
/// (assigned.from, assigned.to) = (Some("conductor".into()), Some("ada".into()));
/// workspace.save_orchestration(assigned).await?;
/// workspace.save_orchestration(OrchestrationMessage::new("m2", now, "heartbeat")).await?;
///
/// let filter = OrchestrationFilter { participant: Some("ada".into()), ..OrchestrationFilter::default() };
/// let with_ada: Vec<_> = workspace.orchestration_history(filter).await?.try_collect().await?;
/// assert_eq!(with_ada.len(), 1);
/// assert_eq!(with_ada[0].kind, "task.assigned");
/// assert_eq!(workspace.orchestration_stats().await?.messages, 2);
/// # Ok(()) }
/// ```
impl Workspace {
    /// Stores a message between agents, in order of arrival.
    pub async fn save_orchestration(&self, message: OrchestrationMessage) -> Result<()> {
        self.save_orchestrations(vec![message]).await
    }

    /// Stores messages between agents, all or none. `Invalid` for more than a batch takes: 9,000 always fit.
    pub async fn save_orchestrations(&self, messages: Vec<OrchestrationMessage>) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let entries = messages.iter().map(|message| self.store.entry(message)).collect::<Result<Vec<_>>>()?;
        let entries = &entries;
        let bytes: u64 = entries.iter().map(|entry| entry.body.len() as u64).sum();
        let decided = self.decide("save_orchestrations", move |attempt| async move {
            if attempt.has_happened() {
                return Ok((None, None));
            }
            if matches!(attempt, Attempt::AfterConflict(_)) {
                // Another writer has sealed or removed the segment.
                self.growing.set(None);
            }
            let segment = match self.growing.get() {
                Some(segment) => Some(segment),
                None => self.newest_segment().await?,
            };
            let (grown, batch) = self.grow(segment, entries)?;
            Ok((Some(grown), Some(batch)))
        });
        let (Some(mut grown), committed) = decided.await? else {
            self.growing.set(None);
            return Ok(());
        };
        let appended = committed.and_then(|committed| committed.appended.into_iter().next()).unwrap_or_default();
        let log = self.segment(grown.number);
        grown.bytes += bytes + self.readable_bytes(log, grown.length..appended.start).await?;
        grown.length = appended.end;
        self.growing.set(Some(grown));
        Ok(())
    }

    /// Returns the batch that adds entries to a segment, or to the next one if it is full.
    fn grow(&self, segment: Option<Segment>, entries: &[NewEntry]) -> Result<(Segment, Batch)> {
        let (batch, entries) = (self.store.batch(), entries.to_vec());
        match segment {
            Some(segment) if !segment.is_full() => Ok((segment, batch.append(self.segment(segment.number), entries))),
            full => {
                let number = match full {
                    Some(full) => full.number.checked_add(1).ok_or_else(|| {
                        Error::full("the log of messages between agents has used all its segment numbers")
                    })?,
                    None => 0,
                };
                let batch = match full {
                    Some(full) => batch.seal(self.segment(full.number)),
                    None => batch,
                };
                let segment = Segment { number, length: 0, bytes: 0, sealed: false };
                Ok((segment, batch.append_at(self.segment(number), 0, entries)))
            }
        }
    }

    /// Finds the growing segment, and reads it once to determine its size.
    async fn newest_segment(&self) -> Result<Option<Segment>> {
        let newest = self.store.logs(self.all_segments(1).backward()).try_next().await?;
        let Some(head) = newest else { return Ok(None) };
        let number = number_of(&head)?;
        let mut segment = Segment { number, length: head.length, bytes: 0, sealed: head.state == LogState::Sealed };
        if !segment.is_full() {
            // A segment with unreadable entries takes more until it is full by count.
            segment.bytes = self.readable_bytes(head.log, 0..head.length).await?;
        }
        Ok(Some(segment))
    }

    /// Returns the messages between agents that match a filter, read lazily.
    ///
    /// Reads back through all messages until the caller has taken as many as it wants. They come in order of arrival; a
    /// message's own time is used only for filtering. An unreadable one is an error in its place, and the stream
    /// continues after it.
    pub async fn orchestration_history(
        &self,
        filter: OrchestrationFilter,
    ) -> Result<impl Stream<Item = Result<OrchestrationMessage>> + Send + Unpin + use<>> {
        let direction = if filter.oldest_first { Direction::Forward } else { Direction::Backward };
        let all = self.orchestration(direction, 0).await?;
        Ok(all.try_filter(move |message| std::future::ready(filter.lets_through(message))).boxed())
    }

    /// Returns the result of reading each of at most `limit` messages between agents, newest first, after skipping the
    /// newest `offset`. An unreadable one is an error in its place and does not hide the others.
    pub async fn load_orchestration(&self, offset: u64, limit: usize) -> Result<Vec<Result<OrchestrationMessage>>> {
        take_places(self.orchestration(Direction::Backward, offset).await?, limit as u64).await
    }

    /// Reads all messages in one direction, skipping the first `skipped` without reading them.
    async fn orchestration(
        &self,
        direction: Direction,
        mut skipped: u64,
    ) -> Result<impl Stream<Item = Result<OrchestrationMessage>> + Send + Unpin + use<>> {
        let mut heads = self.orchestration_segments().await?;
        if direction == Direction::Backward {
            heads.reverse();
        }
        let mut queries = Vec::new();
        for head in heads {
            let here = skipped.min(head.length);
            skipped -= here;
            let range = match direction {
                Direction::Forward => here..u64::MAX,
                Direction::Backward => 0..if here == 0 { u64::MAX } else { head.length - here },
            };
            queries.push(LogQuery { log: head.log, range, direction, limit: PAGE });
        }
        let store = self.store.clone();
        let entries = stream::iter(queries).map(move |query| store.read(query)).flatten();
        Ok(entries.map(|entry| OrchestrationMessage::from_body(&entry?.body)).boxed())
    }

    /// Returns a segment of this namespace's log.
    fn segment(&self, number: u32) -> LogKey {
        let log = OrchestrationMessage::segment(number);
        match LogKey::new(self.namespace.kind(&ORCHESTRATION), self.namespace.id(log.id())) {
            Ok(log) => log,
            Err(_) => unreachable!("a number in a namespace is short enough"),
        }
    }

    /// Queries all segments of this namespace's log.
    fn all_segments(&self, limit: usize) -> LogScan {
        LogScan::of(self.namespace.kind(&ORCHESTRATION), limit).prefixed(self.namespace.prefix())
    }

    /// Returns the heads of all segments, oldest first.
    pub(crate) async fn orchestration_segments(&self) -> Result<Vec<LogHead>> {
        self.store.logs(self.all_segments(PAGE)).try_collect().await
    }

    /// Returns what is known about the log of messages between agents. Exact, and reads only one message.
    pub async fn orchestration_stats(&self) -> Result<OrchestrationStats> {
        self.stats_of_segments(self.orchestration_segments().await?).await
    }

    /// Adds up segments, oldest first.
    pub(crate) async fn stats_of_segments(&self, heads: Vec<LogHead>) -> Result<OrchestrationStats> {
        let mut stats = OrchestrationStats::default();
        let mut oldest = None;
        for head in heads {
            stats.messages += head.length;
            stats.segments += 1;
            stats.newest = head.last_at.or(stats.newest);
            if oldest.is_none() && head.length > 0 {
                oldest = Some(head.log);
            }
        }
        if let Some(log) = oldest {
            let oldest = take_places(self.store.read(LogQuery::oldest_first(log, 1)), 1).await?;
            stats.oldest = oldest.into_iter().flatten().next().map(|entry| entry.at);
        }
        Ok(stats)
    }

    /// Permanently removes all messages between agents. One that is saved concurrently may be removed or stay.
    pub async fn clear_orchestration(&self) -> Result<()> {
        self.takes_no_operation("clear_orchestration")?;
        let numbers = self.orchestration_segments().await?.iter().map(number_of).collect::<Result<Vec<_>>>()?;
        self.remove_segments(&numbers).await
    }

    /// Permanently removes segments. An empty one replaces the newest, because numbers are never used again.
    pub(crate) async fn remove_segments(&self, numbers: &[u32]) -> Result<()> {
        for some in numbers.chunks(REMOVED_TOGETHER) {
            let decided = self.decide("remove_segments", move |_| async move {
                let newest = self.store.logs(self.all_segments(1).backward()).try_next().await?;
                let newest = newest.as_ref().map(number_of).transpose()?;
                let mut batch = with_event(self.store.batch(), EventKind::StorageCleanup);
                for number in some {
                    batch = batch.remove(self.segment(*number));
                }
                if let Some(newest) = newest.filter(|newest| some.contains(newest)) {
                    let next = newest.checked_add(1).ok_or_else(|| {
                        Error::full("the log of messages between agents has used all its segment numbers")
                    })?;
                    batch = batch.seal(self.segment(next));
                }
                Ok(((), Some(batch)))
            });
            decided.await?;
        }
        self.growing.set(None);
        Ok(())
    }
}

/// Returns the number of a segment.
pub(crate) fn number_of(head: &LogHead) -> Result<u32> {
    let id = head.log.id();
    let number = id.rsplit_once('/').map_or(id, |(_, number)| number);
    number.parse().map_err(|error| Error::corrupt_because(head.log.to_string(), error))
}

impl OrchestrationFilter {
    pub(crate) fn lets_through(&self, message: &OrchestrationMessage) -> bool {
        let takes_part = |who: &Text| message.from.as_ref() == Some(who) || message.to.as_ref() == Some(who);
        let at = message.timestamp.unwrap_or_default();
        self.participant.as_ref().is_none_or(takes_part)
            && self.kind.as_ref().is_none_or(|kind| message.kind == *kind)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }
}
