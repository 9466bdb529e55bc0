//! What agents and sessions say about their templates.

use std::collections::HashMap;

use nofx_core::entity::{EntityId, Template, TemplateDigest};
use nofx_core::json::{Object, Text};
use nofx_core::{Result, Store};

use super::line::Line;

/// How many bytes of prompts are cached.
const KEPT_BYTES: usize = 8 << 20;

/// Looks up templates, and caches what it found.
pub(super) struct Templates<'a> {
    store: &'a Store,
    found: HashMap<Text, Found>,
    bytes: usize,
}

#[derive(Clone, Default)]
struct Found {
    id: Option<Text>,
    prompt: Option<Text>,
}

impl<'a> Templates<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, found: HashMap::new(), bytes: 0 }
    }

    /// Writes the member `template` and returns the member of the source that it covers.
    pub(super) async fn write(
        &mut self,
        line: &mut Line,
        own: &Object,
        digest: Option<&Text>,
    ) -> Result<Option<&'static str>> {
        let mut reference = Object::default();
        let named = own.get("template");
        if let Some(digest) = digest {
            if let Some(id) = self.find(digest).await?.id {
                reference.set("id", id.to_json());
            }
            reference.set("digest", digest.to_json());
        } else if let Some(name) = own.read::<Text>("template") {
            reference.set("id", name.to_json());
        }
        if !reference.is_empty() {
            line.member("template", &reference.to_json());
        }
        // A template that is neither text nor absent is an unknown member.
        Ok(named.filter(|value| matches!(value.as_bytes().first(), Some(b'"' | b'n'))).map(|_| "template"))
    }

    /// Returns a template's prompt.
    pub(super) async fn prompt(&mut self, digest: &Text) -> Result<Option<Text>> {
        Ok(self.find(digest).await?.prompt)
    }

    async fn find(&mut self, digest: &Text) -> Result<Found> {
        if let Some(found) = self.found.get(digest) {
            return Ok(found.clone());
        }
        let template = self.store.load::<Template>(&TemplateDigest::from(digest.clone())).await?;
        let found = template.map(|template| Found {
            id: template.value.id.map(|id| id.as_text().clone()),
            prompt: template.value.system_prompt,
        });
        let found = found.unwrap_or_default();
        let size = |text: &Option<Text>| text.as_ref().map_or(0, |text| text.as_bytes().len());
        self.bytes += digest.as_bytes().len() + size(&found.id) + size(&found.prompt);
        if self.bytes > KEPT_BYTES {
            self.found.clear();
            self.bytes = 0;
        }
        self.found.insert(digest.clone(), found.clone());
        Ok(found)
    }
}
