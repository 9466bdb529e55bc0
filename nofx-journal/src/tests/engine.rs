//! Committing through an open store: power cuts at any point, failed flushes, kills, several processes, and what
//! closing must do.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use nofx_core::{
    Batch, Body, Deadline, Error, Expect, Kind, LogKey, LogQuery, NewEntry, Outcome, RecordKey, Sources, Timestamp,
};

use super::world::{History, STORE, layout};
use crate::base::{Base, Mark};
use crate::files::{Disk, WritableFiles};
use crate::memory::MemoryBase;
use crate::segment::segment_files;
use crate::shared_files::SharedFiles;
use crate::sim::{Dice, Platter, Sim, name};
use crate::{Engine, Options};

/// How many histories to try. `NOFX_JOURNAL_SEEDS` overrides it.
fn seeds() -> u64 {
    std::env::var("NOFX_JOURNAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12)
}

fn options() -> Options {
    // So small that a few commits fill a segment.
    Options { segment_bytes: 1024, lock_wait: std::time::Duration::from_secs(60), ..Options::default() }
}

pub(super) fn create(writable: &dyn WritableFiles) {
    Engine::create(writable, &layout(), STORE, &Mark::default(), &options()).unwrap();
}

pub(super) fn open(writable: Arc<dyn WritableFiles>, base: &MemoryBase) -> Engine {
    Engine::writing(writable, layout(), STORE, Arc::new(base.clone()), options())
}

pub(super) fn batch() -> Batch {
    Batch::new(Sources::default().batch_id())
}

pub(super) fn log(id: &str) -> LogKey {
    LogKey::new(Kind::of("talk"), id).unwrap()
}

pub(super) fn entry(text: impl Into<String>) -> NewEntry {
    NewEntry { at: Timestamp::from_millis(1), body: Body::trusted(text) }
}

/// Tells by a path whether its flushes do nothing.
type Skips = fn(&str) -> bool;

fn never(_: &str) -> bool {
    false
}

/// A store, and what was acknowledged.
struct Store {
    sim: Sim,
    base: MemoryBase,
    engine: Engine,
    history: History,
    skips: Skips,
    dice: Dice,
}

impl Store {
    fn new(seed: u64, skips: Skips) -> Self {
        let mut dice = Dice(seed);
        let base = if dice.one_in(2) { MemoryBase::new() } else { MemoryBase::changing_in_place() };
        let sim = Sim::default();
        create(&sim);
        sim.set_faults(|faults| faults.skipped = Some(skips));
        let engine = open(Arc::new(sim.clone()), &base);
        Self { sim, base, engine, history: History::default(), skips, dice }
    }

    /// Commits something. `Err` says what the answer should have been.
    fn commit(&mut self) -> Result<(), String> {
        let commit = self.history.any_commit(&mut self.dice);
        let batch = commit.to_batch();
        let mut answer = self.engine.commit(vec![batch.clone()]);
        if matches!(answer, Err(Error::Unknown(_) | Error::Unavailable(_))) {
            // This settles it, even if the flush of what was found failed.
            answer = self.engine.commit(vec![batch]);
        }
        let expected = Outcome::Committed(commit.remembered().committed());
        match answer {
            Ok(outcomes) if outcomes == [expected.clone()] => self.history.0.push(commit),
            answer => return Err(format!("a commit answers {answer:?} and not {expected:?}")),
        }
        Ok(())
    }

    /// Commits something, and returns the contents of the disk after one of the changes that this made.
    fn commit_seen(&mut self) -> Result<Platter, String> {
        let (seen, at) = (Arc::new(Mutex::new((0, None))), self.dice.below(6));
        let sees = seen.clone();
        self.sim.watch(move |platter| {
            let mut seen = sees.lock().unwrap();
            if seen.0 == at {
                seen.1 = Some(platter.clone());
            }
            seen.0 += 1;
        });
        let done = self.commit();
        self.sim.stop_watching();
        let platter = seen.lock().unwrap().1.take();
        done.map(|()| platter.unwrap_or_else(|| self.sim.platter()))
    }

    /// Continues with what is left after a power cut with these disk contents; the last commit may be there or not.
    fn cut(&mut self, platter: &Platter) -> Result<(), String> {
        let acknowledged = self.history.0.len();
        self.base = self.base.cut(&mut self.dice);
        let left = platter.cut(&mut self.dice);
        self.go_on_with(Sim::holding(left));
        let follower = self.engine.follower();
        follower.follow().map_err(|error| error.to_string())?;
        let left = follower.tail().end().commits as usize;
        if !(acknowledged.saturating_sub(1)..=acknowledged).contains(&left) {
            return Err(format!("{left} commits are left of {acknowledged}"));
        }
        self.history.0.truncate(left);
        self.compare()
    }

    fn compare(&self) -> Result<(), String> {
        let count = self.history.0.len();
        self.history.compare(self.engine.follower(), count..=count)
    }

    fn reopen(&mut self) {
        self.engine = open(Arc::new(self.sim.clone()), &self.base);
    }

    fn go_on_with(&mut self, sim: Sim) {
        sim.set_faults(|faults| faults.skipped = Some(self.skips));
        self.sim = sim;
        self.reopen();
    }
}

/// Commits, applies, is killed, loses power and its journal and has flushes fail, and nothing that was acknowledged is
/// lost.
fn any_history(seed: u64, skips: Skips) -> Result<(), String> {
    let mut store = Store::new(seed, skips);
    for _ in 0..40 {
        match store.dice.below(14) {
            0 => store.engine.apply().map_err(|error| format!("applying fails: {error}"))?,
            1 => {
                store.base.kill_before_flush(true);
                _ = store.engine.apply();
                store.base.kill_before_flush(false);
                store.reopen();
            }
            2 => store.reopen(),
            3 => {
                let platter = store.commit_seen()?;
                store.cut(&platter)?;
            }
            4 => {
                let (platter, acknowledged) = (store.sim.platter(), store.history.0.len());
                store.cut(&platter)?;
                if store.history.0.len() < acknowledged {
                    return Err("a commit that was acknowledged is lost".to_owned());
                }
            }
            5 => {
                store.sim.set_faults(|faults| faults.fail_flush = Some(1));
                store.commit()?;
                store.sim.set_faults(|faults| faults.fail_flush = None);
            }
            6 => store.compare()?,
            7 => store.sim.delete("journal/tip"),
            8 => store.engine.complete().map_err(|error| format!("completing fails: {error}"))?,
            9 if store.base.snapshot().unwrap().mark().is_complete => {
                store.go_on_with(Sim::default());
                store.compare()?;
                store.commit()?;
            }
            _ => store.commit()?,
        }
    }
    store.compare()
}

/// An applier that never runs by itself stands for a base that takes nothing in because the disk is full.
#[test]
fn a_full_disk_leaves_a_segment_to_batches_that_only_remove() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    let hour = std::time::Duration::from_secs(3600);
    let options = Options { apply_after: hour, ..options() };
    let engine = Engine::writing(Arc::new(sim.clone()), layout(), STORE, Arc::new(base.clone()), options);
    let body = || Body::trusted(format!("\"{}\"", "x".repeat(300)));
    let key = |n: usize| RecordKey::new(Kind::of("note"), format!("n{n}")).unwrap();
    for round in 0..3 {
        (0..8).for_each(|n| _ = engine.commit(vec![batch().put(key(round * 8 + n), Expect::Any, body())]).unwrap());
        engine.apply().unwrap();
    }
    let used: usize = sim.everything().values().map(Vec::len).sum();
    sim.set_faults(|faults| faults.room = Some(used));
    let put = |n: usize| engine.commit(vec![batch().put(key(100 + n), Expect::Any, body())]);
    let refused = (0..100).find_map(|n| put(n).err()).unwrap();
    assert_eq!(refused.code(), "full");
    assert_eq!(put(0).unwrap_err().code(), "full");
    let mixed = vec![batch().put(key(100), Expect::Any, body()), batch().delete(key(0), Expect::Any)];
    assert_eq!(engine.commit(mixed).unwrap_err().code(), "full");
    assert_eq!(
        engine.commit(vec![batch()]).unwrap_err().code(),
        "full",
        "a batch that changes nothing removes nothing"
    );
    let purge = batch().put(key(200), Expect::Any, Body::trusted("{}")).delete(key(1), Expect::Any).remove(log("c"));
    let removed = vec![batch().delete(key(0), Expect::Any), batch().seal(log("a")).remove(log("b")), purge];
    assert!(engine.commit(removed).unwrap().iter().all(|outcome| matches!(outcome, Outcome::Committed(_))));
    sim.set_faults(|faults| faults.room = None);
    put(0).unwrap();
}

