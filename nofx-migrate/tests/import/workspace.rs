//! A workspace in a temporary folder, and a store beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use nofx_core::entity::Attachment;
use nofx_core::json::Object;
use nofx_core::{LogKey, LogQuery, MemoryBackend, Seq, Store};
use nofx_migrate::{NoProgress, Options, Report, dump, migrate, read_attachment};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A workspace in a temporary folder, and a store beside it.
pub(crate) struct Workspace {
    folder: TempDir,
    pub(crate) store: Store,
}

impl Workspace {
    /// Creates one with these files below `.nofx`.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let workspace = Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
            store: Store::new(Arc::new(MemoryBackend::new())),
        };
        fs::create_dir(workspace.root()).expect("the folder can be written");
        files.iter().for_each(|(path, content)| workspace.write(path, content));
        workspace
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join(".nofx")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be written");
        fs::write(path, content).expect("the file can be written");
    }

    /// Imports into the store beside it, verifies, and compares the totals and the source.
    pub(crate) async fn import(&self) -> Report {
        self.import_into(&self.store).await
    }

    pub(crate) async fn import_into(&self, store: &Store) -> Report {
        let before = checksums(&self.root());
        let report = migrate(&self.root(), store, &verified(), &NoProgress).await.expect("the import succeeds");
        assert_eq!(checksums(&self.root()), before, "the source was changed");
        for finding in &report.findings {
            let manual = include_str!("../../../docs/migration.md");
            assert!(manual.contains(&format!("`{}`", finding.code)), "`{}` is not in the manual", finding.code);
        }
        let totals = report.totals;
        assert_eq!(totals.bytes, totals.bytes_understood + totals.bytes_kept + totals.bytes_missing);
        let states = totals.files_new + totals.files_changed + totals.files_unchanged + totals.files_unreadable;
        assert_eq!(totals.files, states);
        assert_eq!(report.totals.files, before.len() as u64);
        report
    }

    /// Returns the lines of the dump that are of one kind.
    pub(crate) async fn lines(&self, kind: &str) -> Vec<Object> {
        let start = format!("{{\"kind\":\"{kind}\"");
        let dump = dumped(&self.store).await;
        dump.lines().filter(|line| line.starts_with(&start)).map(object).collect()
    }

    /// Returns one member of each line of a kind, as JSON.
    pub(crate) async fn all(&self, kind: &str, member: &str) -> Vec<String> {
        let lines = self.lines(kind).await;
        lines.iter().map(|line| line.get(member).unwrap_or_default().to_owned()).collect()
    }

    /// Returns the ids of the messages of a session, in order.
    pub(crate) async fn messages(&self, session: &str) -> String {
        let lines = self.lines("message").await;
        let of_session = lines.iter().filter(|line| line.get("session") == Some(&format!("{session:?}")));
        let ids = of_session.map(|line| line.get("id").unwrap_or_default().trim_matches('"').to_owned());
        ids.collect::<Vec<_>>().join(" ")
    }

    /// Returns the bodies of a log.
    pub(crate) async fn log(&self, log: LogKey) -> Vec<String> {
        let entries = self.store.read(LogQuery::oldest_first(log, 100));
        entries.map_ok(|entry| entry.body.to_string()).try_collect().await.expect("the log can be read")
    }

    /// Returns the bytes of an attachment.
    pub(crate) async fn attached(&self, path: &str) -> Option<Vec<u8>> {
        let found = self.store.load::<Attachment>(&path.into()).await.expect("the store can be read")?;
        Some(read_attachment(&self.store, &found.value).await.expect("the attachment is whole"))
    }

    /// Returns the paths of all attachments.
    pub(crate) async fn attachments(&self) -> Vec<String> {
        let mut paths: Vec<String> = self
            .store
            .list::<Attachment>()
            .map_ok(|found| found.value.path.to_string())
            .try_collect()
            .await
            .expect("the store can be read");
        paths.sort();
        paths
    }

    /// Returns the highest number of a commit that wrote records.
    pub(crate) async fn last_seq(&self) -> Option<Seq> {
        let query = nofx_core::ScanQuery::all(1000);
        let all: Vec<_> = self.store.scan(query).try_collect().await.expect("the store can be read");
        all.into_iter().map(|record| record.version).max()
    }
}

pub(crate) fn verified() -> Options {
    let mut options = Options::default();
    options.verify = true;
    // So that batches are small, and some files larger than the available room.
    options.memory = 128 << 10;
    options
}

pub(crate) fn object(json: &str) -> Object {
    Object::parse(json).expect("it is an object")
}

pub(crate) async fn dumped(store: &Store) -> String {
    let mut bytes = Vec::new();
    dump(store, &mut bytes).await.expect("the store can be dumped");
    String::from_utf8(bytes).expect("a dump is text")
}

/// A session of messages such as `a` and `b@5`, the latter with a time.
pub(crate) fn session(id: &str, active: u32, status: &str, messages: &str) -> String {
    let messages: Vec<String> = messages.split_whitespace().map(message).collect();
    format!(
        r#"{{
  "id": "{id}",
  "name": "n",
  "agentId": "a",
  "agentName": "A",
  "agentType": "t",
  "createdAt": "2025-01-01T00:00:00.000Z",
  "lastActiveAt": "2025-01-01T00:00:{active:02}.000Z",
  "status": "{status}",
  "conversationHistory": [{}],
  "completedTasks": []
}}"#,
        messages.join(",\n    ")
    )
}

pub(crate) fn message(name: &str) -> String {
    let (id, time) = name.split_once('@').unwrap_or((name, "0"));
    let time = format!("2025-01-01T00:00:{:0>2}.000Z", time);
    format!(r#"{{"id": "{id}", "timestamp": "{time}", "type": "user", "content": "says {id}"}}"#)
}

/// Returns the digest of each file below a folder; links are not followed.
pub(crate) fn checksums(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut sums = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let kind = entry.file_type().expect("the folder can be read");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).expect("the file can be read");
                let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                sums.insert(entry.path(), digest);
            }
        }
    }
    sums
}
