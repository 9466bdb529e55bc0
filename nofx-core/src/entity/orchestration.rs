//! Messages between agents, and the segments of their log.

use crate::entity::{EntityId, EntryEntity, MessageId};
use crate::json::{Object, Text};
use crate::key::LogKey;
use crate::kind;
use crate::time::Timestamp;

entity! {
    /// A message between agents, the conductor and the dashboard.
    pub struct OrchestrationMessage, schema 1 {
        /// Its id; may repeat.
        pub id: Option<MessageId> = "id",
        /// When it was sent, according to its sender's clock.
        pub timestamp: Option<Timestamp> = "timestamp",
        /// Its type.
        pub kind: Text = "type",
        /// Who sent it.
        pub from: Option<Text> = "from",
        /// Who should receive it.
        pub to: Option<Text> = "to",
        /// The message to which it belongs.
        pub correlation_id: Option<Text> = "correlationId",
        /// Whether it requires an acknowledgement.
        pub requires_ack: Option<bool> = "requiresAck",
    }
}

impl OrchestrationMessage {
    /// Creates a message.
    pub fn new(id: impl Into<MessageId>, at: Timestamp, kind: impl Into<Text>) -> Self {
        Self {
            id: Some(id.into()),
            timestamp: Some(at),
            kind: kind.into(),
            from: None,
            to: None,
            correlation_id: None,
            requires_ack: None,
            object: Object::default(),
        }
    }

    /// Returns a segment of the log of all messages; segments follow one another by number.
    pub fn segment(number: u32) -> LogKey {
        Segment(format!("{number:010}").into()).log_key(kind::ORCHESTRATION)
    }
}

impl EntryEntity for OrchestrationMessage {
    fn at(&self) -> Option<Timestamp> {
        self.timestamp
    }
}

/// The number of a segment, zero-padded so that segments sort.
#[derive(Clone, Debug, PartialEq)]
struct Segment(Text);

impl EntityId for Segment {
    fn as_text(&self) -> &Text {
        &self.0
    }
}
