//! Lists of sessions, most recently active first.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;

use super::activity::{Order, STEP, last_active, row_at, session_of};
use crate::entity::{AgentId, Entity, EntityId, RecordEntity, Session, SessionId, SessionStatus};
use crate::error::{Error, Result};
use crate::json::{Object, canonical};
use crate::key::{LogKey, RecordKey};
use crate::kind::ACTIVITY;
use crate::query::ScanQuery;
use crate::record::{LogHead, Record};
use crate::time::Timestamp;
use crate::workspace::conversation::history::inherited;
use crate::workspace::search::fold;
use crate::workspace::{SessionState, Workspace};

/// How many rows are read together when a filter has to look into the sessions.
const SCAN_PAGE: usize = 256;

/// Which sessions to list.
///
/// Status, agent and time use an index. `text`, `expired` and `metadata` do not: they read every session that matches
/// the rest of the filter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    /// Only sessions of this agent.
    pub agent: Option<AgentId>,
    /// Only sessions with this status.
    pub status: Option<SessionStatus>,
    /// Only sessions last active before this time.
    pub active_before: Option<Timestamp>,
    /// Only sessions last active at this time or later.
    pub active_since: Option<Timestamp>,
    /// Only sessions whose name contains this, ignoring case.
    pub text: Option<String>,
    /// Only sessions that have expired by now, or only those that have not.
    pub expired: Option<bool>,
    /// Only sessions whose metadata has all these members with equal values, however they are spelled; a member that is
    /// `null` here must be absent there. A scan.
    pub metadata: Object,
    /// The sessions in the trash instead; cannot be combined with a filter by agent or status.
    pub trash: bool,
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// The session's record.
    pub session: Session,
    /// The start of the person's first request.
    pub preview: Option<String>,
    /// How many messages it has.
    pub messages: u64,
    /// When it was last active.
    pub last_active_at: Timestamp,
    /// Its state now, by the clock.
    pub state: SessionState,
}

/// A session that cannot be read, and why.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Its id, unless it is its row in the list that cannot be read.
    pub session: Option<SessionId>,
    /// Why.
    pub error: Error,
}

/// A page of a list of sessions.
#[derive(Clone, Debug, Default)]
pub struct Summaries {
    /// The sessions, most recently active first; across pages, only to the minute.
    pub items: Vec<SessionSummary>,
    /// Sessions of this page that are damaged or were written by a later version.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<RecordKey>,
}

impl Workspace {
    /// Returns a page of sessions, most recently active first; the next one begins at [`Summaries::next`].
    ///
    /// Without `text`, `expired` and `metadata`, a page of `n` sessions reads `n` rows, records and heads, however many
    /// sessions there are. An unreadable session is left out of the page and reported in [`Summaries::unreadable`].
    /// `Invalid` for a limit of zero, or for the trash filtered by agent or status.
    pub async fn summaries(&self, filter: &SessionFilter, after: Option<RecordKey>, limit: usize) -> Result<Summaries> {
        if limit == 0 {
            return Err(Error::invalid("the limit of a page is zero; it must be at least 1"));
        }
        if filter.trash && (filter.agent.is_some() || filter.status.is_some()) {
            return Err(Error::invalid("the trash cannot be filtered by agent or status"));
        }
        let order =
            Order { agent: filter.agent.clone(), status: filter.status.clone(), trash: filter.trash, ..self.order() };
        let looks_inside = filter.text.is_some() || filter.expired.is_some() || !filter.metadata.is_empty();
        let page = if looks_inside { SCAN_PAGE.max(limit) } else { limit };
        let mut query = ScanQuery::of(ACTIVITY, page).prefixed(order.prefix());
        query.after = match (after, filter.active_before) {
            (None, Some(before)) => Some(row_at(&order, before)?),
            (after, _) => after,
        };
        // Sessions within one step are unordered, so the whole last step is read.
        let end = filter.active_since.map(|since| row_at(&order, since.saturating_sub(STEP))).transpose()?;

        let now = self.now();
        let mut page = Summaries::default();
        loop {
            let (found, more) = self.rows(&query).await?;
            let mut rows = Vec::with_capacity(found.len());
            for row in found {
                match row {
                    Ok(row) => rows.push(row),
                    Err(error) => page.unreadable.push(Unreadable { session: None, error }),
                }
            }
            let looked_at = rows.iter().map(|row| row.key.clone());
            for ((at, key), summary) in looked_at.enumerate().zip(self.summarise(&rows, now).await?) {
                if end.as_ref().is_some_and(|end| key > *end) {
                    return Ok(page.sorted());
                }
                match summary {
                    Ok(Some(summary)) if filter.lets_through(&summary) => page.items.push(summary),
                    Ok(_) => {}
                    Err(unreadable) => page.unreadable.push(unreadable),
                }
                if page.items.len() == limit {
                    let last = at + 1 == rows.len() && !more;
                    page.next = (!last).then_some(key);
                    return Ok(page.sorted());
                }
            }
            match rows.into_iter().next_back() {
                Some(last) if more => query.after = Some(last.key),
                _ => return Ok(page.sorted()),
            }
        }
    }

