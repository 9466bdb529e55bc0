//! What has happened in a store, as a feed that outlives its readers.
//!
//! A commit says which records and logs it touched. Verbs also name what they did: their batches delete a record of
//! kind [`EVENT`] that never exists, so that its name appears in the feed although nothing is stored.

use std::collections::HashSet;

use super::Workspace;
use super::namespace::Namespace;
use crate::batch::{Batch, Expect};
use crate::entity::{Agent, AgentId, EntityId, RecordEntity, Session, SessionId, TaskId, first_id, is_digested};
use crate::error::Result;
use crate::json::{Object, Text};
use crate::key::{LogKey, MAX_ID_BYTES, RecordKey};
use crate::kind::{AGENT_IN, EVENT, HISTORY, ORCHESTRATION, TOMBSTONE};
use crate::query::Changes;
use crate::record::{Change, Cursor, Record, Seq};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the name that watchers use, such as `session.created`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

events! {
    /// A session was created.
    SessionCreated = "session.created",
    /// A session was archived.
    SessionArchived = "session.archived",
    /// A session was created from another one.
    SessionRestored = "session.restored",
    /// A session was paused.
    SessionPaused = "session.paused",
    /// A session was resumed.
    SessionResumed = "session.resumed",
    /// A session will expire soon. Reported only by an [`ExpiryWatch`](super::ExpiryWatch).
    SessionExpiryWarning = "session.expiry.warning",
    /// A session has expired, and a host has recorded it.
    SessionExpired = "session.expired",
    /// A session was moved to the trash.
    SessionDeleted = "session.deleted",
    /// A session was taken out of the trash.
    SessionUndeleted = "session.undeleted",
    /// A session was permanently removed.
    SessionPurged = "session.purged",
    /// A session was imported, or its record was changed.
    SessionChanged = "session.changed",
    /// A session was rewound: its newest messages were removed.
    SessionRewound = "session.rewound",
    /// Messages were added to a session.
    MessageAdded = "session.message.added",
    /// A task was started.
    TaskStarted = "session.task.started",
    /// A task was completed.
    TaskCompleted = "session.task.completed",
    /// A task failed.
    TaskFailed = "session.task.failed",
    /// A task was interrupted.
    TaskInterrupted = "session.task.interrupted",
    /// An agent was saved or removed.
    AgentChanged = "agent.changed",
    /// Messages between agents were stored.
    OrchestrationPersisted = "orchestration.message.persisted",
    /// Old data was cleaned up.
    StorageCleanup = "storage.cleanup",
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The session it concerns.
    pub session: Option<SessionId>,
    /// The agent it concerns, if it concerns no session.
    pub agent: Option<AgentId>,
    /// The task it concerns, if its id is short enough for a key.
    pub task: Option<TaskId>,
    /// How many messages were left after a rewind.
    pub length: Option<u64>,
    /// The number of the commit, if it wrote records.
    pub seq: Option<Seq>,
}

/// The next events.
#[derive(Clone, Debug, PartialEq)]
pub enum Events {
    /// What has happened since the cursor.
    Page {
        /// The events, in order.
        events: Vec<Event>,
        /// Where to continue. It may be kept indefinitely.
        next: Cursor,
        /// Whether this was everything so far.
        at_end: bool,
    },
    /// The store no longer remembers everything since the cursor.
    ///
    /// To catch up, list the sessions with [`summaries`](Workspace::summaries) since the last time seen, then continue
    /// from `newest`: events during the listing are reported then.
    Gap {
        /// Where to continue.
        newest: Cursor,
    },
}

/// Adds to a batch the name of what it does.
pub(super) fn with_event(batch: Batch, event: EventKind) -> Batch {
    with_event_name(batch, event.name().to_owned())
}

/// Adds to a batch the name of what it does to a task.
pub(super) fn with_task_event(batch: Batch, event: EventKind, task: Option<&TaskId>) -> Batch {
    let named = task.and_then(|task| Some(format!("{}/{}", event.name(), task.as_text().as_str()?)));
    let named = named.filter(|name| name.len() <= MAX_ID_BYTES);
    with_event_name(batch, named.unwrap_or_else(|| event.name().to_owned()))
}

