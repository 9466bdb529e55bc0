//! Exports sessions and agents for people and for other programs.

use futures_util::{Stream, StreamExt};
use nofx::json::{Text, quote};
use nofx::workspace::{ImportAs, Workspace, unreadable_article, unreadable_section};
use nofx::{Error, Result};

use crate::crossing::shown;
use crate::request::Request;

/// Returns a session as one JSON text, which `import` reads. The text says which parts cannot be read.
pub(crate) async fn json(workspace: &Workspace, request: &Request) -> Result<String> {
    joined(workspace.export_json(&request.required("session")?).await?, |_| String::new()).await
}

/// Creates a session from what [`json`] wrote.
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
    joined(workspace.export_agents_markdown(), unreadable_section).await
}

/// Returns a session as one HTML page.
pub(crate) async fn html(workspace: &Workspace, request: &Request) -> Result<String> {
    joined(workspace.export_html(&request.required("session")?).await?, unreadable_article).await
}

pub(crate) async fn markdown(workspace: &Workspace, request: &Request) -> Result<String> {
    joined(workspace.export_markdown(&request.required("session")?).await?, unreadable_section).await
}

/// Joins the pieces of a text, with a mark in place of what cannot be read.
async fn joined(mut pieces: impl Stream<Item = Result<String>> + Unpin, mark: fn(&Error) -> String) -> Result<String> {
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => text.push_str(&piece),
            Err(error) if error.is_of_one_thing() => text.push_str(&mark(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(quote(&text))
}
