//! Templates: their contents, and the name that points to the newest.

use crate::entity::id::sha256_hex;
use crate::entity::{Entity, RecordEntity, TemplateDigest, TemplateId};
use crate::json::{Object, Text, canonical};
use crate::key::Kind;
use crate::kind;

entity! {
    /// One content of a template, stored once however many agents and sessions use it.
    pub struct Template, schema 1 {
        /// The template's id, which its other contents share.
        pub id: Option<TemplateId> = "id",
        /// Its display name.
        pub name: Text = "name",
        /// The system prompt of agents created from it.
        pub system_prompt: Option<Text> = "systemPrompt",
    }
}

impl Template {
    /// Returns the digest of the canonical content, as it was outside the store.
    pub fn digest(&self) -> TemplateDigest {
        let content = crate::entity::foreign(&self.to_object()).to_json();
        // An object's text is JSON, so the canonical form exists.
        sha256_hex(&canonical(&content).unwrap_or_default()).into()
    }
}

impl RecordEntity for Template {
    const KIND: Kind = kind::TEMPLATE;
    type Id = TemplateDigest;

    fn id(&self) -> TemplateDigest {
        self.digest()
    }
}

entity! {
    /// Which content of a template is the newest.
    pub struct TemplateName, schema 1 {
        /// The template's id.
        pub id: TemplateId = "id",
        /// Its newest content.
        pub digest: TemplateDigest = "digest",
    }
}

impl TemplateName {
    /// Points a name at a content.
    pub fn new(id: impl Into<TemplateId>, digest: TemplateDigest) -> Self {
        Self { id: id.into(), digest, object: Object::default() }
    }
}

impl RecordEntity for TemplateName {
    const KIND: Kind = kind::TEMPLATE_NAME;
    type Id = TemplateId;

    fn id(&self) -> TemplateId {
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    #[test]
    fn contents_that_differ_only_in_order_and_spelling_are_one() {
        let digest = |text: &str| Template::from_body(&Body::parse(text).unwrap()).unwrap().digest();
        assert_eq!(digest(r#"{"id":"a","name":"é"}"#), digest(r#"{ "name":"\u00e9", "id":"a" }"#));
        assert_ne!(digest(r#"{"id":"a"}"#), digest(r#"{"id":"b"}"#));
        assert_eq!(
            digest(r#"{"a":1}"#).to_string(),
            "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
        );
    }
}
