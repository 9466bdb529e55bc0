//! Restoring a session: a new one that begins with the old one's messages.

use futures_util::TryStreamExt;

use super::activity::{Place, moved};
use super::history::preview;
use super::session::{Found, Shared, shared_key};
use super::{SESSION_LIFETIME, TRIES, Workspace};
use crate::batch::{Batch, Expect, Guard};
use crate::entity::{Entity, Message, Piece, RecordEntity, Role, Session, SessionId, SessionStatus};
use crate::error::{Error, Result};
use crate::query::Direction;

/// Messages that a summarised restore takes over as they are.
const SUMMARY_TAIL: u64 = 50;

/// What a restored session takes over. The five options of the old extension, all of them honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// The messages.
    pub conversation_history: bool,
    /// The task that was being worked on.
    pub current_task: bool,
    /// Where the agent worked.
    pub working_directory: bool,
    /// Whether the conversation simply goes on; otherwise a message of the system says that it begins anew here.
    pub continue_from_last_message: bool,
    /// A summary, the system's messages and the newest 50 instead of all messages.
    pub summarize_history: bool,
}

/// Everything, and the conversation goes on.
impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            conversation_history: true,
            current_task: true,
            working_directory: true,
            continue_from_last_message: true,
            summarize_history: false,
        }
    }
}

impl Workspace {
    /// Makes a new session that begins with the messages of another one, which stays as it is.
    ///
    /// It is a fork: the messages are not copied, so a hundred thousand cost no more than ten, and neither session sees what
    /// is added to the other. They stay readable when the old session is archived, deleted or purged.
    pub async fn restore_session(&self, id: &SessionId, options: RestoreOptions) -> Result<Session> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (session, batch) = self.restore_batch(id, options).await?;
            match self.store.commit(batch).await?.committed() {
                Ok(_) => return Ok(session),
                // The old session was changed or purged meanwhile.
                Err(Error::Conflict(_)) if tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn restore_batch(&self, id: &SessionId, options: RestoreOptions) -> Result<(Session, Batch)> {
        let found = self.find(id).await?;
        let mut session = self.restored(&found.session, options);
        let mut batch =
            self.store.batch().guard(Guard::Record { key: found.session.key(), expect: Expect::At(found.version) });
        let mut messages = Vec::new();
        if options.conversation_history && options.summarize_history {
            messages = self.summarised(&found.session).await?;
        } else if options.conversation_history {
            session.pieces = self.pieces(&found).await?;
            batch = self.share(batch, &session.pieces).await?;
        }
        if !options.continue_from_last_message {
            messages.push(self.message(Role::System, format!("[Restored from {}]", found.session.name)));
        }
        if !messages.is_empty() {
            session.preview = session.preview.or_else(|| preview(&messages));
            let entries = messages.iter().map(|message| self.store.entry(message)).collect::<Result<Vec<_>>>()?;
            batch = batch.append(Session::history(&session.id), entries);
        }
        if options.current_task
            && let Some(task) = self.tasks(id).await?.current
        {
            let mut task = task;
            task.replaces = None;
            batch = batch.append(Session::tasks(&session.id), vec![self.store.entry(&task)?]);
        }
        batch = batch.put(session.key(), Expect::Absent, session.to_body()?);
        let place = Place::of(&session, session.created_at.unwrap_or_default());
        batch = moved(batch, &session.id, None, Some(&place))?;
        Ok((session, batch))
    }

    /// Returns the record of a session restored from `old`.
    fn restored(&self, old: &Session, options: RestoreOptions) -> Session {
        let now = self.now();
        let mut session = old.clone();
        session.id = format!("restored-{}-{}-{}", old.agent_id, now.as_millis(), self.sources().token()).into();
        session.name = match old.name.as_str() {
            Some(name) if name.starts_with("Restored: ") => name.into(),
            _ => old.name.prefixed("Restored: "),
        };
        session.status = Some(SessionStatus::Active);
        session.created_at = Some(now);
        session.last_active_at = Some(now);
        session.expires_at = Some(now.saturating_add(SESSION_LIFETIME));
        session.restored_from = Some(old.id.clone());
        session.deleted_at = None;
        // What the old one had counted stays its own: an agent's totals are summed over its sessions.
        session.tasks_completed = 0;
        session.total_output_lines = 0;
        session.pieces = Vec::new();
        if !options.working_directory {
            session.working_directory = None;
        }
        if !options.conversation_history {
            session.preview = None;
        }
        session
    }

    /// Returns everything that a session's history consists of, as pieces of a new one.
    async fn pieces(&self, found: &Found) -> Result<Vec<Piece>> {
        let own = self.store.head(&Session::history(&found.session.id)).await?.length;
        let mut pieces = found.session.pieces.clone();
        if own > 0 {
            pieces.push(Piece { session: found.session.id.clone(), length: own });
        }
        Ok(pieces)
    }

    /// Adds to a batch that one more session reads these pieces.
    async fn share(&self, batch: Batch, pieces: &[Piece]) -> Result<Batch> {
        let keys: Vec<_> = pieces.iter().map(|piece| shared_key(&piece.session)).collect();
        let records = self.store.get(&keys).await?;
        pieces.iter().zip(&records).try_fold(batch, |batch, (piece, record)| {
            let mut shared = Shared::read(record.as_ref())?;
            shared.readers += 1;
            Ok(shared.save(batch, &piece.session))
        })
    }

    /// Returns a summary, then the system's messages and the newest 50, in their order and each once.
    async fn summarised(&self, session: &Session) -> Result<Vec<Message>> {
        let length = self.history_length(session).await?;
        let tail = length.saturating_sub(SUMMARY_TAIL);
        let mut said = 0_u64;
        let mut kept = Vec::new();
        let mut history = self.history(session, 0..length, Direction::Forward, None);
        while let Some(entry) = history.try_next().await? {
            if entry.position >= tail || entry.message.role == Some(Role::System) {
                kept.push(entry.message);
            } else {
                said += 1;
            }
        }
        let summary = format!("[Summary of {}: {length} messages, {said} of them left out here]", session.name);
        kept.insert(0, self.message(Role::System, summary));
        Ok(kept)
    }

    /// Restores several sessions; the result of each, in that order.
    pub async fn restore_sessions(&self, ids: &[SessionId], options: RestoreOptions) -> Vec<Result<Session>> {
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            results.push(self.restore_session(id, options).await);
        }
        results
    }
}
