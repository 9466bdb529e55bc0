//! Streams continue after what cannot be read, and what that costs.

#![expect(clippy::unwrap_used, reason = "a test panics when something is not as it should be")]
#![expect(clippy::single_range_in_vec_init, reason = "a range of positions in a list is what is damaged")]

use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use nofx_core::{
    Batch, Body, Direction, Expect, Kind, LogKey, LogQuery, LogScan, MemoryBackend, NewEntry, PersistenceBackend,
    RecordKey, ScanQuery, SeededIds, Sources, Store, Timestamp,
};
use nofx_testkit::{Counting, Damaging};
use proptest::prelude::*;

struct World {
    damaging: Arc<Damaging>,
    counting: Arc<Counting>,
    store: Store,
}

async fn world(batch: impl FnOnce(Batch) -> Batch) -> World {
    let memory = MemoryBackend::new();
    let sources = Sources { ids: Arc::new(SeededIds::new(1)), ..Sources::default() };
    memory.commit(vec![batch(Batch::new(sources.batch_id()))]).await.unwrap();
    let damaging = Arc::new(Damaging::new(Arc::new(memory)));
    let counting = Arc::new(Counting::new(damaging.clone()));
    World { store: Store::new(counting.clone()), damaging, counting }
}

fn log() -> LogKey {
    LogKey::new(Kind::of("talk"), "a").unwrap()
}

fn key(kind: &'static str, id: &str) -> RecordKey {
    RecordKey::new(Kind::of(kind), id).unwrap()
}

async fn of_entries(count: u64) -> World {
    let entry = |n: u64| NewEntry { at: Timestamp::from_millis(n as i64), body: Body::parse(&n.to_string()).unwrap() };
    world(|batch| batch.append(log(), (0..count).map(entry).collect())).await
}

/// Returns the positions of a stream's entries and of its errors, in order.
async fn read(world: &World, query: LogQuery) -> (Vec<u64>, Vec<Range<u64>>) {
    let (mut entries, mut damaged) = (Vec::new(), Vec::new());
    let mut stream = world.store.read(query);
    while let Some(entry) = stream.next().await {
        match entry {
            Ok(entry) => entries.push(entry.position),
            Err(error) => {
                assert_eq!(error.code(), "corrupt");
                let positions = error.positions().unwrap();
                assert!(
                    error.to_string().contains(&format!("talk/a at position {}", positions.start))
                        || positions.end - positions.start > 1,
                    "{error}"
                );
                damaged.push(positions);
            }
        }
    }
    (entries, damaged)
}

#[tokio::test]
async fn a_damaged_entry_is_an_error_at_its_position_and_all_others_are_read() {
    let world = of_entries(300).await;
    world.damaging.damage_entries(log(), 101..102);
    let whole: Vec<_> = (0..300).filter(|position| *position != 101).collect();
    for limit in [1, 7, 256, 1000] {
        let (entries, damaged) = read(&world, LogQuery::oldest_first(log(), limit)).await;
        assert_eq!((entries, damaged), (whole.clone(), vec![101..102]), "{limit}");
        let (mut entries, damaged) = read(&world, LogQuery::newest_first(log(), limit)).await;
        entries.reverse();
        assert_eq!((entries, damaged), (whole.clone(), vec![101..102]), "backward, {limit}");
    }
    let before = world.counting.counts();
    read(&world, LogQuery::oldest_first(log(), 256)).await;
    let calls = (world.counting.counts() - before).reading_calls();
    assert!(calls <= 24, "{calls} calls around one entry");
}

#[tokio::test]
async fn a_damaged_piece_of_thousands_costs_no_call_for_each() {
    let world = of_entries(9_000).await;
    world.damaging.damage_entries(log(), 1_000..6_000);
    for query in [LogQuery::oldest_first(log(), 256), LogQuery::newest_first(log(), 256)] {
        let before = world.counting.counts();
        let (entries, damaged) = read(&world, query).await;
        assert_eq!((entries.len(), damaged), (4_000, vec![1_000..6_000]));
        let calls = (world.counting.counts() - before).reading_calls();
        assert!(calls <= 80, "{calls} calls");
    }
}

#[tokio::test]
async fn a_log_whose_head_cannot_be_read_is_one_error_and_hides_no_other_log() {
    let world = of_entries(10).await;
    world.damaging.damage_head(log());
    let read: Vec<_> = world.store.read(LogQuery::oldest_first(log(), 4)).collect().await;
    assert!(read.iter().all(|entry| entry.as_ref().is_err_and(|error| error.code() == "corrupt")), "{read:?}");
    let other = LogKey::new(Kind::of("talk"), "b").unwrap();
    let batch = world.store.batch().seal(other.clone());
    world.store.commit(batch).await.unwrap();
    let heads: Vec<_> = world.store.logs(LogScan::all(10)).collect().await;
    assert_eq!(heads.len(), 2);
    assert_eq!(heads[1].as_ref().unwrap().log, other);
}