#[test]
fn nothing_that_was_acknowledged_is_lost_in_power_cuts_kills_and_failed_flushes() {
    for seed in 0..seeds() {
        any_history(seed, never).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn a_group_that_is_answered_before_its_flush_is_noticed() {
    assert!((0..60).any(|seed| any_history(seed, |path| path.contains("segment")).is_err()));
}

/// A process believes in a flush that failed, and the tip is lost; what another process adds is durable only with
/// what comes before it.
#[test]
fn what_no_tip_reports_is_made_durable_before_anything_follows_it() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    let believing = open(Arc::new(sim.clone()), &base);
    believing.commit(vec![batch().append(log("a"), vec![entry("0")])]).unwrap();
    sim.set_faults(|faults| (faults.fail_flush, faults.lying_flush) = (Some(1), true));
    believing.commit(vec![batch().append(log("a"), vec![entry("1")])]).unwrap();
    sim.delete("journal/tip");
    open(Arc::new(sim.clone()), &base).commit(vec![batch().append(log("a"), vec![entry("2")])]).unwrap();
    let left = open(Arc::new(Sim::holding(sim.platter().flushed())), &base);
    let page = left.follower().read(&LogQuery::oldest_first(log("a"), 10)).unwrap();
    assert_eq!(page.items.len(), 3);
}

#[test]
fn a_commit_costs_one_flush_and_the_bytes_of_its_group() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    Engine::create(&sim, &layout(), STORE, &Mark::default(), &Options::default()).unwrap();
    let engine = Engine::writing(Arc::new(sim.clone()), layout(), STORE, Arc::new(base), Options::default());
    let message = || batch().append(log("a"), vec![entry(format!("\"{}\"", "x".repeat(498)))]);
    engine.commit(vec![message()]).unwrap();
    for size in [1, 16] {
        let before = sim.counts();
        engine.commit((0..size).map(|_| message()).collect()).unwrap();
        let (flushes, bytes) = (sim.counts().0 - before.0, sim.counts().1 - before.1);
        assert_eq!(flushes, 1);
        assert!(bytes <= 120 + size * 560, "{bytes} bytes for {size} messages of 500");
    }
}

