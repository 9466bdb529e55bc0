//! A small store with something of every kind and everything that is hard to store.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nofx_core::entity::{
    Agent, AgentId, Attachment, Checkpoint, Entity, EntityId, ImportedFile, OrchestrationMessage, RecordEntity,
    Session, SessionId, Template, TemplateName, TranscriptPart, own,
};
use nofx_core::json::{Object, Text, quote};
use nofx_core::{
    Batch, BatchId, Body, Expect, Kind, LogKey, MemoryBackend, NewEntry, RecordKey, Store, Timestamp, kind,
};
use sha2::{Digest, Sha256};

/// The digest of the first template, which the sessions name.
pub(crate) fn prompt_template() -> Template {
    foreign(
        r#"{"id":"backend","name":"B\u00e4ckend","systemPrompt":"Be\tkind \ud83d","metrics":{"x":1e400,"$y":[1.10]},"$slot":1}"#,
    )
}

/// Reads an object in its form outside the store.
fn foreign<E: Entity>(json: &str) -> E {
    E::from_object(own(&Object::parse(json).unwrap()))
}

/// Reads an object in its stored form.
fn stored<E: Entity>(json: &str) -> E {
    E::from_object(Object::parse(json).unwrap())
}

/// An id that JavaScript cut in the middle of an emoji.
fn cut() -> Text {
    Text::from_json(r#""n\ud83d""#).unwrap()
}

pub(crate) fn empty() -> Store {
    Store::new(Arc::new(MemoryBackend::new()))
}

/// Fills a store. With `late`, the same things come in another order, in other batches and with other histories.
pub(crate) async fn fill(store: &Store, late: bool) {
    let mut parts = parts();
    if late {
        parts.reverse();
        let key = RecordKey::new(kind::AGENT, "passing").unwrap();
        commit(store, store.batch().put(key.clone(), Expect::Any, Body::parse("{}").unwrap())).await;
        commit(store, store.batch().delete(key, Expect::Any)).await;
    }
    for part in parts {
        commit(store, Batch { id: store.sources().batch_id(), ..part }).await;
    }
}

pub(crate) async fn odd() -> Store {
    let store = empty();
    fill(&store, false).await;
    store
}

async fn commit(store: &Store, batch: Batch) {
    store.commit(batch).await.unwrap().committed().unwrap();
}

fn batch() -> Batch {
    Batch::new(BatchId::from_bytes([0; 16]))
}

fn parts() -> Vec<Batch> {
    let mut parts =
        vec![templates(), agents(), sessions(), histories(), tasks(), orchestration(), per_agent(), strangers()];
    parts.extend(attachments());
    parts
}

fn put<E: RecordEntity>(batch: Batch, entity: &E) -> Batch {
    batch.put(entity.key(), Expect::Any, entity.to_body().unwrap())
}

/// Puts an object in its form outside the store under an id that it need not have.
fn put_as(batch: Batch, key: RecordKey, json: &str) -> Batch {
    let object = own(&Object::parse(json).unwrap());
    batch.put(key, Expect::Any, Body::parse(&object.to_json()).unwrap())
}

fn entries(bodies: &[&str]) -> Vec<NewEntry> {
    let entry = |(millis, body): (i64, &&str)| NewEntry {
        at: Timestamp::from_millis(1_000 - millis),
        body: Body::parse(body).unwrap(),
    };
    (0..).zip(bodies).map(entry).collect()
}

fn templates() -> Batch {
    let plain: Template = foreign(r#"{"systemPrompt":"","capabilities":["a"]}"#);
    let batch = put(put(batch(), &prompt_template()), &plain);
    put(batch, &TemplateName::new("backend", prompt_template().digest()))
}

fn agents() -> Batch {
    let mut ada: Agent = foreign(
        r#"{"id":"ada","name":"Ada \u2728","type":"backend","status":"idle","tasksCompleted":5,"currentTask":null,
            "sessionFile":"ada_session.md","createdAt":"2025-07-01T10:00:00.000Z","$template":"theirs","icon":"x"}"#,
    );
    ada.template = Some(prompt_template().digest());
    let mut batch = put(batch(), &ada);
    let odd = r#"{"id":"../evil","name":5,"type":null,"status":"dreaming","tasksCompleted":9007199254740993,
        "currentTask":{"id":"t","files":[1.10,{"\u0061":null}]},"createdAt":1751364000000,"template":"backend","__proto__":{},"":0}"#;
    batch = put(batch, &foreign::<Agent>(odd));
    batch = put(batch, &foreign::<Agent>(r#"{"id":"nul\u0000","name":"","type":"","status":"","template":null}"#));
    batch = put(
        batch,
        &foreign::<Agent>(r#"{"id":"n\ud83d","name":"\ud83d","type":"t","status":"idle","template":["?"]}"#),
    );
    batch = put(batch, &foreign::<Agent>(r#"{"id":"","name":"nobody","type":"t","status":"idle","createdAt":null}"#));
    batch = put(batch, &foreign::<Agent>(r#"{"id":"sha256:no","name":"posing","type":"t","status":"idle"}"#));
    batch = put(batch, &foreign::<Agent>(r#"{"id":"\ufffd","name":"r","type":"t","status":"idle"}"#));
    batch = put(batch, &foreign::<Agent>(r#"{"id":"😀","name":"s","type":"t","status":"idle"}"#));
    put_as(batch, RecordKey::new(kind::AGENT, "numbered").unwrap(), r#"{"id":7,"name":"n","type":"t","status":"idle"}"#)
}

fn sessions() -> Batch {
    let mut whole: Session = foreign(
        r#"{"id":"s1","name":"Ada - 1/7","agentId":"ada","agentName":"Ada","agentType":"backend",
            "createdAt":"2025-07-01T10:00:00.000Z","lastActiveAt":"2025-07-01T11:00:00.000Z",
            "expiresAt":"2025-07-01T15:00:00.000Z","sessionDuration":0,"status":"active","isClaudeSessionActive":true,
            "workingDirectory":"/home/\u00fc","gitBranch":"","capabilities":["x","\ud83d"],"tasksCompleted":1,
            "totalOutputLines":3,"averageResponseTime":1.50}"#,
    );
    whole.template = Some(prompt_template().digest());
    whole.prompt_is_templates = true;
    let batch = put(batch(), &whole);
    let odd = r#"{"id":"s10","name":null,"agentId":["ada"],"agentName":"","agentType":"","createdAt":"01/07/2025",
        "lastActiveAt":"2025-07-01T12:00:00+02:00","expiresAt":null,"sessionDuration":"long","status":"paused",
        "isClaudeSessionActive":"no","workingDirectory":null,"gitBranch":false,"capabilities":["x",1],"systemPrompt":"own",
        "tasksCompleted":1e400,"totalOutputLines":-0,"template":"backend","conversationHistory":{"0":"lost"},"currentTask":"t",
        "$promptIsTemplates":"theirs"}"#;
    let batch = put(batch, &foreign::<Session>(odd));
    let batch = put(batch, &foreign::<Session>(&format!(r#"{{"id":"{}","agentId":"ada"}}"#, "r".repeat(600))));
    put_as(batch, RecordKey::new(kind::SESSION, "from-the-file-name").unwrap(), "{}")
}

fn histories() -> Batch {
    let s1 = entries(&[
        r#"{"id":"m1","timestamp":"2025-07-01T10:00:00.000Z","type":"user","content":"a\u0000b\u2028\/"}"#,
        r#"{"id":"m1","timestamp":"2025-07-01T09:00:00.000Z","type":"assistant","content":"","metadata":{"n":1E+2,"fileContext":[]}}"#,
        r#"{"timestamp":1e3,"type":"oracle","content":{"parts":["x"]},"metadata":null,"$$slot":"current","constructor":1,"x":1,"x":2}"#,
    ]);
    let long = SessionId::from("r".repeat(600));
    let one = entries(&[r#"{"id":"m","timestamp":"2025-07-01T10:00:00.000Z","type":"tool","content":"\ud83d"}"#]);
    batch()
        .append(Session::history(&"s1".into()), s1)
        .append(Session::history(&long), one.clone())
        .append(Session::history(&"without-a-record".into()), one)
        .seal(Session::history(&"without-a-record".into()))
}

fn tasks() -> Batch {
    let s1 = entries(&[
        r#"{"title":"one","description":"","priority":"high","tags":["a"],"id":"t1","assignedAt":"2025-07-01T10:00:00.000Z","status":"in_progress","filesModified":[],"commandsExecuted":[],"$slot":"current"}"#,
        r#"{"title":"two","description":"d","priority":3,"tags":"a","id":"t2","assignedAt":null,"completedAt":5,"status":"odd","duration":1.0,"filesModified":["f"],"commandsExecuted":["c"],"conversationRange":{"startMessageId":"m1"},"notes":"n","$slot":"current"}"#,
        r#"{"title":"one","description":"","priority":"high","tags":["a"],"id":"t1","assignedAt":"2025-07-01T10:00:00.000Z","completedAt":"2025-07-01T10:30:00.000Z","status":"completed","filesModified":[],"commandsExecuted":[],"$slot":"completed","$replaces":0}"#,
        r#"{"id":"t3","$slot":"completed","blockedBy":["t1"]}"#,
    ]);
    batch().append(Session::tasks(&"s1".into()), s1)
}

fn orchestration() -> Batch {
    let message = |id: &str, rest: &str| {
        format!(r#"{{"id":"{id}","timestamp":"2025-07-01T10:00:00.000Z","type":"heartbeat"{rest}}}"#)
    };
    let first = [
        message("b", r#","from":"conductor","to":"broadcast","payload":null,"correlationId":"b","requiresAck":false"#),
        message("a", r#","to":["x","y"],"requiresAck":1"#),
    ];
    let second =
        [message("a", r#","from":"a","to":"b","payload":{"z":1,"a":[123456789012345678901234567890]},"extra":{}"#)];
    let texts = |messages: &[String]| entries(&messages.iter().map(String::as_str).collect::<Vec<_>>());
    batch()
        .append(OrchestrationMessage::segment(0), texts(&first))
        .append(OrchestrationMessage::segment(10), texts(&second))
        .seal(OrchestrationMessage::segment(0))
}

fn per_agent() -> Batch {
    let checkpoints = entries(&[
        r#"{"timestamp":"2025-07-01T10:00:00.000Z","user":"why?","agent":"because"}"#,
        r#"{"timestamp":"soon","user":null,"agent":{"text":"x"},"mood":"odd"}"#,
    ]);
    let part: TranscriptPart = stored(r#"{"timestamp":"2025-07-01T10:00:00.000Z","content":"words"}"#);
    let part = NewEntry { at: Timestamp::from_millis(0), body: part.to_body().unwrap() };
    batch()
        .append(Checkpoint::log(&"ada".into()), checkpoints.clone())
        .append(Checkpoint::log(&AgentId::from(cut())), checkpoints)
        .append(TranscriptPart::log(&"ada".into()), vec![part])
}

/// Kinds that this version does not know, bodies that are not objects, and a log that is sealed although empty.
fn strangers() -> Batch {
    let kind = Kind::of("z-later");
    let record = |id: &str| RecordKey::new(kind.clone(), id).unwrap();
    let log = |id: &str| LogKey::new(kind.clone(), id).unwrap();
    let import = ImportedFile::new("agents.json", 7, "00", "agents");
    put(batch(), &import)
        .put(record("\u{0}\n\u{7f}"), Expect::Any, Body::parse(r#"[1.10,"\u00e9\ud83d",{"a":1,"a":2}]"#).unwrap())
        .put(record("../\\"), Expect::Any, Body::parse("null").unwrap())
        .append(log("../\\"), entries(&["1e400", "\"\\/\"", "{\"a\" : [ ] }"]))
        .seal(log("empty and sealed"))
}

fn attachments() -> Vec<Batch> {
    let cut = Text::from_json(r#""sessions/\udcff.md""#).unwrap();
    vec![
        attachment(
            "sessions/ada_session.md".into(),
            &["# Agent Session: ada\u{0}\r\n\u{e9}".as_bytes()],
            Some("transcript"),
        ),
        attachment("notes.bin".into(), &[b"\xff\x00", b"\xfe", b"", b"abc"], None),
        attachment("split.txt".into(), &[b"\xf0\x9f", b"\x98", b"\x80\""], None),
        attachment("cut.txt".into(), &[b"fine \xf0\x9f"], None),
        attachment(cut, &[], None),
    ]
}

fn attachment(path: Text, chunks: &[&[u8]], reason: Option<&str>) -> Batch {
    let bytes = chunks.concat();
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut attachment = Attachment::new(path, bytes.len() as u64, sha256.as_str());
    attachment.reason = reason.map(Text::from);
    let mut batch = put(batch(), &attachment);
    for (number, chunk) in (0..).zip(chunks) {
        let body = match std::str::from_utf8(chunk) {
            Ok(text) => format!(r#"{{"utf8":{}}}"#, quote(text)),
            Err(_) => format!(r#"{{"base64":"{}"}}"#, STANDARD.encode(chunk)),
        };
        batch = batch.put(chunk_key(&sha256, number), Expect::Any, Body::trusted(body));
    }
    batch
}

/// Returns the name of a piece of some bytes.
pub(crate) fn chunk_key(sha256: &str, number: usize) -> RecordKey {
    RecordKey::new(kind::PAYLOAD, format!("{sha256}/{number:08}")).unwrap()
}

/// Checks that ids which no key can hold are stored by their digest, as these tests expect.
#[test]
fn some_ids_of_the_odd_store_are_digests() {
    assert!(AgentId::from(cut()).record_key(kind::AGENT).id().starts_with("sha256:"));
}
