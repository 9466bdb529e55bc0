//! Agents: kept, listed.

use futures_util::TryStreamExt;
use nofx::entity::{Agent, Entity, EntityId, foreign};
use nofx::json::Object;
use nofx::workspace::Workspace;
use nofx::{Error, Result};

use crate::request::Request;
use crate::templates::{self, Contents};

/// Takes the agent of a request.
pub(crate) async fn taken(workspace: &Workspace, request: &Request) -> Result<Agent> {
    of_object(workspace, request.required("agent")?).await
}

/// Takes an agent. The content of its template is kept once, however many agents and sessions have it.
async fn of_object(workspace: &Workspace, mut given: Object) -> Result<Agent> {
    let template = given.read::<Object>("template");
    if template.is_some() {
        given.remove("template");
    }
    let mut agent = Agent::from_object(given);
    if agent.id.as_text().is_empty() {
        return Err(Error::invalid("the agent has no `id`"));
    }
    if let Some(content) = template {
        agent.template = Some(templates::keep(workspace, &content).await?);
    }
    Ok(agent)
}

pub(crate) async fn save(workspace: &Workspace, request: &Request) -> Result<String> {
    workspace.save_agent(&taken(workspace, request).await?).await?;
    Ok("null".to_owned())
}

/// Saves several agents, all or none.
pub(crate) async fn save_all(workspace: &Workspace, request: &Request) -> Result<String> {
    workspace.save_agents(&all_taken(workspace, request).await?).await?;
    Ok("null".to_owned())
}

/// Saves several agents and removes all others.
pub(crate) async fn replace(workspace: &Workspace, request: &Request) -> Result<String> {
    workspace.replace_agents(&all_taken(workspace, request).await?).await?;
    Ok("null".to_owned())
}

async fn all_taken(workspace: &Workspace, request: &Request) -> Result<Vec<Agent>> {
    let mut agents = Vec::new();
    for given in request.required::<Vec<Object>>("agents")? {
        agents.push(of_object(workspace, given).await?);
    }
    Ok(agents)
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
