//! How several writers share one store over simulated distances. Figures, not claims: run it by name, with
//! `--ignored --nocapture`.

use std::sync::Arc;
use std::time::Duration;

use nofx_core::{Batch, Body, NewEntry, PersistenceBackend, Sources, Timestamp};
use tokio::time::{Instant, sleep};

use super::truth::key;
use super::world::{Dice, Line, Rates, World};
use crate::options::Rules;

/// Each writer has one message a second, at random; returns the latencies in milliseconds and the lost races.
async fn share(writers: u64, latency: u64) -> (Vec<u128>, u64) {
    let (world, rules) = (World::new(), Rules::new(Duration::from_secs(20)));
    let rates = Rates { latency, ..Rates::default() };
    let mut running = Vec::new();
    for number in 0..writers {
        let (line, rules) = (Line::new(world.clone(), rates, number, &rules), rules.clone());
        running.push(tokio::spawn(async move {
            let store = Arc::new(line.open(rules).await.unwrap());
            let (dice, begun, mut due) = (Dice::new(number + 100), Instant::now(), Duration::ZERO);
            let mut wait = || {
                // Poisson: the waits between messages are distributed exponentially.
                due += Duration::from_secs_f64(-((dice.below(1_000_000) + 1) as f64 / 1e6).ln());
                due
            };
            let mut latencies = Vec::new();
            let mut next = wait();
            while next < Duration::from_secs(60) {
                tokio::time::sleep_until(begun + next).await;
                let (mut group, mut asked) = (Vec::new(), Vec::new());
                // Messages that arrived during the last commit share the next one.
                while next <= begun.elapsed() {
                    let entry = NewEntry { at: Timestamp::from_millis(0), body: Body::trusted("\"message\"") };
                    let batch = Batch::new(Sources::default().batch_id());
                    group.push(batch.append(key(&number.to_string()), vec![entry]));
                    asked.push(next);
                    next = wait();
                }
                store.commit(group).await.unwrap();
                latencies.extend(asked.into_iter().map(|asked| (begun.elapsed() - asked).as_millis()));
            }
            (latencies, store.lost_races())
        }));
    }
    let (mut latencies, mut lost) = (Vec::new(), 0);
    for writer in running {
        let (own, races) = writer.await.unwrap();
        latencies.extend(own);
        lost += races;
    }
    sleep(Duration::from_secs(1)).await;
    latencies.sort_unstable();
    (latencies, lost)
}

#[tokio::test(start_paused = true)]
#[ignore = "figures, not claims"]
async fn writers_share_a_store() {
    for latency in [30, 80] {
        for writers in [1, 2, 4, 8] {
            let (latencies, lost) = share(writers, latency).await;
            let at = |share: usize| latencies[(latencies.len() - 1) * share / 100];
            let (rate, races) = (latencies.len() as f64 / 60.0, lost as f64 / latencies.len() as f64);
            println!(
                "{writers} writers, {latency} ms: p50 {} p99 {} ms, {rate:.1}/s, {races:.1} lost each",
                at(50),
                at(99)
            );
            assert!(latencies.len() as u64 > writers * 30);
        }
    }
}
