use nofx_core::{Batch, Body, Expect, Key, LogKey, NewEntry, RecordKey, Store, Timestamp, kind};
use nofx_migrate::{CopyError, Counts, copy, dump_full};

use crate::odd::{empty, odd};

async fn dumped(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    dump_full(store, &mut bytes).await.unwrap();
    bytes
}

async fn commit(store: &Store, batch: Batch) {
    store.commit(batch).await.unwrap().committed().unwrap();
}

fn key<K: Key>(id: &str) -> K {
    K::new(kind::HISTORY, id).unwrap()
}

fn entry(json: &str) -> NewEntry {
    NewEntry { at: Timestamp::from_millis(1), body: Body::parse(json).unwrap() }
}

async fn last_seq(store: &Store) -> nofx_core::Cursor {
    match store.changes(None, 0).await.unwrap() {
        nofx_core::Changes::Page(page) => page.newest,
        nofx_core::Changes::Gap { newest } => newest,
    }
}

#[tokio::test]
async fn a_copy_holds_the_same_and_copying_again_changes_nothing() {
    let (from, to) = (odd().await, empty());
    let mut last = None;
    let (told, added) = copy(&from, &to, &mut |progress| last = Some(progress)).await.unwrap();
    assert!(dumped(&from).await == dumped(&to).await);
    assert_eq!(told.counts, added);
    assert_eq!(last.unwrap().seen, added);
    let before = last_seq(&to).await;
    let (_, added) = copy(&from, &to, &mut |_| {}).await.unwrap();
    assert_eq!(added, Counts::default());
    assert_eq!(last_seq(&to).await, before);
}

#[tokio::test]
async fn a_copy_is_brought_up_to_date() {
    let (from, to) = (odd().await, empty());
    let open: LogKey = key("growing");
    commit(&from, from.batch().append(open.clone(), vec![entry("1"), entry("2")])).await;
    copy(&from, &to, &mut |_| {}).await.unwrap();
    commit(&from, from.batch().append(open.clone(), vec![entry("3")]).seal(open)).await;
    commit(&from, from.batch().put(key("new"), Expect::Absent, Body::parse("1").unwrap())).await;
    let (_, added) = copy(&from, &to, &mut |_| {}).await.unwrap();
    assert_eq!(added, Counts { records: 1, logs: 0, entries: 1 });
    assert!(dumped(&from).await == dumped(&to).await);
}

#[tokio::test]
async fn a_target_that_differs_is_refused_and_left_as_it_was() {
    let log: LogKey = key("l");
    let record: RecordKey = key("r");
    let one = || Body::parse("1").unwrap();
    let from = || async {
        let from = odd().await;
        let batch = from.batch().put(record.clone(), Expect::Any, one());
        commit(&from, batch.append(log.clone(), vec![entry("1"), entry("2")])).await;
        from
    };
    let differing: [(&str, &dyn Fn(Batch) -> Batch); 7] = [
        ("history/r", &|batch| batch.put(record.clone(), Expect::Any, Body::parse("2").unwrap())),
        ("history/extra", &|batch| batch.put(key("extra"), Expect::Any, one())),
        ("z/last", &|batch| batch.put(RecordKey::new(nofx_core::Kind::of("z"), "last").unwrap(), Expect::Any, one())),
        ("history/l", &|batch| batch.append(log.clone(), vec![entry("1"), entry("\"other\"")])),
        ("history/l", &|batch| batch.append(log.clone(), vec![entry("1"), entry("2"), entry("3")])),
        ("history/l", &|batch| batch.append(log.clone(), vec![entry("1")]).seal(log.clone())),
        ("history/zz", &|batch| batch.seal(key("zz"))),
    ];
    for (named, change) in differing {
        let (from, to) = (from().await, empty());
        commit(&to, change(to.batch())).await;
        let before = dumped(&to).await;
        let error = copy(&from, &to, &mut |_| {}).await.unwrap_err();
        let CopyError::Differs(found) = error else { panic!("{error}") };
        assert_eq!(found, named);
        assert!(dumped(&to).await == before, "{named}");
    }
}

#[tokio::test]
async fn a_copy_that_was_interrupted_is_finished() {
    let from = odd().await;
    let mut whole = Vec::new();
    dump_full(&from, &mut whole).await.unwrap();
    // Each half-done copy is a prefix of both orders, or less.
    let to = empty();
    let mut filled = Vec::new();
    let heads = from.backend().logs(&nofx_core::LogScan::all(3)).await.unwrap();
    for head in heads.items {
        let query = nofx_core::LogQuery::oldest_first(head.log.clone(), 1);
        let entries = from.backend().read(&query).await.unwrap().items;
        filled.extend(entries.into_iter().map(|found| (head.log.clone(), NewEntry { at: found.at, body: found.body })));
    }
    for (log, entry) in filled {
        commit(&to, to.batch().append_at(log, 0, vec![entry])).await;
    }
    copy(&from, &to, &mut |_| {}).await.unwrap();
    assert!(dumped(&to).await == whole);
}
