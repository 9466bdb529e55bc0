//! Migrating into a store that others use concurrently.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use nofx::{Body, Kind, LogKey, NewEntry, Timestamp};

use crate::backends::{dumps, stores};
use crate::kills::{busy, migrate};
use crate::program::{Place, run};

#[test]
fn two_migrations_into_one_store_at_once_do_not_double_anything() {
    let place = Place::new();
    busy(&place);
    run(&mut migrate(&place, "redb:alone.redb")).done();
    let expected = dumps(&place, "redb:alone.redb");
    for store in stores(&place, "both") {
        let start =
            || migrate(&place, &store).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        for child in [start(), start()] {
            let output = child.wait_with_output().expect("it ends");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => {}
                Some(26) => assert!(told.contains("is locked by"), "{told}"),
                Some(1) => assert!(told.contains("another migration"), "{told}"),
                _ => panic!("{store}: {output:?}"),
            }
        }
        run(&mut migrate(&place, &store)).done();
        assert!(dumps(&place, &store) == expected, "{store}");
    }
}

#[test]
fn a_store_in_use_loses_nothing_while_something_is_migrated_into_it() {
    let place = Place::new();
    busy(&place);
    for store in stores(&place, "used") {
        let here =
            if store.contains('/') { store.clone() } else { store.replace(':', &format!(":{}/", place.shown(""))) };
        let location = here.parse().expect("a location");
        let log = LogKey::new(Kind::of("tasks"), "own").expect("a key");
        let done = &AtomicBool::new(false);
        let (begun, has_begun) = mpsc::channel();
        let (location, log) = (&location, &log);
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let store = nofx::open(location).await.expect("a store");
                    let mut number = 0;
                    while !done.load(Ordering::SeqCst) {
                        let body = Body::parse(&format!("{{\"number\":{number}}}")).expect("JSON");
                        let entry = NewEntry { at: Timestamp::from_millis(number), body };
                        match store.commit(store.batch().append(log.clone(), vec![entry])).await {
                            Ok(_) => number += 1,
                            // The other program did not release the store in time; this one may try again.
                            Err(error) => assert_eq!(error.code(), "locked", "{error}"),
                        }
                        match store.head(log).await {
                            Ok(head) => assert_eq!(head.length, number as u64, "what was acknowledged is seen"),
                            Err(error) => assert_eq!(error.code(), "locked", "{error}"),
                        }
                        _ = begun.send(());
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    store.close().await.expect("closed");
                    number
                })
            });
            has_begun.recv().expect("the writer did not give up");
            let run = run(&mut migrate(&place, &store));
            done.store(true, Ordering::SeqCst);
            let written = writer.join().expect("the writer ends");
            println!("{store}: {written} entries written concurrently; {}", run.out.lines().last().unwrap_or_default());
            assert!(run.done().out.contains("verified: the target has everything"));
            written
        });
        let full = &dumps(&place, &store)[1];
        assert!(
            full.contains(&format!("{{\"log\":\"tasks\",\"id\":\"own\",\"state\":\"open\",\"length\":{written}}}")),
            "{store}"
        );
        assert!(run(&mut migrate(&place, &store)).done().out.contains("; 0 commits"), "{store}");
        place.run(&format!("doctor --store {store}")).done();
    }
}
