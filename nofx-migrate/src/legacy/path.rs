//! What the path of a file suggests.

use nofx_core::json::Text;

/// What the path of a file suggests. Its content may still say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathHint {
    /// `agents.json`.
    Agents,
    /// A JSON file where sessions, archives and checkpoints are.
    Sessions,
    /// `<agent>_session.md`.
    Transcript,
    /// `orchestration/messages*.jsonl`.
    Orchestration,
    /// A JSON file among the templates.
    Template,
    /// A JSON file where the old extension wrote nothing important.
    Other,
    /// A file that becomes no entity, and why it is kept.
    Kept(&'static str, &'static str),
}

/// A path in the legacy folder.
#[derive(Clone, Debug)]
pub(crate) struct LegacyPath {
    pub(crate) path: String,
    pub(crate) hint: PathHint,
}

const SESSION_MD: &str = "_session.md";
const CHECKPOINT_JSON: &str = "_checkpoint.json";

impl LegacyPath {
    pub(crate) fn of(path: &Text) -> Self {
        let path = path.to_string();
        let hint = hint(&path);
        Self { path, hint }
    }

    /// Returns whether it is from outside the folder.
    pub(crate) fn is_outside(&self) -> bool {
        self.path.starts_with('@')
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the name without `.json`.
    pub(crate) fn stem(&self) -> &str {
        self.name().strip_suffix(".json").unwrap_or(self.name())
    }

    /// Returns the agent that a transcript or a list of checkpoints is named after.
    pub(crate) fn agent(&self) -> Option<&str> {
        self.name().strip_suffix(SESSION_MD).or_else(|| self.name().strip_suffix(CHECKPOINT_JSON))
    }

    /// Ranks copies of one thing: first where the old extension would look for it, last its snapshots.
    pub(crate) fn rank(&self) -> u8 {
        let parts = self.path.split('/').count();
        match self.path.split('/').next() {
            _ if parts == 1 => 0,
            Some("sessions") => 1,
            Some("archives") if parts == 2 => 2,
            Some("archive") => 3,
            Some(first) if first.starts_with('@') => 3,
            _ => 4,
        }
    }
}

fn hint(path: &str) -> PathHint {
    let parts: Vec<&str> = path.split('/').collect();
    let (Some(first), Some(name)) = (parts.first().copied(), parts.last().copied()) else { return PathHint::Other };
    let is_json = name.ends_with(".json") && !name.starts_with("._");
    let has_sessions = matches!(first, "sessions" | "archives" | "archive") && parts.len() > 1;
    match (first, parts.len()) {
        // From outside the folder.
        _ if first.starts_with('@') => match name {
            "nofx.agents.json" => PathHint::Agents,
            "nofx.sessions.json" => PathHint::Sessions,
            _ if is_log(name) => PathHint::Orchestration,
            _ => PathHint::Kept("state", "state that VS Code kept for the old extension"),
        },
        ("templates", 2..) if name.ends_with(".config.json") => {
            PathHint::Kept("configuration", "a configuration of an improvised template")
        }
        ("templates", 2..) if is_json => PathHint::Template,
        ("dlq", 2..) => PathHint::Kept("dead letter", "a dead letter"),
        ("conductor-sessions", 2..) => PathHint::Kept("conductor session", "a session of the conductor"),
        ("orchestration", 2) if is_log(name) => PathHint::Orchestration,
        ("agents.json", 1) => PathHint::Agents,
        ("coverage-baseline.json", 1) => PathHint::Kept("coverage", "a developer's coverage figures"),
        ("vp-conductor-prompt.txt", 1) => PathHint::Kept("prompt", "the prompt of the conductor"),
        (_, 1) if name.starts_with("export_") && name.ends_with(".md") => PathHint::Kept("export", "an export"),
        _ if has_sessions && name == "agents.json" => PathHint::Agents,
        _ if has_sessions && name.ends_with(SESSION_MD) => PathHint::Transcript,
        _ if has_sessions && is_json => PathHint::Sessions,
        _ if is_json => PathHint::Other,
        _ => PathHint::Kept("stray", "not written by the old extension"),
    }
}

fn is_log(name: &str) -> bool {
    name == "messages.jsonl" || (name.starts_with("messages-") && name.ends_with(".jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hinted(path: &str) -> PathHint {
        LegacyPath::of(&path.into()).hint
    }

    #[test]
    fn places_and_names_promise_a_kind() {
        assert_eq!(hinted("agents.json"), PathHint::Agents);
        assert_eq!(hinted("archives/x_2025/agents.json"), PathHint::Agents);
        assert_eq!(hinted("sessions/undefined.json"), PathHint::Sessions);
        assert_eq!(hinted("archive/a_session.md"), PathHint::Transcript);
        assert_eq!(hinted("orchestration/messages-1.jsonl"), PathHint::Orchestration);
        assert_eq!(hinted("templates/custom/x.json"), PathHint::Template);
        assert_eq!(hinted("@1a2b/state.vscdb/nofx.agents.json"), PathHint::Agents);
        assert_eq!(hinted("@1a2b/state.vscdb/nofx.sessions.json"), PathHint::Sessions);
        assert_eq!(hinted("@logs/nofx/messages.jsonl"), PathHint::Orchestration);
        assert!(matches!(hinted("@1a2b/state.vscdb/nofxTheme.json"), PathHint::Kept(..)));
        assert_eq!(hinted("sessions/odd.json/inner.txt"), PathHint::Kept("stray", "not written by the old extension"));
        for kept in
            ["messages.jsonl", "orchestration/messages.lock", "templates/x.config.json", "dlq/a/b.json", "x_session.md"]
        {
            assert!(matches!(hinted(kept), PathHint::Kept(..)), "{kept}");
        }
    }

    #[test]
    fn names_hold_the_agent() {
        assert_eq!(LegacyPath::of(&"sessions/a b_session.md".into()).agent(), Some("a b"));
        assert_eq!(LegacyPath::of(&"archives/s_1/x_checkpoint.json".into()).agent(), Some("x"));
        assert_eq!(LegacyPath::of(&"sessions/undefined.json".into()).agent(), None);
    }
}
