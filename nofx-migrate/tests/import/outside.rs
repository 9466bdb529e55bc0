//! Data that the old extension stored outside its folder.

use std::fs;
use std::path::PathBuf;

use nofx_core::entity::{Agent, Entity};
use nofx_migrate::{NoProgress, Options, OutsideSource, Report, migrate};
use rusqlite::Connection;

use crate::workspace::Workspace;

/// Agents in both shapes that were mixed, a session of the later extension, one that both have, and one that never existed.
const STATE: &str = r#"{
  "nofx.agents": [
    {"id": "ada", "name": "Ada", "type": "general", "tasksCompleted": 4, "templateId": "writer", "createdAt": "2025-09-10T08:00:00.000Z",
     "lastActiveAt": "2025-09-12T08:00:00.000Z"},
    {"id": "bob", "name": "Bob", "type": "general", "status": "idle", "sessionFile": "bob_session.md"}
  ],
  "nofx.sessions": [
    {"createdAt": null, "lastActiveAt": null, "status": "archived", "conversationHistory": [], "completedTasks": []},
    {"id": "s-1", "agentId": "ada", "agentName": "Ada", "lastActiveAt": "2025-09-12T08:00:00.000Z", "status": "active",
     "conversationHistory": [{"id": "m2", "timestamp": "2025-09-11T08:00:00.000Z", "type": "user", "content": "two"},
                             {"id": "m3", "timestamp": "2025-09-12T08:00:00.000Z", "type": "user", "content": "three"}]},
    {"id": "s-2", "agentId": "bob", "agentName": "Bob", "lastActiveAt": "2025-09-12T09:00:00.000Z", "status": "archived",
     "conversationHistory": [{"id": "m4", "timestamp": "2025-09-12T09:00:00.000Z", "type": "user", "content": "four"}]}
  ],
  "nofxTheme": "dark"
}"#;

/// A folder with an older list of agents and an older state of one session.
fn workspace() -> Workspace {
    Workspace::with(&[
        (
            "agents.json",
            r#"{"version": "1.0", "timestamp": "2025-09-11T08:00:00.000Z",
                "agents": [{"id": "ada", "name": "Ada", "type": "general", "tasksCompleted": 3}]}"#,
        ),
        (
            "sessions/s-1.json",
            r#"{"id": "s-1", "agentId": "ada", "agentName": "Ada", "lastActiveAt": "2025-09-11T08:00:00.000Z", "status": "active",
                "conversationHistory": [{"id": "m1", "timestamp": "2025-09-10T08:00:00.000Z", "type": "user", "content": "one"},
                                        {"id": "m2", "timestamp": "2025-09-11T08:00:00.000Z", "type": "user", "content": "two"}]}"#,
        ),
    ])
}

