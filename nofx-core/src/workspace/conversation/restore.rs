//! Restoring a session: creating a new one that begins with the old one's messages.

use super::cut::{Cut, Short};
use super::history::inherited;
use super::log_readers::share;
use crate::batch::{Batch, Expect, Guard};
use crate::entity::{Message, RecordEntity, Role, Session, SessionId, SessionStatus, TaskAtHand};
use crate::error::{Error, Result};
use crate::workspace::Workspace;
use crate::workspace::event::{EventKind, with_event};
use crate::workspace::sessions::activity::new_session;
use crate::workspace::sessions::session::{FoundSession, renewed_expiry};

/// What a restored session takes over. These are the old extension's five options, all of them honoured, and `up_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// The messages.
    pub conversation_history: bool,
    /// The task that was being worked on.
    pub current_task: bool,
    /// The agent's working directory.
    pub working_directory: bool,
    /// Whether the conversation simply continues; otherwise a system message marks where the restored session starts.
    pub continue_from_last_message: bool,
    /// A summary, the system's messages and the newest 50 instead of all messages.
    pub summarize_history: bool,
    /// Only this many messages, from the first; `None` for all. `Invalid` if there are fewer.
    pub up_to: Option<u64>,
}

/// Everything, and the conversation continues.
impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            conversation_history: true,
            current_task: true,
            working_directory: true,
            continue_from_last_message: true,
            summarize_history: false,
            up_to: None,
        }
    }
}

/// How a restored session begins.
#[derive(Debug, Default)]
struct Beginning {
    /// The messages of the old session.
    cut: Cut,
    /// The system messages before and after the copied ones.
    before: Option<Message>,
    after: Option<Message>,
}

impl Workspace {
    /// Creates a new session that begins with the messages of another one, which stays as it is.
    ///
    /// It is a fork: the messages are not copied, so a hundred thousand cost no more than ten, and neither session sees
    /// what is added to the other. They stay readable when the old session is archived, deleted, rewound or purged.
    /// There is one exception: if a restored session with fewer than fifty own messages is restored again, or if the
    /// last part that [`RestoreOptions::up_to`] leaves is that short, those few messages are copied.
    ///
    /// `NotFound` if there is no such session, `Invalid` if it has fewer messages than requested; one in the trash can
    /// be restored too.
    pub async fn restore_session(&self, id: &SessionId, options: RestoreOptions) -> Result<Session> {
        let decided = self.decide("restore_session", move |attempt| async move {
            if attempt.has_happened() {
                return Ok((self.find(&self.made("restore_session", "restored", "").into()).await?.session, None));
            }
            let found = self.find(id).await?;
            let (session, batch) = self.restore_batch(&found, options).await?;
            Ok((session, Some(batch)))
        });
        Ok(decided.await?.0)
    }

    async fn restore_batch(&self, found: &FoundSession, options: RestoreOptions) -> Result<(Session, Batch)> {
        let old = &found.session;
        let beginning = self.beginning(old, options).await?;
        let mut session = self.restored(old, options);
        let Cut { pieces, copied } = beginning.cut;
        session.copied = copied.len() as u64;
        session.pieces = pieces;
        session.settle_schema();
        if let Some(up_to) = options.up_to.filter(|_| options.conversation_history) {
            session.preview = self.preview_within(old, up_to).await?;
        }

        // A concurrent change or purge of the old session makes this batch conflict.
        let unchanged = Guard::Record { key: old.key(), expect: Expect::At(found.version) };
        let batch = with_event(self.store.batch(), EventKind::SessionRestored).guard(unchanged);
        let batch = share(&self.store, batch, &session.pieces).await?;
        let mut batch = self.keep_copied(batch, &copied).await?;
        let mut entries = copied;
        if let Some(before) = &beginning.before {
            entries.insert(0, self.store.entry(before)?);
        }
        if let Some(after) = &beginning.after {
            entries.push(self.store.entry(after)?);
        }
        let last_message_at = entries.last().map(|entry| entry.at);
        if !entries.is_empty() {
            batch = batch.append(session.log(), entries);
        }
        if options.current_task
            && let Some((_, mut task)) = self.task_at_hand(old).await?.current
        {
            task.replaces = None;
            session.task_at_hand = Some(TaskAtHand { length: 1, position: Some(0) });
            batch = batch.append(Session::tasks(&session.id), vec![self.store.entry(&task)?]);
        }
        let batch = new_session(batch, &session, last_message_at)?;
        Ok((session, batch))
    }

    /// Returns the record of a session restored from `old`, without its messages.
    fn restored(&self, old: &Session, options: RestoreOptions) -> Session {
        let now = self.now();
        let mut session = old.clone();
        session.id = self.made("restore_session", "restored", &format!("{}-", old.agent_id)).into();
        session.name = match old.name.as_str() {
            Some(name) if name.starts_with("Restored: ") => name.into(),
            _ => old.name.prefixed("Restored: "),
        };
        session.status = Some(SessionStatus::Active);
        session.created_at = Some(now);
        session.last_active_at = Some(now);
        session.expires_at = renewed_expiry(old, now);
        session.restored_from = Some(old.id.clone());
        session.deleted_at = None;
        session.key = None;
        session.rewinds = 0;
        session.task_at_hand = None;
        // What the old session has counted stays with it.
        session.tasks_completed = 0;
        session.total_output_lines = 0;
        if !options.working_directory {
            session.working_directory = None;
        }
        if !options.conversation_history {
            session.preview = None;
        }
        session
    }

    async fn beginning(&self, old: &Session, options: RestoreOptions) -> Result<Beginning> {
        let own = self.store.head(&old.log()).await?;
        let length = inherited(old) + own.length;
        let to = options.up_to.unwrap_or(length);
        if to > length {
            return Err(Error::invalid(format!("session `{}` has {length} messages, fewer than {to}", old.id)));
        }
        let mut beginning = match (options.conversation_history, options.summarize_history) {
            (false, _) => Beginning::default(),
            (true, false) => Beginning { cut: self.cut(old, &own, to, Short::Copied).await?, ..Beginning::default() },
            (true, true) => {
                let (summary, copied) = self.summarised(old, to).await?;
                let cut = Cut { copied, ..Cut::default() };
                Beginning { before: Some(summary), cut, ..Beginning::default() }
            }
        };
        if !options.continue_from_last_message {
            beginning.after = Some(self.message(Role::System, format!("[Restored from {}]", old.name)));
        }
        Ok(beginning)
    }
}
