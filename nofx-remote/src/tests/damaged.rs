//! Stores of which objects are damaged, cut or lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use nofx_core::{
    Batch, Body, Expect, LogKey, LogQuery, NewEntry, PersistenceBackend, RecordKey, Result, Sources, Store, Timestamp,
};
use object_store::path::Path;
use tokio::time::{Instant, sleep};

use super::truth::{all_entries, key};
use super::world::{Line, Rates, World};
use crate::RemoteBackend;
use crate::commit::Commit;
use crate::frame;
use crate::names::{self, ObjectNames};
use crate::options::Rules;

fn rules() -> Rules {
    Rules { roll_at: 4 << 10, roll_first: 16 << 10, inline_bytes: 1 << 10, ..Rules::new(Duration::from_secs(20)) }
}

async fn try_open(world: &Arc<World>, seed: u64) -> Result<Arc<RemoteBackend>> {
    Line::new(world.clone(), Rates::EXACT, seed, &rules()).open(rules()).await.map(Arc::new)
}

async fn open(world: &Arc<World>, seed: u64) -> Arc<RemoteBackend> {
    try_open(world, seed).await.unwrap()
}

fn commit_at(number: u64) -> Path {
    ObjectNames::new(Path::default()).commit(number)
}

fn entry(number: u64) -> Batch {
    let body = Body::trusted(format!("\"{number} {}\"", "x".repeat(300)));
    let entry = NewEntry { at: Timestamp::from_millis(number as i64), body };
    Batch::new(Sources::default().batch_id()).append(key("log"), vec![entry])
}

