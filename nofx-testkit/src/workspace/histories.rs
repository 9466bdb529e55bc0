//! Reading histories.

use futures_util::{StreamExt, TryStreamExt};
use nofx_core::Direction;
use nofx_core::entity::Role;
use nofx_core::workspace::RestoreOptions;

use super::world::{HOUR, MINUTE, World, begin, content, numbered, said, say, tail, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, ensure, ensure_eq};

pub(super) async fn a_history_is_read_in_both_directions_from_any_place(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let parent = begin(&workspace).await?.id;
    say(&workspace, &parent, 0..300).await?;
    let session = workspace.restore_session(&parent, RestoreOptions::default()).await?;
    say(&workspace, &session.id, 300..700).await?;
    for places in [0..u64::MAX, 0..700, 0..1, 299..301, 300..700, 650..u64::MAX, 0..299, 500..500, 900..1000] {
        let expected: Vec<_> = (places.start..places.end.min(700)).collect();
        let read = async |direction| -> CaseResult<Vec<u64>> {
            let entries: Vec<_> = workspace.history(&session, places.clone(), direction, None).try_collect().await?;
            for entry in &entries {
                ensure_eq!(content(&entry.message), entry.position.to_string(), "what is there");
            }
            Ok(entries.iter().map(|entry| entry.position).collect())
        };
        ensure_eq!(read(Direction::Forward).await?, expected, "places {places:?}");
        let backward: Vec<_> = expected.into_iter().rev().collect();
        ensure_eq!(read(Direction::Backward).await?, backward, "places {places:?} backwards");
    }
    Ok(())
}

pub(super) async fn only_what_is_asked_for_is_read(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..5000).await?;
    let before = counting.counts();
    let mut history = workspace.history(&session, 0..u64::MAX, Direction::Forward, None);
    ensure_eq!((counting.counts() - before).reading_calls(), 0, "calls before anything is requested");
    for _ in 0..10 {
        history.next().await.transpose()?;
    }
    let spent = counting.counts() - before;
    ensure!(spent.read_calls == 1 && spent.entries <= 256, "{} messages read for ten", spent.entries);
    say(&workspace, &session.id, 5000..5001).await?;
    let rest: Vec<_> = history.try_collect().await?;
    ensure_eq!(rest.last().map(|entry| entry.position), Some(5000), "what is added during the read is found");
    Ok(())
}

pub(super) async fn a_time_is_found_although_clocks_went_back(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    let mut expected = Vec::new();
    let border = world.now().saturating_add(HOUR);
    for n in 0..100_u64 {
        let at = border.saturating_sub(30 * MINUTE).saturating_add(MINUTE * (n * 37 % 60) as u32);
        world.clock.set(at);
        if at >= border {
            expected.push(n.to_string());
        }
        say(&workspace, &session.id, n..n + 1).await?;
    }
    let found: Vec<_> = workspace.history_since(&session, border).try_collect().await?;
    let found: Vec<_> = found.iter().map(|entry| content(&entry.message)).collect();
    ensure!(expected.len() > 10 && expected.len() < 90, "clocks went back in this case");
    ensure_eq!(found, expected, "messages of that time or later");
    Ok(())
}

pub(super) async fn the_tail_costs_one_page_of_a_long_history(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let session = begin(&workspace).await?;
    ensure_eq!(tail(&workspace, &session, 50).await?, [], "the tail of nothing");
    for length in [10_u64, 1000, 20_000] {
        let there = workspace.history_length(&session).await?;
        for some in numbered(&workspace, there..length).chunks(5000) {
            workspace.add_messages(&session.id, some.to_vec()).await?;
        }
        let before = counting.counts();
        let newest = tail(&workspace, &session, 50).await?;
        let spent = counting.counts() - before;
        ensure_eq!((spent.reading_calls(), spent.entries), (1, length.min(50)), "calls and messages of {length}");
        let newest: Vec<_> = newest.iter().map(|entry| content(&entry.message)).collect();
        ensure_eq!(newest, texts(length.saturating_sub(50)..length), "the tail of {length}");
    }
    ensure_eq!(tail(&workspace, &session, 0).await?, [], "a tail of nothing");
    ensure_eq!(tail(&workspace, &session, usize::MAX).await?.len(), 20_000, "a tail of everything");
    ensure_eq!(said(&workspace, &session).await?.len(), 20_000, "everything");
    ensure!(workspace.message(Role::User, "x").timestamp == Some(world.now()), "messages have the clock's time");
    Ok(())
}
