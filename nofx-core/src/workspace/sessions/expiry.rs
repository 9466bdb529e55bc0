//! Telling a running host that sessions will expire soon, or have expired.

use std::collections::HashMap;
use std::time::Duration;

use super::activity::Order;
use crate::entity::{Session, SessionId, SessionStatus};
use crate::error::Result;
use crate::time::Timestamp;
use crate::workspace::event::{EventKind, with_event};
use crate::workspace::{EXPIRY_WARNING, SessionState, Workspace};

/// How many sessions are read together.
const PAGE: usize = 256;

/// A change of a session's state because time has passed.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpiryEvent {
    /// [`EventKind::SessionExpiryWarning`] or [`EventKind::SessionExpired`].
    pub kind: EventKind,
    /// The session in its new state.
    pub session: Session,
}

/// Watches the clock for a running host.
///
/// Every reader derives from the clock whether a session has expired, with or without a watch. A watch adds
/// notifications: the host calls [`poll`](Self::poll), at [`next_due`](Self::next_due) or at any other time. If several
/// hosts watch one store, each warns; the first to see that a session has expired records it in the store and reports
/// it, and the others learn of it through [`Workspace::events`].
#[derive(Clone, Debug)]
pub struct ExpiryWatch {
    workspace: Workspace,
    /// The expiry times for which this watch has warned.
    warned: HashMap<SessionId, Timestamp>,
    next_due: Option<Timestamp>,
}

impl Workspace {
    /// Returns a watch. Its first [`poll`](ExpiryWatch::poll) also reports what expired while no host was watching.
    pub fn expiry_watch(&self) -> ExpiryWatch {
        ExpiryWatch { workspace: Self { operation: None, ..self.clone() }, warned: HashMap::new(), next_due: None }
    }
}

impl ExpiryWatch {
    /// Returns what is due by now: one warning for each expiry time that is within half an hour, and the expiry itself,
    /// once per store.
    ///
    /// Considers active and paused sessions. A clock that goes backwards repeats nothing.
    pub async fn poll(&mut self) -> Result<Vec<ExpiryEvent>> {
        let now = self.workspace.now();
        let mut events = Vec::new();
        let mut warned = HashMap::new();
        let mut next_due: Option<Timestamp> = None;
        for session in self.going_on().await? {
            let Some(end) = session.expires_at else { continue };
            let warning = end.saturating_sub(EXPIRY_WARNING);
            if session.state(now) == SessionState::Expired {
                events.extend(self.expire(&session).await?);
                continue;
            }
            let due = if warning <= now { end } else { warning };
            next_due = Some(next_due.map_or(due, |next| next.min(due)));
            let told = self.warned.get(&session.id) == Some(&end);
            if told || warning <= now {
                warned.insert(session.id.clone(), end);
            }
            if !told && warning <= now {
                events.push(ExpiryEvent { kind: EventKind::SessionExpiryWarning, session });
            }
        }
        self.warned = warned;
        self.next_due = next_due;
        Ok(events)
    }

    /// Returns when the next event is due, as far as the last [`poll`](Self::poll) could know; a session that is
    /// created or resumed later is due half an hour before its end at the earliest. `None` if there is nothing to wait
    /// for.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.next_due
    }

    /// Returns the time until then, by the store's clock; zero if it is due.
    pub fn next_due_in(&self) -> Option<Duration> {
        let now = self.workspace.now().as_millis();
        let wait = |due: Timestamp| u64::try_from(due.as_millis().saturating_sub(now)).unwrap_or_default();
        self.next_due.map(|due| Duration::from_millis(wait(due)))
    }

    /// Returns the sessions that are not recorded as ended.
    async fn going_on(&self) -> Result<Vec<Session>> {
        let mut ids = Vec::new();
        for status in [SessionStatus::Active, SessionStatus::Paused] {
            ids.extend(self.workspace.sessions_in(&Order { status: Some(status), ..self.workspace.order() }).await?.0);
        }
        let mut sessions = Vec::with_capacity(ids.len());
        for some in ids.chunks(PAGE) {
            // An unreadable one does not hide the others.
            sessions.extend(self.workspace.sessions_by_id(some).await?.into_iter().flatten().flatten());
        }
        Ok(sessions)
    }

    /// Records that a session has expired. No event if another host has recorded it, or if the session turns out to be
    /// still going.
    async fn expire(&self, session: &Session) -> Result<Option<ExpiryEvent>> {
        let (workspace, id) = (&self.workspace, &session.id);
        let decided = workspace.decide("expire", move |_| async move {
            let found = workspace.find(id).await?;
            let noted = matches!(found.session.status, Some(SessionStatus::Expired | SessionStatus::Archived));
            if noted || found.session.state(workspace.now()) != SessionState::Expired {
                return Ok((None, None));
            }
            let mut session = found.session.clone();
            session.status = Some(SessionStatus::Expired);
            let batch = with_event(workspace.store.batch(), EventKind::SessionExpired);
            let batch = found.save_changed(batch, &session)?;
            Ok((Some(session), Some(batch)))
        });
        Ok(decided.await?.0.map(|session| ExpiryEvent { kind: EventKind::SessionExpired, session }))
    }
}
