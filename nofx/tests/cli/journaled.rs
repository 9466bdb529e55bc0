//! Stores in one file that commit to a journal beside it.

use std::fs;

use crate::host::Host;
use crate::looking::LOOKING;
use crate::program::{DUMP, Place, dump_of, dump_of_noise, run};

const STORE: &str = "redb:store/with-journal.redb";
const JOURNAL: &str = "store/with-journal.redb-journal";

fn full(place: &Place, store: &str) -> String {
    place.run(&format!("dump --full --store {store}")).done().out
}

/// A place with a store of one session, `s`.
fn place() -> Place {
    let place = Place::new().with_legacy();
    place.write("x.ndjson", dump_of("s", (0..3).map(|number| format!("words {number}"))));
    place.run(&format!("load x.ndjson --store {STORE}")).done();
    place
}

#[test]
fn whatever_makes_a_store_makes_it_with_a_journal_unless_asked_and_no_other_has_to_ask() {
    let place = place();
    let session = place.run(&format!("export s --format json --store {STORE}")).done().out;
    place.write("session.json", session);
    for (made, words) in [
        ("load", "load x.ndjson --store redb:TARGET"),
        ("backup", "backup --store redb:store/with-journal.redb --to redb:TARGET"),
        ("dump", "migrate --from x.ndjson --to redb:TARGET"),
        ("copy", "migrate --from redb:store/with-journal.redb --to redb:TARGET"),
        ("legacy", "migrate --from work --to redb:TARGET"),
        ("import", "import session.json --store redb:TARGET"),
    ] {
        for has_journal in [true, false] {
            let target = format!("{made}-{has_journal}.redb");
            let words = words.replace("TARGET", &target) + if has_journal { "" } else { " --no-journal" };
            place.run(&words).done();
            // An existing store stays as it was created, whether or not a journal is asked for.
            place.run(&format!("import session.json --new --store redb:{target}")).done();
            place.run(&format!("import session.json --new --no-journal --store redb:{target}")).done();
            assert_eq!(place.path(&format!("{target}-journal")).is_dir(), has_journal, "{words}");
            place.run(&format!("doctor --store redb:{target}")).done();
            place.run(&format!("compact --store redb:{target}")).done();
            place.run(&format!("ls --store redb:{target}")).done();
        }
    }
}

#[test]
fn an_upgrade_gives_a_store_a_journal_and_keeps_all_of_it() {
    let place = place();
    place.run("load x.ndjson --no-journal --store redb:old.redb").done();
    let before = full(&place, "redb:old.redb");
    let upgraded = place.run("upgrade --store redb:old.redb").done().out;
    assert_eq!(upgraded, "`redb:old.redb` was upgraded to the newest format\n");
    assert_eq!(full(&place, "redb:old.redb"), before);
    assert!(!place.path("old.redb-journal").exists());
    place.run("archive s --store redb:old.redb").done();
    assert!(place.path("old.redb-journal").is_dir());
    place.run("doctor --store redb:old.redb").done();
    let again = place.run("upgrade --json --store redb:old.redb").done().out;
    assert_eq!(again, "{\"location\":\"redb:old.redb\",\"upgraded\":false}\n");
}

#[test]
fn a_small_store_is_a_small_file_and_a_small_journal_that_count_together() {
    let place = Place::new();
    place.write("noise.ndjson", dump_of_noise(200));
    place.run(&format!("load noise.ndjson --store {STORE}")).done();
    place.run("migrate --from noise.ndjson --to redb:made.redb").done();
    for store in [STORE, "redb:made.redb"] {
        place.run(&format!("archive s000001 --store {store}")).done();
    }
    for (store, journal) in [("store/with-journal.redb", JOURNAL), ("made.redb", "made.redb-journal")] {
        let bytes =
            |found: Vec<(_, Option<Vec<u8>>)>| found.iter().map(|(_, bytes)| bytes.as_ref().map_or(0, Vec::len)).sum();
        let beside: usize = bytes(place.tree(journal));
        assert!((128 << 10..132 << 10).contains(&beside), "{beside} bytes of {journal}");
        let all = beside as u64 + fs::metadata(place.path(store)).expect("a file").len();
        let told = place.run(&format!("stats --json --store redb:{store}")).done().out;
        assert!(told.contains(&format!("\"bytes\":{all},")), "{told} and not {all}");
    }
}

