//! Each bad input gets one line, a next step and its own exit code, and changes nothing.

use std::fs;

use crate::program::{DUMP, LEGACY, Place, Run, run};

/// Migrates, and requires that nothing has changed.
#[track_caller]
fn refused(place: &Place, words: &str, code: i32, error: &str) -> Run {
    let before = place.tree("");
    let run = place.run(&format!("migrate {words}")).failed(code, error);
    assert_eq!(place.tree(""), before, "{words}");
    run
}

#[test]
fn a_source_that_does_not_exist() {
    let place = Place::new();
    refused(&place, "--from nowhere --to redb:x.redb", 10, "`nowhere` does not exist");
    refused(&place, "--from no/where --to redb:a/b/x.redb", 10, "`no/where` does not exist");
}

#[test]
fn a_source_that_is_a_file() {
    let place = Place::new().with_legacy();
    place.write("notes.txt", "hello");
    place.write("empty", "");
    place.write("canonical.ndjson", "{\"kind\":\"store\",\"format\":\"nofx-dump\",\"version\":1}\n");
    let to = "--to redb:x.redb";
    refused(&place, &format!("--from notes.txt {to}"), 11, "`notes.txt` is neither a folder nor a full dump");
    refused(&place, &format!("--from empty {to}"), 11, "`empty` is neither a folder nor a full dump");
    let agents = "work/.nofx/agents.json";
    refused(&place, &format!("--from {agents} {to}"), 11, &format!("`{agents}` is neither a folder nor a full dump"));
    let error = "`canonical.ndjson` is a canonical dump, which cannot be loaded";
    refused(&place, &format!("--from canonical.ndjson {to}"), 11, error);
    place.run("migrate --from work --to redb:store.redb").done();
    let refusal = refused(&place, &format!("--from store.redb {to}"), 11, "`store.redb` is a redb file, not a folder");
    assert!(refusal.err.contains("name it `redb:store.redb`"));
}

#[test]
fn a_source_that_is_no_legacy_folder() {
    let place = Place::new();
    place.write("src/main.rs", "");
    refused(&place, "--from src --to redb:x.redb", 12, "`src` is not a legacy folder and does not contain one");
    refused(&place, "--from . --to redb:x.redb", 12, "`.` is not a legacy folder and does not contain one");
}

#[test]
fn a_target_inside_its_source() {
    let place = Place::new().with_legacy();
    let inside = |name: &str| {
        let (target, source) = (place.shown(name), place.shown("work/.nofx"));
        format!("`{target}` lies inside the source `{source}`")
    };
    refused(&place, "--from work --to redb:work/.nofx/x.redb", 14, &inside("work/.nofx/x.redb"));
    refused(
        &place,
        "--from work/.nofx --to redb:work/.nofx/sessions/x.redb",
        14,
        &inside("work/.nofx/sessions/x.redb"),
    );
    refused(&place, "--from work/.nofx/../.nofx --to redb:work/../work/.nofx/x", 14, &inside("work/.nofx/x"));
    refused(&place, "--from work --to redb:work/.nofx/agents.json", 14, &inside("work/.nofx/agents.json"));
    let absolute = format!("--from work --to redb:{}", place.shown("work/.nofx/x"));
    refused(&place, &absolute, 14, &inside("work/.nofx/x"));
    refused(
        &place,
        "--from work --to redb:x.redb --report work/.nofx/report.json",
        14,
        "`work/.nofx/report.json` lies inside the source `work`",
    );
    // Beside the legacy files, and in the one folder among them that may hold a store, a store is allowed.
    place.run("migrate --from work --to redb:work/beside.redb --report work/report.json").done();
    place.run("migrate --from work --to redb:work/.nofx/store/nofx.redb").done();
}

#[cfg(unix)]
#[test]
fn a_target_inside_its_source_by_way_of_links() {
    use std::os::unix::fs::symlink;
    let place = Place::new().with_legacy();
    symlink(place.path("work/.nofx"), place.path("link")).unwrap();
    symlink("work/.nofx/agents.json", place.path("store.redb")).unwrap();
    let inside = |name: &str| format!("`{}` lies inside the source `{}`", place.shown(name), place.shown("work/.nofx"));
    refused(&place, "--from work --to redb:link/x.redb", 14, &inside("work/.nofx/x.redb"));
    refused(&place, "--from link --to redb:work/.nofx/x.redb", 14, &inside("work/.nofx/x.redb"));
    refused(&place, "--from work --to redb:store.redb", 14, &inside("work/.nofx/agents.json"));
}

