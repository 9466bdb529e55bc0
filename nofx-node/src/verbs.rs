//! What can be asked of an open store.

use nofx::workspace::Workspace;
use nofx::{Error, Result};

use crate::request::Request;
use crate::{agents, cleanup, export, feed, messages, search, sessions, tasks};

/// Answers one question; question and answer are JSON.
pub(crate) async fn answer(workspace: &Workspace, verb: &str, request: &Request) -> Result<String> {
    match verb {
        "createSession" => sessions::create(workspace, request).await,
        "session" => sessions::one(workspace, request).await,
        "sessionSummaries" => sessions::summaries(workspace, request).await,
        "pauseSession" | "resumeSession" | "renameSession" | "archiveSession" | "restoreSession" | "deleteSession"
        | "undeleteSession" | "purgeSession" => sessions::change(workspace, verb, request).await,
        "tasks" => tasks::all(workspace, request).await,
        "startTask" => tasks::start(workspace, request).await,
        "completeTask" | "failTask" | "interruptTask" => tasks::end(workspace, verb, request).await,
        "saveAgent" => agents::save(workspace, request).await,
        "agents" => agents::all(workspace).await,
        "addMessages" => messages::add(workspace, request).await,
        "appendAt" => messages::append_at(workspace, request).await,
        "history" => messages::history(workspace, request).await,
        "search" => search::found(workspace, request).await,
        "exportMarkdown" => export::markdown(workspace, request).await,
        "cleanupPreview" => cleanup::preview(workspace, request).await,
        "eventsEnd" => feed::end(workspace).await,
        "events" => feed::events(workspace, request).await,
        // How the tests see that a panic is told; a build for people has no such verb.
        #[cfg(debug_assertions)]
        "panic" => panic!("asked to"),
        _ => Err(Error::invalid(format!("there is no verb `{}`", verb.escape_debug()))),
    }
}
