//! A disk that fails around the frame: what is durable is acknowledged, and no failure outlasts its cause.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nofx_core::{Expect, LogQuery};
use nofx_journal::sim::Sim;

use super::damage::{agent, batch, body, commit, entries, filled, history, open, options};
use crate::layout;
use crate::options::Options;
use crate::store::OpenFolder;

fn is_tip(path: &str) -> bool {
    path == layout::TIP
}

/// Returns the length of a log, all of which can be read.
fn length(store: &OpenFolder) -> u64 {
    let length = store.heads(&[history("s1")]).unwrap()[0].length;
    assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 1000)).unwrap().items.len() as u64, length);
    length
}

#[test]
fn a_tip_that_cannot_be_written_denies_no_commit() {
    for lasts in [false, true] {
        let sim = Sim::default();
        let (store, other) = (filled(&sim), open(&sim));
        sim.set_faults(|faults| faults.fail_write = Some(is_tip));
        for n in 0..100 {
            commit(&store, batch().append(history("s1"), entries(1)));
            assert_eq!(length(&store), 21 + n);
            if n % 10 == 0 {
                assert_eq!(length(&other), 21 + n, "acknowledged, and another process does not see it");
                assert_eq!(length(&open(&sim)), 21 + n);
            }
            if n % 25 == 0 {
                store.apply().unwrap();
            }
            if !lasts {
                sim.set_faults(|faults| faults.fail_write = None);
            }
        }
        sim.set_faults(|faults| faults.fail_write = None);
        commit(&other, batch().append(history("s1"), entries(1)));
        for store in [&store, &other, &open(&sim)] {
            store.apply().unwrap();
            assert_eq!(length(store), 121);
            assert_eq!(store.check().unwrap(), []);
        }
    }
}

#[test]
fn a_tip_that_cannot_be_read_behind_the_flush_denies_no_commit() {
    let sim = Sim::default();
    let store = filled(&sim);
    let disk = sim.clone();
    let broken = Arc::new(move || disk.set_faults(|faults| faults.fail_read = Some(is_tip)));
    sim.set_faults(|faults| faults.before_write = Some(("segment", broken)));
    commit(&store, batch().append(history("s1"), entries(1)));
    sim.set_faults(|faults| faults.fail_read = None);
    commit(&store, batch().append(history("s1"), entries(1)));
    for store in [&store, &open(&sim)] {
        assert_eq!(length(store), 22);
    }
}

#[test]
fn a_tip_that_can_never_be_read_hinders_nothing() {
    let sim = Sim::default();
    drop(filled(&sim));
    sim.set_faults(|faults| faults.fail_read = Some(is_tip));
    let (store, other) = (open(&sim), open(&sim));
    for n in 0..10 {
        commit(if n % 2 == 0 { &store } else { &other }, batch().append(history("s1"), entries(1)));
        assert_eq!((length(&store), length(&other)), (21 + n, 21 + n));
    }
}

/// Any write after the frame may fail; the handle stays usable, and works fully again once the disk does.
#[test]
fn files_that_cannot_be_written_hinder_no_commit() {
    let places: [fn(&str) -> bool; 8] = [
        |path| path == layout::CATALOG,
        |path| path.starts_with("catalog~"),
        |path| path.starts_with(layout::INDEX),
        |path| path.starts_with(layout::FEED),
        |path| path.starts_with("agents/"),
        |path| path.starts_with("sessions/"),
        |path| path.ends_with(".holder"),
        is_tip,
    ];
    for (at, place) in places.into_iter().enumerate() {
        let sim = Sim::default();
        let store = filled(&sim);
        sim.set_faults(|faults| faults.fail_write = Some(place));
        for n in 0..50 {
            let record = batch().put(agent("ada"), Expect::Any, body(n));
            commit(&store, record.append(history("s1"), entries(1)));
            assert_eq!(length(&store), 21 + n, "place {at}");
            if n % 10 == 0 {
                _ = store.apply();
            }
        }
        sim.set_faults(|faults| faults.fail_write = None);
        for store in [store, open(&sim)] {
            commit(&store, batch().append(history("s1"), entries(1)));
            store.apply().unwrap();
            assert!(store.unapplied_bytes() == 0, "place {at}");
            assert_eq!(store.check().unwrap(), [], "place {at}");
        }
        assert_eq!(length(&open(&sim)), 72);
    }
}

