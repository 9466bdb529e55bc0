//! Sessions and their tasks from creation to purge, and expiry.

use std::collections::HashSet;

use nofx_core::entity::{Role, SessionStatus, TaskStatus};
use nofx_core::workspace::{
    EXPIRY_WARNING, EventKind, Events, NewSession, NewTask, SESSION_LIFETIME, SessionFilter, SessionState, new_session,
};
use nofx_core::{LogState, Mismatch, kind};

use super::world::{HOUR, MINUTE, World, ada, begin, missed, refused, reload, said, say, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn a_session_begins_active_and_is_listed_with_what_was_asked(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let new = NewSession { working_directory: Some("/home/ada".into()), ..NewSession::default() };
    let session = workspace.create_session(&ada(), new).await?;
    ensure_eq!(session.expires_at, Some(world.now().saturating_add(SESSION_LIFETIME)), "when it ends");
    ensure_eq!(workspace.session(&session.id).await?, Some(session.clone()), "the session as it was answered");
    workspace.add_message(&session.id, workspace.message(Role::Assistant, "How can I help?")).await?;
    workspace.add_message(&session.id, workspace.message(Role::User, "Sort\n the   list")).await?;
    let page = world.open().await?.summaries(&SessionFilter::default(), None, 10).await?;
    ensure_eq!(page.items.len(), 1, "sessions in the list");
    let summary = &page.items[0];
    ensure_eq!(summary.preview.as_deref(), Some("Sort the list"), "the preview");
    ensure_eq!((summary.messages, summary.state), (2, SessionState::Active), "messages and state");
    Ok(())
}

pub(super) async fn sessions_of_one_millisecond_have_ids_of_their_own(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut ids = HashSet::new();
    for _ in 0..300 {
        ids.insert(begin(&workspace).await?.id);
    }
    ensure_eq!(ids.len(), 300, "different ids");
    Ok(())
}

pub(super) async fn messages_are_added_one_by_one_and_many_at_once(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    ensure_eq!(workspace.add_message(&session.id, workspace.message(Role::User, "0")).await?, 0, "the first place");
    let more = super::world::numbered(&workspace, 1..1000);
    ensure_eq!(workspace.add_messages(&session.id, more).await?, 1..1000, "the places of many");
    ensure_eq!(
        workspace.add_message(&session.id, workspace.message(Role::User, "1000")).await?,
        1000,
        "the next place"
    );
    ensure_eq!(said(&workspace, &session).await?, texts(0..1001), "everything in its order");
    Ok(())
}

pub(super) async fn tasks_are_started_completed_failed_and_interrupted(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    let new = NewTask { description: "all of it".into(), tags: vec!["api".into()], ..NewTask::from("sort") };
    let first = workspace.start_task(&session, new).await?.task;
    let id = first.id.clone().ok_or_else(|| Unmet::new("a task without an id"))?;
    world.clock.advance(MINUTE);
    let done = workspace.complete_task(&session, &id).await?;
    ensure_eq!((done.status, done.duration), (Some(TaskStatus::Completed), Some(60_000)), "a task done");
    for status in [TaskStatus::Failed, TaskStatus::Interrupted] {
        let task = workspace.start_task(&session, "another").await?.task;
        let id = task.id.ok_or_else(|| Unmet::new("a task without an id"))?;
        let ended = match status {
            TaskStatus::Failed => workspace.fail_task(&session, &id).await?,
            _ => workspace.interrupt_task(&session, &id).await?,
        };
        ensure_eq!(ended.status, Some(status), "a task ended");
    }
    let tasks = world.open().await?.tasks(&session).await?;
    ensure_eq!(tasks.current, None, "nothing is being worked on");
    let titles: Vec<_> = tasks.ended.iter().map(|task| task.title.to_string()).collect();
    ensure_eq!(titles, ["sort", "another", "another"], "each task once");
    ensure_eq!(
        (&tasks.ended[0].description, tasks.ended[0].tags.len()),
        (&"all of it".into(), 1),
        "what was said of it"
    );
    let again = refused(workspace.complete_task(&session, &id).await)?;
    ensure!(again.contains("is not the current task"), "completing a task twice: {again}");
    Ok(())
}

pub(super) async fn starting_a_second_task_interrupts_the_first_and_says_so(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    let first = workspace.start_task(&session, "first").await?;
    ensure_eq!(first.interrupted, None, "the first interrupts nothing");
    let second = workspace.start_task(&session, "second").await?;
    let interrupted = second.interrupted.ok_or_else(|| Unmet::new("the first was not said to be interrupted"))?;
    ensure_eq!((interrupted.id, interrupted.status), (first.task.id, Some(TaskStatus::Interrupted)), "which and how");
    let tasks = workspace.tasks(&session).await?;
    ensure_eq!((tasks.current, tasks.ended.len()), (Some(second.task), 1), "tasks now");
    Ok(())
}

pub(super) async fn tasks_started_at_once_leave_one_and_lose_none(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let first = world.open().await?;
    let session = begin(&first).await?.id;
    let mut starting = Vec::new();
    for n in 0..8 {
        let (workspace, session) = (world.open().await?, session.clone());
        starting.push(tokio::spawn(async move { workspace.start_task(&session, n.to_string()).await }));
    }
    for started in starting {
        started.await??;
    }
    let tasks = first.tasks(&session).await?;
    ensure!(tasks.current.is_some(), "one task is being worked on");
    ensure_eq!(tasks.ended.len(), 7, "interrupted tasks");
    Ok(())
}

pub(super) async fn the_clock_decides_what_has_expired(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let session = begin(&world.open().await?).await?;
    let state = |session: &nofx_core::entity::Session| session.state(world.now());
    world.clock.advance(SESSION_LIFETIME - EXPIRY_WARNING - MINUTE);
    ensure_eq!(state(&session), SessionState::Active, "31 minutes before the end");
    world.clock.advance(MINUTE);
    ensure_eq!(state(&session), SessionState::ExpiresSoon, "half an hour before the end");
    ensure_eq!(session.expires_in(world.now()), Some(EXPIRY_WARNING), "how long is left");
    world.clock.advance(EXPIRY_WARNING);
    ensure_eq!(state(&session), SessionState::Expired, "at the end");
    ensure_eq!(session.expires_in(world.now()), Some(std::time::Duration::ZERO), "nothing is left");
    world.clock.advance(24 * HOUR);
    let workspace = world.open().await?;
    let tomorrow = workspace.summaries(&SessionFilter::default(), None, 1).await?;
    ensure_eq!(tomorrow.items[0].state, SessionState::Expired, "a store that is read tomorrow");
    ensure!(tomorrow.items[0].state.is_restorable(), "one restores what has expired");
    let lasting = NewSession { lifetime: Some(48 * HOUR), ..NewSession::default() };
    ensure_eq!(state(&workspace.create_session(&ada(), lasting).await?), SessionState::Active, "a longer life");
    Ok(())
}

pub(super) async fn a_watch_warns_before_the_end_and_reports_it_once(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, other) = (world.open().await?, world.open().await?);
    let (mut watch, mut second) = (workspace.expiry_watch(), other.expiry_watch());
    let session = begin(&workspace).await?;
    let cursor = workspace.events_end().await?;
    ensure_eq!(watch.poll().await?, [], "nothing is due");
    let warning = world.now().saturating_add(SESSION_LIFETIME - EXPIRY_WARNING);
    ensure_eq!(watch.next_due(), Some(warning), "when the warning is due");

    world.clock.set(warning);
    let told = watch.poll().await?;
    ensure_eq!(kinds(&told), [EventKind::SessionExpiryWarning], "the warning");
    ensure_eq!(told[0].session.id, session.id, "of which session");
    ensure_eq!(kinds(&second.poll().await?), [EventKind::SessionExpiryWarning], "each host warns");
    world.clock.set(warning.saturating_sub(HOUR));
    ensure_eq!(watch.poll().await?, [], "a clock that goes back");
    world.clock.set(warning.saturating_add(MINUTE));
    ensure_eq!(watch.poll().await?, [], "a warning is given once");
    ensure_eq!(watch.next_due(), session.expires_at, "when the end is due");

    world.clock.set(session.expires_at.unwrap_or_default());
    ensure_eq!(kinds(&watch.poll().await?), [EventKind::SessionExpired], "the end");
    ensure_eq!(second.poll().await?, [], "the end is reported by one host");
    ensure_eq!(reload(&workspace, &session.id).await?.status, Some(SessionStatus::Expired), "the end is noted");
    let Events::Page { events, .. } = other.events(Some(&cursor), 100).await? else {
        return Err(Unmet::new("a gap in the feed"));
    };
    let heard: Vec<_> = events.iter().map(|event| (event.kind.name(), event.session.clone())).collect();
    ensure_eq!(heard, [("session.expired", Some(session.id.clone()))], "the others hear of it");

    let resumed = workspace.resume_session(&session.id).await?;
    ensure_eq!(watch.poll().await?, [], "a session that was resumed");
    world.clock.set(resumed.expires_at.unwrap_or_default().saturating_sub(MINUTE));
    ensure_eq!(kinds(&watch.poll().await?), [EventKind::SessionExpiryWarning], "its new end is warned of, at once");
    Ok(())
}

