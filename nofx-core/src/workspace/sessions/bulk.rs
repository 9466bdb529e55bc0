//! The same verb on several sessions, each with its own result.

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream;

use crate::entity::{Session, SessionId};
use crate::error::Result;
use crate::workspace::{RestoreOptions, Workspace};

/// How many calls run concurrently, so that they share flushes.
const AT_ONCE: usize = 16;

impl Workspace {
    /// Restores several sessions; returns the result of each, in order.
    pub async fn restore_sessions(&self, ids: &[SessionId], options: RestoreOptions) -> Vec<Result<Session>> {
        self.each(ids, move |workspace, id| async move { workspace.restore_session(&id, options).await }).await
    }

    /// Archives several sessions; returns the result of each, in order.
    pub async fn archive_sessions(&self, ids: &[SessionId]) -> Vec<Result<Session>> {
        self.each(ids, move |workspace, id| async move { workspace.archive_session(&id).await }).await
    }

    /// Moves several sessions to the trash; returns the result of each, in order.
    pub async fn delete_sessions(&self, ids: &[SessionId]) -> Vec<Result<Session>> {
        self.each(ids, move |workspace, id| async move { workspace.delete_session(&id).await }).await
    }

    /// Takes several sessions out of the trash; returns the result of each, in order.
    pub async fn undelete_sessions(&self, ids: &[SessionId]) -> Vec<Result<Session>> {
        self.each(ids, move |workspace, id| async move { workspace.undelete_session(&id).await }).await
    }

    /// Permanently removes several sessions in the trash; returns the result of each, in order.
    pub async fn purge_sessions(&self, ids: &[SessionId]) -> Vec<Result<()>> {
        self.each(ids, move |workspace, id| async move { workspace.purge_session(&id).await }).await
    }

    /// Permanently removes several sessions, whether or not they are in the trash; returns the result of each, in
    /// order.
    pub async fn purge_live_sessions(&self, ids: &[SessionId]) -> Vec<Result<()>> {
        self.each(ids, move |workspace, id| async move { workspace.purge_live_session(&id).await }).await
    }

    async fn each<T, F>(&self, ids: &[SessionId], act: impl Fn(Self, SessionId) -> F) -> Vec<Result<T>>
    where
        F: Future<Output = Result<T>>,
    {
        if let Err(error) = self.takes_no_operation("a call on several sessions") {
            return ids.iter().map(|_| Err(error.clone())).collect();
        }
        // Each gets its own workspace and id, so that the whole can be sent to another thread.
        let all: Vec<_> = ids.iter().map(|id| act(self.clone(), id.clone())).collect();
        stream::iter(all).buffered(AT_ONCE).collect().await
    }
}
