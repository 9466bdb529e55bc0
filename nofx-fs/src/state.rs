//! What a process knows of the store: every key, and the content that only the journal holds so far.
//!
//! The state is what the files held when it was loaded, plus every group of the journal since. Bodies of records that
//! have a file are kept only while they are dirty, which means until the files are known to hold them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;

use nofx_core::{BatchId, Body, Key, LogEntry, LogHead, LogKey, LogState, RecordKey, Seq, Timestamp};
use nofx_journal::codec::{Commit, Remembered};
use nofx_journal::lost::LostFrames;
use nofx_journal::segment::{Position, Segment};

use crate::{layout, lines};

#[derive(Debug, Default)]
pub(crate) struct StoreState {
    /// How far the journal was followed.
    pub(crate) position: Position,
    /// The segment in which it was followed.
    pub(crate) segment: Option<Segment>,
    /// Where the last frame begins that was taken in, and the place after it.
    pub(crate) last_frame: Option<(u64, Position)>,
    pub(crate) last_seq: Option<Seq>,
    pub(crate) records: BTreeMap<RecordKey, RecordSlot>,
    pub(crate) logs: BTreeMap<LogKey, LogSlot>,
    /// The last frame that the files hold.
    pub(crate) base: u64,
    /// The number of commits in the feed's files.
    pub(crate) base_commits: u64,
    /// The items changed since, each with the last frame that changed it.
    dirty_records: HashMap<RecordKey, u64>,
    dirty_logs: HashMap<LogKey, u64>,
    /// The commits since, each with its frame.
    recent: VecDeque<(u64, Remembered)>,
    recent_ids: HashMap<BatchId, u64>,
    /// The bytes of each frame since, and the total.
    frame_bytes: VecDeque<(u64, u64)>,
    pub(crate) dirty_bytes: u64,
    /// Whether frames were taken in that no tip reports as durable: they are on the disk, unless a process is writing
    /// them right now.
    pub(crate) is_unproven: bool,
    /// Why the journal cannot be trusted, if so, and what part of it cannot be read.
    pub(crate) damage: Option<String>,
    pub(crate) lost: Vec<LostFrames>,
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordSlot {
    pub(crate) version: Seq,
    /// Its content, while it is dirty or if it shares a file.
    pub(crate) body: Option<Body>,
    /// Whether the file with its content is damaged.
    pub(crate) damaged: bool,
}

/// A log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogSlot {
    pub(crate) state: LogState,
    pub(crate) length: u64,
    pub(crate) last_at: Option<Timestamp>,
    /// How many entries its file holds, and in how many bytes while it is open.
    pub(crate) base: u64,
    pub(crate) bytes: u64,
    /// The time of the last entry in the file, if known.
    pub(crate) base_at: Option<Timestamp>,
    /// The entries since, each with its frame.
    pub(crate) recent: VecDeque<(u64, LogEntry)>,
    /// Whether the number of its entries is unknown, because its sealed file is damaged and there is no catalog.
    pub(crate) is_unknown: bool,
}

impl LogSlot {
    pub(crate) fn missing(log: &LogKey) -> Self {
        let bytes = lines::heading(log).len() as u64;
        let (state, recent) = (LogState::Open, VecDeque::new());
        Self { state, length: 0, last_at: None, base: 0, bytes, base_at: None, recent, is_unknown: false }
    }

    /// Returns its state after removal; what its file holds is kept until that is removed too.
    fn removed(&self) -> Self {
        let (state, recent) = (LogState::Removed, VecDeque::new());
        Self { state, length: 0, last_at: None, recent, is_unknown: false, ..*self }
    }

    /// Returns the length of an open log's file once it holds everything.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.bytes + self.recent.iter().map(|(_, entry)| lines::length(entry)).sum::<u64>()
    }

    pub(crate) fn head(&self, log: &LogKey) -> LogHead {
        LogHead { log: log.clone(), length: self.length, last_at: self.last_at, state: self.state }
    }
}

/// What the files do not hold yet.
#[derive(Debug)]
pub(crate) struct Unapplied {
    pub(crate) until: Position,
    pub(crate) last_seq: Option<Seq>,
    /// Each with the last frame that changed it; `None` for a deleted record.
    pub(crate) records: Vec<(RecordKey, Option<RecordSlot>, u64)>,
    pub(crate) logs: Vec<(LogKey, LogSlot, u64)>,
    /// The number of the first commit, and the commits.
    pub(crate) first_commit: u64,
    pub(crate) commits: Vec<Remembered>,
}

