//! Messages: added, and read in pages.

use futures_util::TryStreamExt;
use nofx::entity::{Entity, Message, SessionId, foreign, own};
use nofx::json::{Object, Value};
use nofx::workspace::{HistoryEntry, Workspace};
use nofx::{Direction, Error, PAGE_BYTES, Result};

use crate::request::Request;

/// Messages of a page where the caller did not say.
const PAGE: u64 = 256;

/// The longest page of messages.
const LONGEST_PAGE: u64 = 10_000;

pub(crate) async fn add(workspace: &Workspace, request: &Request) -> Result<String> {
    let messages = read(workspace, request)?;
    let places = workspace.add_messages(&request.required("session")?, messages).await?;
    Ok(places.start.to_string())
}

/// Reads the messages of a request. Id and time are added where they are missing.
pub(crate) fn read(workspace: &Workspace, request: &Request) -> Result<Vec<Message>> {
    let given: Vec<Object> = request.required("messages")?;
    if given.is_empty() {
        return Err(Error::invalid("`messages` is empty"));
    }
    given.iter().map(|given| message(workspace, given)).collect()
}

fn message(workspace: &Workspace, given: &Object) -> Result<Message> {
    let mut message = Message::from_object(own(given));
    let Some(role) = message.role.clone() else {
        return Err(Error::invalid("a message has no `type`: user, assistant, system or tool"));
    };
    let made = workspace.message(role, "");
    message.id = message.id.or(made.id);
    message.timestamp = message.timestamp.or(made.timestamp);
    Ok(message)
}

/// Reads one page of a session's history. Nothing is held until the next one is asked for.
pub(crate) async fn history(workspace: &Workspace, request: &Request) -> Result<String> {
    let id: SessionId = request.required("session")?;
    let session = workspace.session(&id).await?;
    let session =
        session.ok_or_else(|| Error::invalid(format!("there is no session `{}`", id.to_string().escape_debug())))?;
    let range = request.optional("from")?.unwrap_or(0)..request.optional("to")?.unwrap_or(u64::MAX);
    let limit = request.optional("limit")?.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let direction = match request.optional("newestFirst")? {
        Some(true) => Direction::Backward,
        _ => Direction::Forward,
    };

    let mut entries = workspace.history(&session, range.clone(), direction, Some(limit as usize));
    let mut json = r#"{"items":["#.to_owned();
    let (mut count, mut last) = (0, None);
    while count < limit && json.len() < PAGE_BYTES {
        let Some(entry) = entries.try_next().await? else {
            last = None;
            break;
        };
        if count > 0 {
            json.push(',');
        }
        write_entry(&entry, &mut json);
        count += 1;
        last = Some(entry.position);
    }
    // Where the next page begins: behind the last message, or below it.
    let next = last.map(|last| match direction {
        Direction::Forward => last + 1..range.end,
        Direction::Backward => range.start..last,
    });
    let next = next.filter(|next| !next.is_empty()).map_or("null".to_owned(), |next| match direction {
        Direction::Forward => next.start.to_string(),
        Direction::Backward => next.end.to_string(),
    });
    json.push_str(&format!(r#"],"next":{next}}}"#));
    Ok(json)
}

/// Writes an entry: its place, its time, who wrote it, and the message without the store's own members.
pub(crate) fn write_entry(entry: &HistoryEntry, json: &mut String) {
    json.push_str(&format!(r#"{{"position":{},"at":{},"#, entry.position, entry.at.write()));
    if let Some(writer) = &entry.message.writer {
        json.push_str(&format!(r#""writer":{},"#, writer.to_json()));
    }
    json.push_str(r#""message":"#);
    json.push_str(&foreign(entry.message.object()).to_json());
    json.push('}');
}
