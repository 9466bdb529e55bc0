//! The agents of the story: a small team that builds Tally, a shared todo list.

use super::templates::{BACKEND, FRONTEND, OFFLINE_SYNC, TESTING, TemplateCopy};

/// Where the story's workspace was.
pub(super) const PROJECT: &str = "/home/lena/projects/tally";

/// What every session repeats about its agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agent {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) template: TemplateCopy,
}

/// Builds the screens; its sessions carry the large template.
pub(super) const INTERFACE: Agent = Agent {
    id: "agent-1756712705118-q7d0k2mzx",
    name: "Interface 🧩",
    kind: "frontend-specialist",
    template: TemplateCopy::Whole(FRONTEND),
};

/// Owns the API; was restored twice.
pub(super) const API: Agent = Agent {
    id: "agent-1756712731902-4hf81vcyt",
    name: "Ödön – API",
    kind: "backend-specialist",
    template: TemplateCopy::Whole(BACKEND),
};

/// Runs long nights of tests.
pub(super) const TESTER: Agent = Agent {
    id: "agent-1756713018447-m1x9pz3ra",
    name: "Prüfstand 試験",
    kind: "testing-specialist",
    template: TemplateCopy::Whole(TESTING),
};

/// Ships; known to its session by the template's id alone.
pub(super) const HARBOUR: Agent = Agent {
    id: "agent-1756799411663-c0w5e8tjk",
    name: "Harbour \"Launch\" ⚓",
    kind: "devops-engineer",
    template: TemplateCopy::Id("devops-engineer"),
};

/// Writes the manual, without any template.
pub(super) const CHRONICLE: Agent = Agent {
    id: "agent-1756885820754-z2n6yq4lb",
    name: "Chronicle 記録",
    kind: "technical-writer",
    template: TemplateCopy::Absent,
};

/// Was removed: only the snapshot's `agents.json` knows it, its sessions stayed.
pub(super) const SCOUT: Agent = Agent {
    id: "agent-1756626309871-u8s3bd7gw",
    name: "Offline Sync Scout 1516",
    kind: "sync-specialist",
    template: TemplateCopy::Prefixed(OFFLINE_SYNC),
};

/// Came from one of the team's own scripts, which chose its id.
pub(super) const BY_HAND: Agent =
    Agent { id: "nightly", name: "nightly", kind: "general", template: TemplateCopy::Null };
