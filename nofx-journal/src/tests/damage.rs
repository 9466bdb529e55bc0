//! Damage in the journal: an unreadable frame makes doubtful what it may concern, and nothing else.

use std::path::Path;
use std::sync::Arc;

use nofx_core::{Body, Direction, Error, Expect, Kind, LogQuery, Page, RecordKey, ScanQuery};

use super::engine::{batch, create, entry, log, open};
use super::world::{Answer, History, Question, STORE, layout};
use crate::base::Base;
use crate::files::Boot;
use crate::follower::Follower;
use crate::memory::MemoryBase;
use crate::segment::{Segment, segment_files};
use crate::sim::{Dice, Sim, name};

const BOOT: Option<Boot> = Some([7; 16]);

/// A store with some commits in several segments, of which the base holds the first.
fn store(seed: u64, commits: usize, applied: usize) -> (Sim, MemoryBase, History) {
    let (sim, base, mut history, mut dice) = (Sim::default(), MemoryBase::new(), History::default(), Dice(seed));
    sim.set_boot(BOOT);
    create(&sim);
    let engine = open(Arc::new(sim.clone()), &base);
    for number in 0..commits {
        let commit = history.any_commit(&mut dice);
        engine.commit(vec![commit.to_batch()]).unwrap();
        history.0.push(commit);
        if number + 1 == applied {
            engine.apply().unwrap();
        }
    }
    // The rest stays in the journal.
    std::mem::forget(engine);
    (sim, base, history)
}

fn reader(sim: &Sim, base: &MemoryBase) -> Follower {
    Follower::new(Arc::new(sim.clone()), layout(), STORE, Arc::new(base.clone()))
}

fn is_part<T: PartialEq>(answer: &Page<T>, whole: &Page<T>) -> bool {
    let is_whole = answer.items.len() == whole.items.len();
    whole.items.starts_with(&answer.items) && (answer.more || is_whole && !whole.more)
}

/// Returns whether an answer is true as far as it goes: a page may end early, and then says that there is more.
fn is_true(answer: &Answer, whole: &Answer) -> bool {
    match (answer, whole) {
        (Answer::RecordPage(answer), Answer::RecordPage(whole)) => is_part(answer, whole),
        (Answer::HeadPage(answer), Answer::HeadPage(whole)) => is_part(answer, whole),
        (Answer::Entries(answer), Answer::Entries(whole)) => is_part(answer, whole),
        (Answer::Commits(Some((answer, end))), Answer::Commits(Some((whole, all)))) => {
            whole.starts_with(answer) && end <= all
        }
        (answer, whole) => answer == whole,
    }
}

/// Returns whether entries once were in a log: existing ones are read, even if the journal may have lost that the log
/// was continued or removed.
fn was_in_log(answer: &Answer, history: &History, question: &Question) -> bool {
    let Answer::Entries(page) = answer else { return false };
    (0..=history.0.len()).any(|count| {
        matches!(history.answer(count, question), Answer::Entries(then) if then.items == page.items && (page.more || !then.more))
    })
}

/// Asks everything. Returns how many questions were answered, of how many.
fn ask(what: &str, reader: &Follower, history: &History, counts: &[usize]) -> (usize, usize) {
    // A backward list that continues after a key began earlier, and reported there what it lacks.
    let is_begun = |query: &Question| match query {
        Question::Scan(query) => query.direction == Direction::Backward && query.after.is_some(),
        Question::Logs(query) => query.direction == Direction::Backward && query.after.is_some(),
        _ => false,
    };
    let all: Vec<_> = Question::all(history.0.len()).into_iter().filter(|query| !is_begun(query)).collect();
    let mut wrong = vec![Vec::new(); counts.len()];
    let mut answered = 0;
    for question in &all {
        match question.ask(reader) {
            Ok(answer) => {
                answered += 1;
                for (count, wrong) in counts.iter().zip(&mut wrong) {
                    let whole = history.answer(*count, question);
                    if !is_true(&answer, &whole) && !was_in_log(&answer, history, question) {
                        wrong.push(format!("{question:?}\n answers {answer:?}\n not {whole:?}"));
                    }
                }
            }
            Err(Error::Corrupt(_)) => {}
            Err(error) => panic!("{what}: {question:?}: {error}"),
        }
    }
    // A single state of the store explains all answers.
    assert!(wrong.iter().any(Vec::is_empty), "{what}: {}", wrong[0].join("\n"));
    (answered, all.len())
}

