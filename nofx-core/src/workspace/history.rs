//! The messages of a session: adding, and reading across the parts that it was restored with.

use std::ops::Range;

use futures_core::Stream;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::activity::Place;
use super::session::Found;
use super::{PREVIEW_CHARS, TRIES, Workspace};
use crate::batch::Batch;
use crate::entity::{Entity, Message, Role, Session, SessionId};
use crate::error::{Error, Result};
use crate::json::Text;
use crate::key::LogKey;
use crate::query::{Direction, LogQuery};
use crate::record::LogEntry;
use crate::time::Timestamp;

/// Entries of a page of messages.
const PAGE: usize = 256;

/// A message and its place in its session's history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// Its place, dense from zero, counted through the messages that the session was restored with.
    pub position: u64,
    /// When it was written, by the writer's clock.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
}

/// A part of a history: consecutive messages of one log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) log: LogKey,
    /// The place of the log's first entry in the history.
    pub(super) start: u64,
    /// The place behind its last entry; the session's own part is open.
    pub(super) end: u64,
}

/// Returns the parts of a session's history in their order; the last is its own.
pub(super) fn parts(session: &Session) -> Vec<Part> {
    let mut start = 0;
    let mut parts: Vec<Part> = Vec::new();
    for piece in &session.pieces {
        let end = start + piece.length;
        parts.push(Part { log: Session::history(&piece.session), start, end });
        start = end;
    }
    parts.push(Part { log: Session::history(&session.id), start, end: u64::MAX });
    parts
}

/// Returns how many messages come before a session's own first one.
pub(super) fn inherited(session: &Session) -> u64 {
    session.pieces.iter().map(|piece| piece.length).sum()
}

impl Workspace {
    /// Makes a message with a new id and the current time.
    pub fn message(&self, role: Role, content: impl Into<Text>) -> Message {
        let now = self.now();
        Message::new(format!("msg-{}-{}", now.as_millis(), self.sources().token()), now, role, content)
    }

    /// Adds a message to a session and returns its place in the history, whatever others added meanwhile.
    ///
    /// A [`SessionWriter`](super::SessionWriter) notices what others add. `Invalid` if the session is archived, in the
    /// trash or unknown; a session that has expired still takes messages, so that none is lost.
    pub async fn add_message(&self, session: &SessionId, message: Message) -> Result<u64> {
        Ok(self.add_messages(session, vec![message]).await?.start)
    }

    /// Adds messages to a session, all or none, and returns their places.
    pub async fn add_messages(&self, session: &SessionId, messages: Vec<Message>) -> Result<Range<u64>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let found = self.find(session).await?;
            Self::require_open(&found.session)?;
            let batch = self.append_batch(&found, None, messages.clone())?;
            match self.store.commit(batch).await?.committed() {
                Ok(committed) => {
                    let before = inherited(&found.session);
                    let own = committed.appended.into_iter().next().unwrap_or_default();
                    return Ok(before + own.start..before + own.end);
                }
                // The place in the order of activity, or the preview, was moved by another writer.
                Err(Error::Conflict(_)) if tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the batch that adds messages, at the given length of the session's own log if one is given.
    pub(super) fn append_batch(&self, found: &Found, length: Option<u64>, messages: Vec<Message>) -> Result<Batch> {
        let session = &found.session;
        let now = self.now();
        let mut entries = Vec::with_capacity(messages.len());
        for message in &messages {
            entries.push(self.store.entry(&message.written_by(&self.writer))?);
        }
        let log = Session::history(&session.id);
        let batch = match length {
            Some(length) => self.store.batch().append_at(log, length, entries),
            None => self.store.batch().append(log, entries),
        };
        let at = session.last_active_at.max(Some(now)).unwrap_or(now);
        match (&session.preview, preview(&messages)) {
            (None, Some(preview)) => {
                let mut session = session.clone();
                session.preview = Some(preview);
                found.save(batch, &session, at)
            }
            _ => found.moved(batch, Some(&Place::of(session, at))),
        }
    }

    /// Returns how many messages a session has, with those that it was restored with.
    pub async fn history_length(&self, session: &Session) -> Result<u64> {
        let head = self.store.head(&Session::history(&session.id)).await?;
        Ok(inherited(session) + head.length)
    }

    /// Returns the messages of a session in either direction, read as they are asked for.
    ///
    /// `range` are places in the history; use `..` bounds such as `0..u64::MAX` for all. Nothing but the pages asked for is
    /// read: the newest 50 of a long history cost one page.
    pub fn history(
        &self,
        session: &Session,
        range: Range<u64>,
        direction: Direction,
        page: Option<usize>,
    ) -> impl Stream<Item = Result<HistoryEntry>> + Send + Unpin + use<> {
        let mut parts = parts(session);
        if direction == Direction::Backward {
            parts.reverse();
        }
        let (store, limit) = (self.store.clone(), page.unwrap_or(PAGE));
        let wanted =
            parts.into_iter().filter(move |part| part.start < range.end && range.start < part.end).map(move |part| {
                let within = range.start.saturating_sub(part.start)..range.end.min(part.end) - part.start;
                let query = LogQuery { log: part.log.clone(), range: within, direction, limit };
                (part, query)
            });
        stream::iter(wanted)
            .map(move |(part, query)| store.read(query).map(move |entry| entry_of(&part, entry?)))
            .flatten()
            .boxed()
    }

    /// Returns the newest messages of a session, oldest first.
    pub async fn tail(&self, session: &Session, count: usize) -> Result<Vec<HistoryEntry>> {
        let newest = self.history(session, 0..u64::MAX, Direction::Backward, Some(count.max(1)));
        let mut tail: Vec<_> = newest.take(count).try_collect().await?;
        tail.reverse();
        Ok(tail)
    }

    /// Returns the messages of a session that were written at `from` or later, oldest first.
    ///
    /// Correct also when clocks went back: every message is judged by its own time, so all are looked at.
    pub fn history_since(
        &self,
        session: &Session,
        from: Timestamp,
    ) -> impl Stream<Item = Result<HistoryEntry>> + Send + Unpin + use<> {
        let all = self.history(session, 0..u64::MAX, Direction::Forward, None);
        all.try_filter(move |entry| std::future::ready(entry.at >= from)).boxed()
    }
}

fn entry_of(part: &Part, entry: LogEntry) -> Result<HistoryEntry> {
    let message = Message::from_body(&entry.body)
        .map_err(|error| Error::corrupt_because(format!("{} at position {}", part.log, entry.position), error))?;
    Ok(HistoryEntry { position: part.start + entry.position, at: entry.at, message })
}

/// Returns the beginning of the first thing that the person said.
pub(super) fn preview(messages: &[Message]) -> Option<Text> {
    let said = messages.iter().find(|message| message.role == Some(Role::User))?.content.as_ref()?;
    let lossy = said.to_str_lossy();
    let mut words = String::new();
    for word in lossy.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        if let Some((end, _)) = words.char_indices().nth(PREVIEW_CHARS) {
            words.truncate(end);
            words.push('…');
            break;
        }
    }
    (!words.is_empty()).then(|| words.into())
}