    /// Returns the list entry of one session, even one in the trash; `None` if there is none.
    pub async fn summary(&self, id: &SessionId) -> Result<Option<SessionSummary>> {
        let Some(session) = self.session(id).await? else { return Ok(None) };
        let head = self.store.head(&session.log()).await?;
        Ok(Some(SessionSummary::of(session, &head, self.now())))
    }

    /// Returns the list entry of each session that a row points to; none for a session that was purged concurrently.
    async fn summarise(&self, rows: &[Record], now: Timestamp) -> Result<Vec<Summarised>> {
        let named: Vec<_> = rows.iter().map(session_of).collect();
        let ids: Vec<_> = named.iter().filter_map(|named| named.as_ref().ok().cloned()).collect();
        let sessions = self.sessions_by_id(&ids).await?;
        let logs = logs_of(&ids, &sessions);
        let heads = self.store.heads_each(&logs).await?;
        let mut read = ids.into_iter().zip(sessions.into_iter().zip(heads)).map(|(id, read)| match read {
            (Ok(Some(session)), Ok(head)) => Ok(Some(SessionSummary::of(session, &head, now))),
            (Ok(None), _) => Ok(None),
            (Err(error), _) | (_, Err(error)) => Err(Unreadable { session: Some(id), error }),
        });
        let summarise = |named: Result<SessionId>| match named {
            Ok(_) => read.next().unwrap_or(Ok(None)),
            Err(error) => Err(Unreadable { session: None, error }),
        };
        Ok(named.into_iter().map(summarise).collect())
    }

    /// Reads several sessions together. One that is damaged, or stored in an unknown form, does not hide the others.
    pub(crate) async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<Vec<Result<Option<Session>>>> {
        let keys: Vec<_> = ids.iter().map(|id| id.record_key(Session::KIND)).collect();
        let records = self.store.get_each(&keys).await?;
        let read = |record: Result<Option<Record>>| {
            record.and_then(|record| record.map(|record| Session::from_body(&record.body)).transpose())
        };
        Ok(records.into_iter().map(read).collect())
    }