fn database(workspace: &Workspace, key: &str, state: &str) -> PathBuf {
    let folder = workspace.folder().join("5e1f");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("state.vscdb");
    let database = Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)").unwrap();
    let insert = "INSERT INTO ItemTable VALUES (?, ?)";
    database.execute(insert, (key, state)).unwrap();
    database.execute(insert, ("another.extension", r#"{"nofx.agents": [{"id": "stranger"}]}"#)).unwrap();
    path
}

async fn import(workspace: &Workspace, also: Vec<PathBuf>) -> Report {
    let mut options = Options::default();
    options.verify = true;
    options.also = also;
    let report = migrate(&workspace.root(), &workspace.store, &options, &NoProgress).await.unwrap();
    assert!(report.is_complete(), "{report}");
    let totals = report.totals;
    assert_eq!(totals.bytes, totals.bytes_understood + totals.bytes_kept + totals.bytes_missing);
    report
}

async fn assert_imported(workspace: &Workspace, messages: &str) {
    assert_eq!(workspace.all("agent", "id").await, [r#""ada""#, r#""bob""#]);
    let ada = workspace.store.load::<Agent>(&"ada".into()).await.unwrap().unwrap();
    assert_eq!(ada.value.object().get("tasksCompleted"), Some("4"), "the newer list counts");
    assert_eq!(workspace.all("session", "id").await, [r#""s-1""#, r#""s-2""#]);
    assert_eq!(workspace.messages("s-1").await, messages);
    assert_eq!(workspace.messages("s-2").await, "m4");
}

#[tokio::test]
async fn the_state_of_vs_code_is_merged_with_the_folder() {
    for is_database in [true, false] {
        let workspace = workspace();
        let path = match is_database {
            true => database(&workspace, "nofx.nofx", STATE),
            false => {
                fs::write(workspace.folder().join("state.json"), STATE).unwrap();
                workspace.folder().join("state.json")
            }
        };
        let before = fs::read(&path).unwrap();
        import(&workspace, vec![path.clone()]).await;
        assert_imported(&workspace, "m1 m2 m3").await;
        assert_eq!(fs::read(&path).unwrap(), before, "the source is only read");
        let kept = workspace.attachments().await;
        assert!(kept.iter().any(|path| path.ends_with("nofxTheme.json")), "{kept:?}");
        let list =
            kept.iter().find(|path| path.ends_with("nofx.sessions.json")).expect("it has a session without an id");
        let bytes = workspace.attached(list).await.unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains("null"), "what became no entity is kept");
        let again = import(&workspace, vec![path]).await;
        assert_eq!((again.totals.commits, again.totals.files_unchanged), (0, again.totals.files));
    }
}

#[tokio::test]
async fn empty_lists_of_the_state_are_intact() {
    let workspace = workspace();
    let path = database(&workspace, "nofx.nofx", r#"{"nofx.agents": [], "nofx.sessions": []}"#);
    let report = import(&workspace, vec![path]).await;
    assert_eq!(report.totals.bytes_kept, 0, "{report}");
    assert!(workspace.attachments().await.is_empty() && !report.has_damage(), "{report}");
}

#[tokio::test]
async fn the_state_may_come_alone_and_what_comes_later_is_added_behind() {
    let workspace = workspace();
    let path = database(&workspace, "publisher.nofx", STATE);
    let report = migrate(&path, &workspace.store, &Options::default(), &NoProgress).await.unwrap();
    assert_eq!((report.kinds["agents"].added, report.kinds["sessions"].added), (2, 2));
    import(&workspace, vec![]).await;
    assert_imported(&workspace, "m2 m3 m1").await;
}

#[tokio::test]
async fn a_list_of_agents_that_is_cut_gives_those_before_the_cut_and_is_kept() {
    let workspace = Workspace::with(&[("agents.json", r#"{"agents": []}"#)]);
    let cut = r#"{"nofx.agents": [{"id": "ada", "lastActiveAt": "2025-09-12T08:00:00.000Z"}, {"id": "bob", "na"#;
    let path = database(&workspace, "nofx.nofx", cut);
    import(&workspace, vec![path]).await;
    // Of the last one, the members before the truncation.
    assert_eq!(workspace.all("agent", "id").await, [r#""ada""#, r#""bob""#]);
    let kept = workspace.attachments().await;
    assert_eq!(kept, ["@5e1f/state.vscdb/nofx.agents.json", "@5e1f/state.vscdb/nofx.nofx"]);
    assert_eq!(workspace.attached(&kept[1]).await.unwrap(), cut.as_bytes());
}

#[tokio::test]
async fn a_state_that_is_cut_gives_every_whole_message_before_the_cut_and_is_kept() {
    let ends = [("m2", r#""two"}"#), ("m3", r#""three"}"#), ("m4", r#""four"}"#)];
    let ends = ends.map(|(id, end)| (id, STATE.find(end).unwrap() + end.len()));
    let first = STATE.find("nofx.sessions").unwrap();
    for cut in (first + 20..STATE.len() - 1).step_by(37) {
        for is_database in [true, false] {
            let workspace = Workspace::with(&[("agents.json", "{}")]);
            let state = STATE.get(..cut).unwrap();
            let path = match is_database {
                true => database(&workspace, "nofx.nofx", state),
                false => {
                    fs::write(workspace.folder().join("state.json"), state).unwrap();
                    workspace.folder().join("state.json")
                }
            };
            import(&workspace, vec![path]).await;
            assert_eq!(workspace.all("agent", "id").await, [r#""ada""#, r#""bob""#], "{cut}");
            let there = [workspace.messages("s-1").await, workspace.messages("s-2").await].join(" ");
            let wanted: Vec<_> = ends.iter().filter(|(_, end)| *end <= cut).map(|(id, _)| *id).collect();
            assert_eq!(there.trim(), wanted.join(" "), "{cut}");
            let kept = workspace.attachments().await;
            let whole = kept.iter().find(|path| path.ends_with("state.json") || path.ends_with("nofx.nofx"));
            assert_eq!(workspace.attached(whole.unwrap()).await.unwrap(), state.as_bytes(), "{cut}");
        }
    }
}

#[tokio::test]
async fn sources_that_are_called_the_same_are_all_imported() {
    let workspace = Workspace::with(&[("agents.json", r#"{"agents": []}"#)]);
    let state = |id: &str| format!(r#"{{"nofx.agents": [{{"id": "{id}"}}]}}"#);
    // Two publishers in one database, and another state whose folder and file have the same names.
    let first = database(&workspace, "nofx.nofx", &state("ada"));
    let insert = "INSERT INTO ItemTable VALUES ('other.nofx', ?)";
    Connection::open(&first).unwrap().execute(insert, (state("bob"),)).unwrap();
    let second = workspace.folder().join("insiders/5e1f/state.vscdb");
    fs::create_dir_all(second.parent().unwrap()).unwrap();
    fs::write(&second, state("grace")).unwrap();
    let all = vec![first.clone(), second, first];
    let report = import(&workspace, all.clone()).await;
    assert_eq!(workspace.all("agent", "id").await, [r#""ada""#, r#""bob""#, r#""grace""#]);
    assert_eq!(report.totals.files, 4, "a source that is named twice is one");
    assert_eq!(import(&workspace, all).await.totals.commits, 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let workspace = workspace();
    let pipe = workspace.folder().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(OutsideSource::of(&pipe).unwrap(), None);
}

#[tokio::test]
async fn orchestration_messages_from_elsewhere_are_among_those_of_the_folder() {
    let message = |id: &str| format!("{{\"id\":\"{id}\",\"timestamp\":\"2025-09-10T08:00:00.000Z\",\"type\":\"x\"}}\n");
    let workspace = Workspace::with(&[("orchestration/messages.jsonl", &message("a"))]);
    let folder = workspace.folder().join("logs");
    fs::create_dir_all(folder.join("messages.jsonl.d")).unwrap();
    fs::write(folder.join("messages-2025.jsonl"), message("b")).unwrap();
    fs::write(folder.join("messages.jsonl"), message("c")).unwrap();
    fs::write(folder.join("diary.txt"), "not ours").unwrap();
    let report = import(&workspace, vec![folder.clone()]).await;
    assert_eq!((report.totals.files, report.kinds["orchestration messages"].added), (3, 3));
    assert_eq!(OutsideSource::of(&folder).unwrap(), Some(OutsideSource::Orchestration));
    assert_eq!(workspace.attachments().await.len(), 0);
    assert_eq!(import(&workspace, vec![folder]).await.totals.commits, 0);
}

#[tokio::test]
async fn changes_that_are_not_in_the_database_yet_are_missing() {
    let workspace = workspace();
    let path = database(&workspace, "nofx.nofx", STATE);
    fs::write(workspace.folder().join("5e1f/state.vscdb-wal"), "changes").unwrap();
    let mut options = Options::default();
    options.also = vec![path];
    let report = migrate(&workspace.root(), &workspace.store, &options, &NoProgress).await.unwrap();
    assert!(!report.is_complete() && report.to_string().contains("close VS Code"), "{report}");
    assert_imported(&workspace, "m1 m2 m3").await;
}

#[tokio::test]
async fn what_is_none_of_these_is_refused_before_anything_is_written() {
    let workspace = workspace();
    fs::write(workspace.folder().join("other.json"), r#"{"name": "package"}"#).unwrap();
    fs::create_dir(workspace.folder().join("empty")).unwrap();
    fs::write(workspace.folder().join("broken.vscdb"), b"SQLite format 3\0 and nothing else").unwrap();
    for (name, code) in [
        ("other.json", "source-not-state"),
        ("empty", "source-not-state"),
        ("nowhere", "source-missing"),
        ("broken.vscdb", "source-unreadable"),
    ] {
        let mut options = Options::default();
        options.also = vec![workspace.folder().join(name)];
        let error = migrate(&workspace.root(), &workspace.store, &options, &NoProgress).await.unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert_eq!(workspace.all("agent", "id").await.len(), 0, "{name}");
    }
}
