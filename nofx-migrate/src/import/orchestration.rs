//! The log of messages between agents, which is spread over segments.

use futures_util::TryStreamExt;
use nofx_core::entity::OrchestrationMessage;
use nofx_core::{LogQuery, LogState, NewEntry, Result, Store};

use super::merge::Multiset;
use super::reconcile::{PAGE, stored_item};
use super::writer::ThingChanges;
use crate::legacy::{Item, Same};

/// Entries after which a segment is full.
const SEGMENT_ENTRIES: u64 = 10_000;

/// Bytes after which a segment is full.
const SEGMENT_BYTES: u64 = 8 << 20;

/// The end of the log, and what it already has.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    number: u32,
    entries: u64,
    bytes: u64,
    in_target: Multiset,
}

impl Segments {
    /// Reads all existing segments.
    pub(crate) async fn read(store: &Store) -> Result<Self> {
        let mut segments = Self::default();
        loop {
            let log = OrchestrationMessage::segment(segments.number);
            let head = store.head(&log).await?;
            (segments.entries, segments.bytes) = (0, 0);
            let mut entries = store.read(LogQuery::oldest_first(log, PAGE));
            while let Some(entry) = entries.try_next().await? {
                segments.entries += 1;
                segments.bytes += entry.body.len() as u64;
                segments.in_target.add(stored_item(&entry, Same::Whole).whole());
            }
            match head.state {
                LogState::Open if segments.is_full() => segments.number += 1,
                LogState::Open => return Ok(segments),
                LogState::Sealed | LogState::Removed => segments.number += 1,
            }
        }
    }

    fn is_full(&self) -> bool {
        self.entries >= SEGMENT_ENTRIES || self.bytes >= SEGMENT_BYTES
    }

    /// Returns whether the log already had this message, and removes it from what it had.
    pub(crate) fn had(&mut self, message: &Item) -> bool {
        !self.in_target.is_empty() && self.in_target.take(&message.whole())
    }

    /// Appends the messages that the log did not have, and returns their number.
    pub(crate) fn add(&mut self, messages: Vec<Item>, changes: &mut ThingChanges) -> u64 {
        let (mut added, mut run, mut start) = (0, Vec::<NewEntry>::new(), self.entries);
        for message in messages {
            if self.had(&message) {
                continue;
            }
            added += 1;
            self.entries += 1;
            self.bytes += message.body.len() as u64;
            run.push(message.into_entry());
            if self.is_full() {
                let log = OrchestrationMessage::segment(self.number);
                changes.appends.push((log.clone(), start, std::mem::take(&mut run)));
                changes.seals.push(log);
                (self.number, self.entries, self.bytes, start) = (self.number + 1, 0, 0, 0);
            }
        }
        if !run.is_empty() {
            changes.appends.push((OrchestrationMessage::segment(self.number), start, run));
        }
        added
    }
}
