//! Messages between agents: JSON lines that continue in a new file when the file is large.

use super::cast::{API, HARBOUR, INTERFACE, SCOUT, TESTER};
use super::chance::{hex8, uuid};
use super::json::Json;
use super::moment::Moment;
use super::tree::SampleTree;

/// The size above which this workspace's settings rolled the file.
const ROLLS_ABOVE: usize = 4_096;

pub(super) fn add(tree: &mut SampleTree) {
    let mut lines = String::new();
    for message in messages() {
        lines.push_str(&message.line());
        if lines.len() > ROLLS_ABOVE {
            let stamp = message.at.plus_millis(12).stamp();
            tree.put(format!("orchestration/messages-{stamp}.jsonl"), std::mem::take(&mut lines));
        }
    }
    tree.put("orchestration/messages.jsonl", lines);
    // Left behind by a killed window.
    tree.put("orchestration/messages.lock", "");
}

/// One message as the router stored it.
#[derive(Debug)]
struct Message {
    id: String,
    at: Moment,
    from: String,
    to: String,
    kind: &'static str,
    payload: Option<Json>,
    correlation: String,
    requires_ack: bool,
}

impl Message {
    fn line(&self) -> String {
        let json = Json::object()
            .with("id", self.id.as_str())
            .with("timestamp", self.at.iso())
            .with("from", self.from.as_str())
            .with("to", self.to.as_str())
            .with("type", self.kind)
            .with_some("payload", self.payload.clone())
            .with("correlationId", self.correlation.as_str())
            .with("requiresAck", self.requires_ack);
        format!("{}\n", json.compact())
    }
}

/// The log under construction.
struct Log {
    now: Moment,
    messages: Vec<Message>,
}

impl Log {
    /// Adds one message; ids of the first days are UUIDs, later ones are short.
    fn tell(&mut self, after: i64, from: &str, to: &str, kind: &'static str, payload: Option<Json>) {
        self.now = self.now.later(after);
        let seed = format!("orchestration {}", self.messages.len());
        let reply = format!("{seed} correlation");
        let (id, correlation) = if self.now < Moment::new(2, 0, 0) {
            (uuid(&seed), uuid(&reply))
        } else {
            (format!("msg_{}", hex8(&seed)), format!("msg_{}", hex8(&reply)))
        };
        let (from, to) = (from.to_owned(), to.to_owned());
        let requires_ack = kind == "spawn_agent" || kind == "assign_task";
        self.messages.push(Message { id, at: self.now, from, to, kind, payload, correlation, requires_ack });
    }

    /// Gives the last message the id of the previous one: short ids do collide.
    fn collide(&mut self) {
        if let [.., before, last] = self.messages.as_mut_slice() {
            last.id.clone_from(&before.id);
        }
    }
}

fn messages() -> Vec<Message> {
    let mut log = Log { now: Moment::new(0, 7, 45), messages: Vec::new() };
    first_day(&mut log);
    night(&mut log);
    beta(&mut log);
    log.messages
}

fn first_day(log: &mut Log) {
    for (agent, role) in [(INTERFACE, "frontend"), (API, "backend"), (TESTER, "testing")] {
        let spawn = Json::object().with("role", role).with("name", agent.name).with("autoStart", true);
        log.tell(20, "conductor", "dashboard", "spawn_agent", Some(spawn));
        let ready = Json::object().with("agentId", agent.id).with("capabilities", Json::Array(Vec::new()));
        log.tell(4, &at(agent.id), "conductor", "agent_ready", Some(ready));
    }
    log.tell(30, "conductor", &at(INTERFACE.id), "assign_task", Some(assignment("Todo rows", "high")));
    log.tell(2, &at(INTERFACE.id), "conductor", "task_accepted", Some(Json::Null));
    log.tell(
        300,
        &at(INTERFACE.id),
        "conductor",
        "task_progress",
        Some(progress("Todo rows", 40, "row and check box")),
    );
    log.tell(300, &at(INTERFACE.id), "conductor", "task_progress", Some(progress("Todo rows", 80, "long texts wrap")));
    log.tell(240, &at(INTERFACE.id), "conductor", "task_complete", Some(result("Todo rows", true)));
    log.tell(1_800, "conductor", &at(API.id), "assign_task", Some(assignment("Change feed", "high")));
    log.tell(3, &at(API.id), "conductor", "task_accepted", None);
    let question = Json::object().with("question", "Is the cursor opaque, or may I compare two of them?");
    log.tell(200, &at(INTERFACE.id), &at(API.id), "query", Some(question));
    let answer = Json::object().with("answer", "Opaque. Ask /changes, never compare.").with("seen", true);
    log.tell(45, &at(API.id), &at(INTERFACE.id), "response", Some(answer));
    log.tell(60, &at(API.id), "conductor", "task_complete", Some(result("Change feed", true)));
    log.tell(5, "conductor", "broadcast", "broadcast", Some(Json::from("Feierabend! 今日はここまで 🍵")));
}

