//! Lists of checkpoints, and older copies of them.

use super::LegacyWorkspace;
use super::damage::damage;
use super::draft::{Draft, Thing};
use super::values;
use crate::chance::Chance;

pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) {
    for agent in ["ada", "agent-1757341200000-x1", "a b"] {
        if chance.once_in(2) {
            continue;
        }
        let all: Vec<String> = (0..chance.below(6)).map(|at| checkpoint(at * 60, chance)).collect();
        for folder in ["sessions", "archives/before_2025-09-08T10-00-00-000Z"] {
            let from = if folder == "sessions" && chance.once_in(3) { chance.below(all.len()) } else { 0 };
            let to = from + chance.below(all.len() - from + 1);
            let mut draft = Draft::default();
            draft.list(all[from..to].iter().map(|json| (json.clone(), Thing::Entry(json.clone()))));
            let path = format!("{folder}/{agent}_checkpoint.json");
            let found = damage(&draft, chance);
            workspace.found(&path, &found, "checkpoints");
            let entries = found.things.into_iter().filter_map(|thing| match thing {
                Thing::Entry(json) => Some(json),
                _ => None,
            });
            workspace.truth.checkpoints.entry(agent.to_owned()).or_default().push(entries.collect());
            if chance.once_in(2) {
                break;
            }
        }
    }
}

pub(super) fn checkpoint(second: usize, chance: &Chance) -> String {
    format!(
        "{{\"timestamp\": {}, \"user\": {}, \"agent\": {}}}",
        values::time(second),
        values::text(chance),
        values::text(chance)
    )
}
