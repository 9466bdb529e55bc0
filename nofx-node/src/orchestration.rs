//! Messages between agents, the conductor and the dashboard.

use nofx::entity::{Entity, OrchestrationMessage, own};
use nofx::json::{Object, Text, quote};
use nofx::workspace::{OrchestrationFilter, OrchestrationPlace, OrchestrationStats, Workspace};
use nofx::{Error, Result, Timestamp};

use crate::crossing::{JsPage, shown};
use crate::request::Request;

/// Messages per page if the caller did not say.
const PAGE: u64 = 256;

/// The most messages per page.
const MAX_PAGE: u64 = 1000;

pub(crate) async fn save(workspace: &Workspace, request: &Request) -> Result<String> {
    let given: Vec<Object> = request.required("messages")?;
    if given.is_empty() {
        return Err(Error::invalid("`messages` is empty"));
    }
    let messages = given.iter().map(|given| OrchestrationMessage::from_object(own(given))).collect();
    workspace.save_orchestrations(messages).await?;
    Ok("null".to_owned())
}

/// Returns a page of the messages that match a filter. One that cannot be read says so in its place.
pub(crate) async fn history(workspace: &Workspace, request: &Request) -> Result<String> {
    let filter = OrchestrationFilter {
        participant: request.optional("participant")?,
        kind: request.optional::<Text>("type")?,
        since: request.time("since")?,
        until: request.time("until")?,
        oldest_first: request.optional("oldestFirst")?.unwrap_or(false),
    };
    let mut from = match request.optional::<Text>("after")? {
        Some(place) => Some(place.to_string().parse::<OrchestrationPlace>()?),
        None => None,
    };
    let mut skipped = request.optional::<u64>("offset")?.unwrap_or(0);
    while skipped > 0 {
        let passed = workspace.orchestration_page(&filter, from, skipped.min(MAX_PAGE) as usize).await?;
        skipped -= passed.items.len() as u64;
        from = passed.next;
        if from.is_none() {
            return Ok(JsPage::of(request, PAGE, MAX_PAGE)?.written(None));
        }
    }
    let mut page = JsPage::of(request, PAGE, MAX_PAGE)?;
    let found = workspace.orchestration_page(&filter, from, page.limit()).await?;
    for message in &found.items {
        match message {
            Ok(message) => page.add(&shown(message)),
            Err(error) => page.add_unreadable("", error),
        };
    }
    Ok(page.written(found.next.map(|next| quote(&next.to_string()))))
}

pub(crate) async fn stats(workspace: &Workspace) -> Result<String> {
    Ok(to_json(&workspace.orchestration_stats().await?))
}

pub(crate) async fn clear(workspace: &Workspace) -> Result<String> {
    workspace.clear_orchestration().await?;
    Ok("null".to_owned())
}

pub(crate) fn to_json(stats: &OrchestrationStats) -> String {
    let time = |at: Option<Timestamp>| at.map_or("null".to_owned(), |at| format!("\"{at}\""));
    let (oldest, newest) = (time(stats.oldest), time(stats.newest));
    let (messages, segments) = (stats.messages, stats.segments);
    format!(r#"{{"messages":{messages},"oldest":{oldest},"newest":{newest},"segments":{segments}}}"#)
}
