//! What the old extension kept outside its folder: VS Code's state, and a log of messages in a folder chosen by the
//! user.

use nofx_core::json::{compact, quote};

use super::LegacyWorkspace;
use super::damage::{Found, whole};
use super::draft::Draft;
use super::{log, sessions, values};
use crate::chance::Chance;

/// Where messages between agents may also be, beside the folder.
pub(super) const LOGS: &str = "shared/logs";

/// The state that VS Code keeps for the extension, while it is collected.
#[derive(Debug)]
pub(super) struct State {
    pub(super) is_database: bool,
    pub(super) sessions: Vec<Draft>,
    /// The values by their keys.
    values: Vec<(String, String)>,
}

impl State {
    pub(super) fn new(chance: &Chance) -> Option<Self> {
        let is_database = chance.once_in(2);
        chance.once_in(2).then_some(Self { is_database, sessions: Vec::new(), values: Vec::new() })
    }

    /// Returns where it is, beside the folder.
    pub(super) fn place(&self) -> &'static str {
        if self.is_database { "5e1f/state.vscdb" } else { "exported/state.json" }
    }

    /// Returns a report's name for the value of a key.
    pub(super) fn path(&self, key: &str) -> String {
        format!("@{}/{key}.json", self.place())
    }

    /// Adds a value, and returns a report's name for it, and the value as a file. VS Code writes no spaces in it.
    pub(super) fn list(&mut self, key: &str, draft: &Draft) -> (String, Found) {
        self.values.push((key.to_owned(), draft.text.clone()));
        let bytes = compact(&draft.text).unwrap_or_default().into_bytes();
        (self.path(key), whole(draft, bytes))
    }

    /// Returns all of it as JSON.
    pub(super) fn json(&self) -> String {
        let members: Vec<_> = self.values.iter().map(|(key, value)| format!("{}: {value}", quote(key))).collect();
        format!("{{{}}}", members.join(",\n"))
    }
}

/// Adds the remaining state, when everything else has been added.
pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) {
    if chance.once_in(4) {
        log::add(workspace, LOGS, chance);
    }
    let Some(mut state) = workspace.state.take() else { return };
    let mut draft = Draft::default();
    draft.put("[");
    for (at, session) in std::mem::take(&mut state.sessions).into_iter().enumerate() {
        draft.put(if at == 0 { "" } else { ", " });
        draft.insert(session);
    }
    // The extension made these from lists of checkpoints.
    let is_invented = chance.once_in(3);
    if is_invented {
        let before = if draft.text.len() == 1 { "" } else { ", " };
        draft.put(&format!(
            "{before}{{\"createdAt\":null,\"lastActiveAt\":null,\"status\":\"archived\",\"conversationHistory\":[],\"completedTasks\":[]}}"
        ));
    }
    draft.put("]");
    let (path, found) = state.list("nofx.sessions", &draft);
    workspace.found_elsewhere(&path, &found);
    sessions::take(workspace, &found, &[]);
    if is_invented {
        workspace.truth.kept.insert(path.clone(), found.bytes.clone());
        workspace.truth.unused.remove(&path);
    }
    for key in ["nofxTheme", "conductorChatHistory", "performanceHistory", "nofx.sessions.active"] {
        if chance.once_in(3) {
            let mut draft = Draft::default();
            draft.put(&values::any(chance));
            let (path, found) = state.list(key, &draft);
            workspace.files.put_elsewhere(&path, found.bytes.clone());
            workspace.truth.kept.insert(path, found.bytes);
        }
    }
    if state.is_database {
        // Its other rows belong to other extensions.
        workspace.truth.skipped.insert(format!("@{}", state.place()));
    }
    workspace.state = Some(state);
}
