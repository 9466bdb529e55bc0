//! An import that was stopped goes on where it was.

use std::sync::Arc;

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{MigrateError, NoProgress, full_digest, migrate};
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
    for commit in 0..report.totals.commits as usize {
        // The store tries again several times where it does not know; in the end the process was stopped.
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
            let error = migrate(&workspace.root(), &stopped, &verified(), &NoProgress).await.unwrap_err();
            assert!(matches!(error, MigrateError::Store(_)), "{error}");

            let store = Store::new(memory);
            let resumed = workspace.import_into(&store).await;
            assert!(resumed.is_complete(), "{resumed}");
            assert_eq!(dumped(&store).await, dump, "stopped at commit {commit}");
            assert_eq!(full_digest(&store).await.unwrap().sha256, full.sha256, "stopped at commit {commit}");
        }
    }
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
        if let Err(error) = ended {
            assert_eq!(error.code(), "conflict");
        }
    }
    workspace.import_into(&store).await;
    assert_eq!(dumped(&store).await, dumped(&workspace.store).await);
}
