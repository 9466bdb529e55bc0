//! The logs that hold the messages of a session.

use nofx_core::entity::{Entity, Session};
use nofx_core::json::Object;
use nofx_core::workspace::first_id;
use nofx_core::{LogKey, Record, RecordKey, Result, Store, kind};

use super::in_order::{Listed, object};

/// Returns the parts of a session's messages that come before those in its own log, each with its length, and that log.
pub(super) fn parts(session: &Object) -> (Vec<(LogKey, u64)>, LogKey) {
    let session = Session::from_object(session.clone());
    (session.pieces.iter().map(|piece| (piece.history(), piece.length)).collect(), session.log())
}

/// Returns whether a log is shown where it belongs: as part of a session that continues from it, or that others were restored from.
pub(super) async fn is_shown_elsewhere(store: &Store, log: &LogKey) -> Result<bool> {
    let shared = Record::fetch(store, &RecordKey::new(kind::HISTORY_SHARED, log.id())?).await?;
    if let Some(record) = shared
        && object(&record)?.read("owned") == Some(false)
    {
        return Ok(true);
    }
    // A rewound session continues in a log with a name of its own.
    let first = first_id(log.id());
    Ok(first != log.id() && Record::fetch(store, &RecordKey::new(kind::SESSION, first)?).await?.is_some())
}