#[cfg(unix)]
#[test]
fn a_target_that_is_a_link_to_nothing() {
    let place = Place::new().with_legacy();
    std::os::unix::fs::symlink("nothing", place.path("link")).unwrap();
    for to in ["redb:link", "fs:link"] {
        refused(&place, &format!("--from work --to {to}"), 23, "`link` is a dangling link");
    }
}

#[test]
fn a_location_that_is_none() {
    let place = Place::new().with_legacy();
    for (to, why) in [
        ("x.redb", "`x.redb` is not a location: it has no scheme"),
        ("/abs/x.redb", "`/abs/x.redb` is not a location: it has no scheme"),
        ("C:\\x.redb", "`C:\\x.redb` is not a location: it does not begin with a scheme"),
        ("redb:", "`redb:` is not a location: the path is missing"),
        ("fs:", "`fs:` is not a location: the path is missing"),
        ("s3:bucket", "`s3:bucket` is not a location: a bucket is written `//BUCKET`"),
        ("memory:x", "`memory:x` is not a location: nothing may follow `memory:`"),
        (
            "redb:${workspaceFolder}/x",
            "`redb:${workspaceFolder}/x` is not a location: `${workspaceFolder}` was not expanded",
        ),
        ("fs://x", "`fs://x` is not a location: a path follows `fs:` without `//`"),
    ] {
        refused(&place, &format!("--from work --to {to}"), 20, why);
    }
    place.run("dump --store nofx.redb").failed(20, "`nofx.redb` is not a location: it has no scheme");
    let mut command = place.command(["migrate", "--from", "work", "--to", "a\u{1b}[31m\n"]);
    run(&mut command).failed(20, "`a\\u{1b}[31m\\n` is not a location: it contains a control character");
}

#[test]
fn a_location_as_another_program_hands_it_on() {
    let place = Place::new().with_legacy();
    let before = place.tree("");
    for named in ["redb:x.redb\r", "redb:x.redb ", "\"redb:x.redb\"", "redb:'x.redb'", "redb:%APPDATA%/x.redb"] {
        for from_environment in [false, true] {
            let mut command = place.command(["ls"]);
            match from_environment {
                true => command.env("NOFX_STORE", named),
                false => command.args(["--store", named]),
            };
            let run = run(&mut command);
            assert_eq!(run.code, 20, "{named:?}: {run:?}");
            let to = place.command(["migrate", "--from", "work", "--to", named]).output().expect("the program starts");
            assert_eq!(to.status.code(), Some(20), "{named:?}: {to:?}");
        }
    }
    assert_eq!(place.tree(""), before);
}

#[test]
fn a_store_in_the_home_folder() {
    let place = Place::new().with_legacy();
    fs::create_dir(place.path("home")).unwrap();
    let at_home =
        |args: &[&str]| run(place.command(args).env("HOME", place.path("home")).env("USERPROFILE", place.path("home")));
    at_home(&["migrate", "--from", "work", "--to", "redb:~/a/x.redb"]).done();
    assert!(place.path("home/a/x.redb").is_file() && !place.path("~").exists());
    at_home(&["ls", "--store", "redb:~/a/x.redb"]).done();
    at_home(&["migrate", "--from", "work", "--to", "redb:./~/x.redb"]).done();
    assert!(place.path("~/x.redb").is_file());
}

#[test]
fn a_scheme_without_a_backend() {
    let place = Place::new().with_legacy();
    for scheme in ["ftp", "postgres"] {
        let error = format!("this version has no backend for `{scheme}:`; it has `redb:`, ");
        for words in [format!("--from work --to {scheme}://x/y"), format!("--from {scheme}:x --to redb:x.redb")] {
            let run = place.run(&format!("migrate {words}"));
            assert_eq!(run.code, 21, "{run:?}");
            assert!(run.err.starts_with(&format!("error: {error}")) && run.err.contains("hint: "), "{run:?}");
        }
    }
}

#[test]
fn a_store_is_recognised_behind_a_folder_that_does_not_exist() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:x.redb").done();
    let error = "`redb:missing/../x.redb` is the store itself";
    place.run("backup --store redb:x.redb --to redb:missing/../x.redb").failed(2, error);
}

#[cfg(feature = "fs")]
#[test]
fn an_option_that_the_store_has_no_use_for_is_refused() {
    let place = Place::new().with_legacy();
    let error = "a store at `fs:x` cannot be created without a journal";
    refused(&place, "--from work --to fs:x --no-journal", 2, error);
    place.run("migrate --from work --to redb:x.redb --no-journal").done();
}