#[tokio::test]
async fn reading_everything_reports_what_is_missing() {
    let world = of_entries(10).await;
    let mut head = world.store.head(&log()).await.unwrap();
    let all: Vec<_> = world.store.read_whole(&head, 4).collect().await;
    assert!(all.len() == 10 && all.iter().all(Result::is_ok), "{all:?}");
    for (lost, expected) in [(3..4, 3..4), (8..10, 8..10), (0..1, 0..1)] {
        let world = of_entries(10).await;
        world.damaging.lose_entries(log(), lost);
        let all: Vec<_> = world.store.read_whole(&head, 4).collect().await;
        let damaged: Vec<_> = all.iter().filter_map(|entry| entry.as_ref().err()?.positions()).collect();
        assert_eq!(damaged, [expected], "{all:?}");
    }
    // A log that was removed since is not damaged.
    head = world.store.head(&log()).await.unwrap();
    world.store.commit(world.store.batch().remove(log())).await.unwrap();
    assert_eq!(world.store.read_whole(&head, 100).collect::<Vec<_>>().await.len(), 0);
}

/// Returns what a scan finds and how many errors it has.
async fn scan(world: &World, query: ScanQuery) -> (Vec<RecordKey>, usize) {
    let found: Vec<_> = world.store.scan(query).collect().await;
    let errors = found.iter().filter(|record| record.is_err()).count();
    (found.into_iter().flatten().map(|record| record.key).collect(), errors)
}

#[tokio::test]
async fn a_damaged_record_hides_no_other_whatever_the_keys_are() {
    let ids: Vec<String> = (0..500).map(|n| format!("session-agent-ada-{n:04}-f760")).collect();
    let body = || Body::parse("{}").unwrap();
    let world = world(|batch| {
        let batch = ids.iter().fold(batch, |batch, id| batch.put(key("session", id), Expect::Any, body()));
        ["agent", "session", "template"]
            .iter()
            .fold(batch, |batch, kind| batch.put(key(kind, "\0"), Expect::Any, body()))
    })
    .await;
    for damaged in [3, 4, 200, 202, 499] {
        world.damaging.damage_record(key("session", &ids[damaged]));
    }
    for limit in [1, 50, 1000] {
        for query in [ScanQuery::all(limit), ScanQuery::all(limit).backward()] {
            let before = world.counting.counts();
            let (keys, errors) = scan(&world, query.clone()).await;
            assert_eq!((keys.len(), errors), (503 - 5, 5), "{query:?}");
            let is_backward = query.direction == Direction::Backward;
            assert!(keys.is_sorted_by(|a, b| (a < b) != is_backward), "{query:?}");
            let calls = (world.counting.counts() - before).reading_calls();
            assert!(calls <= 503 + 5 * 160, "{calls} calls for {query:?}");
        }
    }
    let (keys, errors) = scan(&world, ScanQuery::of(Kind::of("session"), 64).prefixed("session-agent-ada-02")).await;
    assert_eq!((keys.len(), errors), (98, 2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_hidden_by_any_damage(
        count in 1..200_u64,
        pieces in prop::collection::vec((0..200_u64, 1..40_u64), 0..6),
        ids in prop::collection::btree_map("[a\0\u{d7ff}\u{e000}\u{10ffff}]{1,4}", any::<bool>(), 1..40),
        limit in 1..70_usize,
        backward in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = of_entries(count).await;
            let pieces: Vec<_> = pieces.iter().map(|(start, length)| *start..start + length).collect();
            pieces.iter().for_each(|piece| world.damaging.damage_entries(log(), piece.clone()));
            let mut query = LogQuery::oldest_first(log(), limit);
            if backward {
                query.direction = Direction::Backward;
            }
            let (mut entries, damaged) = read(&world, query).await;
            entries.sort();
            let is_whole = |position: &u64| pieces.iter().all(|piece| !piece.contains(position));
            assert_eq!(entries, (0..count).filter(is_whole).collect::<Vec<_>>());
            let mut damaged: Vec<_> = damaged.into_iter().flatten().collect();
            damaged.sort();
            assert_eq!(damaged, (0..count).filter(|position| !is_whole(position)).collect::<Vec<_>>());

            let put = |batch: Batch, id: &String| batch.put(key("note", id), Expect::Any, Body::parse("1").unwrap());
            let batch = ids.keys().fold(world.store.batch(), put);
            world.store.commit(batch).await.unwrap();
            let damaged = ids.iter().filter(|(_, damaged)| **damaged);
            damaged.for_each(|(id, _)| world.damaging.damage_record(key("note", id)));
            let mut query = ScanQuery::of(Kind::of("note"), limit);
            if backward {
                query = query.backward();
            }
            let (mut keys, errors) = scan(&world, query).await;
            keys.sort();
            let whole: Vec<_> = ids.iter().filter(|(_, damaged)| !**damaged).map(|(id, _)| key("note", id)).collect();
            assert_eq!((keys, errors), (whole, ids.values().filter(|damaged| **damaged).count()));
        });
    }
}
