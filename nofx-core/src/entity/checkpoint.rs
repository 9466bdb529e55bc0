//! Checkpoints: exchanges with an agent.

use crate::entity::{AgentId, EntityId, EntryEntity};
use crate::json::{Object, Text};
use crate::key::LogKey;
use crate::kind;
use crate::time::Timestamp;

entity! {
    /// One exchange with an agent, kept so that the agent can be restored.
    pub struct Checkpoint, schema 1 {
        /// When it took place.
        pub timestamp: Option<Timestamp> = "timestamp",
        /// What the person said.
        pub user: Text = "user",
        /// What the agent answered.
        pub agent: Text = "agent",
    }
}

impl Checkpoint {
    /// Creates a checkpoint.
    pub fn new(at: Timestamp, user: impl Into<Text>, agent: impl Into<Text>) -> Self {
        Self { timestamp: Some(at), user: user.into(), agent: agent.into(), object: Object::default() }
    }

    /// Returns the log of an agent's checkpoints.
    pub fn log(agent: &AgentId) -> LogKey {
        agent.log_key(kind::CHECKPOINTS)
    }
}

impl EntryEntity for Checkpoint {
    fn at(&self) -> Option<Timestamp> {
        self.timestamp
    }
}
