//! Finds sessions by their last activity without reading all of them.
//!
//! A session is listed in several orders at once, one for each supported query: all sessions, those with a status,
//! those of an agent, those of an agent with a status, and those in the trash. A row of an order is a record of kind
//! [`ACTIVITY`] whose id sorts by time, newest first. The session's record of kind [`ACTIVITY_PLACE`] says where its
//! rows are; rows and place change in one batch that expects the previous place, so they never disagree.

use std::time::Duration;

use crate::batch::{Batch, Expect, Guard};
use crate::body::Body;
use crate::entity::{AgentId, Entity, EntityId, RecordEntity, Session, SessionId, SessionStatus, sha256_hex};
use crate::error::{Error, Result};
use crate::json::{Object, Text, Value};
use crate::key::RecordKey;
use crate::kind::{ACTIVITY, ACTIVITY_PLACE, TOMBSTONE};
use crate::record::{Record, Seq};
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::namespace::Namespace;

/// The resolution of the orders: within one step sessions are unordered, and their rows need not move.
pub(crate) const STEP: Duration = Duration::from_secs(60);

/// Which sessions an order lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Order {
    pub(crate) namespace: Namespace,
    pub(crate) agent: Option<AgentId>,
    pub(crate) status: Option<SessionStatus>,
    pub(crate) trash: bool,
}

impl Order {
    /// Returns the prefix of the ids of its rows.
    pub(crate) fn prefix(&self) -> String {
        // Agents and unknown words may be longer than an id allows, so their digests are used.
        let agent = self.agent.as_ref().map(|agent| short(agent.as_text())).unwrap_or_default();
        let status = self.status.as_ref().map(|status| short(&status.as_text())).unwrap_or_default();
        let namespace = self.namespace.name().map(|name| format!("@{name}/")).unwrap_or_default();
        format!("{namespace}{}/{agent}/{status}/", if self.trash { "trash" } else { "live" })
    }
}

impl Workspace {
    /// Returns the order of all sessions in this namespace that are not in the trash.
    pub(crate) fn order(&self) -> Order {
        Order { namespace: self.namespace.clone(), ..Order::default() }
    }
}

/// Where the rows of one session are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActivityPlace {
    namespace: Namespace,
    step: i64,
    agent: AgentId,
    status: SessionStatus,
    trash: bool,
}

impl ActivityPlace {
    /// Returns the place of a session whose last message has the time `last_message_at`.
    pub(crate) fn of(session: &Session, last_message_at: Option<Timestamp>) -> Self {
        Self {
            namespace: Namespace::stored(session.namespace.as_ref()),
            step: step_of(last_active(session, last_message_at)),
            agent: session.agent_id.clone(),
            status: session.status.clone().unwrap_or(SessionStatus::Active),
            trash: session.deleted_at.is_some(),
        }
    }

    /// Returns the place of the session after its record changed to this and nothing else did.
    pub(crate) fn changed(&self, session: &Session) -> Self {
        let place = Self::of(session, None);
        Self { step: place.step.max(self.step), ..place }
    }

    /// Parses a place from its record.
    pub(crate) fn read(record: &Record) -> Result<Self> {
        let read = || {
            let object = Object::parse(record.body.as_str()).ok()?;
            Some(Self {
                namespace: Namespace::stored(object.read("namespace").as_ref()),
                step: object.read("step")?,
                agent: object.read("agent")?,
                status: object.read("status")?,
                trash: object.read("trash")?,
            })
        };
        read().ok_or_else(|| Error::corrupt(record.key.to_string()))
    }

    /// Returns the last decision about the session.
    pub(crate) fn status(&self) -> &SessionStatus {
        &self.status
    }

    /// Returns whether the session is in the trash.
    pub(crate) fn is_trash(&self) -> bool {
        self.trash
    }

