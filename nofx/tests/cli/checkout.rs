//! Stores in a git checkout, which must not be committed, and which `git clean` must not delete.

use std::fs;
use std::path::Path;
use std::process::Command;

use nofx::Location;

use crate::program::{DUMP, Place, run};

fn git(folder: &Path, words: &str) -> String {
    let mut command = Command::new("git");
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.invalid"];
    command.args(identity).args(words.split(' ')).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().expect("there is git");
    assert!(output.status.success(), "{words}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A checkout with a committed file in `mine`, a worktree of it, and a dump.
fn checkout() -> Place {
    let place = Place::new();
    place.write("x.ndjson", DUMP);
    place.write("main/mine/notes.txt", "mine");
    place.write("main/mine/.gitignore", "*.tmp\n");
    let main = place.path("main");
    git(&main, "init -q .");
    git(&main, "add -A");
    git(&main, "commit -q -m mine");
    git(&main, "worktree add -q ../tree");
    place
}

#[track_caller]
fn is_kept_out(place: &Place, checkout: &str, store: &str) {
    let folder = place.path(checkout);
    assert_eq!(git(&folder, "status --porcelain"), "", "{store}");
    git(&folder, "add -A");
    assert_eq!(git(&folder, "diff --cached --name-only"), "", "{store}");
    git(&folder, "clean -q -f -d");
    let (_, path) = store.split_once(':').expect("a location");
    let path = folder.join(path.trim_start_matches("//"));
    assert!(
        path.exists() && fs::read(folder.join("mine/.gitignore")).is_ok_and(|bytes| bytes == b"*.tmp\n"),
        "{store}"
    );
}

#[test]
fn a_store_in_a_checkout_stays_out_of_commits_and_survives_a_clean() {
    let place = checkout();
    for checkout in ["main", "tree"] {
        for store in [
            "redb:.nofx/store/nofx.redb",
            "redb:mine/odd [name]!.redb",
            "redb:#x.redb",
            "fs:mine/store",
            "fs:made/store",
        ] {
            let folder = place.path(checkout);
            let mut command = place.command(["load", "../x.ndjson", "--store", store]);
            run(command.current_dir(&folder)).done();
            is_kept_out(&place, checkout, store);
            assert!(run(place.command(["dump", "--full", "--store", store]).current_dir(&folder)).done().out == DUMP);
        }
    }
    // All of it, and no temporary names.
    let exclude = fs::read_to_string(place.path("main/.git/info/exclude")).unwrap();
    assert!(!exclude.contains("making"), "{exclude}");
    assert_eq!(exclude.matches("/#x.redb\n").count(), 1, "{exclude}");
}

#[tokio::test]
async fn every_program_that_makes_a_store_keeps_it_out_of_commits() {
    let place = checkout();
    for name in ["tree/new/x.redb", "tree/mine/y.redb"] {
        let store = nofx::open(&Location::redb(place.path(name))).await.unwrap();
        store.close().await.unwrap();
        is_kept_out(&place, "tree", &format!("redb:{}", name.strip_prefix("tree/").unwrap()));
    }
    let url = place.objects("tree/mine/shared");
    nofx::open(&url.parse().unwrap()).await.unwrap().close().await.unwrap();
    is_kept_out(&place, "tree", "file://mine/shared");
}

#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_kept_out_is_made_with_a_warning() {
    use crate::bad_input::{allow, as_anybody};
    let place = checkout();
    for (name, mode) in
        [("", 0o755), ("main/mine", 0o777), ("main/.git/info", 0o555), ("main/.git/info/exclude", 0o444)]
    {
        allow(&place, name, mode);
    }
    for words in ["load x.ndjson --store redb:main/mine/x.redb", "migrate --from x.ndjson --to redb:main/mine/y.redb"] {
        let run = as_anybody(&place, words).done();
        assert!(run.err.starts_with("note: cannot tell git to ignore `redb:main/mine/"), "{run:?}");
        assert_eq!(run.err.lines().count(), 1, "{run:?}");
    }
    assert!(place.path("main/mine/x.redb").is_file());
}

#[test]
fn outside_a_checkout_nothing_is_written_beside_what_people_keep() {
    let place = Place::new();
    place.write("x.ndjson", DUMP);
    place.write("mine/notes.txt", "mine");
    place.run("load x.ndjson --store redb:mine/x.redb").done();
    let mut names: Vec<_> = fs::read_dir(place.path("mine")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names.retain(|name| name != "x.redb.lock");
    assert_eq!(names, ["notes.txt", "x.redb"]);
}

#[test]
fn a_store_that_was_made_in_vain_leaves_no_folder() {
    let place = Place::new();
    place.write("bad.json", "{}");
    assert_ne!(place.run("import bad.json --store redb:a/b/x.redb").code, 0);
    assert!(!place.path("a").exists());
}