#[test]
fn a_flipped_bit_leaves_no_older_answer_and_hides_little() {
    const COMMITS: usize = 9;
    let (mut answered, mut asked, mut trials) = (0, 0, 0);
    for (seed, applied) in [(1, 0), (2, 3), (3, 8)] {
        let (sim, base, history) = store(seed, COMMITS, applied);
        for path in segment_files(&sim, &layout()).unwrap() {
            let path = name(&path);
            let bytes = sim.everything()[&path].clone();
            for at in (0..bytes.len()).filter(|at| bytes[*at] != 0 || at % 64 == 0) {
                for has_tip in [true, false] {
                    let damaged = Sim::holding(sim.platter());
                    damaged.set_boot(BOOT);
                    damaged.tamper(&path, |bytes| bytes[at] ^= 1 << (at % 8));
                    if !has_tip {
                        damaged.delete("journal/tip");
                    }
                    // Without a tip only the newest commit itself shows that it exists.
                    let counts = if has_tip { &[COMMITS][..] } else { &[COMMITS, COMMITS - 1] };
                    let what = format!("seed {seed}, {path}, byte {at}, tip {has_tip}");
                    let (done, all) = ask(&what, &reader(&damaged, &base), &history, counts);
                    (answered, asked, trials) = (answered + done, asked + all, trials + 1);
                }
            }
        }
    }
    println!("{trials} flips, {answered} of {asked} answered");
    assert!(answered * 10 > asked * 7, "{answered} of {asked} questions are answered");
}

