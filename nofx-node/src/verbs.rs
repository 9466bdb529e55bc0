//! What can be asked of an open store.

use nofx::workspace::Workspace;
use nofx::{Error, Result};

use crate::request::Request;
use crate::{feed, messages, sessions};

/// Answers one question; question and answer are JSON.
pub(crate) async fn answer(workspace: &Workspace, verb: &str, request: &Request) -> Result<String> {
    match verb {
        "createSession" => sessions::create(workspace, request).await,
        "session" => sessions::one(workspace, request).await,
        "sessionSummaries" => sessions::summaries(workspace, request).await,
        "pauseSession" | "resumeSession" | "renameSession" | "archiveSession" | "restoreSession" | "deleteSession"
        | "undeleteSession" | "purgeSession" => sessions::change(workspace, verb, request).await,
        "addMessages" => messages::add(workspace, request).await,
        "history" => messages::history(workspace, request).await,
        "eventsEnd" => feed::end(workspace).await,
        "events" => feed::events(workspace, request).await,
        _ => Err(Error::invalid(format!("there is no verb `{}`", verb.escape_debug()))),
    }
}
