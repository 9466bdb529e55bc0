//! Repairing: derived files are rebuilt, unreadable ones are put aside, and everything else can be read.

use std::path::Path;

use nofx_core::{Changes, Expect, LogQuery, RecordKey, Repair, Repaired, ScanQuery, kind};
use nofx_journal::files::WritableFiles;
use nofx_journal::sim::Sim;

use super::damage::{agent, batch, body, commit, entries, filled, history, open, slashed};
use crate::check::Severity;
use crate::layout;
use crate::store::OpenFolder;

const SEGMENT: &str = "journal/segment-0";

/// Repairs, and checks that nothing was overwritten: what changed was put aside as it was.
fn repaired(sim: &Sim, paths: &[&str]) -> (OpenFolder, Vec<Repair>) {
    let before = sim.everything();
    let store = open(sim);
    let repairs = store.repair(true).unwrap().repairs;
    let after = sim.everything();
    let is_aside = |path: &str| path.starts_with(layout::DAMAGED) || path.starts_with("journal/damaged-");
    let aside: Vec<_> = after.iter().filter(|(path, _)| is_aside(path)).map(|(_, it)| it).collect();
    for path in paths {
        assert!(repairs.iter().any(|one| one.thing == *path), "{path}: {repairs:?}");
        // The catalog holds nothing that is not elsewhere.
        let was =
            before.get(if *path == layout::JOURNAL { SEGMENT } else { path }).filter(|_| *path != layout::CATALOG);
        assert!(was.is_none_or(|was| after.get(*path) == Some(was) || aside.contains(&was)), "{path} is lost");
    }
    assert_eq!(repairs.len(), paths.len(), "{repairs:?}");
    // Another process finds the same.
    for store in [&store, &open(sim)] {
        let damages = store.check().unwrap().into_iter().filter(|one| one.severity != Severity::Note);
        assert_eq!(damages.collect::<Vec<_>>(), []);
    }
    (store, repairs)
}

/// Puts a file in its place.
fn write(sim: &Sim, path: &str, bytes: &[u8]) {
    let (writable, path): (&dyn WritableFiles, _) = (sim, Path::new(path));
    let above: Vec<_> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
    above.into_iter().rev().for_each(|above| writable.make_dir(above).unwrap());
    writable.replace(path, bytes).unwrap();
}

fn everything_but(store: &OpenFolder, missing: usize) {
    assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len(), 3 - missing);
    for log in ["s1", "s2"] {
        assert_eq!(store.read(&LogQuery::oldest_first(history(log), 100)).unwrap().items.len(), 20);
    }
    commit(store, batch().put(agent("eve"), Expect::Absent, body(7)).append(history("s1"), entries(1)));
    store.apply().unwrap();
}

#[test]
fn a_healthy_store_is_left_as_it_is() {
    let sim = Sim::default();
    drop(filled(&sim));
    let (store, _) = repaired(&sim, &[]);
    everything_but(&store, 0);
}

#[test]
fn a_record_whose_file_is_missing_or_damaged_stays_listed_until_the_file_is_there() {
    let remove = |sim: &Sim| sim.delete("agents/ada.json");
    let flip = |sim: &Sim| sim.tamper("agents/ada.json", |bytes| bytes[70] ^= 1);
    let cut = |sim: &Sim| sim.tamper("agents/ada.json", |bytes| bytes.truncate(40));
    let empty = |sim: &Sim| sim.tamper("agents/ada.json", Vec::clear);
    for damage in [&remove as &dyn Fn(&Sim), &flip, &cut, &empty] {
        let sim = Sim::default();
        drop(filled(&sim));
        let whole = sim.everything()["agents/ada.json"].clone();
        damage(&sim);
        let damaged = sim.everything().get("agents/ada.json").cloned();
        let store = open(&sim);
        assert_eq!(store.repair(false).unwrap(), Repaired::default());
        assert_eq!(sim.everything().get("agents/ada.json").cloned(), damaged);
        for store in [&store, &open(&sim)] {
            let error = store.get(&[agent("ada")]).unwrap_err();
            assert!(error.code() == "corrupt" && error.to_string().contains("agent/ada"), "{error}");
            assert!(store.check().unwrap().iter().any(|one| one.severity == Severity::Damage));
        }
        write(&sim, "agents/ada.json", &whole);
        assert_eq!(open(&sim).get(&[agent("ada")]).unwrap()[0].as_ref().unwrap().body, body(1));
        repaired(&sim, &[]);
    }
}

