//! Tasks in long logs, and in logs that other versions wrote.

use nofx_core::entity::{Session, SessionId, Slot, Task, TaskStatus};
use nofx_core::workspace::{RestoreOptions, TaskPlace, Workspace};

use super::world::{World, begin, reload};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// Adds ended tasks, as an import does.
async fn fill(workspace: &Workspace, session: &SessionId, numbers: std::ops::Range<u64>) -> CaseResult {
    for some in numbers.collect::<Vec<_>>().chunks(5000) {
        let ended = some.iter().map(|n| {
            let mut task = Task::new(format!("task-{n}"), "done", Default::default());
            task.status = Some(TaskStatus::Completed);
            task.slot = Some(Slot::Completed);
            task
        });
        workspace.store().append(&Session::tasks(session), None, &ended.collect::<Vec<_>>()).await?;
    }
    Ok(())
}

fn id(task: &Task) -> CaseResult<&nofx_core::entity::TaskId> {
    task.id.as_ref().ok_or_else(|| Unmet::new("a task without an id"))
}

pub(super) async fn starting_and_ending_a_task_costs_the_same_in_a_longer_log(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let session = begin(&workspace).await?.id;
    let mut length = 0;
    for size in [10, 1_000, 100_000] {
        fill(&workspace, &session, length..size).await?;
        length = size;
        // The first one after an import reads them all.
        workspace.start_task(&session, "begin").await?;
        let before = counting.counts();
        let started = workspace.start_task(&session, "go on").await?;
        let start = (counting.counts() - before).reading_calls();
        let before = counting.counts();
        workspace.complete_task(&session, id(&started.task)?).await?;
        let end = (counting.counts() - before).reading_calls();
        println!("{size:>8}  start {start}  end {end}");
        ensure!(start <= 4 && end <= 4, "{start} reads to start a task and {end} to end it among {size}");
        ensure!(started.interrupted.is_some(), "what was interrupted");
    }
    ensure_eq!(workspace.tasks(&session).await?.current, None, "nothing is worked on");
    Ok(())
}

pub(super) async fn what_is_worked_on_is_known_whichever_version_wrote_it(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    let first = workspace.start_task(&session, "one").await?.task;
    // From a version that did not record which task it is.
    let mut other = Task::new("two", "two", world.now());
    other.status = Some(TaskStatus::Interrupted);
    other.slot = Some(Slot::Completed);
    let mut set_aside = first.clone();
    (set_aside.replaces, set_aside.slot) = (Some(0), Some(Slot::Completed));
    let mut third = Task::new("three", "three", world.now());
    third.slot = Some(Slot::Current);
    workspace.store().append(&Session::tasks(&session), Some(1), &[set_aside, other, third]).await?;
    ensure!(workspace.complete_task(&session, id(&first)?).await.is_err(), "one that was put aside");
    let started = workspace.start_task(&session, "four").await?;
    ensure_eq!(started.interrupted.and_then(|task| task.id), Some("three".into()), "what was worked on");

    let fork = workspace.restore_session(&session, RestoreOptions::default()).await?;
    let current = workspace.tasks(&fork.id).await?.current;
    ensure_eq!(current.as_ref().map(|task| &task.title), Some(&"four".into()), "what a fork works on");
    workspace.complete_task(&fork.id, id(&started.task)?).await?;
    workspace.complete_task(&session, id(&started.task)?).await?;
    for id in [&session, &fork.id] {
        ensure_eq!(workspace.tasks(id).await?.current, None, "what is worked on in the end");
        let session = reload(&workspace, id).await?;
        ensure_eq!(session.task_at_hand.and_then(|at_hand| at_hand.position), None, "what its record says");
    }
    let without = RestoreOptions { current_task: false, ..RestoreOptions::default() };
    let fork = workspace.restore_session(&session, without).await?;
    ensure!(workspace.start_task(&fork.id, "five").await?.interrupted.is_none(), "a fork without a task");
    Ok(())
}

pub(super) async fn those_that_ended_are_read_a_page_at_a_time(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let session = begin(&workspace).await?.id;
    fill(&workspace, &session, 0..300).await?;
    for title in ["a", "b", "c"] {
        let started = workspace.start_task(&session, title).await?.task;
        if title != "b" {
            workspace.complete_task(&session, id(&started)?).await?;
        }
    }
    // A task that was changed after it ended, as an import of a changed file does, and one that is being
    // worked on.
    let mut changed = Task::new("task-7", "changed", Default::default());
    (changed.slot, changed.replaces) = (Some(Slot::Completed), Some(7));
    workspace.store().append(&Session::tasks(&session), None, &[changed]).await?;
    workspace.start_task(&session, "goes on").await?;

    let mut expected: Vec<_> =
        workspace.tasks(&session).await?.ended.iter().filter_map(|task| task.id.clone()).collect();
    expected.reverse();
    for limit in [1, 7, 1000] {
        let (mut read, mut from) = (Vec::new(), None);
        loop {
            let page = workspace.ended_tasks(&session, from, limit).await?;
            ensure!(page.items.len() <= limit, "{} of a page of {limit}", page.items.len());
            for task in page.items {
                read.extend(task?.id);
            }
            // Between two pages more tasks end, and the place of the next page is kept as text.
            let started = workspace.start_task(&session, "another").await?.task;
            workspace.complete_task(&session, id(&started)?).await?;
            from = match page.next {
                Some(next) => Some(next.to_string().parse()?),
                None => break,
            };
        }
        read.retain(|id| expected.contains(id));
        ensure_eq!(read, expected, "all that ended, by pages of {limit}");
    }
    damaging.damage_entries(Session::tasks(&session), 100..150);
    let mut left = workspace.ended_tasks(&session, Some("200".parse()?), 1000).await?.items;
    left.retain(Result::is_err);
    ensure_eq!(left.len(), 1, "unreadable tasks are reported in their place");
    for text in ["", "x", "1/", "-1"] {
        ensure!(text.parse::<TaskPlace>().is_err(), "`{text}` is not a place");
    }
    ensure!(workspace.ended_tasks(&session, None, 0).await.is_err(), "a page of none");
    ensure_eq!(workspace.ended_tasks(&"none".into(), None, 9).await?.items.len(), 0, "of no session");
    Ok(())
}
