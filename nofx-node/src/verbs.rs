//! The requests to an open store.

use nofx::workspace::{Progress, Workspace};
use nofx::{Error, Location, Result};

use crate::request::Request;
use crate::{
    agents, backup, bulk, cleanup, doctor, export, feed, messages, orchestration, records, search, sessions, tasks,
    templates, transcripts,
};

/// Answers one request; request and answer are JSON.
pub(crate) async fn answer(workspace: &Workspace, verb: &str, request: &Request) -> Result<String> {
    match verb {
        "createSession" => sessions::create(workspace, request).await,
        "openSession" => sessions::open(workspace, request).await,
        "session" => sessions::one(workspace, request).await,
        "sessionByKey" => sessions::by_key(workspace, request).await,
        "sessionSummaries" => sessions::summaries(workspace, request).await,
        "pauseSession" | "resumeSession" | "renameSession" | "archiveSession" | "restoreSession" | "deleteSession"
        | "undeleteSession" | "purgeSession" | "purgeLiveSession" => sessions::change(workspace, verb, request).await,
        "updateSession" => sessions::update(workspace, request).await,
        "updateMetadata" => sessions::update_metadata(workspace, request).await,
        "rewindSession" => sessions::rewind(workspace, request).await,
        "isPurged" => sessions::is_purged(workspace, request).await,
        "systemPrompt" => sessions::system_prompt(workspace, request).await,
        "archiveSessions" | "restoreSessions" | "deleteSessions" | "undeleteSessions" | "purgeSessions"
        | "purgeLiveSessions" => bulk::change(workspace, verb, request).await,
        "tasks" => tasks::all(workspace, request).await,
        "endedTasks" => tasks::ended(workspace, request).await,
        "startTask" => tasks::start(workspace, request).await,
        "completeTask" | "failTask" | "interruptTask" => tasks::end(workspace, verb, request).await,
        "saveAgent" => agents::save(workspace, request).await,
        "saveAgents" => agents::save_all(workspace, request).await,
        "replaceAgents" => agents::replace(workspace, request).await,
        "agent" => agents::one(workspace, request).await,
        "agents" => agents::page(workspace, request).await,
        "updateAgent" => agents::update(workspace, request).await,
        "removeAgent" => agents::remove(workspace, request).await,
        "agentTotals" => agents::totals(workspace, request).await,
        "appendTranscript" => transcripts::append(workspace, request).await,
        "beginTranscript" => transcripts::begin(workspace, request).await,
        "transcript" => transcripts::whole(workspace, request).await,
        "contextSummary" => transcripts::context(workspace, request).await,
        "removeTranscript" => transcripts::remove(workspace, request).await,
        "clearTranscripts" => transcripts::clear(workspace).await,
        "saveCheckpoint" => transcripts::save_checkpoint(workspace, request).await,
        "checkpoints" => transcripts::checkpoints(workspace, request).await,
        "removeCheckpoints" => transcripts::remove_checkpoints(workspace, request).await,
        "clearCheckpoints" => transcripts::clear_checkpoints(workspace).await,
        "saveTemplate" => templates::save(workspace, request).await,
        "template" => templates::newest(workspace, request).await,
        "templateContent" => templates::content(workspace, request).await,
        "templates" => templates::page(workspace, request).await,
        "removeTemplate" => templates::remove(workspace, request).await,
        "saveOrchestrations" => orchestration::save(workspace, request).await,
        "orchestrationHistory" => orchestration::history(workspace, request).await,
        "orchestrationStats" => orchestration::stats(workspace).await,
        "clearOrchestration" => orchestration::clear(workspace).await,
        "addMessages" => messages::add(workspace, request).await,
        "appendAt" => messages::append_at(workspace, request).await,
        "exportMarkdown" => export::markdown(workspace, request).await,
        "exportAgentsMarkdown" => export::agents(workspace).await,
        "exportHtml" => export::html(workspace, request).await,
        "exportJson" => export::json(workspace, request).await,
        "importSession" => export::import(workspace, request).await,
        "stats" => cleanup::stats(workspace).await,
        "getRecords" => records::get(workspace, request).await,
        "scanRecords" => records::scan(workspace, request).await,
        "commitRecords" => records::commit(workspace, request).await,
        "scanLogs" => records::logs(workspace, request).await,
        "readLog" => records::read(workspace, request).await,
        "logHead" => records::head(workspace, request).await,
        "eventsEnd" => feed::end(workspace).await,
        "events" => feed::events(workspace, request).await,
        // Lets the tests check that a panic is reported; a release build does not have this verb.
        #[cfg(debug_assertions)]
        "panic" => panic!("asked to"),
        _ => Err(unknown(verb)),
    }
}

/// Answers a request that may take long and reports progress.
pub(crate) async fn answer_long(
    workspace: &Workspace,
    location: &Location,
    verb: &str,
    request: &Request,
    progress: &Progress,
) -> Result<String> {
    match verb {
        "search" => search::found(workspace, request).await,
        "backup" => backup::made(workspace, request, progress).await,
        "doctor" => doctor::done(workspace, location, progress).await,
        "cleanupPreview" => cleanup::preview(workspace, request).await,
        "cleanup" => cleanup::done(workspace, request).await,
        "clearAll" => cleanup::cleared(workspace).await,
        "sweepContents" => cleanup::swept(workspace).await,
        _ => Err(unknown(verb)),
    }
}

fn unknown(verb: &str) -> Error {
    Error::invalid(format!("unknown verb `{}`", verb.escape_debug()))
}
