//! Agents.

use crate::entity::{AgentId, RecordEntity, TemplateDigest};
use crate::json::{Object, Text};
use crate::key::Kind;
use crate::kind;
use crate::time::Timestamp;

entity! {
    /// An agent: the one that does the work.
    pub struct Agent, schema 1 {
        /// Its id.
        pub id: AgentId = "id",
        /// Its display name.
        pub name: Text = "name",
        /// What it is for, such as `frontend-specialist`.
        pub kind: Text = "type",
        /// What it is doing: `idle`, `working`, `error`, `offline`, `online`; not checked.
        pub status: Text = "status",
        /// How many tasks it had completed before its sessions were counted.
        pub tasks_completed: u64 = "tasksCompleted",
        /// When it was created. The old extension set it again at each start.
        pub created_at: Option<Timestamp> = "createdAt",
        /// The content of its template.
        pub template: Option<TemplateDigest> = "$template",
    }
}

impl Agent {
    /// Creates an agent.
    pub fn new(id: impl Into<AgentId>, name: impl Into<Text>, kind: impl Into<Text>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            kind: kind.into(),
            status: "idle".into(),
            tasks_completed: 0,
            created_at: None,
            template: None,
            object: Object::default(),
        }
    }
}

impl RecordEntity for Agent {
    const KIND: Kind = kind::AGENT;
    type Id = AgentId;

    fn id(&self) -> AgentId {
        self.id.clone()
    }
}
