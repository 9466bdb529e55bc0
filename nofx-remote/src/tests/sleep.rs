//! A writer that sleeps through a collection.

use std::sync::Arc;
use std::time::Duration;

use nofx_core::{Batch, Body, Expect, LogKey, NewEntry, PersistenceBackend, Sources, Timestamp};
use tokio::time::sleep;

use super::truth::{all_entries, all_records, key};
use super::world::{Line, Rates, World};
use crate::options::Rules;

const HOUR: Duration = Duration::from_secs(3600);

fn batch(n: i64) -> Batch {
    let entry =
        NewEntry { at: Timestamp::from_millis(n), body: Body::trusted(format!("\"{n} {}\"", "z".repeat(3000))) };
    let batch = Batch::new(Sources::default().batch_id());
    batch.append(key("log"), vec![entry]).put(key("record"), Expect::Any, Body::trusted(n.to_string()))
}

/// Longer than any test sleeps.
pub(super) const FOR_EVER: Duration = Duration::from_secs(1 << 32);

fn rules() -> Rules {
    Rules::new(Duration::from_secs(20))
}

/// One handle sleeps for two days while another writes and collects; then it reads or writes. Returns what is wrong.
async fn sleep_through(reads_first: bool, rules: Rules) -> Vec<String> {
    let (world, log) = (World::new(), key::<LogKey>("log"));
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
        assert_eq!(sleep_through(reads_first, rules()).await, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_rule_for_stale_handles_something_is_lost() {
    assert_ne!(sleep_through(false, Rules { stale: FOR_EVER, ..rules() }).await, Vec::<String>::new());
}

/// A commit whose outcome is unknown, before and after a long sleep. Returns what is wrong.
///
/// Any writer may have taken its number by then. Offering it with other bytes too early would make two commits with
/// one number.
async fn sleep_on_an_unclear_commit(
    fault: Rates,
    before: Duration,
    after: Duration,
    others_write: bool,
) -> Vec<String> {
    let (world, log, rules) = (World::new(), key::<LogKey>("log"), rules());
    let line = Line::new(world.clone(), Rates::EXACT, 1, &rules);
    let sleeper = line.open(rules.clone()).await.unwrap();
    sleeper.commit(vec![batch(0)]).await.unwrap();
    sleep(before).await;
    line.becomes(fault);
    let unclear = batch(1);
    assert_eq!(sleeper.commit(vec![unclear.clone()]).await.unwrap_err().code(), "unknown");
    line.becomes(Rates::EXACT);
    let busy = Line::new(world.clone(), Rates::EXACT, 2, &rules).open(rules.clone()).await.unwrap();
    let written = if others_write { 200 } else { 0 };
    for n in 0..written {
        busy.commit(vec![batch(100 + n)]).await.unwrap();
        sleep(HOUR / 4).await;
    }
    busy.collect().await.unwrap();
    sleep(after).await;
    sleeper.commit(vec![batch(2)]).await.unwrap();
    let again = sleeper.commit(vec![unclear.clone()]).await.unwrap().pop().unwrap().committed().unwrap();
    let entries = all_entries(&sleeper, &log).await.unwrap();
    let own = entries.iter().filter(|entry| entry.body == unclear.appends[0].entries[0].body);
    let mut problems = world.violations.lock().unwrap().clone();
    if !own.map(|entry| entry.position).eq([again.appended[0].start]) || entries.len() as i64 != 3 + written {
        problems.push(format!("told {again:?}, found {} entries", entries.len()));
    }
    problems
}

#[tokio::test(start_paused = true)]
async fn a_commit_left_unclear_by_a_sleeper_happens_once_and_under_one_number() {
    let nothing_arrives = Rates { before: 1000, ..Rates::EXACT };
    let nothing_is_answered = Rates { after: 1000, ..Rates::EXACT };
    let (none, almost) = (Duration::ZERO, HOUR - Duration::from_secs(10));
    for fault in [nothing_arrives, nothing_is_answered] {
        for (before, after, others_write) in [(almost, none, false), (none, 2 * HOUR, false), (none, none, true)] {
            let problems = sleep_on_an_unclear_commit(fault, before, after, others_write).await;
            assert_eq!(problems, Vec::<String>::new(), "{fault:?}, {before:?} before, {after:?} after");
        }
    }
}
