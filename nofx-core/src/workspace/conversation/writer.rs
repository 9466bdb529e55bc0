//! Appending to a session without missing messages from other writers.

use super::history::inherited;
use super::message::Addition;
use super::rewind::{Seen, is_rewound_since};
use crate::batch::Mismatch;
use crate::entity::{Message, SessionId};
use crate::error::{Error, Result};
use crate::query::Direction;
use crate::workspace::decide::Attempt;
use crate::workspace::sessions::session::require_open;
use crate::workspace::take_places::take_places;
use crate::workspace::{HistoryEntry, Workspace};

/// The result of appending messages that should follow what their writer has seen.
#[derive(Clone, Debug)]
pub enum Appended {
    /// They were added; the place of the first one.
    Done(u64),
    /// Another writer committed first, and nothing was added. These are the other writer's messages, including
    /// unreadable ones as errors in their places. From now on this writer counts as having seen them.
    Unseen(Vec<Result<HistoryEntry>>),
}

/// A writer of one session that tracks how much of it it has seen.
///
/// Two windows on one session never interleave silently: a window that has not seen the other's messages gets them
/// instead of an acknowledgement. To append regardless, use [`Workspace::add_messages`].
///
/// ```
/// # use nofx_core::workspace::{Appended, NewSession, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::{Agent, Role}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// # let session = workspace.create_session(&Agent::new("ada", "Ada", "tester"), NewSession::default()).await?;
/// let (mut left, mut right) = (workspace.session_writer(&session.id).await?, workspace.session_writer(&session.id).await?);
/// let text = |text: &str| vec![workspace.message(Role::User, text)];
///
/// assert!(matches!(left.append(text("sort it")).await?, Appended::Done(0)));
/// let Appended::Unseen(unseen) = right.append(text("delete it")).await? else { panic!("it was added unseen") };
/// assert_eq!(unseen[0].as_ref().unwrap().message.content.as_ref().unwrap(), &"sort it");
///
/// // The right window shows that message. The person decides again.
/// assert!(matches!(right.append(text("sort it, then delete it")).await?, Appended::Done(1)));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// `Conflict` from [`append`](Self::append) if the session was rewound since the writer was created: create another one.
/// After `Unknown`, the messages may have been added. The next `append` shows it: if they were, they are among the
/// [`Unseen`](Appended::Unseen) ones.
///
/// # Cancellation
///
/// Dropping the future of `append` is like `Unknown`: the messages may be added, and the writer counts them as unseen.
#[derive(Clone, Debug)]
pub struct SessionWriter {
    workspace: Workspace,
    session: SessionId,
    /// How many messages of the history this writer has seen.
    seen: u64,
    /// How often the session had been rewound at that time.
    rewinds: u32,
}

impl Workspace {
    /// Returns a writer that has seen everything that a session has now. `NotFound` if there is no such session.
    pub async fn session_writer(&self, session: &SessionId) -> Result<SessionWriter> {
        let found = self.find(session).await?;
        let seen = self.history_length(&found.session).await?;
        let rewinds = found.session.rewinds;
        Ok(SessionWriter { workspace: self.clone(), session: session.clone(), seen, rewinds })
    }

    /// Appends messages after the `seen` messages that the session has as far as the caller knows; all or none.
    ///
    /// For callers that count themselves; a [`SessionWriter`] does it for others. Also `Invalid` if the session has
    /// fewer messages than that. `Conflict` if it was rewound: to fewer messages than were seen or, if `seen` includes
    /// the number of rewinds, at all. Otherwise the errors are those of [`add_messages`](Self::add_messages).
    pub async fn append_at(
        &self,
        session: &SessionId,
        seen: impl Into<Seen>,
        messages: Vec<Message>,
    ) -> Result<Appended> {
        let known = seen.into();
        let seen = known.length;
        let addition = &Addition::of(self, messages)?;
        let decided = self.decide("append_at", move |attempt| async move {
            if attempt.has_happened() {
                return Ok((None, None));
            }
            let found = self.find(session).await?;
            require_open(&found.session)?;
            if is_rewound_since(&known, &found.session) {
                let length = self.history_length(&found.session).await?;
                return Err(self.seen_otherwise(&known, &found.session, length));
            }
            let others_were_faster =
                matches!(attempt, Attempt::AfterConflict(met) if met.mismatches.iter().any(|found| matches!(found, Mismatch::Length { .. })));
            let own = seen.checked_sub(inherited(&found.session));
            let Some(own) = own.filter(|_| !others_were_faster) else {
                let length = self.history_length(&found.session).await?;
                if length <= seen && found.session.rewinds > 0 {
                    return Err(self.seen_otherwise(&known, &found.session, length));
                }
                if length <= seen {
                    return Err(Error::invalid(format!("session `{session}` has fewer messages than {seen}")));
                }
                let unseen = self.history(&found.session, seen..length, Direction::Forward, None);
                let unseen = take_places(unseen, length - seen).await?;
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

    /// Appends messages if no other writer has appended any since this writer looked; all or none.
    ///
    /// `Conflict` if the session was rewound since this writer was created: what it has seen is no longer the history,
    /// and a new writer is needed. Otherwise the errors are those of [`Workspace::add_messages`].
    pub async fn append(&mut self, messages: Vec<Message>) -> Result<Appended> {
        let count = messages.len();
        let seen = Seen { length: self.seen, rewinds: Some(self.rewinds) };
        let appended = self.workspace.append_at(&self.session, seen, messages).await?;
        self.seen = match &appended {
            Appended::Done(_) => self.seen + count as u64,
            Appended::Unseen(unseen) => unseen.last().and_then(end).unwrap_or(self.seen),
        };
        Ok(appended)
    }
}

/// Returns the place after a message, or after several unreadable ones.
fn end(entry: &Result<HistoryEntry>) -> Option<u64> {
    match entry {
        Ok(entry) => Some(entry.position + 1),
        Err(error) => Some(error.positions()?.end),
    }
}
