//! Agents: their list, totals, transcripts, checkpoints and templates.

use futures_util::TryStreamExt;
use nofx_core::entity::{Agent, AgentId, Checkpoint, Role, Template, TranscriptPart};
use nofx_core::kind::{TEMPLATE, TRANSCRIPT};
use nofx_core::workspace::{CHECKPOINTS, NewSession, RestoreOptions, Workspace};
use nofx_core::{LogKey, ScanQuery};

use super::world::{MINUTE, World, ada, begin, said, say, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn agents_are_saved_listed_changed_and_removed(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let grace = Agent::new("agent-grace", "Grace", "tester");
    workspace.save_agents(&[ada(), grace.clone()]).await?;
    workspace.save_agents(&[]).await?;
    workspace.save_agent(&ada()).await?;
    let all: Vec<_> = workspace.agents().try_collect().await?;
    ensure_eq!(all, [ada(), grace.clone()], "all agents");
    let changed = workspace.update_agent(&grace.id, |agent| agent.status = "working".into()).await?;
    ensure_eq!(changed.map(|agent| agent.status), Some("working".into()), "a change");
    ensure_eq!(workspace.update_agent(&"absent".into(), |_| ()).await?, None, "a change of an absent agent");
    ensure!(workspace.remove_agent(&grace.id).await?, "there was one");
    ensure!(!workspace.remove_agent(&grace.id).await?, "there is none any more");
    ensure_eq!((workspace.agent(&grace.id).await?, workspace.agent(&ada().id).await?), (None, Some(ada())), "one left");
    Ok(())
}

pub(super) async fn agents_and_templates_are_listed_from_one_on(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let ids: Vec<_> = (0..600).map(|n| format!("a{n:03}")).collect();
    let agents: Vec<_> = ids.iter().map(|id| Agent::new(id.as_str(), "Ada", "tester")).collect();
    workspace.save_agents(&agents).await?;
    for id in &ids[..40] {
        let mut template = template("sort");
        template.id = Some(id.as_str().into());
        workspace.save_template(&template).await?;
    }
    for (after, from) in [(None, 0), (Some("a"), 0), (Some("a010"), 11), (Some("a010x"), 11), (Some("b"), 600)] {
        let agents: Vec<_> = workspace.agents_after(after.map(AgentId::from).as_ref()).try_collect().await?;
        let agents: Vec<_> = agents.into_iter().map(|agent| agent.id.to_string()).collect();
        ensure_eq!(agents, ids[from..], "agents after {after:?}");
        let templates: Vec<_> = workspace.templates_after(after.map(Into::into).as_ref()).try_collect().await?;
        let templates: Vec<_> = templates.into_iter().filter_map(|template| template.id).collect();
        ensure_eq!(templates.len(), 40_usize.saturating_sub(from), "templates after {after:?}");
    }
    Ok(())
}

pub(super) async fn a_session_outlives_its_agent(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    workspace.save_agent(&ada()).await?;
    let session = begin(&workspace).await?;
    let task = workspace.start_task(&session.id, "sort").await?.task.id.unwrap_or_default();
    workspace.save_checkpoint(&ada().id, "hello", "hi").await?;
    workspace.remove_agent(&ada().id).await?;
    say(&workspace, &session.id, 0..3).await?;
    workspace.complete_task(&session.id, &task).await?;
    let restored = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    ensure_eq!(said(&workspace, &restored).await?, texts(0..3), "the session continues and is restored");
    let totals = workspace.agent_totals(&ada().id).await?;
    ensure_eq!((totals.sessions, totals.tasks_completed), (2, 1), "its sessions are still its own");
    workspace.save_agent(&ada()).await?;
    workspace.save_checkpoint(&ada().id, "back", "hi").await?;
    ensure_eq!(
        checkpoints(&workspace, &ada().id, CHECKPOINTS).await?.len(),
        2,
        "checkpoints of an agent that came back"
    );
    Ok(())
}

pub(super) async fn totals_are_summed_over_sessions(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut agent = ada();
    agent.tasks_completed = 7;
    workspace.save_agent(&agent).await?;
    let first = workspace.create_session(&agent, NewSession::default()).await?.id;
    say(&workspace, &first, 0..100).await?;
    for done in [true, true, false] {
        let task = workspace.start_task(&first, "task").await?.task.id.unwrap_or_default();
        match done {
            true => workspace.complete_task(&first, &task).await?,
            false => workspace.fail_task(&first, &task).await?,
        };
    }
    let fork = workspace.restore_session(&first, RestoreOptions::default()).await?.id;
    say(&workspace, &fork, 100..110).await?;
    let again = workspace.restore_session(&fork, RestoreOptions::default()).await?.id;
    world.clock.advance(MINUTE);
    workspace.start_task(&again, "one").await?;
    workspace.start_task(&again, "two").await?;
    let totals = workspace.agent_totals(&agent.id).await?;
    ensure_eq!((totals.sessions, totals.messages), (3, 110), "sessions and messages, each once");
    let tasks = (totals.tasks_completed, totals.tasks_failed, totals.tasks_interrupted);
    ensure_eq!(tasks, (9, 1, 1), "tasks completed, failed, interrupted");
    ensure_eq!(totals.last_active_at, Some(world.now()), "when something last happened");
    ensure_eq!(workspace.agent(&agent.id).await?, Some(agent), "nothing of it is stored");
    workspace.delete_session(&first).await?;
    ensure_eq!(workspace.agent_totals(&ada().id).await?.sessions, 2, "without the trash");
    Ok(())
}

fn template(prompt: &str) -> Template {
    let body = nofx_core::Body::trusted(format!(r#"{{"id":"backend","name":"Backend","systemPrompt":"{prompt}"}}"#));
    nofx_core::entity::Entity::from_body(&body).unwrap_or_else(|error| unreachable!("{error}"))
}

pub(super) async fn a_template_has_one_name_and_each_content_once(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let old = workspace.save_template(&template("old")).await?;
    let new = workspace.save_template(&template("new")).await?;
    ensure!(old != new, "contents of their own");
    let before = counting.counts();
    ensure_eq!(workspace.save_template(&template("new")).await?, new, "the digest of what is there");
    ensure_eq!((counting.counts() - before).groups, 0, "commits for what is there");
    ensure_eq!(workspace.template(&"backend".into()).await?, Some(template("new")), "the newest by its name");
    ensure_eq!(workspace.template_content(&old).await?, Some(template("old")), "an older one by its digest");
    let all: Vec<_> = workspace.templates().try_collect().await?;
    ensure_eq!(all, [template("new")], "templates by their names");
    workspace.save_template(&template("old")).await?;
    ensure_eq!(
        workspace.template(&"backend".into()).await?,
        Some(template("old")),
        "the newest is what was saved last"
    );
    let contents = workspace.store().backend().scan(&ScanQuery::of(TEMPLATE, 10)).await?.items.len();
    ensure_eq!(contents, 2, "each content once");
    ensure!(workspace.remove_template(&"backend".into()).await?, "there was one");
    ensure_eq!(workspace.template(&"backend".into()).await?, None, "no name");
    ensure_eq!(
        workspace.template_content(&new).await?,
        Some(template("new")),
        "contents stay for the sessions that use them"
    );
    Ok(())
}

pub(super) async fn a_prompt_is_its_templates_or_its_own(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut agent = ada();
    agent.template = Some(workspace.save_template(&template("You write servers.")).await?);
    let session = workspace.create_session(&agent, NewSession::default()).await?;
    workspace.save_template(&template("You write clients.")).await?;
    let prompt = workspace.system_prompt(&session).await?;
    ensure_eq!(prompt, Some("You write servers.".into()), "the template's, as it was then");
    ensure_eq!(session.system_prompt, None, "which is not kept again");
    let new = NewSession { system_prompt: Some("You sort.".into()), ..NewSession::default() };
    let session = workspace.create_session(&agent, new).await?;
    ensure_eq!(workspace.system_prompt(&session).await?, Some("You sort.".into()), "its own");
    Ok(())
}

/// Returns the newest checkpoints of an agent, oldest first; all must be readable.
async fn checkpoints(workspace: &Workspace, agent: &AgentId, count: usize) -> CaseResult<Vec<Checkpoint>> {
    let newest = workspace.checkpoints(agent, count).await?;
    Ok(newest.into_iter().collect::<nofx_core::Result<_>>()?)
}

pub(super) async fn the_newest_checkpoints_are_read_and_all_are_kept(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let agent = AgentId::from("agent-ada");
    ensure_eq!(checkpoints(&workspace, &agent, CHECKPOINTS).await?, [], "none yet");
    for n in 0..250 {
        workspace.save_checkpoint(&agent, format!("q{n}"), format!("a{n}")).await?;
    }
    let newest = checkpoints(&workspace, &agent, CHECKPOINTS).await?;
    let (first, last) = (&newest[0], &newest[newest.len() - 1]);
    ensure_eq!((newest.len(), &first.user, &last.agent), (100, &"q150".into(), &"a249".into()), "the newest hundred");
    ensure_eq!(checkpoints(&workspace, &agent, usize::MAX).await?.len(), 250, "all of them");
    Ok(())
}

pub(super) async fn a_transcript_grows_and_starts_over(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let agent = AgentId::from("agent-ada");
    ensure_eq!(workspace.transcript(&agent).await?, None, "none yet");
    workspace.append_transcript(&agent, "lost").await?;
    workspace.begin_transcript(&agent, "first\r\n--- not a line of ours ---").await?;
    world.clock.advance(MINUTE);
    workspace.append_transcript(&agent, "second").await?;
    let text = workspace.transcript(&agent).await?.ok_or_else(|| Unmet::new("no transcript"))?;
    let expected = "# Agent Session: agent-ada\n# Started: 2025-09-08T14:10:00.000Z\n\nfirst\r\n--- not a line of ours ---\n\n\
        --- 2025-09-08T14:11:00.000Z ---\nsecond";
    ensure_eq!(text, expected, "the transcript since it started over");
    let log = TranscriptPart::log(&agent);
    ensure_eq!(workspace.store().head(&log).await?.length, 3, "what came before is kept");
    Ok(())
}

pub(super) async fn a_restored_agent_gets_its_last_fifty_lines(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let agent = ada().id;
    ensure_eq!(workspace.context_summary(&agent).await?, None, "no context");
    let session = begin(&workspace).await?.id;
    say(&workspace, &session, 0..80).await?;
    workspace.add_message(&session, workspace.message(Role::Assistant, "done\nall of it")).await?;
    let told = workspace.context_summary(&agent).await?.ok_or_else(|| Unmet::new("nothing was reported"))?;
    let lines: Vec<_> = told.lines().skip(2).collect();
    ensure_eq!((lines.len(), lines[47], lines[49]), (50, "user: 79", "all of it"), "of its newest session");
    for n in 0..40 {
        workspace.append_transcript(&agent, format!("line {n}\nand more of {n}")).await?;
    }
    let told = workspace.context_summary(&agent).await?.ok_or_else(|| Unmet::new("nothing was reported"))?;
    let lines: Vec<_> = told.lines().skip(2).collect();
    ensure_eq!((lines.len(), lines[0], lines[49]), (50, "line 15", "and more of 39"), "of its transcript");
    Ok(())
}

pub(super) async fn a_list_of_agents_is_replaced_all_or_nothing(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let grace = Agent::new("agent-grace", "Grace", "tester");
    let alan = Agent::new("agent-alan", "Alan", "tester");
    workspace.save_agents(&[ada(), grace.clone()]).await?;
    let before = counting.counts();
    workspace.replace_agents(&[alan.clone(), grace.clone()]).await?;
    ensure_eq!((counting.counts() - before).groups, 1, "one commit");
    let all: Vec<_> = workspace.agents().try_collect().await?;
    ensure_eq!(all, [alan, grace.clone()], "those of the list and no others");
    let twice = workspace.replace_agents(&[ada(), ada()]).await;
    ensure!(matches!(twice, Err(nofx_core::Error::Invalid(_))), "an agent twice: {twice:?}");
    ensure_eq!(workspace.agent(&grace.id).await?, Some(grace), "nothing half done");
    workspace.replace_agents(&[]).await?;
    ensure_eq!(workspace.agents().try_collect::<Vec<_>>().await?, [], "none left");
    workspace.replace_agents(&[]).await?;
    Ok(())
}

/// An id that leaves no room for more in a key.
fn long_id() -> AgentId {
    AgentId::from("a".repeat(nofx_core::MAX_ID_BYTES))
}

pub(super) async fn what_was_removed_of_an_agent_is_gone_and_the_agent_goes_on(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, other) = (world.open().await?, world.open().await?);
    let neighbour = AgentId::from("agent-ada-2");
    workspace.append_transcript(&neighbour, "mine").await?;
    for agent in [AgentId::from("agent-ada"), long_id()] {
        ensure!(!workspace.remove_transcript(&agent).await?, "there is none yet");
        ensure!(!workspace.remove_checkpoints(&agent).await?, "there are none yet");
        for round in 0..3 {
            workspace.append_transcript(&agent, format!("first {round}")).await?;
            other.append_transcript(&agent, format!("second {round}")).await?;
            workspace.save_checkpoint(&agent, format!("q{round}"), "a").await?;
            other.save_checkpoint(&agent, format!("r{round}"), "a").await?;
            let told = other.transcript(&agent).await?.unwrap_or_default();
            let parts: Vec<_> = told.lines().filter(|line| line.contains(&round.to_string())).collect();
            ensure!(told.ends_with(&format!("second {round}")), "round {round} ends with its last part: {told}");
            ensure!(parts.contains(&format!("first {round}").as_str()), "round {round} has its first part: {told}");
            let before = round > 0 && told.contains(&format!("first {}", round - 1));
            ensure!(!before, "nothing of the round before {round}: {told}");
            let asked: Vec<_> =
                checkpoints(&other, &agent, CHECKPOINTS).await?.into_iter().map(|one| one.user.to_string()).collect();
            ensure_eq!(asked, [format!("q{round}"), format!("r{round}")], "the checkpoints of a round");
            ensure!(workspace.remove_transcript(&agent).await?, "there was one");
            ensure!(!other.remove_transcript(&agent).await?, "there is none any more");
            ensure!(other.remove_checkpoints(&agent).await?, "there were some");
            ensure_eq!(workspace.transcript(&agent).await?, None, "no transcript");
            ensure_eq!(workspace.context_summary(&agent).await?, None, "no context");
            ensure_eq!(checkpoints(&workspace, &agent, CHECKPOINTS).await?, [], "no checkpoints");
        }
    }
    ensure!(
        workspace.transcript(&neighbour).await?.is_some_and(|told| told.ends_with("mine")),
        "the neighbour's stays"
    );
    Ok(())
}

pub(super) async fn transcripts_and_checkpoints_of_all_agents_are_removed(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let agents = [ada().id, AgentId::from("agent-alan"), AgentId::from(""), long_id()];
    for round in 0..2 {
        for agent in &agents {
            workspace.append_transcript(agent, "told").await?;
            workspace.save_checkpoint(agent, "q", "a").await?;
        }
        workspace.clear_transcripts().await?;
        for agent in &agents {
            ensure_eq!(workspace.transcript(agent).await?, None, "round {round}: no transcript");
            ensure_eq!(checkpoints(&workspace, agent, CHECKPOINTS).await?.len(), 1, "round {round}: checkpoints stay");
        }
        workspace.clear_checkpoints().await?;
        for agent in &agents {
            ensure_eq!(checkpoints(&workspace, agent, CHECKPOINTS).await?, [], "round {round}: no checkpoints");
        }
    }
    Ok(())
}

pub(super) async fn a_copy_goes_on_where_the_removed_log_is_not_known(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let (store, agent) = (workspace.store(), ada().id);
    // What a copy has of a transcript that was removed and continued.
    let log = |number: u32| LogKey::new(TRANSCRIPT, format!("{agent}\u{1}{number:08}"));
    let part = store.entry(&TranscriptPart::new(Some(world.now()), "first"))?;
    let batch = store.batch().seal(log(1)?).append(log(2)?, vec![part]);
    store.commit(batch).await?.committed()?;
    for content in ["second", "third"] {
        workspace.append_transcript(&agent, content).await?;
    }
    let told = workspace.transcript(&agent).await?.unwrap_or_default();
    let parts: Vec<_> = told.lines().filter(|line| ["first", "second", "third"].contains(line)).collect();
    ensure_eq!(parts, ["first", "second", "third"], "the parts in their order");
    ensure!(workspace.remove_transcript(&agent).await?, "there was one");
    ensure_eq!(workspace.transcript(&agent).await?, None, "no transcript");
    Ok(())
}
