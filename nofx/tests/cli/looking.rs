//! Every command that only reads changes nothing, whatever state the store is in and whichever processes have it open.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::host::Host;
use crate::program::{Place, Run, dump_of, sha256};

/// Every command that only reads, with `STORE` for the store. What it creates elsewhere is named `made`.
pub(crate) const LOOKING: [&str; 22] = [
    "ls --store STORE",
    "ls --json --store STORE",
    "ls --trash --store STORE",
    "show s --store STORE",
    "show s --json --store STORE",
    "tail s --store STORE",
    "search words --store STORE",
    "export s --store STORE",
    "export s --format json --store STORE",
    "export s --format html --store STORE",
    "export --agents --store STORE",
    "stats --store STORE",
    "stats --json --store STORE",
    "records own --entries --store STORE",
    "doctor --store STORE",
    "dump --store STORE",
    "dump --full --store STORE",
    "cleanup --archive-after 1s --store STORE",
    "backup --store STORE --to redb:made/copy.redb",
    "migrate --from STORE --to redb:made/copy.redb --dry-run",
    "migrate --from STORE --to redb:made/copy.redb",
    "migrate --from work --to STORE --dry-run",
];

/// The commands that write to a store, or need none.
const OTHERS: [&str; 11] = [
    "import",
    "archive",
    "restore",
    "rewind",
    "delete",
    "undelete",
    "compact",
    "upgrade",
    "load",
    "completions",
    "help",
];

/// Runs a command that only reads.
pub(crate) fn look(place: &Place, words: &str, store: &str) -> Run {
    _ = fs::remove_dir_all(place.path("made"));
    place.run(&words.replace("STORE", store))
}

/// A store of one session with messages that do not compress, in the folder `store`, and its name.
fn filled(store: &str) -> (Place, String) {
    let place = Place::new().with_legacy();
    let store = place.located(store);
    let noise = |number: u32| (0..4).map(|part| sha256(&(4 * number + part).to_le_bytes())).collect::<String>();
    let messages = (0..2000).map(|number| noise(number) + " words");
    place.write("x.ndjson", dump_of("s", messages));
    place.run(&format!("load x.ndjson --store {store}")).done();
    (place, store)
}

/// Everything below a folder: names, contents and when they were changed.
type State = Vec<(PathBuf, Option<Vec<u8>>, SystemTime)>;

fn state(place: &Place) -> State {
    let with_time = |(path, bytes): (PathBuf, Option<Vec<u8>>)| {
        let changed = fs::symlink_metadata(&path).and_then(|found| found.modified()).expect("it exists");
        (path, bytes, changed)
    };
    let mut all: State = place.tree("store").into_iter().map(with_time).collect();
    let folder = place.path("store");
    let changed = fs::metadata(&folder).and_then(|found| found.modified()).expect("it exists");
    all.push((folder, None, changed));
    all
}

#[track_caller]
fn is_as_before(place: &Place, before: &State, words: &str) {
    let after = state(place);
    let changed: Vec<_> = after.iter().filter(|file| !before.contains(file)).map(|(path, ..)| path).collect();
    assert!(after == *before, "{words}: {changed:?}, {} things and {}", before.len(), after.len());
}

/// Runs every command that only reads, and requires that it succeeds and changes nothing.
#[track_caller]
fn looking_changes_nothing(place: &Place, store: &str) {
    let before = state(place);
    let bytes: usize = before.iter().filter_map(|(_, bytes, _)| bytes.as_ref()).map(Vec::len).sum();
    assert!(bytes > 256 << 10, "{bytes}");
    for words in LOOKING {
        look(place, words, store).done();
        is_as_before(place, &before, words);
    }
}

#[test]
fn every_command_of_the_help_is_known_to_read_or_to_write() {
    let help = Place::new().run("--help").done().out;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further lines of an explanation are indented more.
    let commands = commands.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let commands: Vec<_> = commands.filter_map(|line| line.split(' ').next()).collect();
    assert!(commands.len() > 15, "{help}");
    for command in commands {
        let reads = LOOKING.iter().any(|words| words.split(' ').next() == Some(command));
        assert!(reads != OTHERS.contains(&command), "{command}: does it read a store or write to one?");
    }
}

on_each_backend! {
    looking_at_a_store_that_was_closed_changes_nothing
    looking_at_a_store_in_use_changes_nothing
    looking_at_what_a_killed_host_left_changes_nothing
}

#[cfg(unix)]
mod on_unix {
    use super::*;

