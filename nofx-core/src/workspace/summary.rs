//! Lists of sessions, newest activity first.

use super::activity::{Order, STEP, row_at, session_of};
use super::history::inherited;
use super::{EXPIRY_WARNING, Workspace};
use crate::entity::{AgentId, Entity, EntityId, RecordEntity, Session, SessionStatus};
use crate::error::Result;
use crate::key::RecordKey;
use crate::kind::ACTIVITY;
use crate::query::ScanQuery;
use crate::record::Record;
use crate::time::Timestamp;

/// Rows that are looked at together when a filter has to look into the sessions.
const SCAN_PAGE: usize = 256;

/// Which sessions to list.
///
/// Status, agent and time are found by an index. `text` and `expired` are not: they look at every session that the rest of
/// the filter lets through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    /// Only sessions of this agent.
    pub agent: Option<AgentId>,
    /// Only sessions of which this was last decided.
    pub status: Option<SessionStatus>,
    /// Only sessions last active before this time, to the minute.
    pub active_before: Option<Timestamp>,
    /// Only sessions last active at this time or later.
    pub active_since: Option<Timestamp>,
    /// Only sessions whose name contains this, in any case.
    pub text: Option<String>,
    /// Only sessions that have expired by now, or only those that have not.
    pub expired: Option<bool>,
    /// The sessions in the trash instead of the others; no other filter by agent or status then.
    pub trash: bool,
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// The session's record.
    pub session: Session,
    /// The beginning of what the person first asked for.
    pub preview: Option<String>,
    /// How many messages it has.
    pub messages: u64,
    /// When something last happened in it.
    pub last_active_at: Timestamp,
    /// What holds now, by the clock.
    pub state: SessionState,
}

/// What holds of a session at a moment: what was decided, and what the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It goes on.
    Active,
    /// It goes on and ends soon: within [`EXPIRY_WARNING`].
    ExpiresSoon,
    /// It rests.
    Paused,
    /// Its time is over.
    Expired,
    /// It is put away.
    Archived,
    /// It is in the trash.
    Deleted,
}

/// A page of a list of sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct Summaries {
    /// The sessions, newest activity first, to the minute.
    pub items: Vec<SessionSummary>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<RecordKey>,
}

impl Session {
    /// Returns what holds of the session at a moment.
    pub fn state(&self, now: Timestamp) -> SessionState {
        let left = self.expires_at.map(|end| end.as_millis().saturating_sub(now.as_millis()));
        match (&self.status, left) {
            _ if self.deleted_at.is_some() => SessionState::Deleted,
            (Some(SessionStatus::Archived), _) => SessionState::Archived,
            (Some(SessionStatus::Expired), _) => SessionState::Expired,
            (_, Some(left)) if left <= 0 => SessionState::Expired,
            (Some(SessionStatus::Paused), _) => SessionState::Paused,
            (_, Some(left)) if left <= EXPIRY_WARNING.as_millis() as i64 => SessionState::ExpiresSoon,
            _ => SessionState::Active,
        }
    }
}

impl Workspace {
    /// Returns a page of sessions, newest activity first; the next one begins at [`Summaries::next`].
    ///
    /// Without `text` and `expired`, a page of `n` sessions reads `n` rows, records and heads, however many there are.
    pub async fn summaries(&self, filter: &SessionFilter, after: Option<RecordKey>, limit: usize) -> Result<Summaries> {
        let order = Order { agent: filter.agent.clone(), status: filter.status.clone(), trash: filter.trash };
        let looks_inside = filter.text.is_some() || filter.expired.is_some();
        let page = if looks_inside { SCAN_PAGE.max(limit) } else { limit };
        let mut query = ScanQuery::of(ACTIVITY, page).prefixed(order.prefix());
        query.after = match (after, filter.active_before) {
            (None, Some(before)) => Some(row_at(&order, before)?),
            (after, _) => after,
        };
        // Rows may lag behind by one step, so the last one to look at is a step further.
        let end = filter.active_since.map(|since| row_at(&order, since.saturating_sub(2 * STEP))).transpose()?;

        let now = self.now();
        let mut items = Vec::new();
        loop {
            let rows = self.store.backend().scan(&query).await?;
            let keys: Vec<_> = rows.items.iter().map(|row| row.key.clone()).collect();
            for (at, (key, summary)) in keys.iter().zip(self.summarise(&rows.items, now).await?).enumerate() {
                if end.as_ref().is_some_and(|end| key > end) {
                    return Ok(Summaries { items, next: None });
                }
                if filter.lets_through(&summary) {
                    items.push(summary);
                }
                if items.len() == limit {
                    let last = at + 1 == keys.len() && !rows.more;
                    return Ok(Summaries { items, next: (!last).then(|| key.clone()) });
                }
            }
            match keys.into_iter().next_back() {
                Some(key) if rows.more => query.after = Some(key),
                _ => return Ok(Summaries { items, next: None }),
            }
        }
    }

    async fn summarise(&self, rows: &[Record], now: Timestamp) -> Result<Vec<SessionSummary>> {
        let ids = rows.iter().map(session_of).collect::<Result<Vec<_>>>()?;
        let keys: Vec<_> = ids.iter().map(|id| id.record_key(Session::KIND)).collect();
        let logs: Vec<_> = ids.iter().map(Session::history).collect();
        let (records, heads) = (self.store.get(&keys).await?, self.store.backend().heads(&logs).await?);
        let found = records.into_iter().zip(heads);
        // A session that was purged between the two reads is no longer there to be listed.
        let found = found.filter_map(|(record, head)| Some((record?, head)));
        found
            .map(|(record, head)| {
                let session = Session::from_body(&record.body)?;
                Ok(SessionSummary {
                    preview: session.preview.as_ref().map(|preview| preview.to_string()),
                    messages: inherited(&session) + head.length,
                    last_active_at: session.last_active_at.max(head.last_at).unwrap_or_default(),
                    state: session.state(now),
                    session,
                })
            })
            .collect()
    }
}

impl SessionFilter {
    /// Returns whether a session is wanted, as far as its order does not say so already.
    fn lets_through(&self, summary: &SessionSummary) -> bool {
        let contains = |text: &String| summary.session.name.to_string().to_lowercase().contains(&text.to_lowercase());
        self.text.as_ref().is_none_or(contains)
            && self.expired.is_none_or(|expired| expired == (summary.state == SessionState::Expired))
            && self.active_before.is_none_or(|before| summary.last_active_at < before)
            && self.active_since.is_none_or(|since| summary.last_active_at >= since)
    }
}
