//! Sessions: created, listed, archived, restored.

use std::time::Duration;

use nofx::entity::{AgentId, Entity, Session, SessionId, foreign};
use nofx::json::{Object, Text, Value, quote};
use nofx::workspace::{NewSession, RestoreOptions, Seen, SessionFilter, SessionSummary, Workspace};
use nofx::{Error, RecordKey, Result, kind};

use crate::agents;
use crate::crossing::shown;
use crate::request::Request;
use crate::templates::Contents;

/// Sessions per page if the caller did not say.
const PAGE: u64 = 50;

/// The most sessions per page.
const MAX_PAGE: u64 = 1000;

/// What a caller may change of a session.
const CHANGEABLE: [&str; 5] = ["name", "systemPrompt", "workingDirectory", "gitBranch", "capabilities"];

pub(crate) async fn create(workspace: &Workspace, request: &Request) -> Result<String> {
    let agent = agents::taken(workspace, request).await?;
    workspace.create_session(&agent, new(request)?).await.map(|session| shown(&session))
}

/// Returns the session under a key, and whether this call created it.
pub(crate) async fn open(workspace: &Workspace, request: &Request) -> Result<String> {
    let agent = agents::taken(workspace, request).await?;
    let opened = workspace.open_session(&request.text("key")?, &agent, new(request)?).await?;
    Ok(format!(r#"{{"session":{},"created":{}}}"#, shown(&opened.session), opened.created))
}

/// Reads the options of a new session.
fn new(request: &Request) -> Result<NewSession> {
    Ok(NewSession {
        name: request.optional("name")?,
        working_directory: request.optional("workingDirectory")?,
        git_branch: request.optional("gitBranch")?,
        capabilities: request.optional("capabilities")?.unwrap_or_default(),
        system_prompt: request.optional("systemPrompt")?,
        lifetime: lifetime(request)?,
        metadata: request.optional("metadata")?.unwrap_or_default(),
    })
}

/// Reads the lifetime of a session: `null` means forever, and a missing member the default.
fn lifetime(request: &Request) -> Result<Option<Duration>> {
    Ok(match request.optional::<u64>("lifetimeMs")? {
        Some(lifetime) => Some(Duration::from_millis(lifetime)),
        None if request.is_null("lifetimeMs") => None,
        None => NewSession::default().lifetime,
    })
}

pub(crate) async fn one(workspace: &Workspace, request: &Request) -> Result<String> {
    whole(workspace, &request.required("session")?).await
}

pub(crate) async fn by_key(workspace: &Workspace, request: &Request) -> Result<String> {
    match workspace.session_by_key(&request.text("key")?).await? {
        Some(session) => whole(workspace, &session.id).await,
        None => Ok("null".to_owned()),
    }
}

/// Writes the summary of a session with its prompt and its template; `null` if there is no session.
async fn whole(workspace: &Workspace, id: &SessionId) -> Result<String> {
    let Some(summary) = workspace.summary(id).await? else { return Ok("null".to_owned()) };
    let mut object = foreign(&summary.session.to_object());
    if let Some(prompt) = workspace.system_prompt(&summary.session).await? {
        object.set("systemPrompt", prompt.write());
    }
    Contents::default().give(workspace, summary.session.template.as_ref(), &mut object).await?;
    Ok(described(&summary, &object.to_json()))
}

pub(crate) async fn summaries(workspace: &Workspace, request: &Request) -> Result<String> {
    let filter = filter(request)?;
    let limit = request.optional("limit")?.unwrap_or(PAGE).clamp(1, MAX_PAGE) as usize;
    let after =
        request.optional::<Text>("after")?.map(|id| RecordKey::new(kind::ACTIVITY, id.to_string())).transpose()?;
    let page = workspace.summaries(&filter, after, limit).await?;
    let items: Vec<_> = page.items.iter().map(summarised).collect();
    let next = page.next.map_or("null".to_owned(), |key| quote(key.id()));
    let unreadable = page.unreadable.iter().map(|one| {
        let session = one.session.as_ref().map_or("null".to_owned(), Value::write);
        let (code, message) = (one.error.code(), quote(&one.error.chain()));
        format!(r#"{{"session":{session},"code":"{code}","message":{message}}}"#)
    });
    let (items, unreadable) = (items.join(","), unreadable.collect::<Vec<_>>().join(","));
    Ok(format!(r#"{{"items":[{items}],"unreadable":[{unreadable}],"next":{next}}}"#))
}

fn filter(request: &Request) -> Result<SessionFilter> {
    Ok(SessionFilter {
        agent: request.optional::<AgentId>("agent")?,
        status: request.optional("status")?,
        active_before: request.time("activeBefore")?,
        active_since: request.time("activeSince")?,
        text: request.optional::<Text>("text")?.map(|text| text.to_string()),
        expired: request.optional("expired")?,
        metadata: request.optional("metadata")?.unwrap_or_default(),
        trash: request.optional("trash")?.unwrap_or(false),
    })
}

pub(crate) async fn change(workspace: &Workspace, verb: &str, request: &Request) -> Result<String> {
    let id: SessionId = request.required("session")?;
    let session = match verb {
        "pauseSession" => workspace.pause_session(&id).await?,
        "resumeSession" => workspace.resume_session(&id).await?,
        "renameSession" => workspace.rename_session(&id, request.required::<Text>("name")?).await?,
        "archiveSession" => workspace.archive_session(&id).await?,
        "restoreSession" => workspace.restore_session(&id, restore_options(request)?).await?,
        "deleteSession" => workspace.delete_session(&id).await?,
        "undeleteSession" => workspace.undelete_session(&id).await?,
        "purgeLiveSession" => return workspace.purge_live_session(&id).await.map(|()| "null".to_owned()),
        _ => return workspace.purge_session(&id).await.map(|()| "null".to_owned()),
    };
    Ok(shown(&session))
}

pub(crate) fn restore_options(request: &Request) -> Result<RestoreOptions> {
    let Some(given) = request.inner("options")? else { return Ok(RestoreOptions::default()) };
    let standard = RestoreOptions::default();
    Ok(RestoreOptions {
        conversation_history: given.optional("conversationHistory")?.unwrap_or(standard.conversation_history),
        current_task: given.optional("currentTask")?.unwrap_or(standard.current_task),
        working_directory: given.optional("workingDirectory")?.unwrap_or(standard.working_directory),
        continue_from_last_message: given
            .optional("continueFromLastMessage")?
            .unwrap_or(standard.continue_from_last_message),
        summarize_history: given.optional("summarizeHistory")?.unwrap_or(standard.summarize_history),
        up_to: given.optional("upTo")?,
    })
}

/// Changes details of a session. What has a verb of its own is not among them.
pub(crate) async fn update(workspace: &Workspace, request: &Request) -> Result<String> {
    let changes = request.inner("changes")?.ok_or_else(|| Error::invalid("`changes` is missing"))?;
    if let Some(other) = changes.names().find(|name| !CHANGEABLE.contains(&name.as_str())) {
        let name = other.escape_debug();
        return Err(Error::invalid(format!("`changes` has `{name}`; it can only have {}", CHANGEABLE.join(", "))));
    }
    let (name, system_prompt): (Option<Text>, Option<Text>) =
        (changes.optional("name")?, changes.optional("systemPrompt")?);
    let (folder, branch): (Option<Text>, Option<Text>) =
        (changes.optional("workingDirectory")?, changes.optional("gitBranch")?);
    let capabilities: Option<Vec<Text>> = changes.optional("capabilities")?;
    let change = |session: &mut Session| {
        if let Some(name) = &name {
            session.name = name.clone();
        }
        if let Some(prompt) = &system_prompt {
            session.system_prompt = Some(prompt.clone());
            session.prompt_is_templates = false;
        }
        if let Some(folder) = &folder {
            session.working_directory = Some(folder.clone());
        }
        if let Some(branch) = &branch {
            session.git_branch = Some(branch.clone());
        }
        if let Some(capabilities) = &capabilities {
            session.capabilities = capabilities.clone();
        }
    };
    let session = workspace.update_session(&request.required("session")?, change).await?;
    Ok(shown(&session))
}

/// Changes the metadata of a session by member; `null` removes one.
pub(crate) async fn update_metadata(workspace: &Workspace, request: &Request) -> Result<String> {
    let changes: Object = request.required("changes")?;
    Ok(shown(&workspace.update_metadata(&request.required("session")?, &changes).await?))
}

/// Removes the newest messages of a session.
pub(crate) async fn rewind(workspace: &Workspace, request: &Request) -> Result<String> {
    let (session, to): (SessionId, u64) = (request.required("session")?, request.required("to")?);
    Ok(shown(&workspace.rewind_session(&session, to, seen(request)?).await?))
}

/// Reads how much of a session its caller has seen: a number of messages, or that and how often the session had been rewound.
pub(crate) fn seen(request: &Request) -> Result<Seen> {
    Ok(match request.inner("seen") {
        Ok(Some(seen)) => Seen { length: seen.required("length")?, rewinds: seen.optional("rewinds")? },
        _ => request.required::<u64>("seen")?.into(),
    })
}

/// Returns whether a session of this id existed and was purged.
pub(crate) async fn is_purged(workspace: &Workspace, request: &Request) -> Result<String> {
    Ok(workspace.is_purged(&request.required("session")?).await?.to_string())
}

/// Returns the prompt of a session's agent.
pub(crate) async fn system_prompt(workspace: &Workspace, request: &Request) -> Result<String> {
    let id: SessionId = request.required("session")?;
    let session = workspace.session(&id).await?;
    let session = session.ok_or_else(|| Error::not_found(format!("session `{id}`")))?;
    Ok(workspace.system_prompt(&session).await?.map_or("null".to_owned(), |prompt| prompt.write()))
}

fn summarised(summary: &SessionSummary) -> String {
    described(summary, &shown(&summary.session))
}

/// Writes a summary around the session as `object`.
fn described(summary: &SessionSummary, object: &str) -> String {
    let session = &summary.session;
    let mut json = format!(
        r#"{{"session":{object},"state":"{}","messages":{},"lastActiveAt":{}"#,
        summary.state.name(),
        summary.messages,
        summary.last_active_at.write(),
    );
    if session.rewinds > 0 {
        json.push_str(&format!(r#","rewinds":{}"#, session.rewinds));
    }
    let mut member = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            json.push_str(&format!(r#","{name}":{value}"#));
        }
    };
    member("key", session.key.as_ref().map(Value::write));
    member("namespace", session.namespace.as_ref().map(Value::write));
    member("preview", session.preview.as_ref().map(Value::write));
    member("restoredFrom", session.restored_from.as_ref().map(Value::write));
    member("deletedAt", session.deleted_at.as_ref().map(Value::write));
    json.push('}');
    json
}
