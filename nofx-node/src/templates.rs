//! Templates of agents.

use std::collections::HashMap;

use futures_util::StreamExt;
use nofx::entity::{Entity, Template, TemplateDigest, TemplateId, own};
use nofx::json::{Object, Value};
use nofx::workspace::Workspace;
use nofx::{Error, Expect, Result};

use crate::crossing::{JsPage, shown};
use crate::request::Request;

/// Templates per page if the caller did not say.
const PAGE: u64 = 64;

/// The most templates per page.
const MAX_PAGE: u64 = 1000;

pub(crate) async fn save(workspace: &Workspace, request: &Request) -> Result<String> {
    let template = Template::from_object(own(&request.required::<Object>("template")?));
    Ok(workspace.save_template(&template).await?.write())
}

/// Saves a content without pointing a name to it: an older content that an agent has must not become the newest again.
pub(crate) async fn keep(workspace: &Workspace, content: &Object) -> Result<TemplateDigest> {
    let template = Template::from_object(own(content));
    let digest = template.digest();
    if workspace.template_content(&digest).await?.is_none() {
        match workspace.store().save(&template, Expect::Absent).await {
            // Another caller has saved it concurrently.
            Ok(_) | Err(Error::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(digest)
}

pub(crate) async fn newest(workspace: &Workspace, request: &Request) -> Result<String> {
    let id: TemplateId = request.required("template")?;
    Ok(or_null(workspace.template(&id).await?))
}

pub(crate) async fn content(workspace: &Workspace, request: &Request) -> Result<String> {
    let digest: TemplateDigest = request.required("digest")?;
    Ok(or_null(workspace.template_content(&digest).await?))
}

/// Returns a page of templates. One that cannot be read says so in its place.
pub(crate) async fn page(workspace: &Workspace, request: &Request) -> Result<String> {
    let mut page = JsPage::of(request, PAGE, MAX_PAGE)?;
    let mut templates = workspace.templates_after(request.optional::<TemplateId>("after")?.as_ref());
    while let Some(template) = templates.next().await {
        match template {
            Ok(template) => {
                // The next page begins after a template whose name is known.
                if page.add(&shown(&template))
                    && let Some(id) = &template.id
                {
                    return Ok(page.written(Some(id.write())));
                }
            }
            Err(error) if error.is_of_one_thing() => {
                page.add_unreadable("", &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page.written(None))
}

pub(crate) async fn remove(workspace: &Workspace, request: &Request) -> Result<String> {
    let id: TemplateId = request.required("template")?;
    Ok(workspace.remove_template(&id).await?.to_string())
}

/// Contents read for one answer: agents share a few.
#[derive(Debug, Default)]
pub(crate) struct Contents(HashMap<TemplateDigest, Option<String>>);

impl Contents {
    /// Gives an object its template as a member, as it was outside the store, unless it already has such a member.
    ///
    /// A template that is missing or cannot be read is omitted: the rest of the object is still true.
    pub(crate) async fn give(
        &mut self,
        workspace: &Workspace,
        digest: Option<&TemplateDigest>,
        object: &mut Object,
    ) -> Result<()> {
        let Some(digest) = digest.filter(|_| object.get("template").is_none()) else { return Ok(()) };
        if !self.0.contains_key(digest) {
            let content = match workspace.template_content(digest).await {
                Ok(content) => content.as_ref().map(shown),
                Err(Error::Corrupt(_)) => None,
                Err(error) => return Err(error),
            };
            self.0.insert(digest.clone(), content);
        }
        if let Some(Some(content)) = self.0.get(digest) {
            object.set("template", content.as_str());
        }
        Ok(())
    }
}

fn or_null(template: Option<Template>) -> String {
    template.as_ref().map_or("null".to_owned(), shown)
}
