//! Locks that two processes get at once, as in many network and synced folders: detected, and refused loudly.

use std::sync::Arc;

use nofx_core::{Expect, LogQuery};
use nofx_journal::sim::Sim;

use super::damage::{agent, batch, body, commit, entries, history, open};

/// Two processes, one of which commits in the middle of the other's commit.
fn torn() -> (Sim, crate::store::OpenFolder, Arc<crate::store::OpenFolder>) {
    let sim = Sim::default();
    sim.set_faults(|faults| faults.lying_locks = true);
    let (late, early) = (open(&sim), Arc::new(open(&sim)));
    commit(&late, batch().append(history("s"), entries(3)));
    commit(&early, batch().append(history("s"), entries(3)));
    let other = early.clone();
    let meanwhile = move || commit(&other, batch().put(agent("ada"), Expect::Any, body(1)));
    sim.set_faults(|faults| faults.before_write = Some(("segment", Arc::new(meanwhile))));
    (sim, late, early)
}

#[test]
fn a_writer_that_was_overtaken_notices_and_writes_no_more() {
    let (_, late, _early) = torn();
    let error = late.commit(vec![batch().append(history("s"), entries(1))]).unwrap_err();
    assert_eq!(error.code(), "unknown", "{error:?}");
    assert!(format!("{error:?}").contains("locks do not work there"), "{error:?}");
    for _ in 0..2 {
        let error = late.commit(vec![batch().append(history("s"), entries(1))]).unwrap_err();
        assert!(error.to_string().contains("locks do not work there"), "{error}");
        // What the journal holds can be read.
        assert!(late.read(&LogQuery::oldest_first(history("s"), 9)).is_ok());
    }
}

#[test]
fn a_writer_whose_group_was_overwritten_notices_and_writes_no_more() {
    let (_, late, early) = torn();
    late.commit(vec![batch().append(history("s"), entries(1))]).unwrap_err();
    // It still has what it acknowledged, and applies it to the files; but the journal is not what it wrote.
    assert!(early.get(&[agent("ada")]).unwrap()[0].is_some());
    let error = early.commit(vec![batch().append(history("s"), entries(1))]).unwrap_err();
    assert!(error.to_string().contains("locks do not work there"), "{error}");
    early.apply().unwrap();
}

#[test]
fn a_store_opened_afterwards_is_read_and_not_written() {
    let (sim, late, early) = torn();
    late.commit(vec![batch().append(history("s"), entries(1))]).unwrap_err();
    drop((late, early));
    let third = open(&sim);
    assert!(third.read(&LogQuery::oldest_first(history("s"), 9)).is_ok());
    let error = third.commit(vec![batch()]).unwrap_err();
    assert_eq!(error.code(), "corrupt", "{error}");
    assert!(error.to_string().contains("two processes"), "{error}");
}
