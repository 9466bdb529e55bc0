//! The cost of an append, counted.

use std::path::Path;
use std::sync::Arc;

use nofx_core::{Batch, Body, Expect, LogKey, NewEntry, RecordKey, Sources, Timestamp, kind};
use nofx_journal::sim::Sim;

use crate::options::Options;
use crate::store::OpenFolder;

/// Appends messages of 500 bytes to several sessions in groups. Returns flushes and bytes for each.
fn cost(sessions: u64, group: u64) -> (f64, f64) {
    let sim = Sim::default();
    let options = Options { segment_bytes: 1 << 18, applies: false, ..Options::default() };
    let store = OpenFolder::open(Arc::new(sim.clone()), Path::new("store"), options).unwrap();
    let text = "x".repeat(490);
    let mut count = 0;
    let mut append = |groups: u64| {
        for _ in 0..groups {
            let batches = (0..group).map(|_| {
                count += 1;
                let log = LogKey::new(kind::HISTORY, format!("0198c0de-session-{}", count % sessions)).unwrap();
                let at = Timestamp::from_millis(1_757_341_277_345 + count as i64);
                let body = Body::trusted(format!("{{\"t\":\"{text}\"}}"));
                Batch::new(Sources::default().batch_id()).append(log, vec![NewEntry { at, body }])
            });
            store.commit(batches.collect()).unwrap();
            if store.unapplied_bytes() >= store.options.segment_bytes {
                store.apply().unwrap();
            }
        }
    };
    // Long enough that segments are reused.
    append(2000 / group);
    let before = sim.counts();
    append(4000 / group);
    let after = sim.counts();
    let messages = (4000 / group * group) as f64;
    ((after.0 - before.0) as f64 / messages, (after.1 - before.1) as f64 / messages)
}

/// A flush makes the disk write the renames before it, so otherwise each flush would wait for one.
#[test]
fn documents_are_all_flushed_before_the_first_gets_its_name() {
    const DOCUMENTS: u64 = 100;
    for at_once in [1, 16] {
        let sim = Sim::default();
        let options = Options { applies: false, at_once, ..Options::default() };
        let store = OpenFolder::open(Arc::new(sim.clone()), Path::new("store"), options).unwrap();
        let batch = Batch::new(Sources::default().batch_id());
        let batch = (0..DOCUMENTS).fold(batch, |batch, n| {
            batch.put(RecordKey::new(kind::AGENT, format!("a{n}")).unwrap(), Expect::Any, Body::trusted("{}"))
        });
        store.commit(vec![batch]).unwrap();
        sim.watch(|platter| {
            let named = platter.names().filter(|name| name.starts_with("agents/")).count() as u64;
            let is_begun = platter.names().any(|name| name.starts_with("agents/") && name.ends_with(".json"));
            assert!(!is_begun || named == DOCUMENTS, "one has its name while others are not written");
        });
        let before = sim.counts().0;
        store.apply().unwrap();
        sim.stop_watching();
        let flushes = sim.counts().0 - before;
        assert!((DOCUMENTS..DOCUMENTS + 8).contains(&flushes), "{flushes}");
        // All of them stay, whatever happens to what was not flushed.
        let left = Sim::holding(sim.platter().flushed()).everything();
        let whole = left.iter().filter(|(path, bytes)| path.starts_with("agents/") && bytes.ends_with(b"}\n"));
        assert_eq!(whole.count() as u64, DOCUMENTS);
    }
}

#[test]
fn an_append_is_one_flush_and_little_more_than_its_bytes_twice() {
    for (sessions, group) in [(1, 1), (16, 16), (200, 1)] {
        let (flushes, bytes) = cost(sessions, group);
        println!("{sessions} sessions in groups of {group}: {flushes:.3} flushes and {bytes:.0} bytes for 500");
        let most = 1.0 / group as f64 + if sessions > 100 { 1.2 } else { 0.15 };
        assert!(flushes < most, "{flushes}");
        assert!(bytes <= 2.0 * 500.0 + 400.0, "{bytes}");
    }
}
