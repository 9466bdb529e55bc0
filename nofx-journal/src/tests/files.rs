//! Bases of files: they can be read without their journal, keep back what cannot be written, and list items whose files
//! may be different by now.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nofx_core::{
    BatchId, Body, Direction, Error, Expect, Kind, LogEntry, LogHead, LogKey, LogQuery, LogScan, Record, RecordKey,
    Result, ScanQuery, Seq, Timestamp,
};

use super::engine::{batch, create, entry, log};
use super::world::{STORE, layout};
use crate::base::{Base, Mark, Rows, Run, Snapshot, SnapshotError};
use crate::codec::Remembered;
use crate::files::WritableFiles;
use crate::memory::MemoryBase;
use crate::sim::Sim;
use crate::{Applies, Engine, Options};

/// A base in memory that behaves as one of files may.
#[derive(Clone, Debug, Default)]
struct Files {
    base: MemoryBase,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether runs fail, because something is kept back.
    keeps_back: AtomicBool,
    /// How many groups each run had.
    runs: Mutex<Vec<usize>>,
    /// A record whose file is not as listed, and how often it was read.
    differs: Mutex<Option<RecordKey>>,
    readings: AtomicUsize,
    /// The entries that each log has beyond the mark.
    ahead: Mutex<Vec<LogEntry>>,
}

impl Base for Files {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(FilesSnapshot { below: self.base.snapshot()?, state: &self.state }))
    }

    fn apply(&self, run: &Run) -> Result<()> {
        self.state.runs.lock().unwrap().push(run.groups.len());
        if self.state.keeps_back.load(Ordering::SeqCst) {
            return Err(Error::corrupt("a file that cannot be written"));
        }
        self.base.apply(run)
    }

    fn is_readable_alone(&self) -> bool {
        true
    }

    fn stops_commits(&self, _: &Error) -> bool {
        false
    }
}

struct FilesSnapshot<'b> {
    below: Box<dyn Snapshot + 'b>,
    state: &'b State,
}

impl Snapshot for FilesSnapshot<'_> {
    fn mark(&self) -> Mark {
        self.below.mark()
    }

    fn version(&self, key: &RecordKey) -> Result<Option<Seq>, SnapshotError> {
        self.below.version(key)
    }

    fn overwrites_damage(&self) -> bool {
        true
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, SnapshotError> {
        if self.state.differs.lock().unwrap().as_ref() == Some(key) {
            self.state.readings.fetch_add(1, Ordering::SeqCst);
            return Err(SnapshotError::Differs(Error::corrupt(format!("{key}: its file"))));
        }
        self.below.record(key)
    }

    fn records<'a>(&'a self, query: &'a ScanQuery) -> Rows<'a, (RecordKey, Option<Record>)> {
        self.below.records(query)
    }

    fn head(&self, log: &LogKey) -> Result<Option<LogHead>, SnapshotError> {
        let more = self.state.ahead.lock().unwrap().len() as u64;
        Ok(self.below.head(log)?.map(|head| LogHead { length: head.length + more, ..head }))
    }

    fn heads<'a>(&'a self, query: &'a LogScan) -> Rows<'a, LogHead> {
        self.below.heads(query)
    }

    fn entries<'a>(&'a self, log: &'a LogKey, range: Range<u64>, direction: Direction) -> Rows<'a, LogEntry> {
        let mut found: Vec<_> = self.below.entries(log, range.clone(), Direction::Forward).collect();
        let ahead = self.state.ahead.lock().unwrap();
        found.extend(ahead.iter().filter(|entry| range.contains(&entry.position)).cloned().map(Ok));
        match direction {
            Direction::Forward => Box::new(found.into_iter()),
            Direction::Backward => Box::new(found.into_iter().rev()),
        }
    }

    fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>, SnapshotError> {
        self.below.remembered(batch)
    }

    fn commits(&self, from: u64) -> Result<Option<Rows<'_, Remembered>>, SnapshotError> {
        self.below.commits(from)
    }
}

fn options() -> Options {
    Options { segment_bytes: 64 << 10, applies: Applies::OnRequest, ..Options::default() }
}

fn open(sim: &Sim, base: &Files) -> Engine {
    open_with(sim, base, options())
}

fn open_with(sim: &Sim, base: &Files, options: Options) -> Engine {
    let writable: Arc<dyn WritableFiles> = Arc::new(sim.clone());
    Engine::writing(writable, layout(), STORE, Arc::new(base.clone()), options)
}

fn note(id: &str) -> RecordKey {
    RecordKey::new(Kind::of("note"), id).unwrap()
}

fn put(engine: &Engine, id: &str) -> Result<()> {
    engine.commit(vec![batch().put(note(id), Expect::Any, Body::trusted("1"))]).map(drop)
}

