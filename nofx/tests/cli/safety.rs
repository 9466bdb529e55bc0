//! Finds damage, and copies a store in use.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use nofx::{Kind, LogKey, NewEntry, Timestamp};

use crate::program::Place;
use crate::reading::with_sessions;

#[test]
fn damage_is_listed_and_nothing_else_is() {
    let place = with_sessions();
    place.run("migrate --from redb:x.redb --to fs:kept").done();
    for store in ["redb:x.redb", "fs:kept"] {
        let healthy = place.run(&format!("doctor --store {store}")).done().out;
        assert!(healthy.starts_with("read ") && healthy.ends_with(" entries: nothing is wrong\n"), "{healthy}");
    }
    let damaged = place.tree("kept").into_iter().find_map(|(path, bytes)| {
        let bytes = bytes?;
        let text = String::from_utf8(bytes).ok()?;
        (path.to_string_lossy().contains("harbour") && text.contains("login form")).then_some((path, text))
    });
    let (path, text) = damaged.expect("a history");
    fs::write(&path, text.replacen("login form", "logout form", 1)).unwrap();
    let before = place.tree("kept/sessions");
    let run = place.run("doctor --store fs:kept");
    assert_eq!((run.code, run.err.lines().next()), (27, Some("error: something in `fs:kept` is damaged")), "{run:?}");
    assert!(run.out.starts_with("damaged  ") && run.out.contains("harbour"), "{run:?}");
    let json = place.run("doctor --store fs:kept --json");
    assert!(json.code == 27 && json.out.contains("\"damage\":true") && !json.out.contains("\"damaged\":0"), "{json:?}");
    assert!(place.tree("kept/sessions") == before);
    let shown = place.run("show one-h --store fs:kept");
    assert_eq!(shown.code, 27, "{shown:?}");
    place.run("show one-l --store fs:kept").done();
}

#[test]
fn a_backup_of_a_store_in_use_is_of_one_moment() {
    let place = with_sessions();
    let done = AtomicBool::new(false);
    let location = format!("redb:{}", place.shown("x.redb")).parse().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = nofx::open(&location).await.unwrap();
                let log = |name: &str| LogKey::new(Kind::of("tasks"), name).unwrap();
                let mut number = 0;
                while !done.load(Ordering::SeqCst) {
                    let entry = || NewEntry {
                        at: Timestamp::from_millis(number),
                        body: nofx::Body::parse(&format!("{{\"number\":{number}}}")).unwrap(),
                    };
                    let batch = store.batch().append(log("left"), vec![entry()]).append(log("right"), vec![entry()]);
                    store.commit(batch).await.unwrap();
                    number += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                store.close().await.unwrap();
            });
        });
        for to in ["redb:copy.redb", "fs:copy"] {
            place.run(&format!("backup --to {to} --store redb:x.redb")).done();
        }
        done.store(true, Ordering::SeqCst);
    });
    for copy in ["redb:copy.redb", "fs:copy"] {
        let dump = place.run(&format!("dump --full --store {copy}")).done().out;
        let length = |name: &str| {
            let log = format!("{{\"log\":\"tasks\",\"id\":\"{name}\",");
            dump.lines().find_map(|line| line.strip_prefix(&log)).map(str::to_owned)
        };
        assert_eq!(length("left"), length("right"), "both or neither");
        place.run(&format!("doctor --store {copy}")).done();
    }
    let full = |store: &str| place.run(&format!("dump --full --store {store}")).done().out;
    place.run("backup --to redb:later.redb --store redb:x.redb").done();
    assert_eq!(full("redb:later.redb"), full("redb:x.redb"));
    let again = place.run("backup --to redb:later.redb --store redb:x.redb");
    assert_eq!(again.code, 30, "{again:?}");
    place.run("backup --to redb:./x.redb --store redb:x.redb").failed(2, "`redb:./x.redb` is the store itself");
}

#[test]
fn nothing_that_failed_is_left_of_a_backup() {
    let place = Place::new();
    place.run("backup --to redb:y.redb --store redb:no.redb").failed(29, "no NofX store at `redb:no.redb`");
    assert_eq!(place.tree(""), []);
}
