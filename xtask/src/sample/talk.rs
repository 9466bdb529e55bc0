//! Conversations, built message by message.

use super::chance::suffix;
use super::json::Json;
use super::moment::Moment;

/// One message of a session's history.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) at: Moment,
    pub(super) role: &'static str,
    pub(super) content: Json,
    metadata: Option<Json>,
}

impl Message {
    /// Returns one of the old service's own messages, such as the summary of a restore.
    pub(super) fn system(id: String, at: Moment, content: &str) -> Message {
        Message { id, at, role: "system", content: content.into(), metadata: None }
    }

    pub(super) fn json(&self) -> Json {
        Json::object()
            .with("id", self.id.as_str())
            .with("timestamp", self.at.iso())
            .with("type", self.role)
            .with("content", self.content.clone())
            .with_some("metadata", self.metadata.clone())
    }
}

/// A conversation under construction. What describes a message follows it: `files`, `command`, `task`.
#[derive(Debug, Clone)]
pub(super) struct Talk {
    seed: String,
    now: Moment,
    messages: Vec<Message>,
}

impl Talk {
    /// Starts a conversation; the seed determines its message ids.
    pub(super) fn at(now: Moment, seed: &str) -> Talk {
        Talk { seed: seed.to_owned(), now, messages: Vec::new() }
    }

    pub(super) fn user(self, after: i64, content: &str) -> Talk {
        self.say(after, "user", content.into())
    }

    pub(super) fn assistant(self, after: i64, content: &str) -> Talk {
        self.say(after, "assistant", content.into())
    }

    pub(super) fn system(self, after: i64, content: &str) -> Talk {
        self.say(after, "system", content.into())
    }

    pub(super) fn tool(self, after: i64, content: &str) -> Talk {
        self.say(after, "tool", content.into())
    }

    /// Adds an assistant's message whose content is given as JSON text.
    pub(super) fn assistant_exactly(self, after: i64, content: &str) -> Talk {
        self.say(after, "assistant", Json::exact(content))
    }

    /// Gives the last message the id that its caller chose.
    pub(super) fn named(mut self, id: &str) -> Talk {
        if let Some(last) = self.messages.last_mut() {
            last.id = id.to_owned();
        }
        self
    }

    pub(super) fn files(self, files: &[&str]) -> Talk {
        self.describe("fileContext", Json::array(files))
    }

    pub(super) fn command(self, command: &str, failed: bool) -> Talk {
        self.describe("commandExecuted", command.into()).describe("errorOccurred", failed.into())
    }

    pub(super) fn task(self, id: &str) -> Talk {
        self.describe("taskId", id.into())
    }

    pub(super) fn now(&self) -> Moment {
        self.now
    }

    pub(super) fn messages(self) -> Vec<Message> {
        self.messages
    }

    fn say(mut self, after: i64, role: &'static str, content: Json) -> Talk {
        self.now = self.now.later(after);
        let mark = suffix(&format!("{} message {}", self.seed, self.messages.len()));
        let id = format!("msg-{}-{mark}", self.now.millis());
        self.messages.push(Message { id, at: self.now, role, content, metadata: None });
        self
    }

    fn describe(mut self, name: &str, value: Json) -> Talk {
        if let Some(last) = self.messages.last_mut() {
            let metadata = last.metadata.take().unwrap_or_else(Json::object);
            last.metadata = Some(metadata.with(name, value));
        }
        self
    }
}
