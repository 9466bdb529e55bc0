//! Adding to a session without missing what others add.

use super::history::inherited;
use super::message::Addition;
use super::places::places;
use super::session::require_open;
use super::{HistoryEntry, Workspace};
use crate::batch::Mismatch;
use crate::entity::{Message, SessionId};
use crate::error::{Error, Result};
use crate::query::Direction;

/// What became of messages that were to follow what their writer had seen.
#[derive(Clone, Debug)]
pub enum Appended {
    /// They were added; the place of the first one.
    Done(u64),
    /// Others were faster: nothing was added. These are their messages; the writer counts as having seen them now, also those that
    /// cannot be read, which are errors in their places.
    Unseen(Vec<Result<HistoryEntry>>),
}

/// A writer of one session that knows how much of it it has seen.
///
/// Two windows on one session never interleave silently: who has not seen the other's messages gets them instead of an
/// acknowledgement. To add regardless is [`Workspace::add_messages`].
#[derive(Clone, Debug)]
pub struct SessionWriter {
    workspace: Workspace,
    session: SessionId,
    /// How many messages of the history this writer has seen.
    seen: u64,
}

impl Workspace {
    /// Returns a writer that has seen everything that a session has now. `NotFound` if there is no such session.
    pub async fn session_writer(&self, session: &SessionId) -> Result<SessionWriter> {
        let found = self.find(session).await?;
        let seen = self.history_length(&found.session).await?;
        Ok(SessionWriter { workspace: self.clone(), session: session.clone(), seen })
    }

    /// Adds messages behind the `seen` that a session has as far as the caller knows; all or none.
    ///
    /// For callers that keep count themselves; a [`SessionWriter`] does it for the others. `Invalid` also if the session has
    /// fewer messages than that; otherwise errors are those of [`add_messages`](Self::add_messages).
    pub async fn append_at(&self, session: &SessionId, seen: u64, messages: Vec<Message>) -> Result<Appended> {
        let addition = &Addition::of(self, messages)?;
        let decided = self.decide(move |met| async move {
            let found = self.find(session).await?;
            require_open(&found.session)?;
            let others_were_faster =
                met.is_some_and(|met| met.mismatches.iter().any(|found| matches!(found, Mismatch::Length { .. })));
            let own = seen.checked_sub(inherited(&found.session));
            let Some(own) = own.filter(|_| !others_were_faster) else {
                let length = self.history_length(&found.session).await?;
                if length <= seen {
                    return Err(Error::invalid(format!("session `{session}` has fewer messages than {seen}")));
                }
                let unseen = self.history(&found.session, seen..length, Direction::Forward, None);
                let unseen = places(unseen, length - seen).await?;
                return Ok((Some(unseen), None));
            };
            if addition.prepared.entries.is_empty() {
                return Ok((None, None));
            }
            Ok((None, Some(self.append_batch(&found, Some(own), addition).await?)))
        });
        Ok(match decided.await?.0 {
            Some(unseen) => Appended::Unseen(unseen),
            None => Appended::Done(seen),
        })
    }
}

impl SessionWriter {
    /// Returns how many messages of the session this writer has seen.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Adds messages if nobody else has added any since this writer looked; all or none.
    ///
    /// Errors are those of [`Workspace::add_messages`].
    pub async fn append(&mut self, messages: Vec<Message>) -> Result<Appended> {
        let count = messages.len();
        let appended = self.workspace.append_at(&self.session, self.seen, messages).await?;
        self.seen = match &appended {
            Appended::Done(_) => self.seen + count as u64,
            Appended::Unseen(unseen) => unseen.last().and_then(end).unwrap_or(self.seen),
        };
        Ok(appended)
    }
}

/// Returns the place behind a message, or behind those that cannot be read.
fn end(entry: &Result<HistoryEntry>) -> Option<u64> {
    match entry {
        Ok(entry) => Some(entry.position + 1),
        Err(error) => Some(error.positions()?.end),
    }
}
