//! A store that is moved, removed or replaced while another process has it open: nothing is acknowledged and lost.

use std::{fs, io};

use crate::host::Host;
use crate::program::{Place, dump_of, run};

/// A place, and the name of a store in it.
fn place(store: &str) -> (Place, String) {
    let place = Place::new();
    let store = place.located(store);
    (place, store)
}

/// A store with the session `s` of three messages.
fn filled(place: &Place, store: &str) {
    place.write("x.ndjson", dump_of("s", (0..3).map(|number| format!("words {number}"))));
    place.run(&format!("load x.ndjson --store {store}")).done();
}

/// Copies a folder as `cp -r` does.
fn copy(place: &Place, from: &str, to: &str) {
    for (path, bytes) in [(place.path(from), None)].into_iter().chain(place.tree(from)) {
        let name = path.strip_prefix(place.path(from)).expect("below it");
        let target = place.path(to).join(name);
        match bytes {
            None => fs::create_dir_all(target).expect("it works"),
            Some(bytes) => fs::write(target, bytes).expect("it works"),
        }
    }
}

/// What happens to the folder of a store while a host has it open.
const FATES: [&str; 5] = ["moved", "removed", "older copy", "older copy in place", "another store"];

/// Does that to the folder, unless the system refuses it while a file in it is open; `older` is an earlier copy of the
/// folder, `other` another store.
fn happens(place: &Place, fate: &str) -> io::Result<()> {
    let aside = || fs::rename(place.path("store"), place.path("aside"));
    match fate {
        "moved" => aside()?,
        "removed" => fs::remove_dir_all(place.path("store"))?,
        "older copy" => {
            aside()?;
            copy(place, "older", "store");
        }
        "older copy in place" => {
            // As `rsync -a --delete` does it.
            for (path, _) in place.tree("store").into_iter().rev() {
                let is_older =
                    place.path("older").join(path.strip_prefix(place.path("store")).expect("below it")).exists();
                match path.is_dir() {
                    true if !is_older => fs::remove_dir_all(path)?,
                    false if !is_older => fs::remove_file(path)?,
                    _ => {}
                }
            }
            for (path, bytes) in place.tree("older") {
                let target = place.path("store").join(path.strip_prefix(place.path("older")).expect("below it"));
                match bytes {
                    None => fs::create_dir_all(&target).expect("it works"),
                    Some(bytes) => {
                        let fresh = target.with_extension("fresh");
                        fs::write(&fresh, bytes).expect("it works");
                        fs::rename(fresh, &target)?;
                    }
                }
            }
        }
        "another store" => {
            aside()?;
            copy(place, "other", "store");
        }
        other => panic!("{other}"),
    }
    Ok(())
}

/// Returns whether the system lets a fate happen to a folder in which a file is open. Only Windows refuses that.
fn is_allowed(place: &Place, fate: &str) -> bool {
    let refused = happens(place, fate).err();
    assert!(refused.is_none() || cfg!(windows), "{fate}: {refused:?}");
    refused.is_none()
}

fn dump(place: &Place, store: &str) -> String {
    run(&mut place.command(["dump", "--full", "--store", store])).done().out
}

on_each_backend! {
    a_host_acknowledges_nothing_once_its_store_is_no_longer_its_own
    what_follows_a_session_shows_nothing_of_another_store
}

fn a_host_acknowledges_nothing_once_its_store_is_no_longer_its_own(store: &str) {
    for fate in FATES {
        let (what, (place, store)) = (fate, place(store));
        filled(&place, &store);
        copy(&place, "store", "older");
        fs::rename(place.path("store"), place.path("kept")).expect("it works");
        filled(&place, &store);
        fs::rename(place.path("store"), place.path("other")).expect("it works");
        fs::rename(place.path("kept"), place.path("store")).expect("it works");

        let mut host = Host::start(&place, &store);
        let acknowledged = dump(&place, &store);
        assert!(acknowledged.contains("first"), "{what}");
        if !is_allowed(&place, fate) {
            let told = host.write("late");
            host.close();
            // The other two may have happened to some of the files before one was refused.
            if !["removed", "older copy in place"].contains(&fate) {
                assert_eq!(told, "done", "{what}: nothing has happened");
                assert!(dump(&place, &store).contains("late"), "{what}");
            }
            continue;
        }
        let before = match fate {
            "moved" | "removed" => None,
            _ => Some(dump(&place, &store)),
        };
        let told = host.write("late");
        let expected: &[&str] = match fate {
            "moved" | "removed" => &["gone"],
            "another store" => &["replaced"],
            _ => &["replaced", "gone"],
        };
        assert!(expected.contains(&&*told), "{what}: {told}");
        assert!(["gone", "replaced", "closed"].contains(&&*host.write("later")), "{what}: it stays so");
        host.close();
        // What is there now has everything that it had, and nothing from the host.
        match &before {
            Some(before) => {
                assert!(dump(&place, &store) == *before, "{what}");
                place.run(&format!("doctor --store {store}")).done();
                let mut next = Host::start(&place, &store);
                assert_eq!(next.write("next"), "done", "{what}");
                next.close();
                assert!(dump(&place, &store).contains("next"), "{what}");
            }
            None => assert!(!place.path("store").exists(), "{what}: nothing is made where the store was"),
        }
        // What was acknowledged is where the store was moved.
        if fate != "removed" && fate != "older copy in place" {
            fs::rename(place.path("store"), place.path("new")).ok();
            fs::rename(place.path("aside"), place.path("store")).expect("it works");
            assert!(dump(&place, &store) == acknowledged, "{what}: the store that was moved");
        }
    }
}

fn what_follows_a_session_shows_nothing_of_another_store(store: &str) {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    for fate in FATES {
        let (what, (place, store)) = (fate, place(store));
        filled(&place, &store);
        copy(&place, "store", "older");
        fs::rename(place.path("store"), place.path("kept")).expect("it works");
        filled(&place, &store);
        fs::rename(place.path("store"), place.path("other")).expect("it works");
        fs::rename(place.path("kept"), place.path("store")).expect("it works");
        Host::start(&place, &store).close();
        let mut command = place.command(["tail", "s", "-n", "1", "--follow", "--json", "--store", &store]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
        assert!(lines.next().is_some_and(|line| line.contains("first")), "{what}");
        let is_allowed = is_allowed(&place, fate);
        if is_allowed && !["moved", "removed"].contains(&fate) {
            let mut host = Host::start(&place, &store);
            assert_eq!(host.write("of another"), "done", "{what}");
            host.close();
        }
        // It continues with its own store, or ends and says why.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let ended = child.try_wait().expect("it is ours");
        _ = child.kill();
        let output = child.wait_with_output().expect("it ends");
        let rest: Vec<_> = lines.collect();
        assert!(!rest.iter().any(|line| line.contains("of another")), "{what}: {rest:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("panicked") && !told.contains("try again later"), "{what}: {told}");
        if let Some(ended) = ended {
            // Where only a part could be removed, what is left is a damaged store.
            let codes: &[_] = if is_allowed { &[31, 32] } else { &[27, 31, 32] };
            assert!(ended.code().is_some_and(|code| codes.contains(&code)), "{what}: {ended:?} {told}");
        }
    }
}
