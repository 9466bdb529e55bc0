//! Each kind of file becomes what it should.

use nofx_core::entity::{Checkpoint, OrchestrationMessage, Session, TranscriptPart};

use crate::workspace::{Workspace, session};

#[tokio::test]
async fn agents_are_those_of_the_current_list_and_then_of_the_newest_snapshot() {
    let list = |saved: u32, agents: &str| {
        format!(r#"{{"version":"1.0","timestamp":"2025-01-0{saved}T00:00:00.000Z","agents":[{agents}]}}"#)
    };
    let workspace = Workspace::with(&[
        (
            "agents.json",
            &list(9, r#"{"id":"a","name":"now","template":"by-id"},{"id":"b","name":"b","template":null}"#),
        ),
        ("archives/x_2025-01-01T00-00-00-000Z/agents.json", &list(1, r#"{"id":"c","name":"oldest"}"#)),
        (
            "archives/x_2025-01-02T00-00-00-000Z/agents.json",
            &list(2, r#"{"id":"a","name":"then"},{"id":"c","name":"older","template":{"id":"t","systemPrompt":"p"}}"#),
        ),
    ]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.all("agent", "name").await, ["\"now\"", "\"b\"", "\"older\""]);
    let templates = workspace.all("agent", "template").await;
    assert_eq!(templates[..2], [r#"{"id":"by-id"}"#, ""]);
    assert!(templates[2].contains("digest"));
    assert!(workspace.attachments().await.is_empty());
}

#[tokio::test]
async fn a_session_is_a_record_and_two_logs_and_its_template_is_kept_once() {
    let template = r#"{"id":"t","name":"T","systemPrompt":"be kind","big":1e400}"#;
    let with = |id: &str| {
        format!(
            r#"{{"id":"{id}","agentId":"a","capabilities":[],"systemPrompt":"be kind","template":{template},
            "conversationHistory":[{{"id":"m1","timestamp":"2025-01-01T00:00:00.000Z","type":"user","content":"x"}}],
            "completedTasks":[{{"id":"t1","title":"one"}}],"currentTask":{{"id":"t2","title":"two"}}}}"#
        )
    };
    let workspace = Workspace::with(&[("sessions/s1.json", &with("s1")), ("sessions/s2.json", &with("s2"))]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.lines("template").await.len(), 1);
    assert_eq!(workspace.all("template", "body").await, [template]);
    let records = workspace.store.load::<Session>(&"s1".into()).await.unwrap().unwrap().value;
    assert!(records.prompt_is_templates && records.system_prompt.is_none());
    assert_eq!(workspace.all("session", "system_prompt").await, [r#""be kind""#; 2]);
    assert_eq!(workspace.messages("s1").await, "m1");
    assert_eq!(workspace.all("task", "slot").await, ["\"completed\"", "\"current\"", "\"completed\"", "\"current\""]);
}

#[tokio::test]
async fn archives_lists_and_bare_sessions_are_sessions_wherever_they_lie() {
    let archive = format!(
        r#"{{"sessions":[{},{}],"exportedAt":"x","projectName":"p"}}"#,
        session("s1", 1, "archived", "a b"),
        session("s2", 1, "archived", "c")
    );
    let workspace = Workspace::with(&[
        ("archives/two.json", &archive),
        ("archives/bare.json", &session("s3", 1, "archived", "d")),
        ("archive/old name.json", &session("s4", 1, "active", "e")),
        ("sessions/deep/er/list.json", &format!("[{}]", session("s5", 1, "active", "f"))),
        ("archives/none.json", r#"{"sessions":[],"totalSessions":0}"#),
    ]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.all("session", "id").await, ["\"s1\"", "\"s2\"", "\"s3\"", "\"s4\"", "\"s5\""]);
    assert_eq!(workspace.messages("s1").await, "a b");
    assert!(workspace.attachments().await.is_empty());
}

#[tokio::test]
async fn checkpoints_and_transcripts_belong_to_the_agent_in_the_name() {
    let transcript =
        "# Agent Session: a b\n# Started: 2025-01-01T00:00:00.000Z\n\none\n\n--- 2025-01-01T00:00:01.000Z ---\ntwo";
    let checkpoint =
        |number: u32| format!(r#"{{"timestamp":"2025-01-01T00:00:0{number}.000Z","user":"u{number}","agent":"a"}}"#);
    let (one, two, three) = (checkpoint(1), checkpoint(2), checkpoint(3));
    let workspace = Workspace::with(&[
        ("sessions/a b_session.md", transcript),
        ("archive/a b_session.md", "# Agent Session: a b\n# Started: 2025-01-01T00:00:00.000Z\n\none"),
        ("sessions/a b_checkpoint.json", &format!("[{two},\n{three}]")),
        ("archives/s_1/a b_checkpoint.json", &format!("[{one},{two}]")),
        ("sessions/undefined.json", &format!("[{two}]")),
        ("sessions/nobody_checkpoint.json", "[]"),
    ]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    let agent = "a b".into();
    assert_eq!(workspace.log(Checkpoint::log(&agent)).await, [one, two, three]);
    let parts = workspace.log(TranscriptPart::log(&agent)).await;
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!(workspace.attachments().await, ["archive/a b_session.md", "sessions/a b_session.md"]);
    assert_eq!(workspace.attached("sessions/a b_session.md").await.unwrap(), transcript.as_bytes());
}

#[tokio::test]
async fn a_list_of_checkpoints_without_an_agent_is_kept_under_its_own_name() {
    let workspace = Workspace::with(&[("sessions/undefined.json", r#"[{"user":"u","agent":"a"}]"#)]);
    workspace.import().await;
    assert_eq!(workspace.all("checkpoint", "agent").await, ["\"undefined\""]);
    assert!(workspace.lines("session").await.is_empty());
}

#[tokio::test]
async fn messages_between_agents_follow_the_order_of_the_files_and_equal_ones_stay() {
    let line =
        |id: &str| format!(r#"{{"id":"{id}","timestamp":"2025-01-01T00:00:00.000Z","type":"x","payload":null}}"#);
    let workspace = Workspace::with(&[
        ("orchestration/messages.jsonl", &format!("{}\n{}", line("e"), line("f"))),
        ("orchestration/messages-2025-02-01T00-00-00-000Z.jsonl", &format!("{}\r\n\r\n{}\r\n", line("c"), line("c"))),
        ("orchestration/messages-2025-01-01T00-00-00-000Z.jsonl", &format!("{}\n   \n", line("b"))),
        ("orchestration/messages.lock", ""),
    ]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.all("orchestration", "id").await, ["\"b\"", "\"c\"", "\"c\"", "\"e\"", "\"f\""]);
    assert_eq!(workspace.all("orchestration", "payload").await, ["null"; 5]);
    assert!(workspace.attachments().await.is_empty());
}

#[tokio::test]
async fn segments_are_rolled_and_sealed_when_they_are_full() {
    let line = |id: u32| format!("{{\"id\":\"m{id}\",\"timestamp\":\"2025-01-01T00:00:00.000Z\",\"type\":\"x\"}}\n");
    let lines: String = (0..20_500).map(line).collect();
    let workspace = Workspace::with(&[("orchestration/messages.jsonl", &lines)]);
    workspace.import().await;
    let mut lengths = Vec::new();
    for number in 0..4 {
        let head = workspace.store.head(&OrchestrationMessage::segment(number)).await.unwrap();
        lengths.push((head.length, head.state));
    }
    use nofx_core::LogState::{Open, Sealed};
    assert_eq!(lengths, [(10_000, Sealed), (10_000, Sealed), (500, Open), (0, Open)]);

    workspace.write("orchestration/messages.jsonl", format!("{lines}{}", line(30_000)));
    let report = workspace.import().await;
    assert_eq!(report.kinds["orchestration messages"].added, 1);
    assert_eq!(workspace.log(OrchestrationMessage::segment(2)).await.len(), 501);
}

#[tokio::test]
async fn templates_have_many_contents_and_names_point_to_the_one_in_use() {
    let template = |prompt: &str| format!(r#"{{"id":"t","name":"T","systemPrompt":"{prompt}"}}"#);
    let workspace = Workspace::with(&[
        ("templates/t.json", &template("file")),
        ("templates/custom/other name.json", &template("custom")),
        ("templates/custom/x.config.json", r#"{"category":"developer"}"#),
        ("sessions/session-a-1.json", &format!(r#"{{"id":"s","agentId":"a","template":{}}}"#, template("session"))),
    ]);
    let report = workspace.import().await;
    assert!(report.is_complete() && !report.has_damage(), "{report}");
    assert_eq!(workspace.lines("template").await.len(), 3);
    let name = workspace.store.load::<nofx_core::entity::TemplateName>(&"t".into()).await.unwrap().unwrap();
    let newest = workspace.store.load::<nofx_core::entity::Template>(&name.value.digest).await.unwrap().unwrap();
    assert_eq!(newest.value.system_prompt.unwrap(), "custom");
    assert_eq!(workspace.attachments().await, ["templates/custom/x.config.json"]);
}

#[tokio::test]
async fn what_becomes_no_entity_is_kept_byte_for_byte() {
    let files = [
        ("notes.txt", "a note\n"),
        ("export_1.md", "# Export\n"),
        ("dlq/agent-manager/1.json", "{\"id\":\"1\"}"),
        ("conductor-sessions/x-y.json", "{\"id\":\"y\"}"),
        ("coverage-baseline.json", "{}"),
        ("vp-conductor-prompt.txt", "prompt"),
        ("other.json", "{\"a\": 1}"),
        ("messages.jsonl", "{}"),
    ];
    let workspace = Workspace::with(&files);
    workspace.write("binary", [0xff, 0, 1, 0xfe]);
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.totals.bytes_understood, 0);
    for (path, content) in files {
        assert_eq!(workspace.attached(path).await.unwrap(), content.as_bytes(), "{path}");
    }
    assert_eq!(workspace.attached("binary").await.unwrap(), [0xff, 0, 1, 0xfe]);
}
