//! A journal that is damaged in its middle: what is around the damage can be read, and nothing is missing silently.

use nofx_core::{Changes, Expect, LogQuery, RecordKey, Result, ScanQuery, kind};
use nofx_journal::sim::Sim;

use super::damage::{agent, batch, body, commit, entries, history, open, slashed};
use crate::check::Severity;
use crate::layout;
use crate::store::OpenFolder;

const SEGMENT: &str = "journal/segment-0";

/// A store that was killed before the files held the last four groups. Returns where each group begins, and the end.
fn killed() -> (Sim, [usize; 5]) {
    let sim = Sim::default();
    let store = open(&sim);
    commit(&store, batch().put(agent("ada"), Expect::Any, body(1)).append(history("s1"), entries(3)));
    commit(&store, batch().put(agent("old"), Expect::Any, body(1)).append(history("other"), entries(3)));
    store.apply().unwrap();
    let end = || store.position().offset as usize;
    let mut places = [end(); 5];
    let groups = [
        batch().append(history("s1"), entries(2)),
        batch()
            .put(agent("ada"), Expect::Any, body(2))
            .put(agent("bob"), Expect::Any, body(1))
            .append(history("s1"), entries(2)),
        batch().append(history("s1"), entries(2)).put(agent("eve"), Expect::Any, body(1)),
        batch().append(history("s2"), entries(2)).put(agent("bob"), Expect::Any, body(2)),
    ];
    for (at, group) in groups.into_iter().enumerate() {
        commit(&store, group);
        places[at + 1] = end();
    }
    (sim, places)
}

/// Returns the number in a record, zero if there is none, or `None` if its state is unknown.
fn number(store: &OpenFolder, id: &str) -> Option<u64> {
    match store.get(&[agent(id)]) {
        Ok(found) => Some(found[0].as_ref().map_or(0, |record| (0..9).find(|n| record.body == body(*n)).unwrap())),
        Err(error) => {
            assert_eq!(error.code(), "corrupt", "{error}");
            assert!(slashed(&error).contains(SEGMENT), "{error}");
            None
        }
    }
}

/// Returns the readable positions of a log, the unreadable ones, and whether its end is known.
fn positions(store: &OpenFolder, id: &str) -> (Vec<u64>, Vec<u64>, bool) {
    let (mut whole, mut broken, mut from) = (Vec::new(), Vec::new(), 0);
    loop {
        let length = store.heads(&[history(id)]).map_or(0, |heads| heads[0].length);
        match store.read(&LogQuery::oldest_first(history(id), 100).within(from..u64::MAX)) {
            Ok(page) => {
                whole.extend(page.items.iter().map(|entry| entry.position));
                if !page.more {
                    return (whole, broken, true);
                }
                from = whole.last().unwrap() + 1;
            }
            Err(error) => {
                assert_eq!(error.code(), "corrupt", "{error}");
                if from >= length {
                    return (whole, broken, false);
                }
                broken.push(from);
                from += 1;
            }
        }
    }
}

/// Reads all pages of the list of records.
fn list(store: &OpenFolder) -> (usize, Result<()>) {
    let (mut query, mut count) = (ScanQuery::of(kind::AGENT, 1), 0);
    loop {
        match store.scan(&query) {
            Ok(page) => {
                count += page.items.len();
                query.after = page.items.last().map(|record| record.key.clone()).or(query.after);
                if !page.more {
                    return (count, Ok(()));
                }
            }
            Err(error) => return (count, Err(error)),
        }
    }
}

