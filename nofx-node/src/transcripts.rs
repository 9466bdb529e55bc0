//! What agents wrote and exchanges with them: transcripts and checkpoints.

use nofx::Result;
use nofx::entity::AgentId;
use nofx::json::{Text, quote};
use nofx::workspace::{CHECKPOINTS, Workspace};

use crate::crossing::{shown, shown_each};
use crate::request::Request;

pub(crate) async fn append(workspace: &Workspace, request: &Request) -> Result<String> {
    let (agent, content): (AgentId, Text) = (request.required("agent")?, request.required("content")?);
    workspace.append_transcript(&agent, content).await?;
    Ok("null".to_owned())
}

pub(crate) async fn begin(workspace: &Workspace, request: &Request) -> Result<String> {
    let (agent, content): (AgentId, Text) = (request.required("agent")?, request.required("content")?);
    workspace.begin_transcript(&agent, content).await?;
    Ok("null".to_owned())
}

pub(crate) async fn whole(workspace: &Workspace, request: &Request) -> Result<String> {
    Ok(or_null(workspace.transcript(&request.required("agent")?).await?))
}

pub(crate) async fn context(workspace: &Workspace, request: &Request) -> Result<String> {
    Ok(or_null(workspace.context_summary(&request.required("agent")?).await?))
}

pub(crate) async fn save_checkpoint(workspace: &Workspace, request: &Request) -> Result<String> {
    let (user, answer): (Text, Text) = (request.required("user")?, request.required("answer")?);
    let saved = workspace.save_checkpoint(&request.required("agent")?, user, answer).await?;
    Ok(shown(&saved))
}

pub(crate) async fn checkpoints(workspace: &Workspace, request: &Request) -> Result<String> {
    let count = request.optional::<u64>("count")?.map_or(CHECKPOINTS, |count| count as usize);
    let newest = workspace.checkpoints(&request.required("agent")?, count).await?;
    Ok(shown_each(&newest))
}

pub(crate) async fn remove(workspace: &Workspace, request: &Request) -> Result<String> {
    Ok(workspace.remove_transcript(&request.required("agent")?).await?.to_string())
}

pub(crate) async fn clear(workspace: &Workspace) -> Result<String> {
    workspace.clear_transcripts().await?;
    Ok("null".to_owned())
}

pub(crate) async fn remove_checkpoints(workspace: &Workspace, request: &Request) -> Result<String> {
    Ok(workspace.remove_checkpoints(&request.required("agent")?).await?.to_string())
}

pub(crate) async fn clear_checkpoints(workspace: &Workspace) -> Result<String> {
    workspace.clear_checkpoints().await?;
    Ok("null".to_owned())
}

fn or_null(text: Option<String>) -> String {
    text.map_or("null".to_owned(), |text| quote(&text))
}
