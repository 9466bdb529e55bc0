//! What floating point, Unicode and tidying would change arrives unchanged.

use nofx_core::entity::Session;

use crate::workspace::{Workspace, session};

#[tokio::test]
async fn unknown_members_exact_numbers_and_halves_of_characters_arrive_as_they_were() {
    let odd = r#""x":1.10,"big":9007199254740993,"huge":1e400,"many":123456789012345678901234567890,"cut":"\ud83d","":0,"__proto__":{"a":[]},"$own":true"#;
    let text = format!(
        r#"{{"id":"s","agentId":"a",{odd},"conversationHistory":[{{"id":"m","content":"half \udc00",{odd}}}],"completedTasks":[{{"id":"t",{odd}}}]}}"#
    );
    let workspace = Workspace::with(&[("sessions/s.json", &text)]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    for kind in ["session", "message", "task"] {
        assert_eq!(workspace.all(kind, "extra").await, [format!("{{{odd}}}")], "{kind}");
    }
    assert_eq!(workspace.all("message", "content").await, [r#""half \udc00""#]);
    assert!(workspace.attachments().await.is_empty());
}

#[tokio::test]
async fn of_members_written_twice_the_last_counts_and_the_file_is_kept() {
    let text = r#"{"id":"s","agentId":"a","status":"active","status":"paused","x":1,"x":2,"conversationHistory":[]}"#;
    let workspace = Workspace::with(&[("sessions/s.json", text)]);
    let report = workspace.import().await;
    assert!(report.is_complete() && report.has_damage());
    assert_eq!(workspace.all("session", "status").await, ["\"paused\""]);
    assert_eq!(workspace.attached("sessions/s.json").await.unwrap(), text.as_bytes());
}

#[tokio::test]
async fn odd_dates_stay_and_times_without_one_follow_the_message_before() {
    let text = r#"{"id":"s","agentId":"a","createdAt":"2025-01-01T00:00:00.000Z","conversationHistory":[
        {"id":"1"},{"id":"2","timestamp":1735689605000},{"id":"3","timestamp":"yesterday"},{"id":"4","timestamp":null},
        {"id":"5","timestamp":"2025-01-01T02:00:00+01:00"}]}"#;
    let workspace = Workspace::with(&[("sessions/s.json", text)]);
    workspace.import().await;
    let entries = workspace.store.backend();
    let query = nofx_core::LogQuery::oldest_first(Session::history(&"s".into()), 10);
    let times: Vec<_> = entries.read(&query).await.unwrap().items.iter().map(|entry| entry.at.as_millis()).collect();
    let start = 1_735_689_600_000;
    assert_eq!(times, [start, start + 5000, start + 5000, start + 5000, start + 3_600_000]);
}

#[tokio::test]
async fn other_encodings_of_text_are_read_as_text() {
    let plain = session("s", 1, "active", "ä b");
    let workspace = Workspace::with(&[("agents.json", "\u{feff}{\"agents\":[{\"id\":\"ü\"}]}")]);
    let units: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    workspace.write("sessions/one.json", [&[0xFF, 0xFE], units.as_slice()].concat());
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.messages("s").await, "ä b");
    assert_eq!(workspace.all("agent", "id").await, ["\"ü\""]);
    assert!(workspace.attachments().await.is_empty());
}

#[tokio::test]
async fn ids_that_look_like_something_else_are_only_ids() {
    let ids = ["../evil", "a/b", "CON", "a\\\\b", "a b#1%20", "\\u0000", "x".repeat(600).leak()];
    let workspace = Workspace::with(&[]);
    for (number, id) in ids.iter().enumerate() {
        workspace.write(&format!("sessions/{number}.json"), session(id, 1, "active", "m"));
    }
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.lines("session").await.len(), ids.len());
    assert_eq!(workspace.lines("message").await.len(), ids.len());
}

#[tokio::test]
async fn a_session_without_an_id_is_named_after_its_file() {
    let workspace =
        Workspace::with(&[("sessions/my own.json", r#"{"agentId":"a","conversationHistory":[{"id":"m"}]}"#)]);
    workspace.import().await;
    assert_eq!(workspace.messages("my own").await, "m");
}