#[test]
fn a_journal_without_its_file_is_reported_by_every_command() {
    let place = place();
    Host::start(&place, STORE).close();
    fs::rename(place.path("store/with-journal.redb"), place.path("aside")).expect("it works");
    let tree = || -> Vec<_> {
        // Files with which processes that would create a store wait for each other.
        place.tree("store").into_iter().filter(|(path, _)| !path.ends_with("with-journal.redb.lock")).collect()
    };
    let before = tree();
    let writing = [
        "load x.ndjson --store STORE",
        "migrate --from x.ndjson --to STORE",
        "compact --store STORE",
        "migrate --from work --to STORE",
        "import work/.nofx/agents.json --new --store STORE",
    ];
    for words in LOOKING.into_iter().filter(|words| words.contains("--store STORE")).chain(writing) {
        let run = place.run(&words.replace("STORE", STORE));
        assert_eq!((run.code, run.err.lines().count()), (27, 2), "{words}: {run:?}");
        assert!(run.err.contains("with-journal.redb` is gone"), "{words}: {run:?}");
        assert!(tree() == before, "{words}");
    }
    fs::rename(place.path("aside"), place.path("store/with-journal.redb")).expect("it works");
    assert!(full(&place, STORE).contains("words 2"));
}

#[test]
fn an_empty_journal_that_was_left_is_no_store() {
    let place = place();
    // Compacted, so that it is empty.
    fs::remove_file(place.path("store/with-journal.redb")).expect("it works");
    for words in ["ls", "doctor", "compact"] {
        place.run(&format!("{words} --store {STORE}")).failed(29, &format!("no NofX store at `{STORE}`"));
    }
    place.run(&format!("load x.ndjson --store {STORE}")).done();
    assert!(full(&place, STORE).contains("words 2"));
}

#[test]
fn a_file_without_its_journal_is_reported_and_nothing_takes_its_place() {
    let place = place();
    // Not closed, which may complete the file.
    Host::start(&place, STORE).kill();
    fs::rename(place.path(JOURNAL), place.path("aside")).expect("it works");
    for words in ["ls", "doctor", "dump --full", "delete s", "compact"] {
        let run = place.run(&format!("{words} --store {STORE}"));
        assert_eq!(run.code, 27, "{words}: {run:?}");
        assert!(run.err.contains("the journal of the store is missing") || words == "doctor", "{words}: {run:?}");
        assert!(!place.path(JOURNAL).exists(), "{words}");
    }
    fs::rename(place.path("aside"), place.path(JOURNAL)).expect("it works");
    assert!(full(&place, STORE).contains("first"));
}

#[test]
fn a_copy_of_a_complete_file_is_a_store() {
    let place = place();
    Host::start(&place, STORE).close();
    // As a close does of a store that was open for more than a second.
    place.run(&format!("compact --store {STORE}")).done();
    let before = full(&place, STORE);
    fs::copy(place.path("store/with-journal.redb"), place.path("copy.redb")).expect("it works");
    assert!(full(&place, "redb:copy.redb") == before);
    place.run("doctor --store redb:copy.redb").done();
    assert!(!place.path("copy.redb-journal").exists(), "looking at it creates nothing");
    // What is committed from here on is in the journal too.
    Host::start(&place, "redb:copy.redb").kill();
    assert!(place.path("copy.redb-journal").is_dir());
    assert!(full(&place, "redb:copy.redb") != before);
    fs::copy(place.path("copy.redb"), place.path("late.redb")).expect("it works");
    let run = place.run("ls --store redb:late.redb");
    assert!(run.code == 27 && run.err.contains("the journal of the store is missing"), "{run:?}");
}

#[test]
fn what_a_command_writes_does_not_go_into_a_journal() {
    let place = place();
    let before = place.tree("store");
    for file in ["segment-0", "new.txt", "lock"] {
        let run = place.run(&format!("dump --store {STORE} -o {JOURNAL}/{file}"));
        assert_eq!(run.code, 2, "{file}: {run:?}");
        assert!(run.err.contains("belongs to the store"), "{file}: {run:?}");
        assert!(place.tree("store") == before, "{file}");
    }
}

