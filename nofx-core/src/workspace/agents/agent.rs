//! Agents and their totals.

use std::collections::HashSet;

use futures_core::Stream;
use futures_util::TryStreamExt;

use crate::batch::Expect;
use crate::entity::{Agent, AgentId, Entity, EntityId, RecordEntity, Session, SessionId, TaskStatus, key_of};
use crate::error::Result;
use crate::key::RecordKey;
use crate::query::ScanQuery;
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::sessions::activity::{Order, last_active};

/// How many sessions are totalled together.
const PAGE: usize = 256;

/// Totals over an agent's sessions, without those in the trash.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentTotals {
    /// How many sessions it has.
    pub sessions: u64,
    /// How many messages they have. A message counts once, however many sessions were restored with it.
    pub messages: u64,
    /// How many tasks were completed: the number in the agent's record, from before its sessions were counted, plus
    /// each completed task of its sessions, once.
    pub tasks_completed: u64,
    /// How many tasks failed.
    pub tasks_failed: u64,
    /// How many tasks were interrupted.
    pub tasks_interrupted: u64,
    /// When one of them was last active.
    pub last_active_at: Option<Timestamp>,
}

/// Agents, and what is kept for each: a transcript, checkpoints, totals over its sessions.
///
/// ```
/// # use nofx_core::workspace::{CHECKPOINTS, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::Agent};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// let ada = Agent::new("ada", "Ada", "backend-specialist");
/// workspace.save_agent(&ada).await?;
/// workspace.update_agent(&ada.id, |agent| agent.status = "working".into()).await?;
/// assert_eq!(workspace.agent(&ada.id).await?.unwrap().status, "working");
///
/// workspace.begin_transcript(&ada.id, "reading the parser").await?;
/// workspace.append_transcript(&ada.id, "found the bug").await?;
/// workspace.save_checkpoint(&ada.id, "please fix it", "fixed").await?;
///
/// // After a restart: the end of the transcript, and the newest exchanges.
/// let context = workspace.context_summary(&ada.id).await?.unwrap();
/// assert!(context.ends_with("reading the parser\nfound the bug"));
/// let checkpoints = workspace.checkpoints(&ada.id, CHECKPOINTS).await?;
/// assert_eq!(checkpoints[0].as_ref().unwrap().agent, "fixed");
///
/// assert_eq!(workspace.agent_totals(&ada.id).await?.sessions, 0);
/// # Ok(()) }
/// ```
impl Workspace {
    /// Saves an agent, new or changed, exactly as given.
    pub async fn save_agent(&self, agent: &Agent) -> Result<()> {
        self.write_agents("save_agent", std::slice::from_ref(agent), &[]).await
    }

    /// Saves several agents, all or none. Other agents stay as they are; [`replace_agents`](Self::replace_agents)
    /// removes them.
    pub async fn save_agents(&self, agents: &[Agent]) -> Result<()> {
        self.write_agents("save_agents", agents, &[]).await
    }

    /// Saves several agents and removes all others, all or nothing. One that is saved concurrently may stay.
    ///
    /// The sessions, checkpoints and transcripts of removed agents stay.
    pub async fn replace_agents(&self, agents: &[Agent]) -> Result<()> {
        let kept: HashSet<_> = agents.iter().map(|agent| self.agent_key(&agent.id)).collect();
        let mut others = Vec::new();
        let mut saved = self.store.scan(self.all_agents());
        while let Some(record) = saved.try_next().await? {
            if !kept.contains(&record.key) {
                others.push(record.key);
            }
        }
        self.write_agents("replace_agents", agents, &others).await
    }

    async fn write_agents(&self, verb: &str, agents: &[Agent], removed: &[RecordKey]) -> Result<()> {
        self.decide(verb, move |_| async move {
            let mut batch = self.store.batch();
            for agent in agents {
                batch = batch.put(self.agent_key(&agent.id), Expect::Any, agent.to_body()?);
            }
            batch = removed.iter().fold(batch, |batch, key| batch.delete(key.clone(), Expect::Any));
            Ok(((), (!batch.is_empty()).then_some(batch)))
        })
        .await?;
        Ok(())
    }

    /// Changes an agent, trying again after concurrent changes; `None` if there is none.
    pub async fn update_agent(&self, id: &AgentId, change: impl Fn(&mut Agent)) -> Result<Option<Agent>> {
        let (key, change) = (&self.agent_key(id), &change);
        let decided = self.decide("update_agent", move |attempt| async move {
            let Some(found) = self.store.load_as::<Agent>(key).await? else { return Ok((None, None)) };
            let mut agent = found.value;
            if attempt.has_happened() {
                return Ok((Some(agent), None));
            }
            change(&mut agent);
            let batch = self.store.batch().put(key.clone(), Expect::At(found.version), agent.to_body()?);
            Ok((Some(agent), Some(batch)))
        });
        Ok(decided.await?.0)
    }

