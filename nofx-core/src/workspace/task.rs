//! The tasks of a session: at most one is being worked on.

use futures_util::TryStreamExt;

use super::{TRIES, Workspace};
use crate::entity::{Entity, Session, SessionId, Slot, Task, TaskId, TaskStatus};
use crate::error::{Error, Result};
use crate::query::LogQuery;
use crate::time::Timestamp;

/// Entries of a page of tasks.
const PAGE: usize = 256;

/// The tasks of a session as they are now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tasks {
    /// The one being worked on.
    pub current: Option<Task>,
    /// Those that ended, in the order in which they were begun.
    pub ended: Vec<Task>,
    /// How many changes there have been: what a writer expects.
    length: u64,
    /// The position of the entry that says what is being worked on.
    current_at: Option<u64>,
}

/// What became of starting a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The task.
    pub task: Task,
    /// The one that was being worked on and was put aside for it.
    pub interrupted: Option<Task>,
}

impl Workspace {
    /// Returns the tasks of a session.
    pub async fn tasks(&self, session: &SessionId) -> Result<Tasks> {
        let log = Session::tasks(session);
        let entries: Vec<_> = self.store.read(LogQuery::oldest_first(log, PAGE)).try_collect().await?;
        let length = entries.len() as u64;
        let mut tasks: Vec<Option<Task>> = Vec::new();
        for entry in entries {
            let task = Task::from_body(&entry.body)?;
            if let Some(replaced) = task.replaces.and_then(|at| tasks.get_mut(at as usize)) {
                *replaced = None;
            }
            tasks.push(Some(task));
        }
        let mut now = Tasks { length, ..Tasks::default() };
        for (at, task) in tasks.into_iter().enumerate() {
            match task {
                Some(task) if task.slot == Some(Slot::Current) => {
                    now.current = Some(task);
                    now.current_at = Some(at as u64);
                }
                Some(task) => now.ended.push(task),
                None => {}
            }
        }
        Ok(now)
    }

    /// Begins a task. One that is being worked on is interrupted, and said to be.
    pub async fn start_task(&self, session: &SessionId, title: impl Into<crate::json::Text>) -> Result<Started> {
        let title = title.into();
        self.change_tasks(session, |tasks, now| {
            let id = format!("task-{}-{}", now.as_millis(), self.sources().token());
            let task = Task::new(id, title.clone(), now);
            let interrupted = tasks.current.as_ref().map(|task| ended(task, TaskStatus::Interrupted, now, tasks));
            let entries = interrupted.iter().cloned().chain([task.clone()]).collect();
            Ok((Started { task, interrupted }, entries))
        })
        .await
    }

    /// Ends the task that is being worked on, as done.
    pub async fn complete_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Completed).await
    }

    /// Ends the task that is being worked on, as given up with an error.
    pub async fn fail_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Failed).await
    }

    /// Puts aside the task that is being worked on.
    pub async fn interrupt_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Interrupted).await
    }

    async fn end_task(&self, session: &SessionId, id: &TaskId, status: TaskStatus) -> Result<Task> {
        self.change_tasks(session, |tasks, now| {
            let current = tasks.current.as_ref().filter(|task| task.id.as_ref() == Some(id));
            let current = current.ok_or_else(|| {
                Error::invalid(format!("task `{id}` is not the one that session `{session}` works on"))
            })?;
            let task = ended(current, status.clone(), now, tasks);
            Ok((task.clone(), vec![task]))
        })
        .await
    }

    async fn change_tasks<T>(
        &self,
        session: &SessionId,
        decide: impl Fn(&Tasks, Timestamp) -> Result<(T, Vec<Task>)>,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            let found = self.find(session).await?;
            Self::require_open(&found.session)?;
            let tasks = self.tasks(session).await?;
            let now = self.now();
            let (decided, changed) = decide(&tasks, now)?;
            let entries = changed.iter().map(|task| self.store.entry(task)).collect::<Result<Vec<_>>>()?;
            let batch = self.store.batch().append_at(Session::tasks(session), tasks.length, entries);
            let mut session = found.session.clone();
            session.last_active_at = session.last_active_at.max(Some(now));
            let batch = found.save(batch, &session, now)?;
            match self.store.commit(batch).await?.committed() {
                Ok(_) => return Ok(decided),
                Err(Error::Conflict(_)) if tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn ended(task: &Task, status: TaskStatus, now: Timestamp, tasks: &Tasks) -> Task {
    let mut task = task.clone();
    task.duration = task.assigned_at.map(|began| now.as_millis().saturating_sub(began.as_millis()));
    task.status = Some(status);
    task.completed_at = Some(now);
    task.slot = Some(Slot::Completed);
    task.replaces = tasks.current_at;
    task
}
