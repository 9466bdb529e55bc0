use nofx_core::entity::Session;
use nofx_core::workspace::Workspace;
use nofx_core::{Body, Expect, Kind, NewEntry, RecordKey, Timestamp, kind};
use nofx_migrate::dump;

use crate::odd::{empty, fill, odd};

async fn dumped(store: &nofx_core::Store) -> String {
    let mut bytes = Vec::new();
    dump(store, &mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn the_odd_store_is_dumped_as_it_always_was() {
    let found = dumped(&odd().await).await;
    if std::env::var_os("NOFX_WRITE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dump/golden/canonical.ndjson"), &found).unwrap();
    }
    for (found, golden) in found.lines().zip(include_str!("golden/canonical.ndjson").lines()) {
        assert_eq!(found, golden);
    }
    assert_eq!(found, include_str!("golden/canonical.ndjson"));
}

#[tokio::test]
async fn the_same_content_gives_the_same_bytes_however_it_came() {
    let late = empty();
    fill(&late, true).await;
    assert_eq!(dumped(&odd().await).await, dumped(&late).await);
}

#[tokio::test]
async fn an_empty_store_is_one_line() {
    assert_eq!(dumped(&empty()).await, "{\"kind\":\"store\",\"format\":\"nofx-dump\",\"version\":1}\n");
}

#[tokio::test]
async fn an_attachment_that_lost_a_piece_is_an_error_that_names_it() {
    let store = odd().await;
    let lost = store.get(&[RecordKey::new(kind::ATTACHMENT, "split.txt").unwrap()]).await.unwrap();
    let body = lost[0].as_ref().unwrap().body.as_str();
    let sha256 = body.split_once("sha256\":\"").unwrap().1.split_once('"').unwrap().0;
    let batch = store.batch().delete(crate::odd::chunk_key(sha256, 1), Expect::Any);
    store.commit(batch).await.unwrap().committed().unwrap();
    let error = dump(&store, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "corrupt data in attachment/split.txt");
}

