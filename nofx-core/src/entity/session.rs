//! Sessions: the record, the logs that it names, and the pieces of other sessions' logs.

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
    /// Schema 2 adds pieces that name a log, rewinds and namespaces. A session that uses none of them is written with
    /// schema 1.
    pub struct Session, schema 2 {
        /// Its id.
        pub id: SessionId = "id",
        /// Its display name.
        pub name: Text = "name",
        /// The agent it belongs to.
        pub agent_id: AgentId = "agentId",
        /// The agent's name when the session began.
        pub agent_name: Text = "agentName",
        /// The agent's type when the session began.
        pub agent_type: Text = "agentType",
        /// The last decision about it. Whether it has expired is derived from the clock instead.
        pub status: Option<SessionStatus> = "status",
        /// When it began.
        pub created_at: Option<Timestamp> = "createdAt",
        /// When the record was last changed; messages may be later.
        pub last_active_at: Option<Timestamp> = "lastActiveAt",
        /// When it expires; `None` if it never does.
        pub expires_at: Option<Timestamp> = "expiresAt",
        /// Where the agent works.
        pub working_directory: Option<Text> = "workingDirectory",
        /// The git branch it works on.
        pub git_branch: Option<Text> = "gitBranch",
        /// What the agent may do.
        pub capabilities: Vec<Text> = "capabilities",
        /// The prompt, if it differs from its template's.
        pub system_prompt: Option<Text> = "systemPrompt",
        /// Data that a host keeps with it; [`update_metadata`](crate::workspace::Workspace::update_metadata) changes it.
        pub metadata: Option<Object> = "metadata",
        /// How many tasks the agent had completed before.
        pub tasks_completed: u64 = "tasksCompleted",
        /// How many messages the agent had had before.
        pub total_output_lines: u64 = "totalOutputLines",
        /// The content of its template.
        pub template: Option<TemplateDigest> = "$template",
        /// Whether its prompt is its template's, in which case the prompt is not stored again.
        pub prompt_is_templates: bool = "$promptIsTemplates",
        /// The beginning of the person's first request.
        pub preview: Option<Text> = "$preview",
        /// The parts of other sessions' messages that come before its own, oldest first.
        pub pieces: Vec<Piece> = "$pieces",
        /// The session it was restored from.
        pub restored_from: Option<SessionId> = "$restoredFrom",
        /// How many of its own first messages are copies from the session it was restored from.
        pub copied: u64 = "$copied",
        /// How often it was rewound. Each time, new messages go to another log: [`Session::log`].
        pub rewinds: u32 = "$rewinds",
        /// The namespace it belongs to; `None` for the default one.
        pub namespace: Option<Text> = "$namespace",
        /// The key under which a host opens it.
        pub key: Option<Text> = "$key",
        /// When it was moved to the trash.
        pub deleted_at: Option<Timestamp> = "$deletedAt",
        /// The task being worked on, valid if the log of tasks is as long as this says.
        pub task_at_hand: Option<TaskAtHand> = "$taskAtHand",
    }
}

words! {
    /// The last decision about a session.
    pub enum SessionStatus {
        /// It is in use.
        Active = "active",
        /// It is paused.
        Paused = "paused",
        /// It was found to have expired.
        Expired = "expired",
        /// It is archived.
        Archived = "archived",
    }
}

/// The first messages of a session's log, used as part of the history of another session, or of the same one after a
/// rewind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The session that the messages belong to.
    pub session: SessionId,
    /// Which of that session's logs: how often the session had been rewound when it wrote there.
    pub log: u32,
    /// How many messages, from the start of the log.
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

/// Which task of a session is being worked on, so that it is known without reading all of them.
///
/// It is valid while the log of tasks has the recorded length: a writer that adds tasks without updating it, such as an
/// older version, invalidates it.
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

/// The maximum size of a session's metadata, in bytes of JSON.
pub const METADATA_BYTES: usize = 16 << 10;

impl Session {
    /// Merges `changes` into the metadata, as [`update_metadata`](crate::workspace::Workspace::update_metadata) says.
    pub(crate) fn merge_metadata(&mut self, changes: &Object) -> Result<()> {
        let invalid = |what: &str| Err(Error::invalid(format!("the `metadata` of session `{}` {what}", self.id)));
        if self.metadata.is_none() && self.object.get("metadata").is_some_and(|raw| raw != "null") {
            return invalid("is not an object; another program wrote it, and it is left as it is");
        }
        let mut merged = self.metadata.clone().unwrap_or_default();
        for (name, value) in changes.iter() {
            let Some(name) = name.as_str() else {
                return invalid("has a member name that is cut in the middle of a character");
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

    /// Creates an active session.
    pub fn new(id: impl Into<SessionId>, name: impl Into<Text>, agent: impl Into<AgentId>) -> Self {
        let mut session = <Self as crate::entity::Entity>::from_object(Object::default());
        session.id = id.into();
        session.name = name.into();
        session.agent_id = agent.into();
        session.status = Some(SessionStatus::Active);
        session
    }

    /// Returns the log to which new messages of the session go.
    pub fn log(&self) -> LogKey {
        history(&self.id, self.rewinds)
    }

    /// Returns the logs that make up the session's history, in order, each with its places in the history. The last one
    /// is [`log`](Self::log), whose range is open-ended.
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

    /// Sets the schema with which the session must be written; call it after changing anything that schema 2 added.
    pub(crate) fn settle_schema(&mut self) {
        if self.require_known_schema().is_err() {
            return;
        }
        match self.namespace.is_some() || self.rewinds > 0 || self.pieces.iter().any(|piece| piece.log > 0) {
            true => self.object.set(SCHEMA, "2"),
            false => _ = self.object.remove(SCHEMA),
        }
    }

    /// Returns the log of the messages of a session that was not rewound; [`log`](Self::log) is the current one.
    pub fn history(id: &SessionId) -> LogKey {
        id.log_key(kind::HISTORY)
    }

    /// Returns the log of a session's tasks.
    pub fn tasks(id: &SessionId) -> LogKey {
        id.log_key(kind::TASKS)
    }
}

/// Returns the log that a session writes to after this many rewinds.
fn history(id: &SessionId, rewinds: u32) -> LogKey {
    match rewinds {
        0 => Session::history(id),
        rewinds => successor(&Session::history(id), rewinds),
    }
}

/// Checks the size of a session's metadata.
pub(crate) fn check_metadata(id: &SessionId, metadata: Option<&Object>) -> Result<()> {
    match metadata.map_or(0, |metadata| metadata.to_json().len()) {
        bytes if bytes > METADATA_BYTES => Err(Error::invalid(format!(
            "the `metadata` of session `{id}` would have {bytes} bytes; the limit is {METADATA_BYTES}"
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