async fn add(store: &RemoteBackend, numbers: std::ops::Range<u64>) {
    for number in numbers {
        store.commit(vec![entry(number)]).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
}

async fn count(store: &RemoteBackend) -> u64 {
    all_entries(store, &key::<LogKey>("log")).await.unwrap().len() as u64
}

/// Ways in which an object is damaged; `None` is its loss.
fn damages(object: &Bytes) -> Vec<Option<Bytes>> {
    let mut flipped = object.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    vec![Some(flipped.into()), Some(object.slice(..middle)), Some(Bytes::new())]
}

#[tokio::test(start_paused = true)]
async fn everything_before_a_damaged_newest_commit_is_read_and_a_repair_says_what_it_gives_up() {
    for damage in 0..3 {
        let world = World::new();
        add(&*open(&world, 1).await, 0..8).await;
        let newest = world.newest();
        let path = commit_at(newest);
        let damaged = damages(&world.object(&path).unwrap()).swap_remove(damage);
        world.damage(&path, damaged.clone());
        let store = open(&world, 2).await;
        assert_eq!(count(&store).await, 7);
        assert!(store.info().read_only.is_some_and(|why| why.contains(path.as_ref())));
        let refused = store.commit(vec![entry(8)]).await.unwrap_err();
        assert!(refused.code() == "corrupt" && refused.to_string().contains(path.as_ref()), "{refused}");
        let findings = store.check().await.unwrap();
        assert!(matches!(&findings[..], [one] if one.is_damage && one.what.contains(path.as_ref())), "{findings:?}");

        let objects = world.size();
        let asked = store.repair(false).await.unwrap();
        assert_eq!((asked.repairs.len(), asked.losses.len(), world.size()), (0, 1, objects), "{asked:?}");
        assert_eq!(asked.losses[0].thing, format!("commit {newest}"));
        let follower = open(&world, 3).await;
        let done = store.repair(true).await.unwrap();
        assert_eq!((done.repairs.len(), done.losses.len()), (1, 0), "{done:?}");
        assert_eq!(world.object(&path), damaged, "it is kept");
        add(&store, 7..10).await;
        add(&follower, 10..12).await;
        for store in [&store, &follower, &open(&world, 4).await] {
            assert_eq!(count(store).await, 12);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_commit_is_carried_along_by_the_next_one() {
    for damage in 0..3 {
        let world = World::new();
        let host = open(&world, 1).await;
        let reader = open(&world, 2).await;
        add(&host, 0..5).await;
        assert_eq!(count(&reader).await, 5);
        add(&host, 5..6).await;
        let path = commit_at(world.newest());
        world.damage(&path, damages(&world.object(&path).unwrap()).swap_remove(damage));
        assert_eq!(count(&reader).await, 5);
        // The host that created it knows its content.
        add(&host, 6..7).await;
        for store in [&host, &reader, &open(&world, 3).await] {
            assert_eq!(count(store).await, 7);
            assert_eq!(store.info().read_only, None);
        }
        add(&reader, 7..9).await;
        assert_eq!(count(&host).await, 9);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_or_damaged_checkpoint_is_passed_by_an_older_one_and_made_again() {
    for damage in 0..4 {
        for repairs in [false, true] {
            let world = World::new();
            let host = open(&world, 1).await;
            add(&host, 0..60).await;
            host.close().await.unwrap();
            let newest = world.newest();
            let commit = Commit::decode(&world.object(&commit_at(newest)).unwrap(), newest, "it").unwrap();
            let cited = commit.checkpoint.unwrap();
            let path = ObjectNames::new(Path::default()).checkpoint(cited.number, &cited.nonce);
            world.damage(&path, damages(&world.object(&path).unwrap()).into_iter().nth(damage).flatten());
            let store = open(&world, 2).await;
            assert_eq!(count(&store).await, 60);
            assert_eq!(store.info().read_only, None);
            let findings = store.check().await.unwrap();
            assert!(
                matches!(&findings[..], [one] if one.is_damage && one.what.contains(path.as_ref())),
                "{findings:?}"
            );
            if repairs {
                let repaired = store.repair(false).await.unwrap();
                assert_eq!((repaired.repairs.len(), repaired.losses.len()), (1, 0), "{repaired:?}");
            } else {
                add(&store, 60..90).await;
            }
            let after = open(&world, 3).await;
            assert_eq!(after.check().await.unwrap(), []);
            add(&after, 90..92).await;
            assert_eq!(count(&store).await, if repairs { 62 } else { 92 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_lies_before_a_checkpoint_that_cannot_be_passed_is_read_and_the_rest_can_be_given_up() {
    let world = World::new();
    add(&*open(&world, 1).await, 0..60).await;
    let newest = world.newest();
    let commit = Commit::decode(&world.object(&commit_at(newest)).unwrap(), newest, "it").unwrap();
    let cited = commit.checkpoint.unwrap();
    world.damage(&ObjectNames::new(Path::default()).checkpoint(cited.number, &cited.nonce), None);
    // Everything that could supply its content is removed too.
    for number in cited.number..newest {
        let commit = Commit::decode(&world.object(&commit_at(number)).unwrap(), number, "it").unwrap();
        if commit.checkpoint.as_ref() != Some(&cited) {
            world.damage(&commit_at(number), None);
        }
    }
    let store = open(&world, 2).await;
    let readable = count(&store).await;
    assert!((1..60).contains(&readable), "{readable}");
    assert_eq!(store.commit(vec![entry(60)]).await.unwrap_err().code(), "corrupt");
    assert!(store.check().await.unwrap().iter().any(|found| found.is_damage));
    let asked = store.repair(false).await.unwrap();
    assert!(asked.losses[0].thing.ends_with(&format!("to {newest}")), "{asked:?}");
    assert_eq!(store.repair(true).await.unwrap().losses, []);
    add(&store, readable..readable + 30).await;
    assert_eq!(count(&*open(&world, 3).await).await, readable + 30);
}

#[tokio::test(start_paused = true)]
async fn a_pack_that_was_cut_or_lost_is_named_at_once_and_hides_only_what_is_in_it() {
    for cut in [Some(0), Some(10), None] {
        let world = World::new();
        let host = open(&world, 1).await;
        let large = Body::trusted(format!("\"{}\"", "y".repeat(3 << 10)));
        let (large_one, small): (RecordKey, RecordKey) = (key("large"), key("small"));
        let batch = Batch::new(Sources::default().batch_id());
        let batch = batch.put(large_one.clone(), Expect::Absent, large);
        host.commit(vec![batch.put(small.clone(), Expect::Absent, Body::trusted("1"))]).await.unwrap();
        let pack = world.names(names::PACKS).pop().unwrap();
        let bytes = cut.map(|length| world.object(&pack).unwrap().slice(..length));
        world.damage(&pack, bytes);
        let store = open(&world, 2).await;
        let begun = Instant::now();
        let error = store.get(&[large_one]).await.unwrap_err();
        assert_eq!(error.code(), "corrupt", "{}", error.chain());
        assert!(error.chain().contains(pack.as_ref()) && error.to_string().contains("test/large"), "{}", error.chain());
        assert!(begun.elapsed() < Duration::from_millis(100), "in virtual time, and not tried again");
        assert!(store.get(&[small]).await.unwrap()[0].is_some());
        add(&store, 0..30).await;
        assert_eq!(count(&store).await, 30);
    }
}

#[tokio::test(start_paused = true)]
async fn damage_in_a_log_costs_few_requests() {
    let world = World::new();
    let rules = Rules::new(Duration::from_secs(20));
    let line = Line::new(world.clone(), Rates::EXACT, 1, &rules);
    let host = line.open(rules.clone()).await.unwrap();
    for number in 0..4000 {
        host.commit(vec![entry(number)]).await.unwrap();
        if number % 50 == 0 {
            sleep(Duration::from_secs(1)).await;
        }
    }
    sleep(Duration::from_secs(1)).await;
    let chunks = host.root.fresh(|state| Ok(state.log(&key("log"))?.unwrap().chunks.to_vec())).await.unwrap();
    let chunk = chunks.iter().find(|chunk| chunk.count >= 1000 && chunk.first > 0).unwrap();
    let pack = ObjectNames::new(Path::default()).pack(&chunk.place.pack);
    let mut bytes = world.object(&pack).unwrap().to_vec();
    bytes[(chunk.place.offset + chunk.place.length / 2) as usize] ^= 1;
    world.damage(&pack, Some(bytes.into()));
    let line = Line::new(world.clone(), Rates::EXACT, 2, &rules);
    let store = Store::new(Arc::new(line.open(rules).await.unwrap()));
    let before = line.counts.all();
    let found: Vec<_> = store.read(LogQuery::oldest_first(key("log"), 256)).collect().await;
    let after = line.counts.all();
    let (whole, damaged): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.is_ok());
    assert_eq!(whole.len() as u64, 4000 - chunk.count);
    let positions: Vec<_> = damaged.iter().map(|error| error.as_ref().unwrap_err().positions().unwrap()).collect();
    assert_eq!(positions, vec![chunk.first..chunk.end()]);
    let gets = after[1] - before[1];
    println!("{gets} GET for 4,000 entries in {} chunks, one of them damaged", chunks.len());
    assert!(gets < 120, "{gets}");
}

/// A frame in 260 KB that unpacks to 8 GB and claims the length it is given.
fn bomb(says: Option<u64>) -> Bytes {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    match says {
        None => frame.extend([0x00, 0x88]),
        Some(length) => {
            frame.extend([0xc0, 0x88]);
            frame.extend(length.to_le_bytes());
        }
    }
    let blocks = 65_536_u32;
    for block in 0..blocks {
        // One byte repeated for a whole block.
        let head = u32::from(block + 1 == blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend(&head.to_le_bytes()[..3]);
        frame.push(b'x');
    }
    frame.into()
}

#[tokio::test(start_paused = true)]
async fn a_few_bytes_that_unpack_to_gigabytes_are_damage() {
    for says in [None, Some(8 << 30), Some(100)] {
        let bomb = bomb(says);
        assert!(bomb.len() < 300 << 10);
        let refused = frame::unpack(&bomb, frame::MAX_FRAME_BYTES, &"it").unwrap_err();
        assert_eq!(refused.code(), "corrupt", "{refused}");
        for folder in [names::ROOT, names::CHECKPOINTS, names::PACKS] {
            let world = World::new();
            let host = open(&world, 1).await;
            add(&host, 0..40).await;
            for path in world.names(folder) {
                world.damage(&path, Some(bomb.clone()));
            }
            let read = async { all_entries(&*try_open(&world, 2).await?, &key::<LogKey>("log")).await };
            match read.await {
                Ok(entries) => assert_eq!((folder, entries.len()), (names::CHECKPOINTS, 40), "passed by the runs"),
                Err(error) => assert_eq!(error.code(), "corrupt", "{folder}: {}", error.chain()),
            }
        }
    }
}