#[tokio::test]
async fn a_prompt_that_is_nowhere_is_an_error_and_not_an_empty_prompt() {
    let store = empty();
    let body = Body::parse(r#"{"id":"s","$template":"gone","$promptIsTemplates":true}"#).unwrap();
    let batch = store.batch().put(RecordKey::new(kind::SESSION, "s").unwrap(), Expect::Any, body);
    store.commit(batch).await.unwrap().committed().unwrap();
    let error = dump(&store, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "corrupt data in session/s: its prompt is its template's, which has none");
}

fn key(kind: Kind, id: &str) -> RecordKey {
    RecordKey::new(kind, id).unwrap()
}

fn said(words: &[&str]) -> Vec<NewEntry> {
    let entry = |word: &&str| NewEntry {
        at: Timestamp::from_millis(0),
        body: Body::parse(&format!(r#"{{"content":"{word}"}}"#)).unwrap(),
    };
    words.iter().map(entry).collect()
}

#[tokio::test]
async fn a_session_that_was_rewound_is_shown_as_it_is_now() {
    use nofx_core::entity::{Agent, Role};
    use nofx_core::workspace::{NewSession, RestoreOptions, Workspace};
    let store = empty();
    let workspace = Workspace::new(store.clone());
    let session = workspace.create_session(&Agent::new("a", "A", "t"), NewSession::default()).await.unwrap().id;
    let say = async |words: std::ops::Range<u64>| {
        let messages = words.map(|n| workspace.message(Role::User, format!("word{n}.")));
        workspace.add_messages(&session, messages.collect()).await.unwrap();
    };
    say(0..70).await;
    let fork = workspace.restore_session(&session, RestoreOptions::default()).await.unwrap().id;
    workspace.rewind_session(&session, 60, 70).await.unwrap();
    say(100..160).await;
    workspace.rewind_session(&session, 115, 120).await.unwrap();
    say(200..201).await;
    let dump = dumped(&store).await;
    let said = |id: &nofx_core::entity::SessionId| -> Vec<u64> {
        let lines = dump.lines().filter(|line| line.starts_with(&format!(r#"{{"kind":"message","session":"{id}""#)));
        let word = |line: &str| line.split("word").nth(1)?.split('.').next()?.parse().ok();
        lines.filter_map(word).collect()
    };
    assert_eq!(said(&session), [(0..60).collect::<Vec<_>>(), (100..155).collect(), vec![200]].concat());
    assert_eq!(said(&fork), (0..70).collect::<Vec<_>>());
    assert_eq!(dump.lines().filter(|line| line.starts_with(r#"{"kind":"message""#)).count(), 116 + 70, "{dump}");
    assert!(dump.contains(r#""message_count":116"#) && dump.contains(r#""message_count":70"#), "{dump}");
    assert!(!dump.contains(r#""$rewinds""#) && !dump.contains(r#""$schema""#));
    workspace.purge_live_session(&session).await.unwrap();
    let dump = dumped(&store).await;
    assert_eq!(dump.lines().filter(|line| line.starts_with(r#"{"kind":"message""#)).count(), 70, "what the fork reads");
}

#[tokio::test]
async fn what_belongs_to_a_namespace_names_it() {
    use nofx_core::entity::{Agent, OrchestrationMessage};
    use nofx_core::workspace::{NewSession, Workspace};
    let store = empty();
    let default = Workspace::new(store.clone());
    for workspace in [default.namespace("b").unwrap(), default.namespace("a").unwrap(), default] {
        let agent = Agent::new("ada/x", "Ada", "t");
        workspace.save_agent(&agent).await.unwrap();
        workspace.create_session(&agent, NewSession::default()).await.unwrap();
        workspace.save_checkpoint(&agent.id, "asked", "answered").await.unwrap();
        for n in 0..2 {
            let message = OrchestrationMessage::new(format!("m{n}"), Timestamp::from_millis(0), "t");
            workspace.save_orchestration(message).await.unwrap();
        }
        let records = workspace.records("mine").unwrap();
        let body = Body::parse("1").unwrap();
        let batch = records.batch().put(records.key("own", "x").unwrap(), Expect::Any, body);
        records.commit(batch).await.unwrap().committed().unwrap();
    }
    let dump = dumped(&store).await;
    let begins = |what: &str| dump.lines().filter(|line| line.starts_with(what)).count();
    for (namespace, other) in [("", ""), (r#","namespace":"a""#, "a"), (r#","namespace":"b""#, "b")] {
        assert_eq!(begins(&format!(r#"{{"kind":"agent","id":"ada/x"{namespace},"name":"Ada""#)), 1, "{other} {dump}");
        assert_eq!(
            begins(&format!(r#"{{"kind":"checkpoint","agent":"ada/x"{namespace},"seq":0,"#)),
            1,
            "{other} {dump}"
        );
        for n in 0..2 {
            assert_eq!(begins(&format!(r#"{{"kind":"orchestration"{namespace},"seq":{n},"id":"m{n}""#)), 1, "{dump}");
        }
    }
    let sessions: Vec<_> = dump.lines().filter(|line| line.starts_with(r#"{"kind":"session""#)).collect();
    assert_eq!(sessions.iter().filter(|line| line.contains(r#""namespace":"#)).count(), 2, "{dump}");
    assert!(sessions.len() == 3 && !dump.contains("x-mine") && !dump.contains("$namespace"), "{dump}");
}

#[tokio::test]
async fn a_restored_session_is_shown_with_the_messages_it_was_restored_with() {
    let store = empty();
    let record = |json: &str| Body::parse(json).unwrap();
    let pieces = r#"[{"session":"gone","length":2},{"session":"a","length":1}]"#;
    let batch = store
        .batch()
        .put(key(kind::SESSION, "a"), Expect::Absent, record(r#"{"id":"a"}"#))
        .put(key(kind::SESSION, "fork"), Expect::Absent, record(&format!(r#"{{"id":"fork","$pieces":{pieces}}}"#)))
        .put(key(kind::HISTORY_SHARED, "gone"), Expect::Absent, record(r#"{"owned":false,"readers":1}"#))
        .put(key(kind::HISTORY_SHARED, "a"), Expect::Absent, record(r#"{"owned":true,"readers":1}"#))
        .append(Session::history(&"a".into()), said(&["four", "later"]))
        .append(Session::history(&"fork".into()), said(&["five"]))
        .append(Session::history(&"gone".into()), said(&["one", "two", "unread"]))
        .append(Session::history(&"orphan".into()), said(&["alone"]));
    store.commit(batch).await.unwrap().committed().unwrap();
    let dump = dumped(&store).await;
    let counts: Vec<&str> = dump.lines().filter(|line| line.contains("\"session\",\"id\"")).collect();
    assert!(
        counts[0].contains(r#""id":"a","message_count":2"#) && counts[1].contains(r#""message_count":4"#),
        "{dump}"
    );
    let messages = dump.lines().filter_map(|line| line.strip_prefix(r#"{"kind":"message","session":"#));
    let messages: Vec<String> = messages.map(|line| line.replace(r#","id":null,"role":null,"at":null"#, "")).collect();
    assert_eq!(
        messages,
        [
            r#""a","seq":0,"content":"four"}"#,
            r#""a","seq":1,"content":"later"}"#,
            r#""fork","seq":0,"content":"one"}"#,
            r#""fork","seq":1,"content":"two"}"#,
            r#""fork","seq":2,"content":"four"}"#,
            r#""fork","seq":3,"content":"five"}"#,
            r#""orphan","seq":0,"content":"alone"}"#,
        ]
    );
}

/// A writer that fails after some bytes, like a full disk or a closed pipe.
struct Narrow(usize);

impl std::io::Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.min(bytes.len()) {
            0 => Err(std::io::ErrorKind::StorageFull.into()),
            taken => {
                self.0 -= taken;
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_content_that_is_kept_apart_is_shown_whole() {
    let store = nofx_core::Store::new(std::sync::Arc::new(nofx_core::MemoryBackend::new()));
    let workspace = nofx_core::workspace::Workspace::new(store.clone());
    let agent = nofx_core::entity::Agent::new("ada", "Ada", "tester");
    let session = workspace.create_session(&agent, Default::default()).await.unwrap();
    let long = "all of it. ".repeat(20_000);
    let message = workspace.message(nofx_core::entity::Role::User, long.as_str());
    workspace.add_message(&session.id, message).await.unwrap();
    let dump = dumped(&store).await;
    assert!(dump.contains(&format!(r#""content":"{long}""#)));
    assert!(!dump.contains("$content"));
}

#[tokio::test]
async fn a_full_disk_is_reported() {
    let error = dump(&odd().await, &mut Narrow(3000)).await.unwrap_err();
    let nofx_migrate::DumpError::Write(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn checkpoints_that_were_kept_after_a_removal_are_their_agents() {
    let workspace = Workspace::new(empty());
    let agent = "ada".into();
    workspace.save_checkpoint(&agent, "before", "a").await.unwrap();
    workspace.remove_checkpoints(&agent).await.unwrap();
    workspace.save_checkpoint(&agent, "after", "a").await.unwrap();
    let dump = dumped(workspace.store()).await;
    assert!(dump.contains(r#""agent":"ada","seq":0"#), "{dump}");
    assert!(dump.contains("after") && !dump.contains("before"), "{dump}");
}
