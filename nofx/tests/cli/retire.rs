//! `nofx migrate --retire`: moves a legacy folder aside.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::legacy::CUT;
use crate::program::{LEGACY, Place, session};

#[test]
fn a_verified_folder_is_moved_aside_and_nothing_of_it_is_deleted() {
    let place = Place::new().with_legacy();
    place.write("work/.nofx/sessions/bad.json", CUT);
    let before = place.tree("work/.nofx");
    let migrate = "migrate --from work --to redb:work/.nofx/store/nofx.redb --retire";
    let strict = place.run(&format!("{migrate} --strict"));
    assert_eq!(strict.code, 4, "{strict:?}");
    assert!(!place.path("work/.nofx.retired").exists(), "what is damaged is not moved with --strict");
    let done = place.run(migrate).done();
    assert!(done.out.ends_with(".nofx.retired`\n"), "{}", done.out);
    let moved = |name: &str| -> Vec<_> {
        let tree = place.tree(name).into_iter();
        tree.filter_map(|(path, bytes)| Some((path.strip_prefix(place.path(name)).ok()?.to_owned(), bytes))).collect()
    };
    let old = before
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(place.path("work/.nofx")).map(Path::to_owned).unwrap_or(path), bytes));
    assert_eq!(moved("work/.nofx.retired"), old.collect::<Vec<_>>());
    assert!(place.path("work/.nofx/store/nofx.redb").exists());
    // The old extension keeps writing, and its files are moved beside those.
    place.write("work/.nofx/agents.json", LEGACY);
    place.run(migrate).done();
    assert!(place.path("work/.nofx.retired-2/agents.json").exists());
    for words in ["--from redb:work/.nofx/store/nofx.redb --to redb:x", "--from work --to redb:x --dry-run"] {
        let refused = place.run(&format!("migrate {words} --retire"));
        assert_eq!(refused.code, 2, "{refused:?}");
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_moved_stays_and_the_migration_is_still_reported() {
    use crate::bad_input::{allow, as_anybody};
    // First the folder that would get the new one, then the one that would lose its files.
    for locked in ["work", "work/.nofx"] {
        let place = Place::new().with_legacy();
        place.write("work/.nofx/sessions/s.json", session("s", "one"));
        allow(&place, "", 0o777);
        allow(&place, "work", 0o777);
        allow(&place, locked, 0o555);
        let before = place.tree("work");
        let run = as_anybody(&place, "migrate --from work --to redb:x.redb --retire --report r.json");
        assert_eq!(run.code, 24, "{run:?}");
        assert!(run.out.contains("verified: the target has everything") && run.out.contains("x.redb: "), "{run:?}");
        assert!(run.err.starts_with("error: everything is migrated, but `"), "{run:?}");
        assert!(run.err.contains("\nhint: nothing was moved: ") && run.err.lines().count() == 2, "{run:?}");
        assert!(place.path("r.json").exists());
        assert_eq!(place.tree("work"), before, "{locked}");
        allow(&place, locked, 0o777);
        place.run("migrate --from work --to redb:x.redb --retire").done();
        assert_eq!(place.tree("work/.nofx"), []);
        assert!(place.path("work/.nofx.retired/sessions/s.json").exists());
    }
}

#[cfg(unix)]
#[test]
fn a_folder_of_which_something_is_missing_is_not_moved() {
    use crate::bad_input::{allow, as_anybody};
    let place = Place::new().with_legacy();
    place.write("work/.nofx/sessions/secret.json", "{}");
    ["", "work", "work/.nofx"].iter().for_each(|folder| allow(&place, folder, 0o777));
    allow(&place, "work/.nofx/sessions/secret.json", 0o000);
    let run = as_anybody(&place, "migrate --from work --to redb:x.redb --retire");
    assert!(run.code == 3 && run.out.contains("MISSING") && run.out.contains("nothing was moved aside"), "{run:?}");
    assert!(place.path("work/.nofx/agents.json").exists() && !place.path("work/.nofx.retired").exists());
}

#[test]
fn what_is_written_while_the_folder_is_moved_is_migrated_too() {
    let place = Place::new().with_legacy();
    (0..20).for_each(|number| place.write(&format!("work/.nofx/sessions/old-{number}.json"), session("x", "y")));
    let is_done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        // The old extension keeps writing until its folder is gone. It replaces whole files.
        let writer = scope.spawn(|| {
            for number in 0.. {
                let id = format!("late-{number}");
                place.write("work/late.json", session(&id, "late"));
                let moved =
                    fs::rename(place.path("work/late.json"), place.path(&format!("work/.nofx/sessions/{id}.json")));
                if moved.is_err() || is_done.load(Ordering::SeqCst) {
                    return number + i32::from(moved.is_ok());
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            0
        });
        let run = place.run("migrate --from work --to redb:x.redb --retire");
        is_done.store(true, Ordering::SeqCst);
        run.done();
        writer.join().expect("the writer ends")
    });
    let dump = place.run("dump --store redb:x.redb").done().out;
    for number in 0..written {
        let id = format!("late-{number}");
        assert!(place.path(&format!("work/.nofx.retired/sessions/{id}.json")).exists(), "{id}");
        assert!(dump.contains(&format!("\"id\":\"{id}\"")), "{id} of {written}");
    }
    assert!(written > 0);
}
