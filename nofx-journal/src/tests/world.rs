//! A store with a writer, an applier and readers that act in any order, and what it should hold.

use std::path::Path;
use std::sync::Arc;

use nofx_core::{
    BatchId, Body, Key, KeyQuery, Kind, LogEntry, LogHead, LogKey, LogQuery, LogScan, LogState, Page, Record,
    RecordKey, ScanQuery, Seq, StoreId, Timestamp,
};

use crate::base::{Base, Rows, Run, Snapshot, SnapshotError};
use crate::codec::{Commit, Remembered};
use crate::files::{Files, WritableFile, WritableFiles};
use crate::follower::Follower;
use crate::layout::Layout;
use crate::memory::MemoryBase;
use crate::segment::{Header, NextFrame, Position, Segment, Spares};
use crate::shared_files::SharedFiles;
use crate::sim::{Dice, Sim};
use crate::tail::Amount;
use crate::tip::Tip;

pub(super) const STORE: StoreId = StoreId::from_bytes([9; 16]);
/// Returns where the journal is.
pub(super) fn layout() -> Layout {
    Layout::new("journal", *b"example\x01")
}

/// So small that a few commits fill a segment.
const ROOM: u64 = 1024;

/// What other processes do while a process reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Commit,
    /// A commit whose writer is killed after its flush, before it updates the tip.
    CommitUntold,
    TurnOver,
    /// A writer is killed after ending a generation, before it begins the next one.
    EndUntold,
    Apply,
    /// An applier is killed before it flushes the base.
    ApplyUnflushed,
    /// An applier is killed before it reports what it applied.
    ApplyUntold,
}

pub(super) const ACTS: [Act; 7] =
    [Act::Commit, Act::CommitUntold, Act::TurnOver, Act::EndUntold, Act::Apply, Act::ApplyUnflushed, Act::ApplyUntold];

/// A fault that a test must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// The base yields a page of its own rows, of which the tail may hide some.
    PageOfBase,
    /// The base does not remember the outcome of a batch.
    ForgetIds,
    /// A base that shows everything of a run is not made durable before that is reported.
    BelieveMark,
    /// A segment is reused before the base holds what it covers.
    EarlyReuse,
}

/// A store, and the processes that write to it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) sim: Sim,
    base: MemoryBase,
    sabotage: Option<Sabotage>,
    shared_files: SharedFiles,
    applier: Follower,
    segment: Segment,
    file: Arc<dyn WritableFile>,
    position: Position,
    /// Set if the generation was ended and no other was begun.
    is_ended: bool,
    /// Set once a writer has reported, in this boot, what it found.
    is_settled: bool,
    /// What was acknowledged.
    pub(super) history: History,
    /// What is on the disk but was never acknowledged.
    untold: Option<Commit>,
    dice: Dice,
    salt: u64,
}

impl World {
    pub(super) fn new(base: MemoryBase, sabotage: Option<Sabotage>, seed: u64) -> Self {
        let sim = Sim::default();
        let shared_files = SharedFiles::open(&sim, &layout()).unwrap();
        let header = Header::after(&Position::default(), STORE, 1, None);
        let (segment, file) = Segment::begin_next(&sim, &layout(), header, 0, ROOM, Spares::TakeLast).unwrap();
        sim.sync_dir(Path::new("")).unwrap();
        Tip::write_durable(shared_files.tip(), &header.start, sim.boot()).unwrap();
        Self {
            applier: follower(&sim, &base, sabotage),
            position: header.start,
            is_ended: false,
            is_settled: true,
            history: History::default(),
            untold: None,
            dice: Dice(seed),
            salt: 1,
            sim,
            base,
            sabotage,
            shared_files,
            segment,
            file,
        }
    }

    /// Returns what a process sees of the base.
    pub(super) fn base(&self) -> Arc<dyn Base> {
        Arc::new(Sabotaged { base: self.base.clone(), sabotage: self.sabotage })
    }

    pub(super) fn reader(&self) -> Follower {
        follower(&self.sim, &self.base, self.sabotage)
    }

