//! Stores that a later version wrote: each is read as far as possible, and nothing in it is changed by accident.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{batch, body, open, record};
use futures_util::TryStreamExt;
use nofx_core::entity::{Agent, EntityId, Role, Session, SessionId};
use nofx_core::workspace::{NewSession, SearchQuery, SessionFilter, Workspace};
use nofx_core::{Direction, Expect, PersistenceBackend, Store};
use nofx_redb::RedbBackend;
use redb::{ConcurrencyMode, Database, ReadableTable, TableDefinition};

const META: u8 = 1;
const RECORDS: u8 = 2;
const CHUNKS: u8 = 5;

/// The codec of a later version.
const CODEC: u8 = 77;

fn table(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

fn database(path: &Path) -> Database {
    redb::Builder::new().set_concurrency_mode(ConcurrencyMode::SingleWriter).open(path).unwrap()
}

/// Returns a payload after its checksum, as stored in a table.
fn sealed(table: u8, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[table]);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(payload);
    [&hasher.finalize().to_le_bytes()[..], payload].concat()
}

/// Makes the store's description that of a later version.
fn written_by_a_later_version(path: &Path, format: u8, readable_from: u8) {
    let database = database(path);
    let transaction = database.begin_write().unwrap();
    let value = sealed(META, b"format", &[format, readable_from]);
    transaction.open_table(table("nofx")).unwrap().insert(&b"format"[..], &*value).unwrap();
    transaction.commit().unwrap();
}

async fn workspace(path: &Path) -> Workspace {
    Workspace::new(Store::new(Arc::new(open(path).await)))
}

/// A store with two sessions of two hundred messages, folded into chunks.
async fn two_sessions(path: &Path) -> [SessionId; 2] {
    let workspace = workspace(path).await;
    let ada = Agent::new("ada", "Ada", "backend");
    let mut ids = Vec::new();
    for name in ["first", "second"] {
        let new = NewSession { name: Some(name.into()), ..NewSession::default() };
        let session = workspace.create_session(&ada, new).await.unwrap().id;
        let messages = (0..200).map(|n| workspace.message(Role::User, format!("{name} message {n}")));
        workspace.add_messages(&session, messages.collect()).await.unwrap();
        ids.push(session);
    }
    workspace.store().close().await.unwrap();
    ids.try_into().unwrap()
}

async fn contents(workspace: &Workspace, id: &SessionId) -> nofx_core::Result<usize> {
    let session = workspace.session(id).await?.unwrap();
    let all: Vec<_> = workspace.history(&session, 0..u64::MAX, Direction::Forward, None).try_collect().await?;
    Ok(all.len())
}

