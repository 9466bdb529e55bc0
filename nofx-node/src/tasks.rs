//! The tasks of a session: started, ended, listed.

use nofx::entity::{SessionId, Task, TaskId};
use nofx::json::{Text, quote};
use nofx::workspace::{NewTask, Workspace};
use nofx::{Error, Result};

use crate::crossing::{JsPage, reasons, shown};
use crate::request::Request;

/// Tasks per page if the caller did not say.
const PAGE: u64 = 256;

/// The most tasks per page.
const MAX_PAGE: u64 = 1000;

pub(crate) async fn all(workspace: &Workspace, request: &Request) -> Result<String> {
    let tasks = workspace.tasks(&request.required("session")?).await?;
    let ended: Vec<_> = tasks.ended.iter().map(shown).collect();
    let (current, ended, unreadable) = (or_null(tasks.current.as_ref()), ended.join(","), reasons(&tasks.unreadable));
    Ok(format!(r#"{{"current":{current},"ended":[{ended}],"unreadable":{unreadable}}}"#))
}

/// Answers a page of the tasks that have ended, the last one first. One that cannot be read says so in its place.
pub(crate) async fn ended(workspace: &Workspace, request: &Request) -> Result<String> {
    let mut page = JsPage::of(request, PAGE, MAX_PAGE)?;
    let from = request.optional_text("after")?.map(|place| place.parse()).transpose()?;
    let found = workspace.ended_tasks(&request.required("session")?, from, page.limit()).await?;
    for task in &found.items {
        match task {
            Ok(task) => page.add(&shown(task)),
            Err(error) => page.add_unreadable("", error),
        };
    }
    Ok(page.written(found.next.map(|next| quote(&next.to_string()))))
}

pub(crate) async fn start(workspace: &Workspace, request: &Request) -> Result<String> {
    let given = request.inner("task")?.ok_or_else(|| Error::invalid("`task` is missing"))?;
    let new = NewTask {
        title: given.required("title")?,
        description: given.optional("description")?.unwrap_or_default(),
        priority: given.optional("priority")?,
        tags: given.optional::<Vec<Text>>("tags")?.unwrap_or_default(),
    };
    let started = workspace.start_task(&request.required("session")?, new).await?;
    let interrupted = or_null(started.interrupted.as_ref());
    Ok(format!(r#"{{"task":{},"interrupted":{interrupted}}}"#, shown(&started.task)))
}

pub(crate) async fn end(workspace: &Workspace, verb: &str, request: &Request) -> Result<String> {
    let (session, task): (SessionId, TaskId) = (request.required("session")?, request.required("task")?);
    let ended = match verb {
        "completeTask" => workspace.complete_task(&session, &task).await?,
        "failTask" => workspace.fail_task(&session, &task).await?,
        _ => workspace.interrupt_task(&session, &task).await?,
    };
    Ok(shown(&ended))
}

fn or_null(task: Option<&Task>) -> String {
    task.map_or("null".to_owned(), shown)
}
