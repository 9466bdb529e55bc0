//! Copies of one session in several places are merged.

use crate::workspace::{Workspace, session};

#[tokio::test]
async fn the_copy_that_was_active_last_counts_and_every_message_of_each_is_there() {
    let workspace = Workspace::with(&[
        ("sessions/s.json", &session("s", 9, "active", "b@2 c@3 e@5 g@7")),
        ("archives/s.json", &format!(r#"{{"sessions":[{}]}}"#, session("s", 5, "archived", "b@2 c@3 d@4 f@6"))),
        ("archives/snap_1/s.json", &session("s", 2, "paused", "a@1 b@2")),
    ]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.messages("s").await, "a b c d e f g");
    assert_eq!(workspace.all("session", "status").await, ["\"active\""]);
    assert_eq!(report.kinds["sessions"].in_files, 3);
    assert_eq!(report.kinds["sessions"].merged, 1);
}

#[tokio::test]
async fn of_two_equally_new_copies_the_archived_one_counts() {
    let workspace = Workspace::with(&[
        ("sessions/s.json", &session("s", 9, "active", "a")),
        ("archives/s.json", &session("s", 9, "archived", "a")),
    ]);
    workspace.import().await;
    assert_eq!(workspace.all("session", "status").await, ["\"archived\""]);
    assert_eq!(workspace.messages("s").await, "a");
}

#[tokio::test]
async fn repeated_ids_stay_repeated_in_one_session_and_across_sessions() {
    let workspace = Workspace::with(&[
        ("sessions/s.json", &session("s", 1, "active", "sum sys a sys b")),
        ("sessions/r.json", &session("restored-s-1", 2, "active", "sum sys a sys b c")),
        ("archives/snap_1/s.json", &session("s", 1, "active", "sum sys a sys")),
    ]);
    workspace.import().await;
    assert_eq!(workspace.messages("s").await, "sum sys a sys b");
    assert_eq!(workspace.messages("restored-s-1").await, "sum sys a sys b c");
}

#[tokio::test]
async fn a_task_has_its_newest_state_and_one_that_only_an_older_copy_has_is_over() {
    let with = |active: u32, tasks: &str| {
        format!(r#"{{"id":"s","agentId":"a","lastActiveAt":"2025-01-01T00:00:0{active}.000Z",{tasks}}}"#)
    };
    let workspace = Workspace::with(&[
        (
            "sessions/s.json",
            &with(
                5,
                r#""completedTasks":[{"id":"t1","status":"completed"}],"currentTask":{"id":"t3","status":"in_progress"}"#,
            ),
        ),
        (
            "archives/x_1/s.json",
            &with(
                1,
                r#""completedTasks":[{"id":"t0","status":"failed"}],"currentTask":{"id":"t1","status":"in_progress"}"#,
            ),
        ),
        ("archives/x_2/s.json", &with(2, r#""completedTasks":[],"currentTask":{"id":"t2","status":"in_progress"}"#)),
    ]);
    workspace.import().await;
    let mut tasks = Vec::new();
    for line in workspace.lines("task").await {
        tasks.push(["id", "slot", "status"].map(|name| line.get(name).unwrap_or_default().replace('"', "")).join(" "));
    }
    assert_eq!(
        tasks,
        ["t0 completed failed", "t2 completed in_progress", "t1 completed completed", "t3 current in_progress"]
    );
}

#[tokio::test]
async fn a_copy_whose_message_says_more_is_kept_as_a_file() {
    let older = session("s", 1, "active", "a b").replace("\"says a\"", "\"says a\", \"metadata\": {\"x\": 1}");
    let workspace =
        Workspace::with(&[("sessions/s.json", &session("s", 2, "active", "a b")), ("archive/s.json", &older)]);
    let report = workspace.import().await;
    assert!(report.findings.iter().any(|finding| finding.code == "variant"), "{report}");
    assert_eq!(workspace.messages("s").await, "a b");
    assert_eq!(workspace.attached("archive/s.json").await.unwrap(), older.as_bytes());
}

#[tokio::test]
async fn a_task_without_an_id_is_found_again_when_it_is_over() {
    let copy = |active: u32, task: &str| {
        let session = session("s", active, "active", "a");
        format!("{}{task}}}", session.trim_end().trim_end_matches('}'))
    };
    let workspace = Workspace::with(&[
        ("archive/s.json", &copy(1, r#", "currentTask": {"title": "nameless"}"#)),
        ("archives/older_1/s.json", &copy(0, r#", "currentTask": {"title": "nameless"}"#)),
        ("sessions/s.json", &copy(2, "")),
    ]);
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("task", "slot").await, ["\"completed\""]);
    assert_eq!(workspace.import().await.totals.commits, 0);
}
