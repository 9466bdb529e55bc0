//! Stored data stays readable for ever: each golden file is a body that this or an earlier version wrote. Golden files
//! are added, never edited.

#![expect(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]

use nofx_core::entity::{
    Agent, Attachment, Checkpoint, Entity, ImportedFile, Message, OrchestrationMessage, Session, SessionStatus, Slot,
    Task, TaskAtHand, Template, TemplateName, TranscriptPart,
};
use nofx_core::json::Text;
use nofx_core::{Body, Timestamp};

/// Checks that a body survives load and save, and that an edit changes one member and nothing else.
fn survives<E: Entity>(golden: &str, edit: impl FnOnce(&mut E), old: &str, new: &str) -> E {
    let body = Body::parse(golden).unwrap();
    assert_eq!(body.as_str(), golden.trim_end(), "golden files are compact");
    let loaded = E::from_body(&body).unwrap();
    assert_eq!(loaded.to_body().unwrap(), body, "an unchanged entity keeps its bytes");

    let mut edited = loaded.clone();
    edit(&mut edited);
    assert_eq!(body.as_str().matches(old).count(), 1, "{old} marks one place");
    assert_eq!(edited.to_body().unwrap().as_str(), body.as_str().replace(old, new));
    loaded
}

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

#[test]
fn agents_survive() {
    let agent: Agent = survives(
        include_str!("golden/agent.v1.json"),
        |agent: &mut Agent| agent.status = "idle".into(),
        r#""status":"working""#,
        r#""status":"idle""#,
    );
    assert_eq!((agent.kind, agent.tasks_completed, agent.created_at), ("backend-specialist".into(), 3, Some(AT)));
}

#[test]
fn sessions_survive_and_show_what_fits() {
    let session: Session = survives(
        include_str!("golden/session.v1.json"),
        |session: &mut Session| session.status = Some(SessionStatus::Archived),
        r#""status":"hibernating""#,
        r#""status":"archived""#,
    );
    assert_eq!(session.status, Some(SessionStatus::Other("hibernating".into())));
    assert_eq!(session.tasks_completed, 9_007_199_254_740_993);
    assert_eq!(session.name, "Grace - 11/14/2023, 10:13:20\u{202f}PM");
    assert_eq!((session.git_branch, session.prompt_is_templates), (Some("".into()), true));
}

#[test]
fn messages_survive() {
    let message: Message = survives(
        include_str!("golden/message.v1.json"),
        |message: &mut Message| message.content = Some("short".into()),
        r#""content":"cut in an emoji: \ud83d, a slash: \/""#,
        r#""content":"short""#,
    );
    assert_eq!(message.content.unwrap().to_str_lossy(), "cut in an emoji: \u{fffd}, a slash: /");
    assert_eq!(message.metadata.unwrap().get("cost"), Some("0.10"));
}

#[test]
fn tasks_survive() {
    let task: Task = survives(
        include_str!("golden/task.v1.json"),
        |task: &mut Task| task.slot = Some(Slot::Completed),
        r#""$slot":"current""#,
        r#""$slot":"completed""#,
    );
    assert_eq!((task.assigned_at, task.replaces), (Some(AT), Some(4)));
}

#[test]
fn templates_and_their_names_survive() {
    let template: Template = survives(
        include_str!("golden/template.v1.json"),
        |template: &mut Template| template.name = "Servers".into(),
        r#""name":"Backend""#,
        r#""name":"Servers""#,
    );
    assert_eq!(template.system_prompt, Some("You write servers.".into()));
    let name: TemplateName = survives(
        include_str!("golden/template-name.v1.json"),
        |name: &mut TemplateName| name.id = "server".into(),
        r#""id":"backend-specialist""#,
        r#""id":"server""#,
    );
    assert_eq!(name.digest.to_string().len(), 64);
}

#[test]
fn checkpoints_and_transcripts_survive() {
    let checkpoint: Checkpoint = survives(
        include_str!("golden/checkpoint.v1.json"),
        |checkpoint: &mut Checkpoint| checkpoint.agent = "undone".into(),
        r#""agent":"done""#,
        r#""agent":"undone""#,
    );
    assert_eq!(checkpoint.timestamp, Some(AT));
    let part: TranscriptPart = survives(
        include_str!("golden/transcript-part.v1.json"),
        |part: &mut TranscriptPart| part.timestamp = None,
        r#""timestamp":"2023-11-14T22:13:20.000Z","#,
        "",
    );
    assert_eq!(part.content.to_str_lossy(), "line\r\n\0 \u{fffd}");
}

