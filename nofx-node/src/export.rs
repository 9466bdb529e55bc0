//! Sessions and agents for people and programs elsewhere.

use futures_util::{StreamExt, TryStreamExt};
use nofx::Result;
use nofx::json::{Text, quote};
use nofx::workspace::{ImportAs, Workspace, unreadable_section};

use crate::crossing::shown;
use crate::request::Request;

/// Returns a session as one JSON text, which `import` reads.
pub(crate) async fn json(workspace: &Workspace, request: &Request) -> Result<String> {
    let pieces = workspace.export_json(&request.required("session")?).await?;
    let text: String = pieces.try_collect().await?;
    Ok(quote(&text))
}

/// Makes a session of what [`json`] wrote.
pub(crate) async fn import(workspace: &Workspace, request: &Request) -> Result<String> {
    let text: Text = request.required("text")?;
    let id = match request.optional("newId")? {
        Some(true) => ImportAs::New,
        _ => ImportAs::Itself,
    };
    let session = workspace.import_session(&text.to_str_lossy(), id).await?;
    Ok(shown(&session))
}

/// Returns all agents with their totals and transcripts as Markdown.
pub(crate) async fn agents(workspace: &Workspace) -> Result<String> {
    let text: String = workspace.export_agents_markdown().try_collect().await?;
    Ok(quote(&text))
}

pub(crate) async fn markdown(workspace: &Workspace, request: &Request) -> Result<String> {
    let mut pieces = workspace.export_markdown(&request.required("session")?).await?;
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => text.push_str(&piece),
            // The text says so in its place.
            Err(error) if error.is_of_one_thing() => text.push_str(&unreadable_section(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(quote(&text))
}
