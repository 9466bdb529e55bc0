//! What a store in one process does, compared with the store in memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{batch, body, entries, log, open, record};
use nofx_core::{
    Batch, Changes, Direction, Expect, Guard, KeyQuery, LogQuery, MemoryBackend, Outcome, PersistenceBackend, Sources,
};
use proptest::prelude::*;

#[tokio::test]
async fn what_is_committed_is_read_back_by_the_next_opener() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let first = open(&path).await;
    let store = first.info().store;
    let put = batch().put(record("a"), Expect::Absent, body("1")).append(log("l"), entries(0..3));
    let outcome = first.commit(vec![put.clone()]).await.unwrap();
    first.close().await.unwrap();
    assert_eq!(first.get(&[]).await.unwrap_err().code(), "closed");

    let again = open(&path).await;
    assert_eq!(again.info().store, store);
    assert_eq!(again.get(&[record("a")]).await.unwrap()[0].as_ref().unwrap().body, body("1"));
    let page = again.read(&LogQuery::oldest_first(log("l"), 10)).await.unwrap();
    assert_eq!(page.items.len(), 3);
    assert!(!page.more);
    assert_eq!(again.commit(vec![put]).await.unwrap(), outcome, "the batch id is remembered");
}

#[tokio::test]
async fn the_role_is_given_back_when_nothing_happens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let store = open(&path).await;
    for n in 0..20 {
        store.commit(vec![batch().append(log("l"), entries(n..n + 1))]).await.unwrap();
    }
    let busy = redb::Builder::new().set_concurrency_mode(redb::ConcurrencyMode::SingleWriter).open(&path);
    assert!(matches!(busy, Err(redb::DatabaseError::DatabaseAlreadyOpen)));
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    redb::Builder::new().set_concurrency_mode(redb::ConcurrencyMode::SingleWriter).open(&path).unwrap();
    assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 20);
}

/// A step of a history that is played on two stores.
#[derive(Clone, Debug)]
enum Step {
    Put { id: u8, expect: u8, size: usize },
    Delete { id: u8 },
    Append { log: u8, at: Option<u64>, sizes: Vec<usize> },
    Seal { log: u8 },
    Remove { log: u8 },
    Guarded { log: u8, length: u64 },
    Repeat,
    Reopen,
    Compact,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 1..200_usize, 2 => 900..5000_usize, 1 => 20_000..90_000_usize, 1 => Just(200_000)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, 0..4_u8, size()).prop_map(|(id, expect, size)| Step::Put { id, expect, size }),
        1 => (0..6_u8).prop_map(|id| Step::Delete { id }),
        10 => (0..4_u8, prop::option::weighted(0.1, 0..40_u64), prop::collection::vec(size(), 1..30))
            .prop_map(|(log, at, sizes)| Step::Append { log, at, sizes }),
        1 => (0..4_u8).prop_map(|log| Step::Seal { log }),
        1 => (0..4_u8).prop_map(|log| Step::Remove { log }),
        1 => (0..4_u8, 0..40_u64).prop_map(|(log, length)| Step::Guarded { log, length }),
        1 => Just(Step::Repeat),
        2 => Just(Step::Reopen),
        1 => Just(Step::Compact),
    ]
}

fn sized(size: usize, salt: usize) -> nofx_core::Body {
    let words = ["fold ", "chunk ", "the ", "row ", "fn main() {} ", "log ", "position "];
    let mut text = format!("{salt} ");
    while text.len() < size {
        text.push_str(words[(text.len() * 31 + salt * 7) % words.len()]);
    }
    body(&format!("\"{text}\""))
}

fn batch_of(step: &Step, salt: usize, last: Option<&Batch>) -> Option<Batch> {
    let batch = batch();
    Some(match step {
        Step::Put { id, expect, size } => {
            let expect = match expect {
                0 => Expect::Absent,
                1 => Expect::At(nofx_core::Seq::FIRST),
                _ => Expect::Any,
            };
            batch.put(record(&format!("r{id}")), expect, sized(*size, salt))
        }
        Step::Delete { id } => batch.delete(record(&format!("r{id}")), Expect::Any),
        Step::Append { log: id, at, sizes } => {
            let entries = sizes.iter().enumerate().map(|(n, size)| nofx_core::NewEntry {
                at: nofx_core::Timestamp::from_millis(salt as i64 * 1000 - n as i64),
                body: sized(*size, salt + n),
            });
            match at {
                Some(at) => batch.append_at(log(&format!("l{id}")), *at, entries.collect()),
                None => batch.append(log(&format!("l{id}")), entries.collect()),
            }
        }
        Step::Seal { log: id } => batch.seal(log(&format!("l{id}"))),
        Step::Remove { log: id } => batch.remove(log(&format!("l{id}"))),
        Step::Guarded { log: id, length } => batch
            .put(record("guarded"), Expect::Any, sized(10, salt))
            .guard(Guard::Length { log: log(&format!("l{id}")), length: *length }),
        Step::Repeat => last?.clone(),
        Step::Reopen | Step::Compact => return None,
    })
}

