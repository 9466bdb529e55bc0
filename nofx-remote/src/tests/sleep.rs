//! A writer that sleeps through a collection.

use std::sync::Arc;
use std::time::Duration;

use nofx_core::{Batch, Body, Expect, LogKey, NewEntry, PersistenceBackend, Sources, Timestamp};
use tokio::time::sleep;

use super::truth::{all_entries, all_records, key};
use super::world::{Line, Rates, World};
use crate::options::{Planted, Rules};

const HOUR: Duration = Duration::from_secs(3600);

fn batch(n: i64) -> Batch {
    let entry =
        NewEntry { at: Timestamp::from_millis(n), body: Body::trusted(format!("\"{n} {}\"", "z".repeat(3000))) };
    let batch = Batch::new(Sources::default().batch_id());
    batch.append(key("log"), vec![entry]).put(key("record"), Expect::Any, Body::trusted(n.to_string()))
}

/// One handle sleeps for two days while another writes and collects; then it reads or writes. Returns what is wrong.
async fn sleep_through(reads_first: bool, planted: Option<Planted>) -> Vec<String> {
    let (world, log) = (World::new(), key::<LogKey>("log"));
    let rules = Rules { planted, ..Rules::new(Duration::from_secs(20)) };
    let line = |seed| Line::new(world.clone(), Rates::EXACT, seed, &rules);
    let sleeper = line(1).open(rules.clone()).await.unwrap();
    let busy = line(2).open(rules.clone()).await.unwrap();
    sleeper.commit(vec![batch(0)]).await.unwrap();
    for n in 1..200 {
        busy.commit(vec![batch(n)]).await.unwrap();
        sleep(HOUR / 4).await;
    }
    let collected = busy.collect().await.unwrap();
    let mut problems = Vec::new();
    if reads_first && all_entries(&sleeper, &log).await.map_or(0, |entries| entries.len()) != 200 {
        problems.push("the sleeper does not see what was written".to_owned());
    }
    match sleeper.commit(vec![batch(200)]).await {
        Ok(outcomes) => {
            let committed = outcomes[0].clone().committed().unwrap();
            if (committed.seq.unwrap().get(), committed.appended[0].start) != (201, 200) {
                problems.push(format!("the sleeper was told {committed:?}"));
            }
        }
        Err(error) => problems.push(error.to_string()),
    }
    let fresh: Arc<dyn PersistenceBackend> = Arc::new(line(3).open(rules.clone()).await.unwrap());
    let (entries, records) = (all_entries(&*fresh, &log).await.unwrap(), all_records(&*fresh).await.unwrap());
    if entries.len() != 201 || records[0].body.as_str() != "200" {
        problems.push(format!("{} entries, the record {:?}", entries.len(), records[0].body));
    }
    problems.extend(world.violations.lock().unwrap().clone());
    assert!(collected.deleted + collected.kept > 0);
    assert!(world.newest() >= 200 && world.size().0 < 200, "much was deleted: {collected:?}, {:?} left", world.size());
    problems
}

#[tokio::test(start_paused = true)]
async fn a_writer_sleeps_through_a_collection_wakes_and_commits() {
    for reads_first in [false, true] {
        assert_eq!(sleep_through(reads_first, None).await, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_rule_for_stale_handles_something_is_lost() {
    assert_ne!(sleep_through(false, Some(Planted::NeverStale)).await, Vec::<String>::new());
}