#[test]
fn what_is_whole_and_not_listed_is_named_and_taken_back() {
    let sim = Sim::default();
    let store = filled(&sim);
    let before = sim.everything();
    // Another store has the same files but lists none of them.
    let late = Sim::default();
    drop(open(&late));
    let arrived = ["agents/ada.json", "sessions/active/s1/history.jsonl", "sessions/archived/s2/history.jsonl.zst"];
    for path in arrived {
        write(&late, path, &before[path]);
    }
    // Files that are not intact are not listed again.
    write(&late, "agents/bob.json", &before["agents/bob.json"][..90]);
    write(&late, "sessions/active/s9/history.jsonl", &before["sessions/active/s1/history.jsonl"][..90]);
    let found = open(&late).check().unwrap();
    for path in arrived {
        let is_named = |one: &crate::Finding| slashed(one.path.display()) == path && one.what.contains("--repair");
        assert!(found.iter().any(is_named), "{path}: {found:?}");
    }
    let (again, _) = repaired(&late, &arrived);
    assert_eq!(again.get(&[agent("ada")]).unwrap()[0].as_ref().unwrap().body, body(1));
    for log in ["s1", "s2"] {
        let query = LogQuery::oldest_first(history(log), 100);
        assert_eq!(again.read(&query).unwrap(), store.read(&query).unwrap());
        assert_eq!(again.heads(&[history(log)]).unwrap(), store.heads(&[history(log)]).unwrap());
    }
    assert!(!late.everything().keys().any(|path| path.starts_with(layout::DAMAGED)));
    // Items deleted since are not taken for late arrivals.
    commit(&again, batch().delete(agent("ada"), Expect::Any).remove(history("s1")));
    assert_eq!(again.repair(false).unwrap(), Repaired::default());
    assert_eq!(again.get(&[agent("ada")]).unwrap(), [None]);
}

#[test]
fn what_is_derived_is_made_again() {
    let sim = Sim::default();
    drop(filled(&sim));
    let index = sim.everything()[layout::INDEX].clone();
    for path in [layout::CATALOG, layout::INDEX] {
        for damage in [&|bytes: &mut Vec<u8>| bytes[9] ^= 1, &|bytes| bytes.truncate(20)] as [&dyn Fn(&mut Vec<u8>); 2]
        {
            sim.tamper(path, damage);
            repaired(&sim, &[path]);
            assert_eq!(sim.everything()[layout::INDEX], index);
        }
        sim.delete(path);
        let (store, _) = repaired(&sim, &[path]);
        let key = RecordKey::new(kind::TEMPLATE_NAME, "t").unwrap();
        assert_eq!(store.get(&[key]).unwrap()[0].as_ref().unwrap().body, body(3));
        assert_eq!(sim.everything()[layout::INDEX], index);
    }
    everything_but(&open(&sim), 0);
}

#[test]
fn a_damaged_entry_stays_in_its_place_and_its_neighbours_are_read() {
    let sim = Sim::default();
    drop(filled(&sim));
    let path = "sessions/active/s1/history.jsonl";
    sim.tamper(path, |bytes| bytes[200] ^= 1);
    let damaged = sim.everything()[path].clone();
    let store = open(&sim);
    assert_eq!(store.repair(true).unwrap().repairs, []);
    assert_eq!(sim.everything()[path], damaged);
    let found = store.check().unwrap();
    assert!(found[0].what.contains("position 1") && found.len() == 1, "{found:?}");
    assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 100).within(2..20)).unwrap().items.len(), 18);
}

#[test]
fn the_table_of_a_sealed_log_is_made_again() {
    let path = "sessions/archived/s2/history.jsonl.zst";
    for cut in [1, 10, 39] {
        let sim = Sim::default();
        drop(filled(&sim));
        let whole = sim.everything()[path].clone();
        sim.tamper(path, |bytes| bytes.truncate(bytes.len() - cut));
        let (store, _) = repaired(&sim, &[path]);
        assert_eq!(sim.everything()[path], whole);
        everything_but(&store, 0);
    }
}

