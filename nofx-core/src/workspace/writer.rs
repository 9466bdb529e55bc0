//! Adding to a session without missing what others add.

use futures_util::TryStreamExt;

use super::history::inherited;
use super::{HistoryEntry, TRIES, Workspace};
use crate::batch::Mismatch;
use crate::entity::{Message, Session, SessionId};
use crate::error::{Error, Result};
use crate::query::Direction;

/// What became of messages that were to follow what their writer had seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Appended {
    /// They were added; the place of the first one.
    Done(u64),
    /// Others were faster: nothing was added. These are their messages; the writer counts as having seen them now.
    Unseen(Vec<HistoryEntry>),
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
    /// Returns a writer that has seen everything that a session has now. `Invalid` if there is no such session.
    pub async fn session_writer(&self, session: &SessionId) -> Result<SessionWriter> {
        let found = self.find(session).await?;
        let seen = self.history_length(&found.session).await?;
        Ok(SessionWriter { workspace: self.clone(), session: session.clone(), seen })
    }
}

impl SessionWriter {
    /// Returns how many messages of the session this writer has seen.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Adds messages if nobody else has added any since this writer looked; all or none.
    pub async fn append(&mut self, messages: Vec<Message>) -> Result<Appended> {
        let mut tries = 0;
        loop {
            tries += 1;
            let found = self.workspace.find(&self.session).await?;
            Workspace::require_open(&found.session)?;
            let own = self.seen - inherited(&found.session);
            let batch = self.workspace.append_batch(&found, Some(own), messages.clone())?;
            match self.workspace.store.commit(batch).await?.committed() {
                Ok(_) => {
                    let first = self.seen;
                    self.seen += messages.len() as u64;
                    return Ok(Appended::Done(first));
                }
                Err(Error::Conflict(conflict)) => {
                    let longer = conflict.mismatches.iter().any(|mismatch| matches!(mismatch, Mismatch::Length { .. }));
                    if longer {
                        return self.unseen(&found.session).await.map(Appended::Unseen);
                    }
                    if tries == TRIES {
                        return Err(Error::Conflict(conflict));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn unseen(&mut self, session: &Session) -> Result<Vec<HistoryEntry>> {
        let newer = self.workspace.history(session, self.seen..u64::MAX, Direction::Forward, None);
        let unseen: Vec<_> = newer.try_collect().await?;
        self.seen += unseen.len() as u64;
        Ok(unseen)
    }
}
