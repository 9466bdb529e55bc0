//! Agents: kept, listed.

use futures_util::TryStreamExt;
use nofx::entity::{Agent, Entity, EntityId, foreign};
use nofx::json::Object;
use nofx::workspace::Workspace;
use nofx::{Error, Result};

use crate::request::Request;
use crate::templates::Contents;

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
    let Some(agent) = workspace.agent(&request.required("agent")?).await? else { return Ok("null".to_owned()) };
    whole(workspace, &agent, &mut Contents::default()).await
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
    let (mut agents, mut all, mut contents) = (workspace.agents(), Vec::new(), Contents::default());
    while let Some(agent) = agents.try_next().await? {
        all.push(whole(workspace, &agent, &mut contents).await?);
    }
    Ok(format!("[{}]", all.join(",")))
}

/// Writes an agent with its template.
async fn whole(workspace: &Workspace, agent: &Agent, contents: &mut Contents) -> Result<String> {
    let mut object = foreign(&agent.to_object());
    contents.give(workspace, agent.template.as_ref(), &mut object).await?;
    Ok(object.to_json())
}
