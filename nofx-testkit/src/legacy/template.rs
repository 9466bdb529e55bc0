//! Templates.

use nofx_core::json::quote;

use super::damage::damage;
use super::draft::{Draft, Thing};
use super::{LegacyWorkspace, values};
use crate::chance::Chance;

/// Makes a template.
pub(super) fn json(chance: &Chance) -> String {
    let id = format!("template-{}", chance.below(5));
    let number = chance.below(1_000_000);
    format!(
        "{{\n  \"id\": {}, \"name\": \"T\", \"version\": {number}, \"systemPrompt\": {}, \"capabilities\": {}\n}}",
        quote(&id),
        values::text(chance),
        values::any(chance),
    )
}

pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) {
    for number in 0..chance.below(4) {
        let folder = chance.pick(&["templates", "templates/custom"]);
        let mut draft = Draft::default();
        let json = json(chance);
        draft.place(&json, Thing::Template(json.clone()));
        let found = damage(&draft, chance);
        workspace.found(&format!("{folder}/file-{number}.json"), &found, "");
        for thing in found.things {
            if let Thing::Template(json) = thing {
                workspace.truth.templates.push(json);
            }
        }
    }
}
