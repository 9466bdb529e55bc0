//! How many bytes are sent over a store's life.

use std::time::Duration;

use nofx_core::{Batch, Body, NewEntry, PersistenceBackend, Sources, Timestamp};
use tokio::time::sleep;

use super::requests::{fill, fill_at_once, settle};
use super::truth::key;
use super::world::{Line, Rates, World};
use crate::names;
use crate::options::Rules;

/// Adds a number of messages of a given size to a store with a number of sessions, in groups of one commit each, and
/// checks what was sent.
async fn messages(sessions: usize, groups: usize, group: usize, length: usize) {
    let (world, rules) = (World::new(), Rules::new(Duration::from_secs(20)));
    let store = Line::new(world.clone(), Rates::EXACT, 1, &rules).open(rules.clone()).await.unwrap();
    fill(&store, sessions.min(1000)).await.unwrap();
    settle(&store, &world).await.unwrap();
    if sessions > 1000 {
        fill_at_once(&store, 1000..sessions).await.unwrap();
        settle(&store, &world).await.unwrap();
    }
    let sent = |folder: &str| world.put.lock().unwrap().get(folder).copied().unwrap_or(0);
    let before = [names::ROOT, names::CHECKPOINTS, names::PACKS].map(sent);
    let mut own = 0;
    for number in 0..groups {
        let batch = |at: usize| {
            // About as compressible as what people write.
            let noise = (0..length / 64).map(|turn| {
                format!("{:016x}", ((number * group + at) * 997 + turn) as u64).repeat(2) + &"said word ".repeat(3)
            });
            let body = Body::trusted(format!("\"{}\"", noise.collect::<String>()));
            let entry = NewEntry { at: Timestamp::from_millis(0), body };
            Batch::new(Sources::default().batch_id()).append(key("busy"), vec![entry])
        };
        let batches: Vec<_> = (0..group).map(batch).collect();
        own += batches.iter().map(|batch| batch.appends[0].entries[0].body.len() as u64 + 100).sum::<u64>();
        store.commit(batches).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    let after = [names::ROOT, names::CHECKPOINTS, names::PACKS].map(sent);
    let [commits, checkpoints, packs] = [0, 1, 2].map(|at| after[at] - before[at]);
    println!(
        "{sessions} sessions, {groups} x {group} messages of {length}: {own} bytes of text, sent {commits} in commits, {checkpoints} \
         in checkpoints, {packs} in packs"
    );
    let largest = world.names(names::CHECKPOINTS).iter().map(|path| world.object(path).unwrap().len() as u64).max();
    assert!(checkpoints <= commits + 2 * largest.unwrap_or(0), "checkpoints cost no more than runs");
    assert!(
        commits + checkpoints + packs <= 4 * commits + 2 * largest.unwrap_or(0),
        "and all no more than four times that"
    );
}

#[tokio::test(start_paused = true)]
async fn checkpoints_cost_no_more_than_what_is_committed_with_10_sessions() {
    messages(10, 600, 1, 500).await;
    messages(10, 100, 16, 500).await;
}

#[tokio::test(start_paused = true)]
async fn checkpoints_cost_no_more_than_what_is_committed_with_1_000_sessions() {
    messages(1000, 600, 1, 500).await;
    messages(1000, 100, 16, 2000).await;
}

#[tokio::test(start_paused = true)]
async fn checkpoints_cost_no_more_than_what_is_committed_with_30_000_sessions() {
    messages(30_000, 300, 16, 2000).await;
}
