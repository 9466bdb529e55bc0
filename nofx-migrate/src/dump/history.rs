//! Of which logs the messages of a session consist.

use nofx_core::entity::{Entity, EntityId, Session, SessionId};
use nofx_core::json::Object;
use nofx_core::{LogKey, Record, Result, Store, kind};

use super::in_order::{Listed, object};

/// Returns the parts of other sessions' messages that come before a session's own, each with its length.
pub(super) fn inherited(session: &Object) -> Vec<(LogKey, u64)> {
    let pieces = Session::from_object(session.clone()).pieces;
    pieces.iter().map(|piece| (Session::history(&piece.session), piece.length)).collect()
}

/// Tells whether a session is gone, and its messages are there only because others were restored from it.
pub(super) async fn is_kept_for_others(store: &Store, session: &SessionId) -> Result<bool> {
    let shared = Record::fetch(store, &session.record_key(kind::HISTORY_SHARED)).await?;
    Ok(match shared {
        Some(record) => object(&record)?.read("owned") == Some(false),
        None => false,
    })
}
