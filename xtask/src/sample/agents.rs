//! `agents.json`, in its final state and as it was when the snapshot was taken.

use super::cast::{API, Agent, CHRONICLE, HARBOUR, INTERFACE, SCOUT, TESTER};
use super::json::Json;
use super::moment::Moment;
use super::templates::TemplateCopy;
use super::tree::SampleTree;

pub(super) fn add(tree: &mut SampleTree) {
    tree.put("agents.json", current().pretty());
}

/// The agents with what `agents.json` says about each.
pub(super) fn listed() -> Vec<Listed> {
    vec![
        Listed { current_task: task_under_way(), ..Listed::new(INTERFACE, "working", 2) },
        Listed::new(API, "idle", 3),
        Listed { template: TemplateCopy::Id("testing-specialist"), ..Listed::new(TESTER, "idle", 1) },
        Listed { template: TemplateCopy::Improvised, ..Listed::new(HARBOUR, "offline", 1) },
        Listed { template: TemplateCopy::Absent, ..Listed::new(CHRONICLE, "online", 0) },
    ]
}

/// One entry of `agents.json`.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) agent: Agent,
    pub(super) status: &'static str,
    pub(super) tasks_completed: i64,
    template: TemplateCopy,
    current_task: Json,
    created: Moment,
}

impl Listed {
    fn new(agent: Agent, status: &'static str, tasks_completed: i64) -> Listed {
        // Restoring an agent gave it a new creation time: the last morning's.
        let created = Moment::new(9, 6, 5);
        Listed { agent, status, tasks_completed, template: agent.template, current_task: Json::Null, created }
    }

    fn json(&self) -> Json {
        Json::object()
            .with("id", self.agent.id)
            .with("name", self.agent.name)
            .with("type", self.agent.kind)
            .with("status", self.status)
            .with_some("template", self.template.json())
            .with("tasksCompleted", self.tasks_completed)
            .with("currentTask", self.current_task.clone())
            .with("sessionFile", format!("{}_session.md", self.agent.id))
            .with("createdAt", self.created.iso())
    }
}

fn current() -> Json {
    file(Moment::new(9, 6, 30), &listed())
}

/// Returns the older `agents.json` that is in the snapshot.
pub(super) fn before_the_beta() -> Json {
    let then = Moment::new(-1, 7, 59);
    let listed = [Listed::new(INTERFACE, "idle", 1), Listed::new(API, "working", 0), Listed::new(SCOUT, "error", 0)];
    file(Moment::new(1, 18, 0), &listed.map(|entry| Listed { created: then, ..entry }))
}

fn file(saved: Moment, agents: &[Listed]) -> Json {
    Json::object()
        .with("version", "1.0")
        .with("timestamp", saved.iso())
        .with("agents", Json::array(agents.iter().map(Listed::json)))
}

/// The task of the agents' own queue, which has more members than a session's task.
fn task_under_way() -> Json {
    let created = Moment::new(9, 6, 10);
    Json::object()
        .with("id", format!("task-{}-7h2kd93mx", created.millis()))
        .with("title", "Drag on touch screens")
        .with("description", "The page scrolls instead of the row; see the night run, case “reorder-touch”.")
        .with("priority", "high")
        .with("numericPriority", 90)
        .with("status", "in-progress")
        .with("assignedTo", INTERFACE.id)
        .with("files", Json::array(["packages/web/src/useReorder.ts"]))
        .with("createdAt", created.iso())
        .with("assignedAt", created.later(40).iso())
        .with("dependsOn", Json::Array(Vec::new()))
        .with("tags", Json::array(["list", "touch"]))
        .with("estimatedDuration", 60)
        .with("requiredCapabilities", Json::array(["components"]))
        .with("agentMatchScore", Json::exact("0.875"))
        .with("canRunInParallel", true)
}
