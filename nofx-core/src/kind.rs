//! Every kind of record and log that this version writes.

use crate::key::Kind;

/// A record by agent id: one agent.
pub const AGENT: Kind = Kind::of("agent");
/// A record by session id: one session, without its messages and tasks.
pub const SESSION: Kind = Kind::of("session");
/// A log by session id: its messages. After a rewind, a session continues in successors of this log.
pub const HISTORY: Kind = Kind::of("history");
/// A log by session id: its tasks; each change of a task is an entry.
pub const TASKS: Kind = Kind::of("tasks");
/// A record by digest: one content of a template.
pub const TEMPLATE: Kind = Kind::of("template");
/// A record by template id: the digest of its newest content.
pub const TEMPLATE_NAME: Kind = Kind::of("template-name");
/// A log by agent id: its checkpoints.
pub const CHECKPOINTS: Kind = Kind::of("checkpoints");
/// A log by agent id: its transcript.
pub const TRANSCRIPT: Kind = Kind::of("transcript");
/// A log by segment number: messages between agents.
pub const ORCHESTRATION: Kind = Kind::of("orchestration");
/// A record by path: bytes from the old folder that are kept as they are.
pub const ATTACHMENT: Kind = Kind::of("attachment");
/// A record by digest: a piece of a long content, or a chunk of an attachment.
pub const PAYLOAD: Kind = Kind::of("payload");
/// A record by path: what a file of the old folder was imported as.
pub const IMPORT: Kind = Kind::of("import");
/// A record by place in an order: finds sessions by their last activity.
pub const ACTIVITY: Kind = Kind::of("activity");
/// A record by session id: its place in the order of activity.
pub const ACTIVITY_PLACE: Kind = Kind::of("activity-place");
/// A record by id of a log of [`HISTORY`]: how many sessions other than its own read its messages.
pub const HISTORY_SHARED: Kind = Kind::of("history-shared");
/// A record by name of an event: it never exists, and batches delete it to tell watchers what they do.
pub const EVENT: Kind = Kind::of("event");
/// A record by session id: the session was purged, and an import must not bring it back.
pub const TOMBSTONE: Kind = Kind::of("tombstone");

/// A record by key: the session that a host opens under that key.
///
/// Not in [`KINDS`]: versions that do not know this kind, and share the store, must find it where they put unknown
/// kinds.
pub const SESSION_KEY: Kind = Kind::of("session-key");

/// A record by namespace and agent id: one agent outside the default namespace. Like [`SESSION_KEY`], not in [`KINDS`];
/// nor are those that follow.
pub const AGENT_IN: Kind = Kind::of("agent-in");
/// A log by namespace and agent id: its checkpoints.
pub const CHECKPOINTS_IN: Kind = Kind::of("checkpoints-in");
/// A log by namespace and agent id: its transcript.
pub const TRANSCRIPT_IN: Kind = Kind::of("transcript-in");
/// A log by namespace and segment number: messages between agents.
pub const ORCHESTRATION_IN: Kind = Kind::of("orchestration-in");

/// Whether a kind names records or logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Records.
    Record,
    /// Logs.
    Log,
}

/// Whether a kind is worth a file for people to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It holds data that cannot be derived from anything else.
    Document,
    /// It is derived, or only programs look it up.
    Index,
}

/// A row of [`KINDS`].
#[derive(Clone, Debug)]
pub struct KindInfo {
    /// The kind.
    pub kind: Kind,
    /// Records or logs.
    pub shape: Shape,
    /// For people or for programs.
    pub purpose: Purpose,
    /// The folder in which a file backend keeps it.
    pub folder: &'static str,
}

/// The kinds that every version writes, each with its folder. A store may hold other kinds, including those added
/// since, and keeps them; a file backend puts those in a place that is the same for every version.
pub const KINDS: &[KindInfo] = &[
    row(AGENT, Shape::Record, Purpose::Document, "agents"),
    row(SESSION, Shape::Record, Purpose::Document, "sessions"),
    row(HISTORY, Shape::Log, Purpose::Document, "sessions"),
    row(TASKS, Shape::Log, Purpose::Document, "sessions"),
    row(TEMPLATE, Shape::Record, Purpose::Document, "templates"),
    row(TEMPLATE_NAME, Shape::Record, Purpose::Index, "templates"),
    row(CHECKPOINTS, Shape::Log, Purpose::Document, "agents"),
    row(TRANSCRIPT, Shape::Log, Purpose::Document, "agents"),
    row(ORCHESTRATION, Shape::Log, Purpose::Document, "orchestration"),
    row(ATTACHMENT, Shape::Record, Purpose::Document, "attachments"),
    row(PAYLOAD, Shape::Record, Purpose::Document, "attachments"),
    row(IMPORT, Shape::Record, Purpose::Index, "attachments"),
    row(ACTIVITY, Shape::Record, Purpose::Index, "sessions"),
    row(ACTIVITY_PLACE, Shape::Record, Purpose::Index, "sessions"),
    row(HISTORY_SHARED, Shape::Record, Purpose::Index, "sessions"),
    row(EVENT, Shape::Record, Purpose::Index, "sessions"),
    row(TOMBSTONE, Shape::Record, Purpose::Index, "sessions"),
];

const fn row(kind: Kind, shape: Shape, purpose: Purpose, folder: &'static str) -> KindInfo {
    KindInfo { kind, shape, purpose, folder }
}
