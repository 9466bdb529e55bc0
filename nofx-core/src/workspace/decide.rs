//! Deciding again when others were faster.

use std::future::Future;

use super::Workspace;
use crate::batch::{Batch, Committed, Conflict};
use crate::error::{Error, Result};

/// How often a verb decides before it gives up because others keep changing the same things.
const TRIES: usize = 16;

impl Workspace {
    /// Reads, decides and commits, again while others change what was read: the one way in which verbs write.
    ///
    /// `decide` gets the conflict that its last decision met, and answers what the verb shall answer and a batch that
    /// expects what was read. No batch is no change. [`Conflict`](Error::Conflict) after too many tries.
    pub(super) async fn decide<T, F>(
        &self,
        decide: impl Fn(Option<Box<Conflict>>) -> F,
    ) -> Result<(T, Option<Committed>)>
    where
        F: Future<Output = Result<(T, Option<Batch>)>>,
    {
        let mut tries = 0;
        let mut met = None;
        loop {
            tries += 1;
            let (answer, batch) = decide(met.take()).await?;
            let Some(batch) = batch else { return Ok((answer, None)) };
            match self.store.commit(batch).await?.committed() {
                Ok(committed) => return Ok((answer, Some(committed))),
                Err(Error::Conflict(conflict)) if tries < TRIES => met = Some(conflict),
                Err(error) => return Err(error),
            }
        }
    }
}