#[test]
fn a_file_system_without_locks_is_named_and_read() {
    // ENOLCK, EOPNOTSUPP, EINVAL and ENOSYS on Linux; on Windows, functions that are not there.
    for code in if cfg!(windows) { [1, 50, 1, 50] } else { [37, 95, 22, 38] } {
        let sim = Sim::default();
        let store = filled(&sim);
        sim.set_faults(|faults| faults.lock_error = Some(code));
        for store in [store, open(&sim)] {
            assert_eq!(length(&store), 20);
            let error = store.commit(vec![batch()]).unwrap_err();
            assert_eq!(error.code(), "unavailable", "{error}");
            assert!(error.to_string().contains("locks do not work"), "{code}: {error}");
            assert!(error.to_string().contains("local disk"), "{code}: {error}");
        }
        let empty = Sim::default();
        empty.set_faults(|faults| faults.lock_error = Some(code));
        let error = OpenFolder::open(Arc::new(empty), Path::new("store"), options()).unwrap_err();
        assert!(error.to_string().contains("locks do not work"), "{code}: {error}");
    }
}

#[test]
fn what_is_committed_while_the_files_follow_is_all_that_is_left_to_do() {
    let sim = Sim::default();
    let store = Arc::new(filled(&sim));
    commit(&store, batch().append(history("s1"), entries(500)));
    let much = store.unapplied_bytes();
    let other = store.clone();
    let meanwhile = move || commit(&other, batch().append(history("s1"), entries(1)));
    sim.set_faults(|faults| faults.before_write = Some(("feed", Arc::new(meanwhile))));
    store.apply().unwrap();
    assert!(store.unapplied_bytes() > 0);
    let left = store.unapplied_bytes();
    assert!(left > 0 && left < much / 100, "{left} bytes of {much} are said to be left");
    store.apply().unwrap();
    assert_eq!(store.unapplied_bytes(), 0);
}

/// A check keeps the files unchanged; a concurrent commit may need them to determine what the store holds.
#[test]
fn a_check_and_a_commit_never_wait_for_each_other_in_a_circle() {
    let sim = Sim::default();
    drop(filled(&sim));
    let options = Options { lock_wait: Duration::from_millis(500), ..options() };
    let store = Arc::new(OpenFolder::open(Arc::new(sim.clone()), Path::new("store"), options).unwrap());
    let committing = Arc::new(Mutex::new(None));
    let (disk, other, thread) = (sim.clone(), store.clone(), committing.clone());
    let meanwhile = move || {
        // Forces the commit to read every file.
        disk.tamper(layout::TIP, Vec::clear);
        disk.delete(layout::CATALOG);
        let segment = disk.everything()["journal/segment-0"].clone();
        disk.replace("journal/segment-0", segment);
        let store = other.clone();
        let commits = move || store.commit(vec![batch().append(history("s1"), entries(1))]);
        let commits = std::thread::spawn(commits);
        // Until it is done, or waits for this check.
        (0..200).take_while(|_| !commits.is_finished()).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
        *thread.lock().unwrap() = Some(commits);
    };
    sim.set_faults(|faults| faults.before_open = Some(("agents/ada.json", Arc::new(meanwhile))));
    let checked = store.check();
    let commits = committing.lock().unwrap().take().unwrap();
    commits.join().unwrap().unwrap();
    assert!(checked.unwrap().iter().all(|one| one.severity != crate::Severity::Damage));
    assert_eq!(length(&store), 21);
}

#[test]
fn a_full_disk_leaves_no_segments_behind() {
    let sim = Sim::default();
    let store = filled(&sim);
    let segments = || sim.everything().keys().filter(|path| path.starts_with("journal/segment")).count();
    let used = sim.everything().values().map(Vec::len).sum();
    sim.set_faults(|faults| faults.room = Some(used));
    let (mut before, mut refused) = (usize::MAX, 0);
    while refused < 50 {
        match store.commit(vec![batch().append(history("s1"), entries(40))]) {
            Ok(_) => before = segments(),
            Err(error) => {
                assert_eq!(error.code(), "full", "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(segments(), before);
    sim.set_faults(|faults| faults.room = None);
    commit(&store, batch().append(history("s1"), entries(1)));
}

/// A suspended writer keeps the lock for any length of time.
#[test]
fn opening_and_reading_wait_for_no_writer() {
    let sim = Sim::default();
    let writer = filled(&sim);
    let shared_files = writer.shared_files();
    let _held = shared_files.lock().try_acquire().unwrap().unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let options = Options { lock_wait: Duration::from_secs(3600), ..options() };
        let store = OpenFolder::open(Arc::new(sim), Path::new("store"), options).unwrap();
        done.send(length(&store)).unwrap();
    });
    let patience = Duration::from_secs(60);
    assert_eq!(is_done.recv_timeout(patience).expect("a store that opens beside a writer that holds the lock"), 20);
}
