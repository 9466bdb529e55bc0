//! Keeping a store from growing forever: what a policy would remove, and removing it.

pub(super) mod clear;
pub(super) mod stats;

use std::ops::Range;
use std::time::Duration;

use futures_util::StreamExt;

use crate::entity::{Session, SessionId, SessionStatus};
use crate::error::{Error, Result};
use crate::key::LogKey;
use crate::query::LogQuery;
use crate::record::LogHead;
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::conversation::content::Swept;
use crate::workspace::event::{EventKind, with_event};
use crate::workspace::orchestration::number_of;
use crate::workspace::sessions::activity::{Order, last_active};
use crate::workspace::sessions::summary::logs_of;

/// How many sessions are read together.
const PAGE: usize = 256;

/// What to keep. With `None`, a rule keeps everything.
///
/// A session that is active or paused, by the clock, is never touched; one that never expires stays so until archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Archive sessions that have been inactive for this long.
    pub archive_after: Option<Duration>,
    /// Move sessions to the trash that have been inactive for this long.
    pub delete_after: Option<Duration>,
    /// Move the longest inactive sessions to the trash until this many are left.
    pub max_sessions: Option<u64>,
    /// Likewise, until the messages of the remaining sessions have at most this many bytes. Requires reading every
    /// message.
    pub max_bytes: Option<u64>,
    /// Permanently remove sessions that have been in the trash for this long.
    pub purge_after: Option<Duration>,
    /// Which messages between agents to keep.
    pub orchestration: OrchestrationRetention,
}

/// Which messages between agents to keep, in whole segments: at least this much, never less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrchestrationRetention {
    /// At least this many of the newest messages.
    pub messages: Option<u64>,
    /// Messages up to this age.
    pub age: Option<Duration>,
    /// At least this many bytes of the newest messages.
    pub bytes: Option<u64>,
}

/// Sessions stay until they are deleted, and then thirty days in the trash. 60 MiB of messages between agents are kept,
/// as the old extension did with six files of ten.
impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            archive_after: None,
            delete_after: None,
            max_sessions: None,
            max_bytes: None,
            purge_after: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            orchestration: OrchestrationRetention { bytes: Some(60 << 20), ..OrchestrationRetention::default() },
        }
    }
}

/// What a cleanup would do. Nothing has been done yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CleanupPlan {
    /// Sessions to archive.
    pub archive: Vec<PlannedSession>,
    /// Sessions to move to the trash.
    pub delete: Vec<PlannedSession>,
    /// Sessions in the trash to remove permanently.
    pub purge: Vec<PlannedSession>,
    /// How many messages between agents to remove permanently.
    pub orchestration_messages: u64,
    /// The segments that hold them.
    segments: Vec<u32>,
}

/// A session that a cleanup would affect.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedSession {
    /// The session as it was planned for.
    pub session: Session,
    /// When it was last active.
    pub last_active_at: Timestamp,
    /// The bytes of its own messages, if the policy needs them.
    pub bytes: Option<u64>,
}

/// What a cleanup did.
#[derive(Clone, Debug, Default)]
pub struct Cleanup {
    /// How many sessions were archived.
    pub archived: u64,
    /// How many sessions were moved to the trash.
    pub deleted: u64,
    /// How many sessions were removed permanently.
    pub purged: u64,
    /// Sessions for which it failed, or that changed after the plan was made and so were left alone.
    pub left: Vec<(SessionId, Error)>,
    /// The result of sweeping long contents.
    pub contents: Swept,
}

impl CleanupPlan {
    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.archive.is_empty() && self.delete.is_empty() && self.purge.is_empty() && self.segments.is_empty()
    }
}

