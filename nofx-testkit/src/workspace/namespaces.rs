//! Several sets of sessions in one store.

use futures_util::TryStreamExt;
use nofx_core::entity::{Agent, AgentId, OrchestrationMessage, Role, Session, SessionId};
use nofx_core::workspace::{
    Event, EventKind, Events, ImportAs, NewSession, OrchestrationFilter, RestoreOptions, RetentionPolicy, SearchQuery,
    SessionFilter, Workspace,
};
use nofx_core::{Cursor, Direction};

use super::world::{DAY, HOUR, World, ada, begin, missed, refused, reload, said, say, tail, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

async fn listed(workspace: &Workspace, trash: bool) -> CaseResult<Vec<SessionId>> {
    let filter = SessionFilter { trash, ..SessionFilter::default() };
    let page = workspace.summaries(&filter, None, 100).await?;
    ensure_eq!(page.unreadable.len(), 0, "what cannot be read");
    let mut ids: Vec<_> = page.items.into_iter().map(|one| one.session.id).collect();
    ids.sort();
    Ok(ids)
}

async fn found(workspace: &Workspace, word: &str) -> CaseResult<Vec<SessionId>> {
    let query = SearchQuery { words: vec![word.into()], ..SearchQuery::default() };
    let hits: Vec<_> = workspace.search(query).await?.try_collect().await?;
    Ok(hits.into_iter().map(|hit| hit.session).collect())
}

async fn events_since(workspace: &Workspace, cursor: &Cursor) -> CaseResult<Vec<Event>> {
    match workspace.events(Some(cursor), 1000).await? {
        Events::Page { events, .. } => Ok(events),
        Events::Gap { .. } => Err(Unmet::new("a gap in the feed")),
    }
}

pub(super) async fn each_namespace_lists_its_own_sessions(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let default = world.open().await?;
    let (chat, tools) = (default.namespace("chat")?, default.namespace("tools.v2")?);
    let all = [&default, &chat, &tools];
    let cursor = default.events_end().await?;
    let mut sessions = Vec::new();
    for (at, workspace) in all.into_iter().enumerate() {
        let session = begin(workspace).await?;
        say(workspace, &session.id, 0..3).await?;
        workspace.add_message(&session.id, workspace.message(Role::User, format!("needle {at}"))).await?;
        workspace.start_task(&session.id, "sort").await?;
        sessions.push(session);
    }
    for (at, workspace) in all.into_iter().enumerate() {
        let own = &sessions[at].id;
        ensure_eq!(listed(workspace, false).await?, vec![own.clone()], "the list of {at}");
        ensure_eq!(found(workspace, "needle").await?, vec![own.clone()], "what is found in {at}");
        let agent = SessionFilter { agent: Some(ada().id), ..SessionFilter::default() };
        ensure_eq!(workspace.summaries(&agent, None, 10).await?.items.len(), 1, "by its agent in {at}");
        let totals = workspace.agent_totals(&ada().id).await?;
        ensure_eq!((totals.sessions, totals.messages), (1, 4), "the totals in {at}");
        let told = events_since(workspace, &cursor).await?;
        ensure!(told.iter().all(|event| event.session.as_ref() == Some(own)), "the events in {at}: {told:?}");
        let kinds: Vec<_> = told.iter().map(|event| event.kind).collect();
        use EventKind::{MessageAdded, SessionCreated, TaskStarted};
        ensure_eq!(kinds, [SessionCreated, MessageAdded, MessageAdded, TaskStarted], "the events in {at}");
        ensure_eq!(workspace.stats().await?.sessions, 3, "statistics are about all");
        for (other, session) in sessions.iter().enumerate().filter(|(other, _)| *other != at) {
            let id = &session.id;
            ensure_eq!(workspace.session(id).await?, None, "{other} from {at}");
            ensure_eq!(workspace.summary(id).await?, None, "{other} from {at}");
            missed(workspace.add_message(id, workspace.message(Role::User, "x")).await)?;
            missed(workspace.rename_session(id, "x").await)?;
            missed(workspace.archive_session(id).await)?;
            missed(workspace.restore_session(id, RestoreOptions::default()).await)?;
            missed(workspace.rewind_session(id, 0, 4).await)?;
            missed(workspace.delete_session(id).await)?;
            missed(workspace.purge_live_session(id).await)?;
            missed(workspace.start_task(id, "x").await)?;
            missed(workspace.session_writer(id).await)?;
            missed(workspace.export_json(id).await.map(drop))?;
        }
    }

    // Everything that moves a session moves it within its namespace.
    let id = &sessions[1].id;
    let fork = chat.restore_session(id, RestoreOptions::default()).await?;
    ensure_eq!(fork.namespace, Some("chat".into()), "a fork");
    chat.rewind_session(id, 2, 4).await?;
    chat.pause_session(id).await?;
    ensure_eq!(chat.resume_session(id).await?.namespace, Some("chat".into()), "resumed");
    chat.archive_session(&fork.id).await?;
    refused(chat.update_session(id, |session| session.namespace = None).await)?;
    chat.delete_session(id).await?;
    ensure_eq!(listed(&chat, true).await?, vec![id.clone()], "its trash");
    ensure_eq!((listed(&default, true).await?, listed(&tools, true).await?), (vec![], vec![]), "the others' trash");
    let json: String = chat.export_json(&fork.id).await?.try_collect::<Vec<_>>().await?.concat();
    ensure!(!json.contains("namespace"), "an export is of none");
    refused(tools.import_session(&json, ImportAs::Itself).await)?;
    let imported = tools.import_session(&json, ImportAs::New).await?;
    ensure_eq!(said(&tools, &imported).await?[..3], texts(0..3), "an import into another one");
    ensure_eq!(listed(&tools, false).await?.len(), 2, "where it is listed");
    let cursor = default.events_end().await?;
    chat.purge_session(id).await?;
    ensure_eq!(events_since(&default, &cursor).await?, [], "a purge elsewhere");
    let purged: Vec<_> =
        events_since(&chat, &cursor).await?.into_iter().map(|event| (event.kind, event.session)).collect();
    ensure_eq!(purged, [(EventKind::SessionPurged, Some(id.clone()))], "a purge here");
    ensure_eq!(said(&chat, &reload(&chat, &fork.id).await?).await?.len(), 4, "what a fork reads of it");
    let other = world.open().await?.namespace("chat")?;
    ensure_eq!(listed(&other, false).await?, [fork.id], "another handle on the namespace");
    Ok(())
}

pub(super) async fn keys_agents_and_the_log_between_agents_belong_to_one(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let default = world.open().await?;
    let (chat, tools) = (default.namespace("chat")?, default.namespace("tools")?);
    let long: AgentId = "a".repeat(500).into();
    let mut opened = Vec::new();
    for (name, workspace) in [("default", &default), ("chat", &chat), ("tools", &tools)] {
        opened.push(workspace.open_session("thread", &ada(), NewSession::default()).await?);
        for id in [AgentId::from("ada"), "chat/ada".into(), long.clone()] {
            workspace.save_agent(&Agent::new(id.clone(), name, "t")).await?;
            workspace.append_transcript(&id, format!("said in {name}")).await?;
            workspace.save_checkpoint(&id, "asked", format!("answered in {name}")).await?;
        }
        let message = OrchestrationMessage::new(name, world.now(), name);
        workspace.save_orchestration(message).await?;
    }
    ensure!(opened.iter().all(|one| one.created), "each has a session under the key: {opened:?}");
    for (name, workspace) in [("default", &default), ("chat", &chat), ("tools", &tools)] {
        let agents: Vec<Agent> = workspace.agents().try_collect().await?;
        ensure_eq!(agents.len(), 3, "agents of {name}");
        ensure!(agents.iter().all(|agent| agent.name == name), "agents of {name}: {agents:?}");
        let agent = workspace.update_agent(&"ada".into(), |agent| agent.status = "working".into()).await?;
        ensure_eq!(agent.map(|agent| agent.name), Some(name.into()), "an agent of {name}");
        for id in ["ada".into(), long.clone()] {
            let transcript = workspace.transcript(&id).await?.unwrap_or_default();
            let others = transcript.matches("said in").count();
            ensure!(others == 1 && transcript.contains(&format!("said in {name}")), "{name}: {transcript}");
            let checkpoints = workspace.checkpoints(&id, 10).await?;
            ensure_eq!(checkpoints.len(), 1, "checkpoints of {name}");
        }
        let history = workspace.orchestration_history(OrchestrationFilter::default()).await?;
        let kinds: Vec<_> = history.try_collect::<Vec<_>>().await?.into_iter().map(|one| one.kind).collect();
        ensure_eq!(kinds, [name], "messages between agents of {name}");
        ensure_eq!(workspace.orchestration_stats().await?.messages, 1, "how many {name} has");
    }
    let stats = chat.stats().await?;
    ensure_eq!((stats.agents, stats.orchestration.messages), (9, 3), "statistics are about all");

    let cursor = default.events_end().await?;
    chat.replace_agents(&[Agent::new("ben", "Ben", "t")]).await?;
    chat.clear_transcripts().await?;
    chat.remove_checkpoints(&"ada".into()).await?;
    chat.clear_orchestration().await?;
    ensure_eq!(chat.transcript(&long).await?, None, "its transcripts");
    for workspace in [&default, &tools] {
        ensure_eq!(workspace.agents().try_collect::<Vec<_>>().await?.len(), 3, "the others' agents");
        ensure!(workspace.transcript(&long).await?.is_some(), "the others' transcripts");
        ensure_eq!(workspace.checkpoints(&"ada".into(), 10).await?.len(), 1, "the others' checkpoints");
        ensure_eq!(workspace.orchestration_stats().await?.messages, 1, "the others' messages between agents");
    }
    chat.append_transcript(&"ada".into(), "again").await?;
    ensure!(chat.transcript(&"ada".into()).await?.is_some_and(|text| text.contains("again")), "it goes on");
    let agents: Vec<_> = events_since(&chat, &cursor).await?.into_iter().filter_map(|event| event.agent).collect();
    ensure!(agents.contains(&"ben".into()), "the events of agents: {agents:?}");
    ensure!(
        events_since(&default, &cursor).await?.iter().all(|event| event.agent.is_none()),
        "and to the others nothing"
    );
    chat.purge_live_session(&opened[1].session.id).await?;
    ensure_eq!(chat.session_by_key("thread").await?, None, "its key is free");
    ensure!(default.session_by_key("thread").await?.is_some(), "that of the default one is not");
    Ok(())
}

pub(super) async fn expiry_and_cleanup_act_on_one(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let default = world.open().await?;
    let chat = default.namespace("chat")?;
    let (one, other) = (begin(&default).await?.id, begin(&chat).await?.id);
    for workspace in [&default, &chat] {
        workspace.save_orchestration(OrchestrationMessage::new("m", world.now(), "t")).await?;
    }
    world.clock.advance(6 * HOUR);
    let ended = chat.expiry_watch().poll().await?;
    ensure_eq!(
        ended.into_iter().map(|event| event.session.id).collect::<Vec<_>>(),
        vec![other.clone()],
        "what has ended"
    );
    let ended = default.expiry_watch().poll().await?;
    ensure_eq!(ended.into_iter().map(|event| event.session.id).collect::<Vec<_>>(), vec![one.clone()], "and elsewhere");
    world.clock.advance(40 * DAY);
    let policy = RetentionPolicy { delete_after: Some(DAY), ..RetentionPolicy::default() };
    let done = chat.cleanup(&chat.cleanup_plan(&policy).await?).await?;
    ensure_eq!((done.deleted, done.left.len()), (1, 0), "a cleanup");
    ensure_eq!((listed(&chat, false).await?, listed(&default, false).await?), (vec![], vec![one]), "what is left");
    world.clock.advance(40 * DAY);
    let plan = default.cleanup_plan(&policy).await?;
    ensure_eq!((plan.delete.len(), plan.purge.len()), (1, 0), "a plan of the default one");
    let plan = chat.cleanup_plan(&policy).await?;
    ensure_eq!(plan.purge.iter().map(|one| one.session.id.clone()).collect::<Vec<_>>(), [other], "its trash");
    Ok(())
}

pub(super) async fn what_is_elsewhere_is_not_seen_without_namespaces(subject: Subject) -> CaseResult {
    use nofx_core::entity::Entity;
    use nofx_core::kind::{ACTIVITY, AGENT, ORCHESTRATION, TRANSCRIPT};
    use nofx_core::{LogScan, ScanQuery};
    let world = World::new(subject);
    let default = world.open().await?;
    for name in ["", "A", "a b", "a/b", "ä", "\u{1}", &"a".repeat(65)] {
        let why = refused(default.namespace(name))?;
        ensure!(why.contains("namespace"), "why: {why}");
    }
    let chat = default.namespace(&"a".repeat(64))?;
    let session: Session = begin(&chat).await?;
    say(&chat, &session.id, 0..3).await?;
    chat.save_agent(&ada()).await?;
    chat.append_transcript(&ada().id, "text").await?;
    chat.save_orchestration(OrchestrationMessage::new("m", world.now(), "t")).await?;
    ensure_eq!(session.schema(), 2, "a version without namespaces leaves it alone");
    // What such a version asks for.
    let store = default.store().backend().clone();
    for prefix in ["live/", "trash/"] {
        let rows = store.scan(&ScanQuery::of(ACTIVITY, 10).prefixed(prefix)).await?;
        ensure_eq!(rows.items, [], "rows of a list");
    }
    ensure_eq!(store.scan(&ScanQuery::of(AGENT, 10)).await?.items, [], "agents");
    for kind in [ORCHESTRATION, TRANSCRIPT] {
        ensure_eq!(store.logs(&LogScan::of(kind, 10)).await?.items, [], "logs");
    }
    let history = chat.history(&session, 0..10, Direction::Forward, None);
    ensure_eq!(history.try_collect::<Vec<_>>().await?.len(), 3, "its messages");
    ensure_eq!(tail(&chat, &session, 1).await?.len(), 1, "the newest");
    Ok(())
}
