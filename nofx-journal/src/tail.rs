//! The tail: what the journal holds beyond the base, as a follower knows it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use nofx_core::{BatchId, Body, Direction, KeyQuery, LogEntry, LogHead, LogKey, LogQuery, LogState, RecordKey, Seq};

use crate::base::{Mark, Run};
use crate::codec::{Commit, Remembered};
use crate::damage::Damage;
use crate::files::ReadableFile;
use crate::segment::{Header, Position, Segment};

/// Every frame from the one that the base is known to hold up to where the journal was followed.
#[derive(Debug, Default)]
pub struct Tail {
    segment: Option<Segment>,
    position: Position,
    /// The frame after which it begins.
    start: Mark,
    /// Where in the segment the last frame begins; `None` if this generation has none yet.
    last: Option<u64>,
    frames: VecDeque<Frame>,
    /// How many bytes they all have in the journal.
    bytes: u64,
    /// A place after which the journal is known to have nothing whole, if that was checked.
    pub(crate) clean: Option<Position>,
    records: BTreeMap<RecordKey, LastWrite>,
    logs: BTreeMap<LogKey, LogTail>,
    ids: HashMap<BatchId, u64>,
    /// What of the journal cannot be read, if anything.
    damage: Option<Arc<Damage>>,
}

/// A size of a part of the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) bytes: u64,
    pub(crate) commits: u64,
}

impl Amount {
    pub(crate) const ALL: Self = Self { bytes: u64::MAX, commits: u64::MAX };

    /// Returns whether it reaches this bound in bytes or in commits.
    pub(crate) fn is_beyond(self, bound: Self) -> bool {
        self.bytes >= bound.bytes || self.commits >= bound.commits
    }
}

/// A group, with the mark after it.
#[derive(Debug)]
struct Frame {
    mark: Mark,
    /// How many bytes it has in the journal.
    bytes: u64,
    commits: Vec<Commit>,
}

/// The last write to a record, and its frame.
#[derive(Clone, Debug)]
pub(crate) struct LastWrite {
    pub(crate) frame: u64,
    /// `None` if it was deleted.
    pub(crate) record: Option<(Seq, Body)>,
}

/// What happened to a log, with the frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogTail {
    pub(crate) sealed: Option<u64>,
    pub(crate) removed: Option<u64>,
    pub(crate) entries: VecDeque<(u64, LogEntry)>,
}

impl Tail {
    /// Returns a tail that begins after what a base holds, at a place of the journal.
    pub(crate) fn after(start: Mark, segment: Segment, position: Position, last: Option<u64>) -> Self {
        Self { segment: Some(segment), position, last, start, ..Self::default() }
    }

    /// Returns a tail that begins after what a base holds, at no place of the journal yet.
    pub(crate) fn at(start: Mark) -> Self {
        Self { start, ..Self::default() }
    }

    pub(crate) fn damage(&self) -> Option<&Arc<Damage>> {
        self.damage.as_ref()
    }

    pub(crate) fn set_damage(&mut self, damage: Damage) {
        self.damage = Some(Arc::new(damage));
    }

    pub(crate) fn segment(&self) -> Option<&Segment> {
        self.segment.as_ref()
    }

    /// Returns how far the journal was followed.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns where in the segment the last frame begins, and the place after it; `None` if this generation has none
    /// yet.
    pub(crate) fn newest(&self) -> Option<(u64, Position)> {
        self.last.map(|offset| (offset, self.position))
    }

    /// Returns the frame after which it begins.
    pub(crate) fn start(&self) -> Mark {
        self.start
    }

    /// Returns the mark of a base that holds all of it.
    pub fn end(&self) -> Mark {
        self.frames.back().map_or(self.start, |frame| frame.mark)
    }

    pub(crate) fn continue_in(&mut self, next: Segment) {
        (self.position, self.last) = (next.header.start, None);
        self.segment = Some(next);
    }

    /// Reads a segment through another handle from now on, if it is the one that was followed last.
    pub(crate) fn read_from(&mut self, header: &Header, file: Arc<dyn ReadableFile>) {
        if let Some(segment) = self.segment.as_mut().filter(|segment| segment.header == *header) {
            segment.file = file;
        }
    }

    /// Skips a frame that the base holds.
    pub(crate) fn pass(&mut self, before: &Position, after: Position) {
        (self.last, self.position) = (Some(before.offset), after);
    }

    /// Takes in a group at a place.
    pub(crate) fn take_at(&mut self, before: &Position, commits: Vec<Commit>, after: Position) {
        self.position = *before;
        self.take(commits, after);
    }