    /// Returns the sessions of an order, each once, least recently active first; those within one minute in no
    /// particular order. Also returns why some of the order's rows could not be read.
    ///
    /// A session that becomes active during the scan moves towards the end, so none that was there from the start is
    /// missed.
    pub(crate) async fn sessions_in(&self, order: &Order) -> Result<(Vec<SessionId>, Vec<Error>)> {
        let query = ScanQuery::of(ACTIVITY, SCAN_PAGE).prefixed(order.prefix()).backward();
        let mut rows = self.store.scan(query);
        let (mut seen, mut sessions, mut unlisted) = (HashSet::new(), Vec::new(), Vec::new());
        while let Some(row) = rows.next().await {
            match row.and_then(|row| session_of(&row)) {
                Ok(session) if seen.insert(session.clone()) => sessions.push(session),
                Ok(_) => {}
                Err(error) if error.is_of_one_thing() => unlisted.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok((sessions, unlisted))
    }

    /// Reads a page of rows, and around any that cannot be read. Returns whether there are more.
    async fn rows(&self, query: &ScanQuery) -> Result<(Vec<Result<Record>>, bool)> {
        match self.store.backend().scan(query).await {
            Ok(page) => return Ok((page.items.into_iter().map(Ok).collect(), page.more)),
            Err(error) if !error.is_of_one_thing() => return Err(error),
            Err(_) => {}
        }
        let mut stream = self.store.scan(query.clone());
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await {
            match row {
                Err(error) if !error.is_of_one_thing() => return Err(error),
                row => rows.push(row),
            }
            // The next page must begin after a readable row.
            if rows.len() >= query.limit && rows.last().is_some_and(Result::is_ok) {
                return Ok((rows, true));
            }
        }
        Ok((rows, false))
    }
}

/// Returns the log to which each session appends; for a session that could not be read, its first one.
pub(crate) fn logs_of(ids: &[SessionId], sessions: &[Result<Option<Session>>]) -> Vec<LogKey> {
    let log = |(id, session): (&SessionId, &Result<Option<Session>>)| match session {
        Ok(Some(session)) if session.rewinds > 0 => session.log(),
        _ => Session::history(id),
    };
    ids.iter().zip(sessions).map(log).collect()
}

/// The result of reading a session for a list.
type Summarised = Result<Option<SessionSummary>, Unreadable>;

impl SessionSummary {
    fn of(session: Session, head: &LogHead, now: Timestamp) -> Self {
        Self {
            preview: session.preview.as_ref().map(|preview| preview.to_string()),
            messages: inherited(&session) + head.length,
            last_active_at: last_active(&session, head.last_at),
            state: session.state(now),
            session,
        }
    }

    /// Returns the time from its creation to its last activity.
    pub fn duration(&self) -> Duration {
        let began = self.session.created_at.unwrap_or(self.last_active_at);
        let lasted = self.last_active_at.as_millis().saturating_sub(began.as_millis());
        Duration::from_millis(u64::try_from(lasted).unwrap_or(0))
    }
}

impl Summaries {
    /// Rows within one minute are unordered, so each page sorts its own items.
    fn sorted(mut self) -> Self {
        self.items.sort_by_key(|summary| std::cmp::Reverse(summary.last_active_at));
        self
    }
}

impl SessionFilter {
    /// Returns whether a session matches, apart from what its order already guarantees.
    fn lets_through(&self, summary: &SessionSummary) -> bool {
        let contains = |text: &String| fold::contains(&summary.session.name.to_str_lossy(), text);
        self.text.as_ref().is_none_or(contains)
            && has_all(summary.session.metadata.as_ref(), &self.metadata)
            && self.expired.is_none_or(|expired| expired == (summary.state == SessionState::Expired))
            && self.active_before.is_none_or(|before| summary.last_active_at < before)
            && self.active_since.is_none_or(|since| summary.last_active_at >= since)
    }
}

/// Returns whether metadata has all wanted members, and none of those wanted to be `null`.
fn has_all(metadata: Option<&Object>, wanted: &Object) -> bool {
    wanted.iter().all(|(name, value)| {
        let found = metadata.zip(name.as_str()).and_then(|(metadata, name)| metadata.get(name));
        match found {
            None => value == "null",
            Some(found) => {
                found == value
                    || canonical(found).ok().is_some_and(|found| canonical(value).is_ok_and(|value| value == found))
            }
        }
    })
}