#[tokio::test]
async fn a_later_format_that_can_be_read_is_read_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let [first, second] = two_sessions(&path).await;
    written_by_a_later_version(&path, 2, 1);
    let before = fs::read(&path).unwrap();

    let workspace = workspace(&path).await;
    let reason = workspace.store().info().read_only.unwrap();
    assert!(reason.contains("format 2 of a newer version") && reason.contains("writes format 1"), "{reason}");
    assert_eq!(workspace.summaries(&SessionFilter::default(), None, 10).await.unwrap().items.len(), 2);
    assert_eq!(contents(&workspace, &first).await.unwrap(), 200);
    let query = SearchQuery { words: vec!["message 7".into()], ..SearchQuery::default() };
    let hits: Vec<_> = workspace.search(query).await.unwrap().try_collect().await.unwrap();
    assert_eq!(hits.len(), 22);
    for refused in [
        workspace.add_message(&second, workspace.message(Role::User, "more")).await.map(drop),
        workspace.archive_session(&second).await.map(drop),
        workspace.restore_session(&second, Default::default()).await.map(drop),
        workspace.save_agent(&Agent::new("ada", "Ada", "backend")).await,
        workspace.sweep_contents().await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), "too-new");
    }
    let backend = open(&path).await;
    assert_eq!(backend.compact().await.unwrap_err().code(), "too-new");
    assert_eq!(backend.repair().await.unwrap_err().code(), "too-new");
    workspace.store().close().await.unwrap();
    backend.close().await.unwrap();
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[tokio::test]
async fn a_later_format_that_cannot_be_read_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    two_sessions(&path).await;
    written_by_a_later_version(&path, 4, 3);
    let before = fs::read(&path).unwrap();
    let error = RedbBackend::open(&path).await.unwrap_err();
    assert!(error.code() == "too-new" && error.to_string().contains("has format 4"), "{error}");
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[tokio::test]
async fn a_chunk_of_a_codec_of_a_later_version_concerns_only_its_messages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let [first, second] = two_sessions(&path).await;
    let database = database(&path);
    let transaction = database.begin_write().unwrap();
    let (key, value) = {
        let mut chunks = transaction.open_table(table("chunks")).unwrap();
        let (key, value) = {
            let (key, value) = chunks.iter().unwrap().next().unwrap().unwrap();
            (key.value().to_vec(), value.value().to_vec())
        };
        // The checksum, then the codec.
        let payload = [&[CODEC], &value[5..]].concat();
        let value = sealed(CHUNKS, &key[..16], &payload);
        chunks.insert(&*key, &*value).unwrap();
        (key, value)
    };
    transaction.commit().unwrap();
    drop(database);

    let workspace = workspace(&path).await;
    let error = contents(&workspace, &first).await.unwrap_err();
    assert!(error.code() == "too-new" && error.chain().contains("codec 77"), "{error}");
    assert_eq!(contents(&workspace, &second).await.unwrap(), 200);
    assert_eq!(workspace.summaries(&SessionFilter::default(), None, 10).await.unwrap().items.len(), 2);
    // The log continues after it, and neither folding nor compacting changes it.
    for n in 0..100 {
        workspace.add_message(&first, workspace.message(Role::User, format!("{n} more"))).await.unwrap();
    }
    let session = workspace.session(&first).await.unwrap().unwrap();
    assert_eq!(workspace.tail(&session, 50).await.unwrap().len(), 50);
    open(&path).await.compact().await.unwrap();
    workspace.store().close().await.unwrap();
    drop(workspace);
    let database = self::database(&path);
    let transaction = database.begin_write().unwrap();
    let kept = transaction.open_table(table("chunks")).unwrap().get(&*key).unwrap().map(|kept| kept.value().to_vec());
    assert!(kept == Some(value), "the chunk was changed");
}

#[tokio::test]
async fn a_session_of_a_codec_of_a_later_version_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let [first, second] = two_sessions(&path).await;
    let database = database(&path);
    let transaction = database.begin_write().unwrap();
    let key = format!("session\0{first}");
    let value = sealed(RECORDS, key.as_bytes(), &[1, CODEC, 1, 2, 3]);
    transaction.open_table(table("records")).unwrap().insert(key.as_bytes(), &*value).unwrap();
    transaction.commit().unwrap();
    drop(database);

    let workspace = workspace(&path).await;
    let page = workspace.summaries(&SessionFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.items.iter().map(|one| &one.session.id).collect::<Vec<_>>(), [&second]);
    assert_eq!((page.unreadable[0].session.as_ref(), page.unreadable[0].error.code()), (Some(&first), "too-new"));
    assert_eq!(workspace.archive_session(&first).await.unwrap_err().code(), "too-new");
    workspace.archive_session(&second).await.unwrap();
    let log = Session::history(&first);
    assert_eq!(workspace.store().head(&log).await.unwrap().length, 200, "its messages are there: {}", first.as_text());
}

#[tokio::test]
async fn a_kind_of_a_later_version_comes_through_compacting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let later = body(r#"{"later":[1.10,1e400,"cut \ud83d"]}"#);
    let store = open(&path).await;
    store.commit(vec![batch().put(record("later"), Expect::Absent, later.clone())]).await.unwrap();
    store.compact().await.unwrap();
    assert_eq!(store.get(&[record("later")]).await.unwrap()[0].as_ref().unwrap().body, later);
}