#[test]
fn a_record_that_is_damaged_is_not_written_over_whatever_is_expected_of_it() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    let engine = open(Arc::new(sim), &base);
    let note = |id| RecordKey::new(Kind::of("note"), id).unwrap();
    let put = |id| batch().put(note(id), Expect::Any, Body::trusted("1"));
    engine.commit(vec![put("a"), put("b")]).unwrap();
    engine.apply().unwrap();
    base.damage(note("a"));
    for write in [put("a"), batch().delete(note("a"), Expect::Any)] {
        assert_eq!(engine.commit(vec![put("b"), write]).unwrap_err().to_string(), "corrupt data in note/a");
    }
    engine.commit(vec![put("b")]).unwrap();
    assert_eq!(engine.follower().get(&[note("b")]).unwrap()[0].as_ref().unwrap().version.get(), 3);
}

#[test]
fn a_reader_changes_nothing_on_the_disk_whatever_was_left_there() {
    let mut store = Store::new(5, never);
    (0..20).for_each(|_| store.commit().unwrap());
    store.engine.apply().unwrap();
    (0..5).for_each(|_| store.commit().unwrap());
    for is_other_start in [false, true] {
        let sim = if is_other_start { Sim::holding(store.sim.platter()) } else { store.sim.clone() };
        let (before, files) = (sim.counts(), sim.everything());
        sim.set_faults(|faults| faults.read_only = true);
        let why = Error::unavailable("it is read only");
        let reading = Engine::reading(Arc::new(sim.clone()), layout(), STORE, Arc::new(store.base.clone()), why);
        let writing = open(Arc::new(sim.clone()), &store.base);
        for engine in [reading, writing] {
            store.history.compare(engine.follower(), 25..=25).unwrap();
            assert_eq!(engine.commit(vec![batch()]).unwrap_err().code(), "unavailable");
            assert_eq!(engine.commit(vec![]).unwrap(), []);
        }
        sim.set_faults(|faults| faults.read_only = false);
        assert_eq!((sim.counts(), sim.everything() == files), (before, true), "another start: {is_other_start}");
    }
}

