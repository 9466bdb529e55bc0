use nofx_core::{Body, Expect, RecordKey, kind};
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
    let batch = store.batch().delete(nofx_migrate::chunk_key(sha256, 1).unwrap(), Expect::Any);
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

/// A writer that fails after some bytes, as a full disk or a closed pipe does.
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
async fn a_full_disk_is_told() {
    let error = dump(&odd().await, &mut Narrow(3000)).await.unwrap_err();
    let nofx_migrate::DumpError::Write(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
