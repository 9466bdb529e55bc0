//! How verbs write: they read, decide and commit, and do so again after a concurrent change.
//!
//! Also makes a verb happen once within an operation.

use std::future::Future;

use super::Workspace;
use crate::batch::{Batch, Committed, Conflict};
use crate::error::{Error, Result};

/// How often a verb decides before it gives up because of concurrent changes.
const TRIES: usize = 16;

/// Which attempt of a verb to decide this is, and what became of those before it.
#[derive(Clone, Debug, Default)]
pub(super) enum Attempt {
    /// The first.
    #[default]
    First,
    /// The last decision conflicted with a concurrent change.
    AfterConflict(Box<Conflict>),
    /// The verb has already happened in this operation, with this result: the verb must return the same answer and change
    /// nothing.
    AlreadyHappened(Committed),
}

impl Attempt {
    /// Returns whether the verb has already happened.
    pub(super) fn has_happened(&self) -> bool {
        matches!(self, Self::AlreadyHappened(_))
    }
}

impl Workspace {
    /// Reads, decides and commits, and repeats while concurrent changes affect what was read. Verbs that depend on what
    /// they read write this way.
    ///
    /// `decide` gets the attempt, and returns the verb's answer and a batch that expects what was read. No
    /// batch means no change. [`Conflict`](Error::Conflict) after too many tries. In an operation, the answer always
    /// describes what has happened.
    pub(super) async fn decide<T, F>(&self, verb: &str, decide: impl Fn(Attempt) -> F) -> Result<(T, Option<Committed>)>
    where
        F: Future<Output = Result<(T, Option<Batch>)>>,
    {
        let id = self.operation_batch(verb);
        let happened = async || match id {
            Some(id) => self.remembered(id).await,
            None => Ok(None),
        };
        let mut attempt = happened().await?.map_or(Attempt::First, Attempt::AlreadyHappened);
        let mut tries = 0;
        loop {
            if let Attempt::AlreadyHappened(committed) = &attempt {
                let committed = committed.clone();
                return Ok((decide(attempt).await?.0, Some(committed)));
            }
            tries += 1;
            let decided = decide(std::mem::take(&mut attempt)).await;
            let Ok((answer, Some(mut batch))) = decided else {
                // What makes it fail, or leaves nothing to change, may be the effect of another call of the same
                // operation.
                match happened().await? {
                    Some(committed) => attempt = Attempt::AlreadyHappened(committed),
                    None => return Ok((decided?.0, None)),
                }
                continue;
            };
            if let Some(id) = id {
                batch.id = id;
            }
            match self.store.commit(batch).await?.committed() {
                // Another call of the operation may have committed first, with a different decision.
                Ok(committed) if id.is_some() => attempt = Attempt::AlreadyHappened(committed),
                Ok(committed) => return Ok((answer, Some(committed))),
                Err(Error::Conflict(conflict)) if tries < TRIES => attempt = Attempt::AfterConflict(conflict),
                Err(error) => return Err(error),
            }
        }
    }
}