    pub(super) fn act(&mut self, act: Act) {
        if !self.is_settled && !matches!(act, Act::Apply | Act::ApplyUnflushed | Act::ApplyUntold) {
            self.settle();
        }
        match act {
            Act::Commit => self.commit(true),
            Act::CommitUntold => self.commit(false),
            Act::TurnOver => self.turn_over(),
            Act::EndUntold => self.end(),
            Act::Apply => _ = self.applier.apply(&self.shared_files).unwrap(),
            Act::ApplyUnflushed => {
                self.base.kill_before_flush(true);
                _ = self.applier.apply(&self.shared_files);
                self.base.kill_before_flush(false);
                self.applier = self.reader();
            }
            // Nothing is applied before it is settled.
            Act::ApplyUntold if !self.is_settled => {}
            Act::ApplyUntold => {
                self.applier.follow().unwrap();
                let run = self.applier.tail().run(&self.base.snapshot().unwrap().mark(), Amount::ALL);
                self.base.apply(&run).unwrap();
                self.applier = self.reader();
            }
        }
    }

    fn commit(&mut self, is_told: bool) {
        let commit = self.history.any_commit(&mut self.dice);
        if self.is_ended {
            self.begin();
        }
        let (mut frame, mut after) = self.segment.frame(&self.position, std::slice::from_ref(&commit));
        if after.offset > ROOM {
            self.turn_over();
            (frame, after) = self.segment.frame(&self.position, std::slice::from_ref(&commit));
        }
        self.file.write_at(&frame, self.position.offset).unwrap();
        self.file.sync().unwrap();
        match is_told {
            true => {
                Tip::write_durable(self.shared_files.tip(), &after, self.sim.boot()).unwrap();
                self.history.0.push(commit);
                (self.position, self.untold) = (after, None);
            }
            false => self.untold = Some(commit),
        }
    }

    fn turn_over(&mut self) {
        self.end();
        self.begin();
    }

    fn end(&mut self) {
        if !self.is_ended {
            // Not flushed: what was never acknowledged may reappear until the next generation begins.
            self.file.write_at(&self.segment.end(&self.position), self.position.offset).unwrap();
            self.is_ended = true;
        }
    }

    fn begin(&mut self) {
        self.salt += 1;
        let header = Header::after(&self.position, STORE, self.salt, None);
        let told = Tip::read(self.shared_files.tip()).unwrap().unwrap();
        let applied = if self.sabotage == Some(Sabotage::EarlyReuse) { u64::MAX } else { told.applied };
        (self.segment, self.file) =
            Segment::begin_next(&self.sim, &layout(), header, applied, ROOM, Spares::TakeLast).unwrap();
        (self.position, self.is_ended, self.untold) = (header.start, false, None);
    }

    /// Continues after a power cut: on what is left of the disk, with other processes.
    ///
    /// `Err` says what was lost.
    pub(super) fn cut(&mut self) -> Result<(), String> {
        self.sim = Sim::holding(self.sim.platter().cut(&mut self.dice));
        self.base = self.base.cut(&mut self.dice);
        self.shared_files = SharedFiles::open(&self.sim, &layout()).unwrap();
        let reader = self.reader();
        let acknowledged = self.history.0.len();
        // It was on the disk, and counts from now on, unless it was overwritten.
        self.history.0.extend(self.untold.take());
        match reader.follow() {
            Ok(_) if reader.tail().end().commits < self.history.0.len() as u64 => self.history.0.truncate(acknowledged),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        self.history.compare(&reader, self.history.0.len()..=self.history.0.len())?;
        (self.is_settled, self.applier) = (false, self.reader());
        Ok(())
    }

    /// A writer's first act: what it found is made durable and reported.
    fn settle(&mut self) {
        let reader = self.reader();
        reader.follow().unwrap();
        self.position = reader.position();
        self.segment = reader.tail().segment().unwrap().clone();
        self.file = self.sim.edit(&self.segment.path).unwrap();
        self.file.sync().unwrap();
        Tip::write_durable(self.shared_files.tip(), &self.position, self.sim.boot()).unwrap();
        self.is_ended = self.segment.read(&self.position).unwrap() == NextFrame::End;
        self.is_settled = true;
    }
}

fn follower(sim: &Sim, base: &MemoryBase, sabotage: Option<Sabotage>) -> Follower {
    Follower::new(Arc::new(sim.clone()), layout(), STORE, Arc::new(Sabotaged { base: base.clone(), sabotage }))
}

/// A base with a fault.
#[derive(Debug)]
struct Sabotaged {
    base: MemoryBase,
    sabotage: Option<Sabotage>,
}

impl Base for Sabotaged {
    fn snapshot(&self) -> nofx_core::Result<Box<dyn Snapshot + '_>> {
        let snapshot = self.base.snapshot()?;
        Ok(match self.sabotage {
            None => snapshot,
            sabotage => Box::new(SabotagedSnapshot { snapshot, sabotage }),
        })
    }