async fn assert_same(real: &dyn PersistenceBackend, oracle: &dyn PersistenceBackend, limit: usize) {
    let records: Vec<_> = (0..7).map(|id| record(&format!("r{id}"))).chain([record("guarded")]).collect();
    assert_eq!(real.get(&records).await.unwrap(), oracle.get(&records).await.unwrap());
    for direction in [Direction::Forward, Direction::Backward] {
        let all = KeyQuery { direction, ..KeyQuery::all(limit) };
        let some = KeyQuery { direction, ..KeyQuery::of(common::KIND, limit).prefixed("r") };
        for query in records.iter().map(|after| some.clone().after(after.clone())).chain([all, some.clone()]) {
            assert_eq!(real.scan(&query).await.unwrap(), oracle.scan(&query).await.unwrap(), "{query:?}");
        }
        let query = KeyQuery { direction, ..KeyQuery::all(limit) };
        assert_eq!(real.logs(&query).await.unwrap(), oracle.logs(&query).await.unwrap());
        for id in 0..4 {
            let log = log(&format!("l{id}"));
            for range in [0..u64::MAX, 3..17, 10..11, 7..7, 90..u64::MAX] {
                let query = LogQuery { log: log.clone(), range, direction, limit };
                assert_eq!(real.read(&query).await.unwrap(), oracle.read(&query).await.unwrap(), "{query:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_history_does_the_same_as_in_memory(steps in prop::collection::vec(step(), 1..40), limit in 1..300_usize) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.redb");
            let mut real = open(&path).await;
            let oracle = MemoryBackend::new();
            let mut last: Option<Batch> = None;
            for (salt, step) in steps.iter().enumerate() {
                match batch_of(step, salt, last.as_ref()) {
                    None if matches!(step, Step::Compact) => real.compact().await.unwrap(),
                    None => {
                        real.close().await.unwrap();
                        real = open(&path).await;
                    }
                    Some(batch) => {
                        let group = vec![batch.clone()];
                        let (ours, theirs) = (real.commit(group.clone()).await, oracle.commit(group).await);
                        assert_eq!(ours.unwrap(), theirs.unwrap());
                        last = Some(batch);
                    }
                }
            }
            assert_same(&real, &oracle, limit).await;
            real.close().await.unwrap();
            let real = open(&path).await;
            assert_same(&real, &oracle, limit).await;
            assert_same(&real, &oracle, 100_000).await;
            real.compact().await.unwrap();
            assert_same(&real, &oracle, limit).await;
        });
    }
}

#[tokio::test]
async fn entries_are_found_on_both_sides_of_each_boundary() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("a.redb")).await;
    let oracle = MemoryBackend::new();
    let (fold, full) = (16 << 10, 128 << 10);
    let mut salt = 0;
    for (id, sizes) in [
        vec![fold - 1, 3, 3],
        vec![fold, 3, 3],
        vec![fold + 1, 3, 3],
        vec![full - 1, 3, 3, fold],
        vec![full, 3, full, 3],
        vec![full / 2 - 1, fold, fold, fold, fold, fold, 3],
        vec![3; 600],
        [vec![fold / 2; 40], vec![3; 20]].concat(),
    ]
    .into_iter()
    .enumerate()
    {
        let log = log(&format!("l{id}"));
        for size in sizes {
            salt += 1;
            // A body of exactly this many bytes.
            let text: String = (0..size - 2).map(|n| char::from(b'a' + ((n * salt) % 23) as u8)).collect();
            let entry = nofx_core::NewEntry {
                at: nofx_core::Timestamp::from_millis(salt as i64),
                body: body(&format!("\"{text}\"")),
            };
            let append = batch().append(log.clone(), vec![entry]);
            store.commit(vec![append.clone()]).await.unwrap();
            oracle.commit(vec![append]).await.unwrap();
        }
        for direction in [Direction::Forward, Direction::Backward] {
            for limit in [1, 2, 1000] {
                for start in (0..40).chain(250..262).chain(500..520) {
                    let query = LogQuery { log: log.clone(), range: start..start + 30, direction, limit };
                    assert_eq!(store.read(&query).await.unwrap(), oracle.read(&query).await.unwrap(), "{query:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn commits_are_remembered_in_rows_and_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let store = open(&path).await;
    let oracle = MemoryBackend::new();
    let mut all = Vec::new();
    for number in 0..400 {
        let batch = match number % 3 {
            0 => batch().append(log("l"), entries(number..number + 1)),
            1 => batch().put(record("a"), Expect::Any, body(&number.to_string())),
            _ => batch(),
        };
        oracle.commit(vec![batch.clone()]).await.unwrap();
        all.push(batch);
    }
    for group in all.chunks(7) {
        store.commit(group.to_vec()).await.unwrap();
    }
    for store in [store, open(&path).await] {
        for batch in &all {
            let (ours, theirs) = (store.commit(vec![batch.clone()]).await, oracle.commit(vec![batch.clone()]).await);
            assert_eq!(ours.unwrap(), theirs.unwrap());
        }
        for limit in [1, 50, 127, 128, 129, 1000] {
            let (mut ours, mut theirs) = (None, None);
            loop {
                let one = store.changes(ours.as_ref(), limit).await.unwrap();
                let other = oracle.changes(theirs.as_ref(), limit).await.unwrap();
                let (Changes::Page(one), Changes::Page(other)) = (one, other) else { panic!("a gap") };
                assert_eq!(one.changes, other.changes);
                if one.changes.is_empty() {
                    break;
                }
                (ours, theirs) = (Some(one.next), Some(other.next));
            }
        }
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_group_has_one_outcome_for_each_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("a.redb")).await;
    let sources = Sources::default();
    let first = Batch::new(sources.batch_id()).put(record("a"), Expect::Absent, body("1"));
    let loses =
        Batch::new(sources.batch_id()).put(record("a"), Expect::Absent, body("2")).append(log("l"), entries(0..1));
    let other = Batch::new(sources.batch_id()).append(log("l"), entries(5..6));
    let outcomes = store.commit(vec![first.clone(), loses, other, first]).await.unwrap();
    assert!(matches!(outcomes[1], Outcome::Conflicted(_)));
    assert_eq!(outcomes[0], outcomes[3]);
    assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 1);
}
