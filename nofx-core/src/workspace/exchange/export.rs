//! A session as one JSON text, for other programs and for [`Workspace::import_session`].
//!
//! The text is an object with these members in this order, without white space between its tokens:
//!
//! - `format`: `"nofx-session"`, and `version`: `1`;
//! - `session`: the session as an object, without what only the store needs;
//! - `template`: the content of its template, if it has one;
//! - `tasks`: `{"current": …, "ended": […]}`, the first only if there is one, and `"unreadable": […]` with reasons if
//!   some cannot be read;
//! - `messages`: all of them in order, including those that the session was restored with, with their whole contents.
//!   Unreadable messages are replaced by a system message that says so; its members `unreadable` and `code` are for
//!   programs.

use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::markdown::which;
use crate::entity::{Entity, SessionId, Task, foreign};
use crate::error::{Error, Result};
use crate::json::quote;
use crate::query::Direction;
use crate::workspace::conversation::history::END;
use crate::workspace::{HistoryEntry, Workspace};

/// The name of the format.
pub(crate) const FORMAT: &str = "nofx-session";

/// The newest version of the format that this version can read, and the one it writes.
pub(crate) const VERSION: u32 = 1;

/// Sessions as text: JSON for programs, which can be imported again, Markdown and HTML for people.
///
/// ```
/// # use futures_util::TryStreamExt;
/// # use nofx_core::workspace::{ImportAs, NewSession, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::{Agent, Role}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// # let session = workspace.create_session(&Agent::new("ada", "Ada", "tester"), NewSession::default()).await?;
/// workspace.add_message(&session.id, workspace.message(Role::User, "please sort the list")).await?;
///
/// // In pieces, so that a long session can be written to a file as it is read.
/// let json: String = workspace.export_json(&session.id).await?.try_collect().await?;
/// let other = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// let imported = other.import_session(&json, ImportAs::Itself).await?;
/// assert_eq!((&imported.id, other.history_length(&imported).await?), (&session.id, 1));
///
/// let markdown: String = other.export_markdown(&imported.id).await?.try_collect().await?;
/// assert!(markdown.contains("please sort the list"));
/// # Ok(()) }
/// ```
impl Workspace {
    /// Returns a session as JSON, in pieces that form one text when joined; messages are read lazily.
    ///
    /// `NotFound` if there is no such session, `TooNew` if a later version wrote it. For messages and tasks that are
    /// damaged, or were written by a later version, the text has a substitute, and an error follows its piece: joined
    /// without the errors, the pieces are one text with everything else. Any other error ends the stream.
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
        let lost: Vec<_> = tasks.unreadable.iter().map(|error| quote(&error.chain())).collect();
        let lost = if lost.is_empty() { String::new() } else { format!(r#","unreadable":[{}]"#, lost.join(",")) };
        head.push_str(&format!(r#","tasks":{{{current}"ended":[{}]{lost}}},"messages":["#, ended.join(",")));
        let head = [Ok(head)].into_iter().chain(tasks.unreadable.into_iter().map(Err));

        let mut comma = "";
        let messages = self.history(&session, 0..END, Direction::Forward, None).flat_map(move |entry| {
            let (message, error) = written(entry);
            let piece = message.map(|message| Ok(format!("{comma}{message}")));
            comma = ",";
            stream::iter(piece.into_iter().chain(error.map(Err)))
        });
        let all = stream::iter(head).chain(messages).chain(stream::iter([Ok("]}".to_owned())]));
        Ok(until_failed(all).boxed())
    }
}

/// Ends the pieces of a text after the first error that is not of one thing: the text must not look whole.
pub(super) fn until_failed(pieces: impl Stream<Item = Result<String>>) -> impl Stream<Item = Result<String>> {
    let mut failed = false;
    pieces.take_while(move |piece| {
        let wanted = !failed;
        failed |= piece.as_ref().is_err_and(|error| !error.is_of_one_thing());
        std::future::ready(wanted)
    })
}

/// Returns a message as it is outside the store, or the substitute for unreadable ones; and why they are unreadable.
fn written(entry: Result<HistoryEntry>) -> (Option<String>, Option<Error>) {
    let written = entry.and_then(|entry| {
        let place = entry.position..entry.position.saturating_add(1);
        outside(&entry.message).map_err(|error| error.at("a message", place))
    });
    match written {
        Ok(message) => (Some(message), None),
        Err(error) if error.is_of_one_thing() => (Some(mark(&error)), Some(error)),
        Err(error) => (None, Some(error)),
    }
}

/// Returns the substitute for unreadable messages.
fn mark(error: &Error) -> String {
    let (why, code) = (error.chain(), error.code());
    let id = error.positions().map_or("unreadable".to_owned(), |places| format!("unreadable-{}", places.start));
    let content = quote(&format!("[{} cannot be read: {why}]", which(error)));
    format!(r#"{{"id":"{id}","type":"system","content":{content},"unreadable":{},"code":"{code}"}}"#, quote(&why))
}

/// Returns an entity as it is outside the store. `TooNew` if a later version wrote it: what the text leaves out may
/// matter.
fn outside<E: Entity>(entity: &E) -> Result<String> {
    entity.require_known_schema()?;
    Ok(foreign(&entity.to_object()).to_json())
}