    fn apply(&self, run: &Run) -> nofx_core::Result<()> {
        if self.sabotage == Some(Sabotage::BelieveMark) && run.groups.is_empty() {
            return Ok(());
        }
        self.base.apply(run)
    }
}

struct SabotagedSnapshot<'b> {
    snapshot: Box<dyn Snapshot + 'b>,
    sabotage: Option<Sabotage>,
}

impl Snapshot for SabotagedSnapshot<'_> {
    fn mark(&self) -> crate::base::Mark {
        self.snapshot.mark()
    }

    fn version(&self, key: &RecordKey) -> Result<Option<Seq>, SnapshotError> {
        self.snapshot.version(key)
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, SnapshotError> {
        self.snapshot.record(key)
    }

    fn records<'a>(&'a self, query: &'a ScanQuery) -> Rows<'a, (RecordKey, Option<Record>)> {
        match self.sabotage {
            Some(Sabotage::PageOfBase) => Box::new(self.snapshot.records(query).take(query.limit)),
            _ => self.snapshot.records(query),
        }
    }

    fn head(&self, log: &LogKey) -> Result<Option<LogHead>, SnapshotError> {
        self.snapshot.head(log)
    }

    fn heads<'a>(&'a self, query: &'a LogScan) -> Rows<'a, LogHead> {
        self.snapshot.heads(query)
    }

    fn entries<'a>(
        &'a self,
        log: &'a LogKey,
        range: std::ops::Range<u64>,
        direction: nofx_core::Direction,
    ) -> Rows<'a, LogEntry> {
        self.snapshot.entries(log, range, direction)
    }

    fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>, SnapshotError> {
        if self.sabotage == Some(Sabotage::ForgetIds) { Ok(None) } else { self.snapshot.remembered(batch) }
    }

    fn commits(&self, from: u64) -> Result<Option<Rows<'_, Remembered>>, SnapshotError> {
        self.snapshot.commits(from)
    }
}

/// What was committed, one after the other. What a store holds is determined by searching all of it.
#[derive(Clone, Debug, Default)]
pub(super) struct History(pub(super) Vec<Commit>);

/// A question about a store.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Get(Vec<RecordKey>),
    Scan(ScanQuery),
    Heads(Vec<LogKey>),
    Logs(LogScan),
    Read(LogQuery),
    Remembered(BatchId),
    Commits(u64, usize),
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Records(Vec<Option<Record>>),
    RecordPage(Page<Record>),
    Heads(Vec<LogHead>),
    HeadPage(Page<LogHead>),
    Entries(Page<LogEntry>),
    Remembered(Option<Remembered>),
    Commits(Option<(Vec<Remembered>, u64)>),
}

impl Question {
    /// Returns questions that reveal everything that a store of some commits holds, and how it is split into
    /// pages.
    pub(super) fn all(commits: usize) -> Vec<Self> {
        let mut all = vec![Self::Get(records()), Self::Heads(logs()), Self::Commits(0, 100), Self::Commits(1, 1)];
        all.extend((0..=commits).map(|number| Self::Remembered(id(number))));
        for limit in [1, 2, 100] {
            all.extend(pages(limit, records()).map(Self::Scan));
            all.extend(pages(limit, logs()).map(Self::Logs));
            for log in logs() {
                all.push(Self::Read(LogQuery::oldest_first(log.clone(), limit)));
                all.push(Self::Read(LogQuery::newest_first(log.clone(), limit)));
                all.push(Self::Read(LogQuery::newest_first(log.clone(), limit).within(1..3)));
                all.push(Self::Read(LogQuery::oldest_first(log, limit).within(1..3)));
            }
        }
        all
    }

