//! Restoring sessions: forks and their parents.

use std::collections::HashSet;

use nofx_core::LogScan;
use nofx_core::entity::{MessageId, Role, Session, SessionId};
use nofx_core::kind::HISTORY;
use nofx_core::workspace::{RestoreOptions, SessionState, Workspace};

use super::world::{HOUR, World, begin, content, missed, numbered, reload, said, say, tail, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

const ALL: RestoreOptions = RestoreOptions {
    conversation_history: true,
    current_task: true,
    working_directory: true,
    continue_from_last_message: true,
    summarize_history: false,
    up_to: None,
};

pub(super) async fn restoring_writes_the_same_bytes_however_long_the_history_is(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let mut written = Vec::new();
    for length in [10, 100_000] {
        let session = begin(&workspace).await?.id;
        say(&workspace, &session, 0..length).await?;
        let before = counting.counts();
        let fork = workspace.restore_session(&session, ALL).await?;
        let spent = counting.counts() - before;
        ensure_eq!((spent.committed, spent.entries), (1, 0), "commits, and messages read");
        written.push(spent.batch_bytes);
        ensure_eq!(workspace.history_length(&fork).await?, length, "the messages of the fork");
    }
    ensure!(written[1].abs_diff(written[0]) <= 64, "bytes written for 10 and for 100,000 messages: {written:?}");
    Ok(())
}

pub(super) async fn the_tail_of_a_deep_fork_costs_two_reads(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    for each in [0, 1, 7, 50, 60] {
        let mut session = begin(&workspace).await?;
        say(&workspace, &session.id, 0..200).await?;
        let mut length = 200;
        for _ in 0..50 {
            session = workspace.restore_session(&session.id, ALL).await?;
            say(&workspace, &session.id, length..length + each).await?;
            length += each;
        }
        let before = counting.counts();
        let newest = tail(&workspace, &session, 50).await?;
        let spent = counting.counts() - before;
        ensure!(spent.reading_calls() <= 2, "{} calls for the tail with {each} messages a fork", spent.reading_calls());
        ensure!(spent.entries <= 100, "{} messages read for a tail of 50", spent.entries);
        let newest: Vec<_> = newest.iter().map(|entry| content(&entry.message)).collect();
        ensure_eq!(newest, texts(length - 50..length), "the tail with {each} messages a fork");
        ensure_eq!(said(&workspace, &session).await?, texts(0..length), "all of it with {each} messages a fork");
    }
    Ok(())
}

pub(super) async fn neither_side_of_a_fork_sees_what_the_other_adds(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let parent = begin(&workspace).await?;
    say(&workspace, &parent.id, 0..5).await?;
    let child = workspace.restore_session(&parent.id, ALL).await?;
    let grandchild = {
        say(&workspace, &child.id, 100..102).await?;
        workspace.restore_session(&child.id, ALL).await?
    };
    say(&workspace, &parent.id, 5..7).await?;
    say(&workspace, &child.id, 102..104).await?;
    say(&workspace, &grandchild.id, 200..201).await?;
    ensure_eq!(said(&workspace, &parent).await?, texts(0..7), "the parent");
    ensure_eq!(said(&workspace, &child).await?, [texts(0..5), texts(100..104)].concat(), "the child");
    let expected = [texts(0..5), texts(100..102), texts(200..201)].concat();
    ensure_eq!(said(&workspace, &grandchild).await?, expected, "the grandchild");
    let newest = tail(&workspace, &grandchild, 2).await?;
    ensure_eq!(
        newest.iter().map(|entry| entry.position).collect::<Vec<_>>(),
        [6, 7],
        "places continue across the parts"
    );
    ensure_eq!(reload(&workspace, &parent.id).await?.state(world.now()), SessionState::Active, "the parent stays");
    Ok(())
}

pub(super) async fn a_fork_outlives_its_parents(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let parent = begin(&workspace).await?;
    say(&workspace, &parent.id, 0..100).await?;
    let child = workspace.restore_session(&parent.id, ALL).await?;
    say(&workspace, &child.id, 100..200).await?;
    let grandchild = workspace.restore_session(&child.id, ALL).await?;
    say(&workspace, &grandchild.id, 200..300).await?;
    let intact = async |when: &str| -> CaseResult {
        ensure_eq!(said(&workspace, &grandchild).await?, texts(0..300), "when the parents were {when}");
        Ok(())
    };
    workspace.archive_sessions(&[parent.id.clone(), child.id.clone()]).await;
    intact("archived").await?;
    workspace.delete_sessions(&[parent.id.clone(), child.id.clone()]).await;
    intact("deleted").await?;
    workspace.purge_session(&child.id).await?;
    intact("half purged").await?;
    workspace.purge_session(&parent.id).await?;
    intact("purged").await?;
    ensure_eq!(histories(&workspace).await?, 3, "logs that some session reads");
    workspace.delete_session(&grandchild.id).await?;
    workspace.purge_session(&grandchild.id).await?;
    ensure_eq!(histories(&workspace).await?, 0, "messages go with their last reader");
    Ok(())
}

async fn histories(workspace: &Workspace) -> CaseResult<usize> {
    Ok(workspace.store().backend().logs(&LogScan::of(HISTORY, 100)).await?.items.len())
}

pub(super) async fn a_fork_that_races_a_purge_is_whole_or_refused(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (one, two) = (world.open().await?, world.open().await?);
    for round in 0..40 {
        let parent = begin(&one).await?.id;
        say(&one, &parent, 0..20).await?;
        one.delete_session(&parent).await?;
        let (forking, purging) = {
            let (one, two, parent, other) = (one.clone(), two.clone(), parent.clone(), parent.clone());
            let fork = tokio::spawn(async move { one.restore_session(&parent, ALL).await });
            (fork, tokio::spawn(async move { two.purge_session(&other).await }))
        };
        let (fork, purged) = (forking.await?, purging.await?);
        purged?;
        match fork {
            Ok(fork) => ensure_eq!(said(&one, &fork).await?, texts(0..20), "the fork of round {round}"),
            Err(error) => ensure_eq!(error.code(), "not-found", "the fork of round {round}"),
        }
    }
    Ok(())
}

pub(super) async fn a_fork_stays_whole_whatever_becomes_of_its_parent(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (one, two) = (world.open().await?, world.open().await?);
    let mut forks = Vec::new();
    for round in 0..10 {
        let parent = begin(&one).await?.id;
        say(&one, &parent, 0..60).await?;
        forks.push(one.restore_session(&parent, ALL).await?);
        // One by one: sealed, moved to the trash and taken out again, removed.
        let (other, id) = (two.clone(), parent.clone());
        let ending = tokio::spawn(async move {
            // Commits may run on the only thread of the runtime: without a pause, all of them come before the first fork.
            other.archive_session(&id).await?;
            tokio::task::yield_now().await;
            other.delete_session(&id).await?;
            tokio::task::yield_now().await;
            other.undelete_session(&id).await?;
            tokio::task::yield_now().await;
            other.delete_session(&id).await?;
            tokio::task::yield_now().await;
            other.purge_session(&id).await
        });
        for _ in 0..4 {
            match one.restore_session(&parent, ALL).await {
                Ok(fork) => {
                    ensure_eq!(said(&one, &fork).await?, texts(0..60), "a fork of round {round}, at once");
                    forks.push(fork);
                }
                Err(error) => {
                    let code = error.code();
                    ensure!(
                        code == "not-found" || code == "conflict",
                        "why a fork of round {round} was refused: {code}"
                    );
                }
            }
        }
        ending.await??;
        missed(one.restore_session(&parent, ALL).await)?;
    }
    for fork in &forks {
        ensure_eq!(said(&two, fork).await?, texts(0..60), "a fork, in the end");
    }
    Ok(())
}

pub(super) async fn a_message_that_races_a_purge_is_kept_or_refused(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (one, two) = (world.open().await?, world.open().await?);
    for _ in 0..40 {
        let parent = begin(&one).await?;
        say(&one, &parent.id, 0..60).await?;
        // The messages outlive the session, because a fork reads them.
        let fork = one.restore_session(&parent.id, ALL).await?;
        let (adding, purging) = {
            let (one, two, id, other) = (one.clone(), two.clone(), parent.id.clone(), parent.id.clone());
            let message = one.message(Role::User, "late");
            let add = tokio::spawn(async move { one.add_message(&id, message).await });
            let purge = tokio::spawn(async move {
                two.delete_session(&other).await?;
                two.purge_session(&other).await
            });
            (add, purge)
        };
        let added = adding.await?;
        purging.await??;
        if let Err(error) = added {
            ensure!(["invalid", "not-found"].contains(&error.code()), "why the message was refused: {error}");
        }
        // Whatever came first, nothing can be added to a session that is gone.
        let late = one.add_message(&parent.id, one.message(Role::User, "later")).await;
        ensure!(late.is_err(), "a message for a session that was purged");
        ensure_eq!(said(&one, &fork).await?, texts(0..60), "the fork");
    }
    Ok(())
}

pub(super) async fn each_option_of_restoring_is_honoured(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let new = nofx_core::workspace::NewSession { working_directory: Some("/home/ada".into()), ..Default::default() };
    let old = workspace.create_session(&super::world::ada(), new).await?.id;
    say(&workspace, &old, 0..3).await?;
    let task = workspace.start_task(&old, "sort").await?.task;
    workspace.start_task(&old, "search").await?;
    world.clock.advance(10 * HOUR);

    let all = workspace.restore_session(&old, ALL).await?;
    ensure_eq!(said(&workspace, &all).await?, texts(0..3), "the messages");
    let tasks = workspace.tasks(&all.id).await?;
    ensure_eq!(tasks.current.map(|task| task.title), Some("search".into()), "the task at hand");
    ensure_eq!(tasks.ended, [], "tasks that ended stay where they were counted: {task:?}");
    ensure_eq!(all.working_directory, Some("/home/ada".into()), "where the agent works");
    ensure_eq!(all.state(world.now()), SessionState::Active, "it starts over");
    ensure_eq!(all.restored_from, Some(old.clone()), "what it was restored from");

    let restore = |options| workspace.restore_session(&old, options);
    let without = restore(RestoreOptions { conversation_history: false, ..ALL }).await?;
    ensure_eq!((said(&workspace, &without).await?, without.preview), (vec![], None), "without messages");
    let without = restore(RestoreOptions { current_task: false, ..ALL }).await?;
    ensure_eq!(workspace.tasks(&without.id).await?.current, None, "without the task");
    let without = restore(RestoreOptions { working_directory: false, ..ALL }).await?;
    ensure_eq!(without.working_directory, None, "without the directory");
    let fresh = restore(RestoreOptions { continue_from_last_message: false, ..ALL }).await?;
    let last = tail(&workspace, &fresh, 1).await?.pop().ok_or_else(|| Unmet::new("no messages"))?.message;
    ensure_eq!(last.role, Some(Role::System), "who says that it starts over");
    ensure!(content(&last).starts_with("[Restored from "), "what it says: {}", content(&last));
    Ok(())
}

pub(super) async fn a_summary_keeps_the_order_and_repeats_nothing(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let old = begin(&workspace).await?.id;
    let mut messages = numbered(&workspace, 0..200);
    for at in [3, 100, 160, 199] {
        messages[at].role = Some(Role::System);
    }
    workspace.add_messages(&old, messages).await?;
    let options = RestoreOptions { summarize_history: true, ..ALL };
    let short = workspace.restore_session(&old, options).await?;
    let said = said(&workspace, &short).await?;
    ensure!(said[0].starts_with("[Summary of ") && said[0].contains("200 messages"), "the summary: {}", said[0]);
    let expected = [vec!["3".to_owned(), "100".to_owned()], texts(150..200)].concat();
    ensure_eq!(said[1..], expected, "the system's messages and the newest, each once");
    let newest = tail(&workspace, &short, 100).await?;
    let ids: HashSet<Option<MessageId>> =
        newest.iter().map(|entry| entry.message.id.clone()).collect::<Vec<_>>().into_iter().collect();
    ensure_eq!(ids.len(), newest.len(), "no id twice");
    ensure_eq!(workspace.agent_totals(&short.agent_id).await?.messages, 201, "copies are not counted");
    Ok(())
}

pub(super) async fn restoring_again_and_again_keeps_names_and_ids_short(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut session: Session = begin(&workspace).await?;
    let (name, id): (_, SessionId) = (session.name.clone(), session.id.clone());
    for _ in 0..50 {
        session = workspace.restore_session(&session.id, ALL).await?;
    }
    ensure_eq!(session.name.to_string(), format!("Restored: {name}"), "the name");
    ensure!(session.id.to_string().len() <= id.to_string().len() + 8, "the id {}", session.id);
    Ok(())
}
