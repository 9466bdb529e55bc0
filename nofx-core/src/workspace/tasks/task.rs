//! The tasks of a session: at most one is being worked on.

use std::ops::Range;

use futures_util::{StreamExt, TryStreamExt};

use crate::entity::{Entity, Session, SessionId, Slot, Task, TaskAtHand, TaskId, TaskStatus};
use crate::error::{Error, Failure, Result};
use crate::json::Text;
use crate::query::LogQuery;
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::decide::Attempt;
use crate::workspace::event::{EventKind, with_task_event};
use crate::workspace::sessions::session::require_open;

/// Entries per page of tasks.
const PAGE: usize = 256;

/// The current tasks of a session.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// The one being worked on.
    pub current: Option<Task>,
    /// The ended tasks, in the order in which they ended.
    pub ended: Vec<Task>,
    /// Why others cannot be read. One of those may say that the current task has ended.
    pub unreadable: Vec<Error>,
}

impl Tasks {
    /// Returns all tasks, or why some cannot be read.
    pub(crate) fn whole(self) -> Result<Self> {
        match self.unreadable.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Self { unreadable: Vec::new(), ..self }),
        }
    }
}

/// The task of a session that is being worked on, and the length of its log.
#[derive(Debug, Default)]
pub(crate) struct AtHand {
    /// The position of its entry, and the task.
    pub(crate) current: Option<(u64, Task)>,
    /// The number of changes so far, which a writer expects.
    length: u64,
}

impl AtHand {
    /// Returns what to remember once these tasks are written.
    fn after<'a>(&self, written: impl Iterator<Item = &'a Task>) -> TaskAtHand {
        let mut after = TaskAtHand { length: self.length, position: None };
        for task in written {
            if task.slot == Some(Slot::Current) {
                after.position = Some(after.length);
            }
            after.length += 1;
        }
        after
    }
}

/// The details of a task to start. A title alone is enough.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewTask {
    /// What to do, in short.
    pub title: Text,
    /// What to do.
    pub description: Text,
    /// How urgent it is: `low`, `medium` or `high`; not checked.
    pub priority: Option<Text>,
    /// What it is about, as single words.
    pub tags: Vec<Text>,
}

impl<T: Into<Text>> From<T> for NewTask {
    fn from(title: T) -> Self {
        Self { title: title.into(), ..Self::default() }
    }
}

/// The result of starting a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The task.
    pub task: Task,
    /// The task that was being worked on and was interrupted by it.
    pub interrupted: Option<Task>,
}

/// A change to the tasks of a session: the verb's answer, the tasks to write, and the event for each.
struct Change<T> {
    answer: T,
    tasks: Vec<(EventKind, Task)>,
}

/// The tasks of a session: at most one is being worked on.
///
/// ```
/// # use nofx_core::workspace::{NewSession, NewTask, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::{Agent, TaskStatus}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// # let session = workspace.create_session(&Agent::new("ada", "Ada", "tester"), NewSession::default()).await?.id;
/// let sort = workspace.start_task(&session, "sort the list").await?.task;
///
/// // Another task interrupts it.
/// let urgent = NewTask { priority: Some("high".into()), ..NewTask::from("fix the build") };
/// let started = workspace.start_task(&session, urgent).await?;
/// assert_eq!(started.interrupted.unwrap().id, sort.id);
/// workspace.complete_task(&session, started.task.id.as_ref().unwrap()).await?;
///
/// let tasks = workspace.tasks(&session).await?;
/// assert!(tasks.current.is_none());
/// let statuses: Vec<_> = tasks.ended.iter().map(|task| task.status.clone().unwrap()).collect();
/// assert_eq!(statuses, [TaskStatus::Interrupted, TaskStatus::Completed]);
/// # Ok(()) }
/// ```
impl Workspace {
    /// Returns the tasks of a session. Unreadable ones are reported beside the others.
    pub async fn tasks(&self, session: &SessionId) -> Result<Tasks> {
        Ok(self.all_tasks(session).await?.0)
    }

