use crate::entity::{EntryEntity, TaskId};
use crate::json::{Object, Text};
use crate::time::Timestamp;

entity! {
    /// A task of a session, as it was at one moment: the log of tasks has an entry for each change.
    pub struct Task, schema 1 {
        /// Names it within its session.
        pub id: Option<TaskId> = "id",
        /// What is to be done, shortly.
        pub title: Text = "title",
        /// What is to be done.
        pub description: Text = "description",
        /// How urgent it is.
        pub priority: Option<Text> = "priority",
        /// What it is about, in single words.
        pub tags: Vec<Text> = "tags",
        /// How far it is.
        pub status: Option<TaskStatus> = "status",
        /// When it was given.
        pub assigned_at: Option<Timestamp> = "assignedAt",
        /// When it ended.
        pub completed_at: Option<Timestamp> = "completedAt",
        /// How long it took, in milliseconds.
        pub duration: Option<i64> = "duration",
        /// Where it stands now.
        pub slot: Option<Slot> = "$slot",
        /// The entry of this log that this one replaces.
        pub replaces: Option<u64> = "$replaces",
    }
}

words! {
    /// How far a task is.
    pub enum TaskStatus {
        /// Not begun.
        Pending = "pending",
        /// Begun.
        InProgress = "in_progress",
        /// Done.
        Completed = "completed",
        /// Given up with an error.
        Failed = "failed",
        /// Put aside for another one.
        Interrupted = "interrupted",
        /// Called off.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where in its session a task stands.
    pub enum Slot {
        /// It is the one being worked on.
        Current = "current",
        /// It is among those that ended.
        Completed = "completed",
    }
}

impl Task {
    /// Makes a task that is being worked on.
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