#[test]
fn what_is_around_a_damaged_frame_is_read_and_the_repair_goes_on_behind_it() {
    for (has_tip, applied) in [(true, 0), (false, 0), (true, 1)] {
        let (sim, base) = (Sim::default(), MemoryBase::new());
        create(&sim);
        let note = |id: &str| RecordKey::new(Kind::of("note"), id).unwrap();
        let engine = open(Arc::new(sim.clone()), &base);
        for id in ["ada", "bob", "cyd"] {
            let batch = batch().put(note(id), Expect::Absent, Body::trusted("1"));
            engine.commit(vec![batch.append(log("shared"), vec![entry(format!("\"{id}\""))])]).unwrap();
            if applied == 1 && id == "ada" {
                engine.apply().unwrap();
            }
        }
        std::mem::forget(engine);
        let bob = b"bob".to_vec();
        sim.tamper("journal/segment-0", |bytes| {
            let at = bytes.windows(3).position(|window| window == bob).unwrap();
            bytes[at] ^= 1;
        });
        if !has_tip {
            sim.delete("journal/tip");
        }
        let engine = open(Arc::new(sim.clone()), &base);
        let follower = engine.follower();
        let segment = Path::new("journal").join("segment-0");
        let damage = follower.damage().unwrap().unwrap();
        assert!(damage.starts_with(&format!("`{}`: frame 2 at byte ", segment.display())), "{damage}");
        assert_eq!(follower.get(&[note("ada"), note("cyd"), note("eve")]).unwrap().iter().flatten().count(), 2);
        let error = follower.get(&[note("bob")]).unwrap_err().to_string();
        assert!(error.contains("note/bob") && error.contains("frame 2"), "{error}");
        let page = follower.scan(&ScanQuery::all(10)).unwrap();
        assert_eq!((page.items.len(), page.more), (2, true), "the list goes on with what is lost");
        assert_eq!(follower.scan(&ScanQuery::all(10).after(note("cyd"))).unwrap_err().code(), "corrupt");
        let read = |query: LogQuery| follower.read(&query).map(|page| page.items.len());
        assert_eq!(read(LogQuery::oldest_first(log("shared"), 9)).unwrap(), 1);
        assert_eq!(read(LogQuery::oldest_first(log("shared"), 9).within(1..9)).unwrap_err().code(), "corrupt");
        assert_eq!(read(LogQuery::oldest_first(log("shared"), 9).within(2..9)).unwrap(), 1);
        assert_eq!(
            read(LogQuery { direction: Direction::Backward, ..LogQuery::oldest_first(log("shared"), 9) }).unwrap(),
            1
        );
        assert_eq!(engine.commit(vec![batch()]).unwrap_err().code(), "corrupt");

        let asked = engine.repair(false).unwrap();
        assert!(
            asked.repairs.is_empty() && asked.losses[0].what.ends_with("repairing it gives up one group of commits"),
            "{asked:?}"
        );
        let before = sim.everything()["journal/segment-0"].clone();
        let done = engine.repair(true).unwrap();
        assert!(done.losses.is_empty(), "{done:?}");
        assert_eq!(done.repairs[0].aside.as_deref(), Some("journal/damaged-1-*"));
        assert_eq!(sim.everything()["journal/damaged-1-segment-0"], before);

        let added = batch().put(note("dan"), Expect::Absent, Body::trusted("2"));
        engine.commit(vec![added.append(log("shared"), vec![entry("4")])]).unwrap();
        for follower in [follower, &reader(&sim, &base)] {
            let all = [note("ada"), note("bob"), note("cyd"), note("dan")];
            let there: Vec<_> = follower.get(&all).unwrap().iter().map(Option::is_some).collect();
            assert_eq!(there, [true, false, true, true]);
            assert_eq!(follower.heads(&[log("shared")]).unwrap()[0].length, 4);
            let rest = follower.read(&LogQuery::oldest_first(log("shared"), 9).within(2..9)).unwrap();
            assert_eq!(rest.items.iter().map(|entry| entry.position).collect::<Vec<_>>(), [2, 3]);
            assert_eq!(follower.damage().unwrap(), None);
        }
        assert_eq!(engine.repair(true).unwrap(), Default::default(), "there is nothing left to repair");
        engine.apply().unwrap();
        assert_eq!(base.snapshot().unwrap().mark().commits, 3, "the one that was lost is not counted");
    }
}

#[test]
fn a_repair_that_was_killed_goes_on_and_loses_nothing_more() {
    for seed in 1..=6 {
        let (sim, base, _) = store(seed, 9, 3);
        // What the base holds needs no journal.
        for path in segment_files(&sim, &layout()).unwrap() {
            sim.tamper(&name(&path), |bytes| {
                let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
                bytes[end] ^= 1;
            });
        }
        let (platters, sees) = {
            let seen = Arc::new(std::sync::Mutex::new(vec![sim.platter()]));
            (seen.clone(), seen)
        };
        sim.watch(move |platter| sees.lock().unwrap().push(platter.clone()));
        let killed = base.clone();
        let engine = open(Arc::new(sim.clone()), &killed);
        engine.repair(true).unwrap();
        sim.stop_watching();
        let kept = reader(&sim, &killed);
        let found = |follower: &Follower| -> Vec<_> {
            Question::all(9)
                .iter()
                .map(|question| format!("{:?}", question.ask(follower).map_err(|error| error.code())))
                .collect()
        };
        let expected = found(&kept);
        // The base took everything in with the first step. Each engine has one of its own: one that is open for more than a
        // second applies what it commits.
        for platter in platters.lock().unwrap().iter() {
            let left = Sim::holding(platter.cut(&mut Dice(seed)));
            let engine = open(Arc::new(left.clone()), &killed.cut(&mut Dice(seed)));
            let done = engine.repair(false).unwrap();
            assert!(done.losses.is_empty(), "seed {seed}: {done:?}");
            assert_eq!(found(engine.follower()), expected, "seed {seed}");
            engine.commit(vec![batch()]).unwrap();
        }
    }
}