#[test]
fn a_target_that_is_something_else() {
    let place = Place::new().with_legacy();
    place.write("letter.txt", "dear store");
    place.write("empty", "");
    place.write("cut.redb", b"redb\x1A\x0A\xA9\x0D\x0A");
    fs::create_dir(place.path("folder")).unwrap();
    for (name, why) in [("letter.txt", "it is not a redb file"), ("empty", "it is empty")] {
        let error = format!("`{}` is not a NofX store: {why}", place.shown(name));
        refused(&place, &format!("--from work --to redb:{name}"), 23, &error);
        place.run(&format!("dump --store redb:{name}")).failed(23, &error);
    }
    refused(&place, "--from work --to redb:folder", 23, "`folder` is not a NofX store: it is a folder");
    let cut = place.run("migrate --from work --to redb:cut.redb");
    assert_eq!(cut.code, 27, "{cut:?}");
    assert_eq!(fs::read(place.path("cut.redb")).unwrap(), b"redb\x1A\x0A\xA9\x0D\x0A");
}

#[test]
fn a_store_that_does_not_exist() {
    let place = Place::new();
    let error = "no NofX store at `redb:no/x.redb`";
    place.run("dump --store redb:no/x.redb").failed(29, error);
    refused(&place, "--from redb:no/x.redb --to redb:y.redb", 29, error);
    let none = format!("no store was named, and no folder `.nofx/store` in `{}` or above holds one", place.shown(""));
    place.run("dump").failed(29, &none);
    assert_eq!(place.tree(""), []);
}

#[cfg(feature = "fs")]
#[test]
fn an_empty_folder_is_no_store_and_a_repair_makes_none() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    for words in ["ls", "doctor", "doctor --repair", "archive x"] {
        place.run(&format!("{words} --store fs:empty")).failed(29, "no NofX store at `fs:empty`");
    }
    assert_eq!(place.tree("empty"), []);
    place.write("letters/one.txt", "dear store");
    let error = "`fs:letters` is not a NofX store: it is a folder without a `config.json`";
    place.run("ls --store fs:letters").failed(23, error);
}

#[test]
fn an_export_that_does_not_exist() {
    let place = Place::new();
    let run = place.run("import nowhere.json --store redb:x.redb").failed(10, "`nowhere.json` does not exist");
    assert!(run.err.contains("hint: name a file that exists"), "{run:?}");
}

#[cfg(all(unix, feature = "fs"))]
#[test]
fn a_place_that_is_not_permitted_is_reported_without_temporary_names() {
    let place = Place::new().with_legacy();
    allow(&place, "", 0o755);
    place.run("migrate --from work --to fs:private").done();
    as_anybody(&place, "ls --store fs:private")
        .failed(24, "unavailable: opening `private/config.json`: Permission denied (os error 13)");
    place.run("migrate --from work --to redb:.nofx/store/nofx.redb").done();
    allow(&place, ".nofx", 0o700);
    let run = as_anybody(&place, "ls");
    assert!(run.code == 24 && run.err.contains(".nofx/store/nofx.redb"), "{run:?}");
    place.run("migrate --from work --to redb:x.redb").done();
    allow(&place, "x.redb", 0o644);
    fs::create_dir(place.path("theirs")).unwrap();
    allow(&place, "theirs", 0o755);
    for words in [
        "backup --store redb:x.redb --to redb:theirs/y.redb",
        "backup --store redb:x.redb --to fs:theirs/y",
        "dump --store redb:x.redb -o theirs/y",
    ] {
        let run = as_anybody(&place, words);
        assert_eq!(run.code, 24, "{words}: {run:?}");
        assert!(run.err.contains("theirs/y") && !run.err.contains(".nofx-making"), "{words}: {run:?}");
    }
}

#[cfg(unix)]
#[test]
fn pipes_are_not_waited_for() {
    let place = Place::new().with_legacy();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    refused(&place, "--from pipe --to redb:x.redb", 11, "`pipe` is neither a folder nor a full dump");
    let error = "`pipe` is not a NofX store: it is a pipe, a socket or a device";
    refused(&place, "--from work --to redb:pipe", 23, error);
    place.run("dump --store redb:pipe").failed(23, error);
}

/// Runs the program as another user if this is the superuser, who may do anything.
#[cfg(unix)]
pub(crate) fn as_anybody(place: &Place, words: &str) -> Run {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    let mut command = place.command(words.split(' '));
    if fs::metadata(place.path("")).expect("it exists").uid() == 0 {
        command.uid(65534).gid(65534);
    }
    run(&mut command)
}

