//! What a workspace case works with: handles on one store, a clock that it moves, and people to talk about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use nofx_core::entity::{Agent, Message, Role, Session, SessionId};
use nofx_core::workspace::{HistoryEntry, NewSession, Workspace};
use nofx_core::{Clock, Direction, ManualClock, SeededIds, Sources, Store, Timestamp};

use crate::decorators::{Counting, Damaging, Faulty};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet};

/// When the clock of every case begins: 2025-09-08, ten past two.
pub(super) const BEGIN: Timestamp = Timestamp::from_millis(1_757_340_600_000);

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A store under test and its clock.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    subject: Subject,
    handles: AtomicU64,
}

impl World {
    pub(super) fn new(subject: Subject) -> Self {
        Self { clock: Arc::new(ManualClock::at(BEGIN)), subject, handles: AtomicU64::new(1) }
    }

    /// Opens a workspace; each call returns another handle, as another window would.
    pub(super) async fn open(&self) -> CaseResult<Workspace> {
        Ok(Workspace::new(Store::with_sources(self.subject.open().await?.0, self.sources())))
    }

    /// Opens a workspace whose backend counts its calls.
    pub(super) async fn counted(&self) -> CaseResult<(Workspace, Arc<Counting>)> {
        let counting = Arc::new(Counting::new(self.subject.open().await?.0));
        Ok((Workspace::new(Store::with_sources(counting.clone(), self.sources())), counting))
    }

    /// Opens a workspace whose backend fails and delays on request.
    pub(super) async fn faulty(&self) -> CaseResult<(Workspace, Arc<Faulty>)> {
        let faulty = Arc::new(Faulty::new(self.subject.open().await?.0));
        Ok((Workspace::new(Store::with_sources(faulty.clone(), self.sources())), faulty))
    }

    /// Opens a workspace whose backend has unreadable data.
    pub(super) async fn damaged(&self) -> CaseResult<(Workspace, Arc<Damaging>)> {
        let damaging = Arc::new(Damaging::new(self.subject.open().await?.0));
        Ok((Workspace::new(Store::with_sources(damaging.clone(), self.sources())), damaging))
    }

    /// Makes a world with another, empty store and the same clock.
    pub(super) async fn elsewhere(&self) -> CaseResult<Self> {
        let subject = self.subject.elsewhere().await?;
        Ok(Self { clock: self.clock.clone(), subject, handles: AtomicU64::new(1_000) })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The same ids in each run, but different ones in each handle.
    fn sources(&self) -> Sources {
        let handle = self.handles.fetch_add(1, Ordering::SeqCst);
        Sources { clock: self.clock.clone(), ids: Arc::new(SeededIds::new(handle << 32)) }
    }
}

/// An agent to work with.
pub(super) fn ada() -> Agent {
    Agent::new("agent-ada", "Ada", "backend-specialist")
}

/// Creates a session of Ada.
pub(super) async fn begin(workspace: &Workspace) -> CaseResult<Session> {
    Ok(workspace.create_session(&ada(), NewSession::default()).await?)
}

/// Makes messages whose contents are the numbers.
pub(super) fn numbered(workspace: &Workspace, numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers.map(|n| workspace.message(Role::User, n.to_string())).collect()
}

/// Adds messages whose contents are the numbers.
pub(super) async fn say(workspace: &Workspace, session: &SessionId, numbers: std::ops::Range<u64>) -> CaseResult {
    let all: Vec<_> = numbered(workspace, numbers);
    for some in all.chunks(5000) {
        workspace.add_messages(session, some.to_vec()).await?;
    }
    Ok(())
}

/// Returns a session as it is now.
pub(super) async fn reload(workspace: &Workspace, session: &SessionId) -> CaseResult<Session> {
    workspace.session(session).await?.ok_or_else(|| Unmet::new(format!("session {session} is gone")))
}

/// Returns what was said in a session, from the first message to the last.
pub(super) async fn said(workspace: &Workspace, session: &Session) -> CaseResult<Vec<String>> {
    let history = workspace.history(session, 0..u64::MAX, Direction::Forward, None);
    let entries: Vec<_> = history.try_collect().await?;
    Ok(entries.iter().map(|entry| content(&entry.message)).collect())
}

/// Returns the newest messages of a session, oldest first; all must be readable.
pub(super) async fn tail(workspace: &Workspace, session: &Session, count: usize) -> CaseResult<Vec<HistoryEntry>> {
    let tail = workspace.tail(session, count).await?;
    Ok(tail.into_iter().collect::<nofx_core::Result<_>>()?)
}

/// Returns the text of a message.
pub(super) fn content(message: &Message) -> String {
    message.content.as_ref().map(|content| content.to_string()).unwrap_or_default()
}

/// Returns the texts of numbers.
pub(super) fn texts(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

/// Ends the case unless something was not found.
#[track_caller]
pub(super) fn missed<T: std::fmt::Debug>(result: nofx_core::Result<T>) -> CaseResult {
    match result {
        Err(error) if error.code() == "not-found" => Ok(()),
        other => Err(Unmet::new(format!("expected `not-found`, found {other:?}"))),
    }
}

/// Ends the case unless something was refused as invalid; returns why.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: nofx_core::Result<T>) -> CaseResult<String> {
    match result {
        Err(error) if error.code() == "invalid" => Ok(error.to_string()),
        other => Err(Unmet::new(format!("expected `invalid`, found {other:?}"))),
    }
}
