//! Adding messages to a session.

use std::ops::Range;

use super::content::Prepared;
use super::history::inherited;
use super::preview::preview;
use crate::batch::Batch;
use crate::entity::{Message, Role, SessionId};
use crate::error::Result;
use crate::json::Text;
use crate::workspace::Workspace;
use crate::workspace::sessions::activity::ActivityPlace;
use crate::workspace::sessions::session::{FoundSession, require_open};

/// The messages of a session: added, read, forked and rewound.
///
/// ```
/// # use futures_util::TryStreamExt;
/// # use nofx_core::workspace::{NewSession, RestoreOptions, Workspace};
/// # use nofx_core::{Direction, MemoryBackend, Store, entity::{Agent, Role}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// # let session = workspace.create_session(&Agent::new("ada", "Ada", "tester"), NewSession::default()).await?;
/// let asked = workspace.message(Role::User, "which tests fail?");
/// assert_eq!(workspace.add_message(&session.id, asked).await?, 0);
/// let (answer, thanks) = (workspace.message(Role::Assistant, "none"), workspace.message(Role::User, "thanks"));
/// assert_eq!(workspace.add_messages(&session.id, vec![answer, thanks]).await?, 1..3);
///
/// // The newest ones, or all of them, read lazily.
/// let newest = workspace.tail(&session, 2).await?;
/// assert_eq!(newest[0].as_ref().unwrap().position, 1);
/// let all: Vec<_> = workspace.history(&session, 0..u64::MAX, Direction::Forward, None).try_collect().await?;
/// assert_eq!(all.len(), 3);
///
/// // A fork of the first message; then the session itself goes back to there. Each has its own history from now on.
/// let options = RestoreOptions { up_to: Some(1), ..RestoreOptions::default() };
/// let fork = workspace.restore_session(&session.id, options).await?;
/// workspace.add_message(&fork.id, workspace.message(Role::Assistant, "two")).await?;
/// let session = workspace.rewind_session(&session.id, 1, 3).await?;
/// assert_eq!(workspace.history_length(&session).await?, 1);
/// assert_eq!(workspace.history_length(&fork).await?, 2);
/// # Ok(()) }
/// ```
impl Workspace {
    /// Creates a message with a new id and the current time.
    pub fn message(&self, role: Role, content: impl Into<Text>) -> Message {
        let now = self.now();
        Message::new(format!("msg-{}-{}", now.as_millis(), self.sources().token()), now, role, content)
    }

    /// Adds a message to a session and returns its place in the history, whatever other writers have added.
    ///
    /// Use a [`SessionWriter`](crate::workspace::SessionWriter) to notice messages from other writers. A message may be empty,
    /// have any time that JavaScript can write, and be as long as memory allows: one of more than
    /// [`LARGE_CONTENT`](crate::workspace::LARGE_CONTENT) is stored separately, which readers do not notice. `Invalid` if the
    /// session is archived or in the trash, `NotFound` if there is none. An expired session still takes messages, so
    /// that none is lost.
    pub async fn add_message(&self, session: &SessionId, message: Message) -> Result<u64> {
        Ok(self.add_messages(session, vec![message]).await?.start)
    }

    /// Adds messages to a session, all or none, and returns their places. No messages means no change.
    ///
    /// Otherwise like [`add_message`](Self::add_message); also `Invalid` for more messages than a batch takes: 9,000
    /// always fit.
    pub async fn add_messages(&self, session: &SessionId, messages: Vec<Message>) -> Result<Range<u64>> {
        let addition = &Addition::of(self, messages)?;
        let decided = self.decide("add_messages", move |attempt| async move {
            let found = self.find(session).await?;
            let before = inherited(&found.session);
            if attempt.has_happened() {
                return Ok((before, None));
            }
            require_open(&found.session)?;
            if addition.prepared.entries.is_empty() {
                let end = self.history_length(&found.session).await?;
                return Ok((end, None));
            }
            Ok((before, Some(self.append_batch(&found, None, addition).await?)))
        });
        Ok(match decided.await? {
            (before, Some(committed)) => {
                let own = committed.appended.into_iter().next().unwrap_or_default();
                before + own.start..before + own.end
            }
            (end, None) => end..end,
        })
    }

    /// Returns the batch that adds messages, expecting the given length of the session's own log if there is one.
    pub(crate) async fn append_batch(
        &self,
        found: &FoundSession,
        length: Option<u64>,
        addition: &Addition,
    ) -> Result<Batch> {
        let log = found.session.log();
        let entries = addition.prepared.entries.clone();
        let batch = match length {
            Some(length) => self.store.batch().append_at(log, length, entries),
            None => self.store.batch().append(log, entries),
        };
        let batch = self.keep_contents(batch, &addition.prepared).await?;
        let to = ActivityPlace::of(&found.session, addition.prepared.last_at());
        match (&found.session.preview, &addition.preview) {
            (None, Some(preview)) => {
                let mut session = found.session.clone();
                session.preview = Some(preview.clone());
                found.save(batch, &session, &to)
            }
            _ => found.moved(batch, Some(&to)),
        }
    }
}

/// Messages to be added.
#[derive(Clone, Debug)]
pub(crate) struct Addition {
    pub(crate) prepared: Prepared,
    preview: Option<Text>,
}

impl Addition {
    pub(crate) fn of(workspace: &Workspace, messages: Vec<Message>) -> Result<Self> {
        let preview = preview(&messages);
        let written = messages.into_iter().map(|message| message.written_by(&workspace.writer));
        Ok(Self { prepared: Prepared::of(&workspace.store, written)?, preview })
    }
}
