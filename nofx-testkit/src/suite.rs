//! Runs cases: each on its own, within its time limit, visible as a separate test.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use nofx_core::{BackendInfo, Durability, Result, Sharing};

use crate::cases::CASES;
use crate::child;
use crate::place::Factory;
use crate::subject::Subject;
use crate::unmet::CaseResult;
use crate::workspace::WORKSPACE_CASES;

/// A factor for the time limits of all cases, for slow machines.
const PATIENCE: &str = "NOFX_CONFORMANCE_PATIENCE";

/// A claim of the contract and the function that tests it.
pub struct Case {
    /// The subject and the claim in a few words, such as `records::a_missing_record_is_none`.
    pub name: &'static str,
    /// The sentence of the contract.
    pub claim: &'static str,
    /// What a backend must offer for the claim to apply.
    pub needs: &'static [Need],
    /// Its time limit.
    pub limit: Duration,
    pub(crate) run: CaseFn,
}

pub(crate) type CaseFn = fn(Subject) -> Pin<Box<dyn Future<Output = CaseResult> + Send>>;

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("claim", &self.claim).finish_non_exhaustive()
    }
}

/// What a backend must offer for a claim to apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Its content is still there after its last handle was closed.
    Durable,
    /// It is stored on a local disk, for which a read may have to wait.
    Disk,
    /// Several processes can use a store concurrently.
    Processes,
    /// It is stored in files that the suite can look at.
    Files,
}

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The claim holds, as far as the case can tell.
    Passed,
    /// It does not, for this reason.
    Failed(String),
    /// The claim is about something that this backend does not offer.
    Inapplicable(&'static str),
}

/// Decides which cases apply.
#[derive(Clone, Debug)]
struct Profile {
    info: BackendInfo,
    has_address: bool,
    has_folder: bool,
}

impl Profile {
    async fn of(factory: Arc<dyn Factory>) -> Result<Self> {
        let subject = Subject::new(factory).await?;
        let handle = subject.open().await?;
        let profile = Self {
            info: handle.info(),
            has_address: subject.address().is_some(),
            has_folder: subject.folder().is_some(),
        };
        handle.close().await?;
        Ok(profile)
    }

    fn inapplicable(&self, case: &Case) -> Option<&'static str> {
        case.needs.iter().find_map(|need| match need {
            Need::Durable if self.info.durability == Durability::Process => Some("gone with its process"),
            Need::Disk if self.info.durability != Durability::Disk => Some("not on a disk"),
            Need::Processes if self.info.sharing == Sharing::Process => Some("not shared by processes"),
            Need::Processes if !self.has_address => Some("its places have no address"),
            Need::Files if !self.has_folder => Some("its places have no folder"),
            Need::Durable | Need::Disk | Need::Processes | Need::Files => None,
        })
    }
}

impl Case {
    /// Runs this case on a fresh place of a factory.
    pub fn run(&self, factory: &Arc<dyn Factory>) -> Verdict {
        match blocking(Profile::of(factory.clone())) {
            Err(error) => Verdict::Failed(format!("no place to test on: {error}")),
            Ok(profile) => match profile.inapplicable(self) {
                Some(reason) => Verdict::Inapplicable(reason),
                None => self.run_here(factory.clone()),
            },
        }
    }

    /// Runs on a separate thread, so that a case that hangs is abandoned and named.
    fn run_here(&self, factory: Arc<dyn Factory>) -> Verdict {
        let limit = self.limit * patience();
        let (done, outcome) = mpsc::channel();
        let run = self.run;
        let spawned = thread::Builder::new().name(self.name.into()).spawn(move || {
            let verdict = catch_unwind(AssertUnwindSafe(|| {
                blocking(async {
                    let subject = Subject::new(factory).await?;
                    // A task, so that the case runs on the runtime's worker threads, as callers would.
                    tokio::spawn(run(subject)).await?
                })
            }));
            // After a timeout there is no receiver any more.
            let _ = done.send(verdict);
        });
        if let Err(error) = spawned {
            return Verdict::Failed(format!("no thread to run on: {error}"));
        }
        match outcome.recv_timeout(limit) {
            Ok(Ok(Ok(()))) => Verdict::Passed,
            Ok(Ok(Err(unmet))) => Verdict::Failed(format!("{unmet}\n    claim: {}", self.claim)),
            Ok(Err(panic)) => {
                Verdict::Failed(format!("panicked: {}\n    claim: {}", panic_message(&*panic), self.claim))
            }
            Err(_) => Verdict::Failed(format!(
                "{} did not end within {} s\n    claim: {}",
                self.name,
                limit.as_secs(),
                self.claim
            )),
        }
    }
}

