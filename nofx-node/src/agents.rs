//! Agents: saved and listed.

use futures_util::StreamExt;
use nofx::entity::{Agent, AgentId, Entity, EntityId, TemplateDigest, foreign, own};
use nofx::json::{Object, Value};
use nofx::workspace::Workspace;
use nofx::{Error, Result};

use crate::crossing::JsPage;
use crate::request::Request;
use crate::templates::{self, Contents};

/// Agents per page if the caller did not say.
const PAGE: u64 = 256;

/// The most agents per page.
const MAX_PAGE: u64 = 1000;

/// Reads the agent from a request.
pub(crate) async fn taken(workspace: &Workspace, request: &Request) -> Result<Agent> {
    of_object(workspace, request.required("agent")?).await
}

/// Reads an agent. The content of its template is stored once, however many agents and sessions have it.
async fn of_object(workspace: &Workspace, mut given: Object) -> Result<Agent> {
    let template = given.read::<Object>("template");
    if template.is_some() {
        given.remove("template");
    }
    let mut agent = Agent::from_object(own(&given));
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

/// Saves several agents and removes all others from the list.
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

/// Changes members of an agent; `null` removes one. Answers `null` if there is no such agent.
pub(crate) async fn update(workspace: &Workspace, request: &Request) -> Result<String> {
    let mut changes: Object = request.required("changes")?;
    if changes.get("id").is_some() {
        return Err(Error::invalid("`changes` has `id`, which cannot change"));
    }
    let digest = match changes.read::<Object>("template") {
        Some(content) => {
            changes.set("template", "null");
            Some(templates::keep(workspace, &content).await?)
        }
        None => None,
    };
    let (has_template, changes) = (changes.get("template").is_some(), own(&changes));
    let change = |agent: &mut Agent| *agent = changed(agent, &changes, has_template.then_some(digest.as_ref()));
    let Some(agent) = workspace.update_agent(&request.required("agent")?, change).await? else {
        return Ok("null".to_owned());
    };
    whole(workspace, &agent, &mut Contents::default()).await
}

/// Returns an agent with members changed, and with another template, or none, if the changes say so.
fn changed(agent: &Agent, changes: &Object, template: Option<Option<&TemplateDigest>>) -> Agent {
    let mut object = agent.to_object();
    for (name, value) in changes.iter() {
        let name = name.to_string();
        if value == "null" {
            object.remove(&name);
        } else {
            object.set(&name, value);
        }
    }
    let mut changed = Agent::from_object(object);
    if let Some(template) = template {
        changed.template = template.cloned();
    }
    changed
}

pub(crate) async fn one(workspace: &Workspace, request: &Request) -> Result<String> {
    let Some(agent) = workspace.agent(&request.required("agent")?).await? else { return Ok("null".to_owned()) };
    whole(workspace, &agent, &mut Contents::default()).await
}

pub(crate) async fn remove(workspace: &Workspace, request: &Request) -> Result<String> {
    Ok(workspace.remove_agent(&request.required("agent")?).await?.to_string())
}

/// Returns the totals over an agent's sessions.
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

/// Returns a page of agents. One that cannot be read says so in its place.
pub(crate) async fn page(workspace: &Workspace, request: &Request) -> Result<String> {
    let (mut page, mut contents) = (JsPage::of(request, PAGE, MAX_PAGE)?, Contents::default());
    let mut agents = workspace.agents_after(request.optional::<AgentId>("after")?.as_ref());
    while let Some(agent) = agents.next().await {
        match agent {
            // The next page begins after an agent that can be read.
            Ok(agent) if page.add(&whole(workspace, &agent, &mut contents).await?) => {
                return Ok(page.written(Some(agent.id.write())));
            }
            Ok(_) => {}
            Err(error) if error.is_of_one_thing() => {
                page.add_unreadable(r#""id":"","name":"","type":"","#, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page.written(None))
}

/// Writes an agent with its template.
async fn whole(workspace: &Workspace, agent: &Agent, contents: &mut Contents) -> Result<String> {
    let mut object = foreign(&agent.to_object());
    contents.give(workspace, agent.template.as_ref(), &mut object).await?;
    Ok(object.to_json())
}
