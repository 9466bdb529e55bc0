//! Whatever is lost or changed between writing and reading back is detected.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Body, Changes, Cursor, LogEntry, LogHead, LogKey, LogQuery, LogScan, MemoryBackend, Outcome,
    Page, PersistenceBackend, Record, RecordKey, Result, ScanQuery, Store,
};
use nofx_migrate::{MigrationProgress, Report, migrate};

use crate::workspace::{Workspace, dumped, session, verified};

/// The fault of a backend once everything was written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// One item is gone.
    Lost,
    /// One item has other content.
    Changed,
}

/// A backend that from some point on loses or changes items: those whose key begins with a text, and whose body has a word.
#[derive(Debug)]
struct Forgetful {
    inner: MemoryBackend,
    key: &'static str,
    word: &'static str,
    wrong: Wrong,
    now: Arc<AtomicBool>,
    /// How often it did that.
    done: AtomicU64,
}

impl Forgetful {
    fn is_hit(&self, key: &str, body: &Body) -> bool {
        let hit = self.now.load(Ordering::SeqCst) && key.starts_with(self.key) && body.as_str().contains(self.word);
        self.done.fetch_add(u64::from(hit), Ordering::SeqCst);
        hit
    }

    /// Returns a record as the faulty backend shows it.
    fn seen(&self, record: Record) -> Option<Record> {
        match self.is_hit(&record.key.to_string(), &record.body) {
            false => Some(record),
            true if self.wrong == Wrong::Lost => None,
            true => Some(Record { body: self.changed(&record.body), ..record }),
        }
    }

    /// Changes the word.
    fn changed(&self, body: &Body) -> Body {
        Body::parse(&body.as_str().replacen(self.word, &format!("7{}", self.word), 1)).unwrap()
    }
}