#[test]
fn a_store_that_was_made_in_vain_leaves_no_journal() {
    let place = Place::new();
    place.write("bad.json", "{}");
    for store in ["a/b/x.redb", "x.redb"] {
        assert_ne!(place.run(&format!("import bad.json --store redb:{store}")).code, 0);
        let left: Vec<_> =
            place.tree("").into_iter().map(|(path, _)| path).filter(|path| !path.ends_with("bad.json")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_store_in_a_checkout_keeps_its_journal_out_of_commits() {
    let place = Place::new();
    place.write("x.ndjson", DUMP);
    place.write("mine/notes.txt", "mine");
    let git = |words: &str| {
        let mut command = std::process::Command::new("git");
        run(command.args(words.split(' ')).current_dir(place.path("")).env("GIT_CONFIG_GLOBAL", "/dev/null")).done().out
    };
    git("init -q .");
    git("add -A");
    for store in ["mine/x.redb", "new/x.redb"] {
        place.run(&format!("load x.ndjson --store redb:{store}")).done();
    }
    assert_eq!(git("status --porcelain"), "A  mine/notes.txt\nA  x.ndjson\n");
    git("clean -q -f -d");
    for store in ["mine/x.redb", "new/x.redb"] {
        assert!(full(&place, &format!("redb:{store}")) == DUMP, "{store}");
    }
}

#[test]
fn a_store_goes_to_another_place_with_its_journal() {
    let place = place();
    Host::start(&place, STORE).kill();
    let before = full(&place, STORE);
    for name in ["with-journal.redb", "with-journal.redb-journal"] {
        let moved = name.replace("with-journal", "moved");
        fs::rename(place.path("store").join(name), place.path(&moved)).expect("it works");
    }
    assert!(full(&place, "redb:moved.redb") == before);
    place.run("delete s --store redb:moved.redb").done();
    place.run("doctor --store redb:moved.redb").done();
}

#[cfg(unix)]
#[test]
fn what_the_superuser_writes_belongs_to_the_owner() {
    use std::os::unix::fs::{MetadataExt, chown};

    use crate::bad_input::{allow, as_anybody};
    if !rustix::process::geteuid().is_root() {
        println!("only the superuser can write to what others own");
        return;
    }
    let place = place();
    let own = || place.tree("store").into_iter().map(|(path, _)| path).chain([place.path("store")]);
    own().for_each(|path| chown(path, Some(65534), Some(65534)).expect("the superuser may do it"));
    allow(&place, "", 0o755);
    // First with a journal that is still to be created, then with one that has to grow.
    for _ in 0..2 {
        place.run(&format!("delete s --store {STORE}")).done();
        assert!(place.path(JOURNAL).join("segment-0").exists());
        for path in own() {
            assert_eq!(fs::metadata(&path).expect("it exists").uid(), 65534, "{}", path.display());
        }
        as_anybody(&place, &format!("undelete s --store {STORE}")).done();
    }
}

/// Every system call of a process and its threads that concerns the store, as strace shows it.
#[cfg(target_os = "linux")]
fn calls(place: &Place, mut command: std::process::Command) -> Option<Vec<String>> {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        println!("strace is not installed");
        return None;
    }
    let traced = place.path("calls");
    let mut strace = std::process::Command::new("strace");
    strace
        .args(["-f", "-y", "-qq", "-s", "0", "-e", "trace=pwrite64,write,fsync,fdatasync,pread64,read", "-o"])
        .arg(&traced);
    strace.arg(command.get_program()).args(command.get_args()).current_dir(place.path(""));
    strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace.stdout(std::process::Stdio::null());
    assert!(strace.status().expect("it starts").success(), "{:?}", command.get_program());
    _ = &mut command;
    let calls = fs::read_to_string(traced).expect("what strace saw");
    let of_the_store = calls.lines().filter(|call| call.contains(&place.shown("store")) && !call.contains("resumed>"));
    Some(of_the_store.map(str::to_owned).collect())
}

#[cfg(target_os = "linux")]
#[test]
fn a_commit_of_another_process_is_one_flush_of_the_journal_and_none_of_the_file() {
    const COMMITS: usize = 50;
    let place = place();
    let flushes = |commits: usize| -> Option<usize> {
        let calls = calls(&place, Host::writing(STORE, commits))?;
        let flushed: Vec<bool> =
            calls.iter().filter(|call| call.contains("sync(")).map(|call| call.contains("-journal/segment-")).collect();
        // On a busy machine the store was open for so long that its close completes the file, which the next commit takes back.
        let commits =
            flushed.iter().skip_while(|of_journal| !**of_journal).take_while(|of_journal| **of_journal).count();
        assert_eq!(flushed.iter().filter(|of_journal| **of_journal).count(), commits, "{calls:?}");
        Some(commits)
    };
    // The first process to commit creates the journal, and makes durable what it finds.
    if calls(&place, Host::writing(STORE, 1)).is_none() {
        return;
    }
    assert_eq!((flushes(1), flushes(COMMITS)), (Some(1), Some(COMMITS)));
}
