//! Every order of following, applying, beginning generations and being killed, compared with what was committed.
//!
//! A process reads through a disk and a base, and other processes may act at each call. Its answer must reflect the
//! store at a single point in time, not before the call and not after it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nofx_core::{BatchId, Direction, LogEntry, LogHead, LogKey, LogScan, Record, RecordKey, ScanQuery};

use super::world::{ACTS, Act, Question, STORE, Sabotage, World, layout};
use crate::base::{Base, Mark, Rows, Run, Snapshot, SnapshotError};
use crate::codec::Remembered;
use crate::files::{Boot, Entry, Files, ReadableFile};
use crate::follower::Follower;
use crate::memory::MemoryBase;
use crate::sim::{Dice, Sim};

/// What other processes do, and when: at which call of the reader.
#[derive(Debug)]
struct Scene {
    world: Mutex<World>,
    plan: Mutex<Vec<(usize, Act)>>,
    calls: AtomicUsize,
}

impl Scene {
    fn new(base: MemoryBase, sabotage: Option<Sabotage>, seed: u64) -> Arc<Self> {
        let world = Mutex::new(World::new(base, sabotage, seed));
        Arc::new(Self { world, plan: Mutex::default(), calls: AtomicUsize::new(0) })
    }

    fn act(&self, act: Act) {
        self.world.lock().unwrap().act(act);
    }

    fn commits(&self) -> usize {
        self.world.lock().unwrap().history.0.len()
    }

    fn reader(self: &Arc<Self>) -> Follower {
        let world = self.world.lock().unwrap();
        let files = Meddled { inner: world.sim.clone(), scene: self.clone() };
        Follower::new(Arc::new(files), layout(), STORE, Arc::new(Meddled { inner: world.base(), scene: self.clone() }))
    }

    /// Lets other processes act, if it is time for that.
    fn call(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let acts: Vec<_> = self.plan.lock().unwrap().extract_if(.., |(at, _)| *at <= call).collect();
        acts.into_iter().for_each(|(_, act)| self.act(act));
    }

    /// Asks something while other processes act. Returns how many calls that took; `Err` says what is wrong with the
    /// answer.
    fn ask(&self, reader: &Follower, question: &Question, plan: &[(usize, Act)]) -> Result<usize, String> {
        self.calls.store(0, Ordering::Relaxed);
        *self.plan.lock().unwrap() = plan.to_vec();
        let before = self.commits();
        let answer = question.ask(reader).map_err(|error| format!("{question:?} while {plan:?} fails: {error}"))?;
        self.plan.lock().unwrap().clear();
        let world = self.world.lock().unwrap();
        match world.history.allows(before..=world.history.0.len(), question, &answer) {
            true => Ok(self.calls.load(Ordering::Relaxed)),
            false => Err(format!("{question:?} while {plan:?} answers {answer:?}")),
        }
    }

    /// Compares everything that a store holds now.
    fn compare(&self, reader: &Follower) -> Result<(), String> {
        let history = self.world.lock().unwrap().history.clone();
        history.compare(reader, history.0.len()..=history.0.len())
    }
}

/// The disk or the base as a reader sees it, while other processes act at each of its calls.
#[derive(Debug)]
struct Meddled<T> {
    inner: T,
    scene: Arc<Scene>,
}

impl Files for Meddled<Sim> {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadableFile>> {
        self.scene.call();
        Ok(Arc::new(Meddled { inner: self.inner.open(path)?, scene: self.scene.clone() }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.scene.call();
        self.inner.list(path)
    }

    fn foreign(&self) -> io::Result<Option<String>> {
        self.inner.foreign()
    }

    fn may_edit(&self, path: &Path) -> io::Result<()> {
        self.inner.may_edit(path)
    }

    fn boot(&self) -> Option<Boot> {
        self.inner.boot()
    }
}

impl ReadableFile for Meddled<Arc<dyn ReadableFile>> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.scene.call();
        self.inner.read_at(bytes, offset)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.scene.call();
        self.inner.is_at(path)
    }

    fn is_free(&self) -> io::Result<bool> {
        self.inner.is_free()
    }
}

impl Base for Meddled<Arc<dyn Base>> {
    fn snapshot(&self) -> nofx_core::Result<Box<dyn Snapshot + '_>> {
        self.scene.call();
        Ok(Box::new(MeddledSnapshot { inner: self.inner.snapshot()?, scene: &self.scene }))
    }

    fn apply(&self, run: &Run) -> nofx_core::Result<()> {
        self.inner.apply(run)
    }
}

struct MeddledSnapshot<'b> {
    inner: Box<dyn Snapshot + 'b>,
    scene: &'b Scene,
}

impl MeddledSnapshot<'_> {
    fn rows<'a, T: 'a>(&'a self, rows: Rows<'a, T>) -> Rows<'a, T> {
        Box::new(rows.inspect(|_| self.scene.call()))
    }
}

