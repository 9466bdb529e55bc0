//! Messages between agents.

use futures_util::{StreamExt, TryStreamExt};
use nofx_core::entity::OrchestrationMessage;
use nofx_core::kind::ORCHESTRATION;
use nofx_core::workspace::{OrchestrationFilter, OrchestrationPlace, SEGMENT_MESSAGES, Workspace};
use nofx_core::{LogHead, LogScan, LogState};

use super::world::{HOUR, MINUTE, World, refused};
use crate::subject::Subject;
use crate::unmet::{CaseResult, ensure, ensure_eq};

/// A message with a number for its id.
fn message(world: &World, n: u64, kind: &str) -> OrchestrationMessage {
    let mut message = OrchestrationMessage::new(n.to_string(), world.now(), kind);
    message.from = Some("conductor".into());
    message.to = Some(format!("agent-{}", n % 5).into());
    message
}

/// Saves messages with these numbers, many at a time.
async fn save(world: &World, workspace: &Workspace, numbers: std::ops::Range<u64>) -> CaseResult {
    let all: Vec<_> = numbers.map(|n| message(world, n, "status")).collect();
    for some in all.chunks(2500) {
        workspace.save_orchestrations(some.to_vec()).await?;
    }
    Ok(())
}

fn numbers(messages: &[OrchestrationMessage]) -> Vec<u64> {
    let number = |message: &OrchestrationMessage| message.id.as_ref()?.to_string().parse().ok();
    messages.iter().filter_map(number).collect()
}

async fn found(workspace: &Workspace, filter: OrchestrationFilter) -> CaseResult<Vec<u64>> {
    let found: Vec<_> = workspace.orchestration_history(filter).await?.try_collect().await?;
    Ok(numbers(&found))
}

async fn segments(workspace: &Workspace) -> CaseResult<Vec<LogHead>> {
    Ok(workspace.store().backend().logs(&LogScan::of(ORCHESTRATION, 1000)).await?.items)
}

/// Returns messages between agents, newest first; all must be readable.
async fn loaded(workspace: &Workspace, offset: u64, limit: usize) -> CaseResult<Vec<OrchestrationMessage>> {
    let loaded = workspace.load_orchestration(offset, limit).await?;
    Ok(loaded.into_iter().collect::<nofx_core::Result<_>>()?)
}

pub(super) async fn messages_between_agents_keep_their_order(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    ensure_eq!(loaded(&workspace, 0, 100).await?, [], "none yet");
    for n in 0..300 {
        if n == 100 {
            world.clock.set(world.now().saturating_sub(HOUR));
        }
        workspace.save_orchestration(message(&world, n, "status")).await?;
    }
    let oldest_first = OrchestrationFilter { oldest_first: true, ..OrchestrationFilter::default() };
    ensure_eq!(found(&workspace, oldest_first).await?, (0..300).collect::<Vec<_>>(), "in the order of arrival");
    let newest = numbers(&loaded(&world.open().await?, 0, 100).await?);
    ensure_eq!(newest, (200..300).rev().collect::<Vec<_>>(), "the newest hundred, newest first");
    let later = numbers(&loaded(&workspace, 250, 100).await?);
    ensure_eq!(later, (0..50).rev().collect::<Vec<_>>(), "what is left after 250");
    Ok(())
}

pub(super) async fn a_rare_message_is_found_however_far_back(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    workspace.save_orchestration(message(&world, 1_000_000, "rare")).await?;
    save(&world, &workspace, 0..25_000).await?;
    let rare = OrchestrationFilter { kind: Some("rare".into()), ..OrchestrationFilter::default() };
    ensure_eq!(found(&workspace, rare).await?, [1_000_000], "after 25,000 others");
    let before = counting.counts();
    let any = workspace.orchestration_history(OrchestrationFilter::default()).await?;
    let ten: Vec<_> = any.take(10).try_collect().await?;
    ensure_eq!(numbers(&ten).len(), 10, "the newest ten");
    ensure!((counting.counts() - before).entries <= 256, "only as many are read as are requested");
    let before = counting.counts();
    ensure_eq!(numbers(&loaded(&workspace, 24_990, 5).await?), [9, 8, 7, 6, 5], "far back by an offset");
    ensure!((counting.counts() - before).entries <= 256, "what is left out is not read");
    Ok(())
}