    /// Takes in a group after damage; the journal ends before the damage.
    pub(crate) fn take_beyond(&mut self, before: &Position, commits: Vec<Commit>, after: Position) {
        let end = (self.last, self.position);
        self.take_at(before, commits, after);
        (self.last, self.position) = end;
    }

    /// Takes in the next group.
    pub(crate) fn take(&mut self, commits: Vec<Commit>, after: Position) {
        let (before, frame) = (self.end(), after.frame);
        // Counted from what the base says: a journal that lost some may say something else.
        let count = before.commits + commits.len() as u64;
        let mark = Mark { commits: count, ..before.after(&commits, &after) };
        for commit in &commits {
            self.ids.insert(commit.batch, frame);
            for (key, body) in &commit.writes {
                let record = commit.seq.zip(body.clone());
                self.records.insert(key.clone(), LastWrite { frame, record });
            }
            for (log, entries) in &commit.appends {
                let entries = entries.iter().map(|entry| (frame, entry.clone()));
                self.log(log).entries.extend(entries);
            }
            commit.seals.iter().for_each(|log| _ = self.log(log).sealed.get_or_insert(frame));
            commit.removals.iter().for_each(|log| _ = self.log(log).removed.get_or_insert(frame));
        }
        let bytes = after.offset - self.position.offset;
        self.frames.push_back(Frame { mark, bytes, commits });
        self.bytes += bytes;
        (self.last, self.position) = (Some(self.position.offset), after);
    }

    fn log(&mut self, log: &LogKey) -> &mut LogTail {
        self.logs.entry(log.clone()).or_default()
    }

    /// Forgets what the base is known to hold durably: every frame up to a number.
    pub(crate) fn forget(&mut self, applied: u64) {
        while let Some(frame) = self.frames.pop_front_if(|frame| frame.mark.frame <= applied) {
            self.bytes -= frame.bytes;
            for commit in frame.commits {
                self.ids.remove(&commit.batch);
                for (key, _) in commit.writes {
                    if self.records.get(&key).is_some_and(|last| last.frame <= applied) {
                        self.records.remove(&key);
                    }
                }
                let touched = commit.appends.into_iter().map(|(log, _)| log);
                for log in touched.chain(commit.seals).chain(commit.removals) {
                    let Some(tail) = self.logs.get_mut(&log) else { continue };
                    tail.forget(applied);
                    if tail.is_empty() {
                        self.logs.remove(&log);
                    }
                }
            }
            self.start = frame.mark;
        }
    }

    /// Returns the groups before which nothing is missing.
    fn whole(&self) -> impl Iterator<Item = &Frame> {
        let until = self.damage.as_ref().map_or(u64::MAX, |damage| damage.until);
        self.frames.iter().take_while(move |frame| frame.mark.frame <= until)
    }

    /// Returns the mark of a base that holds everything before which nothing is missing.
    pub(crate) fn whole_end(&self) -> Mark {
        if self.damage.is_none() { self.end() } else { self.whole().last().map_or(self.start, |frame| frame.mark) }
    }

    /// Returns the groups that a base holding everything up to a frame lacks, including those after damage.
    pub(crate) fn groups_after(&self, frame: u64) -> impl Iterator<Item = (&Mark, &Vec<Commit>)> {
        let lacking = self.frames.iter().skip_while(move |found| found.mark.frame <= frame);
        lacking.map(|frame| (&frame.mark, &frame.commits))
    }

    /// Returns what a base with this mark lacks, or everything from where the tail begins if that is later: the first
    /// groups, up to one that exceeds `most`, and none before which something is missing.
    pub(crate) fn run(&self, after: &Mark, most: Amount) -> Run {
        let lacking = self.whole().skip_while(|frame| frame.mark.frame <= after.frame);
        let mut taken = Amount::default();
        let groups = lacking.take_while(|frame| {
            let has_room = !taken.is_beyond(most);
            taken.bytes += frame.bytes;
            taken.commits += frame.commits.len() as u64;
            has_room
        });
        let groups = groups.map(|frame| (frame.mark, frame.commits.clone())).collect();
        Run { after: if after.frame > self.start.frame { *after } else { self.start }, groups, completes: false }
    }

    /// Returns how much of the journal the base may lack.
    pub(crate) fn amount(&self) -> Amount {
        Amount { bytes: self.bytes, commits: self.end().commits - self.start.commits }
    }

