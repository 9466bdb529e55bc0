//! What a later version wrote.

use futures_util::{StreamExt, TryStreamExt};
use nofx_core::entity::{
    Agent, Entity, EntityId, Message, OrchestrationMessage, RecordEntity, Role, Session, SessionId,
};
use nofx_core::json::Object;
use nofx_core::kind::EVENT;
use nofx_core::workspace::{
    Events, ImportAs, OrchestrationFilter, RestoreOptions, RetentionPolicy, SearchQuery, SessionFilter, Workspace,
    new_session,
};
use nofx_core::{Body, Expect, Kind, LogKey, LogQuery, NewEntry, RecordKey};

use super::world::{DAY, HOUR, World, ada, begin, content, said, say, tail, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// A kind that no version has yet.
const LATER: Kind = Kind::of("later-kind");

/// Members that no version has yet, with values that are easily changed by accident.
const LATER_MEMBERS: &str =
    r#""later":{"depth":[1.10,1e400,"cut \ud83d"],"b":null},"laterToo":12345678901234567890123"#;

/// Calls every verb that changes or cleans up a store.
async fn every_verb(world: &World, workspace: &Workspace) -> CaseResult {
    workspace.save_agent(&ada()).await?;
    let session = begin(workspace).await?.id;
    say(workspace, &session, 0..3).await?;
    workspace.add_message(&session, workspace.message(Role::Tool, "long ".repeat(30_000))).await?;
    let task = workspace.start_task(&session, "task").await?.task.id.unwrap_or_default();
    workspace.complete_task(&session, &task).await?;
    workspace.rename_session(&session, "renamed").await?;
    workspace.restore_session(&session, RestoreOptions::default()).await?;
    workspace.archive_session(&session).await?;
    workspace.delete_session(&session).await?;
    workspace.purge_session(&session).await?;
    workspace.save_orchestration(OrchestrationMessage::new("m", world.now(), "status")).await?;
    workspace.clear_orchestration().await?;
    workspace.expiry_watch().poll().await?;
    world.clock.advance(400 * DAY);
    let policy = RetentionPolicy { delete_after: Some(HOUR), max_sessions: Some(0), ..RetentionPolicy::default() };
    workspace.cleanup(&workspace.cleanup_plan(&policy).await?).await?;
    workspace.sweep_contents().await?;
    workspace.stats().await?;
    workspace.clear_all().await?;
    Ok(())
}

pub(super) async fn a_kind_of_a_later_version_is_kept_by_every_verb(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let body = Body::parse(&format!("{{{LATER_MEMBERS}}}"))?;
    let (record, log) = (RecordKey::new(LATER, "a/b")?, LogKey::new(LATER, "a/b")?);
    let entry = NewEntry { at: world.now(), body: body.clone() };
    let batch = workspace.store().batch().put(record.clone(), Expect::Absent, body.clone());
    workspace.store().commit(batch.append(log.clone(), vec![entry])).await?.committed()?;
    let before = workspace.store().get(std::slice::from_ref(&record)).await?;
    let cursor = workspace.events_end().await?;

    every_verb(&world, &workspace).await?;

    ensure_eq!(workspace.store().get(&[record]).await?, before, "the record, with its version");
    let entries = workspace.store().backend().read(&LogQuery::oldest_first(log, 10)).await?.items;
    ensure_eq!(entries.iter().map(|entry| &entry.body).collect::<Vec<_>>(), [&body], "the log");
    let Events::Page { events, .. } = workspace.events(Some(&cursor), 1000).await? else {
        return Err(Unmet::new("a gap"));
    };
    ensure!(!events.is_empty(), "what happened is reported");
    Ok(())
}

pub(super) async fn members_of_a_later_version_survive_every_change(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let object = |members: &str| {
        let text = format!("{{{members},{LATER_MEMBERS}}}");
        Object::parse(&text).map_err(|error| Unmet::new(error.to_string()))
    };
    let survives = |object: &Object, what: &str| -> CaseResult {
        ensure!(object.to_json().contains(LATER_MEMBERS), "the members of {what}: {}", object.to_json());
        Ok(())
    };

    let agent = Agent::from_object(object(r#""id":"agent-ada","name":"Ada","type":"backend""#)?);
    workspace.save_agent(&agent).await?;
    workspace.update_agent(&agent.id, |agent| agent.name = "Grace".into()).await?;
    let kept = workspace.agent(&agent.id).await?.ok_or_else(|| Unmet::new("no agent"))?;
    survives(kept.object(), "an agent")?;

    let id = SessionId::from("session-later");
    let members = r#""id":"session-later","name":"later","agentId":"agent-ada","status":"hibernating""#;
    let session = Session::from_object(object(members)?);
    let batch = new_session(workspace.store().batch(), &session, Some(world.now()))?;
    workspace.store().commit(batch).await?.committed()?;
    let mut message = Message::from_object(object(r#""id":"m","type":"oracle","content":"hello""#)?);
    message.timestamp = Some(world.now());
    workspace.add_message(&id, message).await?;
    workspace.start_task(&id, "task").await?;
    workspace.rename_session(&id, "renamed").await?;
    workspace.delete_session(&id).await?;
    workspace.undelete_session(&id).await?;
    let listed = workspace.summaries(&SessionFilter::default(), None, 10).await?.items;
    ensure_eq!(listed.len(), 1, "sessions of a status that is not known yet");
    ensure_eq!(listed[0].session.status.as_ref().map(|one| one.as_text()), Some("hibernating".into()), "its status");
    let restored = workspace.restore_session(&id, RestoreOptions::default()).await?;
    workspace.archive_session(&id).await?;
    for id in [&id, &restored.id] {
        let session = workspace.session(id).await?.ok_or_else(|| Unmet::new("no session"))?;
        survives(session.object(), "a session")?;
        let read = tail(&workspace, &session, 1).await?.remove(0).message;
        survives(read.object(), "a message")?;
    }
    let export: String = workspace.export_json(&id).await?.try_collect::<Vec<_>>().await?.concat();
    let elsewhere = world.elsewhere().await?;
    let other = elsewhere.open().await?;
    let imported = other.import_session(&export, ImportAs::Itself).await?;
    survives(imported.object(), "an imported session")?;
    survives(tail(&other, &imported, 1).await?[0].message.object(), "an imported message")?;

    let mut between = OrchestrationMessage::from_object(object(r#""id":"o","type":"omen""#)?);
    between.timestamp = Some(world.now());
    workspace.save_orchestration(between).await?;
    let filter = OrchestrationFilter { kind: Some("omen".into()), ..OrchestrationFilter::default() };
    let found: Vec<_> = workspace.orchestration_history(filter).await?.try_collect().await?;
    ensure_eq!(found.len(), 1, "messages of a type that is not known yet");
    survives(found[0].object(), "a message between agents")?;
    Ok(())
}

pub(super) async fn what_a_later_schema_says_is_read_and_not_changed(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..3).await?;
    let key = session.id.record_key(Session::KIND);
    let later = Body::parse(&session.to_body()?.as_str().replacen(
        '{',
        &format!(r#"{{"$schema":{},"#, Session::SCHEMA + 1),
        1,
    ))?;
    let batch = workspace.store().batch().put(key.clone(), Expect::Any, later);
    workspace.store().commit(batch).await?.committed()?;
    let before = workspace.store().get(std::slice::from_ref(&key)).await?;

    let listed = workspace.summaries(&SessionFilter::default(), None, 10).await?;
    ensure_eq!((listed.items.len(), listed.unreadable.len()), (1, 0), "it is listed");
    let read = workspace.session(&session.id).await?.ok_or_else(|| Unmet::new("no session"))?;
    ensure_eq!(said(&workspace, &read).await?, texts(0..3), "its messages");
    let exported: nofx_core::Result<Vec<String>> = match workspace.export_json(&session.id).await {
        Ok(pieces) => pieces.try_collect().await,
        Err(error) => Err(error),
    };
    ensure_eq!(exported.map_err(|error| error.code()), Err("too-new"), "an export, which would leave something out");
    let hits: Vec<_> =
        workspace.search(SearchQuery { words: vec!["2".into()], ..SearchQuery::default() }).await?.collect().await;
    ensure_eq!(hits.len(), 1, "what is found in it");

    let id = &session.id;
    let message = workspace.message(Role::User, "more");
    for (what, refused) in [
        ("adding a message", workspace.add_message(id, message).await.err()),
        ("starting a task", workspace.start_task(id, "task").await.err()),
        ("renaming", workspace.rename_session(id, "other").await.err()),
        ("restoring", workspace.restore_session(id, RestoreOptions::default()).await.err()),
        ("archiving", workspace.archive_session(id).await.err()),
        ("deleting", workspace.delete_session(id).await.err()),
    ] {
        ensure_eq!(refused.map(|error| error.code()), Some("too-new"), "{what}");
    }
    world.clock.advance(400 * DAY);
    let policy = RetentionPolicy { delete_after: Some(HOUR), ..RetentionPolicy::default() };
    let done = workspace.cleanup(&workspace.cleanup_plan(&policy).await?).await?;
    let left: Vec<_> = done.left.iter().map(|(id, error)| (id, error.code())).collect();
    ensure_eq!(left, [(id, "too-new")], "a cleanup leaves it alone and says so");
    ensure_eq!(workspace.store().get(std::slice::from_ref(&key)).await?, before, "its record");

    // A later version moved this one to the trash: what belongs to it is unknown here.
    let trashed = before[0].as_ref().map(|record| record.body.as_str()).unwrap_or_default();
    let trashed = trashed.replacen('{', &format!(r#"{{"$deletedAt":"{}","#, world.now()), 1);
    let batch = workspace.store().batch().put(key, Expect::Any, Body::parse(&trashed)?);
    workspace.store().commit(batch).await?.committed()?;
    ensure_eq!(workspace.purge_session(id).await.map_err(|error| error.code()), Err("too-new"), "purging");
    ensure_eq!(said(&workspace, &read).await?, texts(0..3), "its messages are there");
    Ok(())
}

pub(super) async fn contents_that_a_later_version_may_need_are_not_swept(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    for later in [r#"{"id":"m","$content":"sha512:abc"}"#, r#"{"id":"m","$schema":2,"$pictures":["sha256:abc"]}"#] {
        let workspace = world.open().await?;
        let session = begin(&workspace).await?;
        let text = "long ".repeat(30_000);
        workspace.add_message(&session.id, workspace.message(Role::Tool, text.clone())).await?;
        let entry = NewEntry { at: world.now(), body: Body::parse(later)? };
        let other = begin(&workspace).await?;
        let batch = workspace.store().batch().append(Session::history(&other.id), vec![entry]);
        workspace.store().commit(batch).await?.committed()?;
        workspace.delete_session(&session.id).await?;
        workspace.purge_session(&session.id).await?;
        let swept = workspace.sweep_contents().await;
        ensure_eq!(swept.map_err(|error| error.code()), Err("too-new"), "a sweep with {later}");
        let known = begin(&workspace).await?;
        workspace.add_message(&known.id, workspace.message(Role::Tool, text.clone())).await?;
        ensure_eq!(content(&tail(&workspace, &known, 1).await?[0].message), text, "what can be read");
        // Without the later version's message, nothing keeps the content.
        workspace.delete_sessions(&[other.id.clone(), known.id.clone()]).await;
        workspace.purge_sessions(&[other.id, known.id]).await;
        ensure_eq!(workspace.sweep_contents().await?.removed, 1, "contents that no message needs");
    }
    Ok(())
}

pub(super) async fn an_event_of_a_later_version_is_left_out(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let cursor = workspace.events_end().await?;
    let batch = workspace.store().batch().delete(RecordKey::new(EVENT, "session.transmuted/x")?, Expect::Any);
    workspace.store().commit(batch).await?.committed()?;
    begin(&workspace).await?;
    let Events::Page { events, .. } = workspace.events(Some(&cursor), 10).await? else {
        return Err(Unmet::new("a gap"));
    };
    let names: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    ensure_eq!(names, ["session.created"], "what is told");
    Ok(())
}
