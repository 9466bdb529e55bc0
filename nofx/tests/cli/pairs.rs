//! Copies from every backend to every backend, with everything that a store can contain.

use std::fs;

use nofx::migrate::{NoProgress, Options, copy, dump, dump_full, load, migrate};
use nofx::{Location, Store};

use crate::backends::{ODD, live_in, stores};
use crate::program::Place;

/// Returns both dumps of a store.
async fn dumps(store: &Store) -> [Vec<u8>; 2] {
    let (mut canonical, mut full) = (Vec::new(), Vec::new());
    dump(store, &mut canonical).await.expect("it can be dumped");
    dump_full(store, &mut full).await.expect("it can be dumped");
    [canonical, full]
}

/// Opens a new store of each backend.
async fn open_all(place: &Place, name: &str) -> Vec<(String, Store)> {
    let mut all = Vec::new();
    for store in stores(place, name).into_iter().chain(["memory:".to_owned()]) {
        let here =
            if store.contains("/") { store.clone() } else { store.replace(':', &format!(":{}/", place.shown(""))) };
        let location: Location = if store == "memory:" { store.parse() } else { here.parse() }.expect("a location");
        all.push((store, nofx::open(&location).await.expect("a store")));
    }
    all
}

#[test]
fn every_pair_of_backends_has_the_same_dumps_byte_for_byte() {
    let place = Place::new();
    let mut state = 1_u64;
    let noise = (0..1_100_000).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    place.write("work/.nofx/large.bin", noise.collect::<Vec<u8>>());
    let odd = fs::read(ODD).expect("a dump");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let mut pairs = 0;
        for (from, source) in open_all(&place, "source").await {
            load(&mut odd.as_slice(), &source).await.expect("loaded");
            migrate(&place.path("work"), &source, &Options::default(), &NoProgress).await.expect("migrated");
            live_in(&source).await;
            let expected = dumps(&source).await;
            let full = String::from_utf8_lossy(&expected[1]);
            for has in
                ["1e400", "\\udc", "\"state\":\"sealed\"", "\"record\":\"tombstone\"", "\"record\":\"history-shared\""]
            {
                assert!(full.contains(has), "{from} has no {has}");
            }
            for (to, target) in open_all(&place, &format!("from-{}", from.split(':').next().unwrap_or_default())).await
            {
                copy(&source, &target, &mut |_| {}).await.expect("copied");
                assert!(dumps(&target).await == expected, "{from} to {to}");
                target.close().await.expect("closed");
                pairs += 1;
            }
            if from == "memory:" {
                for (to, target) in open_all(&place, "loaded").await {
                    load(&mut expected[1].as_slice(), &target).await.expect("loaded");
                    assert!(dumps(&target).await == expected, "the dump of {from} loaded into {to}");
                    target.close().await.expect("closed");
                }
            }
        }
        assert_eq!(pairs, 16);
    });
}