impl StoreState {
    pub(crate) fn head(&self, log: &LogKey) -> LogHead {
        self.logs.get(log).map_or_else(|| LogHead::missing(log.clone()), |slot| slot.head(log))
    }

    /// Returns the outcome of a recently committed batch.
    pub(crate) fn recent_commit(&self, batch: &BatchId) -> Option<&Remembered> {
        self.recent_commit_at(*self.recent_ids.get(batch)?)
    }

    /// Returns a recent commit by its number.
    pub(crate) fn recent_commit_at(&self, number: u64) -> Option<&Remembered> {
        let at = usize::try_from(number.checked_sub(self.base_commits)?).ok()?;
        self.recent.get(at).map(|(_, remembered)| remembered)
    }

    /// Returns where the last frame of this segment begins and the place after it, which is where the state ends;
    /// `None` if the segment has no frame yet.
    pub(crate) fn last_frame_here(&self) -> Option<(u64, Position)> {
        self.last_frame.filter(|(_, after)| *after == self.position)
    }

    /// Returns whether the journal holds what the files do not.
    pub(crate) fn is_dirty(&self) -> bool {
        self.base < self.position.frame
    }

    /// Returns whether only the journal holds the current state of a record.
    pub(crate) fn is_unapplied(&self, key: &RecordKey) -> bool {
        self.dirty_records.contains_key(key)
    }

    /// Returns why the state of a record is unknown, if so: what the journal lost may concern it, and no later frame
    /// does.
    pub(crate) fn doubts_record(&self, key: &RecordKey) -> Option<&str> {
        self.doubts(key, self.dirty_records.get(key))
    }

    /// Returns why it is unknown where a log ends, likewise.
    pub(crate) fn doubts_log(&self, log: &LogKey) -> Option<&str> {
        if self.logs.get(log).is_some_and(|slot| slot.is_unknown) {
            return Some("the number of its entries is unknown: its sealed file is damaged");
        }
        // A later seal does not say how long the log is.
        let touched = match self.logs.get(log) {
            Some(slot) if slot.state != LogState::Removed => slot.recent.back().map(|(frame, _)| frame),
            _ => self.dirty_logs.get(log),
        };
        self.doubts(log, touched)
    }

    fn doubts(&self, key: &impl Key, touched: Option<&u64>) -> Option<&str> {
        let mut lost = self.lost.iter().filter(|lost| touched.is_none_or(|frame| *frame < *lost.frames.start()));
        lost.any(|lost| lost.may_concern(key)).then(|| self.damage.as_deref().unwrap_or_default())
    }

    /// Takes in a group that was written to the journal after `at`.
    ///
    /// Only if this state ends there: other readers of the journal may have moved it on, and they follow the tip.
    pub(crate) fn take_in(&mut self, segment: &Segment, at: &Position, commits: Vec<Commit>, after: Position) {
        if self.position.is_same_frame(at) {
            (self.segment, self.position) = (Some(segment.clone()), *at);
            self.install(commits, after);
        }
    }

    /// Continues in the next generation, if this state ends where that begins.
    pub(crate) fn continue_in(&mut self, next: Segment) {
        if self.position.is_same_frame(&next.header.start) {
            self.position = next.header.start;
            self.segment = Some(next);
        }
    }

