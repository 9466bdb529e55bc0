//! Lists the sessions that an import has written as records only.

use futures_util::TryStreamExt;
use nofx::entity::{Entity, EntityId, Session};
use nofx::workspace::{Workspace, index_new_session};
use nofx::{Result, ScanQuery, kind};

/// Sessions that are looked at, and listed, together.
const PAGE: usize = 500;

/// Gives every session without a place in the order of activity the one of its last message.
pub(crate) async fn list_unlisted(workspace: &Workspace) -> Result<()> {
    let store = workspace.store();
    let mut pages = store.scan(ScanQuery::of(kind::SESSION, PAGE)).try_chunks(PAGE);
    while let Some(records) = pages.try_next().await.map_err(|stopped| stopped.1)? {
        let sessions = records.iter().filter_map(|record| Session::from_body(&record.body).ok());
        let sessions: Vec<_> = sessions.collect();
        let keys: Vec<_> = sessions.iter().map(|session| session.id.record_key(kind::ACTIVITY_PLACE)).collect();
        let places = store.get(&keys).await?;
        let mut batch = store.batch();
        for (session, _) in sessions.iter().zip(&places).filter(|(_, place)| place.is_none()) {
            let head = store.head(&Session::history(&session.id)).await?;
            batch = index_new_session(batch, session, session.last_active_at.max(head.last_at).unwrap_or_default())?;
        }
        if !batch.is_empty() {
            store.commit(batch).await?.committed()?;
        }
    }
    Ok(())
}