    /// Reads the whole log of tasks, and determines which is being worked on.
    async fn all_tasks(&self, session: &SessionId) -> Result<(Tasks, AtHand)> {
        let mut entries = self.store.read(LogQuery::oldest_first(Session::tasks(session), PAGE));
        let mut tasks: Vec<Option<Task>> = Vec::new();
        let mut unreadable = Vec::new();
        while let Some(entry) = entries.next().await {
            let task = match entry.and_then(|entry| Task::from_body(&entry.body)) {
                Ok(task) => task,
                Err(error) if error.is_of_one_thing() => {
                    let places = error.positions().map_or(1, |places| places.end - places.start);
                    tasks.extend((0..places).map(|_| None));
                    unreadable.push(unplaced(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(replaced) = task.replaces.and_then(|at| tasks.get_mut(usize::try_from(at).ok()?)) {
                *replaced = None;
            }
            tasks.push(Some(task));
        }
        let (mut found, mut at_hand) = (Tasks::default(), AtHand { current: None, length: tasks.len() as u64 });
        for (at, task) in (0..).zip(tasks) {
            match task {
                Some(task) if task.slot == Some(Slot::Current) => at_hand.current = Some((at, task)),
                Some(task) => found.ended.push(task),
                None => {}
            }
        }
        found.current = at_hand.current.as_ref().map(|(_, task)| task.clone());
        found.unreadable = unreadable;
        Ok((found, at_hand))
    }

    /// Reads the task that is being worked on, and no other if the session's record says which one it is.
    pub(crate) async fn task_at_hand(&self, session: &Session) -> Result<AtHand> {
        let log = Session::tasks(&session.id);
        let length = self.store.head(&log).await?.length;
        let known = session.task_at_hand.clone().filter(|known| known.length == length);
        let position = match known {
            Some(TaskAtHand { position, .. }) => position,
            None if length == 0 => None,
            // An import, or a version that did not record it.
            None => {
                let (tasks, at_hand) = self.all_tasks(&session.id).await?;
                // An unreadable task may be the current one.
                tasks.whole()?;
                return Ok(at_hand);
            }
        };
        let Some(position) = position else { return Ok(AtHand { current: None, length }) };
        let mut entries = self.store.read(LogQuery::oldest_first(log.clone(), 1).within(position..position + 1));
        let entry = entries.try_next().await?.ok_or_else(|| Error::corrupt(format!("{log} at position {position}")))?;
        Ok(AtHand { current: Some((position, Task::from_body(&entry.body)?)), length })
    }

    /// Starts a task. If another one is being worked on, it is interrupted and reported.
    ///
    /// `Invalid` if the session is archived or in the trash, `NotFound` if there is none; an expired one still takes
    /// tasks.
    pub async fn start_task(&self, session: &SessionId, task: impl Into<NewTask>) -> Result<Started> {
        let new = task.into();
        let written = |mut tasks: Vec<Task>| {
            let task = tasks.pop();
            task.map(|task| Started { task, interrupted: tasks.pop() })
        };
        self.change_tasks("start_task", session, written, |at_hand, now| {
            let id = self.made("start_task", "task", "");
            let mut task = Task::new(id, new.title.clone(), now);
            task.description = new.description.clone();
            task.priority = new.priority.clone();
            task.tags = new.tags.clone();
            let interrupted = at_hand.current.as_ref().map(|current| ended(current, TaskStatus::Interrupted, now));
            let aside = interrupted.iter().map(|task| (EventKind::TaskInterrupted, task.clone()));
            let changed = aside.chain([(EventKind::TaskStarted, task.clone())]).collect();
            Ok(Change { answer: Started { task, interrupted }, tasks: changed })
        })
        .await
    }

    /// Completes the task that is being worked on. `Invalid` if it is not this one.
    pub async fn complete_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Completed, EventKind::TaskCompleted).await
    }

    /// Fails the task that is being worked on. `Invalid` if it is not this one.
    pub async fn fail_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Failed, EventKind::TaskFailed).await
    }

