//! A file that its owner keeps open returns the space of what was removed from it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{open, open_with};
use futures_util::TryStreamExt;
use nofx_core::entity::{Agent, Role, SessionId};
use nofx_core::workspace::{NewSession, RestoreOptions, Workspace};
use nofx_core::{Body, Deadline, Expect, Kind, LogKey, LogQuery, NewEntry, Store, Timestamp};

/// Text that compresses about as well as conversations do.
fn talk(salt: u64) -> String {
    let mut state = salt * 2 + 1;
    let mut text = String::new();
    while text.len() < 2000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(["the ", "row of ", "is sorted, ", "and then "][(state >> 60) as usize % 4]);
        text.push_str(&format!("{:x} ", (state >> 33) % 5000));
    }
    text
}

async fn session(workspace: &Workspace, number: u64) -> SessionId {
    let ada = Agent::new("ada", "Ada", "backend");
    let session = workspace.create_session(&ada, NewSession::default()).await.unwrap().id;
    let messages = (0..20).map(|n| workspace.message(Role::User, talk(number * 100 + n)));
    workspace.add_messages(&session, messages.collect()).await.unwrap();
    session
}

/// Waits until the file is at most this large, for a limited time. Returns its size.
async fn shrunk(path: &Path, most: u64) -> u64 {
    let patience = Deadline::after(Duration::from_secs(60));
    loop {
        let length = fs::metadata(path).unwrap().len();
        if length <= most || patience.has_passed() {
            return length;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn after_half_of_the_sessions_is_purged_the_file_shrinks_while_its_owner_keeps_it_open() {
    // Right away, after compacting, and so slowly that there are idle times in between.
    for (compacted, slow) in [(false, false), (true, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        let idle = Duration::from_millis(if slow { 10 } else { 250 });
        let backend = Arc::new(open_with(&path, |options| options.idle = idle).await);
        let workspace = Workspace::new(Store::new(backend.clone()));
        let mut sessions = Vec::new();
        for number in 0..120 {
            sessions.push(session(&workspace, number).await);
        }
        if compacted {
            backend.compact().await.unwrap();
        }
        // A fork needs the messages of a session that is deleted.
        let fork = workspace.restore_session(&sessions[0], RestoreOptions::default()).await.unwrap();
        let before = fs::metadata(&path).unwrap().len();
        for id in sessions.iter().step_by(2) {
            workspace.delete_session(id).await.unwrap();
            workspace.purge_session(id).await.unwrap();
            if slow {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
        let after = shrunk(&path, before * 65 / 100).await;
        println!("{before} bytes before, {after} after: {:.3}", after as f64 / before as f64);
        assert!(after <= before * 65 / 100, "{before} bytes before, {after} after, compacted: {compacted}");
        for (id, number) in sessions.iter().zip(0_u64..).skip(1).step_by(2) {
            let kept = workspace.session(id).await.unwrap().unwrap();
            let tail = workspace.tail(&kept, 50).await.unwrap();
            assert_eq!(tail.len(), 20);
            assert_eq!(tail[19].as_ref().unwrap().message.content, Some(talk(number * 100 + 19).into()));
        }
        assert_eq!(workspace.tail(&fork, 50).await.unwrap()[7].as_ref().unwrap().message.content, Some(talk(7).into()));
        // A file without gaps grows in large steps, even with a few more removals.
        for id in sessions.iter().skip(1).step_by(2).take(2) {
            workspace.delete_session(id).await.unwrap();
            workspace.purge_session(id).await.unwrap();
        }
        let after = shrunk(&path, before * 65 / 100).await;
        assert!(after <= before * 65 / 100, "{before} bytes before, {after} after two more, compacted: {compacted}");
        // The owner continues in the same file.
        session(&workspace, 1000).await;
        workspace.store().close().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_removed_is_given_back_although_the_owner_was_busy_at_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let workspace = Workspace::new(Store::new(Arc::new(open(&path).await)));
    let (gone, kept) = (session(&workspace, 0).await, session(&workspace, 1).await);
    for number in 2..80 {
        let messages = (0..20).map(|n| workspace.message(Role::User, talk(number * 100 + n)));
        workspace.add_messages(&gone, messages.collect()).await.unwrap();
    }
    let before = fs::metadata(&path).unwrap().len();
    workspace.delete_session(&gone).await.unwrap();
    workspace.purge_session(&gone).await.unwrap();
    for _ in 0..20 {
        workspace.add_message(&kept, workspace.message(Role::User, "busy")).await.unwrap();
    }
    let after = shrunk(&path, before * 65 / 100).await;
    assert!(after <= before * 65 / 100, "{before} bytes before, {after} after");
    workspace.store().close().await.unwrap();
}

#[tokio::test]
async fn a_large_file_is_compacted_with_its_chunks_as_they_are_and_everything_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let backend = Arc::new(open(&path).await);
    let store = Store::new(backend.clone());
    // The digits of random-looking numbers compress to half their length.
    let numbers = |session: u64, entry: u64| {
        let number = |at: u64| {
            (session * 1_000_003 + entry * 4001 + at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(at as u32)
        };
        Body::trusted(format!("\"{}\"", (0..4000).map(|at| format!("{:016x}", number(at))).collect::<String>()))
    };
    let log = |session: u64| LogKey::new(Kind::of("history"), format!("s{session}")).unwrap();
    for session in 0..10 {
        let entries = (0..40).map(|entry| NewEntry { at: Timestamp::default(), body: numbers(session, entry) });
        store.commit(store.batch().append(log(session), entries.collect())).await.unwrap().committed().unwrap();
    }
    store.save(&Agent::new("ada", "Ada", "backend"), Expect::Absent).await.unwrap();
    let before = fs::metadata(&path).unwrap().len();
    assert!(before > 8 << 20, "{before}");
    assert!(!backend.was_compacted().await.unwrap());

    backend.compact().await.unwrap();
    assert!(backend.was_compacted().await.unwrap());
    let after = fs::metadata(&path).unwrap().len();
    assert!(after <= before, "{before} bytes before, {after} after");
    for session in 0..10 {
        let there: Vec<_> = store.read(LogQuery::oldest_first(log(session), 7)).try_collect().await.unwrap();
        assert_eq!(there.len(), 40);
        assert!(there.iter().all(|entry| entry.body == numbers(session, entry.position)));
    }
    assert!(store.load::<Agent>(&"ada".into()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_whole_while_its_parent_is_purged_and_the_file_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let backend = Arc::new(open(&path).await);
    let workspace = Workspace::new(Store::new(backend.clone()));
    let mut forks = Vec::new();
    let (done, mut stop) = tokio::sync::oneshot::channel();
    let compacting = tokio::spawn(async move {
        let mut rounds = 0;
        while stop.try_recv().is_err() || rounds == 0 {
            backend.compact().await.unwrap();
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        rounds
    });
    for number in 0..8 {
        let parent = session(&workspace, number).await;
        let fork = workspace.restore_session(&parent, RestoreOptions::default()).await.unwrap();
        workspace.delete_session(&parent).await.unwrap();
        workspace.purge_session(&parent).await.unwrap();
        forks.push((fork, number));
        for (fork, number) in &forks {
            let tail = workspace.tail(fork, 50).await.unwrap();
            let said: Vec<_> = tail.into_iter().map(|entry| entry.unwrap().message.content).collect();
            let expected: Vec<_> = (0..20).map(|n| Some(talk(number * 100 + n).into())).collect();
            assert!(said == expected, "fork {number} of {}", forks.len());
        }
    }
    done.send(()).unwrap();
    println!("compacted {} times", compacting.await.unwrap());
    workspace.store().close().await.unwrap();
}

#[tokio::test]
async fn a_store_knows_whether_it_was_ever_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nofx.redb");
    for (round, was_compacted) in [false, false, true, true].into_iter().enumerate() {
        let backend = Arc::new(open(&path).await);
        assert_eq!(backend.was_compacted().await.unwrap(), was_compacted);
        let workspace = Workspace::new(Store::new(backend.clone()));
        session(&workspace, 1).await;
        assert_eq!(backend.was_compacted().await.unwrap(), was_compacted);
        if round == 1 {
            backend.compact().await.unwrap();
            assert!(backend.was_compacted().await.unwrap());
        }
        workspace.store().close().await.unwrap();
    }
}