#[test]
fn closing_brings_the_base_up_to_date_when_much_waits_and_otherwise_leaves_it() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    let mark = |base: &MemoryBase| base.snapshot().unwrap().mark();
    open(Arc::new(sim.clone()), &base).commit(vec![batch()]).unwrap();
    assert_eq!(mark(&base), Mark::default(), "one commit");
    let engine = open(Arc::new(sim.clone()), &base);
    engine.follower().follow().unwrap();
    let before = sim.counts();
    drop(engine);
    assert_eq!((mark(&base), sim.counts()), (Mark::default(), before), "nothing was committed");
    let many = open(Arc::new(sim.clone()), &base);
    many.commit((0..999).map(|_| batch()).collect()).unwrap();
    drop(many);
    assert_eq!(mark(&base).commits, 1000, "much");
}

#[test]
fn short_programs_that_never_idle_keep_the_journal_bounded() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    let mut most = 0;
    for _ in 0..60 {
        let engine = open(Arc::new(sim.clone()), &base);
        // A group of a hundred, as a hundred programs would leave.
        engine.commit((0..100).map(|_| batch().append(log("a"), vec![entry("1")])).collect()).unwrap();
        drop(engine);
        let held = base.snapshot().unwrap().mark().commits;
        most = most.max(open(Arc::new(sim.clone()), &base).follower().commits(u64::MAX, 0).unwrap().unwrap().1 - held);
    }
    assert!((900..=2000).contains(&most), "{most} commits wait");
    assert!(segment_files(&sim, &layout()).unwrap().len() < 30);
}

#[test]
fn commits_beyond_the_hard_limit_say_why_the_base_takes_nothing() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    let engine = open(Arc::new(sim.clone()), &base);
    let large = || batch().append(log("a"), vec![entry(format!("\"{}\"", "x".repeat(15 << 20))), entry("1")]);
    base.kill_before_flush(true);
    let mut taken = 0;
    let refused = loop {
        match engine.commit(vec![large()]) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 3, "more waits in the journal, and in memory, than a small program has room for");
    };
    assert_eq!(refused.to_string(), "unavailable: flushing the base");
    base.kill_before_flush(false);
    engine.commit(vec![large()]).unwrap();
    assert_eq!(engine.follower().heads(&[log("a")]).unwrap()[0].length, 2 * (taken + 1));
}

