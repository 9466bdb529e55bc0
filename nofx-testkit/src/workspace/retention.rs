//! Cleanup by a policy.

use std::time::Duration;

use nofx_core::entity::{OrchestrationMessage, Role, SessionId, SessionStatus};
use nofx_core::workspace::{
    CleanupPlan, OrchestrationRetention, PlannedSession, RetentionPolicy, SEGMENT_MESSAGES, SessionFilter, Workspace,
};

use super::world::{DAY, HOUR, World, begin, said, say, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, ensure, ensure_eq};

/// Keeps everything.
fn nothing() -> RetentionPolicy {
    RetentionPolicy {
        purge_after: None,
        orchestration: OrchestrationRetention::default(),
        ..RetentionPolicy::default()
    }
}

/// Creates sessions, one a day, each with this many messages.
async fn daily(world: &World, workspace: &Workspace, count: u32, messages: u64) -> CaseResult<Vec<SessionId>> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let session = begin(workspace).await?.id;
        say(workspace, &session, 0..messages).await?;
        ids.push(session);
        world.clock.advance(DAY);
    }
    Ok(ids)
}

fn ids(planned: &[PlannedSession]) -> Vec<SessionId> {
    planned.iter().map(|one| one.session.id.clone()).collect()
}

pub(super) async fn a_plan_changes_nothing_and_a_cleanup_does_what_it_says(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let sessions = daily(&world, &workspace, 10, 2).await?;
    workspace.delete_session(&sessions[0]).await?;
    world.clock.advance(40 * DAY);
    let last = begin(&workspace).await?;
    let policy = RetentionPolicy {
        archive_after: Some(42 * DAY - HOUR),
        delete_after: Some(46 * DAY - HOUR),
        ..RetentionPolicy::default()
    };
    let before = counting.counts();
    let plan = workspace.cleanup_plan(&policy).await?;
    ensure_eq!((counting.counts() - before).groups, 0, "commits of a plan");
    ensure_eq!(ids(&plan.purge), sessions[..1], "to purge: long enough in the trash");
    ensure_eq!(ids(&plan.delete), sessions[1..5], "to delete");
    ensure_eq!(ids(&plan.archive), sessions[5..9], "to archive");

    let done = workspace.cleanup(&plan).await?;
    ensure!(done.left.is_empty(), "left: {:?}", done.left);
    ensure_eq!((done.archived, done.deleted, done.purged), (4, 4, 1), "what was done");
    let stats = workspace.stats().await?;
    ensure_eq!((stats.sessions, stats.archived, stats.trash), (6, 4, 4), "what is there");
    ensure!(workspace.is_purged(&sessions[0]).await?, "purged");
    let undone = workspace.undelete_session(&sessions[1]).await?;
    ensure_eq!(said(&workspace, &undone).await?, texts(0..2), "what was deleted can be had back");
    workspace.delete_session(&sessions[1]).await?;
    ensure_eq!(workspace.cleanup_plan(&policy).await?, CleanupPlan::default(), "nothing more to do");
    ensure!(workspace.session(&last.id).await?.is_some(), "the newest stays");
    Ok(())
}

pub(super) async fn sessions_go_by_age_count_and_size(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let sessions = daily(&world, &workspace, 6, 0).await?;
    for id in &sessions {
        let message = workspace.message(Role::User, "x".repeat(10_000));
        workspace.add_message(id, message).await?;
        world.clock.advance(DAY);
    }
    for (what, policy, expected) in [
        ("nothing", nothing(), 0),
        ("by age", RetentionPolicy { delete_after: Some(4 * DAY), ..nothing() }, 2),
        ("by count", RetentionPolicy { max_sessions: Some(2), ..nothing() }, 4),
        ("by size", RetentionPolicy { max_bytes: Some(31_500), ..nothing() }, 3),
    ] {
        let plan = workspace.cleanup_plan(&policy).await?;
        ensure_eq!(ids(&plan.delete), sessions[..expected], "{what}: the oldest activity first");
        ensure!(plan.archive.is_empty() && plan.purge.is_empty(), "{what}: nothing else");
    }
    Ok(())
}

