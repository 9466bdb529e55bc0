//! Lists of agents.

use nofx_core::json::quote;

use super::LegacyWorkspace;
use super::damage::{Found, damage};
use super::draft::{Draft, Placed, Thing};
use super::session::Shape;
use super::{template, values};
use crate::chance::Chance;

/// A list of agents in some place.
struct List {
    path: String,
    found: Found,
    /// Whether the old extension would have read it, and when it was written; a list that it would not read is
    /// a snapshot.
    order: (bool, usize),
}

pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) {
    let names = ["ada", "../root", "agent-1757341200000-x1", "ünï", "", "__proto__"];
    let some = |times: usize| -> Vec<&str> { names.into_iter().filter(|_| !chance.once_in(times)).collect() };
    let mut lists = Vec::new();
    if !chance.once_in(6) {
        lists.push(file("agents.json", &some(3), (true, 2000), chance));
    }
    if chance.once_in(2) {
        let path = "archives/before_2025-09-08T10-00-00-000Z/agents.json";
        lists.push(file(path, &some(2), (false, 1000), chance));
    }
    for list in &lists {
        workspace.found(&list.path, &list.found, "");
    }
    if let Some(state) = &mut workspace.state {
        // Of the two shapes that were mixed, only one says when the agent was active; the last one does here.
        let second = chance.pick(&[1500, 2500]);
        let mut draft = Draft::default();
        draft.put("[");
        for (at, id) in some(3).into_iter().rev().chain(["newer"]).enumerate() {
            let is_later = id == "newer" || chance.once_in(2);
            draft.put(if at == 0 { "" } else { "," });
            draft.insert(agent(id, if is_later { Shape::State } else { Shape::File }, second, chance));
        }
        draft.put("]");
        let list = state.list("nofx.agents", &draft);
        workspace.found_elsewhere(&list.0, &list.1);
        lists.push(List { path: list.0, found: list.1, order: (true, second) });
    }
    lists.sort_by_key(|list| std::cmp::Reverse(list.order));
    note(workspace, &lists);
}

/// Records what the lists contain; the first one counts most.
fn note(workspace: &mut LegacyWorkspace, lists: &[List]) {
    let truth = &mut workspace.truth;
    for thing in lists.iter().flat_map(|list| &list.found.things) {
        match thing {
            Thing::Agent(id, json) => _ = truth.agents.entry(id.clone()).or_insert_with(|| json.clone()),
            Thing::AgentId(id) => _ = truth.cut_agents.insert(id.clone()),
            Thing::Template(json) => truth.templates.push(json.clone()),
            _ => {}
        }
    }
    // What another list says about an agent is not lost. Snapshots are older by nature.
    for list in lists.iter().filter(|list| list.order.0) {
        let differs = |thing: &Thing| matches!(thing, Thing::Agent(id, json) if truth.agents.get(id) != Some(json));
        if list.found.things.iter().any(differs) {
            truth.kept.insert(list.path.clone(), list.found.bytes.clone());
        }
    }
}

fn file(path: &str, ids: &[&str], order: (bool, usize), chance: &Chance) -> List {
    let mut draft = Draft::default();
    draft.put("{");
    draft.member("version", "\"1.0\"");
    draft.member("timestamp", &values::time(order.1));
    draft.member("agents", "[");
    for (at, id) in ids.iter().enumerate() {
        draft.put(if at == 0 { "\n    " } else { ",\n    " });
        draft.insert(agent(id, Shape::File, 0, chance));
    }
    draft.put("]\n}");
    List { path: path.to_owned(), found: damage(&draft, chance), order }
}

fn agent(id: &str, shape: Shape, second: usize, chance: &Chance) -> Draft {
    let mut draft = Draft::default();
    draft.put("{");
    draft.name("id");
    draft.place(&quote(id), Thing::AgentId(id.to_owned()));
    draft.member("name", &quote(&format!("{id}, number {}", chance.below(1000))));
    draft.member("type", "\"backend\"");
    draft.member("status", chance.pick(&["\"idle\"", "\"working\"", "\"lost\"", "null"]));
    if shape == Shape::File && chance.once_in(3) {
        draft.name("template");
        let json = template::json(chance);
        draft.place(&json, Thing::Template(json.clone()));
    }
    draft.member("tasksCompleted", if chance.once_in(6) { "1e400" } else { "3" });
    draft.member("createdAt", &values::odd_time(chance));
    match shape {
        Shape::File => {
            draft.member("currentTask", &if chance.once_in(4) { values::any(chance) } else { "null".to_owned() });
            draft.member("sessionFile", &quote(&format!("{id}_session.md")));
        }
        Shape::State => {
            draft.member("templateId", "\"template-1\"");
            draft.member("lastActiveAt", &values::time(second));
        }
    }
    draft.put("\n}");
    let to = draft.text.len();
    let thing = Thing::Agent(id.to_owned(), draft.text.clone());
    draft.things.push(Placed { from: 0, to, thing });
    draft
}
