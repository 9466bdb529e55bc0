//! Bodies come back byte for byte.

use nofx_core::{Body, Expect, NewEntry, json};

use crate::subject::{Handle, Subject, batch, entry, note, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// Values that parsing into structures and writing again would change or refuse.
const DELICATE: [&str; 30] = [
    "null",
    "0",
    "-0",
    "-0.0",
    "1.10",
    "1e400",
    "-1E-400",
    "1e+2",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "9007199254740993",
    r#""""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\uD83D\uDE00""#,
    r#""😀""#,
    r#""\/""#,
    r#""\u002f\u0041""#,
    r#""\u0000""#,
    r#""é e\u0301""#,
    r#""  spaces  inside  ""#,
    "\"\u{7f}\u{2028}\u{feff}\"",
    "{}",
    "[]",
    "[[],{},[[]]]",
    r#"{"a":1,"a":2,"a":1}"#,
    r#"{"b":1,"a":2}"#,
    r#"{"":{"":""}}"#,
    r#"{"a\u0062":1,"ab":2}"#,
    r#"{"$type":"\u0024","__proto__":{},"toJSON":null}"#,
];

fn delicate() -> CaseResult<Vec<Body>> {
    DELICATE.iter().map(|text| Ok(Body::parse(text)?)).collect()
}

/// Writes each body as a record and as an entry.
async fn keep(store: &Handle, bodies: &[Body]) -> CaseResult {
    let mut writes = batch();
    for (n, body) in bodies.iter().enumerate() {
        writes = writes.put(note(n.to_string())?, Expect::Any, body.clone());
    }
    let entries = bodies.iter().map(|body| NewEntry { body: body.clone(), ..entry(0) }).collect();
    store.commits(writes.append(talk("all")?, entries)).await?;
    Ok(())
}

async fn find_again(store: &Handle, bodies: &[Body]) -> CaseResult {
    let entries = store.entries(&talk("all")?).await?;
    ensure_eq!(entries.len(), bodies.len(), "entries");
    for ((n, body), entry) in bodies.iter().enumerate().zip(entries) {
        let record = store.record(&note(n.to_string())?).await?.ok_or_else(|| Unmet::new("a record is missing"))?;
        ensure_eq!(record.body.as_str(), body.as_str(), "the body of a record");
        ensure_eq!(entry.body.as_str(), body.as_str(), "the body of an entry");
    }
    let scanned = store.content().await?.records;
    ensure!(
        bodies.iter().all(|body| scanned.iter().any(|record| record.body == *body)),
        "a scan returns the same bodies"
    );
    Ok(())
}

pub(super) async fn bodies_come_back_byte_for_byte(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let bodies = delicate()?;
    keep(&store, &bodies).await?;
    find_again(&store, &bodies).await
}

pub(super) async fn bodies_of_a_sealed_log_come_back_byte_for_byte(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let bodies = delicate()?;
    keep(&store, &bodies).await?;
    store.commits(batch().seal(talk("all")?)).await?;
    find_again(&store, &bodies).await
}

pub(super) async fn bodies_are_the_same_after_opening_again(subject: Subject) -> CaseResult {
    let bodies = delicate()?;
    let store = subject.open().await?;
    keep(&store, &bodies).await?;
    store.close().await?;
    drop(store);
    find_again(&subject.open().await?, &bodies).await
}

pub(super) async fn deep_nesting_is_no_trouble(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let deep = format!("{}{}", "[".repeat(json::MAX_DEPTH), "]".repeat(json::MAX_DEPTH));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(json::MAX_DEPTH - 1), "}".repeat(json::MAX_DEPTH - 1));
    let bodies = [Body::parse(&deep)?, Body::parse(&objects)?];
    keep(&store, &bodies).await?;
    find_again(&store, &bodies).await
}

pub(super) async fn bodies_of_every_size_come_back(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    // Around the sizes at which storage changes its behaviour, with text that hardly compresses.
    let near = |size: usize| [size - 1, size, size + 1];
    let sizes = [64, 128, 255, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 1 << 20]
        .into_iter()
        .flat_map(near);
    let bodies: Vec<_> = sizes.enumerate().map(|(n, size)| varied(n as u64, size)).collect();
    keep(&store, &bodies).await?;
    find_again(&store, &bodies).await
}

/// Makes a body of exactly `size` bytes that hardly compresses.
fn varied(seed: u64, size: usize) -> Body {
    let mut state = seed;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 33) as u8 % 26)
    });
    Body::trusted(format!("\"{}\"", letters.take(size - 2).collect::<String>()))
}
