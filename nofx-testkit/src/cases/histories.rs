//! Random histories on the backend under test and on the oracle, side by side.

use std::cell::Cell;
use std::fmt::Debug;

use nofx_core::{Durability, IdSource, MemoryBackend, RandomIds, Result, SeededIds};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::history::{Step, entries, history, log, record};
use crate::subject::{Handle, StoreContent, Subject};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// How many histories are tried.
const HISTORIES: &str = "NOFX_CONFORMANCE_HISTORIES";
/// The first seed; a failing history prints its seed.
const SEED: &str = "NOFX_CONFORMANCE_SEED";

/// Few enough to take seconds, because a run without a given seed tries different ones each time.
const USUAL_HISTORIES: u32 = 48;

pub(super) async fn random_histories_agree_with_the_oracle(subject: Subject) -> CaseResult {
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        try_histories(seed()?, histories()?, |steps| {
            let subject = subject.clone();
            runtime.block_on(async move { agree(&subject.elsewhere().await?, steps).await })
        })
    });
    tried.await?
}

fn histories() -> CaseResult<u32> {
    match std::env::var(HISTORIES) {
        Ok(count) => Ok(count.parse()?),
        Err(_) => Ok(USUAL_HISTORIES),
    }
}

fn seed() -> CaseResult<u64> {
    if let Ok(seed) = std::env::var(SEED) {
        return Ok(seed.parse()?);
    }
    let mut bytes = [0; 8];
    // An id must be random in ten bytes; these are random enough.
    RandomIds.fill(&mut bytes);
    Ok(u64::from_le_bytes(bytes))
}

/// Tries histories until one fails, and then shrinks it.
fn try_histories(seed: u64, histories: u32, agree: impl Fn(&[Step]) -> CaseResult) -> CaseResult {
    println!("histories of {SEED}={seed}");
    let mut bytes = [0; 32];
    SeededIds::new(seed).fill(&mut bytes);
    let config = Config { cases: histories, failure_persistence: None, max_shrink_iters: 5000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let tried = Cell::new(0);
    let result = runner.run(&history(), |steps| {
        tried.set(tried.get() + 1);
        agree(&steps).map_err(|unmet| TestCaseError::fail(unmet.to_string()))
    });
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Abort(reason)) => Err(Unmet::new(format!("no histories to try: {reason}"))),
        Err(TestError::Fail(reason, steps)) => Err(Unmet::new(format!(
            "{reason}\n    after {} steps, found with {SEED}={seed} and shortened in {} attempts:\n{steps:#?}",
            steps.len(),
            tried.get(),
        ))),
    }
}

/// The backend under test, through two handles, and the oracle.
struct Pair<'a> {
    subject: &'a Subject,
    handles: Vec<Handle>,
    current: usize,
    oracle: MemoryBackend,
    committed: Vec<nofx_core::Batch>,
}

/// Applies the same steps to both and compares every answer, and finally their whole content.
async fn agree(subject: &Subject, steps: &[Step]) -> CaseResult {
    let handles = vec![subject.open().await?, subject.open().await?];
    let mut pair = Pair { subject, handles, current: 0, oracle: MemoryBackend::new(), committed: Vec::new() };
    for step in steps {
        pair.take(step).await?;
    }
    pair.hold_the_same().await
}

