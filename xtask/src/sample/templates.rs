//! Agent templates: the files in `templates/`, and the copies in agents and sessions.

use super::json::Json;
use super::tree::SampleTree;

/// The large built-in template, copied in full into every session of its agents.
pub(super) const FRONTEND: &str = include_str!("templates/frontend-specialist.json");
/// The built-in template whose id is shared by an earlier, smaller default.
pub(super) const BACKEND: &str = include_str!("templates/backend-specialist.json");
pub(super) const TESTING: &str = include_str!("templates/testing-specialist.json");
pub(super) const OFFLINE_SYNC: &str = include_str!("templates/custom-offline-sync.json");

const DEFAULT_BACKEND: &str = include_str!("templates/default-backend-specialist.json");
const DEFAULT_FULLSTACK: &str = include_str!("templates/fullstack-developer.json");
const DEFAULT_DEVOPS: &str = include_str!("templates/devops-engineer.json");
const SMART_CONFIG: &str = include_str!("templates/smart-config.json");

/// How a template appears in an agent or a session.
#[derive(Debug, Clone, Copy)]
pub(super) enum TemplateCopy {
    Absent,
    Null,
    /// By its id only.
    Id(&'static str),
    /// The whole object, as it is in its file.
    Whole(&'static str),
    /// The whole object with an id that the old manager prefixed in memory.
    Prefixed(&'static str),
    /// What the old conductor created for its groups: few members and no id.
    Improvised,
}

impl TemplateCopy {
    pub(super) fn json(self) -> Option<Json> {
        match self {
            TemplateCopy::Absent => None,
            TemplateCopy::Null => Some(Json::Null),
            TemplateCopy::Id(id) => Some(Json::from(id)),
            TemplateCopy::Whole(text) => Some(Json::exact(text.trim_end())),
            TemplateCopy::Prefixed(text) => {
                Some(Json::exact(text.trim_end().replacen("\"id\": \"", "\"id\": \"custom-", 1)))
            }
            TemplateCopy::Improvised => Some(improvised()),
        }
    }

    /// Returns the prompt that sessions keep a second copy of.
    pub(super) fn system_prompt(self) -> String {
        let text = match self {
            TemplateCopy::Whole(text) | TemplateCopy::Prefixed(text) => text,
            _ => return String::new(),
        };
        let template: serde_json::Value = serde_json::from_str(text).expect("a template of the sample is JSON");
        template["systemPrompt"].as_str().unwrap_or_default().to_owned()
    }
}

fn improvised() -> Json {
    Json::object()
        .with("name", "Launch Crew")
        .with("type", "devops-engineer")
        .with("specialization", "first public beta")
        .with("systemPrompt", "You prepare the first public beta of Tally.")
        .with("capabilities", Json::array(["docker", "dns", "rollback"]))
        .with("icon", "⚓")
}

pub(super) fn add(tree: &mut SampleTree) {
    for (path, text) in [
        ("templates/backend-specialist.json", DEFAULT_BACKEND),
        ("templates/fullstack-developer.json", DEFAULT_FULLSTACK),
        ("templates/devops-engineer.json", DEFAULT_DEVOPS),
        ("templates/custom/custom-offline-sync-481516.json", OFFLINE_SYNC),
        ("templates/custom/night-tester.config.json", SMART_CONFIG),
    ] {
        tree.put(path, text.trim_end());
    }
}