/// A store with three records, the last of which only the journal holds.
fn filled() -> (Sim, Files, Engine) {
    let (sim, base) = (Sim::default(), Files::default());
    create(&sim);
    let engine = open(&sim, &base);
    put(&engine, "a").unwrap();
    put(&engine, "b").unwrap();
    engine.apply().unwrap();
    put(&engine, "c").unwrap();
    (sim, base, engine)
}

#[test]
fn without_its_journal_a_base_is_read_and_what_the_tip_names_beyond_it_is_doubtful() {
    for has_tip in [true, false] {
        let (sim, base, engine) = filled();
        drop(engine);
        let segments: Vec<_> = sim.everything().into_keys().filter(|path| path.contains("segment")).collect();
        segments.iter().for_each(|path| sim.delete(path));
        if !has_tip {
            sim.delete("journal/tip");
        }
        let engine = open(&sim, &base);
        let follower = engine.follower();
        let found = follower.get(&[note("a")]);
        assert_eq!(found.is_ok(), !has_tip, "what was lost may have changed it: {found:?}");
        assert_eq!(follower.scan(&ScanQuery::all(10)).map(|page| page.items.len()).ok(), (!has_tip).then_some(2));
        assert!(follower.damage().unwrap().unwrap().contains("missing"));
        assert_eq!(put(&engine, "d").unwrap_err().code(), "corrupt");
        assert!(!engine.repair(false).unwrap().losses.is_empty());
        assert_eq!(engine.repair(true).unwrap().repairs.len(), 1);
        put(&engine, "d").unwrap();
        assert_eq!(engine.follower().scan(&ScanQuery::all(10)).unwrap().items.len(), 3);
    }
}

#[test]
fn a_tip_that_goes_back_is_that_of_another_copy_and_nothing_is_written_to_it_ever_again() {
    // Segments that the copy lacks may still be there.
    for is_whole in [true, false] {
        let (sim, _, engine) = filled();
        let copy = sim.everything();
        put(&engine, "d").unwrap();
        let whole = sim.everything();
        let copied = copy.iter().filter(|(path, _)| is_whole || path.ends_with("tip"));
        copied.for_each(|(path, bytes)| sim.tamper(path, |now| now.clone_from(bytes)));
        assert_eq!(engine.follower().get(&[note("a")]).unwrap_err().code(), "replaced");
        whole.iter().for_each(|(path, bytes)| sim.tamper(path, |now| now.clone_from(bytes)));
        assert_eq!(put(&engine, "e").unwrap_err().code(), "replaced");
        assert_eq!(engine.apply().unwrap_err().code(), "replaced");
        assert!(sim.everything() == whole);
    }
}

#[test]
fn a_copy_that_holds_the_same_is_continued() {
    let (sim, base, engine) = filled();
    sim.everything().into_iter().for_each(|(path, bytes)| sim.replace(&path, bytes));
    put(&engine, "d").unwrap();
    for engine in [&engine, &open(&sim, &base)] {
        assert_eq!(engine.follower().scan(&ScanQuery::all(10)).unwrap().items.len(), 4);
    }
}

#[test]
fn what_was_written_to_a_segment_that_is_not_in_place_any_more_is_not_acknowledged() {
    let (sim, base, engine) = filled();
    let segments: Vec<_> = sim.everything().into_iter().filter(|(path, _)| path.contains("segment")).collect();
    segments.into_iter().for_each(|(path, bytes)| sim.replace(&path, bytes));
    assert_eq!(put(&engine, "d").unwrap_err().code(), "unknown");
    let found = |engine: &Engine| engine.follower().scan(&ScanQuery::all(10)).unwrap().items.len();
    assert_eq!(found(&open(&sim, &base)), 3);
    // The copy holds the same, so the next commit goes on there.
    put(&engine, "e").unwrap();
    assert_eq!(found(&engine), 4);
    assert_eq!(found(&open(&sim, &base)), 4);
}

#[test]
fn a_frame_that_another_process_wrote_over_the_last_one_is_never_followed_by_another() {
    let (sim, base, early) = filled();
    sim.set_faults(|faults| faults.lying_locks = true);
    let (late, early) = (open(&sim, &base), Arc::new(early));
    put(&late, "d").unwrap();
    let other = early.clone();
    let meanwhile = move || put(&other, "early").unwrap();
    sim.set_faults(|faults| faults.before_write = Some(("segment", Arc::new(meanwhile))));
    assert_eq!(put(&late, "late").unwrap_err().code(), "unknown");
    let before = sim.everything();
    for engine in [&late, &*early] {
        let error = put(engine, "more").unwrap_err();
        assert!(error.to_string().contains("locks do not work there"), "{error}");
    }
    let third = open(&sim, &base);
    assert_eq!(third.follower().get(&[note("d")]).unwrap()[0].as_ref().unwrap().key, note("d"));
    let error = put(&third, "more").unwrap_err();
    assert!(error.code() == "corrupt" && error.to_string().contains("two processes"), "{error}");
    assert!(sim.everything() == before);
}