#[test]
fn several_processes_commit_read_apply_and_turn_over_at_once() {
    const COMMITS: u64 = 60;
    let (folder, base) = (tempfile::tempdir().unwrap(), MemoryBase::changing_in_place());
    create(&Disk::new(folder.path()));
    let process = |_| Arc::new(open(Arc::new(Disk::new(folder.path())), &base));
    let engines: Vec<_> = (0..3).map(process).collect();
    thread::scope(|scope| {
        for (number, engine) in engines.iter().flat_map(|engine| [engine, engine]).enumerate() {
            scope.spawn(move || {
                let own = log(&format!("log-{number}"));
                for at in 0..COMMITS {
                    let batch = batch().append_at(own.clone(), at, vec![entry(at.to_string())]);
                    let outcome = engine.commit(vec![batch.append(log("shared"), vec![entry("1")])]).unwrap();
                    assert!(matches!(outcome[..], [Outcome::Committed(_)]), "{outcome:?}");
                    let page = engine.follower().read(&LogQuery::oldest_first(own.clone(), 100)).unwrap();
                    assert_eq!(page.items.len() as u64, at + 1);
                    if at % 7 == number as u64 {
                        engine.apply().unwrap();
                    }
                }
            });
        }
    });
    for engine in &engines {
        assert_eq!(engine.follower().heads(&[log("shared")]).unwrap()[0].length, 6 * COMMITS);
    }
}

#[test]
fn a_journal_that_is_missing_is_noticed_and_no_other_is_begun() {
    let mut store = Store::new(5, never);
    (0..5).for_each(|_| store.commit().unwrap());
    store.engine.apply().unwrap();
    for path in segment_files(&store.sim, &layout()).unwrap() {
        store.sim.delete(&name(&path));
    }
    store.reopen();
    let errors = [store.engine.commit(vec![batch()]).unwrap_err(), store.engine.follower().heads(&[]).unwrap_err()];
    for error in errors {
        assert_eq!(error.to_string(), "corrupt data in `journal`: the journal of the store is missing");
    }
}

#[test]
fn a_base_that_is_complete_goes_on_without_its_journal() {
    let (folder, base) = (tempfile::tempdir().unwrap(), MemoryBase::new());
    create(&Disk::new(folder.path()));
    let add = |engine: &Engine, at| engine.commit(vec![batch().append_at(log("a"), at, vec![entry("1")])]).unwrap();
    let length = |engine: &Engine| engine.follower().heads(&[log("a")]).unwrap()[0].length;
    let process = || open(Arc::new(Disk::new(folder.path())), &base);
    let mut knows = process();
    for round in 0..3 {
        add(&knows, 2 * round);
        knows.complete().unwrap();
        // That is no less true when another process looks for something to apply.
        assert!(process().follower().apply(&SharedFiles::open(&Disk::new(folder.path()), &layout()).unwrap()).unwrap());
        assert!(base.snapshot().unwrap().mark().is_complete);
        std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
        let looking = process();
        assert_eq!((length(&looking), length(&knows)), (2 * round + 1, 2 * round + 1));
        assert_eq!(looking.follower().damage().unwrap(), None);
        drop(looking);
        assert!(!folder.path().join("journal").exists(), "who reads makes nothing");
        // Two that begin it at once.
        let both = [process(), process()];
        thread::scope(|scope| {
            both.iter().for_each(|engine| drop(scope.spawn(|| engine.commit(vec![batch()]).unwrap())));
        });
        add(&both[0], 2 * round + 1);
        assert!(!base.snapshot().unwrap().mark().is_complete);
        assert_eq!((length(&both[1]), length(&process())), (2 * round + 2, 2 * round + 2));
        knows = process();
    }
}

