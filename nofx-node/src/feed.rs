//! The change feed behind `watch`.

use nofx::Cursor;
use nofx::Result;
use nofx::json::{Text, Value, quote};
use nofx::workspace::{Event, Events, Workspace};

use crate::request::Request;

/// Commits per answer.
const LIMIT: usize = 1000;

/// Returns where the feed ends.
pub(crate) async fn end(workspace: &Workspace) -> Result<String> {
    Ok(quote(&workspace.events_end().await?.0))
}

/// Returns what happened since a cursor, or as far back as the store remembers.
pub(crate) async fn events(workspace: &Workspace, request: &Request) -> Result<String> {
    let after = request.optional::<Text>("after")?.map(|after| Cursor(after.to_string()));
    let (events, next, gap, at_end) = match workspace.events(after.as_ref(), LIMIT).await? {
        Events::Page { events, next, at_end } => (events, next, false, at_end),
        Events::Gap { newest } => (Vec::new(), newest, true, true),
    };
    let events: Vec<_> = events.iter().map(written).collect();
    let (cursor, events) = (quote(&next.0), events.join(","));
    Ok(format!(r#"{{"cursor":{cursor},"gap":{gap},"atEnd":{at_end},"events":[{events}]}}"#))
}

fn written(event: &Event) -> String {
    let mut json = format!(r#"{{"type":{}"#, quote(event.kind.name()));
    let members = [
        ("session", event.session.as_ref().map(Value::write)),
        ("agent", event.agent.as_ref().map(Value::write)),
        ("task", event.task.as_ref().map(Value::write)),
        ("length", event.length.as_ref().map(Value::write)),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            json.push_str(&format!(r#","{name}":{value}"#));
        }
    }
    json + "}"
}
