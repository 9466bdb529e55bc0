//! Templates, in their own files and copied into agents and sessions.

use nofx_core::Body;
use nofx_core::entity::{Entity, RecordEntity, Template, TemplateDigest, TemplateId, own};
use nofx_core::json::{Object, Text};

use super::item::{fits, object};

/// One content of a template.
#[derive(Clone, Debug)]
pub(crate) struct TemplateContent {
    pub(crate) digest: TemplateDigest,
    pub(crate) id: Option<TemplateId>,
    pub(crate) prompt: Option<Text>,
    pub(crate) body: Body,
}

impl TemplateContent {
    pub(crate) fn new(foreign: &Object) -> Self {
        let template = Template::from_object(own(foreign));
        Self {
            digest: template.id(),
            id: template.id.clone(),
            prompt: template.system_prompt.clone(),
            body: Body::trusted(template.object().to_json()),
        }
    }
}

/// Takes the template out of an agent or a session, if it is complete, and leaves its digest there.
pub(crate) fn take(holder: &mut Object) -> Option<TemplateContent> {
    let raw = holder.get("template").filter(|raw| fits(raw.len()))?;
    let content = TemplateContent::new(&object(raw)?);
    holder.remove("template");
    holder.set("$template", nofx_core::json::quote(&content.digest.to_string()));
    Some(content)
}
