//! The feed of events.

use nofx_core::entity::{OrchestrationMessage, Role};
use nofx_core::kind::EVENT;
use nofx_core::workspace::{Event, Events, RestoreOptions, Workspace};
use nofx_core::{Cursor, REMEMBERED_COMMITS, ScanQuery};

use super::world::{World, ada, begin, say};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// Returns everything that has happened since a cursor, and where to continue.
async fn heard(workspace: &Workspace, after: &Cursor, limit: usize) -> CaseResult<(Vec<Event>, Cursor)> {
    let (mut all, mut after) = (Vec::new(), after.clone());
    loop {
        match workspace.events(Some(&after), limit).await? {
            Events::Gap { newest } => return Err(Unmet::new(format!("a gap, newest {newest:?}"))),
            Events::Page { events, next, at_end } => {
                all.extend(events);
                after = next;
                if at_end {
                    return Ok((all, after));
                }
            }
        }
    }
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.name()).collect()
}

pub(super) async fn every_verb_is_reported_by_its_name(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, watcher) = (world.open().await?, world.open().await?);
    let cursor = watcher.events_end().await?;
    let session = begin(&workspace).await?.id;
    workspace.add_message(&session, workspace.message(Role::User, "hello")).await?;
    workspace.add_message(&session, workspace.message(Role::User, "hello")).await?;
    let task = workspace.start_task(&session, "first").await?.task.id.unwrap_or_default();
    let second = workspace.start_task(&session, "second").await?.task.id.unwrap_or_default();
    workspace.complete_task(&session, &second).await?;
    workspace.pause_session(&session).await?;
    workspace.resume_session(&session).await?;
    workspace.rename_session(&session, "renamed").await?;
    let restored = workspace.restore_session(&session, RestoreOptions::default()).await?.id;
    workspace.archive_session(&session).await?;
    workspace.delete_session(&session).await?;
    workspace.undelete_session(&session).await?;
    workspace.delete_session(&session).await?;
    workspace.purge_session(&session).await?;
    workspace.save_agent(&ada()).await?;
    workspace.save_orchestration(OrchestrationMessage::new("m", world.now(), "status")).await?;
    workspace.clear_orchestration().await?;

    let (events, _) = heard(&watcher, &cursor, 1000).await?;
    let expected = [
        "session.created",
        "session.message.added",
        "session.message.added",
        "session.task.started",
        "session.task.interrupted",
        "session.task.started",
        "session.task.completed",
        "session.paused",
        "session.resumed",
        "session.changed",
        "session.restored",
        "session.archived",
        "session.deleted",
        "session.undeleted",
        "session.deleted",
        "session.purged",
        "agent.changed",
        "orchestration.message.persisted",
        "storage.cleanup",
    ];
    ensure_eq!(names(&events), expected, "what was heard");
    let of = |name: &str| events.iter().filter(|event| event.kind.name() == name).collect::<Vec<_>>();
    ensure_eq!(of("session.restored")[0].session, Some(restored), "which session was made");
    ensure_eq!(of("session.purged")[0].session, Some(session), "which session was purged");
    ensure_eq!(of("session.task.interrupted")[0].task, Some(task), "which task was put aside");
    ensure_eq!(of("session.task.completed")[0].task, Some(second), "which task was completed");
    ensure_eq!(of("agent.changed")[0].agent, Some(ada().id), "which agent");
    Ok(())
}

pub(super) async fn a_watcher_loses_nothing_and_hears_nothing_twice(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let watcher = world.open().await?;
    let mut cursor = watcher.events_end().await?;
    let mut writing = Vec::new();
    for _ in 0..4 {
        let workspace = workspace.clone();
        writing.push(tokio::spawn(async move {
            for n in 0..10 {
                let session = begin(&workspace).await?.id;
                say(&workspace, &session, 0..1).await?;
                if n % 2 == 0 {
                    workspace.archive_session(&session).await?;
                }
            }
            Ok::<_, Unmet>(())
        }));
    }
    let mut all = Vec::new();
    while !writing.iter().all(|one| one.is_finished()) {
        let (events, next) = heard(&watcher, &cursor, 3).await?;
        all.extend(events);
        // Kept as text, as in a file.
        cursor = Cursor(next.0.clone());
        tokio::task::yield_now().await;
    }
    for one in writing {
        one.await??;
    }
    all.extend(heard(&world.open().await?, &cursor, 3).await?.0);
    let count = |name: &str| all.iter().filter(|event| event.kind.name() == name).count();
    let counts = (count("session.created"), count("session.message.added"), count("session.archived"));
    ensure_eq!((counts, all.len()), ((40, 40, 20), 100), "each once");
    Ok(())
}

pub(super) async fn a_gap_says_where_to_continue(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let elsewhere = world.elsewhere().await?.open().await?.events_end().await?;
    let Events::Gap { newest } = workspace.events(Some(&elsewhere), 10).await? else {
        return Err(Unmet::new("the cursor of another store was taken"));
    };
    begin(&workspace).await?;
    ensure_eq!(names(&heard(&workspace, &newest, 10).await?.0), ["session.created"], "what happens from there on");
    let nonsense = workspace.events(Some(&Cursor("nonsense".into())), 10).await;
    ensure_eq!(nonsense.map_err(|error| error.code()), Err("invalid"), "what never was a cursor");
    ensure!(REMEMBERED_COMMITS >= 100_000, "how much is remembered at least");
    Ok(())
}

pub(super) async fn names_of_events_store_nothing(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    workspace.start_task(&session, "task").await?;
    workspace.archive_session(&session).await?;
    let stored = workspace.store().backend().scan(&ScanQuery::of(EVENT, 10)).await?.items;
    ensure_eq!(stored, [], "records of events");
    Ok(())
}