pub(super) async fn what_goes_on_is_never_touched(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let new = nofx_core::workspace::NewSession { lifetime: Some(100 * DAY), ..Default::default() };
    let lasting = workspace.create_session(&super::world::ada(), new).await?.id;
    daily(&world, &workspace, 3, 1).await?;
    let policy = RetentionPolicy { delete_after: Some(HOUR), max_sessions: Some(0), ..nothing() };
    let plan = workspace.cleanup_plan(&policy).await?;
    ensure_eq!(plan.delete.len(), 3, "the others");
    ensure!(!ids(&plan.delete).contains(&lasting), "one that has not expired");
    Ok(())
}

pub(super) async fn what_was_changed_since_the_plan_is_left_alone(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let sessions = daily(&world, &workspace, 3, 1).await?;
    let plan = workspace.cleanup_plan(&RetentionPolicy { delete_after: Some(Duration::ZERO), ..nothing() }).await?;
    ensure_eq!(plan.delete.len(), 3, "all are planned");
    say(&workspace, &sessions[0], 1..2).await?;
    workspace.rename_session(&sessions[1], "kept").await?;
    let done = workspace.cleanup(&plan).await?;
    ensure_eq!(done.deleted, 1, "the one that was not changed");
    let left: Vec<_> = done.left.into_iter().map(|(id, error)| (id, error.code())).collect();
    ensure_eq!(left, [(sessions[0].clone(), "invalid"), (sessions[1].clone(), "invalid")], "the others, and why");
    let there = SessionFilter { status: Some(SessionStatus::Active), ..SessionFilter::default() };
    ensure_eq!(workspace.summaries(&there, None, 10).await?.items.len(), 2, "they are there");
    Ok(())
}

pub(super) async fn messages_between_agents_go_by_whole_segments(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut kept = 0;
    for day in 0..4 {
        let messages = if day == 3 { 100 } else { SEGMENT_MESSAGES };
        for n in 0..messages.div_ceil(2500) {
            let some = (0..2500.min(messages - n * 2500))
                .map(|m| OrchestrationMessage::new(format!("{day}-{n}-{m}"), world.now(), "status"));
            workspace.save_orchestrations(some.collect()).await?;
        }
        kept += messages;
        world.clock.advance(DAY);
    }
    let plan = async |orchestration| {
        let policy = RetentionPolicy { orchestration, ..nothing() };
        Ok::<_, nofx_core::Error>(workspace.cleanup_plan(&policy).await?.orchestration_messages)
    };
    let any = OrchestrationRetention::default;
    ensure_eq!(plan(any()).await?, 0, "everything is kept");
    let by_count = OrchestrationRetention { messages: Some(5000), ..any() };
    ensure_eq!(plan(by_count.clone()).await?, 2 * SEGMENT_MESSAGES, "by count, at least this many");
    let by_age = OrchestrationRetention { age: Some(3 * DAY - HOUR), ..any() };
    ensure_eq!(plan(by_age).await?, 2 * SEGMENT_MESSAGES, "by age");
    let by_bytes = OrchestrationRetention { bytes: Some(10_000), ..any() };
    ensure_eq!(plan(by_bytes).await?, 2 * SEGMENT_MESSAGES, "by bytes");
    ensure_eq!(plan(RetentionPolicy::default().orchestration).await?, 0, "by default 60 MiB are kept");

    let policy = RetentionPolicy { orchestration: by_count, ..nothing() };
    workspace.cleanup(&workspace.cleanup_plan(&policy).await?).await?;
    let stats = workspace.orchestration_stats().await?;
    ensure_eq!(stats.messages, kept - 2 * SEGMENT_MESSAGES, "what is left");
    workspace.save_orchestration(OrchestrationMessage::new("more", world.now(), "status")).await?;
    ensure_eq!(workspace.orchestration_stats().await?.messages, stats.messages + 1, "saving continues");
    Ok(())
}
