//! How verbs write: they read, decide and commit, and do so again after a concurrent change.
//!
//! Also makes a verb happen once within an operation.

use std::future::Future;

use super::Workspace;
use crate::batch::{Batch, Committed, Conflict};
use crate::error::{Error, Result};

/// How often a verb decides before it gives up because of concurrent changes.
const TRIES: usize = 16;

/// What a verb knows before it decides.
#[derive(Clone, Debug, Default)]
pub(super) enum Before {
    /// Nothing.
    #[default]
    Nothing,
    /// Its last decision conflicted with a concurrent change.
    Conflict(Box<Conflict>),
    /// It has already happened in this operation, with this result: the verb must return the same answer and change
    /// nothing.
    Happened(Committed),
}

impl Before {
    /// Returns whether it has happened.
    pub(super) fn has_happened(&self) -> bool {
        matches!(self, Self::Happened(_))
    }
}

impl Workspace {
    /// Reads, decides and commits, and repeats while concurrent changes affect what was read. Verbs that depend on what
    /// they read write this way.
    ///
    /// `decide` gets what is known so far, and returns the verb's answer and a batch that expects what was read. No
    /// batch means no change. [`Conflict`](Error::Conflict) after too many tries. In an operation, the answer always
    /// describes what has happened.
    pub(super) async fn decide<T, F>(&self, verb: &str, decide: impl Fn(Before) -> F) -> Result<(T, Option<Committed>)>
    where
        F: Future<Output = Result<(T, Option<Batch>)>>,
    {
        let id = self.operation_batch(verb);
        let happened = async || match id {
            Some(id) => self.remembered(id).await,
            None => Ok(None),
        };
        let mut before = happened().await?.map_or(Before::Nothing, Before::Happened);
        let mut tries = 0;
        loop {
            if let Before::Happened(committed) = &before {
                let committed = committed.clone();
                return Ok((decide(before).await?.0, Some(committed)));
            }
            tries += 1;
            let decided = decide(std::mem::take(&mut before)).await;
            let Ok((answer, Some(mut batch))) = decided else {
                // What makes it fail, or leaves nothing to change, may be the effect of another call of the same
                // operation.
                match happened().await? {
                    Some(committed) => before = Before::Happened(committed),
                    None => return Ok((decided?.0, None)),
                }
                continue;
            };
            if let Some(id) = id {
                batch.id = id;
            }
            match self.store.commit(batch).await?.committed() {
                // Another call of the operation may have committed first, with a different decision.
                Ok(committed) if id.is_some() => before = Before::Happened(committed),
                Ok(committed) => return Ok((answer, Some(committed))),
                Err(Error::Conflict(conflict)) if tries < TRIES => before = Before::Conflict(conflict),
                Err(error) => return Err(error),
            }
        }
    }
}
