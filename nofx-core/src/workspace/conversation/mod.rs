//! The messages of a session: adding, reading, and starting again from some of them.

pub(super) mod content;
pub(super) mod cut;
pub(super) mod history;
pub(super) mod log_readers;
pub(super) mod message;
pub(super) mod preview;
pub(super) mod restore;
pub(super) mod rewind;
pub(super) mod summarise;
pub(super) mod writer;