#[test]
fn a_damaged_feed_is_a_gap_for_those_that_follow_it() {
    let sim = Sim::default();
    drop(filled(&sim));
    let cursor = match open(&sim).changes(None, 0).unwrap() {
        Changes::Page(page) => page.next,
        gap @ Changes::Gap { .. } => panic!("{gap:?}"),
    };
    sim.tamper("feed/00000000", |bytes| bytes[30] ^= 1);
    assert!(matches!(open(&sim).changes(Some(&cursor), 9).unwrap(), Changes::Gap { .. }));
    let (store, _) = repaired(&sim, &["feed/00000000"]);
    everything_but(&store, 0);
    assert!(matches!(open(&sim).changes(Some(&cursor), 9).unwrap(), Changes::Gap { .. }));
    sim.delete("feed/00000000");
    let store = open(&sim);
    commit(&store, batch().put(agent("zoe"), Expect::Any, body(8)));
    store.apply().unwrap();
    let Changes::Gap { newest } = open(&sim).changes(None, 9).unwrap() else { panic!("it is remembered") };
    commit(&store, batch().put(agent("zoe"), Expect::Any, body(9)));
    store.apply().unwrap();
    let Changes::Page(page) = open(&sim).changes(Some(&newest), 9).unwrap() else { panic!("a gap") };
    assert_eq!(page.changes.len(), 1);
}

#[test]
fn a_damaged_journal_is_gone_on_from_without_what_cannot_be_read() {
    let sim = Sim::default();
    let store = filled(&sim);
    // Only the journal has these so far; one of them is damaged.
    let mut ends = Vec::new();
    for n in 0..4 {
        commit(&store, batch().put(agent("ada"), Expect::Any, body(10 + n)));
        ends.push(store.position().offset as usize);
    }
    drop(store);
    sim.tamper("journal/segment-0", |bytes| bytes[ends[1] + 30] ^= 1);
    // What follows it is only given up on demand.
    let before = sim.everything()["journal/segment-0"].clone();
    let left = open(&sim).repair(false).unwrap();
    assert!(left.repairs.is_empty() && left.losses[0].what.contains("gives up one group of commits"), "{left:?}");
    assert_eq!(sim.everything()["journal/segment-0"], before);
    let (store, repairs) = repaired(&sim, &[layout::JOURNAL]);
    assert!(repairs[0].what.ends_with("without one group of commits"), "{repairs:?}");
    assert_eq!(store.get(&[agent("ada")]).unwrap()[0].as_ref().unwrap().body, body(13));
    everything_but(&store, 0);
}

#[test]
fn a_journal_whose_damage_the_files_outlive_loses_nothing() {
    for damage in [
        (&|bytes: &mut Vec<u8>| bytes[600] ^= 1) as &dyn Fn(&mut Vec<u8>),
        &|bytes| bytes[9] ^= 1,
        &|bytes| bytes.truncate(700),
        &|bytes| bytes.clear(),
    ] {
        let sim = Sim::default();
        let store = filled(&sim);
        commit(&store, batch().put(agent("bob"), Expect::Any, body(5)));
        store.apply().unwrap();
        let last = store.last_seq();
        drop(store);
        sim.tamper("journal/segment-0", damage);
        let store = open(&sim);
        assert_eq!(store.get(&[agent("bob")]).unwrap()[0].as_ref().unwrap().body, body(5));
        assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len(), 3);
        drop(store);
        // Only the last frame that the files hold is needed: the journal continues after it.
        if let Err(error) = open(&sim).commit(vec![batch()]) {
            assert_eq!(error.code(), "corrupt", "{error}");
        }
        assert_eq!(open(&sim).repair(false).unwrap().losses, []);
        let (store, _) = repaired(&sim, &[]);
        assert_eq!(store.get(&[agent("bob")]).unwrap()[0].as_ref().unwrap().body, body(5));
        assert!(store.last_seq() >= last, "numbers are never used again");
        everything_but(&store, 0);
    }
}

#[test]
fn a_journal_that_is_gone_is_begun_again() {
    let sim = Sim::default();
    drop(filled(&sim));
    for path in sim.everything().into_keys().filter(|path| path.starts_with(layout::JOURNAL)) {
        sim.delete(&path);
    }
    let store = open(&sim);
    assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len(), 3);
    assert_eq!(store.commit(vec![batch()]).unwrap_err().code(), "corrupt");
    store.repair(true).unwrap();
    everything_but(&open(&sim), 0);
}
