//! What changed: the feed behind `watch`.

use std::collections::BTreeSet;

use nofx::entity::{Agent, Entity, Session};
use nofx::json::{Text, Value, quote};
use nofx::workspace::Workspace;
use nofx::{ChangePage, Changes, Cursor, Kind, RecordKey, Result, kind};

use crate::request::Request;

/// Commits of one answer.
const LIMIT: usize = 1000;

/// The kinds of what belongs to a session and stands under its id.
const OF_SESSIONS: [Kind; 5] = [kind::SESSION, kind::HISTORY, kind::TASKS, kind::ACTIVITY_PLACE, kind::TOMBSTONE];

/// The kinds of what belongs to an agent and stands under its id.
const OF_AGENTS: [Kind; 3] = [kind::AGENT, kind::CHECKPOINTS, kind::TRANSCRIPT];

/// Returns whose things changed since a cursor; without one, where the feed ends.
pub(crate) async fn changes(workspace: &Workspace, request: &Request) -> Result<String> {
    let after = request.optional::<Text>("after")?.map(|cursor| Cursor(cursor.to_string()));
    let limit = if after.is_some() { LIMIT } else { 0 };
    let page = match workspace.store().changes(after.as_ref(), limit).await? {
        Changes::Page(page) if after.is_none() => return Ok(event(&page.newest, false, 0, &[], &[])),
        Changes::Page(page) => page,
        Changes::Gap { newest } => return Ok(event(&newest, true, 0, &[], &[])),
    };
    let mut sessions = Vec::new();
    for id in concerned(&page, &OF_SESSIONS) {
        sessions.extend(
            written(workspace, kind::SESSION, id, |body| Some(Session::from_body(body).ok()?.id.write())).await?,
        );
    }
    let mut agents = Vec::new();
    for id in concerned(&page, &OF_AGENTS) {
        agents.extend(written(workspace, kind::AGENT, id, |body| Some(Agent::from_body(body).ok()?.id.write())).await?);
    }
    Ok(event(&page.next, false, page.changes.len(), &sessions, &agents))
}

fn event(cursor: &Cursor, gap: bool, commits: usize, sessions: &[String], agents: &[String]) -> String {
    let (cursor, sessions, agents) = (quote(&cursor.0), sessions.join(","), agents.join(","));
    format!(r#"{{"cursor":{cursor},"gap":{gap},"commits":{commits},"sessions":[{sessions}],"agents":[{agents}]}}"#)
}

/// Returns the ids of all changed things of some kinds, each once.
fn concerned<'a>(page: &'a ChangePage, kinds: &[Kind]) -> BTreeSet<&'a str> {
    let keys = page.changes.iter().flat_map(|change| {
        let records = change.records.iter().map(|key| (key.kind(), key.id()));
        records.chain(change.logs.iter().map(|key| (key.kind(), key.id())))
    });
    keys.filter(|(kind, _)| kinds.contains(kind)).map(|(_, id)| id).collect()
}

/// Writes the id that a key stands for. An id that no key can hold stands there as its digest, and only the record tells it.
async fn written(
    workspace: &Workspace,
    kind: Kind,
    id: &str,
    read: impl Fn(&nofx::Body) -> Option<String>,
) -> Result<Option<String>> {
    if !id.starts_with("sha256:") {
        return Ok(Some(quote(id)));
    }
    let records = workspace.store().get(&[RecordKey::new(kind, id)?]).await?;
    Ok(records.into_iter().flatten().next().and_then(|record| read(&record.body)))
}