/// What a store keeps: planned, then done.
///
/// ```
/// # use std::time::Duration;
/// # use nofx_core::workspace::{NewSession, RetentionPolicy, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::Agent};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// # let ada = Agent::new("ada", "Ada", "tester");
/// let kept = workspace.create_session(&ada, NewSession::default()).await?;
/// let ended = workspace.create_session(&ada, NewSession::default()).await?;
/// workspace.archive_session(&ended.id).await?;
///
/// // Shown to the person before anything happens. A session that is active is never touched.
/// let policy = RetentionPolicy { max_sessions: Some(1), ..RetentionPolicy::default() };
/// let plan = workspace.cleanup_plan(&policy).await?;
/// assert_eq!(plan.delete.len(), 1);
/// assert_eq!(plan.delete[0].session.id, ended.id);
///
/// let cleanup = workspace.cleanup(&plan).await?;
/// assert_eq!((cleanup.deleted, cleanup.left.len()), (1, 0));
/// assert_eq!(workspace.stats().await?.trash, 1);
/// # Ok(()) }
/// ```
impl Workspace {
    /// Returns what [`cleanup`](Self::cleanup) would do under a policy. Changes nothing.
    pub async fn cleanup_plan(&self, policy: &RetentionPolicy) -> Result<CleanupPlan> {
        let now = self.now();
        let mut plan = CleanupPlan::default();
        self.progress.begin("planning");
        let sessions = self.planned(&self.order(), policy.max_bytes.is_some()).await?;
        let (mut left, mut bytes) = (sessions.len() as u64, sessions.iter().filter_map(|one| one.bytes).sum::<u64>());
        // The least recently active come first.
        for session in sessions {
            let too_many = policy.max_sessions.is_some_and(|most| left > most)
                || policy.max_bytes.is_some_and(|most| bytes > most);
            if goes_on(&session.session, now) {
                continue;
            }
            if too_many || is_older(session.last_active_at, policy.delete_after, now) {
                left -= 1;
                bytes -= session.bytes.unwrap_or(0);
                plan.delete.push(session);
            } else if session.session.status != Some(SessionStatus::Archived)
                && is_older(session.last_active_at, policy.archive_after, now)
            {
                plan.archive.push(session);
            }
        }
        let trash = self.planned(&Order { trash: true, ..self.order() }, false).await?;
        let expired = |one: &PlannedSession| {
            one.session.deleted_at.is_some_and(|deleted| is_older(deleted, policy.purge_after, now))
        };
        plan.purge = trash.into_iter().filter(expired).collect();
        self.plan_orchestration(&policy.orchestration, now, &mut plan).await?;
        Ok(plan)
    }

    /// Returns the readable sessions of an order, least recently active first.
    async fn planned(&self, order: &Order, with_bytes: bool) -> Result<Vec<PlannedSession>> {
        let mut planned = Vec::new();
        let sessions = self.sessions_in(order).await?.0;
        self.progress.expect(sessions.len() as u64);
        for ids in sessions.chunks(PAGE) {
            let sessions = self.sessions_by_id(ids).await?;
            let heads = self.store.heads_each(&logs_of(ids, &sessions)).await?;
            for read in sessions.into_iter().zip(heads) {
                self.progress.advance(1);
                // Unreadable sessions are left alone.
                let (Ok(Some(session)), Ok(head)) = read else { continue };
                let bytes = if with_bytes { Some(self.own_bytes(&session, &head).await?) } else { None };
                planned.push(PlannedSession { last_active_at: last_active(&session, head.last_at), session, bytes });
            }
        }
        Ok(planned)
    }

    /// Adds up the bytes of a session's own messages.
    async fn own_bytes(&self, session: &Session, head: &LogHead) -> Result<u64> {
        let before = session.pieces.iter().filter(|piece| piece.session == session.id);
        let logs = before.map(|piece| (piece.history(), piece.length)).chain([(head.log.clone(), head.length)]);
        let mut sum = 0;
        for (log, length) in logs.collect::<Vec<_>>() {
            sum += self.readable_bytes(log, 0..length).await?;
        }
        Ok(sum)
    }

