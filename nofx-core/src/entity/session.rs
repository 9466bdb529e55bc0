use std::ops::Range;

use crate::entity::{AgentId, Entity, EntityId, RecordEntity, SCHEMA, SessionId, TemplateDigest, successor};
use crate::error::{Error, Result};
use crate::json::{Object, Text, Value};
use crate::key::{Kind, LogKey};
use crate::kind;
use crate::time::Timestamp;

entity! {
    /// A conversation of one agent. Its messages are the logs [`Session::parts`], its tasks [`Session::tasks`].
    ///
    /// Schema 2 has pieces that name a log, rewinds and namespaces. A session that has none of them is written as schema 1.
    pub struct Session, schema 2 {
        /// Names it.
        pub id: SessionId = "id",
        /// What people call it.
        pub name: Text = "name",
        /// Whose it is.
        pub agent_id: AgentId = "agentId",
        /// The agent's name when the session began.
        pub agent_name: Text = "agentName",
        /// The agent's type when the session began.
        pub agent_type: Text = "agentType",
        /// What was last decided about it. Whether it has expired is derived from the clock instead.
        pub status: Option<SessionStatus> = "status",
        /// When it began.
        pub created_at: Option<Timestamp> = "createdAt",
        /// When something last happened to the record; messages may be later.
        pub last_active_at: Option<Timestamp> = "lastActiveAt",
        /// When it ends by itself; `None` if it never does.
        pub expires_at: Option<Timestamp> = "expiresAt",
        /// Where the agent works.
        pub working_directory: Option<Text> = "workingDirectory",
        /// On which branch.
        pub git_branch: Option<Text> = "gitBranch",
        /// What the agent may do.
        pub capabilities: Vec<Text> = "capabilities",
        /// The prompt, where it is not its template's.
        pub system_prompt: Option<Text> = "systemPrompt",
        /// What a host keeps with it for itself; [`merge_metadata`](Session::merge_metadata) changes it.
        pub metadata: Option<Object> = "metadata",
        /// How many tasks the agent had completed before.
        pub tasks_completed: u64 = "tasksCompleted",
        /// How many messages it had had before.
        pub total_output_lines: u64 = "totalOutputLines",
        /// The content of its template.
        pub template: Option<TemplateDigest> = "$template",
        /// Whether its prompt is its template's, which is then not kept again.
        pub prompt_is_templates: bool = "$promptIsTemplates",
        /// The beginning of what the person first asked for.
        pub preview: Option<Text> = "$preview",
        /// The parts of other sessions' messages that come before its own, oldest first.
        pub pieces: Vec<Piece> = "$pieces",
        /// The session it was restored from.
        pub restored_from: Option<SessionId> = "$restoredFrom",
        /// How many of its own first messages are copies of those of the session it was restored from.
        pub copied: u64 = "$copied",
        /// How often it was rewound. New messages go to another log each time: [`Session::log`].
        pub rewinds: u32 = "$rewinds",
        /// To which namespace it belongs; `None` for the default one.
        pub namespace: Option<Text> = "$namespace",
        /// The key that a host opens it by.
        pub key: Option<Text> = "$key",
        /// When it was put into the trash.
        pub deleted_at: Option<Timestamp> = "$deletedAt",
        /// Which of its tasks is being worked on, if its log of tasks is as long as it says.
        pub task_at_hand: Option<TaskAtHand> = "$taskAtHand",
    }
}

words! {
    /// What was last decided about a session.
    pub enum SessionStatus {
        /// It goes on.
        Active = "active",
        /// It rests.
        Paused = "paused",
        /// It was seen to have expired.
        Expired = "expired",
        /// It is put away.
        Archived = "archived",
    }
}

/// The first messages of a session's log, as a part of the history of another session, or of the same one after it was rewound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose messages.
    pub session: SessionId,
    /// Which of that session's logs: how often it had been rewound when it wrote there.
    pub log: u32,
    /// How many of them, from the first one of the log.
    pub length: u64,
}

impl Piece {
    /// Returns the log.
    pub fn history(&self) -> LogKey {
        history(&self.session, self.log)
    }
}

impl Value for Piece {
    fn read(raw: &str) -> Option<Self> {
        let object = Object::parse(raw).ok()?;
        let log = if object.get("log").is_some() { object.read("log")? } else { 0 };
        Some(Self { session: object.read("session")?, log, length: object.read("length")? })
    }

