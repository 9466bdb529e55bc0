//! The tasks of a session: at most one is being worked on.

use futures_util::TryStreamExt;

use super::Workspace;
use super::event::{EventKind, tell_task};
use super::session::require_open;
use crate::entity::{Entity, Session, SessionId, Slot, Task, TaskId, TaskStatus};
use crate::error::{Error, Result};
use crate::json::Text;
use crate::query::LogQuery;
use crate::time::Timestamp;

/// Entries of a page of tasks.
const PAGE: usize = 256;

/// The tasks of a session as they are now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tasks {
    /// The one being worked on.
    pub current: Option<Task>,
    /// Those that ended, in the order in which they ended.
    pub ended: Vec<Task>,
    /// How many changes there have been: what a writer expects.
    length: u64,
    /// The position of the entry that says what is being worked on.
    current_at: Option<u64>,
}

/// What may be said of a task when it is begun. A title alone will do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewTask {
    /// What is to be done, shortly.
    pub title: Text,
    /// What is to be done.
    pub description: Text,
    /// How urgent it is: `low`, `medium` or `high`; not judged.
    pub priority: Option<Text>,
    /// What it is about, in single words.
    pub tags: Vec<Text>,
}

impl<T: Into<Text>> From<T> for NewTask {
    fn from(title: T) -> Self {
        Self { title: title.into(), ..Self::default() }
    }
}

/// What became of starting a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The task.
    pub task: Task,
    /// The one that was being worked on and was put aside for it.
    pub interrupted: Option<Task>,
}

/// A change of the tasks of a session: what the verb answers, the tasks to write, and what to tell of which.
struct Change<T> {
    answer: T,
    tasks: Vec<(EventKind, Task)>,
}

impl Workspace {
    /// Returns the tasks of a session.
    pub async fn tasks(&self, session: &SessionId) -> Result<Tasks> {
        let mut entries = self.store.read(LogQuery::oldest_first(Session::tasks(session), PAGE));
        let mut tasks: Vec<Option<Task>> = Vec::new();
        while let Some(entry) = entries.try_next().await? {
            let task = Task::from_body(&entry.body)?;
            if let Some(replaced) = task.replaces.and_then(|at| tasks.get_mut(usize::try_from(at).ok()?)) {
                *replaced = None;
            }
            tasks.push(Some(task));
        }
        let mut now = Tasks { length: tasks.len() as u64, ..Tasks::default() };
        for (at, task) in (0..).zip(tasks) {
            match task {
                Some(task) if task.slot == Some(Slot::Current) => {
                    now.current = Some(task);
                    now.current_at = Some(at);
                }
                Some(task) => now.ended.push(task),
                None => {}
            }
        }
        Ok(now)
    }

    /// Begins a task. One that is being worked on is interrupted, and said to be.
    ///
    /// `Invalid` if the session is archived, in the trash or unknown; one that has expired still takes tasks.
    pub async fn start_task(&self, session: &SessionId, task: impl Into<NewTask>) -> Result<Started> {
        let new = task.into();
        self.change_tasks(session, |tasks, now| {
            let id = format!("task-{}-{}", now.as_millis(), self.sources().token());
            let mut task = Task::new(id, new.title.clone(), now);
            task.description = new.description.clone();
            task.priority = new.priority.clone();
            task.tags = new.tags.clone();
            let interrupted = tasks.current.as_ref().map(|task| ended(task, TaskStatus::Interrupted, now, tasks));
            let aside = interrupted.iter().map(|task| (EventKind::TaskInterrupted, task.clone()));
            let changed = aside.chain([(EventKind::TaskStarted, task.clone())]).collect();
            Ok(Change { answer: Started { task, interrupted }, tasks: changed })
        })
        .await
    }

    /// Ends the task that is being worked on, as done. `Invalid` if it is not this one that is being worked on.
    pub async fn complete_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Completed, EventKind::TaskCompleted).await
    }

    /// Ends the task that is being worked on, as given up with an error. `Invalid` as for completing it.
    pub async fn fail_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Failed, EventKind::TaskFailed).await
    }

    /// Puts aside the task that is being worked on. `Invalid` as for completing it.
    pub async fn interrupt_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Interrupted, EventKind::TaskInterrupted).await
    }

    async fn end_task(&self, session: &SessionId, id: &TaskId, status: TaskStatus, event: EventKind) -> Result<Task> {
        self.change_tasks(session, |tasks, now| {
            let current = tasks.current.as_ref().filter(|task| task.id.as_ref() == Some(id));
            let current = current.ok_or_else(|| {
                Error::invalid(format!("task `{id}` is not the one that session `{session}` works on"))
            })?;
            let task = ended(current, status.clone(), now, tasks);
            Ok(Change { answer: task.clone(), tasks: vec![(event, task)] })
        })
        .await
    }

    async fn change_tasks<T>(
        &self,
        id: &SessionId,
        change: impl Fn(&Tasks, Timestamp) -> Result<Change<T>>,
    ) -> Result<T> {
        let change = &change;
        let decided = self.decide(move |_| async move {
            let found = self.find(id).await?;
            require_open(&found.session)?;
            let (tasks, now) = (self.tasks(id).await?, self.now());
            let change = change(&tasks, now)?;
            let entries = change.tasks.iter().map(|(_, task)| self.store.entry(task)).collect::<Result<Vec<_>>>()?;
            let batch = self.store.batch().append_at(Session::tasks(id), tasks.length, entries);
            let batch =
                change.tasks.iter().fold(batch, |batch, (event, task)| tell_task(batch, *event, task.id.as_ref()));
            let mut session = found.session.clone();
            session.last_active_at = session.last_active_at.max(Some(now));
            let batch = found.save_changed(batch, &session)?;
            Ok((change.answer, Some(batch)))
        });
        Ok(decided.await?.0)
    }
}

fn ended(task: &Task, status: TaskStatus, now: Timestamp, tasks: &Tasks) -> Task {
    let mut task = task.clone();
    // A clock that went back took no time.
    task.duration = task.assigned_at.map(|began| now.as_millis().saturating_sub(began.as_millis()).max(0));
    task.status = Some(status);
    task.completed_at = Some(now);
    task.slot = Some(Slot::Completed);
    task.replaces = tasks.current_at;
    task
}