    /// Adds up the bytes of the readable entries.
    pub(crate) async fn readable_bytes(&self, log: LogKey, positions: Range<u64>) -> Result<u64> {
        if positions.is_empty() {
            return Ok(0);
        }
        let mut entries = self.store.read(LogQuery::oldest_first(log, PAGE).within(positions));
        let mut sum = 0;
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => sum += entry.body.len() as u64,
                Err(error) if error.is_of_one_thing() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }

    /// Plans the removal of the oldest segments that the policy does not need.
    async fn plan_orchestration(
        &self,
        policy: &OrchestrationRetention,
        now: Timestamp,
        plan: &mut CleanupPlan,
    ) -> Result<()> {
        let segments = self.orchestration_segments().await?;
        let (mut messages, mut bytes, mut enough) = (0, 0, false);
        // Starts at the newest, which always stays.
        for (age, head) in segments.iter().rev().enumerate() {
            let outlived = head.last_at.is_some_and(|last| is_older(last, policy.age, now));
            if age > 0 && head.length > 0 && (enough || outlived) {
                plan.segments.push(number_of(head)?);
                plan.orchestration_messages += head.length;
                enough = true;
                continue;
            }
            messages += head.length;
            if policy.bytes.is_some() {
                bytes += self.readable_bytes(head.log.clone(), 0..head.length).await?;
            }
            enough =
                policy.messages.is_some_and(|most| messages >= most) || policy.bytes.is_some_and(|most| bytes >= most);
        }
        Ok(())
    }

    /// Carries out a plan: moves sessions to the trash, permanently removes those due, then sweeps long contents.
    ///
    /// A session that changed after the plan was made is left alone and reported. This takes many commits, not one:
    /// after an interruption, a new plan has the rest.
    pub async fn cleanup(&self, plan: &CleanupPlan) -> Result<Cleanup> {
        self.takes_no_operation("cleanup")?;
        let mut done = Cleanup::default();
        if plan.is_empty() {
            return Ok(done);
        }
        self.progress.begin("cleaning");
        self.progress.expect((plan.archive.len() + plan.delete.len() + plan.purge.len()) as u64);
        for planned in &plan.archive {
            let archived = self.act_on(planned, |id| async move { self.archive_session(&id).await.map(drop) }).await;
            done.archived += done.counted(planned, archived);
        }
        for planned in &plan.delete {
            let deleted = self.act_on(planned, |id| async move { self.delete_session(&id).await.map(drop) }).await;
            done.deleted += done.counted(planned, deleted);
        }
        for planned in &plan.purge {
            let purged = self.act_on(planned, |id| async move { self.purge_session(&id).await }).await;
            done.purged += done.counted(planned, purged);
        }
        self.remove_segments(&plan.segments).await?;
        if !plan.purge.is_empty() {
            done.contents = self.sweep_contents().await?;
        }
        self.store.commit(with_event(self.store.batch(), EventKind::StorageCleanup)).await?.committed()?;
        Ok(done)
    }

    async fn act_on<F>(&self, planned: &PlannedSession, act: impl FnOnce(SessionId) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        self.progress.advance(1);
        let id = &planned.session.id;
        let found = self.find(id).await?;
        let head = self.store.head(&found.session.log()).await?;
        if found.session != planned.session || last_active(&found.session, head.last_at) != planned.last_active_at {
            return Err(Error::invalid(format!("session `{id}` has changed since the plan was made")));
        }
        act(id.clone()).await
    }
}

impl Cleanup {
    /// Counts a success, or records why it failed.
    fn counted(&mut self, planned: &PlannedSession, result: Result<()>) -> u64 {
        match result {
            Ok(()) => 1,
            Err(error) => {
                self.left.push((planned.session.id.clone(), error));
                0
            }
        }
    }
}

fn goes_on(session: &Session, now: Timestamp) -> bool {
    use crate::workspace::SessionState::{Active, ExpiresSoon, Paused};
    matches!(session.state(now), Active | ExpiresSoon | Paused)
}

fn is_older(time: Timestamp, than: Option<Duration>, now: Timestamp) -> bool {
    than.is_some_and(|than| time < now.saturating_sub(than))
}
