//! Sessions that expire soon or have expired.

use nofx::Result;
use nofx::json::quote;
use nofx::workspace::{ExpiryEvent, ExpiryWatch};

use crate::crossing::shown;

/// Returns what is due now, and in how many milliseconds more is due.
pub(crate) async fn due(watch: &mut ExpiryWatch) -> Result<String> {
    let events: Vec<_> = watch.poll().await?.iter().map(to_json).collect();
    let next = watch.next_due_in().map_or("null".to_owned(), |wait| wait.as_millis().to_string());
    Ok(format!(r#"{{"events":[{}],"nextDueMs":{next}}}"#, events.join(",")))
}

fn to_json(event: &ExpiryEvent) -> String {
    format!(r#"{{"type":{},"session":{}}}"#, quote(event.kind.name()), shown(&event.session))
}
