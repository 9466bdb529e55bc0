//! Checkpoints: exchanges with an agent, kept so that it can be restored.

use futures_util::StreamExt;

use crate::entity::{AgentId, Checkpoint, Entity};
use crate::error::Result;
use crate::json::Text;
use crate::kind::CHECKPOINTS as KIND;
use crate::workspace::Workspace;
use crate::workspace::take_places::take_places;

/// How many checkpoints are usually read: the newest ones.
pub const CHECKPOINTS: usize = 100;

/// Entries per page of checkpoints.
const PAGE: usize = 100;

impl Workspace {
    /// Stores an exchange with an agent. Does not read or write earlier ones. Repeated in an operation, it returns its
    /// arguments with the current time.
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

    /// Returns the result of reading each of an agent's newest checkpoints, oldest first; [`CHECKPOINTS`] is the usual
    /// number. An unreadable one is an error in its place and does not hide the others. All checkpoints are kept.
    pub async fn checkpoints(&self, agent: &AgentId, count: usize) -> Result<Vec<Result<Checkpoint>>> {
        let newest = self.read_on(&self.agent_log(&KIND, agent), count.clamp(1, PAGE));
        let newest = newest.map(|entry| Checkpoint::from_body(&entry?.body));
        let mut checkpoints = take_places(newest, count as u64).await?;
        checkpoints.reverse();
        Ok(checkpoints)
    }

    /// Permanently removes an agent's checkpoints; returns whether there were any. One that is saved concurrently may
    /// stay.
    pub async fn remove_checkpoints(&self, agent: &AgentId) -> Result<bool> {
        self.remove_on("remove_checkpoints", &self.agent_log(&KIND, agent)).await
    }

    /// Permanently removes the checkpoints of all agents, including agents that no longer exist.
    pub async fn clear_checkpoints(&self) -> Result<()> {
        self.clear_on(&KIND).await
    }
}
