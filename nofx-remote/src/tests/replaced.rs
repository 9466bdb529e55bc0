//! Stores that are moved, removed, or replaced by a copy or by another store while a host has them open.

use std::sync::Arc;
use std::time::Duration;

use nofx_core::{Batch, Body, LogKey, NewEntry, PersistenceBackend, Sources, Timestamp};
use object_store::path::Path;
use tokio::time::sleep;

use super::truth::{all_entries, key};
use super::world::{Copy, Line, Rates, World};
use crate::RemoteBackend;
use crate::names::ObjectNames;
use crate::options::Rules;

fn rules() -> Rules {
    Rules::new(Duration::from_secs(20))
}

async fn open(world: &Arc<World>, seed: u64) -> Arc<RemoteBackend> {
    Arc::new(Line::new(world.clone(), Rates::EXACT, seed, &rules()).open(rules()).await.unwrap())
}

fn says(text: &str) -> Batch {
    let entry = NewEntry { at: Timestamp::from_millis(0), body: Body::trusted(format!("\"{text}\"")) };
    Batch::new(Sources::default().batch_id()).append(key("log"), vec![entry])
}

/// Adds entries, one for each commit.
async fn add(store: &RemoteBackend, texts: impl IntoIterator<Item = String>) {
    for text in texts {
        store.commit(vec![says(&text)]).await.unwrap();
    }
}

fn numbered(name: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("{name} {number}")).collect()
}

async fn texts(store: &RemoteBackend) -> Vec<String> {
    let entries = all_entries(store, &key::<LogKey>("log")).await.unwrap();
    entries.iter().map(|entry| entry.body.as_str().trim_matches('"').to_owned()).collect()
}

/// A host writes 10 entries, of which a copy made earlier has 6; returns the host and the copy.
async fn host_and_copy(world: &Arc<World>) -> (Arc<RemoteBackend>, Copy) {
    let host = open(world, 1).await;
    add(&host, numbered("host", 0..6)).await;
    let copy = world.copied();
    add(&host, numbered("host", 6..10)).await;
    (host, copy)
}

/// Requires that a host refuses to write, and then everything else.
async fn has_ended(host: &RemoteBackend, code: &str) {
    let refused = host.commit(vec![says("refused")]).await.unwrap_err();
    assert_eq!(refused.code(), code, "{refused}");
    assert_eq!(host.commit(vec![says("refused")]).await.unwrap_err().code(), code);
    assert_eq!(all_entries(host, &key::<LogKey>("log")).await.unwrap_err().code(), code);
}