#[test]
fn orchestration_messages_survive() {
    let message: OrchestrationMessage = survives(
        include_str!("golden/orchestration-message.v1.json"),
        |message: &mut OrchestrationMessage| message.requires_ack = Some(false),
        r#""requiresAck":true"#,
        r#""requiresAck":false"#,
    );
    assert_eq!((message.kind, message.from), ("assign_task".into(), Some("conductor".into())));
}

#[test]
fn attachments_and_imported_files_survive() {
    let attachment: Attachment = survives(
        include_str!("golden/attachment.v1.json"),
        |attachment: &mut Attachment| attachment.size = 13,
        r#""size":12"#,
        r#""size":13"#,
    );
    assert_eq!(attachment.reason, Some("transcript".into()));
    let file: ImportedFile = survives(
        include_str!("golden/imported-file.v1.json"),
        |file: &mut ImportedFile| file.became = "nothing".into(),
        r#""became":"agents""#,
        r#""became":"nothing""#,
    );
    assert_eq!(file.size, 12);
}

#[test]
fn what_workspaces_add_survives() {
    let message: Message = survives(
        include_str!("golden/message-abridged.v1.json"),
        |message: &mut Message| message.writer = None,
        r#""$writer":"0a1b2c3d","#,
        "",
    );
    assert_eq!(message.content, Some("total 4,096 files…".into()));
    let session: Session = survives(
        include_str!("golden/session-fork.v1.json"),
        |session: &mut Session| session.copied = 4,
        r#""$copied":3"#,
        r#""$copied":4"#,
    );
    assert_eq!((session.pieces.len(), session.pieces[0].length), (1, 100));
    let session: Session = survives(
        include_str!("golden/session-tasked.v1.json"),
        |session: &mut Session| session.task_at_hand = Some(TaskAtHand { length: 8, position: None }),
        r#""$taskAtHand":{"length":7,"position":6}"#,
        r#""$taskAtHand":{"length":8}"#,
    );
    assert_eq!(session.task_at_hand, Some(TaskAtHand { length: 7, position: Some(6) }));
    let session: Session = survives(
        include_str!("golden/session-rewound.v2.json"),
        |session: &mut Session| session.rewinds = 4,
        r#""$rewinds":3"#,
        r#""$rewinds":4"#,
    );
    let logs: Vec<_> = session.parts().into_iter().map(|(log, places)| (log.id().to_owned(), places)).collect();
    let expected =
        [("session-0", 0..60), ("session-1\u{1}00000001", 60..130), ("session-1\u{1}00000003", 130..u64::MAX)];
    assert_eq!(logs, expected.map(|(log, places)| (log.to_owned(), places)));
    assert_eq!((session.schema(), session.key), (2, Some("thread/1".into())));
    let part: TranscriptPart = survives(
        include_str!("golden/transcript-part-anew.v1.json"),
        |part: &mut TranscriptPart| part.content = "over".into(),
        r#""content":"again""#,
        r#""content":"over""#,
    );
    assert!(part.starts_over);
    let task: Task = survives(
        include_str!("golden/task-tagged.v1.json"),
        |task: &mut Task| task.tags = Vec::new(),
        r#""tags":["api","list"]"#,
        r#""tags":[]"#,
    );
    assert_eq!(task.tags, ["api", "list"]);
}

#[test]
fn entities_are_equal_that_are_stored_alike() {
    let made = Agent::new("a", "Ada", "tester");
    let read = Agent::from_body(&made.to_body().unwrap()).unwrap();
    assert_eq!(made, read);
    let more = Body::parse(r#"{"id":"a","name":"Ada","type":"tester","status":"idle","more":1}"#).unwrap();
    assert_ne!(Agent::from_body(&more).unwrap(), read);
}

#[test]
fn members_of_another_type_show_the_default_and_stay() {
    let odd =
        r#"{"id":5,"name":["x"],"status":null,"createdAt":1700000000000,"capabilities":"all","tasksCompleted":"3"}"#;
    let body = Body::parse(odd).unwrap();
    let mut session = Session::from_body(&body).unwrap();
    assert_eq!((&session.id, &session.name, &session.status), (&"".into(), &Text::default(), &None));
    assert_eq!(session.to_body().unwrap(), body);
    session.tasks_completed = 4;
    assert_eq!(session.to_body().unwrap().as_str(), odd.replace("\"3\"", "4"));
}

#[test]
fn a_new_entity_writes_what_it_was_given() {
    let agent = Agent::new("a", "Ada", "tester");
    assert_eq!(agent.to_body().unwrap().as_str(), r#"{"id":"a","name":"Ada","type":"tester","status":"idle"}"#);
}

#[test]
fn a_body_that_is_no_object_is_corrupt() {
    let error = Agent::from_body(&Body::parse("[]").unwrap()).unwrap_err();
    assert_eq!(error.code(), "corrupt");
}
