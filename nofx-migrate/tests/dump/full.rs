use nofx_core::json::Object;
use nofx_core::{LogScan, Store};
use nofx_migrate::{LoadError, check_dump, dump, dump_full, full_digest, load};
use sha2::{Digest, Sha256};

use crate::odd::{empty, fill, odd};

async fn dumped(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    dump_full(store, &mut bytes).await.unwrap();
    bytes
}

async fn refused(dump: &[u8]) -> String {
    let checked = check_dump(&mut &*dump).unwrap_err().to_string();
    let loaded = load(&mut &*dump, &empty()).await.unwrap_err().to_string();
    assert_eq!(checked, loaded);
    checked
}

/// Gives a changed dump the digest that it would have had.
fn sealed(lines: &str) -> Vec<u8> {
    let (all, last) = lines.trim_end().rsplit_once('\n').unwrap();
    let digest: String = Sha256::digest(format!("{all}\n")).iter().map(|byte| format!("{byte:02x}")).collect();
    let counts = Object::parse(last).unwrap().get("end").unwrap().to_owned();
    format!("{all}\n{{\"end\":{counts},\"sha256\":\"{digest}\"}}\n").into_bytes()
}

#[tokio::test]
async fn the_odd_store_is_fully_dumped_as_it_always_was() {
    let found = String::from_utf8(dumped(&odd().await).await).unwrap();
    if std::env::var_os("NOFX_WRITE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dump/golden/full.ndjson"), &found).unwrap();
    }
    assert_eq!(found, include_str!("golden/full.ndjson"));
}

#[tokio::test]
async fn what_was_dumped_loaded_and_dumped_again_is_the_same_bytes() {
    let first = odd().await;
    let dump_of_first = dumped(&first).await;
    let second = empty();
    let told = load(&mut dump_of_first.as_slice(), &second).await.unwrap();
    assert!(dumped(&second).await == dump_of_first);
    assert_eq!(told, full_digest(&first).await.unwrap());
    let (mut one, mut other) = (Vec::new(), Vec::new());
    dump(&first, &mut one).await.unwrap();
    dump(&second, &mut other).await.unwrap();
    assert!(one == other, "the canonical dumps differ");
}

#[tokio::test]
async fn the_history_of_a_store_is_not_in_its_dump() {
    let late = empty();
    fill(&late, true).await;
    assert!(dumped(&odd().await).await == dumped(&late).await);
}

#[tokio::test]
async fn an_empty_store_is_dumped_and_loaded() {
    let dump = dumped(&empty()).await;
    assert_eq!(dump.iter().filter(|byte| **byte == b'\n').count(), 2);
    load(&mut dump.as_slice(), &empty()).await.unwrap();
}

#[tokio::test]
async fn a_dump_that_was_cut_anywhere_is_refused() {
    let dump = dumped(&odd().await).await;
    for end in (0..dump.len()).step_by(97).chain([dump.len() - 1]) {
        let error = refused(&dump[..end]).await;
        assert!(error.contains("dump"), "{end}: {error}");
    }
    let lines: Vec<&[u8]> = dump.split_inclusive(|byte| *byte == b'\n').collect();
    for count in 0..lines.len() {
        let error = refused(&lines[..count].concat()).await;
        assert!(error.starts_with(&format!("line {}", count + 1)), "{count}: {error}");
    }
}

#[tokio::test]
async fn a_dump_with_any_byte_changed_is_refused() {
    let dump = dumped(&odd().await).await;
    for at in (0..dump.len()).step_by(53) {
        let mut changed = dump.clone();
        changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
        refused(&changed).await;
    }
}

#[tokio::test]
async fn a_line_that_does_not_belong_is_named_even_if_the_digest_was_made_to_fit() {
    let dump = String::from_utf8(dumped(&odd().await).await).unwrap();
    let edited = |from: &str, to: &str| {
        assert!(dump.contains(from), "{from}");
        sealed(&dump.replacen(from, to, 1))
    };
    assert_eq!(sealed(&dump), dump.as_bytes(), "the test's own digest is right");
    for (from, to, expected) in [
        ("{\"record\":", "{ \"record\":", "is not written as a full dump writes it"),
        ("{\"record\":\"agent\"", "{\"record\":\"Agent\"", "is neither a record, a log nor an entry"),
        ("\"state\":\"open\"", "\"state\":\"ajar\"", "is neither a record, a log nor an entry"),
        (
            "\"state\":\"sealed\",\"length\":0",
            "\"state\":\"sealed\",\"length\":1",
            "comes before the entries of the log are complete",
        ),
        ("{\"entry\":0,", "{\"entry\":1,", "is not the entry that is due here"),
        ("\"id\":\"ada\",\"body\"", "\"id\":\"zzz\",\"body\"", "is a record out of order"),
        ("{\"record\":", "[{\"record\":", "is not a JSON object"),
    ] {
        let error = refused(&edited(from, to)).await;
        assert!(error.ends_with(expected), "{from}: {error}");
    }
    let error = refused(&[dump.as_bytes(), b"more"].concat()).await;
    assert!(error.ends_with("follows the last line of the dump"), "{error}");
}

#[tokio::test]
async fn what_is_no_dump_is_refused_at_its_first_line() {
    let canonical = "{\"kind\":\"store\",\"format\":\"nofx-dump\",\"version\":1}\n";
    for text in ["", "\n", canonical, "{\"format\":\"nofx-full-dump\",\"version\":2}\n", "\u{0}\u{0}"] {
        let error = refused(text.as_bytes()).await;
        assert_eq!(error, "line 1 of the dump is not the first line of a full dump of version 1");
    }
}

#[tokio::test]
async fn a_store_that_holds_something_is_not_loaded_into() {
    let dump = dumped(&empty()).await;
    let store = odd().await;
    let before = dumped(&store).await;
    let error = load(&mut dump.as_slice(), &store).await.unwrap_err();
    assert!(matches!(error, LoadError::NotEmpty(_)));
    assert_eq!(error.to_string(), "the store is not empty: it holds agent/../evil");
    assert!(dumped(&store).await == before);
    // A log without any record counts too.
    let store = empty();
    let log = nofx_core::LogKey::new(nofx_core::kind::HISTORY, "s").unwrap();
    store.commit(store.batch().seal(log)).await.unwrap().committed().unwrap();
    let error = load(&mut dump.as_slice(), &store).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is not empty: it holds log history/s");
}

#[tokio::test]
async fn many_entries_need_many_batches_and_stay_one_log() {
    let store = empty();
    let log = nofx_core::LogKey::new(nofx_core::kind::HISTORY, "long").unwrap();
    let body = nofx_core::Body::parse(&format!("\"{}\"", "x".repeat(1000))).unwrap();
    let entry = nofx_core::NewEntry { at: nofx_core::Timestamp::from_millis(i64::MIN), body };
    for _ in 0..3 {
        let batch = store.batch().append(log.clone(), vec![entry.clone(); 4000]);
        store.commit(batch).await.unwrap().committed().unwrap();
    }
    store.commit(store.batch().seal(log)).await.unwrap().committed().unwrap();
    let dump = dumped(&store).await;
    let loaded = empty();
    load(&mut dump.as_slice(), &loaded).await.unwrap();
    assert!(dumped(&loaded).await == dump);
    let heads = loaded.backend().logs(&LogScan::all(10)).await.unwrap();
    assert_eq!(heads.items[0].length, 12_000);
}