impl Snapshot for MeddledSnapshot<'_> {
    fn mark(&self) -> Mark {
        self.inner.mark()
    }

    fn version(&self, key: &RecordKey) -> Result<Option<nofx_core::Seq>, SnapshotError> {
        self.scene.call();
        self.inner.version(key)
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, SnapshotError> {
        self.scene.call();
        self.inner.record(key)
    }

    fn records<'a>(&'a self, query: &'a ScanQuery) -> Rows<'a, (RecordKey, Option<Record>)> {
        self.rows(self.inner.records(query))
    }

    fn head(&self, log: &LogKey) -> Result<Option<LogHead>, SnapshotError> {
        self.scene.call();
        self.inner.head(log)
    }

    fn heads<'a>(&'a self, query: &'a LogScan) -> Rows<'a, LogHead> {
        self.rows(self.inner.heads(query))
    }

    fn entries<'a>(&'a self, log: &'a LogKey, range: std::ops::Range<u64>, direction: Direction) -> Rows<'a, LogEntry> {
        self.rows(self.inner.entries(log, range, direction))
    }

    fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>, SnapshotError> {
        self.scene.call();
        self.inner.remembered(batch)
    }

    fn commits(&self, from: u64) -> Result<Option<Rows<'_, Remembered>>, SnapshotError> {
        Ok(self.inner.commits(from)?.map(|rows| self.rows(rows)))
    }
}

/// How many long histories to try. `NOFX_JOURNAL_SEEDS` overrides it; above this number, longer orders are tried too.
const SEEDS: u64 = 100;

