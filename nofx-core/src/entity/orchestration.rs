use crate::entity::{EntityId, EntryEntity, MessageId};
use crate::json::{Object, Text};
use crate::key::LogKey;
use crate::kind;
use crate::time::Timestamp;

entity! {
    /// A message between agents, the conductor and the dashboard.
    pub struct OrchestrationMessage, schema 1 {
        /// Names it; may repeat.
        pub id: Option<MessageId> = "id",
        /// When it was sent, by its sender's clock.
        pub timestamp: Option<Timestamp> = "timestamp",
        /// What it is.
        pub kind: Text = "type",
        /// Who sent it.
        pub from: Option<Text> = "from",
        /// Who is to have it.
        pub to: Option<Text> = "to",
        /// Which message it belongs to.
        pub correlation_id: Option<Text> = "correlationId",
        /// Whether it wants an answer.
        pub requires_ack: Option<bool> = "requiresAck",
    }
}

impl OrchestrationMessage {
    /// Makes a message.
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

    /// Returns a segment of the log of all messages; segments follow one another in the order of their numbers.
    pub fn segment(number: u32) -> LogKey {
        Segment(format!("{number:010}").into()).log_key(kind::ORCHESTRATION)
    }
}

impl EntryEntity for OrchestrationMessage {
    fn at(&self) -> Option<Timestamp> {
        self.timestamp
    }
}

/// The number of a segment, as many digits as the largest has, so that segments sort.
#[derive(Clone, Debug, PartialEq)]
struct Segment(Text);

impl EntityId for Segment {
    fn as_text(&self) -> &Text {
        &self.0
    }
}
