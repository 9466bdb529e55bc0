//! Parts of transcripts.

use crate::entity::{AgentId, EntityId, EntryEntity};
use crate::json::{Object, Text};
use crate::key::LogKey;
use crate::kind;
use crate::time::Timestamp;

entity! {
    /// A part of what an agent wrote, as plain text.
    pub struct TranscriptPart, schema 1 {
        /// When it was written.
        pub timestamp: Option<Timestamp> = "timestamp",
        /// The text.
        pub content: Text = "content",
        /// Whether the transcript starts over here; earlier parts stay readable.
        pub starts_over: bool = "$startsAnew",
    }
}

impl TranscriptPart {
    /// Creates a part.
    pub fn new(at: Option<Timestamp>, content: impl Into<Text>) -> Self {
        Self { timestamp: at, content: content.into(), starts_over: false, object: Object::default() }
    }

    /// Returns the log of an agent's transcript.
    pub fn log(agent: &AgentId) -> LogKey {
        agent.log_key(kind::TRANSCRIPT)
    }
}

impl EntryEntity for TranscriptPart {
    fn at(&self) -> Option<Timestamp> {
        self.timestamp
    }
}