    /// Reads an agent; `None` if there is none.
    pub async fn agent(&self, id: &AgentId) -> Result<Option<Agent>> {
        Ok(self.store.load_as::<Agent>(&self.agent_key(id)).await?.map(|found| found.value))
    }

    /// Returns all agents in the order of their ids, read lazily.
    pub fn agents(&self) -> impl Stream<Item = Result<Agent>> + Send + Unpin + use<> {
        self.agents_after(None)
    }

    /// Like [`agents`](Self::agents), but returns only agents whose ids come after one, which need not exist.
    pub fn agents_after(&self, after: Option<&AgentId>) -> impl Stream<Item = Result<Agent>> + Send + Unpin + use<> {
        let query = ScanQuery { after: after.map(|after| self.agent_key(after)), ..self.all_agents() };
        self.store.list_as::<Agent>(query).map_ok(|found| found.value)
    }

    /// Queries the records of all agents.
    fn all_agents(&self) -> ScanQuery {
        ScanQuery::of(self.namespace.kind(&Agent::KIND), PAGE).prefixed(self.namespace.prefix())
    }

    /// Removes an agent; returns whether there was one.
    ///
    /// Its sessions stay, even active ones, and so do its checkpoints and transcript.
    pub async fn remove_agent(&self, id: &AgentId) -> Result<bool> {
        let key = &self.agent_key(id);
        let decided = self.decide("remove_agent", move |attempt| async move {
            if attempt.has_happened() {
                return Ok((true, None));
            }
            let record = self.store.get(std::slice::from_ref(key)).await?.into_iter().next().flatten();
            Ok(match record {
                Some(record) => (true, Some(self.store.batch().delete(key.clone(), Expect::At(record.version)))),
                None => (false, None),
            })
        });
        Ok(decided.await?.0)
    }

    /// Returns the totals over an agent's sessions, whether or not the agent itself still exists.
    ///
    /// Nothing of this is stored; it costs a read for each session that has had tasks. Anything unreadable is an error:
    /// a partial sum would be wrong.
    pub async fn agent_totals(&self, id: &AgentId) -> Result<AgentTotals> {
        let before = self.agent(id).await?.map_or(0, |agent| agent.tasks_completed);
        let mut totals = AgentTotals { tasks_completed: before, ..AgentTotals::default() };
        let order = Order { agent: Some(id.clone()), ..self.order() };
        let (sessions, unlisted) = self.sessions_in(&order).await?;
        if let Some(error) = unlisted.into_iter().next() {
            return Err(error);
        }
        let mut counted = HashSet::new();
        for some in sessions.chunks(PAGE) {
            for (session, tasked) in self.add_up(some, &mut totals).await? {
                if !tasked {
                    continue;
                }
                for task in self.tasks(&session).await?.whole()?.ended {
                    // The old extension repeated a session's tasks in the sessions restored from it.
                    if task.id.as_ref().is_none_or(|id| counted.insert(id.as_text().to_json())) {
                        totals.add(task.status.as_ref());
                    }
                }
            }
        }
        Ok(totals)
    }

    /// Adds the numbers in records and heads to the totals, and returns each session and whether it has had tasks.
    async fn add_up(&self, ids: &[SessionId], totals: &mut AgentTotals) -> Result<Vec<(SessionId, bool)>> {
        let keys: Vec<_> = ids.iter().map(key_of::<Session>).collect();
        let records = self.store.get(&keys).await?;
        let mut sessions = Vec::with_capacity(ids.len());
        for (id, record) in ids.iter().zip(records) {
            sessions.extend(
                record.map(|record| Session::from_body(&record.body).map(|session| (id, session))).transpose()?,
            );
        }
        let logs: Vec<_> = sessions.iter().flat_map(|(id, session)| [session.log(), Session::tasks(id)]).collect();
        let heads = self.store.backend().heads(&logs).await?;
        let mut tasked = Vec::new();
        for ((id, session), heads) in sessions.into_iter().zip(heads.chunks(2)) {
            let [history, tasks] = heads else { continue };
            let before = session.pieces.iter().filter(|piece| piece.session == session.id);
            let own = before.map(|piece| piece.length).sum::<u64>() + history.length;
            totals.sessions += 1;
            totals.messages += own.saturating_sub(session.copied);
            totals.last_active_at = totals.last_active_at.max(Some(last_active(&session, history.last_at)));
            tasked.push((id.clone(), tasks.length > 0));
        }
        Ok(tasked)
    }
}

impl AgentTotals {
    fn add(&mut self, status: Option<&TaskStatus>) {
        match status {
            Some(TaskStatus::Completed) => self.tasks_completed += 1,
            Some(TaskStatus::Failed) => self.tasks_failed += 1,
            Some(TaskStatus::Interrupted) => self.tasks_interrupted += 1,
            _ => {}
        }
    }
}