/// Adds to a batch that it rewinds a session to this many messages.
pub(super) fn with_rewind_event(batch: Batch, length: u64) -> Batch {
    with_event_name(batch, format!("{}/{length}", EventKind::SessionRewound.name()))
}

fn with_event_name(batch: Batch, name: String) -> Batch {
    match RecordKey::new(EVENT, name) {
        Ok(key) => batch.delete(key, Expect::Any),
        Err(_) => unreachable!("the name of an event is neither empty nor too long"),
    }
}

/// The sessions of some commits that are outside a namespace.
#[derive(Debug)]
struct Here {
    others: HashSet<RecordKey>,
}

impl Here {
    fn has(&self, session: &RecordKey) -> bool {
        !self.others.contains(session)
    }
}

/// Returns the record of the session whose messages are in a log.
fn session_of_log(log: &LogKey) -> Result<RecordKey> {
    RecordKey::new(Session::KIND, first_id(log.id()))
}

/// Following what happens, in this process or another.
///
/// ```
/// # use nofx_core::workspace::{EventKind, Events, NewSession, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::{Agent, Role}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// let start = workspace.events_end().await?;
/// let session = workspace.create_session(&Agent::new("ada", "Ada", "tester"), NewSession::default()).await?;
/// workspace.add_message(&session.id, workspace.message(Role::User, "hello")).await?;
///
/// let Events::Page { events, next, at_end } = workspace.events(Some(&start), 100).await? else {
///     panic!("the store no longer remembers everything since `start`: list the sessions instead")
/// };
/// assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::SessionCreated, EventKind::MessageAdded]);
/// assert_eq!(events[1].session, Some(session.id));
/// assert!(at_end);
/// // `next` can be kept in a file: another process continues there.
/// # let _ = next;
/// # Ok(()) }
/// ```
impl Workspace {
    /// Returns the current end of the feed.
    pub async fn events_end(&self) -> Result<Cursor> {
        Ok(match self.store.changes(None, 0).await? {
            Changes::Page(page) => page.newest,
            Changes::Gap { newest } => newest,
        })
    }

    /// Returns what happened to this namespace in the next commits after a cursor, at most `limit` of them, from all
    /// processes.
    ///
    /// `None` starts at the oldest commit that is remembered. A caller that follows `next` gets each commit once; at
    /// least the last [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS) are remembered. A page may have no events and
    /// still not be the last.
    pub async fn events(&self, after: Option<&Cursor>, limit: usize) -> Result<Events> {
        let page = match self.store.changes(after, limit).await? {
            Changes::Gap { newest } => return Ok(Events::Gap { newest }),
            Changes::Page(page) => page,
        };
        let here = self.here(&page.changes).await?;
        let mut events = Vec::new();
        for change in &page.changes {
            self.add_events(change, &here, &mut events).await?;
        }
        Ok(Events::Page { events, at_end: page.next == page.newest, next: page.next })
    }

    async fn add_events(&self, change: &Change, here: &Here, events: &mut Vec<Event>) -> Result<()> {
        let named: Vec<_> = change.records.iter().filter(|key| *key.kind() == EVENT).filter_map(named).collect();
        if !named.is_empty() {
            // A batch that names what it does concerns at most one session.
            let session = match change.records.iter().find(|key| *key.kind() == Session::KIND) {
                Some(key) if here.has(key) => Some(SessionId::from(self.id_of(key).await?)),
                Some(_) => return Ok(()),
                None => None,
            };
            let event = |(kind, about)| Event { session: session.clone(), ..happened(kind, change) }.about(about);
            events.extend(named.into_iter().map(event));
            return Ok(());
        }
        let mut sessions = Vec::new();
        for log in change.logs.iter().filter(|log| *log.kind() == HISTORY) {
            let key = session_of_log(log)?;
            if here.has(&key) {
                let session = SessionId::from(self.id_of(&key).await?);
                events.push(Event { session: Some(session.clone()), ..happened(EventKind::MessageAdded, change) });
                sessions.push(session);
            }
        }
        for key in &change.records {
            if *key.kind() == Session::KIND && here.has(key) {
                let session = SessionId::from(self.id_of(key).await?);
                if !sessions.contains(&session) {
                    events.push(Event { session: Some(session), ..happened(EventKind::SessionChanged, change) });
                }
            } else if self.namespace.has(&Agent::KIND, key.kind(), key.id()) {
                let agent = Some(AgentId::from(self.id_of(key).await?));
                events.push(Event { agent, ..happened(EventKind::AgentChanged, change) });
            }
        }
        if change.logs.iter().any(|log| self.namespace.has(&ORCHESTRATION, log.kind(), log.id())) {
            events.push(happened(EventKind::OrchestrationPersisted, change));
        }
        Ok(())
    }

