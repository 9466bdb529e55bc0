//! The same action on several sessions, each with its own result.

use nofx::Result;
use nofx::entity::SessionId;
use nofx::workspace::Workspace;

use crate::crossing::shown;
use crate::failure::JsFailure;
use crate::request::Request;
use crate::sessions::restore_options;

pub(crate) async fn change(workspace: &Workspace, verb: &str, request: &Request) -> Result<String> {
    let ids: Vec<SessionId> = request.required("sessions")?;
    let results = match verb {
        "archiveSessions" => workspace.archive_sessions(&ids).await,
        "restoreSessions" => workspace.restore_sessions(&ids, restore_options(request)?).await,
        "deleteSessions" => workspace.delete_sessions(&ids).await,
        "undeleteSessions" => workspace.undelete_sessions(&ids).await,
        _ => {
            let purged = match verb {
                "purgeLiveSessions" => workspace.purge_live_sessions(&ids).await,
                _ => workspace.purge_sessions(&ids).await,
            };
            return Ok(to_json(purged.into_iter().map(|result| result.map(|()| "null".to_owned()))));
        }
    };
    Ok(to_json(results.into_iter().map(|result| result.map(|session| shown(&session)))))
}

/// Writes the result of each: `{"ok":…}` or `{"error":…}`.
fn to_json(results: impl Iterator<Item = Result<String>>) -> String {
    let one = |result| match result {
        Ok(json) => format!(r#"{{"ok":{json}}}"#),
        Err(error) => format!(r#"{{"error":{}}}"#, JsFailure::Store(error).to_json()),
    };
    format!("[{}]", results.map(one).collect::<Vec<_>>().join(","))
}
