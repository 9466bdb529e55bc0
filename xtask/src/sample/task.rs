//! Tasks of sessions.

use super::chance::suffix;
use super::json::Json;
use super::moment::Moment;

#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    title: &'static str,
    description: &'static str,
    priority: &'static str,
    tags: &'static [&'static str],
    assigned: Moment,
    status: &'static str,
    completed: Option<Moment>,
    /// Omitted if the old service failed between the status and the duration.
    has_duration: bool,
    range: Option<(String, String)>,
}

impl Task {
    /// Returns a task as it is right after its start.
    pub(super) fn started(at: Moment, title: &'static str, description: &'static str) -> Task {
        Task {
            id: format!("task-{}-{}", at.millis(), suffix(title)),
            title,
            description,
            priority: "medium",
            tags: &[],
            assigned: at,
            status: "in_progress",
            completed: None,
            has_duration: false,
            range: None,
        }
    }

    pub(super) fn priority(self, priority: &'static str) -> Task {
        Task { priority, ..self }
    }

    pub(super) fn tags(self, tags: &'static [&'static str]) -> Task {
        Task { tags, ..self }
    }

    pub(super) fn completed(self, at: Moment) -> Task {
        Task { status: "completed", completed: Some(at), has_duration: true, ..self }
    }

    pub(super) fn failed(self, at: Moment) -> Task {
        Task { status: "failed", completed: Some(at), has_duration: true, ..self }
    }

    /// Completes the task as the old service did after a reload: it threw before it reached the duration.
    pub(super) fn completed_after_reload(self, at: Moment) -> Task {
        Task { status: "completed", completed: Some(at), ..self }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.status == "failed"
    }

    /// Marks the first and the last message that belong to the task.
    pub(super) fn between(self, first: &str, last: &str) -> Task {
        Task { range: Some((first.to_owned(), last.to_owned())), ..self }
    }

    pub(super) fn json(&self) -> Json {
        let duration = self.completed.filter(|_| self.has_duration);
        let duration = duration.map(|completed| completed.millis() - self.assigned.millis());
        let range = self.range.as_ref().map(|(first, last)| {
            Json::object().with("startMessageId", first.as_str()).with("endMessageId", last.as_str())
        });
        Json::object()
            .with("title", self.title)
            .with("description", self.description)
            .with("priority", self.priority)
            .with("tags", Json::array(self.tags))
            .with("id", self.id.as_str())
            .with("assignedAt", self.assigned.iso())
            .with("status", self.status)
            .with("filesModified", Json::Array(Vec::new()))
            .with("commandsExecuted", Json::Array(Vec::new()))
            .with_some("completedAt", self.completed.map(Moment::iso))
            .with_some("duration", duration)
            .with_some("conversationRange", range)
    }
}