    /// Determines which of the sessions that some commits concern belong to this namespace.
    async fn here(&self, changes: &[Change]) -> Result<Here> {
        let mut keys = HashSet::new();
        for change in changes {
            keys.extend(change.records.iter().filter(|key| *key.kind() == Session::KIND).cloned());
            for log in change.logs.iter().filter(|log| *log.kind() == HISTORY) {
                keys.insert(session_of_log(log)?);
            }
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let mut others = HashSet::new();
        let mut gone = Vec::new();
        for (key, record) in keys.iter().zip(self.store.get_each(&keys).await?) {
            match record {
                Ok(None) => gone.push(key.clone()),
                // An unreadable one may belong to this namespace.
                Err(error) if error.is_of_one_thing() => {}
                record => self.sort_out(key, record?.as_ref(), "$namespace", &mut others),
            }
        }
        let tombstones = gone.iter().map(|key| RecordKey::new(TOMBSTONE, key.id())).collect::<Result<Vec<_>>>()?;
        for (key, record) in gone.iter().zip(self.store.get_each(&tombstones).await?) {
            self.sort_out(key, record.ok().flatten().as_ref(), "namespace", &mut others);
        }
        Ok(Here { others })
    }

    /// Adds a session to `others` if its record says that it belongs to another namespace.
    fn sort_out(&self, session: &RecordKey, record: Option<&Record>, member: &str, others: &mut HashSet<RecordKey>) {
        let object = record.and_then(|record| Object::parse(record.body.as_str()).ok());
        let name: Option<Text> = object.and_then(|object| object.read(member));
        if Namespace::stored(name.as_ref()) != self.namespace {
            others.insert(session.clone());
        }
    }

    /// Returns the id that a record's key stands for. For a record that is gone it may be the id's digest.
    async fn id_of(&self, key: &RecordKey) -> Result<Text> {
        let known = match *key.kind() == AGENT_IN {
            true => key.id().strip_prefix(&self.namespace.prefix()).unwrap_or(key.id()),
            false => key.id(),
        };
        if !is_digested(known) {
            return Ok(known.into());
        }
        let record = self.store.get(std::slice::from_ref(key)).await?.into_iter().next().flatten();
        let id = record.and_then(|record| Object::parse(record.body.as_str()).ok()?.read("id"));
        Ok(id.unwrap_or_else(|| known.into()))
    }
}

/// Parses what a batch says it does, and to what; names from later versions are ignored.
fn named(key: &RecordKey) -> Option<(EventKind, Option<&str>)> {
    let (name, about) = match key.id().split_once('/') {
        Some((name, about)) => (name, Some(about)),
        None => (key.id(), None),
    };
    let kind = EventKind::ALL.iter().find(|kind| kind.name() == name)?;
    Some((*kind, about))
}

impl Event {
    fn about(mut self, about: Option<&str>) -> Self {
        match self.kind {
            EventKind::SessionRewound => self.length = about.and_then(|length| length.parse().ok()),
            _ => self.task = about.map(TaskId::from),
        }
        self
    }
}

fn happened(kind: EventKind, change: &Change) -> Event {
    Event { kind, session: None, agent: None, task: None, length: None, seq: change.seq }
}
