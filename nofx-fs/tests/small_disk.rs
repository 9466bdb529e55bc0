//! A disk that is really full, and one that really turns read-only, where this machine lets a test mount one.
//!
//! `src/tests` has the same with a simulated disk.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use nofx_core::{
    Batch, Body, Error, Expect, Kind, LogKey, LogQuery, NewEntry, PersistenceBackend, RecordKey, Sources, Timestamp,
};
use nofx_fs::FsBackend;

/// The folder at which a small disk is mounted, in the process that may use it.
const DISK: &str = "NOFX_FS_DISK";
/// The case that this process runs.
const CASE: &str = "NOFX_FS_DISK_CASE";

fn main() {
    if let (Some(disk), Ok(case)) = (std::env::var_os(DISK), std::env::var(CASE)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(play(&case, Path::new(&disk)));
    }
    let can_mount = run("mount", Path::new("true")).is_ok();
    let trials = ["a_full_disk_says_so_and_goes_on", "a_disk_that_turns_read_only_says_so_and_goes_on"].map(|case| {
        let trial = Trial::test(case, || run(case, &std::env::current_exe().unwrap()).map_err(Failed::from));
        match can_mount {
            true => trial,
            false => trial.with_kind("needs the right to mount a disk").with_ignored_flag(true),
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

/// Runs a program in a separate namespace, on a small disk.
fn run(case: &str, program: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let script = "mount -t tmpfs -o size=8m tmpfs \"$1\" && exec \"$2\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh"]).arg(folder.path()).arg(program);
    let output = command.env(DISK, folder.path()).env(CASE, case).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(format!("{output:?}")) }
}

async fn play(case: &str, disk: &Path) {
    let root = disk.join("store");
    let store = FsBackend::open(&root).await.unwrap();
    let mut acknowledged = 0;
    append(&store, &mut acknowledged).await.unwrap();
    if case.starts_with("a_full") {
        full(&store, disk, &mut acknowledged).await;
    } else {
        read_only(&store, disk, &mut acknowledged).await;
    }
    store.close().await.unwrap();
    let store = FsBackend::open(&root).await.unwrap();
    assert_eq!(length(&store).await, acknowledged);
    assert_eq!(store.check().await.unwrap(), []);
    store.close().await.unwrap();
}

async fn full(store: &FsBackend, disk: &Path, acknowledged: &mut u64) {
    let path = disk.join("filler");
    let mut filler = File::create(&path).unwrap();
    // Fills all the room there is.
    while filler.write_all(&[1; 4096]).is_ok() {}
    let mut refused = 0;
    for _ in 0..40 {
        match append(store, acknowledged).await {
            Ok(()) => {}
            Err(Error::Full(_)) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(length(store).await, *acknowledged);
    }
    assert!(refused > 0, "the disk never was full");
    drop(filler);
    fs::remove_file(path).unwrap();
    append(store, acknowledged).await.unwrap();
}

async fn read_only(store: &FsBackend, disk: &Path, acknowledged: &mut u64) {
    let mount = |args: &[&str]| assert!(Command::new("mount").args(args).arg(disk).status().unwrap().success());
    // A disk with files that are open for writing does not turn read-only, but a bind mount of it does.
    mount(&["--bind", disk.to_str().unwrap()]);
    mount(&["-o", "remount,bind,ro"]);
    let mut refused = 0;
    for _ in 0..40 {
        // Open files can still be written; anything that needs another file is refused.
        match append(store, acknowledged).await {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.code(), "unavailable", "{error:?}");
                refused += 1;
            }
        }
        assert_eq!(length(store).await, *acknowledged);
    }
    assert!(refused > 0, "the disk never was read-only");
    mount(&["-o", "remount,bind,rw"]);
    append(store, acknowledged).await.unwrap();
}

async fn append(store: &FsBackend, acknowledged: &mut u64) -> nofx_core::Result<()> {
    let entry = NewEntry {
        at: Timestamp::from_millis(*acknowledged as i64),
        body: Body::trusted(format!("\"{}\"", "x".repeat(20_000))),
    };
    let record = RecordKey::new(Kind::of("note"), format!("n{acknowledged}")).unwrap();
    let batch = Batch::new(Sources::default().batch_id());
    let batch = batch.append(talk(), vec![entry]).put(record, Expect::Any, Body::trusted("1"));
    store.commit(vec![batch]).await?;
    *acknowledged += 1;
    Ok(())
}

async fn length(store: &FsBackend) -> u64 {
    let heads = store.heads(&[talk()]).await.unwrap();
    let length = heads[0].length;
    let newest = store.read(&LogQuery::newest_first(talk(), 1)).await.unwrap();
    assert_eq!(newest.items.first().map_or(0, |entry| entry.position + 1), length);
    length
}

fn talk() -> LogKey {
    LogKey::new(Kind::of("talk"), "x").unwrap()
}