pub(super) async fn every_filter_of_messages_between_agents_works(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let begun = world.now();
    for n in 0..20 {
        let mut one = message(&world, n, if n % 2 == 0 { "even" } else { "odd" });
        if n == 13 {
            one.from = Some("agent-3".into());
            one.to = Some("conductor".into());
        }
        workspace.save_orchestration(one).await?;
        world.clock.advance(MINUTE);
    }
    let at = |minutes: u32| Some(begun.saturating_add(minutes * MINUTE));
    let any = OrchestrationFilter::default;
    for (what, filter, expected) in [
        ("to or from", OrchestrationFilter { participant: Some("agent-3".into()), ..any() }, vec![18, 13, 8, 3]),
        ("of a type", OrchestrationFilter { kind: Some("odd".into()), since: at(15), ..any() }, vec![19, 17, 15]),
        ("between times", OrchestrationFilter { since: at(5), until: at(8), ..any() }, vec![7, 6, 5]),
        ("before the beginning", OrchestrationFilter { until: at(0), ..any() }, vec![]),
        (
            "oldest first",
            OrchestrationFilter { participant: Some("agent-3".into()), oldest_first: true, ..any() },
            vec![3, 8, 13, 18],
        ),
    ] {
        ensure_eq!(found(&workspace, filter).await?, expected, "messages {what}");
    }
    Ok(())
}

/// Reads page after page, and does something between pages; returns what was read, and the lengths of the
/// pages.
async fn paged(
    workspace: &Workspace,
    filter: &OrchestrationFilter,
    limit: usize,
    between: &mut (dyn FnMut() -> Vec<OrchestrationMessage> + Send),
) -> CaseResult<(Vec<u64>, Vec<usize>)> {
    let (mut read, mut lengths, mut from) = (Vec::new(), Vec::new(), None::<OrchestrationPlace>);
    loop {
        let page = workspace.orchestration_page(filter, from, limit).await?;
        let messages = page.items.into_iter().collect::<nofx_core::Result<Vec<_>>>()?;
        lengths.push(messages.len());
        read.extend(numbers(&messages));
        let Some(next) = page.next else { return Ok((read, lengths)) };
        // Between pages it is kept as text.
        from = Some(next.to_string().parse()?);
        let added = between();
        if !added.is_empty() {
            workspace.save_orchestrations(added).await?;
        }
    }
}

pub(super) async fn pages_of_messages_between_agents_hold_each_once(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let newest_first = OrchestrationFilter::default();
    ensure_eq!(paged(&workspace, &newest_first, 10, &mut Vec::new).await?, (vec![], vec![0]), "none yet");
    let all = SEGMENT_MESSAGES + 500;
    save(&world, &workspace, 0..all).await?;
    let oldest_first = OrchestrationFilter { oldest_first: true, ..newest_first.clone() };
    let mut later = all..;
    let mut add = || later.next().map(|n| message(&world, n, "status")).into_iter().collect();
    let (read, lengths) = paged(&workspace, &newest_first, 700, &mut add).await?;
    ensure_eq!(read, (0..all).rev().collect::<Vec<_>>(), "each once, without what came later");
    ensure!(lengths.iter().all(|length| *length <= 700), "pages of {lengths:?}");
    let (read, _) = paged(&workspace, &oldest_first, 1000, &mut Vec::new).await?;
    ensure_eq!(read.len() as u64, all + 15, "with what came later");
    ensure!(read.is_sorted(), "in the order of arrival");

    let rare = OrchestrationFilter { kind: Some("rare".into()), ..newest_first.clone() };
    let (read, lengths) = paged(&workspace, &rare, 10, &mut Vec::new).await?;
    ensure_eq!((read, lengths), (vec![], vec![0, 0]), "a page looks at ten thousand");

    let page = workspace.orchestration_page(&oldest_first, None, 100).await?;
    workspace.clear_orchestration().await?;
    workspace.save_orchestration(message(&world, 7, "status")).await?;
    let page = workspace.orchestration_page(&oldest_first, page.next, 100).await?;
    let left = page.items.into_iter().collect::<nofx_core::Result<Vec<_>>>()?;
    ensure_eq!((numbers(&left), page.next), (vec![7], None), "after a place that was removed");
    refused(workspace.orchestration_page(&oldest_first, None, 0).await)?;
    refused("12".parse::<OrchestrationPlace>())?;
    Ok(())
}

