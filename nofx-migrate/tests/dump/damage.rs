//! What is reported as complete has been counted.

use std::sync::Arc;

use nofx_core::entity::{Message, Role, Session, Task};
use nofx_core::{Error, LogKey, MemoryBackend, Store, Timestamp};
use nofx_migrate::{BackupError, CopyError, DumpError, backup, copy, dump, dump_full};
use nofx_testkit::Damaging;

/// A store with a log of ten messages and one of ten tasks.
async fn filled() -> (Store, Arc<Damaging>) {
    let damaging = Arc::new(Damaging::new(Arc::new(MemoryBackend::new())));
    let store = Store::new(damaging.clone());
    let at = Timestamp::from_millis(0);
    let messages: Vec<_> = (0..10).map(|n| Message::new(format!("m{n}"), at, Role::User, "hello")).collect();
    let tasks: Vec<_> = (0..10).map(|n| Task::new(format!("t{n}"), "a task", at)).collect();
    store.append(&Session::history(&"s".into()), None, &messages).await.unwrap();
    store.append(&Session::tasks(&"s".into()), None, &tasks).await.unwrap();
    (store, damaging)
}

async fn refuse_all(store: &Store, log: &LogKey, positions: &str) {
    let named = |error: &Error| error.code() == "corrupt" && error.to_string().contains(&format!("{log} {positions}"));
    let empty = || Store::new(Arc::new(MemoryBackend::new()));
    for full in [false, true] {
        let mut out = Vec::new();
        let written = if full { dump_full(store, &mut out).await.map(drop) } else { dump(store, &mut out).await };
        assert!(matches!(&written, Err(DumpError::Store(error)) if named(error)), "{written:?}");
    }
    let copied = copy(store, &empty(), &mut |_| {}).await.map(drop);
    assert!(matches!(&copied, Err(CopyError::Store(error)) if named(error)), "{copied:?}");
    let copied = backup(store, &empty(), &mut |_| {}).await.map(drop);
    assert!(matches!(&copied, Err(BackupError::Store(error)) if named(error)), "{copied:?}");
}

#[tokio::test]
async fn what_is_damaged_is_named_by_everything_that_copies() {
    for log in [Session::history(&"s".into()), Session::tasks(&"s".into())] {
        let (store, damaging) = filled().await;
        damaging.damage_entries(log.clone(), 4..6);
        refuse_all(&store, &log, "at positions 4 to 5").await;
    }
}

#[tokio::test]
async fn what_is_lost_unnoticed_is_missed_by_everything_that_copies() {
    for log in [Session::history(&"s".into()), Session::tasks(&"s".into())] {
        for (lost, positions) in
            [(3..4, "at position 3"), (8..10, "at positions 8 to 9"), (0..10, "at positions 0 to 9")]
        {
            let (store, damaging) = filled().await;
            damaging.lose_entries(log.clone(), lost);
            refuse_all(&store, &log, positions).await;
        }
    }
}
