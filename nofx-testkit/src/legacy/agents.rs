//! Lists of agents.

use nofx_core::json::quote;

use super::Workspace;
use super::damage::damage;
use super::draft::{Draft, Placed, Thing};
use super::{template, values};
use crate::chance::Chance;

pub(super) fn add(workspace: &mut Workspace, chance: &Chance) {
    let names = ["ada", "../root", "agent-1757341200000-x1", "ünï", "", "__proto__"];
    let current: Vec<&str> = names.iter().copied().filter(|_| !chance.once_in(3)).collect();
    if !chance.once_in(6) {
        add_list(workspace, "agents.json", &current, 2000, chance);
    }
    if chance.once_in(2) {
        let older: Vec<&str> = names.iter().copied().filter(|_| chance.once_in(2)).collect();
        let path = "archives/before_2025-09-08T10-00-00-000Z/agents.json";
        add_list(workspace, path, &older, 1000, chance);
    }
}

fn add_list(workspace: &mut Workspace, path: &str, ids: &[&str], second: usize, chance: &Chance) {
    let mut draft = Draft::default();
    draft.put("{");
    draft.member("version", "\"1.0\"");
    draft.member("timestamp", &values::time(second));
    draft.member("agents", "[");
    for (at, id) in ids.iter().enumerate() {
        draft.put(if at == 0 { "\n    " } else { ",\n    " });
        draft.insert(agent(id, chance));
    }
    draft.put("]\n}");
    let found = damage(&draft, chance);
    workspace.found(path, &found);
    let is_current = path == "agents.json";
    for thing in &found.things {
        match thing {
            Thing::Agent(id, name) => {
                let known = workspace.truth.agents.entry(id.clone()).or_default();
                if is_current {
                    *known = Some(name.clone());
                }
            }
            Thing::AgentId(id) => _ = workspace.truth.cut_agents.insert(id.clone()),
            Thing::Template(json) => workspace.truth.templates.push(json.clone()),
            _ => {}
        }
    }
}

fn agent(id: &str, chance: &Chance) -> Draft {
    let name = format!("{id}, number {}", chance.below(1000));
    let mut draft = Draft::default();
    draft.put("{");
    draft.name("id");
    draft.place(&quote(id), Thing::AgentId(id.to_owned()));
    draft.member("name", &quote(&name));
    draft.member("type", "\"backend\"");
    draft.member("status", chance.pick(&["\"idle\"", "\"working\"", "\"lost\"", "null"]));
    if chance.once_in(3) {
        draft.name("template");
        let json = template::json(chance);
        draft.place(&json, Thing::Template(json.clone()));
    }
    draft.member("tasksCompleted", if chance.once_in(6) { "1e400" } else { "3" });
    draft.member("currentTask", &if chance.once_in(4) { values::any(chance) } else { "null".to_owned() });
    draft.member("createdAt", &values::odd_time(chance));
    draft.put("\n}");
    let to = draft.text.len();
    draft.things.push(Placed { from: 0, to, thing: Thing::Agent(id.to_owned(), name) });
    draft
}