    on_each_backend! {
        looking_waits_for_no_process_that_is_held_up
        looking_takes_no_more_than_the_right_to_read
        the_superuser_locks_no_owner_out_by_looking
    }
}

#[cfg(target_os = "linux")]
mod on_linux {
    use super::*;

    on_each_backend! {
        looking_works_on_a_disk_that_cannot_be_written
        looking_makes_no_call_that_changes_anything
    }

    mod with_many {
        use super::*;

        on! { fs: looking_at_thousands_of_sessions_makes_no_call_that_changes_anything }
    }
}

fn looking_at_a_store_that_was_closed_changes_nothing(store: &str) {
    let (place, store) = filled(store);
    looking_changes_nothing(&place, &store);
}

fn looking_at_a_store_in_use_changes_nothing(store: &str) {
    let (place, store) = filled(store);
    let mut host = Host::start(&place, &store);
    host.rest(&place);
    looking_changes_nothing(&place, &store);
    assert_eq!(host.write("second"), "done", "it still writes");
    host.close();
}

fn looking_at_what_a_killed_host_left_changes_nothing(store: &str) {
    let (place, store) = filled(store);
    Host::start(&place, &store).kill();
    looking_changes_nothing(&place, &store);
    let shown = look(&place, "tail s -n 1 --store STORE", &store).done().out;
    assert!(shown.contains("first"), "what was acknowledged is there: {shown}");
}

#[cfg(unix)]
fn looking_waits_for_no_process_that_is_held_up(store: &str) {
    use rustix::process::Signal;
    let (place, store) = filled(store);
    let mut host = Host::start(&place, &store);
    host.rest(&place);
    host.signal(Signal::STOP);
    looking_changes_nothing(&place, &store);
    host.signal(Signal::CONT);
    assert_eq!(host.write("second"), "done", "it goes on");
    host.close();
}

/// Changes the owner of a store: everything in its folder, and the folder.
#[cfg(unix)]
fn give(place: &Place, owner: u32, group: u32, modes: Option<(u32, u32)>) {
    use std::os::unix::fs::{PermissionsExt, chown};
    crate::bad_input::allow(place, "", 0o777);
    let all = place.tree("store").into_iter().map(|(path, _)| path).chain([place.path("store")]);
    for path in all {
        chown(&path, Some(owner), Some(group)).expect("the superuser may do it");
        if let Some((files, folders)) = modes {
            let mode = if path.is_dir() { folders } else { files };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it works");
        }
    }
}

/// Returns whether the superuser runs this.
#[cfg(unix)]
fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs the program as a user of a group.
#[cfg(unix)]
fn as_user(place: &Place, words: &str, user: u32, group: u32) -> Run {
    use std::os::unix::process::CommandExt;
    _ = fs::remove_dir_all(place.path("made"));
    crate::program::run(place.command(words.split(' ')).uid(user).gid(group))
}

#[cfg(unix)]
fn looking_takes_no_more_than_the_right_to_read(store: &str) {
    let (place, store) = filled(store);
    if is_superuser() {
        // A user of the owner's group, after `chmod -R g+rX`.
        give(&place, 65533, 65534, Some((0o640, 0o750)));
        let before = state(&place);
        for words in LOOKING {
            as_user(&place, &words.replace("STORE", &store), 65532, 65534).done();
            is_as_before(&place, &before, words);
        }
        return;
    }
    let allow = |files, folders| {
        for (path, bytes) in place.tree("store") {
            crate::bad_input::allow(
                &place,
                path.to_str().expect("text"),
                if bytes.is_some() { files } else { folders },
            );
        }
    };
    allow(0o444, 0o555);
    looking_changes_nothing(&place, &store);
    allow(0o644, 0o755);
}

#[cfg(unix)]
fn the_superuser_locks_no_owner_out_by_looking(store: &str) {
    if !is_superuser() {
        println!("only the superuser can look at what others own");
        return;
    }
    let (place, store) = filled(store);
    give(&place, 65533, 65533, None);
    looking_changes_nothing(&place, &store);
    as_user(&place, &format!("delete s --store {store}"), 65533, 65533).done();
    as_user(&place, &format!("ls --trash --store {store}"), 65533, 65533).done();
}