#[async_trait]
impl PersistenceBackend for Forgetful {
    fn info(&self) -> BackendInfo {
        self.inner.info()
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        let found = self.inner.get(keys).await?;
        Ok(found.into_iter().map(|record| record.and_then(|record| self.seen(record))).collect())
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        let mut page = self.inner.scan(query).await?;
        let mut seen = Vec::new();
        for record in page.items {
            seen.extend(self.seen(record));
        }
        page.items = seen;
        Ok(page)
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.inner.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.inner.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let mut page = self.inner.read(query).await?;
        let key = query.log.to_string();
        if let Some(at) = page.items.iter().position(|entry| self.is_hit(&key, &entry.body)) {
            match self.wrong {
                Wrong::Lost => drop(page.items.remove(at)),
                Wrong::Changed => page.items[at].body = self.changed(&page.items[at].body),
            }
        }
        Ok(page)
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.inner.changes(after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.inner.commit(group).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// Sets a flag when the verification begins.
#[derive(Debug)]
struct AtVerifying(Arc<AtomicBool>);

impl MigrationProgress for AtVerifying {
    fn phase(&self, name: &'static str) {
        self.0.store(name == "verifying", Ordering::SeqCst);
    }

    fn total(&self, _files: u64, _bytes: u64) {}

    fn advance(&self, _path: &str, _bytes: u64) {}
}

async fn import(workspace: &Workspace, key: &'static str, word: &'static str, wrong: Wrong) -> Report {
    let now = Arc::new(AtomicBool::new(false));
    let inner = MemoryBackend::new();
    let forgetful = Arc::new(Forgetful { inner, key, word, wrong, now: now.clone(), done: AtomicU64::new(0) });
    let store = Store::new(forgetful.clone());
    let report = migrate(&workspace.root(), &store, &verified(), &AtVerifying(now)).await.unwrap();
    assert!(forgetful.done.load(Ordering::SeqCst) > 0 || key == "none", "nothing begins with `{key}` and has `{word}`");
    report
}

/// A workspace with something of each kind, some of it damaged.
fn workspace() -> Workspace {
    let task = r#""completedTasks":[{"id":"t1","title":"one"},{"id":"t2","title":"two"}]"#;
    let whole = session("s", 1, "active", "a b c").replace(r#""completedTasks": []"#, task);
    let cut = session("d", 1, "active", "one two three");
    let workspace = Workspace::with(&[
        ("agents.json", r#"{"agents":[{"id":"ada","name":"one","template":{"id":"t","icon":"one"}}]}"#),
        ("sessions/s.json", &whole),
        ("sessions/d.json", cut.split("says three").next().unwrap()),
        ("sessions/ada_session.md", "# Session: one\n\nsome text\n"),
        ("sessions/ada_checkpoint.json", r#"[{"timestamp":"2025-01-01T00:00:00.000Z","note":"one"}]"#),
        ("orchestration/messages.jsonl", "{\"id\":\"1\",\"type\":\"one\"}\n{\"id\":\"2\",\"type\":\"two\"}\nhalf\n"),
        ("templates/named.json", r#"{"id":"named","name":"one"}"#),
    ]);
    // Several chunks.
    let text: String = (0..100_000).map(|number| format!("one {number} ")).collect();
    workspace.write("notes.txt", text);
    workspace
}

#[tokio::test]
async fn what_is_lost_or_changed_in_any_kind_is_a_difference_of_that_kind() {
    let workspace = workspace();
    let report = import(&workspace, "none", "none", Wrong::Lost).await;
    let kinds = report.verification.as_ref().unwrap().kinds.clone();
    assert!(report.is_complete(), "{report}");
    let cases = [
        ("agents", "agent/ada", "one"),
        ("sessions", "session/s", "active"),
        ("sessions", "session/d", "active"),
        ("messages", "history/s", "says c"),
        ("messages", "history/d", "says one"),
        ("tasks", "tasks/s", "t1"),
        ("checkpoints", "checkpoints/ada", "one"),
        ("transcript parts", "transcript/ada", "some"),
        ("orchestration messages", "orchestration/", "two"),
        ("templates", "template/", "icon"),
        ("template names", "template-name/named", "named"),
        ("attachments", "attachment/notes.txt", "size"),
        ("attachments", "attachment/sessions/d.json", "size"),
        ("attachments", "payload/", "one 90000 "),
    ];
    for (kind, key, word) in cases {
        for wrong in [Wrong::Lost, Wrong::Changed] {
            let report = import(&workspace, key, word, wrong).await;
            let told = format!("{kind} {key} {wrong:?}: {report}");
            let verification = report.verification.as_ref().unwrap();
            assert!(!report.is_complete() && verification.difference_count > 0, "{told}");
            assert!(told.contains("NOT VERIFIED"), "{told}");
            let compared = &verification.kinds[kind];
            assert!(compared.source_digest != compared.target_digest, "{told}");
            assert_eq!(compared.source, kinds[kind].source, "{told}");
            if wrong == Wrong::Lost {
                assert!(compared.target < compared.source, "{told}");
            }
        }
    }
    let tried: std::collections::BTreeSet<_> = cases.iter().map(|(kind, ..)| *kind).collect();
    assert!(kinds.keys().all(|kind| tried.contains(kind)), "{:?}", kinds.keys());
}

/// Writes to a file once everything has been read for the first time.
#[derive(Debug)]
struct AtWriting(PathBuf);

impl MigrationProgress for AtWriting {
    fn phase(&self, name: &'static str) {
        if name == "writing" {
            std::fs::write(&self.0, r#"[{"timestamp":"2025-01-01T00:00:00.000Z","note":"late"}]"#).unwrap();
        }
    }

    fn total(&self, _files: u64, _bytes: u64) {}

    fn advance(&self, _path: &str, _bytes: u64) {}
}

#[tokio::test]
async fn a_file_that_was_empty_for_a_moment_is_reported_and_imported_the_next_time() {
    for path in ["sessions/ada_checkpoint.json", "notes.txt"] {
        let workspace = Workspace::with(&[(path, ""), ("sessions/s.json", &session("s", 1, "active", "a"))]);
        let late = AtWriting(workspace.root().join(path));
        let report = migrate(&workspace.root(), &workspace.store, &verified(), &late).await.unwrap();
        assert!(!report.is_complete(), "{report}");
        let told = report.verification.unwrap().differences;
        assert_eq!(
            told,
            [format!("`{path}` changed while it was imported; import again while no program writes to it")]
        );
        assert!(workspace.import().await.is_complete());
        assert!(dumped(&workspace.store).await.contains("late"));
    }
}