#[cfg(unix)]
pub(crate) fn allow(place: &Place, name: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[cfg(unix)]
#[test]
fn a_source_that_may_not_be_read() {
    let place = Place::new().with_legacy();
    place.write("dump.ndjson", DUMP);
    allow(&place, "", 0o777);
    allow(&place, "work/.nofx", 0o000);
    allow(&place, "dump.ndjson", 0o000);
    let words = "migrate --from work/.nofx --to redb:x.redb";
    let error = format!("cannot read `{}`: Permission denied (os error 13)", place.shown("work/.nofx"));
    as_anybody(&place, words).failed(13, &error);
    let error = "cannot read `dump.ndjson`: Permission denied (os error 13)";
    as_anybody(&place, "migrate --from dump.ndjson --to redb:x.redb").failed(13, error);
    as_anybody(&place, "load dump.ndjson --store redb:x.redb").failed(13, error);
    assert!(!place.path("x.redb").exists());
    allow(&place, "work/.nofx", 0o755);
}

#[cfg(unix)]
#[test]
fn a_file_of_the_source_that_may_not_be_read_is_missing_and_the_rest_is_there() {
    let place = Place::new().with_legacy();
    place.write("work/.nofx/sessions/secret.json", "{}");
    allow(&place, "", 0o777);
    allow(&place, "work/.nofx/sessions/secret.json", 0o000);
    let run = as_anybody(&place, "migrate --from work --to redb:x.redb");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.err.starts_with("error: part of the source is not in the target; the report says what\nhint: "),
        "{run:?}"
    );
    assert!(run.out.contains("MISSING") && run.out.contains("sessions/secret.json"), "{run:?}");
    assert!(place.run("dump --store redb:x.redb").done().out.contains("\"name\":\"Ada\""));
}

#[cfg(unix)]
#[test]
fn a_place_that_may_not_be_written() {
    let place = Place::new().with_legacy();
    allow(&place, "", 0o755);
    allow(&place, "work", 0o755);
    fs::create_dir(place.path("locked")).unwrap();
    allow(&place, "locked", 0o555);
    for target in ["locked/x.redb", "locked/deeper/x.redb"] {
        let run = as_anybody(&place, &format!("migrate --from work --to redb:{target}"));
        assert_eq!(run.code, 24, "{run:?}");
        assert!(run.err.starts_with("error: ") && run.err.contains(target), "{run:?}");
        assert!(run.err.contains("Permission denied"), "{run:?}");
        assert_eq!(run.err.lines().count(), 2, "{run:?}");
    }
    assert_eq!(place.tree("locked"), []);
    let error = "cannot write `locked/report.json`: Permission denied (os error 13)";
    for rest in ["--report locked/report.json", "--dry-run --report locked/report.json"] {
        let run = as_anybody(&place, &format!("migrate --from work --to memory: {rest}"));
        assert_eq!(run.code, 24, "{run:?}");
        assert!(run.err.starts_with("error: cannot write `locked/report.json`: Permission denied"), "{error}: {run:?}");
    }
    // A file where a folder should be, which stops even the superuser.
    let run = place.run("migrate --from work --to redb:work/.nofx/../../work/.nofx/agents.json/x");
    assert_eq!(run.code, 14, "{run:?}");
    place.write("file", "");
    let run = place.run("migrate --from work --to redb:file/x.redb");
    assert_eq!(run.code, 24, "{run:?}");
}

#[cfg(unix)]
#[test]
fn a_store_that_may_only_be_read() {
    let place = Place::new().with_legacy();
    allow(&place, "", 0o777);
    place.run("migrate --from work --to redb:x.redb").done();
    allow(&place, "x.redb", 0o444);
    place.tree("x.redb-journal").iter().for_each(|(path, _)| allow(&place, path.to_str().expect("a name"), 0o444));
    allow(&place, "x.redb-journal", 0o555);
    allow(&place, "", 0o555);
    let before = place.tree("");
    let run = as_anybody(&place, "migrate --from work --to redb:x.redb");
    assert_eq!(run.code, 24, "{run:?}");
    as_anybody(&place, "dump --store redb:x.redb").done();
    assert_eq!(place.tree(""), before);
    allow(&place, "", 0o755);
}

