//! Messages of a conversation, and who said them.

use crate::entity::{EntryEntity, MessageId};
use crate::json::{Object, Text};
use crate::time::Timestamp;

entity! {
    /// A message of a conversation.
    pub struct Message, schema 1 {
        /// Its id; may repeat.
        pub id: Option<MessageId> = "id",
        /// When it was said.
        pub timestamp: Option<Timestamp> = "timestamp",
        /// Who said it.
        pub role: Option<Role> = "type",
        /// What was said, if it is text.
        pub content: Option<Text> = "content",
        /// Further data: the task, files, commands, errors.
        pub metadata: Option<Object> = "metadata",
        /// The handle that wrote it.
        pub writer: Option<Text> = "$writer",
    }
}

words! {
    /// Who said a message.
    pub enum Role {
        /// The person.
        User = "user",
        /// The agent.
        Assistant = "assistant",
        /// The extension.
        System = "system",
        /// A tool.
        Tool = "tool",
    }
}

impl Message {
    /// Creates a message.
    pub fn new(id: impl Into<MessageId>, at: Timestamp, role: Role, content: impl Into<Text>) -> Self {
        Self {
            id: Some(id.into()),
            timestamp: Some(at),
            role: Some(role),
            content: Some(content.into()),
            metadata: None,
            writer: None,
            object: Object::default(),
        }
    }
}

impl Message {
    /// Returns the message as written by a handle.
    pub(crate) fn written_by(&self, writer: &Text) -> Self {
        Self { writer: Some(writer.clone()), ..self.clone() }
    }
}

impl EntryEntity for Message {
    fn at(&self) -> Option<Timestamp> {
        self.timestamp
    }
}