pub(super) async fn what_expired_while_no_host_watched_is_reported_once(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    world.clock.advance(6 * HOUR);
    ensure_eq!(kinds(&workspace.expiry_watch().poll().await?), [EventKind::SessionExpired], "what ended before");
    ensure_eq!(workspace.expiry_watch().poll().await?, [], "once for the store");
    ensure_eq!(reload(&workspace, &session.id).await?.status, Some(SessionStatus::Expired), "noted");
    let expired = SessionFilter { status: Some(SessionStatus::Expired), ..SessionFilter::default() };
    ensure_eq!(workspace.summaries(&expired, None, 10).await?.items.len(), 1, "found by its status");
    Ok(())
}

fn kinds(events: &[nofx_core::workspace::ExpiryEvent]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

pub(super) async fn a_session_rests_and_goes_on(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    ensure_eq!(workspace.pause_session(&session).await?.state(world.now()), SessionState::Paused, "paused");
    refused(workspace.pause_session(&session).await)?;
    say(&workspace, &session, 0..1).await?;
    world.clock.advance(10 * HOUR);
    let resumed = workspace.resume_session(&session).await?;
    ensure_eq!(resumed.state(world.now()), SessionState::Active, "resumed after its time was over");
    ensure_eq!(resumed.expires_at, Some(world.now().saturating_add(SESSION_LIFETIME)), "as long as a new one");
    workspace.archive_session(&session).await?;
    refused(workspace.resume_session(&session).await)?;
    Ok(())
}

pub(super) async fn an_archived_session_is_sealed_and_takes_nothing(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..3).await?;
    let archived = workspace.archive_session(&session.id).await?;
    ensure_eq!(workspace.archive_session(&session.id).await?, archived, "archiving again is no change");
    for log in [nofx_core::entity::Session::history(&session.id), nofx_core::entity::Session::tasks(&session.id)] {
        ensure_eq!(workspace.store().head(&log).await?.state, LogState::Sealed, "{log}");
    }
    let why = refused(workspace.add_message(&session.id, workspace.message(Role::User, "late")).await)?;
    ensure!(why.contains("restore it first"), "what to do instead: {why}");
    refused(workspace.start_task(&session.id, "late").await)?;
    ensure_eq!(said(&workspace, &archived).await?, texts(0..3), "its messages");
    Ok(())
}

