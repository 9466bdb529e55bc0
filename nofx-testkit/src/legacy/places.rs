//! Things that look like files but are not.

use super::LegacyWorkspace;
use super::files::Other;
use crate::chance::Chance;

pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) {
    for path in [
        "sessions/session-ada-1757341299999.json",
        "agents.json",
        "orchestration/messages-2025-09-07T10-00-00-000Z.jsonl",
        "templates/folder.json",
    ] {
        if chance.once_in(5) && !workspace.files.has(path) {
            let inner = format!("{path}/inner.txt");
            workspace.files.put(&inner, b"inner".to_vec());
            workspace.truth.kept.insert(inner, b"inner".to_vec());
        }
    }
    if chance.once_in(6) {
        workspace.files.put_other("sessions/empty.json", Other::Folder);
    }
    // Other systems have none.
    if cfg!(unix) {
        for (path, other, times) in [
            ("sessions/outside.json", Other::Link("../../outside.json"), 4),
            ("loop", Other::Link("."), 4),
            ("sessions/up", Other::Link("../.."), 6),
            ("sessions/around.json", Other::Link("turn.json"), 6),
            ("sessions/turn.json", Other::Link("around.json"), 6),
            ("archives/itself.json", Other::Link("itself.json"), 6),
            ("templates/dangling.json", Other::Link("nowhere"), 6),
            ("agents.json", Other::Link("sessions/ada_session.md"), 6),
            ("sessions/session-ada-1757341299998.json", Other::Pipe, 16),
            ("orchestration/messages.jsonl", Other::Pipe, 16),
            ("templates/socket.json", Other::Socket, 8),
        ] {
            if chance.once_in(times) && !workspace.files.has(path) {
                workspace.files.put_other(path, other);
                workspace.truth.skipped.insert(path.to_owned());
            }
        }
    }
}
