//! Templates of agents.

use futures_util::TryStreamExt;
use nofx::Result;
use nofx::entity::{Entity, Template, TemplateDigest, TemplateId, own};
use nofx::json::{Object, Value};
use nofx::workspace::Workspace;

use crate::crossing::shown;
use crate::request::Request;

pub(crate) async fn save(workspace: &Workspace, request: &Request) -> Result<String> {
    let template = Template::from_object(own(&request.required::<Object>("template")?));
    Ok(workspace.save_template(&template).await?.write())
}

pub(crate) async fn newest(workspace: &Workspace, request: &Request) -> Result<String> {
    let id: TemplateId = request.required("template")?;
    Ok(or_null(workspace.template(&id).await?))
}

pub(crate) async fn content(workspace: &Workspace, request: &Request) -> Result<String> {
    let digest: TemplateDigest = request.required("digest")?;
    Ok(or_null(workspace.template_content(&digest).await?))
}

pub(crate) async fn all(workspace: &Workspace) -> Result<String> {
    let templates: Vec<_> = workspace.templates().map_ok(|template| shown(&template)).try_collect().await?;
    Ok(format!("[{}]", templates.join(",")))
}

pub(crate) async fn remove(workspace: &Workspace, request: &Request) -> Result<String> {
    let id: TemplateId = request.required("template")?;
    Ok(workspace.remove_template(&id).await?.to_string())
}

fn or_null(template: Option<Template>) -> String {
    template.as_ref().map_or("null".to_owned(), shown)
}
