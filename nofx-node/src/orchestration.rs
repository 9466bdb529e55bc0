//! Messages between agents, the conductor and the dashboard.

use futures_util::StreamExt;
use nofx::entity::{Entity, OrchestrationMessage, own};
use nofx::json::{Object, Text};
use nofx::workspace::{ORCHESTRATION_HISTORY, OrchestrationFilter, OrchestrationStats, Workspace};
use nofx::{Error, Result, Timestamp};

use crate::crossing::shown_each;
use crate::request::Request;

pub(crate) async fn save(workspace: &Workspace, request: &Request) -> Result<String> {
    let given: Vec<Object> = request.required("messages")?;
    if given.is_empty() {
        return Err(Error::invalid("`messages` is empty"));
    }
    let messages = given.iter().map(|given| OrchestrationMessage::from_object(own(given))).collect();
    workspace.save_orchestrations(messages).await?;
    Ok("null".to_owned())
}

pub(crate) async fn history(workspace: &Workspace, request: &Request) -> Result<String> {
    let filter = OrchestrationFilter {
        participant: request.optional("participant")?,
        kind: request.optional::<Text>("type")?,
        since: request.optional("since")?,
        until: request.optional("until")?,
        oldest_first: request.optional("oldestFirst")?.unwrap_or(false),
    };
    let skipped = request.optional::<u64>("offset")?.unwrap_or(0) as usize;
    let limit = request.optional::<u64>("limit")?.map_or(ORCHESTRATION_HISTORY, |limit| limit as usize);
    let mut found = workspace.orchestration_history(filter).await?.skip(skipped).take(limit);
    let mut messages = Vec::new();
    while let Some(message) = found.next().await {
        match message {
            Err(error) if !error.is_of_one_thing() => return Err(error),
            message => messages.push(message),
        }
    }
    Ok(shown_each(&messages))
}

pub(crate) async fn stats(workspace: &Workspace) -> Result<String> {
    Ok(told(&workspace.orchestration_stats().await?))
}

pub(crate) async fn clear(workspace: &Workspace) -> Result<String> {
    workspace.clear_orchestration().await?;
    Ok("null".to_owned())
}

pub(crate) fn told(stats: &OrchestrationStats) -> String {
    let time = |at: Option<Timestamp>| at.map_or("null".to_owned(), |at| format!("\"{at}\""));
    let (oldest, newest) = (time(stats.oldest), time(stats.newest));
    let (messages, segments) = (stats.messages, stats.segments);
    format!(r#"{{"messages":{messages},"oldest":{oldest},"newest":{newest},"segments":{segments}}}"#)
}
