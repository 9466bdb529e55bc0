//! Repeating calls under the id of an operation.

use std::time::Duration;

use nofx_core::entity::{Agent, OrchestrationMessage, Role, Template};
use nofx_core::json::Object;
use nofx_core::workspace::{Appended, NewSession, RestoreOptions, RetentionPolicy, SessionFilter, Workspace};

use super::world::{MINUTE, World, ada, begin, missed, refused, reload, said, say, texts};
use crate::decorators::Fault;
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

fn object(json: &str) -> CaseResult<Object> {
    Object::parse(json).map_err(|error| Unmet::new(error.to_string()))
}

pub(super) async fn what_is_repeated_happens_once_and_answers_the_same(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (here, there) = (world.open().await?, world.open().await?);
    let (one, again) = (here.operation("op-1")?, there.operation("op-1")?);
    let new = NewSession { name: Some("first".into()), ..NewSession::default() };
    let session = one.create_session(&ada(), new).await?;
    world.clock.advance(MINUTE);
    let other = NewSession { name: Some("other".into()), ..NewSession::default() };
    let ben = Agent::new("ben", "Ben", "t");
    ensure_eq!(again.create_session(&ben, other).await?, session, "created again, whatever is said of it");
    ensure_eq!(here.stats().await?.sessions, 1, "sessions");
    let id = &session.id;
    let message = |text: &str| here.message(Role::User, text);
    ensure_eq!(one.add_message(id, message("a")).await?, 0, "a message");
    say(&here, id, 10..12).await?;
    ensure_eq!(again.add_message(id, message("b")).await?, 0, "again");
    ensure_eq!(said(&here, &session).await?.len(), 3, "messages");
    ensure!(matches!(one.append_at(id, 3, vec![message("c")]).await?, Appended::Done(3)), "after what was seen");
    ensure!(matches!(again.append_at(id, 3, vec![message("c")]).await?, Appended::Done(3)), "again");

    here.start_task(id, "before").await?;
    let started = one.start_task(id, "sort").await?;
    ensure!(started.interrupted.is_some(), "what was worked on");
    ensure_eq!(again.start_task(id, "other").await?, started, "started again");
    let task = started.task.id.clone().ok_or_else(|| Unmet::new("no id"))?;
    let done = one.complete_task(id, &task).await?;
    here.start_task(id, "after").await?;
    ensure_eq!(again.complete_task(id, &task).await?, done, "completed again, though another is worked on");
    ensure_eq!(here.tasks(id).await?.ended.len(), 2, "tasks that ended");

    let fork = one.restore_session(id, RestoreOptions::default()).await?;
    say(&here, id, 20..21).await?;
    ensure_eq!(again.restore_session(id, RestoreOptions::default()).await?, fork, "restored again");
    ensure_eq!(said(&here, &fork).await?.len(), 4, "what it began with");
    let length = here.history_length(&reload(&here, id).await?).await?;
    let rewound = one.rewind_session(id, 1, length).await?;
    ensure_eq!(again.rewind_session(id, 1, length).await?, rewound, "rewound again, though it has not that many now");
    say(&here, id, 30..31).await?;
    again.rewind_session(id, 1, length).await?;
    ensure_eq!(said(&here, &reload(&here, id).await?).await?, [vec!["a".to_owned()], texts(30..31)].concat(), "all");

    one.rename_session(id, "renamed").await?;
    here.rename_session(id, "later").await?;
    ensure_eq!(again.rename_session(id, "renamed").await?.name, "later", "what was changed since stays");
    one.update_metadata(id, &object(r#"{"n":1}"#)?).await?;
    here.update_metadata(id, &object(r#"{"n":2}"#)?).await?;
    again.update_metadata(id, &object(r#"{"n":1}"#)?).await?;
    let n = reload(&here, id).await?.metadata.and_then(|metadata| metadata.read::<u64>("n"));
    ensure_eq!(n, Some(2), "metadata that was changed since");
    let opened = one.open_session("thread", &ada(), NewSession::default()).await?;
    ensure_eq!(again.open_session("thread", &ada(), NewSession::default()).await?, opened, "opened again");
    ensure!(opened.created, "and it was created");
    one.delete_session(id).await?;
    here.undelete_session(id).await?;
    ensure_eq!(again.delete_session(id).await?.deleted_at, None, "deleted once, and taken out since");
    one.purge_live_session(&fork.id).await?;
    again.purge_live_session(&fork.id).await?;
    missed(here.purge_live_session(&fork.id).await)?;
    missed(again.restore_session(id, RestoreOptions::default()).await)?;
    Ok(())
}

pub(super) async fn agents_and_what_belongs_to_them_are_written_once(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (here, there) = (world.open().await?, world.open().await?);
    let (one, again) = (here.operation("op-1")?, there.operation("op-1")?);
    let id = &ada().id;
    one.save_agent(&ada()).await?;
    here.update_agent(id, |agent| agent.status = "working".into()).await?;
    again.save_agent(&ada()).await?;
    ensure_eq!(here.agent(id).await?.map(|agent| agent.status), Some("working".into()), "what was changed since");
    for workspace in [&one, &again] {
        workspace.append_transcript(id, "said").await?;
        workspace.save_checkpoint(id, "asked", "answered").await?;
        workspace.save_orchestration(OrchestrationMessage::new("m", world.now(), "t")).await?;
    }
    ensure_eq!(here.checkpoints(id, 10).await?.len(), 1, "checkpoints");
    ensure_eq!(here.orchestration_stats().await?.messages, 1, "messages between agents");
    here.save_orchestration(OrchestrationMessage::new("m2", world.now(), "t")).await?;
    again.save_orchestration(OrchestrationMessage::new("m", world.now(), "t")).await?;
    ensure_eq!(here.orchestration_stats().await?.messages, 2, "messages between agents");
    let transcript = here.transcript(id).await?.unwrap_or_default();
    ensure_eq!(transcript.matches("said").count(), 1, "the transcript {transcript}");
    ensure!(one.remove_transcript(id).await?, "removed");
    here.append_transcript(id, "again").await?;
    ensure!(again.remove_transcript(id).await?, "removed again");
    again.append_transcript(id, "said").await?;
    let transcript = here.transcript(id).await?.unwrap_or_default();
    ensure!(transcript.contains("again") && !transcript.contains("said"), "what came since stays: {transcript}");
    let template: Template = nofx_core::entity::Entity::from_object(object(r#"{"id":"t","name":"T"}"#)?);
    let digest = one.save_template(&template).await?;
    ensure!(here.remove_template(&"t".into()).await?, "a template");
    ensure_eq!(again.save_template(&template).await?, digest, "saved again");
    ensure_eq!(here.template(&"t".into()).await?, None, "it stays removed");
    ensure!(one.remove_agent(id).await?, "removed");
    here.save_agent(&ada()).await?;
    ensure!(again.remove_agent(id).await?, "removed again");
    ensure!(here.agent(id).await?.is_some(), "saved since");
    Ok(())
}

pub(super) async fn operations_are_told_apart(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let chat = workspace.namespace("chat")?;
    let mut ids = std::collections::BTreeSet::new();
    for operation in [workspace.operation("a")?, workspace.operation("b")?, chat.operation("a")?] {
        for _ in 0..2 {
            ids.insert(operation.create_session(&ada(), NewSession::default()).await?.id);
        }
    }
    ensure_eq!(ids.len(), 3, "sessions of three operations");
    let plain = begin(&workspace).await?;
    ensure!(!ids.contains(&plain.id) && begin(&workspace).await?.id != plain.id, "what is in none happens each time");
    // A call that was refused, or that changed nothing, is not remembered.
    let id = &plain.id;
    let operation = workspace.operation("c")?;
    workspace.archive_session(id).await?;
    refused(operation.add_message(id, workspace.message(Role::User, "late")).await)?;
    missed(operation.rename_session(&"absent".into(), "x").await)?;
    operation.rename_session(id, "renamed").await?;
    ensure_eq!(reload(&workspace, id).await?.name, "renamed", "what is possible now");
    refused(workspace.operation(""))?;
    refused(workspace.operation(&"x".repeat(513)))?;
    let refusals = operation.archive_sessions(&[id.clone(), id.clone()]).await;
    ensure_eq!(refusals.len(), 2, "a result each");
    for result in refusals {
        refused(result)?;
    }
    refused(operation.cleanup(&workspace.cleanup_plan(&RetentionPolicy::default()).await?).await)?;
    refused(operation.sweep_contents().await)?;
    refused(operation.clear_transcripts().await)?;
    refused(operation.clear_orchestration().await)?;
    refused(operation.import_session("{}", Default::default()).await)?;
    Ok(())
}

pub(super) async fn all_who_do_one_operation_at_once_get_one_result(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let handles = [world.open().await?, world.open().await?];
    let session = begin(&handles[0]).await?.id;
    for round in 0..30 {
        let begun = handles.clone().map(|workspace: Workspace| {
            let session = session.clone();
            tokio::spawn(async move {
                let operation = workspace.operation(&format!("op-{round}"))?;
                let created = operation.create_session(&ada(), NewSession::default()).await?;
                let message = workspace.message(Role::User, "once");
                let position = operation.add_message(&session, message).await?;
                let started = operation.start_task(&session, "once").await?;
                Ok::<_, nofx_core::Error>((created, position, started.task))
            })
        });
        let mut results = Vec::new();
        for one in begun {
            results.push(one.await??);
        }
        ensure_eq!(results[0], results[1], "what both got in round {round}");
        ensure_eq!(results[0].1, round, "where the message is");
    }
    ensure_eq!(handles[0].summaries(&SessionFilter::default(), None, 100).await?.items.len(), 31, "sessions");
    ensure_eq!(handles[1].tasks(&session).await?.ended.len(), 29, "tasks");
    Ok(())
}

/// How long a call waits after it has asked whether its operation happened, so that another one commits first.
const LATE: Duration = Duration::from_millis(100);

pub(super) async fn a_caller_overtaken_by_the_same_operation_gets_its_result(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let first = world.open().await?;
    let (second, late) = world.faulty().await?;
    // One call asks whether its operation happened, and learns that it did not; only then does the other one happen.
    macro_rules! both {
        ($what:literal, $one:ident => $call:expr) => {{
            late.on_commits([Fault::Delay(LATE)]);
            let slow = async {
                let $one = second.operation($what)?;
                $call.await
            };
            let fast = async {
                let $one = first.operation($what)?;
                $call.await
            };
            let (slow, fast) = futures_util::future::join(slow, fast).await;
            let fast = fast?;
            ensure_eq!(slow?, fast, "what both got: {}", $what);
            fast
        }};
    }
    let session = both!("begin", one => one.create_session(&ada(), NewSession::default()));
    let id = &session.id;
    both!("say", one => one.add_messages(id, vec![first.message(Role::User, "once"), first.message(Role::User, "both")]));
    let behind = both!("say behind", one => async {
        let message = vec![first.message(Role::User, "behind")];
        Ok::<_, nofx_core::Error>(matches!(one.append_at(id, 2, message).await?, Appended::Done(2)))
    });
    ensure!(behind, "said after what was seen");
    let task = both!("start", one => one.start_task(id, "sort")).task.id.ok_or_else(|| Unmet::new("no id"))?;
    both!("complete", one => one.complete_task(id, &task));
    let fork = both!("fork", one => one.restore_session(id, RestoreOptions::default())).id;
    let length = first.history_length(&reload(&first, id).await?).await?;
    both!("rewind", one => one.rewind_session(id, 1, length));
    both!("rename", one => one.rename_session(id, "renamed"));
    both!("key", one => one.open_session("thread", &ada(), NewSession::default()));
    both!("pause", one => one.pause_session(id));
    both!("resume", one => one.resume_session(id));
    both!("archive", one => one.archive_session(id));
    both!("delete", one => one.delete_session(id));
    both!("undelete", one => one.undelete_session(id));
    both!("purge", one => one.purge_live_session(&fork));
    let agent = &ada().id;
    both!("save an agent", one => one.save_agent(&ada()));
    both!("remove an agent", one => one.remove_agent(agent));
    both!("write", one => one.append_transcript(agent, "line"));
    ensure!(both!("remove", one => one.remove_transcript(agent)), "removed");
    let template: Template = nofx_core::entity::Entity::from_object(object(r#"{"id":"t","name":"T"}"#)?);
    both!("save a template", one => one.save_template(&template));
    ensure!(both!("remove a template", one => one.remove_template(&"t".into())), "removed");
    ensure_eq!(late.pending(), 0, "calls that asked nothing");
    ensure_eq!(said(&first, &reload(&first, id).await?).await?, ["once"], "what was said once and rewound once");
    ensure_eq!(first.tasks(id).await?.ended.len(), 1, "tasks that ended");
    Ok(())
}