#[test]
fn a_flip_in_the_middle_of_the_journal_hides_the_group_that_it_hit() {
    let (sim, places) = killed();
    let whole = sim.everything();
    let all = open(&sim);
    assert_eq!(["ada", "bob", "eve", "old", "nil"].map(|id| number(&all, id)), [2, 2, 1, 1, 0].map(Some));
    assert_eq!(positions(&all, "s1").0, (0..9).collect::<Vec<_>>());
    for at in places[1]..places[2] {
        sim.replace(SEGMENT, whole[SEGMENT].clone());
        sim.replace(layout::TIP, whole[layout::TIP].clone());
        sim.tamper(SEGMENT, |bytes| bytes[at] ^= 4);
        let store = open(&sim);
        // Items of the damaged group are known if a later group changed them; nothing else is reported for them.
        let found = ["ada", "bob", "eve", "old", "nil"].map(|id| number(&store, id));
        assert_eq!(found, [None, Some(2), Some(1), Some(1), Some(0)], "byte {at}");
        assert_eq!(positions(&store, "other"), ((0..3).collect(), vec![], true), "byte {at}");
        assert_eq!(positions(&store, "s1"), (vec![0, 1, 2, 3, 4, 7, 8], vec![5, 6], true), "byte {at}");
        assert_eq!(positions(&store, "s2"), (vec![0, 1], vec![], true), "byte {at}");
        let error = list(&store).1.unwrap_err();
        assert!(error.code() == "corrupt" && slashed(&error).contains(SEGMENT), "{error}");
        let Ok(Changes::Page(page)) = store.changes(None, 100) else { panic!("byte {at}") };
        assert_eq!(store.changes(Some(&page.next), 100).unwrap_err().code(), "corrupt");
        // The damage is not overwritten.
        let before = sim.everything()[SEGMENT].clone();
        assert_eq!(store.commit(vec![batch().append(history("s2"), entries(1))]).unwrap_err().code(), "corrupt");
        _ = store.apply();
        assert!(sim.everything()[SEGMENT] == before, "byte {at}");
        let found = store.check().unwrap();
        assert!(
            found.iter().any(|one| one.severity == Severity::Damage && slashed(&one.what).contains(SEGMENT)),
            "{found:?}"
        );
    }
    // A repair gives up only that group.
    let store = open(&sim);
    store.repair(true).unwrap();
    let other = open(&sim);
    for store in [&store, &other] {
        assert_eq!(["ada", "bob", "eve", "old"].map(|id| number(store, id)), [1, 2, 1, 1].map(Some));
        assert_eq!(positions(store, "s1"), (vec![0, 1, 2, 3, 4, 7, 8], vec![5, 6], true));
        assert_eq!(positions(store, "s2").0, [0, 1]);
        assert!(list(store).1.is_ok());
    }
    for store in [&store, &other] {
        commit(store, batch().append(history("s1"), entries(1)).put(agent("ada"), Expect::Any, body(3)));
        store.apply().unwrap();
        assert_eq!(number(store, "ada"), Some(3));
    }
    assert_eq!(positions(&open(&sim), "s1"), (vec![0, 1, 2, 3, 4, 7, 8, 9, 10], vec![5, 6], true));
}

#[test]
fn a_flip_in_the_newest_group_is_reported_where_the_tip_names_it() {
    let (sim, places) = killed();
    let whole = sim.everything();
    for at in places[3]..places[4] {
        for has_tip in [true, false] {
            sim.replace(SEGMENT, whole[SEGMENT].clone());
            sim.replace(layout::TIP, if has_tip { whole[layout::TIP].clone() } else { Vec::new() });
            sim.tamper(SEGMENT, |bytes| bytes[at] ^= 4);
            let store = open(&sim);
            let found = ["ada", "bob", "eve", "old"].map(|id| number(&store, id));
            // With nothing to prove it, the frame may as well be one that was never acknowledged.
            let bob = if has_tip { None } else { Some(1) };
            assert_eq!(found, [Some(2), bob, Some(1), Some(1)], "byte {at}, tip {has_tip}");
            assert_eq!(positions(&store, "s1").0, (0..9).collect::<Vec<_>>());
            assert_eq!(positions(&store, "s2"), (vec![], vec![], !has_tip), "byte {at}");
            let written = store.commit(vec![batch().append(history("s1"), entries(1))]);
            assert_eq!(written.is_ok(), !has_tip, "{written:?}");
        }
    }
}

#[test]
fn a_flip_in_one_of_several_segments_hides_no_other() {
    let sim = Sim::default();
    let options = crate::Options { segment_bytes: 2048, ..super::damage::options() };
    let open =
        || OpenFolder::open(std::sync::Arc::new(sim.clone()), std::path::Path::new("store"), options.clone()).unwrap();
    let store = open();
    let key = |n: u64| RecordKey::new(kind::AGENT, format!("{n:02}{n:02}")).unwrap();
    let mut places = Vec::new();
    for n in 0..40 {
        places.push((store.segment_path().clone(), store.position().offset));
        commit(&store, batch().put(key(n), Expect::Any, body(n)));
        if places.last().unwrap().0 != store.segment_path() {
            *places.last_mut().unwrap() = (store.segment_path().clone(), 512);
        }
    }
    assert!(places.first().unwrap().0 != places.last().unwrap().0);
    drop(store);
    let whole = sim.everything();
    for (hit, (path, offset)) in places.iter().enumerate() {
        let path = &slashed(path.display());
        sim.tamper(path, |bytes| bytes[*offset as usize + 40] ^= 1);
        let store = open();
        for n in 0..40 {
            let found = store.get(&[key(n)]).map(|found| found[0].is_some());
            assert_eq!(found.is_err(), n == hit as u64, "group {hit} of `{path}`, record {n}: {found:?}");
            assert!(found.unwrap_or(true), "group {hit}, record {n} is missing silently");
        }
        sim.tamper(path, |bytes| bytes.clone_from(&whole[path]));
    }
    // The newest generation has no header, and no tip mentions it: the end of the previous generation and its own
    // frames do.
    let (newest, first) = (places.last().unwrap().0.clone(), places.len() - 1);
    let first = (0..=first).find(|at| places[*at].0 == newest).unwrap() as u64;
    for has_tip in [true, false] {
        if !has_tip {
            sim.delete(layout::TIP);
        }
        sim.tamper(newest.to_str().unwrap(), |bytes| bytes[8] ^= 1);
        let store = open();
        for n in 0..40 {
            let found = store.get(&[key(n)]).map(|found| found[0].is_some());
            assert_eq!(found.ok(), (n < first).then_some(true), "record {n}, tip {has_tip}");
        }
        assert_eq!(store.commit(vec![batch()]).unwrap_err().code(), "corrupt", "tip {has_tip}");
        sim.tamper(newest.to_str().unwrap(), |bytes| bytes[8] ^= 1);
    }
}