    /// Returns a few questions, each of which takes a different path.
    pub(super) fn some() -> Vec<Self> {
        vec![
            Self::Get(records()),
            Self::Scan(ScanQuery::all(2)),
            Self::Logs(LogScan::all(1).backward()),
            Self::Read(LogQuery::oldest_first(logs().remove(0), 2)),
            Self::Read(LogQuery::newest_first(logs().remove(0), 3)),
            Self::Remembered(id(1)),
            Self::Commits(0, 3),
        ]
    }

    pub(super) fn ask(&self, reader: &Follower) -> nofx_core::Result<Answer> {
        Ok(match self {
            Self::Get(keys) => Answer::Records(reader.get(keys)?),
            Self::Scan(query) => Answer::RecordPage(reader.scan(query)?),
            Self::Heads(logs) => Answer::Heads(reader.heads(logs)?),
            Self::Logs(query) => Answer::HeadPage(reader.logs(query)?),
            Self::Read(query) => Answer::Entries(reader.read(query)?),
            Self::Remembered(batch) => Answer::Remembered(reader.remembered(batch)?),
            Self::Commits(from, limit) => Answer::Commits(reader.commits(*from, *limit)?),
        })
    }
}

/// Returns every page of this many keys that begins at either end or after one of some keys.
fn pages<K: Key>(limit: usize, keys: Vec<K>) -> impl Iterator<Item = KeyQuery<K>> {
    let all = KeyQuery::<K>::all(limit);
    let kind = keys[0].kind().clone();
    let whole = [all.clone(), KeyQuery::of(kind.clone(), limit), KeyQuery::of(kind, limit).prefixed("b")];
    let behind: Vec<_> = keys.into_iter().map(|key| all.clone().after(key)).collect();
    whole.into_iter().chain(behind).flat_map(|query| [query.clone(), query.backward()])
}

fn records() -> Vec<RecordKey> {
    let key = |kind, id: &str| RecordKey::new(Kind::of(kind), id).unwrap();
    vec![key("note", "a"), key("note", "b"), key("note", "bb"), key("memo", "a"), key("memo", "c")]
}

fn logs() -> Vec<LogKey> {
    ["a", "b", "bb"].map(|id| LogKey::new(Kind::of("talk"), id).unwrap()).to_vec()
}

fn id(number: usize) -> BatchId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
    BatchId::from_bytes(bytes)
}

impl History {
    /// Makes up a commit that may follow.
    pub(super) fn any_commit(&self, dice: &mut Dice) -> Commit {
        let number = self.0.len();
        let mut commit =
            Commit { batch: id(number), seq: None, writes: vec![], appends: vec![], seals: vec![], removals: vec![] };
        let body = |dice: &mut Dice| Body::trusted(format!("{}", dice.below(1000)));
        for key in records() {
            if dice.one_in(3) {
                commit.seq = Seq::new(self.0.iter().filter(|commit| commit.seq.is_some()).count() as u64 + 1);
                commit.writes.push((key, (!dice.one_in(3)).then(|| body(dice))));
            }
        }
        for log in logs() {
            let head = self.head(number, &log).unwrap_or_else(|| LogHead::missing(log.clone()));
            match head.state {
                LogState::Removed => {}
                _ if dice.one_in(12) => commit.removals.push(log),
                LogState::Sealed => {}
                LogState::Open => {
                    if dice.one_in(2) {
                        let positions = head.length..head.length + 1 + dice.below(2);
                        let at = Timestamp::from_millis(dice.below(100) as i64);
                        let entry = |position| LogEntry { position, at, body: Body::trusted(format!("{position}")) };
                        commit.appends.push((log.clone(), positions.map(entry).collect()));
                    }
                    if dice.one_in(12) {
                        commit.seals.push(log);
                    }
                }
            }
        }
        commit
    }

    fn record(&self, count: usize, key: &RecordKey) -> Option<Record> {
        let written =
            |commit: &Commit| Some((commit.seq, commit.writes.iter().find(|(found, _)| found == key)?.1.clone()));
        let (version, body) = self.0[..count].iter().rev().find_map(written)?;
        Some(Record { key: key.clone(), version: version?, body: body? })
    }