    /// Returns where the last frame of the segment begins, if it has one.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    pub(crate) fn record(&self, key: &RecordKey) -> Option<LastWrite> {
        self.records.get(key).cloned()
    }

    /// Returns what happened to a log, with only the last of its entries.
    pub(crate) fn head(&self, log: &LogKey) -> LogTail {
        self.logs.get(log).map(LogTail::without_entries).unwrap_or_default()
    }

    /// Returns the entries that a page needs, each with its frame, in position order.
    pub(crate) fn entries(&self, query: &LogQuery) -> Vec<(u64, LogEntry)> {
        let Some(tail) = self.logs.get(&query.log) else { return Vec::new() };
        let within = tail.entries.iter().filter(|(_, entry)| query.range.contains(&entry.position)).cloned();
        match query.direction {
            Direction::Forward => within.take(query.limit).collect(),
            Direction::Backward => {
                let mut last: Vec<_> = within.rev().take(query.limit).collect();
                last.reverse();
                last
            }
        }
    }

    /// Returns every record and log that it changes.
    pub(crate) fn keys(&self) -> (Vec<RecordKey>, Vec<LogKey>) {
        (self.records.keys().cloned().collect(), self.logs.keys().cloned().collect())
    }

    /// Returns what a page of records needs: everything written in its range, up to one live record more than the
    /// limit.
    pub(crate) fn records(&self, query: &KeyQuery<RecordKey>) -> Vec<(RecordKey, LastWrite)> {
        let found = up_to(query.find_in(&self.records), query.limit, |last| last.record.is_some());
        found.map(|(key, last)| (key.clone(), last.clone())).collect()
    }

    /// Returns what a page of heads needs, likewise.
    pub(crate) fn heads(&self, query: &KeyQuery<LogKey>) -> Vec<(LogKey, LogTail)> {
        let found = up_to(query.find_in(&self.logs), query.limit, |tail| tail.removed.is_none());
        found.map(|(log, tail)| (log.clone(), tail.without_entries())).collect()
    }

    pub(crate) fn remembered(&self, batch: &BatchId) -> Option<(u64, Remembered)> {
        let frame = *self.ids.get(batch)?;
        let at = self.frames.binary_search_by_key(&frame, |frame| frame.mark.frame).ok()?;
        let commit = self.frames.get(at)?.commits.iter().find(|commit| commit.batch == *batch)?;
        Some((frame, commit.remembered()))
    }

    /// Returns at most `limit` commits from a number on, each with its number.
    pub(crate) fn commits(&self, from: u64, limit: usize) -> Vec<(u64, Remembered)> {
        let commits = self.whole().flat_map(|frame| &frame.commits);
        let numbered = (self.start.commits..).zip(commits).filter(|(number, _)| *number >= from);
        numbered.take(limit).map(|(number, commit)| (number, commit.remembered())).collect()
    }
}

impl LogTail {
    /// Drops what a base holds that has every frame up to `applied`.
    pub(crate) fn forget(&mut self, applied: u64) {
        self.sealed = self.sealed.filter(|frame| *frame > applied);
        self.removed = self.removed.filter(|frame| *frame > applied);
        while self.entries.pop_front_if(|(frame, _)| *frame <= applied).is_some() {}
    }

    /// Returns the last frame that determines its length; sealing does not.
    pub(crate) fn touched(&self) -> Option<u64> {
        self.entries.back().map(|(frame, _)| *frame).max(self.removed)
    }

    pub(crate) fn has_entries(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sealed.is_none() && self.removed.is_none() && self.entries.is_empty()
    }

    /// Returns it with only the last entry, which gives the length.
    fn without_entries(&self) -> Self {
        Self { entries: self.entries.back().cloned().into_iter().collect(), ..*self }
    }

    /// Returns the state of the log, given its state in a base that holds nothing of this. `None` if it never existed.
    pub(crate) fn head(&self, log: &LogKey, base: Option<LogHead>) -> Option<LogHead> {
        if self.is_empty() {
            return base;
        }
        let mut head = base.unwrap_or_else(|| LogHead::missing(log.clone()));
        if let Some((_, last)) = self.entries.back() {
            (head.length, head.last_at) = (last.position + 1, Some(last.at));
        }
        if self.sealed.is_some() {
            head.state = LogState::Sealed;
        }
        if self.removed.is_some() {
            head = LogHead { state: LogState::Removed, ..LogHead::missing(log.clone()) };
        }
        Some(head)
    }
}

/// Returns the items found, up to one live item more than a limit.
fn up_to<'a, K: 'a, V: 'a>(
    found: impl Iterator<Item = (&'a K, &'a V)>,
    limit: usize,
    is_live: impl Fn(&V) -> bool,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    let mut live = 0;
    found.take_while(move |(_, value)| {
        let is_wanted = live <= limit;
        live += usize::from(is_live(value));
        is_wanted
    })
}