/// Tests one backend; this is the whole `main` of a test target with `harness = false`.
///
/// Each case is a test named `<factory>::<subject>::<claim>`, which `cargo test` and `cargo nextest` list, filter and
/// run like other tests. A case that does not apply is ignored, and its name says why.
pub fn conformance(factory: impl Factory) -> ! {
    conformance_of(vec![Arc::new(factory)])
}

/// Like [`conformance`], for a backend to be tested in several configurations, each with its own name.
pub fn conformance_of(factories: Vec<Arc<dyn Factory>>) -> ! {
    run(&factories, CASES)
}

/// Like [`conformance`], for what a [`Workspace`](nofx_core::workspace::Workspace) promises on the backend.
pub fn workspace(factory: impl Factory) -> ! {
    workspace_of(vec![Arc::new(factory)])
}

/// Like [`workspace`], for a backend to be tested in several configurations, each with its own name.
pub fn workspace_of(factories: Vec<Arc<dyn Factory>>) -> ! {
    run(&factories, WORKSPACE_CASES)
}

fn run(factories: &[Arc<dyn Factory>], cases: &'static [Case]) -> ! {
    if let Some(code) = child::play(factories) {
        std::process::exit(code);
    }
    let arguments = Arguments::from_args();
    let asked = factories.iter().filter(|factory| may_run(&arguments, factory.name()));
    let trials = asked.flat_map(|factory| trials(factory, cases)).collect();
    libtest_mimic::run(&arguments, trials).exit()
}

/// Returns whether a case of this factory can be among the requested ones.
///
/// A runner that starts a process for each test names that one test; creating stores on the other factories' servers,
/// only to learn what applies there, took longer than most tests.
fn may_run(arguments: &Arguments, factory: &str) -> bool {
    let is_other = |name: &String| name.split("::").next() != Some(factory);
    !(arguments.exact && arguments.filter.as_ref().is_some_and(is_other))
}

fn trials(factory: &Arc<dyn Factory>, cases: &'static [Case]) -> Vec<Trial> {
    let profile = match factory.lacks() {
        Some(lacking) => Err(lacking),
        None => Ok(blocking(Profile::of(factory.clone()))),
    };
    let reason = |case| match &profile {
        Err(lacking) => Some(lacking.clone()),
        // Each case will report what is wrong.
        Ok(Err(_)) => None,
        Ok(Ok(profile)) => profile.inapplicable(case).map(str::to_owned),
    };
    cases.iter().map(|case| trial(factory, case, reason(case))).collect()
}

fn trial(factory: &Arc<dyn Factory>, case: &'static Case, reason: Option<String>) -> Trial {
    let name = format!("{}::{}", factory.name(), case.name);
    match reason {
        None => {
            let factory = factory.clone();
            Trial::test(name, move || match case.run_here(factory) {
                Verdict::Passed => Ok(()),
                Verdict::Failed(why) => Err(why.into()),
                Verdict::Inapplicable(reason) => Err(reason.into()),
            })
        }
        Some(reason) => {
            // If requested anyway, it must not look green.
            let why = format!("does not apply: {reason}");
            Trial::test(name, move || Err(why.into())).with_ignored_flag(true).with_kind(reason)
        }
    }
}

/// Runs a future on its own runtime.
pub(crate) fn blocking<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    #[expect(clippy::expect_used, reason = "without threads there is nothing to test with")]
    let runtime = runtime.expect("a runtime starts");
    let answer = runtime.block_on(future);
    // Work left behind by a case must not hold up the next one.
    runtime.shutdown_background();
    answer
}

