//! How many requests each operation costs, at several sizes, and what is left after a collection.

use std::sync::Arc;
use std::time::Duration;

use nofx_core::{
    Batch, Body, Expect, KeyQuery, Kind, LogKey, LogQuery, LogState, NewEntry, PersistenceBackend, Sources, Timestamp,
};
use tokio::time::{Instant, sleep};

use super::truth::key;
use super::world::{Line, Rates, World};
use crate::checkpoint::Log;
use crate::commit::{Commit, Follows, RunCommit};
use crate::line::{Claim, Held};
use crate::options::Rules;
use crate::roll::roll;
use crate::root::Root;
use crate::{RemoteBackend, Result};

/// This many sessions are committed; the others come with a checkpoint.
const FILLED: usize = 1000;

fn rules() -> Rules {
    Rules::new(Duration::from_secs(20))
}

fn batch() -> Batch {
    Batch::new(Sources::default().batch_id())
}

fn session(n: usize) -> Body {
    // About as compressible as what people write, and as long as a session's record.
    let noise = (1..5).map(|turn| format!("{:016x}", (n as u64 + turn).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    let preview = "lorem ipsum ".repeat(14) + &noise.collect::<String>();
    Body::trusted(format!("{{\"id\":{n},\"name\":\"session {n}\",\"preview\":\"{preview}\"}}"))
}

fn entries(count: usize) -> Vec<NewEntry> {
    let entry = |n| NewEntry {
        at: Timestamp::from_millis(n as i64),
        body: Body::trusted(format!("{{\"n\":{n},\"text\":\"{}\"}}", "said ".repeat(95))),
    };
    (0..count).map(entry).collect()
}

/// Fills a store: sessions, each with a short log, and one log of 3,000 entries that were added little by little.
pub(super) async fn fill(store: &RemoteBackend, sessions: usize) -> Result<()> {
    let numbers: Vec<_> = (0..sessions).collect();
    for some in numbers.chunks(500) {
        let batches = some.iter().map(|n| {
            let id = format!("session {n:06}");
            batch().put(key(&id), Expect::Absent, session(*n)).append(key(&id), entries(2))
        });
        store.commit(batches.collect()).await?;
    }
    for _ in 0..300 {
        store.commit(vec![batch().append(key("busy"), entries(10))]).await?;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Adds sessions through a checkpoint that contains them, as thousands of commits would have.
pub(super) async fn fill_at_once(store: &RemoteBackend, sessions: std::ops::Range<usize>) -> Result<()> {
    let Root { objects, packs, .. } = &*store.root;
    let mut state = store.root.fresh(|state| Ok(state.clone())).await?;
    assert_eq!(state.base.id, state.cited, "as is required for making a checkpoint");
    for n in sessions {
        let id = format!("session {n:06}");
        state.last_seq = Some(state.next_seq());
        let record = state.last_seq.map(|seq| (seq, Held::Here(session(n))));
        state.records.insert(key(&id), record);
        let tail: Vec<_> = entries(2).into_iter().map(|entry| (entry.at, Held::Here(entry.body))).collect();
        let claim = Claim { epoch: state.last, base: 0 };
        let last_at = tail.last().map(|(at, _)| *at);
        let log = Log { claim, state: LogState::Open, length: 2, last_at, chunks: Arc::default(), tail };
        state.logs.insert(key(&id), log);
    }
    let (number, id) = (state.last + 1, state.store);
    let before = state.run.last().map(|last| (last.number, last.nonce.clone()));
    let follows = before.map(|(number, nonce)| Follows { number, nonce, proven: number - 1 });
    let checkpoint = roll(objects, packs, state).await?.base.id.clone();
    let own = RunCommit::new(number, "filled".to_owned(), "filler".to_owned(), [], std::iter::empty());
    let commit = Commit { store: id, checkpoint, run: vec![Arc::new(own)], follows, tag: None, made: 0 };
    objects.create_own(&objects.names.commit(number), commit.encode()?).await
}

/// Returns this thread's processor time, where it can be known.
fn on_processor() -> Option<Duration> {
    // The kernel updates the account when it switches threads.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
}

/// Makes small commits until the run is short.
pub(super) async fn settle(store: &RemoteBackend, world: &World) -> Result<()> {
    loop {
        store.commit(vec![batch().append(key("busy"), entries(1))]).await?;
        sleep(Duration::from_secs(1)).await;
        let newest = world.newest();
        let object = world.commits.lock().unwrap()[&newest].clone();
        let run = Commit::decode(&object, newest, "the newest")?.run;
        if run.len() < 10 && run.iter().map(|one| one.text.len()).sum::<usize>() < 16 << 10 {
            return Ok(());
        }
    }
}

/// Runs something and returns its result, its PUTs, GETs and LISTs, and how many of those were sequential.
async fn cost<T>(line: &Line, work: impl Future<Output = Result<T>>) -> (T, [usize; 3], u128) {
    let (before, begun) = (line.counts.all(), Instant::now());
    let answer = work.await.unwrap();
    let after = line.counts.all();
    ((answer), [0, 1, 2].map(|at| after[at] - before[at]), begun.elapsed().as_millis() / 10)
}

async fn measure(sessions: usize) {
    let (world, rules) = (World::new(), rules());
    let filler = Line::new(world.clone(), Rates::EXACT, 1, &rules);
    let filling = filler.open(rules.clone()).await.unwrap();
    fill(&filling, sessions.min(FILLED)).await.unwrap();
    settle(&filling, &world).await.unwrap();
    if sessions > FILLED {
        fill_at_once(&filling, FILLED..sessions).await.unwrap();
    }

    let line = Line::new(world.clone(), Rates::EXACT, 2, &rules);
    let mut opened = None;
    let mut took = Duration::MAX;
    // Other processes take their share of the caches, so the fastest run counts.
    for _ in 0..3 {
        let before = on_processor();
        let (store, requests, trips) = cost(&line, line.open(rules.clone())).await;
        took = took.min(on_processor().zip(before).map(|(now, before)| now - before).unwrap_or_default());
        println!("{sessions} sessions: open {requests:?} in {trips} trips and {took:?} of a processor");
        assert!(requests.iter().sum::<usize>() <= 5 && trips <= 3, "{requests:?}");
        opened = Some(store);
    }
    assert!(took < Duration::from_millis(150), "{took:?}");
    let store = opened.unwrap();

    let page = KeyQuery::of(Kind::of("test"), 50).backward();
    for state in ["cold", "warm"] {
        let (found, requests, trips) = cost(&line, store.scan(&page)).await;
        println!("{sessions} sessions: first page {state} {requests:?} in {trips} trips");
        assert_eq!(found.items.len(), 50.min(sessions));
        assert!(requests.iter().sum::<usize>() <= 2 && trips <= 2, "{requests:?}");
    }

    for state in ["cold", "warm"] {
        let last = LogQuery::newest_first(key("busy"), 1000);
        let (found, requests, trips) = cost(&line, store.read(&last)).await;
        println!("{sessions} sessions: last 1,000 {state} {requests:?} in {trips} trips");
        assert_eq!(found.items.len(), 1000);
        assert!(trips <= 3, "{trips} trips, {requests:?}");
    }

    // The first commit after opening learns which batches are remembered.
    let (_, requests, trips) = cost(&line, store.commit(vec![batch().append(key("own"), entries(1))])).await;
    println!("{sessions} sessions: first append {requests:?} in {trips} trips");
    assert!(requests[0] == 1 && requests[1] <= 16 && trips <= 2, "{requests:?} in {trips} trips");
    for waiting in [1, 16, 256] {
        let group = (0..waiting).map(|_| batch().append(key("own"), entries(1))).collect();
        let (_, requests, trips) = cost(&line, store.commit(group)).await;
        println!("{sessions} sessions: append of {waiting} {requests:?} in {trips} trips");
        // Further fetches are for a checkpoint that 256 messages trigger; no caller waits for them.
        let gets = if waiting == 256 { requests[1] } else { 2 };
        assert_eq!((requests, trips), ([1, gets, 0], 1), "{waiting} waiting");
    }

    // Another writer made four commits.
    let (_, requests, trips) = cost(&filler, filling.scan(&page)).await;
    println!("{sessions} sessions: first page after four commits of another {requests:?} in {trips} trips");
    assert!(trips <= 3 && requests[2] == 0, "{requests:?} in {trips} trips");
    let (_, requests, trips) = cost(&filler, filling.scan(&page)).await;
    assert_eq!((requests, trips), ([0, 5, 0], 1), "nothing new, while others write");
    sleep(Duration::from_secs(5)).await;
    let (_, requests, trips) = cost(&filler, filling.scan(&page)).await;
    assert_eq!((requests, trips), ([0, 1, 0], 1), "nothing new");

    settle(&store, &world).await.unwrap();
    // Objects in flight are settled three hours before the grace period begins.
    sleep(Duration::from_secs(28 * 3600)).await;
    store.commit(vec![batch().append(key("own"), entries(1))]).await.unwrap();
    let collected = store.collect().await.unwrap();
    let (objects, bytes) = world.size();
    let all: Vec<_> =
        ["root", "checkpoints", "packs", "probes"].iter().flat_map(|folder| world.names(folder)).collect();
    assert_eq!((collected.kept, collected.bytes), (objects, bytes), "{all:?}");
    let live = live_bytes(&store, &world).await.unwrap();
    println!("{sessions} sessions: {objects} objects, {bytes} bytes, {live} alive");
    assert!(objects as u64 <= 50 + live / (8 << 20), "{objects} objects for {live} live bytes");
    assert!(bytes * 10 <= live * 13, "{bytes} bytes for {live} live ones");
    let again = line.open(rules).await.unwrap();
    let log: LogKey = key("busy");
    let length = again.heads(std::slice::from_ref(&log)).await.unwrap()[0].length;
    let all = again.read(&LogQuery::oldest_first(log, 10_000)).await.unwrap();
    assert_eq!(all.items.len() as u64, length, "everything is there");
}

/// Returns the bytes that the newest state needs.
async fn live_bytes(store: &RemoteBackend, world: &World) -> Result<u64> {
    let (places, checkpoint) = store
        .root
        .fresh(|state| {
            let places = crate::roll::places(state, &state.base.feed)?;
            let id = state.cited.clone().map(|id| store.root.objects.names.checkpoint(id.number, &id.nonce));
            Ok((places.values().flatten().map(|place| place.length).sum::<u64>(), id))
        })
        .await?;
    let checkpoint = match checkpoint {
        Some(path) => store.root.objects.get(&path).await?.map_or(0, |object| object.len() as u64),
        None => 0,
    };
    let commit = world.commits.lock().unwrap().last_key_value().map_or(0, |(_, object)| object.len() as u64);
    Ok(places + checkpoint + commit)
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded_with_10_sessions() {
    measure(10).await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded_with_1_000_sessions() {
    measure(1000).await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded_with_100_000_sessions() {
    measure(100_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_the_largest_size_does_not_follow_for_long() {
    let (world, rules) = (World::new(), rules());
    let line = Line::new(world.clone(), Rates::EXACT, 1, &rules);
    let store: Arc<dyn PersistenceBackend> = Arc::new(line.open(rules).await.unwrap());
    let many = (0..1000).map(|n| NewEntry {
        at: Timestamp::from_millis(n),
        body: Body::trusted(format!("\"{}\"", "y".repeat(15_000))),
    });
    store.commit(vec![batch().append(key("large"), many.collect())]).await.unwrap();
    store.commit(vec![batch().append(key("large"), entries(1))]).await.unwrap();
    let newest = world.newest();
    let object = world.commits.lock().unwrap()[&newest].clone();
    let commit = Commit::decode(&object, newest, "the newest").unwrap();
    assert_eq!(commit.run.len(), 1, "a checkpoint was made first, so the large commit is not carried along");
}
