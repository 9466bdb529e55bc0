//! What the path of a file suggests.

use nofx_core::json::Text;

/// What the path of a file suggests. Its content may still say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
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
    pub(crate) promise: Promise,
}

const SESSION_MD: &str = "_session.md";
const CHECKPOINT_JSON: &str = "_checkpoint.json";

impl LegacyPath {
    pub(crate) fn of(path: &Text) -> Self {
        let path = path.to_string();
        let promise = promise(&path);
        Self { path, promise }
    }

    /// Returns whether it is from outside the folder.
    pub(crate) fn is_elsewhere(&self) -> bool {
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

fn promise(path: &str) -> Promise {
    let parts: Vec<&str> = path.split('/').collect();
    let (Some(first), Some(name)) = (parts.first().copied(), parts.last().copied()) else { return Promise::Other };
    let is_json = name.ends_with(".json") && !name.starts_with("._");
    let has_sessions = matches!(first, "sessions" | "archives" | "archive") && parts.len() > 1;
    match (first, parts.len()) {
        // From outside the folder.
        _ if first.starts_with('@') => match name {
            "nofx.agents.json" => Promise::Agents,
            "nofx.sessions.json" => Promise::Sessions,
            _ if is_log(name) => Promise::Orchestration,
            _ => Promise::Kept("state", "state that VS Code kept for the old extension"),
        },
        ("templates", 2..) if name.ends_with(".config.json") => {
            Promise::Kept("configuration", "a configuration of an improvised template")
        }
        ("templates", 2..) if is_json => Promise::Template,
        ("dlq", 2..) => Promise::Kept("dead letter", "a dead letter"),
        ("conductor-sessions", 2..) => Promise::Kept("conductor session", "a session of the conductor"),
        ("orchestration", 2) if is_log(name) => Promise::Orchestration,
        ("agents.json", 1) => Promise::Agents,
        ("coverage-baseline.json", 1) => Promise::Kept("coverage", "a developer's coverage figures"),
        ("vp-conductor-prompt.txt", 1) => Promise::Kept("prompt", "the prompt of the conductor"),
        (_, 1) if name.starts_with("export_") && name.ends_with(".md") => Promise::Kept("export", "an export"),
        _ if has_sessions && name == "agents.json" => Promise::Agents,
        _ if has_sessions && name.ends_with(SESSION_MD) => Promise::Transcript,
        _ if has_sessions && is_json => Promise::Sessions,
        _ if is_json => Promise::Other,
        _ => Promise::Kept("stray", "not written by the old extension"),
    }
}

fn is_log(name: &str) -> bool {
    name == "messages.jsonl" || (name.starts_with("messages-") && name.ends_with(".jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promised(path: &str) -> Promise {
        LegacyPath::of(&path.into()).promise
    }

    #[test]
    fn places_and_names_promise_a_kind() {
        assert_eq!(promised("agents.json"), Promise::Agents);
        assert_eq!(promised("archives/x_2025/agents.json"), Promise::Agents);
        assert_eq!(promised("sessions/undefined.json"), Promise::Sessions);
        assert_eq!(promised("archive/a_session.md"), Promise::Transcript);
        assert_eq!(promised("orchestration/messages-1.jsonl"), Promise::Orchestration);
        assert_eq!(promised("templates/custom/x.json"), Promise::Template);
        assert_eq!(promised("@1a2b/state.vscdb/nofx.agents.json"), Promise::Agents);
        assert_eq!(promised("@1a2b/state.vscdb/nofx.sessions.json"), Promise::Sessions);
        assert_eq!(promised("@logs/nofx/messages.jsonl"), Promise::Orchestration);
        assert!(matches!(promised("@1a2b/state.vscdb/nofxTheme.json"), Promise::Kept(..)));
        assert_eq!(promised("sessions/odd.json/inner.txt"), Promise::Kept("stray", "not written by the old extension"));
        for kept in
            ["messages.jsonl", "orchestration/messages.lock", "templates/x.config.json", "dlq/a/b.json", "x_session.md"]
        {
            assert!(matches!(promised(kept), Promise::Kept(..)), "{kept}");
        }
    }

    #[test]
    fn names_tell_the_agent() {
        assert_eq!(LegacyPath::of(&"sessions/a b_session.md".into()).agent(), Some("a b"));
        assert_eq!(LegacyPath::of(&"archives/s_1/x_checkpoint.json".into()).agent(), Some("x"));
        assert_eq!(LegacyPath::of(&"sessions/undefined.json".into()).agent(), None);
    }
}
