//! Sessions that end soon, or have ended.

use nofx::Result;
use nofx::json::quote;
use nofx::workspace::{ExpiryEvent, ExpiryWatch};

use crate::crossing::shown;

/// Returns what is due by now, and how many milliseconds from now more is.
pub(crate) async fn due(watch: &mut ExpiryWatch) -> Result<String> {
    let events: Vec<_> = watch.poll().await?.iter().map(told).collect();
    let next = watch.next_due_in().map_or("null".to_owned(), |wait| wait.as_millis().to_string());
    Ok(format!(r#"{{"events":[{}],"nextDueMs":{next}}}"#, events.join(",")))
}

fn told(event: &ExpiryEvent) -> String {
    format!(r#"{{"type":{},"session":{}}}"#, quote(event.kind.name()), shown(&event.session))
}