impl Pair<'_> {
    async fn take(&mut self, step: &Step) -> CaseResult {
        use nofx_core::PersistenceBackend as _;
        let (handle, oracle) = (self.handles[self.current].clone(), &self.oracle);
        match step {
            Step::Commit(drafts, twice) => {
                let mut group = Vec::new();
                for draft in drafts {
                    let number = self.committed.len() as u64;
                    let batch = draft.batch(number, &self.oracle).await?;
                    self.committed.push(batch.clone());
                    group.push(batch);
                }
                if let Some(batch) = twice.and_then(|at| group.get(at)) {
                    group.push(batch.clone());
                }
                let expected = self.oracle.commit(group.clone()).await;
                same("outcomes", handle.commit(group).await, expected)
            }
            Step::Again(back) => {
                let Some(batch) = self.committed.iter().rev().nth(*back) else { return Ok(()) };
                let group = vec![batch.clone()];
                same(
                    "the outcome of a batch that was committed before",
                    handle.commit(group.clone()).await,
                    oracle.commit(group).await,
                )
            }
            Step::Reopen => self.reopen().await,
            Step::OtherHandle => {
                self.current = 1 - self.current;
                Ok(())
            }
            Step::Scan(keys) => {
                let query = keys.of_records()?;
                same("a page of records", handle.scan(&query).await, oracle.scan(&query).await)
            }
            Step::Logs(keys) => {
                let query = keys.of_logs()?;
                same("a page of logs", handle.logs(&query).await, oracle.logs(&query).await)
            }
            Step::Read { log, start, length, backward, limit } => {
                let query = entries(*log, *start, *length, *backward, *limit)?;
                same("a page of entries", handle.read(&query).await, oracle.read(&query).await)
            }
            Step::Ask(names) => {
                let keys = names.iter().copied().map(record).collect::<Result<Vec<_>>>()?;
                same("records", handle.get(&keys).await, oracle.get(&keys).await)?;
                let logs = names.iter().copied().map(log).collect::<Result<Vec<_>>>()?;
                same("heads", handle.heads(&logs).await, oracle.heads(&logs).await)
            }
        }
    }

    async fn reopen(&mut self) -> CaseResult {
        if self.handles[0].info().durability == Durability::Process {
            return Ok(());
        }
        for handle in &self.handles {
            handle.close().await?;
        }
        // All handles are dropped before the first is opened again.
        self.handles.clear();
        while self.handles.len() < 2 {
            self.handles.push(self.subject.open().await?);
        }
        Ok(())
    }

    async fn hold_the_same(&self) -> CaseResult {
        let oracle = Handle(std::sync::Arc::new(self.oracle.another_handle()));
        let expected: StoreContent = oracle.content().await?;
        let (feed, _) = oracle.feed(None, 1000).await?;
        for handle in &self.handles {
            ensure_eq!(handle.content().await?, expected, "everything that is held in the end");
            ensure_eq!(handle.feed(None, 3).await?.0, feed, "the feed in the end");
        }
        Ok(())
    }
}

/// Compares two answers; for errors, what they tell the caller to do.
fn same<T: Debug + PartialEq>(what: &str, found: Result<T>, expected: Result<T>) -> CaseResult {
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            ensure_eq!(found, expected, "{what}");
            Ok(())
        }
        (Err(found), Err(expected)) => {
            ensure!(found.code() == expected.code(), "{what}: `{found}` where the oracle says `{expected}`");
            Ok(())
        }
        (found, expected) => Err(Unmet::new(format!("{what}: {found:?} where the oracle says {expected:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Step;

    #[test]
    fn a_seed_gives_the_same_histories_again() {
        let drawn = |seed| {
            let all = std::cell::RefCell::new(Vec::new());
            try_histories(seed, 5, |steps| {
                all.borrow_mut().push(format!("{steps:?}"));
                Ok(())
            })
            .unwrap();
            all.into_inner()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn a_history_that_fails_is_shortened_to_what_makes_it_fail() {
        // Whatever else happens, two reopenings are one too many.
        let reopenings = |steps: &[Step]| steps.iter().filter(|step| matches!(step, Step::Reopen)).count();
        let unmet = try_histories(1, 1000, |steps| {
            ensure!(reopenings(steps) < 2, "{} reopenings", reopenings(steps));
            Ok(())
        })
        .unwrap_err()
        .to_string();
        assert!(unmet.contains("after 2 steps, found with NOFX_CONFORMANCE_SEED=1"), "{unmet}");
        assert_eq!(unmet.matches("Reopen").count(), 2, "{unmet}");
    }
}
