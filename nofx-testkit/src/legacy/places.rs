//! What looks like a file but is none.

use super::Workspace;
use super::files::Other;
use crate::chance::Chance;

pub(super) fn add(workspace: &mut Workspace, chance: &Chance) {
    if chance.once_in(3) {
        let path = "sessions/session-ada-1757341299999.json/inner.txt";
        workspace.files.put(path, b"inner".to_vec());
        workspace.truth.kept.insert(path.to_owned(), b"inner".to_vec());
    }
    // Elsewhere there are none.
    if cfg!(unix) {
        for (path, other, times) in [
            ("sessions/outside.json", Other::Link("../../outside.json"), 4),
            ("loop", Other::Link("."), 4),
            ("sessions/up", Other::Link("../.."), 6),
            ("templates/dangling.json", Other::Link("nowhere"), 6),
            ("sessions/session-ada-1757341299998.json", Other::Pipe, 16),
        ] {
            if chance.once_in(times) {
                workspace.files.put_other(path, other);
                workspace.truth.skipped.insert(path.to_owned());
            }
        }
    }
}
