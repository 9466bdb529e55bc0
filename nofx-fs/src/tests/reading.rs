//! Reading leaves no trace, waits for no other process, and believes a tip only in the same boot.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nofx_core::{Expect, LogQuery};
use nofx_journal::sim::Sim;
use nofx_journal::tip::Tip;

use super::damage::{agent, batch, body, commit, entries, filled, history, open, options};
use crate::layout;
use crate::options::Options;
use crate::store::OpenFolder;

/// Returns the length of a log, all of which can be read.
fn length(store: &OpenFolder) -> u64 {
    let length = store.heads(&[history("s1")]).unwrap()[0].length;
    assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 1000)).unwrap().items.len() as u64, length);
    length
}

fn add(store: &OpenFolder) {
    commit(store, batch().append(history("s1"), entries(1)));
}

const NEXT_BOOT: Option<[u8; 16]> = Some([200; 16]);

/// Leaves a whole frame after the tip, like a writer that is killed between the two.
fn orphan(sim: &Sim) {
    let store = open(sim);
    let before = sim.everything()[layout::TIP].clone();
    add(&store);
    drop(store);
    sim.tamper(layout::TIP, |bytes| *bytes = before);
}

#[test]
fn a_tip_of_an_earlier_start_hides_nothing() {
    let sim = Sim::default();
    drop(filled(&sim));
    orphan(&sim);
    // No tip of this boot mentions it: it may not be durable, and no commit was acknowledged.
    assert_eq!(length(&open(&sim)), 20);
    sim.set_boot(NEXT_BOOT);
    assert_eq!(length(&open(&sim)), 21);
    // An open reader sees what is written now, and so does one opened later.
    let reader = open(&sim);
    add(&open(&sim));
    assert_eq!((length(&reader), length(&open(&sim))), (22, 22));
}

/// What readers do not see, writers do not see either: a caller that read and found nothing can continue from there.
#[test]
fn what_was_never_reported_is_overwritten() {
    let sim = Sim::default();
    drop(filled(&sim));
    orphan(&sim);
    let (reader, store) = (open(&sim), open(&sim));
    for n in 20..25 {
        commit(&store, batch().append_at(history("s1"), n, entries(1)));
        assert_eq!((length(&reader), length(&store), length(&open(&sim))), (n + 1, n + 1, n + 1));
    }
    sim.set_boot(NEXT_BOOT);
    assert_eq!(length(&open(&sim)), 25);
    store.apply().unwrap();
    assert_eq!(open(&sim).check().unwrap(), []);
}

#[test]
fn the_first_act_of_a_writer_is_to_flush_and_to_report() {
    let sim = Sim::default();
    drop(filled(&sim));
    orphan(&sim);
    sim.set_boot(NEXT_BOOT);
    let store = open(&sim);
    let before = sim.counts().0;
    // The commit changes nothing.
    assert_eq!(store.commit(vec![batch().append_at(history("s1"), 0, entries(1))]).unwrap().len(), 1);
    assert!(sim.counts().0 > before, "what was found was not flushed");
    let tip = Tip::read(&*nofx_journal::files::Files::open(&sim, Path::new(layout::TIP)).unwrap()).unwrap().unwrap();
    assert_eq!((tip.boot, tip.durable.frame), (NEXT_BOOT, store.position().frame));
    assert_eq!(length(&store), 21);
}

#[test]
fn where_boots_cannot_be_identified_a_tip_is_believed_while_a_process_commits() {
    let sim = Sim::default();
    sim.set_boot(None);
    drop(filled(&sim));
    orphan(&sim);
    let writer = open(&sim);
    let shared_files = writer.shared_files();
    let held = shared_files.lock().try_acquire().unwrap();
    assert_eq!(length(&open(&sim)), 20);
    drop(held);
    assert_eq!(length(&open(&sim)), 21);
}

/// What the previous version wrote is no tip to this one, and vice versa: either then relies on the journal.
#[test]
fn the_tip_of_the_version_before_is_none() {
    let sim = Sim::default();
    let store = filled(&sim);
    let new = sim.everything()[layout::TIP].clone();
    assert_ne!(crc32fast::hash(&new[..36]).to_le_bytes(), new[36..40]);
    let at = store.position();
    let mut old = [at.generation, at.offset, at.frame - 1, at.commits].map(u64::to_le_bytes).concat();
    old.extend(at.chain.to_le_bytes());
    old.extend(crc32fast::hash(&old).to_le_bytes());
    sim.tamper(layout::TIP, |bytes| bytes[..40].copy_from_slice(&old));
    assert_eq!((length(&store), length(&open(&sim))), (20, 20));
    add(&store);
    assert_eq!((length(&store), length(&open(&sim))), (21, 21));
}

type Change = fn(&Sim);