    /// Interrupts the task that is being worked on. `Invalid` if it is not this one.
    pub async fn interrupt_task(&self, session: &SessionId, task: &TaskId) -> Result<Task> {
        self.end_task(session, task, TaskStatus::Interrupted, EventKind::TaskInterrupted).await
    }

    async fn end_task(&self, session: &SessionId, id: &TaskId, status: TaskStatus, event: EventKind) -> Result<Task> {
        self.change_tasks(
            event.name(),
            session,
            |mut tasks| tasks.pop(),
            |at_hand, now| {
                let current = at_hand.current.as_ref().filter(|(_, task)| task.id.as_ref() == Some(id));
                let current = current.ok_or_else(|| {
                    Error::invalid(format!("task `{id}` is not the current task of session `{session}`"))
                })?;
                let task = ended(current, status.clone(), now);
                Ok(Change { answer: task.clone(), tasks: vec![(event, task)] })
            },
        )
        .await
    }

    /// Changes the tasks of a session; `written` derives the same answer from the tasks that were written.
    async fn change_tasks<T>(
        &self,
        verb: &str,
        id: &SessionId,
        written: impl Fn(Vec<Task>) -> Option<T>,
        change: impl Fn(&AtHand, Timestamp) -> Result<Change<T>>,
    ) -> Result<T> {
        let (written, change) = (&written, &change);
        let decided = self.decide(verb, move |attempt| async move {
            let found = self.find(id).await?;
            if let Attempt::AlreadyHappened(committed) = attempt {
                let tasks = self.tasks_at(id, committed.appended).await?;
                let answer = written(tasks).ok_or_else(|| Error::corrupt(Session::tasks(id).to_string()))?;
                return Ok((answer, None));
            }
            require_open(&found.session)?;
            let (at_hand, now) = (self.task_at_hand(&found.session).await?, self.now());
            let change = change(&at_hand, now)?;
            let entries = change.tasks.iter().map(|(_, task)| self.store.entry(task)).collect::<Result<Vec<_>>>()?;
            let batch = self.store.batch().append_at(Session::tasks(id), at_hand.length, entries);
            let batch = change
                .tasks
                .iter()
                .fold(batch, |batch, (event, task)| with_task_event(batch, *event, task.id.as_ref()));
            let mut session = found.session.clone();
            session.last_active_at = session.last_active_at.max(Some(now));
            session.task_at_hand = Some(at_hand.after(change.tasks.iter().map(|(_, task)| task)));
            let batch = found.save_changed(batch, &session)?;
            Ok((change.answer, Some(batch)))
        });
        Ok(decided.await?.0)
    }
}

impl Workspace {
    /// Reads the tasks that a batch wrote.
    async fn tasks_at(&self, id: &SessionId, appended: Vec<Range<u64>>) -> Result<Vec<Task>> {
        let written = appended.into_iter().next().unwrap_or_default();
        let entries = self.store.read(LogQuery::oldest_first(Session::tasks(id), PAGE).within(written));
        entries.map(|entry| Task::from_body(&entry?.body)).try_collect().await
    }
}

/// Drops positions, because they are not places of the history.
pub(crate) fn unplaced(error: Error) -> Error {
    match error {
        Error::Corrupt(failure) => Error::Corrupt(Failure { positions: None, ..failure }),
        Error::TooNew(failure) => Error::TooNew(Failure { positions: None, ..failure }),
        other => other,
    }
}

fn ended((at, task): &(u64, Task), status: TaskStatus, now: Timestamp) -> Task {
    let mut task = task.clone();
    // If the clock went backwards, the duration is zero.
    task.duration = task.assigned_at.map(|began| now.as_millis().saturating_sub(began.as_millis()).max(0));
    task.status = Some(status);
    task.completed_at = Some(now);
    task.slot = Some(Slot::Completed);
    task.replaces = Some(*at);
    task
}