#[tokio::test(start_paused = true)]
async fn a_host_acknowledges_nothing_once_an_older_copy_stands_there() {
    let world = World::new();
    let (host, copy) = host_and_copy(&world).await;
    let other_host = open(&world, 2).await;
    assert_eq!(texts(&other_host).await.len(), 10);
    world.becomes(&copy);
    has_ended(&host, "replaced").await;
    // Another handle that knew the store before sees what it put, and ends too.
    has_ended(&other_host, "replaced").await;
    // The copy opens, has everything that it had, and continues beyond the number that was refused.
    let restored = open(&world, 3).await;
    assert_eq!(texts(&restored).await, numbered("host", 0..6));
    assert!(!world.strays.lock().unwrap().is_empty(), "something was put and refused");
    let follower = open(&world, 4).await;
    for number in 0..8 {
        add(&restored, numbered("restored", number..number + 1)).await;
        let expected = [numbered("host", 0..6), numbered("restored", 0..number + 1)].concat();
        assert_eq!(texts(&follower).await, expected, "following");
        assert_eq!(texts(&*open(&world, 10 + number).await).await, expected, "opening");
    }
    add(&follower, ["follower".to_owned()]).await;
    let expected = [numbered("host", 0..6), numbered("restored", 0..8), vec!["follower".to_owned()]].concat();
    assert_eq!(texts(&restored).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_host_acknowledges_nothing_once_the_store_is_gone() {
    let world = World::new();
    let (host, copy) = host_and_copy(&world).await;
    world.becomes(&Copy::default());
    has_ended(&host, "gone").await;
    // What it put there does not make a store, so another can be created, and continues beyond it.
    let another = open(&world, 2).await;
    add(&another, numbered("another", 0..15)).await;
    assert_eq!(texts(&*open(&world, 3).await).await, numbered("another", 0..15));
    // And anything that is put back opens as it was.
    world.becomes(&copy);
    has_ended(&another, "replaced").await;
    assert_eq!(texts(&*open(&world, 4).await).await, numbered("host", 0..6));
}

#[tokio::test(start_paused = true)]
async fn a_host_acknowledges_nothing_once_another_store_stands_there() {
    for others in [3, 10, 30] {
        let world = World::new();
        let (host, _) = host_and_copy(&world).await;
        world.becomes(&Copy::default());
        let other = open(&world, 2).await;
        add(&other, numbered("other", 0..others)).await;
        has_ended(&host, "replaced").await;
        add(&other, numbered("other", others..others + 10)).await;
        assert_eq!(texts(&*open(&world, 3).await).await, numbered("other", 0..others + 10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_others_took_further_than_the_host_replaces_its_store_too() {
    // With as many commits as the host knew, with one fewer, and with more.
    for ahead in [3, 4, 5, 30] {
        for reads_first in [false, true] {
            let world = World::new();
            let (host, copy) = host_and_copy(&world).await;
            world.becomes(&copy);
            let restored = open(&world, 2).await;
            add(&restored, numbered("restored", 0..ahead)).await;
            if reads_first {
                // It may answer from before the replacement, but never with a mixture.
                if let Ok(entries) = all_entries(&*host, &key::<LogKey>("log")).await {
                    assert_eq!(entries.len(), 10);
                }
            }
            has_ended(&host, "replaced").await;
            add(&restored, numbered("restored", ahead..ahead + 3)).await;
            let expected = [numbered("host", 0..6), numbered("restored", 0..ahead + 3)].concat();
            assert_eq!(texts(&*open(&world, 3).await).await, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_idle_for_hours_does_not_follow_to_a_copy_either() {
    for (ahead, hours) in [(0, 2), (10, 2), (0, 14), (10, 14)] {
        let world = World::new();
        let (host, copy) = host_and_copy(&world).await;
        world.becomes(&copy);
        let restored = open(&world, 2).await;
        add(&restored, numbered("restored", 0..ahead)).await;
        sleep(Duration::from_secs(hours * 3600)).await;
        has_ended(&host, "replaced").await;
        assert_eq!(texts(&restored).await.len() as u64, 6 + ahead);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_with_other_times_of_what_a_collection_left_is_the_whole_store() {
    for idle_host_commits in [true, false] {
        let world = World::new();
        let host = open(&world, 1).await;
        add(&host, numbered("host", 0..6)).await;
        sleep(Duration::from_secs(30 * 3600)).await;
        let next = if idle_host_commits { host } else { open(&world, 2).await };
        add(&next, numbered("host", 6..7)).await;
        assert!(next.collect().await.unwrap().deleted > 0);
        assert_eq!(world.names("root").len(), 3, "the first, and two above what was deleted");
        let copy = world.copied().restored(&world);
        world.becomes(&copy);
        let restored = open(&world, 3).await;
        assert_eq!(texts(&restored).await, numbered("host", 0..7));
        add(&restored, numbered("host", 7..8)).await;
        assert_eq!(texts(&*open(&world, 4).await).await, numbered("host", 0..8));
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_only_read_for_a_day_goes_on_after_a_collection_of_another() {
    let world = World::new();
    let host = open(&world, 1).await;
    add(&host, numbered("host", 0..6)).await;
    for _ in 0..40 {
        sleep(Duration::from_secs(45 * 60)).await;
        assert_eq!(texts(&host).await.len(), 6);
    }
    let other = open(&world, 2).await;
    add(&other, ["other".to_owned()]).await;
    assert!(other.collect().await.unwrap().deleted > 0);
    add(&host, ["host 6".to_owned()]).await;
    assert_eq!(texts(&*open(&world, 3).await).await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_commit_behind_what_was_passed_is_acknowledged_only_while_that_is_there() {
    let world = World::new();
    let (host, copy) = host_and_copy(&world).await;
    world.becomes(&copy);
    has_ended(&host, "replaced").await;
    let stray = *world.strays.lock().unwrap().last().unwrap();
    let restored = open(&world, 2).await;
    add(&restored, numbered("restored", 0..4)).await;
    assert_eq!(world.newest() + 1, stray);
    assert_eq!(texts(&restored).await.len(), 10);
    // A copy from before it was put; its number is free, so another writer could create it.
    world.damage(&ObjectNames::new(Path::default()).commit(stray), None);
    has_ended(&restored, "replaced").await;
    let expected = [numbered("host", 0..6), numbered("restored", 0..4)].concat();
    assert_eq!(texts(&*open(&world, 3).await).await, expected);
}

#[tokio::test(start_paused = true)]
async fn the_same_objects_at_the_same_place_are_the_same_store_whatever_their_tags() {
    let world = World::new();
    let (host, _) = host_and_copy(&world).await;
    let copy = world.copied();
    world.becomes(&copy);
    add(&host, numbered("host", 10..12)).await;
    assert_eq!(texts(&*open(&world, 2).await).await, numbered("host", 0..12));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_predecessor_could_not_be_looked_at_is_of_unknown_outcome_and_then_settled() {
    let world = World::new();
    let line = Line::new(world.clone(), Rates::EXACT, 1, &rules());
    let host = line.open(rules()).await.unwrap();
    add(&host, numbered("host", 0..3)).await;
    line.becomes(Rates { no_gets: true, ..Rates::EXACT });
    let batch = says("host 3");
    assert_eq!(host.commit(vec![batch.clone()]).await.unwrap_err().code(), "unknown");
    line.becomes(Rates::EXACT);
    assert!(host.commit(vec![batch]).await.is_ok());
    assert_eq!(texts(&host).await, numbered("host", 0..4));
}

#[tokio::test(start_paused = true)]
async fn a_collection_deletes_nothing_of_a_store_that_another_host_restored() {
    let world = World::new();
    let (host, copy) = host_and_copy(&world).await;
    world.becomes(&copy);
    let before = world.size();
    assert_eq!(host.collect().await.unwrap_err().code(), "replaced");
    assert_eq!(world.size(), before);
}

#[tokio::test(start_paused = true)]
async fn a_run_names_the_commit_before_so_that_what_follows_it_is_known() {
    let (world, rules) = (World::new(), Rules { roll_at: 2 << 10, roll_first: 8 << 10, ..rules() });
    let host = Line::new(world.clone(), Rates::EXACT, 1, &rules).open(rules.clone()).await.unwrap();
    let long = "x".repeat(300);
    for number in 0..100 {
        host.commit(vec![says(&format!("{long} {number}"))]).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    let mut checkpoints = std::collections::BTreeSet::new();
    for (number, object) in &*world.commits.lock().unwrap() {
        let commit = crate::commit::Commit::decode(object, *number, "a commit").unwrap();
        checkpoints.extend(commit.checkpoint.as_ref().map(|checkpoint| checkpoint.number));
        assert!(*number == 1 || commit.nonce_of(number - 1).is_some(), "commit {number}");
    }
    assert!(checkpoints.len() > 3, "{checkpoints:?}");
}
