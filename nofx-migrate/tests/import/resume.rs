//! An import that was stopped continues where it stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{MigrateError, MigrationProgress, NoProgress, Options, full_digest, migrate};
use nofx_testkit::{Fault, Faulty};

use crate::workspace::{Workspace, dumped, session, verified};

fn large() -> Workspace {
    let messages: Vec<String> = (0..1300).map(|number| format!("m{number}")).collect();
    let history = messages.join(" ");
    let lines: String = (0..1100).map(|id| format!("{{\"id\":\"{id}\",\"type\":\"x\",\"timestamp\":1}}\n")).collect();
    let workspace = Workspace::with(&[
        ("agents.json", r#"{"agents":[{"id":"a","template":{"id":"t"}}]}"#),
        (
            "archives/two.json",
            &format!(
                r#"{{"sessions":[{},{}]}}"#,
                session("s1", 2, "archived", &history),
                session("s2", 2, "archived", "a")
            ),
        ),
        ("sessions/s3.json", &session("s3", 2, "archived", "a b")),
        ("orchestration/messages.jsonl", &format!("{lines}half")),
        ("sessions/a_session.md", "text"),
    ]);
    workspace.write("binary", vec![0xff; 100_000]);
    workspace
}

#[tokio::test]
async fn stopped_before_or_after_any_commit_it_ends_in_the_same() {
    let workspace = large();
    let report = workspace.import().await;
    assert!(report.totals.commits >= 3, "{}", report.totals.commits);
    let (dump, full) = (dumped(&workspace.store).await, full_digest(&workspace.store).await.unwrap());
    let mut stopped_at = 0;
    // What is ready first is written first, so there may be one commit more or less.
    for commit in 0..=report.totals.commits as usize {
        // The store retries several times if it does not know the outcome; in the end the process was stopped.
        let stops: [fn() -> Vec<Fault>; 2] = [
            || vec![Fault::unavailable()],
            || {
                std::iter::once(Fault::unknown_though_it_happened())
                    .chain(vec![Fault::unknown_and_it_did_not_happen(); 20])
                    .collect()
            },
        ];
        for stop in stops {
            let memory = Arc::new(MemoryBackend::new());
            let faulty = Arc::new(Faulty::new(Arc::new(memory.another_handle())));
            faulty.on_commits(vec![Fault::None; commit]);
            faulty.on_commits(stop());
            let stopped = Store::new(faulty);
            let Err(error) = migrate(&workspace.root(), &stopped, &verified(), &NoProgress).await else { continue };
            assert!(matches!(error, MigrateError::Store(_)), "{error}");
            stopped_at = commit;

            let store = Store::new(memory);
            let resumed = workspace.import_into(&store).await;
            assert!(resumed.is_complete(), "{resumed}");
            assert_eq!(dumped(&store).await, dump, "stopped at commit {commit}");
            assert_eq!(full_digest(&store).await.unwrap().sha256, full.sha256, "stopped at commit {commit}");
        }
    }
    assert!(stopped_at >= 3, "{stopped_at}");
}

#[tokio::test]
async fn two_imports_at_once_do_not_double_anything() {
    let workspace = large();
    workspace.import().await;
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let (root, options) = (workspace.root(), verified());
    let both = futures_util::future::join(
        migrate(&root, &store, &options, &NoProgress),
        migrate(&root, &store, &options, &NoProgress),
    );
    let (one, other) = both.await;
    for ended in [one, other] {
        match ended {
            Ok(report) => assert!(report.is_complete(), "{report}"),
            Err(error) => assert_eq!(error.code(), "target-busy"),
        }
    }
    workspace.import_into(&store).await;
    assert_eq!(dumped(&store).await, dumped(&workspace.store).await);
}

/// Each time the import that it watches has read the ledger, another one writes `notes.txt` to the same store, up to this many
/// times.
#[derive(Debug)]
struct Rival {
    root: PathBuf,
    memory: Arc<MemoryBackend>,
    times: usize,
    is_reading: AtomicBool,
    done: AtomicUsize,
}

impl Rival {
    fn of(workspace: &Workspace, memory: &Arc<MemoryBackend>, times: usize) -> Self {
        Self {
            root: workspace.root(),
            memory: memory.clone(),
            times,
            is_reading: AtomicBool::new(false),
            done: AtomicUsize::new(0),
        }
    }
}

impl MigrationProgress for Rival {
    fn phase(&self, name: &'static str) {
        self.is_reading.store(name == "reading", Ordering::SeqCst);
    }

    fn total(&self, _files: u64, _bytes: u64) {
        if !self.is_reading.load(Ordering::SeqCst) || self.done.load(Ordering::SeqCst) == self.times {
            return;
        }
        let turn = self.done.fetch_add(1, Ordering::SeqCst);
        std::fs::write(self.root.join("notes.txt"), "x".repeat(turn + 1)).unwrap();
        let (root, store) = (self.root.clone(), Store::new(Arc::new(self.memory.another_handle())));
        let rival = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(migrate(&root, &store, &Options::default(), &NoProgress)).unwrap();
        });
        rival.join().unwrap();
    }

    fn advance(&self, _path: &str, _bytes: u64) {}
}

#[tokio::test]
async fn an_import_that_another_one_overtakes_goes_on_with_what_is_left() {
    let workspace = large();
    let memory = Arc::new(MemoryBackend::new());
    let store = Store::new(Arc::new(memory.another_handle()));
    let rival = Rival::of(&workspace, &memory, 2);
    let report = migrate(&workspace.root(), &store, &verified(), &rival).await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(rival.done.load(Ordering::SeqCst), 2);
    workspace.import().await;
    assert_eq!(dumped(&store).await, dumped(&workspace.store).await);
}

#[tokio::test]
async fn an_import_that_is_always_overtaken_says_so_in_one_short_line() {
    let workspace = Workspace::with(&[("notes.txt", "")]);
    let files: Vec<_> = (0..200).map(|number| format!("sessions/s{number}.json")).collect();
    files.iter().for_each(|file| workspace.write(file, session(file, 1, "active", "a")));
    let memory = Arc::new(MemoryBackend::new());
    let store = Store::new(Arc::new(memory.another_handle()));
    let rival = Rival::of(&workspace, &memory, usize::MAX);
    let error = migrate(&workspace.root(), &store, &verified(), &rival).await.unwrap_err();
    assert_eq!(error.code(), "target-busy");
    let told = error.to_string();
    assert!(told.len() < 300 && !told.contains('\n') && told.contains("; "), "{told}");
    assert!(std::error::Error::source(&error).is_none());
    assert!((2..10).contains(&rival.done.load(Ordering::SeqCst)));
}