fn night(log: &mut Log) {
    log.now = Moment::new(4, 19, 58);
    log.tell(1, "conductor", &at(TESTER.id), "assign_task", Some(assignment("Night run", "high")));
    log.tell(2, &at(TESTER.id), "conductor", "task_accepted", Some(Json::object()));
    for (done, note) in [
        (5, "check-twice: 1 of 20 failed"),
        (9, "reorder-touch: 9 of 20"),
        (11, "due-dst: 2 of 20"),
        (16, "offline-delete: 3 of 20"),
    ] {
        log.tell(2_400, &at(TESTER.id), "conductor", "task_progress", Some(progress("Night run", done * 5, note)));
    }
    let status = Json::object()
        .with("agentId", TESTER.id)
        .with("status", "working")
        .with("uptime", Json::exact("12345678901234567890"));
    log.tell(900, "system", "dashboard", "agent_status", Some(status));
    log.tell(0, "system", "all-agents", "heartbeat", Some(Json::from(1)));
    log.collide();
    log.tell(1_200, &at(TESTER.id), "conductor", "task_complete", Some(result("Night run", false)));
    let text = "Zwei Zeilen\nin einer, ein Tab\t, ein \u{2028} und ein \\n, das keines ist";
    log.tell(40, "conductor", "dashboard", "conductor_note", Some(Json::object().with("text", text)));
}

fn beta(log: &mut Log) {
    log.now = Moment::new(8, 11, 50);
    log.tell(
        1,
        "conductor",
        SCOUT.id,
        "terminate_agent",
        Some(Json::object().with("reason", "its question is answered")),
    );
    log.tell(
        2,
        "system",
        "conductor",
        "system_error",
        Some(Json::object().with("code", "ENOAGENT").with("detail", SCOUT.id)),
    );
    log.tell(60, "conductor", &at(HARBOUR.id), "assign_task", Some(assignment("Ship the beta", "high")));
    for (share, note) in [(33, "one of three"), (66, "two of three"), (100, "all three")] {
        log.tell(640, &at(HARBOUR.id), "conductor", "task_progress", Some(progress("Ship the beta", share, note)));
    }
    log.tell(12, &at(HARBOUR.id), "conductor", "task_complete", Some(result("Ship the beta", true)));
    let nested = Json::array([
        Json::Null,
        Json::Bool(false),
        Json::exact("1.10"),
        Json::array([Json::exact("-0")]),
        Json::object().with("", ""),
    ]);
    log.tell(30, &at(HARBOUR.id), "broadcast", "metrics", Some(nested));
    log.tell(5, "conductor", "broadcast", "broadcast", Some(Json::from("beta.tally.example 🎉")));
}

/// Returns the address under which an agent's client was registered.
fn at(agent: &str) -> String {
    format!("agent-{agent}")
}

fn assignment(title: &str, priority: &str) -> Json {
    Json::object().with("title", title).with("priority", priority).with("files", Json::Array(Vec::new()))
}

fn progress(title: &str, percent: i64, note: &str) -> Json {
    Json::object().with("title", title).with("percent", percent).with("note", note)
}

fn result(title: &str, success: bool) -> Json {
    Json::object().with("title", title).with("success", success).with("summary", Json::Null)
}