fn seeds() -> u64 {
    std::env::var("NOFX_JOURNAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

fn bases() -> [MemoryBase; 2] {
    [MemoryBase::new(), MemoryBase::changing_in_place()]
}

/// Returns every sequence of this many acts.
fn sequences(length: usize) -> Vec<Vec<Act>> {
    (0..length).fold(vec![Vec::new()], |shorter, _| {
        let longer = |acts: Vec<Act>| ACTS.into_iter().map(move |act| [acts.as_slice(), &[act]].concat());
        shorter.into_iter().flat_map(longer).collect()
    })
}

/// A reader that was there before each act, and one that starts after all of them, find what was acknowledged.
fn every_order(length: usize, sabotage: Option<Sabotage>) -> Result<usize, String> {
    let mut count = 0;
    for kind in 0..2 {
        for acts in sequences(length) {
            let scene = Scene::new(bases()[kind].clone(), sabotage, 3);
            [Act::Commit, Act::Commit].into_iter().for_each(|act| scene.act(act));
            let (early, late) = (scene.reader(), scene.reader());
            late.follow().map_err(|error| error.to_string())?;
            for act in &acts {
                scene.act(*act);
                for question in Question::some() {
                    scene.ask(&early, &question, &[]).map_err(|what| format!("after {acts:?}: {what}"))?;
                }
            }
            for reader in [late, scene.reader()] {
                scene.compare(&reader).map_err(|what| format!("after {acts:?}: {what}"))?;
                count += 1;
            }
        }
    }
    Ok(count)
}

#[test]
fn every_order_of_a_few_acts_leaves_what_was_acknowledged() {
    println!("{} readers", every_order(if seeds() > SEEDS { 4 } else { 3 }, None).unwrap());
}

/// Each act at each call of each read, and further acts at the calls after it.
fn every_moment() -> Result<usize, String> {
    let starts: [&[Act]; 4] = [
        &[Act::Commit, Act::Commit, Act::Commit],
        &[Act::Commit, Act::Commit, Act::Apply, Act::Commit, Act::TurnOver, Act::Commit],
        &[Act::Commit, Act::Commit, Act::Commit, Act::Commit, Act::ApplyUnflushed, Act::Commit, Act::TurnOver],
        &[Act::Commit, Act::TurnOver, Act::Commit, Act::TurnOver, Act::Commit, Act::ApplyUntold, Act::CommitUntold],
    ];
    let mut count = 0;
    for (at, start) in starts.iter().enumerate() {
        for question in Question::some() {
            for (followed, first) in [2, usize::MAX].into_iter().flat_map(|at| ACTS.map(|act| (at, act))) {
                let mut calls = 1;
                for call in 0.. {
                    if call >= calls {
                        break;
                    }
                    let scene = Scene::new(bases()[(at + call) % 2].clone(), None, at as u64);
                    let reader = scene.reader();
                    for (number, act) in start.iter().enumerate() {
                        // A reader that knows the beginning must find out what happened since.
                        if number == followed {
                            reader.follow().map_err(|error| error.to_string())?;
                        }
                        scene.act(*act);
                    }
                    let behind = [(call + 1, Act::Commit), (call + 2, Act::Apply), (call + 2, Act::TurnOver)];
                    let plan = [[(call, first)].as_slice(), &behind].concat();
                    calls = scene.ask(&reader, &question, &plan).map_err(|what| format!("behind {start:?}: {what}"))?;
                    count += 1;
                }
            }
        }
    }
    Ok(count)
}

#[test]
fn a_read_is_of_one_moment_whatever_happens_while_it_is_made() {
    println!("{} reads", every_moment().unwrap());
}

/// A long history in which everything happens, including power cuts, and nothing is lost.
fn any_history(seed: u64, sabotage: Option<Sabotage>) -> Result<(), String> {
    let mut dice = Dice(seed);
    let base = bases()[dice.below(2) as usize].clone();
    let scene = Scene::new(base, sabotage, seed);
    let mut reader = scene.reader();
    let any_act = |dice: &mut Dice| if dice.one_in(2) { Act::Commit } else { ACTS[dice.below(7) as usize] };
    for _ in 0..60 {
        scene.act(any_act(&mut dice));
        match dice.below(8) {
            0 => {
                scene.world.lock().unwrap().cut().map_err(|what| format!("after the power went: {what}"))?;
                reader = scene.reader();
            }
            1 => reader = scene.reader(),
            2 => scene.compare(&reader)?,
            3..6 => {
                let questions = Question::some();
                let question = &questions[dice.below(questions.len() as u64) as usize];
                let plan: Vec<_> = (0..dice.below(6)).map(|_| (dice.below(12) as usize, any_act(&mut dice))).collect();
                scene.ask(&reader, question, &plan)?;
            }
            _ => {}
        }
    }
    scene.compare(&scene.reader())
}

#[test]
fn long_histories_with_kills_and_power_cuts_lose_nothing() {
    for seed in 0..seeds() {
        any_history(seed, None).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn a_reader_that_takes_everything_whole_begins_again_when_a_writer_begins() {
    for question in Question::some() {
        let mut calls = 1;
        for call in 0.. {
            if call >= calls {
                break;
            }
            let scene = Scene::new(MemoryBase::new(), None, 3);
            [Act::Commit, Act::Commit].into_iter().for_each(|act| scene.act(act));
            scene.world.lock().unwrap().cut().unwrap();
            // Its frame is visible, but was never acknowledged.
            calls = scene.ask(&scene.reader(), &question, &[(call, Act::CommitUntold)]).unwrap();
        }
    }
}

/// An older copy was put in the place of the base, or its content is gone.
#[test]
fn a_base_that_lacks_what_was_reported_as_applied_is_damage_and_no_older_answer() {
    let scene = Scene::new(MemoryBase::new(), None, 3);
    [Act::Commit, Act::Commit, Act::Apply, Act::Commit].into_iter().for_each(|act| scene.act(act));
    let sim = scene.world.lock().unwrap().sim.clone();
    let reader = Follower::new(Arc::new(sim), layout(), STORE, Arc::new(MemoryBase::new()));
    for question in Question::some() {
        let error = question.ask(&reader).unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("frame 1")), ("corrupt", true), "{question:?}: {error}");
    }
}

/// Two copies of a store were continued, and the base of one is next to the journal of the other.
#[test]
fn a_base_that_went_another_way_than_the_journal_is_damage() {
    let scenes = [3, 4].map(|seed| Scene::new(MemoryBase::new(), None, seed));
    for scene in &scenes {
        [Act::Commit, Act::Commit].into_iter().for_each(|act| scene.act(act));
    }
    scenes[0].act(Act::Apply);
    scenes[1].act(Act::Commit);
    let (base, sim) = (scenes[0].world.lock().unwrap().base(), scenes[1].world.lock().unwrap().sim.clone());
    let reader = Follower::new(Arc::new(sim), layout(), STORE, base);
    for question in Question::some() {
        assert_eq!(question.ask(&reader).unwrap_err().code(), "corrupt", "{question:?}");
    }
}

/// Returns what the model tests find for a fault.
fn found(sabotage: Sabotage) -> Vec<String> {
    let short = every_order(2, Some(sabotage)).err();
    let long = (0..SEEDS).find_map(|seed| any_history(seed, Some(sabotage)).err());
    short.into_iter().chain(long).collect()
}

#[test]
fn a_page_of_the_base_that_is_taken_for_a_page_of_the_answer_is_noticed() {
    let found = found(Sabotage::PageOfBase);
    assert!(found.iter().any(|what| what.contains("Scan")), "{found:?}");
}

#[test]
fn an_id_that_is_forgotten_between_tail_and_base_is_noticed() {
    let found = found(Sabotage::ForgetIds);
    assert!(found.iter().any(|what| what.contains("Remembered")), "{found:?}");
}

#[test]
fn a_mark_that_is_believed_without_a_flush_is_noticed() {
    let found = found(Sabotage::BelieveMark);
    assert!(found.iter().any(|what| what.contains("after the power went")), "{found:?}");
}

#[test]
fn a_segment_that_is_used_again_too_early_is_noticed() {
    let found = found(Sabotage::EarlyReuse);
    assert!(found.iter().any(|what| what.contains("the base ends before")), "{found:?}");
}