pub(super) async fn renaming_deleting_and_archiving_are_no_activity(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let (old, new) = (begin(&workspace).await?, {
        world.clock.advance(HOUR);
        begin(&workspace).await?
    });
    world.clock.advance(HOUR);
    workspace.rename_session(&old.id, "renamed").await?;
    workspace.delete_session(&old.id).await?;
    workspace.undelete_session(&old.id).await?;
    workspace.archive_session(&old.id).await?;
    let listed = workspace.summaries(&SessionFilter::default(), None, 10).await?.items;
    let listed: Vec<_> = listed.into_iter().map(|one| (one.session.id, Some(one.last_active_at))).collect();
    ensure_eq!(listed, [(new.id, new.last_active_at), (old.id.clone(), old.last_active_at)], "the order of activity");
    let before = SessionFilter { active_before: new.last_active_at, ..SessionFilter::default() };
    ensure_eq!(workspace.summaries(&before, None, 10).await?.items.len(), 1, "found where it is listed");
    Ok(())
}

pub(super) async fn a_deleted_session_comes_back_until_it_is_purged(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..3).await?;
    let before = reload(&workspace, &session.id).await?;
    refused(workspace.purge_session(&session.id).await)?;
    workspace.delete_session(&session.id).await?;
    ensure_eq!(workspace.summaries(&SessionFilter::default(), None, 10).await?.items, [], "not in the list");
    let trash = SessionFilter { trash: true, ..SessionFilter::default() };
    let listed = workspace.summaries(&trash, None, 10).await?.items;
    ensure_eq!((listed.len(), listed[0].state), (1, SessionState::Deleted), "in the trash");
    refused(workspace.add_message(&session.id, workspace.message(Role::User, "late")).await)?;
    ensure_eq!(workspace.undelete_session(&session.id).await?, before, "taken out as it was");
    say(&workspace, &session.id, 3..4).await?;
    ensure_eq!(said(&workspace, &before).await?, texts(0..4), "and it continues");

    workspace.delete_session(&session.id).await?;
    workspace.purge_session(&session.id).await?;
    ensure_eq!(workspace.session(&session.id).await?, None, "purged");
    ensure_eq!(workspace.summaries(&trash, None, 10).await?.items, [], "not in the trash");
    ensure!(workspace.is_purged(&session.id).await?, "the tombstone");
    let left = workspace.store().head(&nofx_core::entity::Session::history(&session.id)).await?;
    ensure_eq!((left.length, left.state), (0, LogState::Removed), "its messages");
    missed(workspace.undelete_session(&session.id).await)?;
    Ok(())
}

