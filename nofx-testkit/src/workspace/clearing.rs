//! Removing everything that a store holds.

use futures_util::TryStreamExt;
use nofx_core::entity::{
    Attachment, Entity, OrchestrationMessage, RecordEntity, Role, Session, Template, TemplateDigest,
};
use nofx_core::json::Object;
use nofx_core::kind::{ATTACHMENT, IMPORT, PAYLOAD, SESSION, TEMPLATE, TOMBSTONE};
use nofx_core::workspace::{ImportAs, NewSession, RestoreOptions, Workspace};
use nofx_core::{Body, Expect, LogScan, NewEntry, RecordKey, ScanQuery};

use super::world::{World, ada, begin, refused, say};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

fn template(name: &str) -> CaseResult<Template> {
    let text = format!(r#"{{"name":"{name}","systemPrompt":"You are {name}."}}"#);
    Ok(Template::from_object(Object::parse(&text).map_err(|error| Unmet::new(error.to_string()))?))
}

/// Gives a namespace one of everything that belongs to it; returns its session.
async fn fill(world: &World, workspace: &Workspace) -> CaseResult<Session> {
    let mut agent = ada();
    agent.template = Some(workspace.save_template(&template("nameless")?).await?);
    workspace.save_agent(&agent).await?;
    let session = workspace.open_session("key", &agent, NewSession::default()).await?.session;
    say(workspace, &session.id, 0..60).await?;
    workspace.add_message(&session.id, workspace.message(Role::Tool, "long ".repeat(30_000))).await?;
    workspace.rewind_session(&session.id, 55, 61).await?;
    workspace.start_task(&session.id, "task").await?;
    let fork = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    workspace.archive_session(&fork.id).await?;
    workspace.delete_session(&fork.id).await?;
    workspace.append_transcript(&agent.id, "line").await?;
    workspace.save_checkpoint(&agent.id, "question", "answer").await?;
    workspace.save_orchestration(OrchestrationMessage::new("m", world.now(), "status")).await?;
    Ok(session)
}

/// Returns the names of what the store holds; of logs, only those with entries.
async fn held(workspace: &Workspace) -> CaseResult<Vec<String>> {
    let mut names = Vec::new();
    let mut records = workspace.store().scan(ScanQuery::all(99));
    while let Some(record) = records.try_next().await? {
        names.push(record.key.kind().to_string());
    }
    let mut heads = workspace.store().logs(LogScan::all(99));
    while let Some(head) = heads.try_next().await? {
        if head.length > 0 {
            names.push(head.log.kind().to_string());
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

pub(super) async fn everything_goes_for_good_and_stays_away(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = fill(&world, &workspace).await?;
    let exported: Vec<String> = workspace.export_json(&session.id).await?.try_collect().await?;
    fill(&world, &workspace.namespace("bots")?).await?;
    let records = workspace.records("lang")?;
    let entries = vec![NewEntry { at: world.now(), body: Body::parse("1")? }];
    let own = records.batch().put(records.key("k", "a")?, Expect::Any, Body::parse("1")?);
    records.commit(own.append(records.log("l", "a")?, entries)).await?.committed()?;
    let kept = Attachment::new("notes.txt", 2, "ab".repeat(32));
    let batch = workspace.store().batch().put(kept.key(), Expect::Any, kept.to_body()?);
    let batch = batch.put(
        RecordKey::new(PAYLOAD, format!("{}/0", kept.sha256))?,
        Expect::Any,
        Body::parse(r#"{"utf8":"hi"}"#)?,
    );
    let file = RecordKey::new(IMPORT, "notes.txt")?;
    workspace.store().commit(batch.put(file.clone(), Expect::Any, Body::parse("{}")?)).await?.committed()?;

    let cleared = workspace.clear_all().await?;
    ensure!(cleared.left.is_empty(), "left: {:?}", cleared.left);
    ensure_eq!(cleared.sessions, 4, "sessions of both namespaces, with those in the trash");
    ensure_eq!(held(&workspace).await?, [IMPORT.as_str(), TOMBSTONE.as_str()], "what is left");
    ensure_eq!(workspace.stats().await?.sessions, 0, "sessions");
    refused(workspace.import_session(&exported.concat(), ImportAs::Itself).await)?;

    // It continues as a new store, and once more.
    for handle in [&workspace, &world.open().await?, &workspace.namespace("bots")?] {
        let again = fill(&world, handle).await?;
        ensure!(again.id != session.id, "an id of its own");
        ensure_eq!(handle.orchestration_stats().await?.messages, 1, "messages between agents");
        ensure!(handle.transcript(&ada().id).await?.is_some_and(|text| text.ends_with("line")), "a transcript");
        ensure_eq!(workspace.clear_all().await?.sessions, 2, "cleared again");
    }
    ensure_eq!(workspace.clear_all().await?.sessions, 0, "of an empty store");
    ensure!(
        refused(workspace.operation("x")?.clear_all().await)?.contains("does not support operations"),
        "in an operation"
    );
    Ok(())
}

pub(super) async fn what_cannot_be_read_is_left_with_what_it_needs(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let damaged = fill(&world, &workspace).await?;
    let whole = begin(&workspace).await?;
    let later = begin(&workspace).await?;
    let mut object = later.to_object();
    object.set("$schema", "99");
    let body = Body::parse(&object.to_json())?;
    workspace.store().commit(workspace.store().batch().put(later.key(), Expect::Any, body)).await?.committed()?;
    damaging.damage_record(damaged.key());

    let cleared = workspace.clear_all().await?;
    let told: Vec<_> = cleared.left.iter().map(|error| (error.code(), error.to_string())).collect();
    ensure!(told.iter().any(|(code, what)| *code == "corrupt" && what.contains(&damaged.id.to_string())), "{told:?}");
    ensure!(told.iter().any(|(code, _)| *code == "too-new"), "{told:?}");
    ensure_eq!(told.len(), 2, "{told:?}");
    ensure_eq!(workspace.session(&whole.id).await?, None, "one that can be read");
    ensure!(workspace.session(&later.id).await?.is_some(), "one that a later version wrote");
    ensure_eq!(workspace.store().head(&Session::history(&damaged.id)).await?.length, 61, "its messages");
    let digest: TemplateDigest = template("nameless")?.digest();
    ensure!(workspace.template_content(&digest).await?.is_some(), "the template that it may need");
    let left = held(&world.open().await?).await?;
    ensure!(
        left.iter().any(|kind| kind == SESSION.as_str()) && left.iter().any(|kind| kind == TEMPLATE.as_str()),
        "{left:?}"
    );
    ensure!(
        !left.iter().any(|kind| kind == ATTACHMENT.as_str() || kind == "agent" || kind == "transcript"),
        "{left:?}"
    );
    Ok(())
}
