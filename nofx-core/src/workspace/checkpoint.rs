//! Checkpoints: exchanges with an agent, kept so that it can be restored.

use futures_util::StreamExt;

use super::Workspace;
use super::places::places;
use crate::entity::{AgentId, Checkpoint, Entity};
use crate::error::Result;
use crate::json::Text;
use crate::kind::CHECKPOINTS as KIND;

/// How many checkpoints are usually read: the newest.
pub const CHECKPOINTS: usize = 100;

/// Entries of a page of checkpoints.
const PAGE: usize = 100;

impl Workspace {
    /// Keeps an exchange with an agent. Nothing that was kept before is read or written. Repeated in an operation, it answers what it
    /// was given, with the current time.
    pub async fn save_checkpoint(
        &self,
        agent: &AgentId,
        user: impl Into<Text>,
        answer: impl Into<Text>,
    ) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::new(self.now(), user, answer);
        self.append_on("save_checkpoint", &self.agent_log(&KIND, agent), &checkpoint).await?;
        Ok(checkpoint)
    }

    /// Returns what became of reading the newest checkpoints of an agent, oldest first; [`CHECKPOINTS`] is the usual number. One
    /// that cannot be read is an error in its place and hides no other. All are kept.
    pub async fn checkpoints(&self, agent: &AgentId, count: usize) -> Result<Vec<Result<Checkpoint>>> {
        let newest = self.read_on(&self.agent_log(&KIND, agent), count.clamp(1, PAGE));
        let newest = newest.map(|entry| Checkpoint::from_body(&entry?.body));
        let mut checkpoints = places(newest, count as u64).await?;
        checkpoints.reverse();
        Ok(checkpoints)
    }

    /// Removes the checkpoints of an agent for good; returns whether there were any. One that is saved concurrently may stay.
    pub async fn remove_checkpoints(&self, agent: &AgentId) -> Result<bool> {
        self.remove_on("remove_checkpoints", &self.agent_log(&KIND, agent)).await
    }

    /// Removes the checkpoints of all agents for good, also of those that are no longer saved.
    pub async fn clear_checkpoints(&self) -> Result<()> {
        self.clear_on(&KIND).await
    }
}
