//! Committing a group: each caller gets its own answer, and unknown outcomes are settled.

use std::sync::Arc;

use super::turn::Waiting;
use crate::backend::PersistenceBackend;
use crate::batch::{Batch, Outcome};
use crate::error::{Error, Result};

/// How often a group with an unknown outcome is committed in all.
const SETTLE_TRIES: usize = 3;

/// Commits a group and answers its callers.
pub(super) async fn commit(backend: Arc<dyn PersistenceBackend>, group: Vec<Waiting>) {
    let backend = &*backend;
    let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|one| (one.batch, one.answer)).unzip();
    let Settled { result, unknown } = settle(backend, &batches, None).await;
    match result {
        Ok(outcomes) => answers.into_iter().zip(outcomes).for_each(|(answer, outcome)| _ = answer.send(Ok(outcome))),
        // A caller must not fail because a neighbour asks for too much or for damaged data, so each batch is tried
        // alone. Other errors are not about one batch: trying each alone would only repeat them.
        Err(Error::Full(_) | Error::Invalid(_) | Error::Corrupt(_)) if batches.len() > 1 => {
            for (batch, answer) in batches.into_iter().zip(answers) {
                let alone = settle(backend, &[batch], unknown.clone()).await;
                _ = answer.send(alone.into_result().and_then(only));
            }
        }
        result => {
            let error = Settled { result, unknown }.into_result().err();
            answers.into_iter().zip(error.into_iter().cycle()).for_each(|(answer, error)| _ = answer.send(Err(error)));
        }
    }
}

/// How committing a group ended, and whether an earlier attempt may have happened.
struct Settled {
    result: Result<Vec<Outcome>>,
    unknown: Option<Error>,
}

impl Settled {
    /// Returns the result to report to callers: once an attempt may have happened, no later failure may say that none
    /// did.
    fn into_result(self) -> Result<Vec<Outcome>> {
        self.result.map_err(|error| self.unknown.unwrap_or(error))
    }
}

/// Commits a group, and again while its outcome is unknown: the ids of its batches make that safe.
async fn settle(backend: &dyn PersistenceBackend, batches: &[Batch], mut unknown: Option<Error>) -> Settled {
    let mut tries = 0;
    loop {
        tries += 1;
        let result = backend.commit(batches.to_vec()).await;
        if let Err(Error::Unknown(_)) = &result {
            unknown = result.as_ref().err().cloned();
            if tries < SETTLE_TRIES {
                continue;
            }
        }
        return Settled { result, unknown };
    }
}

fn only(outcomes: Vec<Outcome>) -> Result<Outcome> {
    outcomes.into_iter().next().ok_or_else(|| Error::corrupt("the outcomes of a commit, one of which is missing"))
}
