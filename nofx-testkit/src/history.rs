//! Random histories: operations on a store, generated and shrunk by `proptest`.
//!
//! A history uses only a few names, so that its steps interact. Expectations are given relative to what the oracle
//! holds at that time, so that they hold or fail about equally often, even after shrinking.

use nofx_core::{
    Batch, BatchId, Body, Direction, Expect, Guard, Kind, LogKey, LogQuery, LogScan, MemoryBackend, NewEntry,
    PersistenceBackend, RecordKey, Result, ScanQuery, Seq, Timestamp,
};
use proptest::prelude::*;
use proptest::{collection::vec, option};

/// Kinds with a common prefix.
const KINDS: [Kind; 2] = [Kind::of("note"), Kind::of("note-x")];

/// A few ids, some of which look like others or like something else.
const IDS: [&str; 6] = ["a", "A", "a/b", "..", "e\u{301}", "\u{e9}"];

/// Bodies that do not survive being parsed and written again.
const BODIES: [&str; 6] = ["1.10", "{}", r#"{"a":1,"a":2}"#, r#""\ud800""#, "1e400", "[null]"];

/// One operation on a store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Commits a group, which may end with a repeat of one of its batches.
    Commit(Vec<BatchDraft>, Option<usize>),
    /// Commits an earlier batch again: the last one, or this many before it.
    Again(usize),
    /// Closes all handles and opens the store again, if possible.
    Reopen,
    /// Switches to the other of two handles.
    OtherHandle,
    /// Scans records.
    Scan(Keys),
    /// Scans logs.
    Logs(Keys),
    /// Reads entries.
    Read { log: Name, start: u64, length: u64, backward: bool, limit: usize },
    /// Gets records and heads by name.
    Ask(Vec<Name>),
}

/// The kind and the id of a record or a log, as indexes into the lists above.
pub(crate) type Name = (usize, usize);

/// A query about keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    kind: Option<usize>,
    prefix: usize,
    after: Option<Name>,
    backward: bool,
    limit: usize,
}

/// A batch without its id and versions, which are known when its turn comes.
#[derive(Clone, Debug)]
pub(crate) struct BatchDraft {
    writes: Vec<(Name, Expected, Option<usize>)>,
    appends: Vec<(Name, Option<i64>, Vec<usize>)>,
    seals: Vec<Name>,
    removals: Vec<Name>,
    guards: Vec<Guarded>,
}

/// What a batch expects of a record.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Any,
    Absent,
    /// The version that it has, plus this offset.
    Version(i64),
}

/// What a batch expects of something that it does not write.
#[derive(Clone, Copy, Debug)]
enum Guarded {
    Record(Name, Expected),
    /// The length that the log has, plus this offset.
    Length(Name, i64),
}

fn name() -> impl Strategy<Value = Name> {
    (0..KINDS.len(), 0..IDS.len())
}

/// Usually zero, sometimes one too few or too many.
fn off() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 1 => Just(-1), 1 => Just(1)]
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![3 => Just(Expected::Any), 1 => Just(Expected::Absent), 3 => off().prop_map(Expected::Version)]
}

fn draft() -> impl Strategy<Value = BatchDraft> {
    let write = (name(), expected(), option::weighted(0.8, 0..BODIES.len()));
    let append = (name(), option::of(off()), vec(0..BODIES.len(), 1..4));
    let guarded = prop_oneof![
        (name(), expected()).prop_map(|(name, expected)| Guarded::Record(name, expected)),
        (name(), off()).prop_map(|(name, off)| Guarded::Length(name, off)),
    ];
    let rarely = |names| prop_oneof![6 => Just(Vec::new()), 1 => vec(names, 1..3)];
    (vec(write, 0..4), vec(append, 0..3), rarely(name().boxed()), rarely(name().boxed()), vec(guarded, 0..2))
        .prop_map(|(writes, appends, seals, removals, guards)| BatchDraft { writes, appends, seals, removals, guards })
}

fn keys() -> impl Strategy<Value = Keys> {
    (option::of(0..KINDS.len()), 0..4_usize, option::of(name()), any::<bool>(), 0..6_usize)
        .prop_map(|(kind, prefix, after, backward, limit)| Keys { kind, prefix, after, backward, limit })
}

fn step() -> impl Strategy<Value = Step> {
    let read = (name(), 0..6_u64, 0..9_u64, any::<bool>(), 0..5_usize)
        .prop_map(|(log, start, length, backward, limit)| Step::Read { log, start, length, backward, limit });
    prop_oneof![
        12 => (vec(draft(), 1..5), option::weighted(0.2, 0..5_usize)).prop_map(|(group, twice)| Step::Commit(group, twice)),
        2 => (0..8_usize).prop_map(Step::Again),
        1 => Just(Step::Reopen),
        2 => Just(Step::OtherHandle),
        2 => keys().prop_map(Step::Scan),
        1 => keys().prop_map(Step::Logs),
        2 => read,
        2 => vec(name(), 0..5).prop_map(Step::Ask),
    ]
}

