//! Agents: kept, listed.

use futures_util::TryStreamExt;
use nofx::entity::{Agent, Entity, EntityId};
use nofx::json::Object;
use nofx::workspace::Workspace;
use nofx::{Error, Result};

use crate::crossing::shown;
use crate::request::Request;

/// Reads the agent of a request.
pub(crate) fn read(request: &Request) -> Result<Agent> {
    let agent = Agent::from_object(request.required::<Object>("agent")?);
    match agent.id.as_text().is_empty() {
        true => Err(Error::invalid("the agent has no `id`")),
        false => Ok(agent),
    }
}

pub(crate) async fn save(workspace: &Workspace, request: &Request) -> Result<String> {
    workspace.save_agent(&read(request)?).await?;
    Ok("null".to_owned())
}

pub(crate) async fn all(workspace: &Workspace) -> Result<String> {
    let agents: Vec<_> = workspace.agents().map_ok(|agent| shown(&agent)).try_collect().await?;
    Ok(format!("[{}]", agents.join(",")))
}
