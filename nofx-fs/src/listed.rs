//! What the files hold at one point of the journal: every record with its version, every log with its head.
//!
//! The catalog lists it. What was committed since is in the journal, which is no concern of this crate's.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use nofx_core::{Body, LogHead, LogKey, LogState, RecordKey, Seq, Timestamp};
use nofx_journal::base::Mark;

use crate::{layout, lines};

/// Everything that the files hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listed {
    /// Up to where.
    pub(crate) mark: Mark,
    /// The length of the lines in the file that index kinds share.
    pub(crate) index_bytes: u64,
    pub(crate) records: BTreeMap<RecordKey, RecordSlot>,
    pub(crate) logs: BTreeMap<LogKey, LogSlot>,
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordSlot {
    pub(crate) version: Seq,
    /// Its content, if it shares a file.
    pub(crate) body: Option<Body>,
    /// Whether the file with its content is damaged.
    pub(crate) damaged: bool,
}

/// A log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogSlot {
    pub(crate) state: LogState,
    pub(crate) length: u64,
    /// The time of its last entry, if known.
    pub(crate) last_at: Option<Timestamp>,
    /// How many bytes of its file hold the entries, while it is open.
    pub(crate) bytes: u64,
    /// Whether the number of its entries is unknown, because its sealed file is damaged and there is no catalog.
    pub(crate) is_unknown: bool,
}

impl LogSlot {
    pub(crate) fn missing(log: &LogKey) -> Self {
        let bytes = lines::heading(log).len() as u64;
        Self { state: LogState::Open, length: 0, last_at: None, bytes, is_unknown: false }
    }

    pub(crate) const REMOVED: Self =
        Self { state: LogState::Removed, length: 0, last_at: None, bytes: 0, is_unknown: false };

    pub(crate) fn head(&self, log: &LogKey) -> LogHead {
        LogHead { log: log.clone(), length: self.length, last_at: self.last_at, state: self.state }
    }
}

impl Listed {
    /// Records the new state of a record; `None` if it is gone.
    pub(crate) fn put(&mut self, key: RecordKey, slot: Option<RecordSlot>) {
        match slot {
            Some(slot) => _ = self.records.insert(key, slot),
            None => _ = self.records.remove(&key),
        }
    }

    /// Returns every file that records and logs may have.
    pub(crate) fn paths(&self) -> HashSet<PathBuf> {
        let logs = self.logs.iter().filter(|(_, slot)| slot.state != LogState::Removed).map(|(log, _)| log);
        let logs = logs.flat_map(|log| [layout::open_log(log), layout::sealed_log(log)]);
        self.records.keys().map(layout::record).chain(logs).collect()
    }
}
