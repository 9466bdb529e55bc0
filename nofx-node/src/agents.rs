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
    of_object(request.required("agent")?)
}

fn of_object(given: Object) -> Result<Agent> {
    let agent = Agent::from_object(given);
    match agent.id.as_text().is_empty() {
        true => Err(Error::invalid("the agent has no `id`")),
        false => Ok(agent),
    }
}

pub(crate) async fn save(workspace: &Workspace, request: &Request) -> Result<String> {
    workspace.save_agent(&read(request)?).await?;
    Ok("null".to_owned())
}

/// Saves several agents, all or none.
pub(crate) async fn save_all(workspace: &Workspace, request: &Request) -> Result<String> {
    let agents: Vec<Object> = request.required("agents")?;
    let agents: Vec<_> = agents.into_iter().map(of_object).collect::<Result<_>>()?;
    workspace.save_agents(&agents).await?;
    Ok("null".to_owned())
}

pub(crate) async fn one(workspace: &Workspace, request: &Request) -> Result<String> {
    let agent = workspace.agent(&request.required("agent")?).await?;
    Ok(agent.as_ref().map_or("null".to_owned(), shown))
}

pub(crate) async fn remove(workspace: &Workspace, request: &Request) -> Result<String> {
    Ok(workspace.remove_agent(&request.required("agent")?).await?.to_string())
}

/// Returns what the sessions of an agent add up to.
pub(crate) async fn totals(workspace: &Workspace, request: &Request) -> Result<String> {
    let totals = workspace.agent_totals(&request.required("agent")?).await?;
    Ok(format!(
        r#"{{"sessions":{},"messages":{},"tasksCompleted":{},"tasksFailed":{},"tasksInterrupted":{},"lastActiveAt":{}}}"#,
        totals.sessions,
        totals.messages,
        totals.tasks_completed,
        totals.tasks_failed,
        totals.tasks_interrupted,
        totals.last_active_at.map_or("null".to_owned(), |at| format!("\"{at}\"")),
    ))
}

pub(crate) async fn all(workspace: &Workspace) -> Result<String> {
    let agents: Vec<_> = workspace.agents().map_ok(|agent| shown(&agent)).try_collect().await?;
    Ok(format!("[{}]", agents.join(",")))
}
