//! The trash: moving sessions into it, taking them out, and purging them.

use super::session::FoundSession;
use crate::batch::{Batch, Expect};
use crate::body::Body;
use crate::entity::{Entity, EntityId, RecordEntity, Session, SessionId};
use crate::error::{Error, Result};
use crate::json::Value;
use crate::kind::TOMBSTONE;
use crate::workspace::Workspace;
use crate::workspace::conversation::log_readers::release;
use crate::workspace::event::{EventKind, with_event};

impl Workspace {
    /// Moves a session to the trash, from which [`undelete_session`](Self::undelete_session) takes it out again.
    ///
    /// Deleting a deleted session is no change.
    pub async fn delete_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session("delete_session", id, |session, now| {
            session.deleted_at = session.deleted_at.or(Some(now));
            Ok(Some(EventKind::SessionDeleted))
        })
        .await
    }

    /// Takes a session out of the trash unchanged. One that is not in the trash stays as it is.
    pub async fn undelete_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session("undelete_session", id, |session, _| {
            session.deleted_at = None;
            Ok(Some(EventKind::SessionUndeleted))
        })
        .await
    }

    /// Permanently removes a session in the trash, in one commit. A tombstone stays, so that no import brings it back;
    /// its key becomes free.
    ///
    /// Messages that other sessions were restored with stay for those sessions. `Invalid` if the session is not in the
    /// trash. `TooNew` if a later version wrote it, because this version cannot know what belongs to it.
    pub async fn purge_session(&self, id: &SessionId) -> Result<()> {
        self.purge(id, |session| match session.deleted_at {
            Some(_) => Ok(()),
            None => Err(Error::invalid(format!("session `{id}` is not in the trash; delete it first"))),
        })
        .await
    }

    /// Permanently removes a session in one commit, whether or not it is in the trash; otherwise like
    /// [`purge_session`](Self::purge_session). This cannot be undone.
    pub async fn purge_live_session(&self, id: &SessionId) -> Result<()> {
        self.purge(id, |_| Ok(())).await
    }

    async fn purge(&self, id: &SessionId, may: impl Fn(&Session) -> Result<()>) -> Result<()> {
        let may = &may;
        self.decide("purge_session", move |attempt| async move {
            if attempt.has_happened() {
                return Ok(((), None));
            }
            let found = self.find(id).await?;
            found.session.require_known_schema()?;
            may(&found.session)?;
            Ok(((), Some(self.purge_batch(&found).await?)))
        })
        .await?;
        Ok(())
    }

    async fn purge_batch(&self, found: &FoundSession) -> Result<Batch> {
        let id = &found.session.id;
        let namespace = self.namespace.to_text().map(|name| format!(r#","namespace":{}"#, name.write()));
        let (at, namespace) = (self.now().write(), namespace.unwrap_or_default());
        let tombstone = Body::trusted(format!(r#"{{"session":{},"at":{at}{namespace}}}"#, id.write()));
        let batch = with_event(self.store.batch(), EventKind::SessionPurged)
            .delete(found.session.key(), Expect::At(found.version))
            .put(id.record_key(TOMBSTONE), Expect::Any, tombstone)
            .remove(Session::tasks(id));
        let batch = self.free_key(batch, &found.session).await?;
        release(&self.store, found.moved(batch, None)?, &found.session).await
    }

    /// Returns whether a session was purged.
    pub async fn is_purged(&self, id: &SessionId) -> Result<bool> {
        Ok(self.store.get(&[id.record_key(TOMBSTONE)]).await?.iter().any(Option::is_some))
    }
}
