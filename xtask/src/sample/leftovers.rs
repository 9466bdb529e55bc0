//! Files beside the data: dead letters, the conductor's files, an export, and what people left there.

use super::agents::{Listed, listed};
use super::cast::{HARBOUR, INTERFACE, PROJECT};
use super::chance::suffix;
use super::json::Json;
use super::moment::Moment;
use super::templates::TemplateCopy;
use super::transcripts;
use super::tree::SampleTree;

pub(super) fn add(tree: &mut SampleTree) {
    add_dead_letters(tree);
    let id = "5f1c09ab77e2d340";
    tree.put(format!("conductor-sessions/0c2f6e91ab3d-{id}.json"), conductor_session(id).pretty());
    tree.put("coverage-baseline.json", coverage().pretty());
    tree.put(
        "vp-conductor-prompt.txt",
        "You lead the Tally team.\nOne task per agent, the smallest that helps somebody.\n",
    );
    tree.put(format!("export_{}.md", Moment::new(9, 6, 40).millis()), export());
    tree.put("notes.txt", "ask Ödön: does anybody still need the first-day archive?\r\n- beta: 12 people\r\n");
}

fn add_dead_letters(tree: &mut SampleTree) {
    let spawn = Json::object()
        .with("name", HARBOUR.name)
        .with("type", HARBOUR.kind)
        .with_some("template", TemplateCopy::Improvised.json());
    let spawn = Json::object().with("config", spawn).with("restoredId", HARBOUR.id);
    let spawn = DeadLetter {
        at: Moment::new(8, 11, 40),
        payload: spawn,
        source: "spawn-agent",
        error: "terminal could not be created",
    };
    let task = Json::object().with("id", "task-1757484600000-lost00000").with("title", "Drag on touch screens");
    let task = Json::object().with("agentId", INTERFACE.id).with("task", task);
    let task =
        DeadLetter { at: Moment::new(9, 6, 11), payload: task, source: "execute-task", error: "agent is busy 🐢" };
    for letter in [spawn, task] {
        let id = format!("{}-{}", letter.at.millis(), suffix(letter.source));
        tree.put(format!("dlq/agent-manager/{id}.json"), letter.json(&id).pretty());
    }
}

/// A call of the agent manager that failed and waited to be retried.
struct DeadLetter {
    at: Moment,
    payload: Json,
    source: &'static str,
    error: &'static str,
}

impl DeadLetter {
    fn json(&self, id: &str) -> Json {
        let metadata = Json::object().with("critical", true).with("agentName", INTERFACE.name);
        Json::object()
            .with("id", id)
            .with("payload", self.payload.clone())
            .with("error", self.error)
            .with("errorStack", format!("Error: {}\n    at spawn (agents.js:1:1)", self.error))
            .with("attempts", 2)
            .with("firstFailureTime", self.at.millis())
            .with("lastFailureTime", self.at.later(30).millis())
            .with("source", self.source)
            .with("metadata", metadata)
            .with("retryAfter", self.at.later(90).millis())
    }
}

fn conductor_session(id: &str) -> Json {
    let started = Moment::new(0, 7, 40);
    let context = Json::object()
        .with("workspaceName", "tally")
        .with("branchName", "main")
        .with("lastCommit", "Write the first screen in plain HTML");
    Json::object()
        .with("id", id)
        .with("projectPath", PROJECT)
        .with("gitRepositoryHash", "0c2f6e91ab3d")
        .with("sessionStartTime", started.millis())
        .with("terminalName", "🎼 Conductor")
        .with("isActive", true)
        .with("lastActiveTime", started.later(7_200).millis())
        .with("projectContext", context)
        .with("terminalId", "terminal-3")
}

fn coverage() -> Json {
    let shares = |lines: &str, functions: &str, branches: &str, statements: &str| {
        Json::object()
            .with("lines", Json::exact(lines))
            .with("functions", Json::exact(functions))
            .with("branches", Json::exact(branches))
            .with("statements", Json::exact(statements))
    };
    Json::object()
        .with("timestamp", Moment::new(3, 12, 0).iso())
        .with("baseline", shares("61.25", "58.4", "49", "60.9"))
        .with("targets", shares("71.25", "68.4", "59", "70.9"))
        .with("progress", shares("0", "0", "0", "0"))
}

/// The export for people: derived from the agents and their transcripts, with fences that do not nest.
fn export() -> String {
    let transcripts = transcripts::all();
    let mut text = String::from("# NofX Agent Sessions Export\n\n");
    for Listed { agent, status, tasks_completed, .. } in listed() {
        text.push_str(&format!("## Agent: {} ({})\n\n", agent.name, agent.kind));
        text.push_str(&format!("- ID: {}\n- Status: {status}\n- Tasks Completed: {tasks_completed}\n\n", agent.id));
        let transcript = transcripts.iter().find(|(writer, _)| writer.id == agent.id);
        if let Some((_, transcript)) = transcript {
            text.push_str(&format!("### Session History\n\n```\n{transcript}\n```\n\n"));
        }
    }
    text
}
