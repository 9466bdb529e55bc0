//! Odd input: clocks, times, ids, empty messages.

use nofx_core::entity::{Message, Role, Session, SessionId};
use nofx_core::json::Text;
use nofx_core::workspace::{NewSession, RestoreOptions, SessionFilter, SessionState};
use nofx_core::{Direction, Error, Result, Timestamp};

use super::world::{BEGIN, DAY, HOUR, World, ada, begin, content, reload, said, say, tail, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn an_expired_session_still_takes_messages(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    world.clock.advance(10 * HOUR);
    say(&workspace, &session.id, 0..2).await?;
    let task = workspace.start_task(&session.id, "late").await?.task.id.unwrap_or_default();
    workspace.expiry_watch().poll().await?;
    say(&workspace, &session.id, 2..3).await?;
    workspace.complete_task(&session.id, &task).await?;
    ensure_eq!(said(&workspace, &session).await?, texts(0..3), "what was said late");
    let state = reload(&workspace, &session.id).await?.state(world.now());
    ensure_eq!(state, SessionState::Expired, "it has expired all the same");
    Ok(())
}

pub(super) async fn empty_messages_are_messages_and_no_messages_are_no_change(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let session = begin(&workspace).await?;
    workspace.add_message(&session.id, workspace.message(Role::User, "")).await?;
    workspace.add_message(&session.id, Message::new("", BEGIN, Role::User, " \n ")).await?;
    ensure_eq!(said(&workspace, &session).await?, ["", " \n "], "empty messages");
    ensure_eq!(reload(&workspace, &session.id).await?.preview, None, "nothing was requested");
    let before = counting.counts();
    ensure_eq!(workspace.add_messages(&session.id, vec![]).await?, 2..2, "no messages");
    ensure_eq!((counting.counts() - before).groups, 0, "commits for no messages");
    let none = workspace.add_messages(&"absent".into(), vec![]).await.map_err(|error| error.code());
    ensure_eq!(none, Err("not-found"), "nothing, to an absent session");
    Ok(())
}

pub(super) async fn times_before_1970_and_after_9999_are_times(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let times = [-62_167_219_200_000, -1, 0, 253_402_300_800_000, 8_640_000_000_000_000, -8_640_000_000_000_000];
    for (n, millis) in (0_u64..).zip(times) {
        let at = Timestamp::from_millis(millis);
        world.clock.set(at);
        let session = begin(&workspace).await?;
        say(&workspace, &session.id, n..n + 1).await?;
        let task = workspace.start_task(&session.id, "then").await?.task.id.unwrap_or_default();
        workspace.complete_task(&session.id, &task).await?;
        let read = tail(&workspace, &session, 1).await?.pop().ok_or_else(|| Unmet::new("no message"))?;
        ensure_eq!((content(&read.message), read.at), (n.to_string(), at), "a message of {at}");
        let restored = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
        ensure_eq!(said(&workspace, &restored).await?, texts(n..n + 1), "restored at {at}");
    }
    world.clock.set(BEGIN);
    let listed = workspace.summaries(&SessionFilter::default(), None, 100).await?.items;
    ensure_eq!(listed.len(), 2 * times.len(), "all are in the list");
    let activity: Vec<_> = listed.iter().map(|one| one.last_active_at).collect();
    ensure!(activity.is_sorted_by(|a, b| a >= b), "the latest first: {activity:?}");
    let old = SessionFilter { active_before: Some(Timestamp::from_millis(0)), ..SessionFilter::default() };
    ensure_eq!(workspace.summaries(&old, None, 100).await?.items.len(), 6, "those before 1970");
    Ok(())
}

pub(super) async fn a_clock_that_goes_back_loses_nothing(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    let task = workspace.start_task(&session.id, "back").await?.task.id.unwrap_or_default();
    for n in 0..10 {
        world.clock.set(BEGIN.saturating_sub(DAY * n));
        say(&workspace, &session.id, u64::from(n)..u64::from(n) + 1).await?;
    }
    ensure_eq!(said(&workspace, &session).await?, texts(0..10), "the order is that of adding");
    ensure_eq!(
        workspace.complete_task(&session.id, &task).await?.duration,
        Some(0),
        "a task that took less than no time"
    );
    let listed = workspace.summaries(&SessionFilter::default(), None, 10).await?.items;
    ensure_eq!((listed.len(), listed[0].messages), (1, 10), "in the list");
    let kept = reload(&workspace, &session.id).await?;
    ensure_eq!(kept.last_active_at, Some(BEGIN), "what the record says never goes back");
    Ok(())
}

pub(super) async fn ids_of_any_text_are_ids(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let cut = Text::from_json(r#""cut \ud83d""#).ok_or_else(|| Unmet::new("no text"))?;
    let long = "x".repeat(2000);
    for id in [Text::from("../evil"), "a/b".into(), "".into(), "\0".into(), long.as_str().into(), cut] {
        let mut agent = ada();
        agent.id = id.clone().into();
        workspace.save_agent(&agent).await?;
        let session = workspace.create_session(&agent, NewSession::default()).await?;
        say(&workspace, &session.id, 0..2).await?;
        let cursor = workspace.events_end().await?;
        let restored = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
        ensure_eq!(said(&workspace, &restored).await?, texts(0..2), "the messages of {id:?}");
        ensure_eq!(workspace.agent_totals(&agent.id).await?.sessions, 2, "the sessions of {id:?}");
        let nofx_core::workspace::Events::Page { events, .. } = workspace.events(Some(&cursor), 10).await? else {
            return Err(Unmet::new("a gap"));
        };
        ensure_eq!(events[0].session, Some(restored.id.clone()), "the event of {id:?}");
        workspace.delete_session(&session.id).await?;
        workspace.purge_session(&session.id).await?;
        ensure_eq!(said(&workspace, &restored).await?, texts(0..2), "the fork of {id:?}");
    }
    Ok(())
}

pub(super) async fn what_is_unknown_is_not_found_and_says_so(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let absent: SessionId = "absent".into();
    let message = workspace.message(Role::User, "hello");
    let change = |_: &mut Session| {};
    let gone: Vec<(&str, Result<(), Error>)> = vec![
        ("add_message", workspace.add_message(&absent, message.clone()).await.map(drop)),
        ("append_at", workspace.append_at(&absent, 0, vec![message]).await.map(drop)),
        ("start_task", workspace.start_task(&absent, "task").await.map(drop)),
        ("complete_task", workspace.complete_task(&absent, &"task".into()).await.map(drop)),
        ("update_session", workspace.update_session(&absent, change).await.map(drop)),
        ("rename_session", workspace.rename_session(&absent, "name").await.map(drop)),
        ("archive_session", workspace.archive_session(&absent).await.map(drop)),
        ("restore_session", workspace.restore_session(&absent, RestoreOptions::default()).await.map(drop)),
        ("delete_session", workspace.delete_session(&absent).await.map(drop)),
        ("undelete_session", workspace.undelete_session(&absent).await.map(drop)),
        ("purge_session", workspace.purge_session(&absent).await),
        ("session_writer", workspace.session_writer(&absent).await.map(drop)),
    ];
    for (verb, result) in gone {
        let Err(error) = result else { return Err(Unmet::new(format!("{verb} found a session"))) };
        ensure_eq!(error.code(), "not-found", "the code of {verb}");
        ensure!(error.to_string().contains("not found: session `absent`"), "what {verb} says: {error}");
    }
    ensure_eq!(workspace.session(&absent).await?, None, "what is absent");
    ensure_eq!(workspace.agent(&"absent".into()).await?, None, "who is absent");
    ensure_eq!(workspace.tasks(&absent).await?.ended, [], "the tasks of an absent session");
    Ok(())
}

pub(super) async fn verbs_may_be_spawned(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let spawned = tokio::spawn(async move {
        let session = workspace.create_session(&ada(), NewSession::default()).await?;
        let mut writer = workspace.session_writer(&session.id).await?;
        writer.append(vec![workspace.message(Role::User, "hello")]).await?;
        let mut history = workspace.history(&session, 0..1, Direction::Forward, None);
        futures_util::StreamExt::next(&mut history).await.transpose()?;
        workspace.import_session("{}", Default::default()).await.map_err(|error| error.code()).err();
        workspace.cleanup(&workspace.cleanup_plan(&Default::default()).await?).await?;
        workspace.sweep_contents().await?;
        workspace.archive_sessions(std::slice::from_ref(&session.id)).await.remove(0)
    });
    spawned.await??;
    Ok(())
}