#[test]
fn closing_completes_the_base_unless_the_store_was_open_for_an_instant() {
    for (apply_after, is_complete) in [(std::time::Duration::ZERO, true), (std::time::Duration::from_secs(60), false)] {
        let (sim, base) = (Sim::default(), MemoryBase::new());
        create(&sim);
        let options = Options { apply_after, ..options() };
        let short = Deadline::after(std::time::Duration::from_millis(900));
        let engine = Engine::writing(Arc::new(sim.clone()), layout(), STORE, Arc::new(base.clone()), options);
        let reading = open(Arc::new(sim.clone()), &base);
        engine.commit(vec![batch().append(log("a"), vec![entry("1")])]).unwrap();
        drop(reading);
        assert!(!base.snapshot().unwrap().mark().is_complete, "who only read has nothing to say");
        drop(engine);
        if !is_complete && short.has_passed() {
            continue; // on a machine so busy that it was no instant
        }
        assert_eq!(base.snapshot().unwrap().mark().is_complete, is_complete);
        assert_eq!(base.snapshot().unwrap().head(&log("a")).unwrap().is_some(), is_complete);
    }
}

#[test]
fn where_the_folder_of_the_journal_was_nothing_is_made() {
    let (folder, base) = (tempfile::tempdir().unwrap(), MemoryBase::new());
    create(&Disk::new(folder.path()));
    let engine = open(Arc::new(Disk::new(folder.path())), &base);
    engine.commit(vec![batch().append(log("a"), vec![entry("1")])]).unwrap();
    std::fs::rename(folder.path().join("journal"), folder.path().join("moved")).unwrap();
    for engine in [&engine, &open(Arc::new(Disk::new(folder.path())), &base)] {
        let told = "corrupt data in `journal`: the journal of the store is missing";
        assert_eq!(engine.commit(vec![batch()]).unwrap_err().to_string(), told);
        assert_eq!(engine.follower().heads(&[log("a")]).unwrap_err().to_string(), told);
    }
    drop(engine);
    assert!(!folder.path().join("journal").exists());
}

/// Replaces the files of a journal, or their bytes, with others.
fn put_in_place(sim: &Sim, copy: &Sim, is_in_place: bool) {
    let (ours, theirs) = (sim.everything(), copy.everything());
    for path in ours.keys().filter(|path| !theirs.contains_key(*path)) {
        sim.delete(path);
    }
    for (path, bytes) in theirs {
        match ours.contains_key(&path) && is_in_place {
            true => sim.tamper(&path, |own| own.clone_from(&bytes)),
            false => sim.replace(&path, bytes),
        }
    }
}

#[test]
fn another_copy_in_place_of_the_journal_is_noticed_by_those_that_had_it_open() {
    let message = || batch().append(log("a"), vec![entry("1")]);
    for boot in [Some([7; 16]), None] {
        for (further, is_in_place, segment_bytes) in [0, 1, 2, 9]
            .into_iter()
            .flat_map(|further| [(further, true, 1 << 20), (further, false, 1 << 20), (further, false, 400)])
        {
            let case = format!("{further} further, in place: {is_in_place}, {segment_bytes}, {boot:?}");
            let (sim, base) = (Sim::default(), MemoryBase::new());
            sim.set_boot(boot);
            create(&sim);
            let options = Options { segment_bytes, ..options() };
            let open = |sim: &Sim| {
                Engine::writing(Arc::new(sim.clone()), layout(), STORE, Arc::new(base.clone()), options.clone())
            };
            let (engine, reader) = (open(&sim), open(&sim));
            (0..3).for_each(|_| _ = engine.commit(vec![message()]).unwrap());
            let copy = Sim::holding(sim.platter());
            copy.set_boot(boot);
            let twin = open(&copy);
            (0..further).for_each(|_| _ = twin.commit(vec![message()]).unwrap());
            (0..2).for_each(|_| _ = engine.commit(vec![message()]).unwrap());
            assert_eq!(reader.follower().heads(&[log("a")]).unwrap()[0].length, 5);
            put_in_place(&sim, &copy, is_in_place);
            let before = sim.everything();
            for engine in [&engine, &reader] {
                assert_eq!(engine.follower().heads(&[log("a")]).unwrap_err().code(), "replaced", "{case}");
                assert_eq!(engine.commit(vec![message()]).unwrap_err().code(), "replaced", "{case}");
                assert_eq!(engine.follower().heads(&[log("a")]).unwrap_err().code(), "replaced", "{case}");
            }
            let segments = |files: std::collections::BTreeMap<String, Vec<u8>>| -> Vec<_> {
                files.into_iter().filter(|(path, _)| path.contains("segment")).collect()
            };
            assert!(segments(sim.everything()) == segments(before), "{case}");
            // A process that opens it now continues with what is there.
            let next = open(&sim);
            assert_eq!(next.follower().heads(&[log("a")]).unwrap()[0].length, 3 + further, "{case}");
            next.commit(vec![message()]).unwrap();
        }
    }
}