#[test]
fn a_store_that_another_process_holds() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:x.redb").done();
    // This process stands in for a program that neither lets others write nor releases the store.
    let held = redb::Database::open(place.path("x.redb")).unwrap();
    let run = place.run("migrate --from work --to redb:x.redb");
    assert_eq!(run.code, 26, "{run:?}");
    assert!(run.err.starts_with(&format!("error: `{}` is locked by ", place.shown("x.redb"))), "{run:?}");
    assert_eq!(run.err.lines().count(), 2, "{run:?}");
    drop(held);
    place.run("migrate --from work --to redb:x.redb").done();
}

#[test]
fn a_damaged_dump() {
    let place = Place::new();
    let cut = DUMP.rsplit_once("{\"end\"").unwrap().0;
    place.write("cut.ndjson", cut);
    place.write("edited.ndjson", DUMP.replace("hello", "hullo"));
    let missing = "line 5 of `cut.ndjson` is missing: the dump is truncated";
    let edited = "line 5 of `edited.ndjson` states other counts or another digest than the lines before it have";
    for (name, error) in [("cut.ndjson", missing), ("edited.ndjson", edited)] {
        refused(&place, &format!("--from {name} --to redb:new/x.redb"), 15, error);
        refused(&place, &format!("--from {name} --to redb:new/x.redb --dry-run"), 15, error);
        place.run(&format!("load {name} --store redb:new/x.redb")).failed(15, error);
    }
    place.run("load nowhere.ndjson --store redb:x.redb").failed(10, "`nowhere.ndjson` does not exist");
    assert_eq!(place.tree("").len(), 2);
}

#[test]
fn a_target_that_holds_something_else() {
    let place = Place::new().with_legacy();
    place.write("dump.ndjson", DUMP);
    place.run("migrate --from work --to redb:legacy.redb").done();
    place.run("migrate --from dump.ndjson --to redb:other.redb").done();
    let before = place.run("dump --full --store redb:legacy.redb").done().out;
    place
        .run("migrate --from dump.ndjson --to redb:legacy.redb")
        .failed(30, "`redb:legacy.redb` is not empty: it holds agent/ada");
    let differs = "`redb:legacy.redb` holds agent/ada, which `redb:other.redb` does not have or has with other content";
    place.run("migrate --from redb:other.redb --to redb:legacy.redb").failed(30, differs);
    assert_eq!(place.run("dump --full --store redb:legacy.redb").done().out, before);
}

#[test]
fn a_target_that_is_its_source() {
    let place = Place::new().with_legacy();
    for store in ["redb:x.redb", "fs:y"] {
        place.run(&format!("migrate --from work --to {store}")).done();
        let before = place.run(&format!("dump --full --store {store}")).done().out;
        let (scheme, path) = store.split_once(':').unwrap();
        for to in [store.to_owned(), format!("{scheme}:./work/../{path}")] {
            let error = format!("`{to}` is the source itself");
            place.run(&format!("migrate --from {store} --to {to}")).failed(2, &error);
        }
        assert_eq!(place.run(&format!("dump --full --store {store}")).done().out, before);
    }
}

#[test]
fn a_report_in_a_folder_that_does_not_exist() {
    let place = Place::new().with_legacy();
    let run = place.run("migrate --from work --to redb:x.redb --report no/report.json");
    assert!(run.code == 24 && run.err.starts_with("error: cannot write `no/report.json`: "), "{run:?}");
    assert!(!place.path("x.redb").exists() && !place.path("no").exists());
}

#[test]
fn files_that_would_be_written_over() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:x.redb").done();
    let belongs = format!("`./x.redb` belongs to the store `{}`, which is never overwritten", place.shown("x.redb"));
    place.run("dump --store redb:x.redb -o ./x.redb").failed(2, &belongs);
    let error = "the report would overwrite `x.redb`";
    refused(&place, "--from work --to redb:x.redb --report x.redb", 2, error);
    refused(&place, "--from redb:x.redb --to redb:y.redb --report x.redb", 2, error);
    place.run("dump --store redb:x.redb").done();
}

#[test]
fn a_failure_leaves_a_store_that_was_there_as_it_was() {
    let place = Place::new().with_legacy();
    place.run("migrate --from work --to redb:x.redb").done();
    let before = place.run("dump --full --store redb:x.redb").done().out;
    place.write("work/.nofx/agents.json", LEGACY.replace("Ada", "Eve"));
    fs::remove_dir_all(place.path("work")).unwrap();
    refused(&place, "--from work --to redb:x.redb", 10, "`work` does not exist");
    assert_eq!(place.run("dump --full --store redb:x.redb").done().out, before);
}
