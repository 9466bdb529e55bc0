//! Finds sessions by their last activity without looking at all of them.
//!
//! A session stands in several orders at once, one for each question that may be asked: all sessions, those of a status, those
//! of an agent, those of an agent and a status, those in the trash. A row of an order is a record of kind
//! [`ACTIVITY`] whose id sorts by time, newest first. The record of kind [`ACTIVITY_PLACE`] says where the rows of a session
//! are; rows and place change in one batch that expects the place as it was, so they never disagree.

use std::time::Duration;

use crate::batch::{Batch, Expect};
use crate::body::Body;
use crate::entity::{AgentId, EntityId, Session, SessionId, SessionStatus, sha256_hex};
use crate::error::{Error, Result};
use crate::json::{Object, Text, Value};
use crate::key::RecordKey;
use crate::kind::{ACTIVITY, ACTIVITY_PLACE};
use crate::record::{Record, Seq};
use crate::time::Timestamp;

/// How far rows may lag behind: they move at most once in so long.
pub(super) const STEP: Duration = Duration::from_secs(60);

/// Which sessions an order holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Order {
    pub(super) agent: Option<AgentId>,
    pub(super) status: Option<SessionStatus>,
    pub(super) trash: bool,
}

impl Order {
    /// Returns the beginning of the ids of its rows.
    pub(super) fn prefix(&self) -> String {
        // Agents and unknown words may be longer than an id, so they stand by their digest.
        let agent = self.agent.as_ref().map(|agent| short(agent.as_text())).unwrap_or_default();
        let status = self.status.as_ref().map(|status| short(&status.as_text())).unwrap_or_default();
        format!("{}/{agent}/{status}/", if self.trash { "trash" } else { "live" })
    }
}

/// Where the rows of one session are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    step: i64,
    agent: AgentId,
    status: SessionStatus,
    trash: bool,
}

impl Place {
    /// Returns where a session belongs that was last active at `at`.
    pub(super) fn of(session: &Session, at: Timestamp) -> Self {
        Self {
            step: step_of(at),
            agent: session.agent_id.clone(),
            status: session.status.clone().unwrap_or(SessionStatus::Active),
            trash: session.deleted_at.is_some(),
        }
    }

    /// Reads a place from its record.
    pub(super) fn read(record: &Record) -> Result<Self> {
        let read = || {
            let object = Object::parse(record.body.as_str()).ok()?;
            Some(Self {
                step: object.read("step")?,
                agent: object.read("agent")?,
                status: object.read("status")?,
                trash: object.read("trash")?,
            })
        };
        read().ok_or_else(|| Error::corrupt(record.key.to_string()))
    }

    fn body(&self) -> Body {
        let (agent, status) = (self.agent.write(), self.status.write());
        Body::trusted(format!(r#"{{"step":{},"agent":{agent},"status":{status},"trash":{}}}"#, self.step, self.trash))
    }

    /// Returns the rows of a session at this place.
    fn rows(&self, session: &SessionId) -> Result<Vec<RecordKey>> {
        let orders = if self.trash {
            vec![Order { trash: true, ..Order::default() }]
        } else {
            let (agent, status) = (Some(&self.agent), Some(&self.status));
            [(None, None), (agent, None), (None, status), (agent, status)]
                .map(|(agent, status)| Order { agent: agent.cloned(), status: status.cloned(), trash: false })
                .to_vec()
        };
        orders.iter().map(|order| row(order, self.step, session)).collect()
    }
}

/// Returns the place where the rows of everything last active before `at` begin.
pub(super) fn row_at(order: &Order, at: Timestamp) -> Result<RecordKey> {
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
    // Flipping the sign bit makes the unsigned order that of the signed numbers; flipping the others reverses it.
    format!("{:016x}", (step as u64) ^ (u64::MAX >> 1))
}

/// Returns 128 bits of a text's digest.
fn short(text: &Text) -> String {
    let mut digest = sha256_hex(text.as_bytes());
    digest.truncate(32);
    digest
}

/// Returns the record that says where a session stands.
pub(super) fn place_key(session: &SessionId) -> RecordKey {
    session.record_key(ACTIVITY_PLACE)
}

/// Returns the session that a row points to.
pub(super) fn session_of(row: &Record) -> Result<SessionId> {
    SessionId::read(row.body.as_str()).ok_or_else(|| Error::corrupt(row.key.to_string()))
}

/// Adds to a batch what moves a session from one place to another; nothing if they are the same.
///
/// `from` is `None` for a session that stands nowhere, `to` for one that shall.
pub(super) fn moved(
    mut batch: Batch,
    session: &SessionId,
    from: Option<(&Place, Seq)>,
    to: Option<&Place>,
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

/// Adds to a batch the rows of a session that is new to the store, last active at `at`.
///
/// For those who write session records themselves, as an import does.
pub fn index_new_session(batch: Batch, session: &Session, at: Timestamp) -> Result<Batch> {
    moved(batch, &session.id, None, Some(&Place::of(session, at)))
}