    fn write(&self) -> String {
        let log = if self.log == 0 { String::new() } else { format!(r#","log":{}"#, self.log) };
        format!(r#"{{"session":{}{log},"length":{}}}"#, self.session.write(), self.length)
    }
}

/// Which task of a session is being worked on, known without reading all of them.
///
/// It holds while the log of tasks has the length it says: who adds tasks without it, as an older version does, makes it void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskAtHand {
    /// How long the log of tasks was.
    pub length: u64,
    /// The position of the task being worked on; `None` if none was.
    pub position: Option<u64>,
}

impl Value for TaskAtHand {
    fn read(raw: &str) -> Option<Self> {
        let object = Object::parse(raw).ok()?;
        Some(Self { length: object.read("length")?, position: object.read("position") })
    }

    fn write(&self) -> String {
        let position = self.position.map(|position| format!(r#","position":{position}"#)).unwrap_or_default();
        format!(r#"{{"length":{}{position}}}"#, self.length)
    }
}

/// The longest metadata of a session, in bytes of JSON.
pub const METADATA_BYTES: usize = 16 << 10;

impl Session {
    /// Changes the metadata by its members: each replaces the one of its name, and `null` removes that. What is inside a member is
    /// not merged.
    ///
    /// `Invalid`, and no change, if the whole would be longer than [`METADATA_BYTES`], if a name is cut in the middle of a
    /// character, or if what another program has put there is no object.
    pub fn merge_metadata(&mut self, changes: &Object) -> Result<()> {
        let invalid = |what: &str| Err(Error::invalid(format!("the `metadata` of session `{}` {what}", self.id)));
        if self.metadata.is_none() && self.object.get("metadata").is_some_and(|raw| raw != "null") {
            return invalid("is no object; another program wrote it, and it stays as it is");
        }
        let mut merged = self.metadata.clone().unwrap_or_default();
        for (name, value) in changes.iter() {
            let Some(name) = name.as_str() else {
                return invalid("gets a name that is cut in the middle of a character");
            };
            match value {
                "null" => _ = merged.remove(name),
                value => merged.set(name, value),
            }
        }
        let merged = (!merged.is_empty()).then_some(merged);
        check_metadata(&self.id, merged.as_ref())?;
        self.metadata = merged;
        Ok(())
    }

    /// Makes an active session.
    pub fn new(id: impl Into<SessionId>, name: impl Into<Text>, agent: impl Into<AgentId>) -> Self {
        let mut session = <Self as crate::entity::Entity>::from_object(Object::default());
        session.id = id.into();
        session.name = name.into();
        session.agent_id = agent.into();
        session.status = Some(SessionStatus::Active);
        session
    }

    /// Returns the log that new messages of the session go to.
    pub fn log(&self) -> LogKey {
        history(&self.id, self.rewinds)
    }

    /// Returns the logs that the session's history consists of, in order, and which places of the history each has. The last is
    /// [`log`](Self::log), which is open at its end.
    pub fn parts(&self) -> Vec<(LogKey, Range<u64>)> {
        let mut start = 0_u64;
        let mut parts = Vec::with_capacity(self.pieces.len() + 1);
        for piece in &self.pieces {
            let end = start.saturating_add(piece.length);
            parts.push((piece.history(), start..end));
            start = end;
        }
        parts.push((self.log(), start..u64::MAX));
        parts
    }

    /// Says by which schema the session has to be written; to be called after a change of what schema 2 added.
    pub(crate) fn settle_schema(&mut self) {
        if self.require_known_schema().is_err() {
            return;
        }
        match self.namespace.is_some() || self.rewinds > 0 || self.pieces.iter().any(|piece| piece.log > 0) {
            true => self.object.set(SCHEMA, "2"),
            false => _ = self.object.remove(SCHEMA),
        }
    }

    /// Returns the log of a session's messages, as long as it was not rewound: [`log`](Self::log) is the one that it has now.
    pub fn history(id: &SessionId) -> LogKey {
        id.log_key(kind::HISTORY)
    }

    /// Returns the log of a session's tasks.
    pub fn tasks(id: &SessionId) -> LogKey {
        id.log_key(kind::TASKS)
    }
}

/// Returns the log that a session writes to after so many rewinds.
fn history(id: &SessionId, rewinds: u32) -> LogKey {
    match rewinds {
        0 => Session::history(id),
        rewinds => successor(&Session::history(id), rewinds),
    }
}

/// Judges how long the metadata of a session is.
pub(crate) fn check_metadata(id: &SessionId, metadata: Option<&Object>) -> Result<()> {
    match metadata.map_or(0, |metadata| metadata.to_json().len()) {
        bytes if bytes > METADATA_BYTES => Err(Error::invalid(format!(
            "the `metadata` of session `{id}` would have {bytes} bytes; at most {METADATA_BYTES} are possible"
        ))),
        _ => Ok(()),
    }
}

impl RecordEntity for Session {
    const KIND: Kind = kind::SESSION;
    type Id = SessionId;

    fn id(&self) -> SessionId {
        self.id.clone()
    }
}
