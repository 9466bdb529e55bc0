use crate::entity::{AgentId, RecordEntity, TemplateDigest};
use crate::json::{Object, Text};
use crate::key::Kind;
use crate::kind;
use crate::time::Timestamp;

entity! {
    /// An agent: who works.
    pub struct Agent, schema 1 {
        /// Names it.
        pub id: AgentId = "id",
        /// What people call it.
        pub name: Text = "name",
        /// What it is for, such as `frontend-specialist`.
        pub kind: Text = "type",
        /// What it does at the moment: `idle`, `working`, `error`, `offline`, `online`; not judged.
        pub status: Text = "status",
        /// How many tasks it had completed before its sessions were counted.
        pub tasks_completed: u64 = "tasksCompleted",
        /// When it was made. The old extension set it anew at each start.
        pub created_at: Option<Timestamp> = "createdAt",
        /// The content of its template.
        pub template: Option<TemplateDigest> = "$template",
    }
}

impl Agent {
    /// Makes an agent.
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