#[test]
fn a_log_that_was_sealed_after_a_damaged_group_is_not_reported_at_its_old_length() {
    let sim = Sim::default();
    let store = open(&sim);
    commit(&store, batch().append(history("s1"), entries(3)));
    store.apply().unwrap();
    let at = store.position().offset as usize + 40;
    commit(&store, batch().append(history("s1"), entries(2)));
    commit(&store, batch().seal(history("s1")).append(history("s2"), entries(1)));
    assert_eq!(store.heads(&[history("s1")]).unwrap()[0].length, 5);
    sim.tamper(SEGMENT, |bytes| bytes[at] ^= 4);
    let store = open(&sim);
    assert_eq!(store.heads(&[history("s1")]).unwrap_err().code(), "corrupt");
    assert_eq!(store.heads(&[history("s2")]).unwrap()[0].length, 1);
    assert_eq!(positions(&store, "s1").0, [0, 1, 2]);
}

#[test]
fn damage_in_what_the_files_hold_hides_nothing() {
    let (sim, places) = killed();
    let store = open(&sim);
    store.apply().unwrap();
    drop(store);
    let whole = sim.everything();
    for at in (512..places[4]).step_by(7) {
        sim.replace(SEGMENT, whole[SEGMENT].clone());
        sim.tamper(SEGMENT, |bytes| bytes[at] ^= 4);
        let store = open(&sim);
        let found = ["ada", "bob", "eve", "old", "nil"].map(|id| number(&store, id));
        assert_eq!(found, [2, 2, 1, 1, 0].map(Some), "byte {at}");
        assert!(list(&store).1.is_ok(), "byte {at}");
        assert_eq!(positions(&store, "s1"), ((0..9).collect(), vec![], true), "byte {at}");
        assert_eq!(positions(&store, "none"), (vec![], vec![], true), "byte {at}");
    }
}

#[test]
fn a_flip_in_the_header_of_a_segment_is_reported_for_all_that_it_held() {
    let (sim, _) = killed();
    let whole = sim.everything();
    for at in 0..72 {
        sim.replace(SEGMENT, whole[SEGMENT].clone());
        sim.replace(layout::TIP, whole[layout::TIP].clone());
        sim.tamper(SEGMENT, |bytes| bytes[at] ^= 4);
        let found = OpenFolder::open(std::sync::Arc::new(sim.clone()), "store".as_ref(), super::damage::options());
        let store = match found {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(error.code(), "corrupt", "byte {at}: {error}");
                continue;
            }
        };
        for id in ["ada", "bob", "eve"] {
            assert_eq!(store.get(&[agent(id)]).unwrap_err().code(), "corrupt", "byte {at}, {id}");
        }
        assert_eq!(number(&store, "nil"), Some(0), "byte {at}");
        assert_eq!(list(&store).1.unwrap_err().code(), "corrupt", "byte {at}");
        assert_eq!(store.commit(vec![batch()]).unwrap_err().code(), "corrupt", "byte {at}");
    }
}

#[test]
fn what_a_journal_held_is_never_taken_for_what_the_files_still_have() {
    let (sim, places) = killed();
    let whole = sim.everything();
    let newest = [("ada", 2), ("bob", 2), ("eve", 1), ("old", 1)];
    let cuts =
        [0, 1, 40, places[0] - 1].into_iter().chain(places.windows(2).flat_map(|at| [at[0], (at[0] + at[1]) / 2]));
    let mut damages: Vec<Option<usize>> = cuts.map(Some).collect();
    // The configuration names a different store than the journal.
    damages.push(None);
    for damage in damages {
        for path in [SEGMENT, layout::TIP, layout::CONFIG] {
            sim.replace(path, whole[path].clone());
        }
        match damage {
            Some(cut) => sim.tamper(SEGMENT, |bytes| bytes.truncate(cut)),
            None => sim.tamper(layout::CONFIG, |bytes| {
                let at = String::from_utf8_lossy(bytes).find("\"store\"").unwrap() + 12;
                bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            }),
        }
        let store = open(&sim);
        for (id, newest) in newest {
            match store.get(&[agent(id)]) {
                Ok(found) => {
                    assert_eq!(found[0].as_ref().map(|found| &found.body), Some(&body(newest)), "{id}, {damage:?}")
                }
                Err(error) => assert_eq!(error.code(), "corrupt", "{id}, {damage:?}: {error}"),
            }
        }
        assert_eq!(list(&store).1.unwrap_err().code(), "corrupt", "{damage:?}");
        assert_eq!(store.commit(vec![batch()]).unwrap_err().code(), "corrupt", "{damage:?}");
        assert!(store.check().unwrap().iter().any(|one| one.severity == Severity::Damage), "{damage:?}");
    }
}