    /// Takes in a group of the journal.
    pub(crate) fn install(&mut self, commits: Vec<Commit>, after: Position) {
        let frame = after.frame;
        for (number, commit) in (self.position.commits..).zip(commits) {
            let remembered = commit.remembered();
            self.recent_ids.insert(remembered.batch, number);
            self.recent.push_back((frame, remembered));
            self.last_seq = self.last_seq.max(commit.seq);
            for (key, body) in commit.writes {
                self.dirty_records.insert(key.clone(), frame);
                match (body, commit.seq) {
                    (Some(body), Some(version)) => {
                        self.records.insert(key, RecordSlot { version, body: Some(body), damaged: false });
                    }
                    _ => _ = self.records.remove(&key),
                }
            }
            for (log, entries) in commit.appends {
                let slot = self.dirty_log(&log, frame);
                // Where the journal lost a group, its entries are missing before these.
                slot.length = entries.last().map_or(slot.length, |last| last.position + 1);
                slot.last_at = entries.last().map(|entry| entry.at).or(slot.last_at);
                slot.recent.extend(entries.into_iter().map(|entry| (frame, entry)));
            }
            for log in commit.seals {
                self.dirty_log(&log, frame).state = LogState::Sealed;
            }
            for log in commit.removals {
                let slot = self.dirty_log(&log, frame);
                *slot = slot.removed();
            }
        }
        let bytes = after.offset.saturating_sub(self.position.offset);
        self.frame_bytes.push_back((frame, bytes));
        self.dirty_bytes += bytes;
        self.last_frame = Some((self.position.offset, after));
        self.position = after;
    }

    fn dirty_log(&mut self, log: &LogKey, frame: u64) -> &mut LogSlot {
        self.dirty_logs.insert(log.clone(), frame);
        self.logs.entry(log.clone()).or_insert_with(|| LogSlot::missing(log))
    }

    /// Returns only the keys, with their versions and heads.
    pub(crate) fn keys(&self) -> Self {
        Self { records: self.records.clone(), logs: self.logs.clone(), ..Self::default() }
    }

    /// Returns every file that records and logs may have, including those of removed items while the files may still
    /// exist.
    pub(crate) fn paths(&self) -> HashSet<PathBuf> {
        let mut paths: HashSet<_> = self.records.keys().map(layout::record).collect();
        let logs = self.logs.iter().filter(|(_, slot)| slot.state != LogState::Removed).map(|(log, _)| log);
        paths.extend(logs.flat_map(|log| [layout::open_log(log), layout::sealed_log(log)]));
        paths.extend(self.unapplied_paths());
        paths
    }

    /// Returns the files that are still to be written or removed.
    pub(crate) fn unapplied_paths(&self) -> Vec<PathBuf> {
        let records = self.dirty_records.keys().filter(|key| !layout::is_index(key.kind())).map(layout::record);
        records.chain(self.dirty_logs.keys().flat_map(|log| [layout::open_log(log), layout::sealed_log(log)])).collect()
    }

    /// Returns everything that the files do not hold.
    pub(crate) fn unapplied(&self) -> Unapplied {
        let records = self.dirty_records.iter();
        let records = records.map(|(key, frame)| (key.clone(), self.records.get(key).cloned(), *frame));
        let logs = self.dirty_logs.iter();
        let logs = logs.filter_map(|(log, frame)| Some((log.clone(), self.logs.get(log)?.clone(), *frame)));
        Unapplied {
            until: self.position,
            last_seq: self.last_seq,
            records: records.collect(),
            logs: logs.collect(),
            first_commit: self.base_commits,
            commits: self.recent.iter().map(|(_, remembered)| remembered.clone()).collect(),
        }
    }

    /// Forgets what only the journal held, up to a frame that the files are now known to hold.
    pub(crate) fn advance(&mut self, applied: u64) {
        if applied <= self.base {
            return;
        }
        self.base = applied.min(self.position.frame);
        let base = self.base;
        let records = &mut self.records;
        self.dirty_records.retain(|key, frame| {
            let dirty = *frame > base;
            if !dirty
                && !layout::is_index(key.kind())
                && let Some(slot) = records.get_mut(key)
            {
                slot.body = None;
            }
            dirty
        });
        let logs = &mut self.logs;
        self.dirty_logs.retain(|log, frame| {
            if let Some(slot) = logs.get_mut(log) {
                while let Some((_, entry)) = slot.recent.pop_front_if(|(frame, _)| *frame <= base) {
                    slot.base = entry.position + 1;
                    slot.base_at = Some(entry.at);
                    slot.bytes += lines::length(&entry);
                }
            }
            *frame > base
        });
        while let Some((_, remembered)) = self.recent.pop_front_if(|(frame, _)| *frame <= base) {
            self.recent_ids.remove(&remembered.batch);
            self.base_commits += 1;
        }
        while let Some((_, bytes)) = self.frame_bytes.pop_front_if(|(frame, _)| *frame <= base) {
            self.dirty_bytes -= bytes;
        }
    }
}
