//! Reading the messages of a session across the parts it was restored with.

use std::ops::Range;

use futures_core::Stream;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::content::whole_message;
use crate::entity::{Entity, Message, Session};
use crate::error::Result;
use crate::key::LogKey;
use crate::query::{Direction, LogQuery};
use crate::record::LogEntry;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::take_places::take_places;

/// Entries per page of messages.
pub(crate) const PAGE: usize = 256;

/// The end of every history.
pub(crate) const END: u64 = u64::MAX;

/// A message and its place in its session's history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// Its place in the history, dense from zero; messages that the session was restored with count too.
    pub position: u64,
    /// When it was written, according to the writer's clock.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
}

/// A part of a history: consecutive messages of one log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HistoryPart {
    pub(crate) log: LogKey,
    /// The place of the log's first entry in the history.
    pub(crate) start: u64,
    /// The place after its last entry; the session's own part is open-ended.
    pub(crate) end: u64,
}

/// Returns the parts of a session's history in order; the last is its own.
pub(crate) fn parts(session: &Session) -> Vec<HistoryPart> {
    session.parts().into_iter().map(|(log, Range { start, end })| HistoryPart { log, start, end }).collect()
}

/// Returns how many messages come before the session's own first one.
pub(crate) fn inherited(session: &Session) -> u64 {
    session.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.length))
}

impl Workspace {
    /// Returns how many messages a session has, including those it was restored with.
    pub async fn history_length(&self, session: &Session) -> Result<u64> {
        let head = self.store.head(&session.log()).await?;
        Ok(inherited(session) + head.length)
    }

    /// Returns the messages at some places of a session's history, read lazily.
    ///
    /// `0..u64::MAX` is all of it. Backwards, the newest comes first. Only the pages needed are read, and nothing is
    /// held between two; messages added during the read are found if they come after those already returned. An
    /// unreadable message is an error that has its place ([`Error::positions`](crate::Error::positions); several
    /// messages damaged together give one error), and the stream continues after it. `page` is how many messages to
    /// read at once, if the default does not suit.
    pub fn history(
        &self,
        session: &Session,
        places: Range<u64>,
        direction: Direction,
        page: Option<usize>,
    ) -> impl Stream<Item = Result<HistoryEntry>> + Send + Unpin + use<> {
        let store = self.store.clone();
        self.stored_history(session, places, direction, page.unwrap_or(PAGE))
            .then(move |stored| {
                let store = store.clone();
                async move {
                    let (log, position, entry) = stored?;
                    let message = stored_message(&store, &log, &entry).await;
                    let message = message.map_err(|error| error.moved(position - entry.position))?;
                    Ok(HistoryEntry { position, at: entry.at, message })
                }
            })
            .boxed()
    }

    /// Returns the result of reading each of the newest `count` messages of a session, oldest first: an unreadable one
    /// is an error in its place, as in [`history`](Self::history), and does not hide the others.
    ///
    /// Up to fifty messages cost at most two reads of at most `count` messages, however long the history is and however
    /// often it was restored.
    pub async fn tail(&self, session: &Session, count: usize) -> Result<Vec<Result<HistoryEntry>>> {
        let newest = self.history(session, 0..END, Direction::Backward, Some(count.clamp(1, PAGE)));
        let mut tail = take_places(newest, count as u64).await?;
        tail.reverse();
        Ok(tail)
    }

    /// Returns the messages of a session written at `from` or later, oldest first.
    ///
    /// Correct even if clocks went backwards: every message is judged by its own time, so all are read.
    pub fn history_since(
        &self,
        session: &Session,
        from: Timestamp,
    ) -> impl Stream<Item = Result<HistoryEntry>> + Send + Unpin + use<> {
        let all = self.history(session, 0..END, Direction::Forward, None);
        all.try_filter(move |entry| std::future::ready(entry.at >= from)).boxed()
    }

    /// Returns the stored entries of a history, each with its log and its place in the history.
    pub(crate) fn stored_history(
        &self,
        session: &Session,
        places: Range<u64>,
        direction: Direction,
        page: usize,
    ) -> impl Stream<Item = Result<(LogKey, u64, LogEntry)>> + Send + Unpin + use<> {
        let mut parts = parts(session);
        if direction == Direction::Backward {
            parts.reverse();
        }
        let store = self.store.clone();
        let wanted = parts.into_iter().filter(move |part| part.start < places.end && places.start < part.end);
        let wanted = wanted.map(move |part| {
            let within = places.start.saturating_sub(part.start)..places.end.min(part.end) - part.start;
            (LogQuery { log: part.log, range: within, direction, limit: page }, part.start)
        });
        stream::iter(wanted)
            .map(move |(query, start)| {
                let log = query.log.clone();
                store.read(query).map(move |entry| match entry {
                    Ok(entry) => Ok((log.clone(), start + entry.position, entry)),
                    Err(error) => Err(error.moved(start)),
                })
            })
            .flatten()
            .boxed()
    }
}

/// Reads the whole message of an entry of a history. If it is damaged, or was written by a later version, the error
/// names the log and the position.
pub(crate) async fn stored_message(store: &Store, log: &LogKey, entry: &LogEntry) -> Result<Message> {
    let read = async { whole_message(store, Message::from_body(&entry.body)?).await };
    read.await.map_err(|error| match error.is_of_one_thing() {
        true => error.at(log, entry.position..entry.position.saturating_add(1)),
        false => error,
    })
}