#[test]
fn a_process_that_knows_everything_commits_nothing_behind_a_repair_that_was_interrupted() {
    let (sim, base, _) = store(5, 6, 2);
    let engine = open(Arc::new(sim.clone()), &base);
    assert_eq!(engine.follower().commits(0, 9).unwrap().unwrap().1, 6);
    // It read this before it was damaged.
    let path = segment_files(&sim, &layout()).unwrap().pop().unwrap();
    let whole = sim.everything()[&name(&path)].clone();
    let newest = Sim::holding(sim.platter());
    newest.set_boot(BOOT);
    newest.tamper(&name(&path), |bytes| {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[end] ^= 1;
    });
    // Of the repair, only what it gives the base takes effect.
    open(Arc::new(newest), &base).repair(true).unwrap();
    assert_eq!(sim.everything()[&name(&path)], whole);
    for _ in 0..2 {
        let refused = engine.commit(vec![batch().append(log("a"), vec![entry("1")])]).unwrap_err();
        assert_eq!(refused.code(), "corrupt", "{refused}");
    }
    let done = engine.repair(false).unwrap();
    assert!(done.losses.is_empty() && done.repairs.len() == 1, "{done:?}");
    engine.commit(vec![batch().append(log("late"), vec![entry("1")])]).unwrap();
    assert_eq!(reader(&sim, &base).heads(&[log("late")]).unwrap()[0].length, 1);
}

#[test]
fn a_wrong_length_of_what_the_base_holds_does_not_move_where_the_journal_goes_on() {
    let (sim, base, _) = store(3, 4, 4);
    let segment = Segment::newest_run(&sim, &layout(), STORE).unwrap().pop().unwrap();
    let last = segment.whole_groups(0).unwrap().pop().unwrap();
    for bit in 0..8 {
        let (sim, base) = (Sim::holding(sim.platter()), base.clone());
        sim.set_boot(BOOT);
        let flip = || sim.tamper(&name(&segment.path), |bytes| bytes[last.offset as usize + 4] ^= 1 << bit);
        flip();
        // Otherwise it says where the last frame ends.
        sim.delete(&name(layout().tip()));
        let engine = open(Arc::new(sim.clone()), &base);
        let taken = engine.commit(vec![batch().append(log("late"), vec![entry("1")])]).is_ok();
        flip();
        let reader = reader(&sim, &base);
        assert_eq!(reader.damage().unwrap(), None, "bit {bit}");
        assert_eq!(reader.heads(&[log("late")]).unwrap()[0].length, u64::from(taken), "bit {bit}");
        std::mem::forget(engine);
    }
}

#[test]
fn a_new_store_is_whole_where_the_tip_of_another_one_was_left() {
    let (sim, base, _) = store(1, 9, 9);
    open(Arc::new(sim.clone()), &base).shrink().unwrap();
    assert_eq!(segment_files(&sim, &layout()).unwrap().len(), 1);
    create(&sim);
    let fresh = MemoryBase::new();
    let engine = open(Arc::new(sim.clone()), &fresh);
    engine.commit(vec![batch().append(log("a"), vec![entry("1")])]).unwrap();
    assert_eq!(reader(&sim, &fresh).damage().unwrap(), None);
}

#[test]
fn a_journal_that_is_missing_is_begun_again_only_by_a_repair_that_may_give_up_what_it_held() {
    for is_all in [false, true] {
        let (sim, base, _) = store(7, 4, 2);
        let segments = segment_files(&sim, &layout()).unwrap();
        let is_gone = |path: &String| is_all || segments.iter().any(|segment| name(segment) == *path);
        sim.everything().into_keys().filter(is_gone).for_each(|path| sim.delete(&path));
        let engine = open(Arc::new(sim.clone()), &base);
        let asked = engine.repair(false).unwrap();
        assert!(
            asked.losses[0].what.contains("is missing; repairing it gives up the commits that only the journal held"),
            "{asked:?}"
        );
        assert_eq!(engine.commit(vec![batch()]).unwrap_err().code(), "corrupt");
        engine.repair(true).unwrap();
        engine.commit(vec![batch()]).unwrap();
        assert_eq!(reader(&sim, &base).commits(0, 9).unwrap().unwrap().1, 3);
    }
}