#[test]
fn reading_changes_nothing_whatever_is_found() {
    let states: [(&str, Change); 8] = [
        ("clean", |_| {}),
        ("not applied", |sim| add(&open(sim))),
        ("an orphan", orphan),
        ("a torn frame", |sim| {
            orphan(sim);
            sim.tamper("journal/segment-0", |bytes| {
                let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
                bytes[end] = 0;
            });
        }),
        ("an earlier start", |sim| {
            orphan(sim);
            sim.set_boot(NEXT_BOOT);
        }),
        ("no tip", |sim| sim.delete(layout::TIP)),
        ("no catalog", |sim| sim.delete(layout::CATALOG)),
        ("no locks", |sim| [layout::LOCK, layout::APPLY_LOCK].iter().for_each(|path| sim.delete(path))),
    ];
    for (what, change) in states {
        let sim = Sim::default();
        drop(filled(&sim));
        change(&sim);
        let (before, counts) = (sim.everything(), sim.counts());
        for is_read_only in [false, true] {
            sim.set_faults(|faults| faults.read_only = is_read_only);
            // No lock can be taken either.
            sim.set_faults(|faults| faults.lock_error = Some(5));
            let store = open(&sim);
            assert!(length(&store) >= 20, "{what}");
            assert!(store.get(&[agent("ada"), agent("bob")]).unwrap().iter().all(Option::is_some), "{what}");
            store.changes(None, 100).unwrap();
            let damages = store.check().unwrap().into_iter().filter(|one| one.severity == crate::Severity::Damage);
            assert_eq!(damages.collect::<Vec<_>>(), [], "{what}");
            drop(store);
            assert!(sim.everything() == before && sim.counts() == counts, "{what}: something was written");
        }
    }
}

#[test]
fn a_check_waits_for_no_process_that_is_held_up() {
    let sim = Sim::default();
    let writer = filled(&sim);
    add(&writer);
    let shared_files = writer.shared_files();
    let _held = [shared_files.lock(), shared_files.apply_lock()].map(|lock| lock.try_acquire().unwrap().unwrap());
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let options = Options { lock_wait: Duration::from_secs(3600), ..options() };
        let store = OpenFolder::open(Arc::new(sim), Path::new("store"), options).unwrap();
        done.send(store.check().unwrap()).unwrap();
    });
    assert_eq!(
        is_done.recv_timeout(Duration::from_secs(60)).expect("a check beside a process that holds the locks"),
        []
    );
}

/// A flush fails, and its writer is killed before it can report that. What the system shows of it since is not on the
/// disk.
#[test]
fn what_a_failed_flush_left_is_written_again_before_it_counts() {
    [true, false].into_iter().for_each(killed_while_flushing);
}

fn killed_while_flushing(is_told: bool) {
    let sim = Sim::default();
    let store = filled(&sim);
    let disk = sim.clone();
    sim.set_faults(|faults| faults.fail_flush = Some(1));
    // Killed: it writes nothing more.
    let dies = move || disk.set_faults(|faults| faults.fail_write = Some(|path| path.contains("segment")));
    sim.set_faults(|faults| faults.after_failed_flush = Some(Arc::new(dies)));
    assert_eq!(store.commit(vec![batch().append(history("s1"), entries(1))]).unwrap_err().code(), "unknown");
    drop(store);
    sim.set_faults(|faults| faults.fail_write = None);
    if !is_told {
        sim.delete(layout::TIP);
    }
    let store = open(&sim);
    assert_eq!(length(&store), if is_told { 20 } else { 21 });
    add(&store);
    let found = length(&store);
    drop(store);
    // The power fails, and nothing is left of what was not flushed.
    let image = Sim::holding(sim.platter().flushed());
    assert_eq!(length(&open(&image)), found);
}

#[test]
fn a_commit_looks_once_at_what_others_may_have_written() {
    let sim = Sim::default();
    let store = filled(&sim);
    (0..3).for_each(|_| add(&store));
    let before = sim.reads();
    (0..10).for_each(|_| add(&store));
    // Before the frame: the holder of the lock, the tip, the last frame and what follows it. After the flush: the tip
    // and the new frame.
    assert_eq!(sim.reads() - before, 10 * 6);
}

#[test]
fn what_is_remembered_denies_no_commit_where_it_cannot_be_read() {
    let sim = Sim::default();
    drop(filled(&sim));
    sim.set_faults(|faults| faults.fail_read = Some(|path| path.starts_with(layout::FEED)));
    let store = open(&sim);
    commit(&store, batch().put(agent("ada"), Expect::Any, body(7)));
    sim.set_faults(|faults| faults.fail_read = None);
    add(&store);
    store.apply().unwrap();
    assert_eq!(store.check().unwrap(), []);
}
