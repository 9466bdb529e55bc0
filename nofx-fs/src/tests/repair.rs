//! Repairing: what is derived is made again, what cannot be read is kept aside, and everything else reads.

use nofx_core::{Changes, Expect, LogQuery, RecordKey, Repair, ScanQuery, kind};

use super::damage::{agent, batch, body, commit, entries, filled, history, open};
use super::sim::Sim;
use crate::check::Severity;
use crate::layout;
use crate::store::Shared;

/// Repairs, and demands that nothing was overwritten: what changed is somewhere aside as it was.
fn repaired(sim: &Sim, paths: &[&str]) -> (Shared, Vec<Repair>) {
    let before = sim.everything();
    let store = open(sim);
    let repairs = store.repair(true).unwrap().repairs;
    let after = sim.everything();
    let aside: Vec<_> = after.iter().filter(|(path, _)| path.starts_with(layout::DAMAGED)).map(|(_, it)| it).collect();
    for path in paths {
        assert!(repairs.iter().any(|one| one.thing == *path), "{path}: {repairs:?}");
        // The catalog holds nothing that is nowhere else.
        let was = before.get(*path).filter(|_| *path != layout::CATALOG);
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

fn everything_but(store: &Shared, missing: usize) {
    assert_eq!(store.scan(&ScanQuery::all(100)).unwrap().items.len(), 3 - missing);
    for log in ["s1", "s2"] {
        assert_eq!(store.read(&LogQuery::oldest_first(history(log), 100)).unwrap().items.len(), 20);
    }
    commit(store, batch().put(agent("eve"), Expect::Absent, body(7)).append(history("s1"), entries(1)));
    assert!(store.apply().unwrap());
}

#[test]
fn a_healthy_store_is_left_as_it_is() {
    let sim = Sim::default();
    drop(filled(&sim));
    let (store, _) = repaired(&sim, &[]);
    everything_but(&store, 0);
}

#[test]
fn a_record_that_cannot_be_read_is_moved_aside_and_not_listed_any_more() {
    for damage in [
        (&|bytes: &mut Vec<u8>| bytes[70] ^= 1) as &dyn Fn(&mut Vec<u8>),
        &|bytes| bytes.truncate(40),
        &|bytes| bytes.clear(),
        &|bytes| *bytes = String::from_utf8_lossy(bytes).replace("some", "other").into_bytes(),
    ] {
        let sim = Sim::default();
        drop(filled(&sim));
        sim.tamper("agents/ada.json", damage);
        let damaged = sim.everything()["agents/ada.json"].clone();
        let (store, repairs) = repaired(&sim, &["agents/ada.json"]);
        let aside = repairs[0].aside.as_deref().unwrap();
        assert_eq!(sim.everything()[aside], damaged);
        assert_eq!(store.get(&[agent("ada")]).unwrap(), [None]);
        everything_but(&store, 1);
    }
}

#[test]
fn a_record_whose_file_is_missing_is_not_listed_any_more() {
    let sim = Sim::default();
    drop(filled(&sim));
    sim.delete("agents/ada.json");
    let (store, repairs) = repaired(&sim, &["agents/ada.json"]);
    assert_eq!(repairs[0].aside, None);
    everything_but(&store, 1);
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
fn a_damaged_feed_is_a_gap_for_whoever_follows_it() {
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
    assert!(store.apply().unwrap());
    let Changes::Gap { newest } = open(&sim).changes(None, 9).unwrap() else { panic!("it is remembered") };
    commit(&store, batch().put(agent("zoe"), Expect::Any, body(9)));
    assert!(store.apply().unwrap());
    let Changes::Page(page) = open(&sim).changes(Some(&newest), 9).unwrap() else { panic!("a gap") };
    assert_eq!(page.changes.len(), 1);
}

#[test]
fn a_damaged_journal_is_gone_on_from_without_what_cannot_be_read() {
    let sim = Sim::default();
    let store = filled(&sim);
    // Only the journal has these yet; one of them is damaged.
    let mut ends = Vec::new();
    for n in 0..4 {
        commit(&store, batch().put(agent("ada"), Expect::Any, body(10 + n)));
        ends.push(store.state().position.offset as usize);
    }
    drop(store);
    sim.tamper("journal/segment-0", |bytes| bytes[ends[1] + 30] ^= 1);
    let (store, repairs) = repaired(&sim, &["journal/segment-0"]);
    assert!(repairs[0].what.ends_with("without 1 groups"), "{repairs:?}");
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
        assert!(store.apply().unwrap());
        let last = store.state().last_seq;
        drop(store);
        sim.tamper("journal/segment-0", damage);
        assert_eq!(open(&sim).commit(vec![batch()]).unwrap_err().code(), "corrupt");
        let (store, _) = repaired(&sim, &["journal/segment-0"]);
        assert_eq!(store.get(&[agent("bob")]).unwrap()[0].as_ref().unwrap().body, body(5));
        assert!(store.state().last_seq >= last, "numbers are never used again");
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