pub(super) async fn an_import_respects_tombstones_and_shows_up(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let purged = begin(&workspace).await?;
    workspace.delete_session(&purged.id).await?;
    workspace.purge_session(&purged.id).await?;
    let batch = new_session(workspace.store().batch(), &purged, None)?;
    let Err(nofx_core::Error::Conflict(conflict)) = workspace.store().commit(batch).await?.committed() else {
        return Err(Unmet::new("a purged session came back"));
    };
    let names_it = |one: &Mismatch| matches!(one, Mismatch::Record { key, .. } if *key.kind() == kind::TOMBSTONE);
    ensure!(conflict.mismatches.iter().any(names_it), "the conflict names the tombstone: {conflict}");

    let mut brought = begin(&world.elsewhere().await?.open().await?).await?;
    brought.preview = Some("from elsewhere".into());
    let last = world.now().saturating_add(HOUR);
    let batch = new_session(workspace.store().batch(), &brought, Some(last))?;
    let message = workspace.store().entry(&nofx_core::entity::Message::new("m", last, Role::User, "from elsewhere"))?;
    let batch = batch.append(nofx_core::entity::Session::history(&brought.id), vec![message]);
    workspace.store().commit(batch).await?.committed()?;
    let listed = workspace.summaries(&SessionFilter::default(), None, 10).await?.items;
    ensure_eq!((listed.len(), listed[0].preview.as_deref()), (1, Some("from elsewhere")), "listed");
    ensure_eq!(listed[0].last_active_at, last, "its activity is that of its last message");
    say(&workspace, &brought.id, 1..2).await?;
    Ok(())
}

pub(super) async fn many_at_once_have_a_result_each(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(begin(&workspace).await?.id);
    }
    ids.insert(10, "no such session".into());
    let verdicts = |codes: Vec<Result<(), nofx_core::Error>>| -> Vec<&'static str> {
        codes.into_iter().map(|result| result.map_or_else(|error| error.code(), |()| "ok")).collect()
    };
    let mut expected = vec!["ok"; 21];
    expected[10] = "not-found";
    let unit = |results: Vec<nofx_core::Result<_>>| results.into_iter().map(|result| result.map(drop)).collect();
    let restored = workspace.restore_sessions(&ids, Default::default()).await;
    ensure_eq!(verdicts(unit(restored)), expected, "restoring");
    ensure_eq!(verdicts(unit(workspace.archive_sessions(&ids).await)), expected, "archiving");
    ensure_eq!(verdicts(unit(workspace.delete_sessions(&ids).await)), expected, "deleting");
    ensure_eq!(verdicts(unit(workspace.undelete_sessions(&ids).await)), expected, "undeleting");
    ensure_eq!(verdicts(unit(workspace.delete_sessions(&ids).await)), expected, "deleting again");
    ensure_eq!(verdicts(workspace.purge_sessions(&ids).await), expected, "purging");
    ensure_eq!(workspace.stats().await?.sessions, 20, "the restored ones are left");
    Ok(())
}

pub(super) async fn a_change_with_a_verb_of_its_own_is_refused(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    let changed = workspace.update_session(&session, |session| session.git_branch = Some("main".into())).await?;
    ensure_eq!(changed.git_branch, Some("main".into()), "a change");
    refused(workspace.update_session(&session, |session| session.status = Some(SessionStatus::Archived)).await)?;
    refused(workspace.update_session(&session, |session| session.id = "other".into()).await)?;
    ensure_eq!(workspace.session(&session).await?, Some(changed), "nothing else happened");
    Ok(())
}
