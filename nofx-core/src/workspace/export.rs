//! A session as one JSON text, for other programs and for [`Workspace::import_session`].
//!
//! The text is an object with these members in this order, without white space between its tokens:
//!
//! - `format`: `"nofx-session"`, and `version`: `1`;
//! - `session`: the session as an object, without what only the store needs;
//! - `template`: the content of its template, if it has one;
//! - `tasks`: `{"current": …, "ended": […]}`, the first only if there is one;
//! - `messages`: all of them in their order, those too that the session was restored with, with their whole contents.

use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::Workspace;
use super::history::END;
use crate::entity::{Entity, SessionId, Task, foreign};
use crate::error::{Error, Result};
use crate::query::Direction;

/// The name of the format.
pub(super) const FORMAT: &str = "nofx-session";

/// The newest version of the format that this version knows, and the one it writes.
pub(super) const VERSION: u32 = 1;

impl Workspace {
    /// Returns a session as JSON, in pieces that joined are one text; messages are read as pieces are asked for.
    ///
    /// `Invalid` if there is no such session, `TooNew` if a later version wrote something of it. What cannot be read ends the
    /// stream with its error: a text that is not complete is no JSON.
    pub async fn export_json(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = Result<String>> + Send + Unpin + use<>> {
        let session = self.find(id).await?.session;
        let mut head = format!(r#"{{"format":"{FORMAT}","version":{VERSION},"session":{}"#, outside(&session)?);
        if let Some(digest) = &session.template {
            let template = self.template_content(digest).await?;
            let template = template.ok_or_else(|| Error::corrupt(format!("template/{digest}")))?;
            head.push_str(&format!(r#","template":{}"#, outside(&template)?));
        }
        let tasks = self.tasks(id).await?;
        let current = tasks.current.as_ref().map(outside::<Task>).transpose()?;
        let current = current.map(|task| format!(r#""current":{task},"#)).unwrap_or_default();
        let ended = tasks.ended.iter().map(outside::<Task>).collect::<Result<Vec<_>>>()?;
        head.push_str(&format!(r#","tasks":{{{current}"ended":[{}]}},"messages":["#, ended.join(",")));

        let mut comma = "";
        let messages = self.history(&session, 0..END, Direction::Forward, None).map(move |entry| {
            let piece = format!("{comma}{}", outside(&entry?.message)?);
            comma = ",";
            Ok(piece)
        });
        let mut failed = false;
        let until_failed = move |piece: &Result<String>| {
            let wanted = !failed;
            failed |= piece.is_err();
            std::future::ready(wanted)
        };
        let all = stream::iter([Ok(head)]).chain(messages).chain(stream::iter([Ok("]}".to_owned())]));
        Ok(all.take_while(until_failed).boxed())
    }
}

/// Returns an entity as it is outside the store. `TooNew` if a later version wrote it: what the text leaves out may matter.
fn outside<E: Entity>(entity: &E) -> Result<String> {
    entity.require_known_schema()?;
    Ok(foreign(&entity.to_object()).to_json())
}
