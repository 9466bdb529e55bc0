//! Sessions and their copies.

use nofx_core::json::quote;

use super::draft::{Draft, Thing};
use super::values;
use crate::chance::Chance;

/// A session while the old extension ran: everything that was ever said in it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) agent: String,
    /// The base name of its files.
    pub(super) stem: String,
    pub(super) messages: Vec<String>,
    tasks: Vec<(String, String)>,
    template: Option<String>,
    repeats_names: bool,
    is_single: bool,
}

/// What wrote a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The extension that wrote files.
    File,
    /// The later one, which kept everything in VS Code's state.
    State,
}

/// Which part of a session a copy has.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) messages: Vec<String>,
    /// How many of the tasks were there.
    pub(super) tasks: usize,
    /// When the copy was made.
    pub(super) second: usize,
    pub(super) status: &'static str,
}

const ODD_IDS: &[&str] =
    &["../../evil", "a/b", "..\\up", "", ".", "CON", "a b\u{0}c", "ünï", "$id", "session", "-", "%2e%2e"];

impl Session {
    /// Makes a session that is found in several places, or in a single one, where stranger things
    /// occur.
    pub(super) fn new(number: usize, agent: &str, is_single: bool, chance: &Chance) -> Self {
        let stem = format!("session-{agent}-17573412{number:05}");
        let stem = if chance.once_in(6) { format!("restored-{stem}-1757344201529") } else { stem };
        let id = match chance.below(8) {
            0 => format!("{}{number}", chance.pick(ODD_IDS)),
            1 => format!("session-elsewhere-17573400{number:05}"),
            _ => stem.clone(),
        };
        let mut repeats_names = false;
        let mut messages: Vec<String> = Vec::new();
        for at in 0..chance.below(9) {
            let repeated = messages.last().filter(|_| chance.once_in(10)).cloned();
            messages.push(repeated.unwrap_or_else(|| {
                let (message, repeats) = message(&format!("{number}-{at}"), at * 60, is_single, chance);
                repeats_names |= repeats;
                message
            }));
        }
        let tasks = (0..chance.below(4)).map(|at| task(&format!("task-{number}-{at}"), at * 90, chance)).collect();
        let template = match chance.below(3) {
            0 => Some(super::template::json(chance)),
            _ => None,
        };
        Self { id, agent: agent.to_owned(), stem, messages, tasks, template, repeats_names, is_single }
    }

    /// Returns the part that covers everything.
    pub(super) fn all(&self, second: usize, status: &'static str) -> Part {
        Part { messages: self.messages.clone(), tasks: self.tasks.len(), second, status }
    }

    /// Writes a copy of it.
    pub(super) fn draft(&self, part: &Part, shape: Shape, chance: &Chance) -> Draft {
        let mut draft = Draft { repeats_names: self.repeats_names, ..Draft::default() };
        draft.put("{");
        draft.name("id");
        draft.place(&quote(&self.id), Thing::SessionId(self.id.clone()));
        draft.header("name", &quote("Ada - 9/8/2025, 10:00:00\u{202f}AM"));
        draft.header("agentId", &quote(&self.agent));
        draft.header("agentName", "\"Ada\"");
        draft.header("agentType", "\"backend\"");
        let is_odd = |times| self.is_single && chance.once_in(times);
        draft.header("createdAt", &if is_odd(6) { values::odd_time(chance) } else { values::time(0) });
        draft.header("lastActiveAt", &if is_odd(6) { values::odd_time(chance) } else { values::time(part.second) });
        draft.header("sessionDuration", if is_odd(6) { "9007199254740993" } else { "0" });
        draft.header("status", &quote(part.status));
        draft.member("conversationHistory", "");
        draft.list(part.messages.iter().map(|message| (message.clone(), Thing::Message(message.clone()))));
        draft.name("completedTasks");
        let done = part.tasks.saturating_sub(1);
        draft.list(self.tasks.iter().take(done).map(|(id, json)| (json.clone(), Thing::Task(id.clone()))));
        match (&self.template, shape) {
            (Some(template), Shape::File) => {
                draft.name("template");
                draft.place(template, Thing::Template(template.clone()));
            }
            (Some(_), Shape::State) => draft.header("templateId", "\"template-1\""),
            (None, _) => {}
        }
        draft.header("capabilities", "[]");
        draft.header("tasksCompleted", "2");
        if chance.once_in(3) {
            draft.header("unheardOf", &values::any(chance));
        }
        if chance.once_in(12) {
            draft.header("name", "\"the later name counts\"");
            draft.repeats_names = true;
        }
        if let Some((id, json)) = self.tasks.get(done).filter(|_| part.tasks > 0) {
            draft.name("currentTask");
            draft.place(json, Thing::Task(id.clone()));
        }
        draft.put("\n}");
        draft
    }
}

/// Makes a message, and returns whether an object in it repeats a name.
pub(super) fn message(id: &str, second: usize, may_be_odd: bool, chance: &Chance) -> (String, bool) {
    let is_odd = |times| may_be_odd && chance.once_in(times);
    let role =
        if is_odd(8) { "\"narrator\"" } else { chance.pick(&["\"user\"", "\"assistant\"", "\"system\"", "\"tool\""]) };
    let time = if is_odd(6) { values::odd_time(chance) } else { values::time(second) };
    let content = if is_odd(10) { values::any(chance) } else { values::text(chance) };
    let mut json = format!("{{\"id\": \"msg-{id}\", \"timestamp\": {time}, \"type\": {role}, \"content\": {content}");
    if chance.once_in(3) {
        json.push_str(&format!(", \"metadata\": {{\"taskId\": {}}}", values::any(chance)));
    }
    if chance.once_in(8) {
        json.push_str(&format!(", \"$odd\": {}", values::any(chance)));
    }
    let repeats = is_odd(20);
    if repeats {
        json.push_str(", \"type\": \"user\"");
    }
    json.push('}');
    (json, repeats)
}

fn task(id: &str, second: usize, chance: &Chance) -> (String, String) {
    let status = chance.pick(&["completed", "failed", "in_progress", "cancelled", "stuck"]);
    let json = format!(
        "{{\"title\": {}, \"id\": {}, \"assignedAt\": {}, \"status\": \"{status}\", \"duration\": {}}}",
        values::text(chance),
        quote(id),
        values::time(second),
        values::any(chance),
    );
    (id.to_owned(), json)
}
