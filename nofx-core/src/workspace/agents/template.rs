//! Templates: each content stored once, and a name that points to the newest.

use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt};

use crate::batch::Expect;
use crate::entity::{Entity, RecordEntity, Template, TemplateDigest, TemplateId, TemplateName, key_of};
use crate::error::Result;
use crate::workspace::Workspace;

/// How many contents are read ahead when all templates are listed.
const AHEAD: usize = 16;

/// Templates: what agents are created from, and where a session's system prompt comes from.
///
/// ```
/// # use nofx_core::workspace::{NewSession, Workspace};
/// # use nofx_core::{Body, MemoryBackend, Store, entity::{Agent, Entity, Template}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// let reviewer = Body::parse(r#"{"id":"reviewer","systemPrompt":"Review the change."}"#)?;
/// let digest = workspace.save_template(&Template::from_body(&reviewer)?).await?;
///
/// let mut ada = Agent::new("ada", "Ada", "reviewer");
/// ada.template = Some(digest);
/// let session = workspace.create_session(&ada, NewSession::default()).await?;
/// assert_eq!(workspace.system_prompt(&session).await?.unwrap(), "Review the change.");
///
/// // The session keeps its content when the template changes or goes.
/// workspace.remove_template(&"reviewer".into()).await?;
/// assert!(workspace.template(&"reviewer".into()).await?.is_none());
/// assert_eq!(workspace.system_prompt(&session).await?.unwrap(), "Review the change.");
/// # Ok(()) }
/// ```
impl Workspace {
    /// Saves a content of a template and points its name to it; returns the digest by which agents and sessions refer
    /// to it.
    ///
    /// A content that is already there, whatever its spelling and member order, is kept as it is. Older contents under
    /// the name stay, for the sessions created from them.
    pub async fn save_template(&self, template: &Template) -> Result<TemplateDigest> {
        let (digest, body) = (template.digest(), &template.to_body()?);
        let (key, name) =
            (&template.key(), &template.id.as_ref().map(|id| TemplateName::new(id.clone(), digest.clone())));
        self.decide("save_template", move |attempt| async move {
            if attempt.has_happened() {
                return Ok(((), None));
            }
            let mut batch = self.store.batch();
            if self.store.get(std::slice::from_ref(key)).await?.iter().all(Option::is_none) {
                batch = batch.put(key.clone(), Expect::Absent, body.clone());
            }
            if let Some(name) = name {
                let newest = self.store.load::<TemplateName>(&name.id).await?;
                let expect = newest.as_ref().map_or(Expect::Absent, |newest| Expect::At(newest.version));
                if newest.is_none_or(|newest| newest.value.digest != name.digest) {
                    batch = batch.put(name.key(), expect, name.to_body()?);
                }
            }
            Ok(((), (!batch.is_empty()).then_some(batch)))
        })
        .await?;
        Ok(digest)
    }

    /// Reads the newest content of a template; `None` if there is none with that name.
    pub async fn template(&self, id: &TemplateId) -> Result<Option<Template>> {
        match self.store.load::<TemplateName>(id).await? {
            Some(name) => self.template_content(&name.value.digest).await,
            None => Ok(None),
        }
    }

    /// Reads one content of a template, such as that of a session; `None` if there is none.
    pub async fn template_content(&self, digest: &TemplateDigest) -> Result<Option<Template>> {
        Ok(self.store.load::<Template>(digest).await?.map(|found| found.value))
    }

    /// Returns the newest content of every template, in order of their names, read lazily.
    pub fn templates(&self) -> impl Stream<Item = Result<Template>> + Send + Unpin + use<> {
        self.templates_after(None)
    }

    /// Like [`templates`](Self::templates), but returns only templates whose names come after one, which need not
    /// exist.
    pub fn templates_after(
        &self,
        after: Option<&TemplateId>,
    ) -> impl Stream<Item = Result<Template>> + Send + Unpin + use<> {
        let store = self.store.clone();
        let names = self.store.list_after::<TemplateName>(after);
        let contents = names.map(move |name| {
            let store = store.clone();
            async move { store.load::<Template>(&name?.value.digest).await }
        });
        contents.buffered(AHEAD).try_filter_map(|found| async move { Ok(found.map(|found| found.value)) }).boxed()
    }

    /// Removes the name of a template; returns whether there was one. Its contents stay for the agents and sessions
    /// created from them.
    pub async fn remove_template(&self, id: &TemplateId) -> Result<bool> {
        let decided = self.decide("remove_template", move |attempt| async move {
            if attempt.has_happened() {
                return Ok((true, None));
            }
            Ok(match self.store.load::<TemplateName>(id).await? {
                Some(name) => {
                    let key = key_of::<TemplateName>(id);
                    (true, Some(self.store.batch().delete(key, Expect::At(name.version))))
                }
                None => (false, None),
            })
        });
        Ok(decided.await?.0)
    }
}