    fn body(&self) -> Body {
        let (agent, status) = (self.agent.write(), self.status.write());
        let namespace = self.namespace.to_text().map(|name| format!(r#","namespace":{}"#, name.write()));
        let (step, trash, namespace) = (self.step, self.trash, namespace.unwrap_or_default());
        Body::trusted(format!(r#"{{"step":{step},"agent":{agent},"status":{status},"trash":{trash}{namespace}}}"#))
    }

    /// Returns the keys of a session's rows at this place.
    fn rows(&self, session: &SessionId) -> Result<Vec<RecordKey>> {
        let of_its_namespace = || Order { namespace: self.namespace.clone(), ..Order::default() };
        let orders = if self.trash {
            vec![Order { trash: true, ..of_its_namespace() }]
        } else {
            let (agent, status) = (Some(&self.agent), Some(&self.status));
            [(None, None), (agent, None), (None, status), (agent, status)]
                .map(|(agent, status)| Order { agent: agent.cloned(), status: status.cloned(), ..of_its_namespace() })
                .to_vec()
        };
        orders.iter().map(|order| row(order, self.step, session)).collect()
    }
}

/// Returns when a session was last active: the later of its record's time and its last message's time.
pub(crate) fn last_active(session: &Session, last_message_at: Option<Timestamp>) -> Timestamp {
    session.last_active_at.max(last_message_at).unwrap_or_default()
}

/// Returns the key where the rows of everything last active before `at` begin.
pub(crate) fn row_at(order: &Order, at: Timestamp) -> Result<RecordKey> {
    // The separator sorts before every digest, so this comes before all rows of its step.
    RecordKey::new(ACTIVITY, format!("{}{}", order.prefix(), inverted(step_of(at))))
}

fn step_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(STEP.as_millis() as i64)
}

fn row(order: &Order, step: i64, session: &SessionId) -> Result<RecordKey> {
    RecordKey::new(ACTIVITY, format!("{}{}/{}", order.prefix(), inverted(step), short(session.as_text())))
}

/// Writes a step so that later ones sort first.
fn inverted(step: i64) -> String {
    // Flipping the sign bit gives unsigned numbers the order of signed ones; flipping the other bits reverses it.
    format!("{:016x}", (step as u64) ^ (u64::MAX >> 1))
}

/// Returns 128 bits of a text's digest.
fn short(text: &Text) -> String {
    let mut digest = sha256_hex(text.as_bytes());
    digest.truncate(32);
    digest
}

/// Returns the key of the record that says where a session's rows are.
pub(crate) fn place_key(session: &SessionId) -> RecordKey {
    session.record_key(ACTIVITY_PLACE)
}

/// Returns the session to which a row points.
pub(crate) fn session_of(row: &Record) -> Result<SessionId> {
    SessionId::read(row.body.as_str()).ok_or_else(|| Error::corrupt(row.key.to_string()))
}

/// Adds to a batch the move of a session from one place to another; nothing if they are the same.
///
/// `from` is `None` for a session that is not listed yet, `to` for one that is to be unlisted.
pub(crate) fn moved(
    mut batch: Batch,
    session: &SessionId,
    from: Option<(&ActivityPlace, Seq)>,
    to: Option<&ActivityPlace>,
) -> Result<Batch> {
    if from.map(|(place, _)| place) == to {
        return Ok(batch);
    }
    let old = from.map(|(place, _)| place.rows(session)).transpose()?.unwrap_or_default();
    let new = to.map(|place| place.rows(session)).transpose()?.unwrap_or_default();
    for row in old.iter().filter(|row| !new.contains(row)) {
        batch = batch.delete(row.clone(), Expect::Any);
    }
    for row in new.iter().filter(|row| !old.contains(row)) {
        batch = batch.put(row.clone(), Expect::Any, Body::trusted(session.write()));
    }
    let expect = from.map_or(Expect::Absent, |(_, version)| Expect::At(version));
    Ok(match to {
        Some(place) => batch.put(place_key(session), expect, place.body()),
        None => batch.delete(place_key(session), expect),
    })
}

/// Adds to a batch what keeps the lists correct when it changes a session's record or the time of its last message.
///
/// `place` is the session's current record of kind [`ACTIVITY_PLACE`], `None` if it has none. For callers that write the
/// records of sessions themselves, such as an import; [`new_session`] writes the record too.
pub fn index_session(
    batch: Batch,
    session: &Session,
    place: Option<&Record>,
    last_message_at: Option<Timestamp>,
) -> Result<Batch> {
    let from = place.map(|record| Ok::<_, Error>((ActivityPlace::read(record)?, record.version))).transpose()?;
    let to = ActivityPlace::of(session, last_message_at);
    moved(batch, &session.id, from.as_ref().map(|(place, version)| (place, *version)), Some(&to))
}

/// Adds to a batch a session that is new to the store, with everything that lists need to find it.
///
/// Imports use this. A session's messages go to [`Session::history`], its tasks to [`Session::tasks`];
/// [`preview`](crate::workspace::preview) makes [`Session::preview`]. The batch conflicts if the session exists, or if it was
/// purged: the tombstone's key is then among the mismatches.
pub fn new_session(batch: Batch, session: &Session, last_message_at: Option<Timestamp>) -> Result<Batch> {
    let batch = batch.guard(Guard::Record { key: session.id.record_key(TOMBSTONE), expect: Expect::Absent }).put(
        session.key(),
        Expect::Absent,
        session.to_body()?,
    );
    moved(batch, &session.id, None, Some(&ActivityPlace::of(session, last_message_at)))
}