#[cfg(target_os = "linux")]
fn looking_works_on_a_disk_that_cannot_be_written(store: &str) {
    use std::process::Command;
    let script = "mount --bind store store && mount -o remount,ro,bind store && exec \"$@\"";
    for is_killed in [false, true] {
        let (place, store) = filled(store);
        if is_killed {
            Host::start(&place, &store).kill();
        }
        let before = state(&place);
        for words in LOOKING {
            _ = fs::remove_dir_all(place.path("made"));
            let mut command = Command::new("unshare");
            command.args(["-rm", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_nofx")]);
            command
                .args(words.replace("STORE", &store).split(' '))
                .current_dir(place.path(""))
                .env_remove("NOFX_STORE");
            let run = crate::program::run(&mut command);
            if run.err.starts_with("unshare: ") || run.err.starts_with("mount: ") {
                println!("no disk may be mounted here: {}", run.err);
                return;
            }
            run.done();
            is_as_before(&place, &before, words);
        }
    }
}

/// System calls that change something, as strace names them.
#[cfg(target_os = "linux")]
const CHANGING: &str = "trace=write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,truncate,ftruncate,\
    fallocate,copy_file_range,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,\
    chmod,fchmod,fchmodat,chown,fchown,fchownat,utimensat,creat,open,openat,openat2,flock,fcntl";

/// Returns whether a call, as strace shows it, changes something or locks others out.
#[cfg(target_os = "linux")]
fn changes(call: &str) -> bool {
    // The second half of a call, one that failed, or what is printed.
    if call.contains(" resumed>") || call.contains(" = -1 E") || call.contains("(1<") || call.contains("(2<") {
        return false;
    }
    let name = call.split('(').next().unwrap_or_default().rsplit(' ').next().unwrap_or_default();
    match name {
        "open" | "openat" | "openat2" => call.contains("O_CREAT") || call.contains("O_TRUNC"),
        "flock" => call.contains("LOCK_EX"),
        "fcntl" => call.contains("F_WRLCK"),
        _ => true,
    }
}

#[cfg(target_os = "linux")]
fn looking_makes_no_call_that_changes_anything(store: &str) {
    use std::process::Command;
    if Command::new("strace").arg("-V").output().is_err() {
        println!("strace is not installed");
        return;
    }
    let (place, store) = filled(store);
    for is_killed in [false, true] {
        if is_killed {
            Host::start(&place, &store).kill();
        }
        LOOKING.into_iter().for_each(|words| changes_nothing_by_its_calls(&place, words, &store));
    }
}

/// Runs a command under strace, and requires that it makes no call that changes the store.
#[cfg(target_os = "linux")]
fn changes_nothing_by_its_calls(place: &Place, words: &str, store: &str) {
    _ = fs::remove_dir_all(place.path("made"));
    let calls = place.path("calls");
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "512", "-e", CHANGING, "-o"]).arg(&calls);
    command.arg(env!("CARGO_BIN_EXE_nofx")).args(words.replace("STORE", store).split(' '));
    crate::program::run(command.current_dir(place.path("")).env_remove("NOFX_STORE")).done();
    let calls = fs::read_to_string(&calls).expect("what strace saw");
    let of_the_store = calls.lines().filter(|call| call.contains(&place.shown("store")));
    let changing: Vec<_> = of_the_store.filter(|call| changes(call)).collect();
    assert!(changing.is_empty(), "{words} {store}: {changing:#?}");
}

/// So many that a killed host leaves most of them only in the journal.
#[cfg(target_os = "linux")]
fn looking_at_thousands_of_sessions_makes_no_call_that_changes_anything(store: &str) {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        println!("strace is not installed");
        return;
    }
    const SESSIONS: usize = 3000;
    let place = Place::new();
    let store = place.located(store);
    let mut dump = String::from("{\"format\":\"nofx-full-dump\",\"version\":1}\n");
    for number in 0..SESSIONS {
        let id = if number + 1 < SESSIONS { format!("{number:05}") } else { "s".to_owned() };
        let body = format!("{{\"id\":\"{id}\",\"name\":\"one\"}}");
        dump += &format!("{{\"record\":\"session\",\"id\":\"{id}\",\"body\":{body}}}\n");
    }
    let digest = sha256(dump.as_bytes());
    dump += &format!("{{\"end\":{{\"records\":{SESSIONS},\"logs\":0,\"entries\":0}},\"sha256\":\"{digest}\"}}\n");
    place.write("x.ndjson", dump);
    place.run(&format!("load x.ndjson --store {store}")).done();
    Host::start(&place, &store).kill();
    for words in ["ls --store STORE", "show s --store STORE", "doctor --store STORE", "dump --full --store STORE"] {
        changes_nothing_by_its_calls(&place, words, &store);
    }
}