pub(crate) fn patience() -> u32 {
    std::env::var(PATIENCE).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use nofx_core::{Deadline, Error};

    use super::*;
    use crate::place::{Memory, Place};

    fn case(needs: &'static [Need], run: CaseFn) -> Case {
        Case { name: "tests::this", claim: "A claim.", needs, limit: Duration::from_secs(60), run }
    }

    /// A case with a very short time limit.
    fn brief(run: CaseFn) -> Case {
        Case { limit: Duration::from_millis(300), ..case(&[], run) }
    }

    fn verdict(case: &Case) -> Verdict {
        case.run(&(Arc::new(Memory) as Arc<dyn Factory>))
    }

    #[test]
    fn a_case_that_hangs_fails_in_time_and_is_named() {
        let started = Deadline::after(Duration::from_secs(10));
        let Verdict::Failed(why) = verdict(&brief(|_| Box::pin(std::future::pending()))) else { panic!("it passed") };
        assert!(why.contains("tests::this did not end within"), "{why}");
        // A case that never returns to its runtime is abandoned too.
        let blocking = brief(|_| {
            Box::pin(async {
                thread::sleep(Duration::from_secs(20));
                Ok(())
            })
        });
        assert!(matches!(verdict(&blocking), Verdict::Failed(_)));
        assert!(!started.has_passed());
    }

    #[test]
    fn a_case_that_panics_fails() {
        let Verdict::Failed(why) = verdict(&case(&[], |_| Box::pin(async { panic!("of the test") }))) else {
            panic!("it passed")
        };
        assert!(why.contains("of the test") && why.contains("A claim."), "{why}");
    }

    #[test]
    fn a_case_that_cannot_apply_is_not_run() {
        for need in [&[Need::Durable], &[Need::Processes]] {
            let case = case(need, |_| Box::pin(async { panic!("it ran") }));
            assert!(matches!(verdict(&case), Verdict::Inapplicable(_)), "{need:?}");
        }
    }

    #[test]
    fn a_case_that_cannot_apply_is_ignored_with_its_reason_and_fails_when_it_is_asked_for() {
        let needing = CASES.iter().filter(|case| !case.needs.is_empty()).count();
        let ignored: Vec<_> = trials(&(Arc::new(Memory) as Arc<dyn Factory>), CASES)
            .into_iter()
            .filter(Trial::has_ignored_flag)
            .collect();
        assert_eq!(ignored.len(), needing);
        assert!(ignored.iter().all(|trial| {
            ["gone with its process", "not on a disk", "not shared by processes", "its places have no folder"]
                .contains(&trial.kind())
        }));
        let arguments = Arguments { ignored: true, quiet: true, ..Arguments::default() };
        assert!(libtest_mimic::run(&arguments, ignored).has_failed());
    }

    #[test]
    fn without_a_place_every_case_fails_and_without_its_means_every_case_is_ignored() {
        struct Nowhere(Option<String>);

        #[async_trait::async_trait]
        impl Factory for Nowhere {
            fn name(&self) -> &str {
                "nowhere"
            }

            async fn place(&self) -> Result<Arc<dyn Place>> {
                Err(Error::unavailable("a server"))
            }

            fn lacks(&self) -> Option<String> {
                self.0.clone()
            }
        }
        let unreachable: Arc<dyn Factory> = Arc::new(Nowhere(None));
        assert!(trials(&unreachable, CASES).iter().all(|trial| !trial.has_ignored_flag()));
        assert!(matches!(CASES[0].run(&unreachable), Verdict::Failed(why) if why.contains("a server")));
        let lacking: Arc<dyn Factory> = Arc::new(Nowhere(Some("no server here".into())));
        assert!(
            trials(&lacking, CASES).iter().all(|trial| trial.has_ignored_flag() && trial.kind() == "no server here")
        );
    }

    #[test]
    fn each_case_is_listed_once_with_a_claim() {
        let names: HashSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        assert!(CASES.iter().all(|case| case.claim.ends_with('.')));
    }
}
