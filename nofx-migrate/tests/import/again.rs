//! Importing again adds what is new, and nothing else.

use nofx_core::entity::{Agent, EntityId, Session};
use nofx_core::{Expect, kind};
use nofx_migrate::FileState;

use crate::workspace::{Workspace, dumped, message, session};

#[tokio::test]
async fn a_second_import_commits_nothing() {
    let workspace = Workspace::with(&[
        ("agents.json", r#"{"agents":[{"id":"a","template":{"id":"t"}}]}"#),
        ("sessions/s.json", &session("s", 1, "active", "a b")),
        ("archives/s.json", &session("s", 2, "archived", "a b c")),
        ("sessions/a_session.md", "text"),
        ("orchestration/messages.jsonl", "{\"id\":\"1\",\"type\":\"x\"}\nbad\n"),
        ("notes.txt", "note"),
        ("empty.txt", ""),
    ]);
    let first = workspace.import().await;
    let (seq, dump) = (workspace.last_seq().await, dumped(&workspace.store).await);
    let second = workspace.import().await;
    assert_eq!(second.totals.commits, 0);
    assert_eq!(workspace.last_seq().await, seq);
    assert_eq!(dumped(&workspace.store).await, dump);
    assert_eq!(second.totals.files_unchanged, first.totals.files);
    assert!(second.is_complete(), "{second}");
}

#[tokio::test]
async fn a_history_that_slid_adds_only_its_new_end() {
    let workspace = Workspace::with(&[("sessions/s.json", &session("s", 1, "active", "a b c d"))]);
    workspace.import().await;
    workspace.write("sessions/s.json", session("s", 7, "paused", "c d d e f"));
    let report = workspace.import().await;
    assert_eq!(workspace.messages("s").await, "a b c d d e f");
    assert_eq!(report.kinds["messages"].added, 3);
    assert_eq!(workspace.all("session", "status").await, ["\"paused\""]);
    assert_eq!(report.files.iter().next().unwrap().unwrap().state, FileState::Changed);
    assert!(report.is_complete() && !report.has_damage(), "{report}");
}

#[tokio::test]
async fn what_was_imported_of_a_session_stays_when_its_file_is_cut_or_emptied() {
    let prompted = |session: String| session.replace("\n}", ",\n  \"systemPrompt\": \"be kind\"\n}");
    let whole = prompted(session("session-ada-1757341200000", 1, "active", "a b"));
    let until = |end: &str| whole.split_inclusive(end).next().unwrap().to_owned();
    let (name, history) = (until("\"name\""), until("conversationHistory"));
    // It continued, and was truncated when it was saved.
    let cut_later =
        session("session-ada-1757341200000", 9, "paused", "a b c").split("\"says c").next().unwrap().to_owned();
    for states in [[&*whole, ""], [&history, ""], [&history, &name], [&whole, &history], [&whole, &cut_later]] {
        let path = "sessions/session-ada-1757341200000.json";
        let workspace = Workspace::with(&[(path, states[0])]);
        workspace.import().await;
        let before = workspace.lines("session").await;
        workspace.write(path, states[1]);
        let report = workspace.import().await;
        assert!(report.is_complete(), "{report}");
        let after = workspace.lines("session").await;
        let changes = if states[1] == cut_later { ["last_active_at", "status"].as_slice() } else { &[] };
        for (name, value) in before[0].iter() {
            let name = name.as_str().unwrap();
            assert_eq!(after[0].get(name) != Some(value), changes.contains(&name), "{name} {states:?}");
        }
        for path in workspace.attachments().await {
            assert!(workspace.attached(&path).await.is_some_and(|bytes| !bytes.is_empty()), "{path} {states:?}");
        }
        let again = workspace.import().await;
        assert_eq!((again.totals.commits, again.is_complete()), (0, true), "{again}");
    }
}

#[tokio::test]
async fn a_file_that_was_moved_to_the_archive_is_known() {
    let workspace = Workspace::with(&[("sessions/s.json", &session("s", 1, "active", "a b"))]);
    workspace.import().await;
    std::fs::remove_file(workspace.root().join("sessions/s.json")).unwrap();
    workspace.write("archives/s.json", format!(r#"{{"sessions":[{}]}}"#, session("s", 1, "archived", "a b")));
    let report = workspace.import().await;
    assert_eq!(workspace.messages("s").await, "a b");
    assert_eq!(workspace.all("session", "status").await, ["\"archived\""]);
    assert_eq!(report.kinds["messages"].added, 0);
}

#[tokio::test]
async fn a_log_that_was_rolled_is_known() {
    let line = |id: u32| format!("{{\"id\":\"{id}\",\"type\":\"x\",\"timestamp\":1}}\n");
    let lines = |ids: std::ops::Range<u32>| ids.map(line).collect::<String>();
    let workspace = Workspace::with(&[("orchestration/messages.jsonl", &lines(0..5))]);
    workspace.import().await;
    workspace.write("orchestration/messages-2025-01-01T00-00-00-000Z.jsonl", lines(0..7));
    workspace.write("orchestration/messages.jsonl", lines(6..8));
    let report = workspace.import().await;
    assert_eq!(report.kinds["orchestration messages"].added, 4);
    assert_eq!(workspace.lines("orchestration").await.len(), 9);
}

#[tokio::test]
async fn a_task_that_was_finished_replaces_its_earlier_state() {
    let with = |active: u32, tasks: &str| {
        format!(r#"{{"id":"s","agentId":"a","lastActiveAt":"2025-01-01T00:00:0{active}.000Z",{tasks}}}"#)
    };
    let workspace =
        Workspace::with(&[("sessions/s.json", &with(1, r#""currentTask":{"id":"t","status":"in_progress"}"#))]);
    workspace.import().await;
    workspace.write("sessions/s.json", with(2, r#""completedTasks":[{"id":"t","status":"completed"}]"#));
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("task", "status").await, ["\"completed\""]);
    assert_eq!(workspace.log(Session::tasks(&"s".into())).await.len(), 2);

    let tasks = r#""currentTask":{"id":"t","status":"in_progress"},"completedTasks":[{"id":"r","status":"completed"}]"#;
    workspace.write("sessions/s.json", with(1, tasks));
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("task", "id").await, ["\"t\"", "\"r\""]);
    assert_eq!(workspace.all("task", "status").await, ["\"completed\"", "\"completed\""]);
}

#[tokio::test]
async fn what_was_changed_in_the_target_stays_and_the_newer_file_is_kept() {
    let workspace = Workspace::with(&[("sessions/s.json", &session("s", 1, "active", "a"))]);
    workspace.import().await;
    let renamed = |session: Option<Session>| {
        Ok(session.map(|mut session| {
            session.name = "mine".into();
            session
        }))
    };
    workspace.store.update::<Session>(&"s".into(), renamed).await.unwrap();
    assert_eq!(workspace.import().await.totals.commits, 0);

    let newer = session("s", 2, "paused", "a b");
    workspace.write("sessions/s.json", &newer);
    let report = workspace.import().await;
    assert!(report.findings.iter().any(|finding| finding.code == "changed-in-target"), "{report}");
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("session", "name").await, ["\"mine\""]);
    assert_eq!(workspace.messages("s").await, "a b");
    assert_eq!(workspace.attached("sessions/s.json").await.unwrap(), newer.as_bytes());
    assert!(workspace.import().await.is_complete());
}

#[tokio::test]
async fn an_older_copy_of_a_session_does_not_undo_a_later_one() {
    let (older, later) = (session("s", 1, "active", "a b"), session("s", 2, "archived", "b c"));
    let workspace = Workspace::with(&[("sessions/s.json", &older)]);
    workspace.import().await;
    workspace.write("sessions/s.json", &later);
    workspace.import().await;
    for damage in ["", "x"] {
        let older = format!("{older}{damage}");
        workspace.write("sessions/s.json", &older);
        let report = workspace.import().await;
        assert!(report.findings.iter().any(|finding| finding.code == "older"), "{report}");
        assert!(report.is_complete(), "{report}");
        assert_eq!(workspace.all("session", "status").await, ["\"archived\""]);
        assert_eq!(workspace.messages("s").await, "a b c");
        assert_eq!(workspace.attached("sessions/s.json").await.unwrap(), older.as_bytes());
        assert_eq!(workspace.import().await.totals.commits, 0);
    }
    workspace.write("sessions/s.json", session("s", 3, "paused", "c"));
    workspace.import().await;
    assert_eq!(workspace.all("session", "status").await, ["\"paused\""]);
}

#[tokio::test]
async fn an_older_list_of_agents_does_not_undo_a_later_one() {
    let agents = |time: u32, name: &str, more: &str| {
        format!(
            r#"{{"version":"1","timestamp":"2025-01-0{time}T00:00:00.000Z","agents":[{{"id":"a","name":"{name}"}}{more}]}}"#
        )
    };
    let workspace = Workspace::with(&[("agents.json", &agents(1, "one", ""))]);
    workspace.import().await;
    workspace.write("agents.json", agents(2, "two", ""));
    workspace.import().await;
    assert_eq!(workspace.all("agent", "name").await, ["\"two\""]);
    let older = agents(1, "one", r#",{"id":"b","name":"new"}"#);
    workspace.write("agents.json", &older);
    let report = workspace.import().await;
    assert!(report.findings.iter().any(|finding| finding.code == "older"), "{report}");
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("agent", "name").await, ["\"two\"", "\"new\""]);
    assert_eq!(workspace.attached("agents.json").await.unwrap(), older.as_bytes());
}

#[tokio::test]
async fn what_was_deleted_from_the_target_stays_deleted() {
    let agents = |name: &str| format!(r#"{{"agents":[{{"id":"a"}},{{"id":"b","name":"{name}"}}]}}"#);
    let workspace = Workspace::with(&[
        ("agents.json", &agents("one")),
        ("sessions/s.json", &session("s", 1, "active", "a")),
        ("sessions/r.json", &session("r", 1, "active", "a")),
    ]);
    workspace.import().await;
    let store = &workspace.store;
    store.delete::<Agent>(&"a".into(), Expect::Any).await.unwrap();
    let id = nofx_core::entity::SessionId::from("s");
    let purge = store
        .batch()
        .delete(id.record_key(kind::SESSION), Expect::Any)
        .remove(Session::history(&id))
        .remove(Session::tasks(&id));
    store.commit(purge).await.unwrap();
    workspace.write("agents.json", agents("two"));
    workspace.write("sessions/s.json", session("s", 2, "active", "a b"));
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("agent", "name").await, ["\"two\""]);
    assert_eq!(workspace.all("session", "id").await, ["\"r\""]);
    assert_eq!(workspace.import().await.totals.commits, 0);
}

#[tokio::test]
async fn bytes_that_grew_replace_their_beginning_and_others_stay_beside_the_new_ones() {
    let workspace = Workspace::with(&[("sessions/a_session.md", "text"), ("notes.txt", "first")]);
    workspace.import().await;
    workspace.write("sessions/a_session.md", "text and more");
    workspace.write("notes.txt", "second");
    workspace.import().await;
    let attachments = workspace.attachments().await;
    assert_eq!(attachments.len(), 3, "{attachments:?}");
    assert_eq!(workspace.attached("sessions/a_session.md").await.unwrap(), b"text and more");
    assert_eq!(workspace.attached("notes.txt").await.unwrap(), b"second");
    let older = attachments.iter().find(|path| path.starts_with("notes.txt#")).unwrap();
    assert_eq!(workspace.attached(older).await.unwrap(), b"first");
    let payloads: Vec<_> =
        futures_util::TryStreamExt::try_collect(workspace.store.scan(nofx_core::ScanQuery::of(kind::PAYLOAD, 10)))
            .await
            .unwrap();
    assert_eq!(payloads.len(), 3);
}

#[tokio::test]
async fn bytes_that_come_back_are_kept_once() {
    let workspace = Workspace::with(&[("notes.txt", "first")]);
    for content in ["first", "second", "first", "second"] {
        workspace.write("notes.txt", content);
        assert!(workspace.import().await.is_complete());
    }
    let attachments = workspace.attachments().await;
    assert_eq!(attachments.len(), 2, "{attachments:?}");
    assert_eq!(workspace.attached("notes.txt").await.unwrap(), b"second");
    let older = attachments.iter().find(|path| path.starts_with("notes.txt#")).unwrap();
    assert_eq!(workspace.attached(older).await.unwrap(), b"first");
}

#[tokio::test]
async fn messages_that_were_added_in_the_target_stay_between_the_imported_ones() {
    let workspace = Workspace::with(&[("sessions/s.json", &session("s", 1, "active", "a"))]);
    workspace.import().await;
    let own = nofx_core::entity::Message::new(
        "own",
        nofx_core::Timestamp::from_millis(0),
        nofx_core::entity::Role::User,
        "x",
    );
    workspace.store.append(&Session::history(&"s".into()), None, &[own]).await.unwrap();
    workspace.write("sessions/s.json", session("s", 2, "active", "a b"));
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.messages("s").await, "a own b");
}

#[tokio::test]
async fn a_dry_run_reports_the_same_and_writes_nothing() {
    let workspace =
        Workspace::with(&[("sessions/s.json", &session("s", 1, "active", "a b")), ("notes.txt", &message("x"))]);
    let mut options = nofx_migrate::Options::default();
    options.dry_run = true;
    let dry =
        nofx_migrate::migrate(workspace.folder(), &workspace.store, &options, &nofx_migrate::NoProgress).await.unwrap();
    assert_eq!(workspace.last_seq().await, None);
    let real = workspace.import().await;
    assert_eq!(dry.files, real.files);
    assert_eq!(dry.kinds, real.kinds);
    assert_eq!(dry.totals.commits, 0);
}
