//! Messages: adding them, and reading them in pages.

use std::ops::Range;

use futures_util::StreamExt;
use nofx::entity::{Entity, Message, Session, SessionId, own};
use nofx::json::Object;
use nofx::workspace::{Appended, Workspace};
use nofx::{Direction, Error, LogQuery, PAGE_BYTES, Result, Timestamp};

use crate::crossing::{write_message, write_unreadable};
use crate::history_page::HistoryPage;
use crate::request::{Request, excerpt};
use crate::sessions::seen;

/// Messages per page if the caller did not say.
const PAGE: u64 = 256;

/// The most messages per page.
const MAX_PAGE: u64 = 10_000;

pub(crate) async fn add(workspace: &Workspace, request: &Request) -> Result<String> {
    let messages = read(workspace, request)?;
    let places = workspace.add_messages(&request.required("session")?, messages).await?;
    Ok(places.start.to_string())
}

/// Adds messages unless others have added any after those that the caller has seen; in that case, answers theirs.
pub(crate) async fn append_at(workspace: &Workspace, request: &Request) -> Result<String> {
    let messages = read(workspace, request)?;
    let (session, seen) = (request.required("session")?, seen(request)?);
    Ok(match workspace.append_at(&session, seen, messages).await? {
        Appended::Done(position) => format!(r#"{{"added":true,"position":{position}}}"#),
        Appended::Unseen(entries) => {
            let mut unseen = Vec::new();
            for entry in &entries {
                match entry {
                    Ok(entry) => {
                        let mut json = String::new();
                        write_message((entry.position, entry.at), &entry.message, &mut json);
                        unseen.push(json);
                    }
                    // Each position has an item, even if several messages are damaged together.
                    Err(error) => unseen.extend(error.positions().unwrap_or_default().map(|position| {
                        let mut json = String::new();
                        write_unreadable(position, None, error, &mut json);
                        json
                    })),
                }
            }
            format!(r#"{{"added":false,"unseen":[{}]}}"#, unseen.join(","))
        }
    })
}

/// Reads the messages of a request. Missing ids and times are added.
fn read(workspace: &Workspace, request: &Request) -> Result<Vec<Message>> {
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
    if message.content.is_none() {
        return Err(Error::invalid(match given.get("content") {
            None => "a message has no `content`".to_owned(),
            Some(other) => format!("`content` of a message is {}; it must be text", excerpt(other)),
        }));
    }
    if let Some(other) = given.get("timestamp").filter(|_| message.timestamp.is_none()) {
        return Err(Error::invalid(format!("`timestamp` of a message is {}; it must be a time", excerpt(other))));
    }
    let made = workspace.message(role, "");
    message.id = message.id.or(made.id);
    message.timestamp = message.timestamp.or(made.timestamp);
    Ok(message)
}

/// Reads one page of a session's history, as a [`HistoryPage`]; the last text says where the next page begins. Nothing is held between pages.
pub(crate) async fn history(workspace: &Workspace, request: &Request) -> Result<Vec<String>> {
    let id: SessionId = request.required("session")?;
    let session = workspace.session(&id).await?;
    let session = session.ok_or_else(|| Error::not_found(format!("session `{}`", id.to_string().escape_debug())))?;
    let places = request.optional("from")?.unwrap_or(0)..request.optional("to")?.unwrap_or(u64::MAX);
    let limit = request.optional("limit")?.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let direction = match request.optional("newestFirst")? {
        Some(true) => Direction::Backward,
        _ => Direction::Forward,
    };
    let since = request.time("since")?;
    let (mut parts, last) = page(workspace, &session, places.clone(), direction, limit, since).await?;
    // What is left of the positions after the last message, or before it.
    let next = last.and_then(|last| match direction {
        Direction::Forward => Some(last + 1).filter(|next| *next < places.end),
        Direction::Backward => Some(last).filter(|next| *next > places.start),
    });
    parts.push(next.map_or("null".to_owned(), |next| next.to_string()));
    Ok(parts)
}

/// Returns entries, and the position of the last one unless all were read.
async fn page(
    workspace: &Workspace,
    session: &Session,
    places: Range<u64>,
    direction: Direction,
    limit: u64,
    since: Option<Timestamp>,
) -> Result<(Vec<String>, Option<u64>)> {
    let store = workspace.store();
    let (mut page, mut count) = (HistoryPage::default(), 0);
    let mut parts = session.parts();
    if direction == Direction::Backward {
        parts.reverse();
    }
    for (log, part) in parts {
        let wanted = places.start.max(part.start)..places.end.min(part.end);
        if wanted.is_empty() {
            continue;
        }
        let range = wanted.start - part.start..wanted.end - part.start;
        let mut entries = store.read(LogQuery { log, range, direction, limit: (limit - count) as usize });
        while let Some(entry) = entries.next().await {
            let found = match &entry {
                // Clocks may have gone back, so every message is judged by its own time.
                Ok(entry) if since.is_some_and(|since| entry.at < since) => continue,
                Ok(entry) => entry.position..entry.position + 1,
                Err(error) => match error.positions().filter(|_| error.is_of_one_thing()) {
                    Some(positions) => positions,
                    None => return Err(error.clone()),
                },
            };
            // Each position has an item, even if several messages are damaged together.
            for at in 0..found.end - found.start {
                let position = part.start
                    + match direction {
                        Direction::Forward => found.start + at,
                        Direction::Backward => found.end - 1 - at,
                    };
                match &entry {
                    Ok(entry) => page.add(store, position, entry.at, &entry.body).await,
                    Err(error) => page.add_unreadable(position, None, error),
                }
                count += 1;
                if count == limit || page.bytes() >= PAGE_BYTES {
                    return Ok((page.into_texts(), Some(position)));
                }
            }
        }
    }
    Ok((page.into_texts(), None))
}
