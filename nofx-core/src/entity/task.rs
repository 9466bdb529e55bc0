//! Tasks of a session, one entry for each change.

use crate::entity::{EntryEntity, TaskId};
use crate::json::{Object, Text};
use crate::time::Timestamp;

entity! {
    /// A task of a session, as it was at one point: the log of tasks has an entry for each change.
    pub struct Task, schema 1 {
        /// Its id within the session.
        pub id: Option<TaskId> = "id",
        /// What to do, in short.
        pub title: Text = "title",
        /// What to do.
        pub description: Text = "description",
        /// How urgent it is.
        pub priority: Option<Text> = "priority",
        /// What it is about, as single words.
        pub tags: Vec<Text> = "tags",
        /// How far it has got.
        pub status: Option<TaskStatus> = "status",
        /// When it was assigned.
        pub assigned_at: Option<Timestamp> = "assignedAt",
        /// When it ended.
        pub completed_at: Option<Timestamp> = "completedAt",
        /// How long it took, in milliseconds.
        pub duration: Option<i64> = "duration",
        /// Where in its session it is now.
        pub slot: Option<Slot> = "$slot",
        /// The entry of this log that this one replaces.
        pub replaces: Option<u64> = "$replaces",
    }
}

words! {
    /// How far a task has got.
    pub enum TaskStatus {
        /// Not started.
        Pending = "pending",
        /// Started.
        InProgress = "in_progress",
        /// Done.
        Completed = "completed",
        /// Failed with an error.
        Failed = "failed",
        /// Interrupted by another task.
        Interrupted = "interrupted",
        /// Cancelled.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where in its session a task is.
    pub enum Slot {
        /// It is being worked on.
        Current = "current",
        /// It is among those that have ended.
        Completed = "completed",
    }
}

impl Task {
    /// Creates a task that is being worked on.
    pub fn new(id: impl Into<TaskId>, title: impl Into<Text>, assigned_at: Timestamp) -> Self {
        Self {
            id: Some(id.into()),
            title: title.into(),
            description: Text::default(),
            priority: None,
            tags: Vec::new(),
            status: Some(TaskStatus::InProgress),
            assigned_at: Some(assigned_at),
            completed_at: None,
            duration: None,
            slot: Some(Slot::Current),
            replaces: None,
            object: Object::default(),
        }
    }
}

impl EntryEntity for Task {
    fn at(&self) -> Option<Timestamp> {
        self.completed_at.or(self.assigned_at)
    }
}