    fn entries(&self, count: usize, log: &LogKey) -> Vec<LogEntry> {
        let commits = &self.0[..count];
        if commits.iter().any(|commit| commit.removals.contains(log)) {
            return Vec::new();
        }
        let appends = commits.iter().flat_map(|commit| &commit.appends).filter(|(found, _)| found == log);
        appends.flat_map(|(_, entries)| entries.clone()).collect()
    }

    fn head(&self, count: usize, log: &LogKey) -> Option<LogHead> {
        let commits = &self.0[..count];
        let (is_removed, is_sealed) = (
            commits.iter().any(|commit| commit.removals.contains(log)),
            commits.iter().any(|commit| commit.seals.contains(log)),
        );
        let entries = self.entries(count, log);
        if entries.is_empty() && !is_removed && !is_sealed {
            return None;
        }
        let state = match (is_removed, is_sealed) {
            (true, _) => LogState::Removed,
            (_, true) => LogState::Sealed,
            _ => LogState::Open,
        };
        Some(LogHead {
            log: log.clone(),
            length: entries.len() as u64,
            last_at: entries.last().map(|one| one.at),
            state,
        })
    }

    /// Returns what a store with this many of the commits answers.
    pub(super) fn answer(&self, count: usize, question: &Question) -> Answer {
        match question {
            Question::Get(keys) => Answer::Records(keys.iter().map(|key| self.record(count, key)).collect()),
            Question::Scan(query) => {
                let all = records().into_iter().filter_map(|key| self.record(count, &key));
                Answer::RecordPage(page(all.map(|record| (record.key.clone(), record)), query))
            }
            Question::Heads(logs) => {
                let head = |log: &LogKey| self.head(count, log).unwrap_or_else(|| LogHead::missing(log.clone()));
                Answer::Heads(logs.iter().map(head).collect())
            }
            Question::Logs(query) => {
                let all = logs().into_iter().filter_map(|log| self.head(count, &log));
                let present = all.filter(|head| head.state != LogState::Removed);
                Answer::HeadPage(page(present.map(|head| (head.log.clone(), head)), query))
            }
            Question::Read(query) => {
                let mut found = self.entries(count, &query.log);
                found.retain(|entry| query.range.contains(&entry.position));
                if query.direction == nofx_core::Direction::Backward {
                    found.reverse();
                }
                let more = found.len() > query.limit;
                found.truncate(query.limit);
                Answer::Entries(Page { items: found, more })
            }
            Question::Remembered(batch) => {
                let found = self.0[..count].iter().find(|commit| commit.batch == *batch);
                Answer::Remembered(found.map(Commit::remembered))
            }
            Question::Commits(from, limit) => {
                let found = self.0[..count].iter().skip(*from as usize).take(*limit).map(Commit::remembered);
                Answer::Commits(Some((found.collect(), count as u64)))
            }
        }
    }

    /// Returns whether an answer is that of a store at a single point in time, when it held this many commits.
    pub(super) fn allows(
        &self,
        mut counts: std::ops::RangeInclusive<usize>,
        question: &Question,
        answer: &Answer,
    ) -> bool {
        counts.any(|count| self.answer(count, question) == *answer)
    }

    /// Compares everything that a reader answers with what it should. `Err` says what differs.
    pub(super) fn compare(&self, reader: &Follower, counts: std::ops::RangeInclusive<usize>) -> Result<(), String> {
        for question in Question::all(*counts.end()) {
            match question.ask(reader) {
                Ok(answer) if self.allows(counts.clone(), &question, &answer) => {}
                Ok(answer) => {
                    let expected = self.answer(*counts.end(), &question);
                    return Err(format!("{question:?}\n answers {answer:?}\n  not {expected:?}"));
                }
                Err(error) => return Err(format!("{question:?}\n fails: {error}")),
            }
        }
        Ok(())
    }
}

fn page<K: Key, T>(all: impl Iterator<Item = (K, T)>, query: &KeyQuery<K>) -> Page<T> {
    let mut found: Vec<_> = all.filter(|(key, _)| query.matches(key)).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    if query.direction == nofx_core::Direction::Backward {
        found.reverse();
    }
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    Page { items: found.into_iter().map(|(_, item)| item).collect(), more }
}