#[test]
fn what_is_kept_back_stops_no_commit_and_nothing_waits_behind_it() {
    let (sim, base, engine) = filled();
    base.state.keeps_back.store(true, Ordering::SeqCst);
    let large = || batch().append(log("talk"), vec![entry("x".repeat(100 << 10))]);
    for _ in 0..20 {
        engine.commit(vec![large()]).unwrap();
    }
    base.state.runs.lock().unwrap().clear();
    for _ in 0..2 {
        assert_eq!(engine.apply().unwrap_err().code(), "corrupt");
    }
    let runs = base.state.runs.lock().unwrap().clone();
    assert!(runs[0] < 21, "{runs:?}");
    assert_eq!(runs[1], 21);
    // But the journal does not grow without end.
    let refused = (0..400).find_map(|_| engine.commit(vec![large()]).err()).unwrap();
    assert_eq!(refused.code(), "corrupt");
    base.state.keeps_back.store(false, Ordering::SeqCst);
    engine.commit(vec![large()]).unwrap();
    engine.apply().unwrap();
    assert_eq!(open(&sim, &base).follower().unapplied().commits, 0);
}

#[test]
fn an_item_that_is_not_as_listed_is_read_again_and_damaged_if_nothing_happened_since() {
    let (_, base, engine) = filled();
    *base.state.differs.lock().unwrap() = Some(note("b"));
    let error = engine.follower().get(&[note("b")]).unwrap_err();
    assert!(error.to_string().contains("its file"), "{error}");
    assert_eq!(base.state.readings.load(Ordering::SeqCst), 2);
    // What comes before it is a page, and the next one begins with it.
    let first = engine.follower().scan(&ScanQuery::all(10)).unwrap();
    assert!(first.items.len() == 1 && first.more);
    let next = ScanQuery::all(10).after(note("a"));
    assert_eq!(engine.follower().scan(&next).unwrap_err().code(), "corrupt");
    assert_eq!(engine.follower().scan(&ScanQuery::all(10).after(note("b"))).unwrap().items.len(), 1);
}

#[test]
fn an_unreadable_record_is_overwritten_if_nothing_is_expected_of_it() {
    let (_, base, engine) = filled();
    base.base.damage(note("a"));
    let expects = batch().put(note("a"), Expect::At(Seq::FIRST), Body::trusted("2"));
    assert_eq!(engine.commit(vec![expects]).unwrap_err().code(), "corrupt");
    put(&engine, "a").unwrap();
    assert!(engine.follower().get(&[note("a")]).unwrap()[0].is_some());
}

#[test]
fn entries_that_a_base_holds_beyond_its_mark_are_read_once() {
    let (sim, base) = (Sim::default(), Files::default());
    create(&sim);
    let engine = open(&sim, &base);
    engine.commit(vec![batch().append(log("talk"), vec![entry("0"), entry("1")])]).unwrap();
    engine.apply().unwrap();
    engine.commit(vec![batch().append(log("talk"), vec![entry("2"), entry("3")])]).unwrap();
    let ahead =
        |position| LogEntry { position, at: Timestamp::from_millis(1), body: Body::trusted(position.to_string()) };
    *base.state.ahead.lock().unwrap() = vec![ahead(2), ahead(3)];
    for limit in [1, 3, 9] {
        for query in [LogQuery::oldest_first(log("talk"), limit), LogQuery::newest_first(log("talk"), limit)] {
            let page = engine.follower().read(&query).unwrap();
            let positions = page.items.iter().map(|entry| entry.position);
            let expected: Vec<_> = match query.direction {
                Direction::Forward => (0..4).take(limit).collect(),
                Direction::Backward => (0..4).rev().take(limit).collect(),
            };
            assert_eq!(positions.collect::<Vec<_>>(), expected, "{query:?}");
            assert_eq!(page.more, limit < 4);
        }
    }
}

#[test]
fn closing_leaves_to_the_journal_what_the_options_say() {
    for (applies, left) in [(Applies::InRuns, 2), (Applies::AllAtClose, 0), (Applies::OnRequest, 2)] {
        let (sim, base) = (Sim::default(), Files::default());
        create(&sim);
        let engine = open_with(&sim, &base, Options { applies, ..options() });
        put(&engine, "a").unwrap();
        put(&engine, "b").unwrap();
        drop(engine);
        let engine = open(&sim, &base);
        engine.follower().follow().unwrap();
        assert_eq!(engine.follower().unapplied().commits, left, "{applies:?}");
        let records = engine.follower().unapplied().records;
        assert_eq!(records.len() as u64, left);
    }
}
