//! Intact files in the places of others: their content is never taken for what should be there.

use nofx_core::{Expect, LogKey, LogQuery, NewEntry, Timestamp};
use nofx_journal::sim::Sim;

use super::damage::{agent, batch, body, commit, filled, history, open, slashed};
use crate::layout;
use crate::store::OpenFolder;

fn spoken(count: u64, from: u64) -> Vec<NewEntry> {
    (from..from + count).map(|n| NewEntry { at: Timestamp::from_millis(n as i64), body: body(n) }).collect()
}

/// A store in which each of these logs has several entries.
fn with_logs(sim: &Sim) -> OpenFolder {
    let store = filled(sim);
    let logs = [("as-long", 20, 500), ("longer", 90, 100), ("shorter", 7, 300), ("long-lines", 20, 1_000_000_000)];
    for (id, count, from) in logs {
        commit(&store, batch().append(history(id), spoken(count, from)));
    }
    for (id, count, from) in [("sealed-longer", 90, 0), ("sealed-as-long", 20, 500)] {
        commit(&store, batch().append(history(id), spoken(count, from)));
        commit(&store, batch().seal(history(id)));
    }
    store.apply().unwrap();
    store
}

fn swap(sim: &Sim, one: &str, other: &str) {
    let all = sim.everything();
    sim.tamper(one, |bytes| bytes.clone_from(&all[other]));
    sim.tamper(other, |bytes| bytes.clone_from(&all[one]));
}

fn all_of(store: &OpenFolder, log: &LogKey) -> nofx_core::Result<usize> {
    Ok(store.read(&LogQuery::oldest_first(log.clone(), 1000))?.items.len())
}

#[test]
fn a_whole_history_in_the_place_of_another_is_not_taken_for_it() {
    for other in ["as-long", "longer", "shorter", "long-lines"] {
        let sim = Sim::default();
        let store = with_logs(&sim);
        let paths = ["s1", other].map(|id| format!("sessions/active/{id}/history.jsonl"));
        let lengths = [history("s1"), history(other)].map(|log| all_of(&store, &log).unwrap());
        swap(&sim, &paths[0], &paths[1]);
        let swapped = sim.everything();
        for store in [&store, &open(&sim)] {
            for (id, path) in ["s1", other].iter().zip(&paths) {
                for query in [LogQuery::oldest_first(history(id), 3), LogQuery::newest_first(history(id), 3)] {
                    let error = store.read(&query).unwrap_err();
                    let text = slashed(&error);
                    let names = [format!("history/{id}"), path.clone()];
                    assert!(error.code() == "corrupt" && names.iter().all(|name| text.contains(name)), "{error}");
                }
                assert!(store.check().unwrap().iter().any(|one| slashed(one.path.display()) == *path));
            }
            assert!(all_of(store, &history("s2")).is_ok());
        }
        // A new entry goes into neither file, and begins where the log ended.
        for id in ["s1", other] {
            commit(&store, batch().append(history(id), spoken(1, 9)));
        }
        commit(&store, batch().put(agent("eve"), Expect::Any, body(1)));
        assert_eq!(store.apply().unwrap_err().code(), "corrupt");
        assert!(sim.everything().contains_key("agents/eve.json"));
        for path in &paths {
            assert_eq!(sim.everything()[path], swapped[path]);
        }
        for (id, length) in ["s1", other].iter().zip(lengths) {
            let last = LogQuery::newest_first(history(id), 1);
            assert_eq!(open(&sim).read(&last).unwrap().items[0].position, length as u64);
        }
        swap(&sim, &paths[0], &paths[1]);
        store.apply().unwrap();
        for (id, length) in ["s1", other].iter().zip(lengths) {
            assert_eq!(all_of(&open(&sim), &history(id)).unwrap(), length + 1);
        }
    }
}

#[test]
fn a_whole_archive_in_the_place_of_another_is_not_taken_for_it() {
    for other in ["sealed-longer", "sealed-as-long"] {
        let sim = Sim::default();
        let store = with_logs(&sim);
        let paths = ["s2", other].map(|id| format!("sessions/archived/{id}/history.jsonl.zst"));
        swap(&sim, &paths[0], &paths[1]);
        for store in [&store, &open(&sim)] {
            for id in ["s2", other] {
                let error = all_of(store, &history(id)).unwrap_err();
                assert!(error.code() == "corrupt" && error.to_string().contains(&format!("history/{id}")), "{error}");
            }
        }
        swap(&sim, &paths[0], &paths[1]);
        assert_eq!(all_of(&store, &history("s2")).unwrap(), 20);
    }
}

#[test]
fn removing_a_log_does_not_remove_the_file_of_another() {
    let sim = Sim::default();
    let store = with_logs(&sim);
    let paths = ["s1", "longer"].map(|id| format!("sessions/active/{id}/history.jsonl"));
    swap(&sim, &paths[0], &paths[1]);
    let foreign = sim.everything()[&paths[0]].clone();
    commit(&store, batch().remove(history("s1")));
    store.apply().unwrap();
    let after = sim.everything();
    assert!(after.iter().any(|(path, bytes)| path.starts_with(layout::DAMAGED) && *bytes == foreign));
}

#[test]
fn a_foreign_file_is_only_moved_aside_on_demand() {
    let sim = Sim::default();
    drop(with_logs(&sim));
    let paths = ["s1", "longer"].map(|id| format!("sessions/active/{id}/history.jsonl"));
    swap(&sim, &paths[0], &paths[1]);
    let swapped = sim.everything();
    let store = open(&sim);
    commit(&store, batch().append(history("s1"), spoken(1, 9)));
    let left = store.repair(false).unwrap();
    assert_eq!(left.losses.iter().map(|loss| &loss.thing).collect::<Vec<_>>(), [&paths[1], &paths[0]], "{left:?}");
    assert_eq!(sim.everything()[&paths[0]], swapped[&paths[0]]);
    let given_up = store.repair(true).unwrap();
    assert!(given_up.losses.is_empty() && given_up.repairs.len() == 2, "{given_up:?}");
    let after = sim.everything();
    for path in &paths {
        let is_aside = |(at, bytes): (&String, &Vec<u8>)| at.starts_with(layout::DAMAGED) && *bytes == swapped[path];
        assert!(after.iter().any(is_aside), "{path}");
    }
    // The log can be appended to.
    let last = open(&sim).read(&LogQuery::newest_first(history("s1"), 1)).unwrap();
    assert_eq!((last.items[0].position, &last.items[0].body), (20, &body(9)));
}

#[test]
fn a_document_in_the_place_of_another_is_not_taken_for_it() {
    let sim = Sim::default();
    let store = filled(&sim);
    swap(&sim, "agents/ada.json", "agents/bob.json");
    for store in [&store, &open(&sim)] {
        for id in ["ada", "bob"] {
            let error = store.get(&[agent(id)]).unwrap_err();
            assert!(error.code() == "corrupt" && error.to_string().contains(&format!("agent/{id}")), "{error}");
        }
    }
    // Even without a catalog.
    sim.delete(layout::CATALOG);
    let store = open(&sim);
    assert_eq!(store.get(&[agent("ada")]).unwrap_err().code(), "corrupt");
    commit(&store, batch().put(agent("ada"), Expect::Any, body(7)));
    store.apply().unwrap();
    assert!(sim.everything().keys().any(|path| path.starts_with(layout::DAMAGED)));
}