pub(super) async fn segments_end_by_count_and_by_bytes(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    save(&world, &workspace, 0..SEGMENT_MESSAGES + 1).await?;
    let by_count = segments(&workspace).await?;
    let shape: Vec<_> = by_count.iter().map(|head| (head.length, head.state)).collect();
    ensure_eq!(shape, [(SEGMENT_MESSAGES, LogState::Sealed), (1, LogState::Open)], "ended by count");
    let mut big = message(&world, 0, "big");
    big.correlation_id = Some("x".repeat(3 << 20).into());
    for _ in 0..7 {
        // Each from its own handle, which must first determine the size.
        world.open().await?.save_orchestration(big.clone()).await?;
    }
    let by_bytes: Vec<_> = segments(&workspace).await?.iter().skip(1).map(|head| head.length).collect();
    ensure_eq!(by_bytes, [4, 3, 1], "ended by bytes");
    Ok(())
}

pub(super) async fn handles_that_save_at_once_lose_nothing(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    save(&world, &workspace, 0..SEGMENT_MESSAGES - 50).await?;
    let mut saving = Vec::new();
    for handle in 0..4 {
        let workspace = world.open().await?;
        let messages: Vec<_> = (0..50).map(|n| message(&world, handle * 1000 + n, "late")).collect();
        saving.push(tokio::spawn(async move {
            for message in messages {
                workspace.save_orchestration(message).await?;
            }
            Ok::<_, nofx_core::Error>(())
        }));
    }
    for saved in saving {
        saved.await??;
    }
    let late = OrchestrationFilter { kind: Some("late".into()), oldest_first: true, ..OrchestrationFilter::default() };
    let found = found(&workspace, late).await?;
    ensure_eq!(found.len(), 200, "all are there");
    for handle in 0..4 {
        let of_one: Vec<_> = found.iter().copied().filter(|n| n / 1000 == handle).collect();
        ensure_eq!(of_one, (handle * 1000..handle * 1000 + 50).collect::<Vec<_>>(), "in the order of their handle");
    }
    ensure_eq!(segments(&workspace).await?.len(), 2, "one segment was begun");
    Ok(())
}

pub(super) async fn clearing_leaves_nothing_and_saving_goes_on(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, other) = (world.open().await?, world.open().await?);
    workspace.clear_orchestration().await?;
    save(&world, &workspace, 0..10).await?;
    other.save_orchestration(message(&world, 10, "status")).await?;
    for round in 0..3 {
        workspace.clear_orchestration().await?;
        ensure_eq!(workspace.orchestration_stats().await?.messages, 0, "nothing is left in round {round}");
        // The other handle knew a segment that is gone.
        other.save_orchestration(message(&world, round, "status")).await?;
        workspace.save_orchestration(message(&world, round + 1, "status")).await?;
        let there = numbers(&loaded(&other, 0, 10).await?);
        ensure_eq!(there, [round + 1, round], "what was saved since, in round {round}");
    }
    Ok(())
}

pub(super) async fn statistics_are_exact(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let none = workspace.orchestration_stats().await?;
    ensure_eq!((none.messages, none.oldest), (0, None), "of nothing");
    let begun = world.now();
    workspace.save_orchestration(message(&world, 0, "status")).await?;
    world.clock.advance(HOUR);
    save(&world, &workspace, 1..12_000).await?;
    let before = counting.counts();
    let stats = workspace.orchestration_stats().await?;
    ensure_eq!((stats.messages, stats.oldest, stats.newest), (12_000, Some(begun), Some(world.now())), "of many");
    ensure!((counting.counts() - before).entries <= 1, "messages read for statistics");
    Ok(())
}
