//! Sessions for people to read elsewhere.

use futures_util::TryStreamExt;
use nofx::Result;
use nofx::json::quote;
use nofx::workspace::Workspace;

use crate::request::Request;

pub(crate) async fn markdown(workspace: &Workspace, request: &Request) -> Result<String> {
    let pieces = workspace.export_markdown(&request.required("session")?).await?;
    let text: String = pieces.try_collect().await?;
    Ok(quote(&text))
}