/// Returns histories of up to forty steps.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..40)
}

pub(crate) fn record((kind, id): Name) -> Result<RecordKey> {
    RecordKey::new(KINDS[kind].clone(), IDS[id])
}

pub(crate) fn log((kind, id): Name) -> Result<LogKey> {
    LogKey::new(KINDS[kind].clone(), IDS[id])
}

fn body(at: usize) -> Body {
    Body::trusted(BODIES[at])
}

impl Keys {
    fn prefix(&self) -> &'static str {
        match self.kind {
            Some(_) => ["", "", "a", "e"][self.prefix],
            // A prefix without a kind is invalid; some queries ask for one.
            None => ["", "", "", "a"][self.prefix],
        }
    }

    fn direction(&self) -> Direction {
        direction(self.backward)
    }

    pub(crate) fn of_records(&self) -> Result<ScanQuery> {
        Ok(ScanQuery {
            kind: self.kind.map(|kind| KINDS[kind].clone()),
            prefix: self.prefix().into(),
            after: self.after.map(record).transpose()?,
            direction: self.direction(),
            limit: self.limit,
        })
    }

    pub(crate) fn of_logs(&self) -> Result<LogScan> {
        Ok(LogScan {
            kind: self.kind.map(|kind| KINDS[kind].clone()),
            prefix: self.prefix().into(),
            after: self.after.map(log).transpose()?,
            direction: self.direction(),
            limit: self.limit,
        })
    }
}

fn direction(backward: bool) -> Direction {
    if backward { Direction::Backward } else { Direction::Forward }
}

pub(crate) fn entries(name: Name, start: u64, length: u64, backward: bool, limit: usize) -> Result<LogQuery> {
    Ok(LogQuery { log: log(name)?, range: start..start + length, direction: direction(backward), limit })
}

impl BatchDraft {
    /// Makes the batch from the oracle's current state. Its id is its number in the history.
    pub(crate) async fn batch(&self, number: u64, oracle: &MemoryBackend) -> Result<Batch> {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        let mut batch = Batch::new(BatchId::from_bytes(bytes));
        for (name, expected, content) in &self.writes {
            let key = record(*name)?;
            let expect = expected.expect(&key, oracle).await?;
            batch = match content {
                Some(content) => batch.put(key, expect, body(*content)),
                None => batch.delete(key, expect),
            };
        }
        for (name, off, contents) in &self.appends {
            let log = log(*name)?;
            let entry =
                |content: &usize| NewEntry { at: Timestamp::from_millis(number as i64 % 7), body: body(*content) };
            let entries = contents.iter().map(entry).collect();
            batch = match off {
                Some(off) => batch.append_at(log.clone(), length(&log, *off, oracle).await?, entries),
                None => batch.append(log, entries),
            };
        }
        for name in &self.seals {
            batch = batch.seal(log(*name)?);
        }
        for name in &self.removals {
            batch = batch.remove(log(*name)?);
        }
        for guarded in &self.guards {
            let guard = match guarded {
                Guarded::Record(name, expected) => {
                    let key = record(*name)?;
                    let expect = expected.expect(&key, oracle).await?;
                    Guard::Record { key, expect }
                }
                Guarded::Length(name, off) => {
                    let log = log(*name)?;
                    let length = length(&log, *off, oracle).await?;
                    Guard::Length { log, length }
                }
            };
            batch = batch.guard(guard);
        }
        Ok(batch)
    }
}

async fn length(log: &LogKey, off: i64, oracle: &MemoryBackend) -> Result<u64> {
    let heads = oracle.heads(std::slice::from_ref(log)).await?;
    Ok(heads.iter().map(|head| head.length).sum::<u64>().saturating_add_signed(off))
}

impl Expected {
    async fn expect(self, key: &RecordKey, oracle: &MemoryBackend) -> Result<Expect> {
        let Self::Version(off) = self else {
            return Ok(if matches!(self, Self::Any) { Expect::Any } else { Expect::Absent });
        };
        let found = oracle.get(std::slice::from_ref(key)).await?;
        let version = found.into_iter().flatten().map(|record| record.version.get()).sum::<u64>();
        Ok(Seq::new(version.saturating_add_signed(off)).map_or(Expect::Absent, Expect::At))
    }
}
