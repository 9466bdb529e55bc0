//! Searches messages.

use futures_util::StreamExt;
use nofx::entity::{AgentId, Role};
use nofx::json::{Text, Value, quote};
use nofx::workspace::{SearchHit, SearchQuery, Workspace};
use nofx::{Error, Result};

use crate::crossing::reasons;
use crate::request::Request;

/// Hits to find if the caller did not say.
const LIMIT: u64 = 100;

/// The most hits to find.
const MAX_LIMIT: u64 = 10_000;

pub(crate) async fn found(workspace: &Workspace, request: &Request) -> Result<String> {
    let query = SearchQuery {
        words: request.required::<Vec<Text>>("words")?.iter().map(ToString::to_string).collect(),
        agent: request.optional::<AgentId>("agent")?,
        role: request.optional::<Role>("role")?,
        since: request.time("since")?,
        until: request.time("until")?,
        trash: request.optional("trash")?.unwrap_or(false),
    };
    let limit = request.optional("limit")?.unwrap_or(LIMIT).clamp(1, MAX_LIMIT) as usize;
    let mut hits = workspace.search(query).await?;
    let (mut shown, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(hit) = hits.next().await {
        match hit {
            Ok(_) if shown.len() == limit => return Ok(written(&shown, &unreadable, true)),
            Ok(hit) => shown.push(json(&hit)),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => unreadable.push(error),
        }
    }
    Ok(written(&shown, &unreadable, false))
}

fn written(hits: &[String], unreadable: &[Error], more: bool) -> String {
    format!(r#"{{"hits":[{}],"unreadable":{},"more":{more}}}"#, hits.join(","), reasons(unreadable))
}

fn json(hit: &SearchHit) -> String {
    let role = hit.role.as_ref().map(|role| format!(r#","type":{}"#, role.write())).unwrap_or_default();
    format!(
        r#"{{"session":{},"name":{},"position":{},"at":"{}","snippet":{}{role}}}"#,
        hit.session.write(),
        hit.name.write(),
        hit.position,
        hit.at,
        quote(&hit.snippet)
    )
}