#[test]
fn a_journal_that_was_made_small_goes_on_for_all_who_follow_it() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    let message = || batch().append(log("a"), vec![entry(format!("\"{}\"", "x".repeat(200)))]);
    let (engine, other) = (open(Arc::new(sim.clone()), &base), open(Arc::new(sim.clone()), &base));
    for round in 1..4 {
        (0..20).for_each(|_| _ = engine.commit(vec![message()]).unwrap());
        assert_eq!(other.follower().heads(&[log("a")]).unwrap()[0].length, 21 * round - 1);
        engine.shrink().unwrap();
        assert!(segment_files(&sim, &layout()).unwrap().len() > 2, "the base does not hold it");
        engine.apply().unwrap();
        engine.shrink().unwrap();
        assert_eq!(segment_files(&sim, &layout()).unwrap().len(), 1);
        let before = sim.counts();
        engine.shrink().unwrap();
        assert_eq!(sim.counts(), before, "it is small");
        // What is left of it after a power cut.
        let left = open(Arc::new(Sim::holding(sim.platter().flushed())), &base);
        left.commit(vec![message()]).unwrap();
        assert_eq!(left.follower().heads(&[log("a")]).unwrap()[0].length, 21 * round);
        other.commit(vec![message()]).unwrap();
        for engine in [&engine, &other, &open(Arc::new(sim.clone()), &base)] {
            assert_eq!(engine.follower().heads(&[log("a")]).unwrap()[0].length, 21 * round);
        }
    }
}

#[test]
fn a_journal_with_commits_is_never_taken_for_that_of_a_new_store() {
    let (sim, base) = (Sim::default(), MemoryBase::new());
    create(&sim);
    // Nothing was committed yet: an interrupted attempt.
    create(&sim);
    open(Arc::new(sim.clone()), &base).commit(vec![batch()]).unwrap();
    let again = Engine::create(&sim, &layout(), STORE, &Mark::default(), &options());
    assert_eq!(again.unwrap_err().code(), "corrupt");
    assert_eq!(segment_files(&sim, &layout()).unwrap(), [Path::new("journal/segment-0")]);
}

#[test]
fn damage_in_the_middle_of_the_journal_is_noticed_also_without_a_tip() {
    for has_tip in [true, false] {
        let sim = Sim::default();
        create(&sim);
        let engine =
            Engine::writing(Arc::new(sim.clone()), layout(), STORE, Arc::new(MemoryBase::new()), Options::default());
        (0..3).for_each(|_| _ = engine.commit(vec![batch().append(log("a"), vec![entry("1")])]).unwrap());
        // Within the first frame.
        sim.tamper("journal/segment-0", |bytes| bytes[512 + 30] ^= 1);
        if !has_tip {
            sim.delete("journal/tip");
        }
        let other = open(Arc::new(sim.clone()), &MemoryBase::new());
        let read = other.follower().read(&LogQuery::oldest_first(log("a"), 9));
        assert_eq!(read.unwrap_err().code(), "corrupt", "with a tip: {has_tip}");
        assert_eq!(other.commit(vec![batch()]).unwrap_err().code(), "corrupt", "with a tip: {has_tip}");
    }
}
