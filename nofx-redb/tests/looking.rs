//! Readers leave no trace, wait for no writer, and see the state from which the next writer continues.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{batch, body, entries, log, open, open_with, record};
use nofx_core::{Expect, KeyQuery, LogQuery, Outcome, PersistenceBackend};
use nofx_redb::{Access, Options, Probe, RedbBackend};

/// Counts accesses to the file.
#[derive(Debug, Default)]
struct Counting {
    read: AtomicU64,
    changes: AtomicU64,
}

impl Probe for Counting {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        match access {
            Access::Read { length, .. } => _ = self.read.fetch_add(*length as u64, Ordering::SeqCst),
            Access::Lock => {}
            _ => _ = self.changes.fetch_add(1, Ordering::SeqCst),
        }
        Ok(())
    }
}

async fn reader(path: &Path, probe: Option<Arc<dyn Probe>>) -> nofx_core::Result<RedbBackend> {
    let mut options = Options::default();
    (options.create, options.read_only, options.probe) = (false, true, probe);
    RedbBackend::open_with(path, options).await
}

fn text(n: u64) -> String {
    format!("\"{n:05} {}\"", (0..20).map(|at| format!("{:x} ", (n + 1) * (at + 7) * 2_654_435_761)).collect::<String>())
}

/// A store with this many records, in a folder of its own.
async fn filled(path: &Path, records: u64) -> RedbBackend {
    let store = open_with(path, |options| options.idle = Duration::from_secs(600)).await;
    for first in (0..records).step_by(100) {
        let put = |n: u64| batch().put(record(&format!("{n:05}")), Expect::Any, body(&text(n)));
        store.commit((first..records.min(first + 100)).map(put).collect()).await.unwrap();
    }
    store.commit(vec![batch().append(log("l"), entries(0..30))]).await.unwrap();
    store
}

/// Everything that can be seen of a folder from outside, except when its files were read.
fn seen(folder: &Path) -> Vec<(PathBuf, Vec<u8>, i64, i64, u32, u32)> {
    let mut seen: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let found = fs::metadata(&path).unwrap();
            (path.clone(), fs::read(&path).unwrap(), found.mtime(), found.mtime_nsec(), found.uid(), found.mode())
        })
        .collect();
    seen.sort();
    seen
}

/// Reads a page of each kind, as lists and conversations do.
async fn looks(path: &Path, probe: Option<Arc<dyn Probe>>, records: u64) {
    let store = reader(path, probe).await.unwrap();
    assert_eq!(store.scan(&KeyQuery::all(10)).await.unwrap().items.len(), 10);
    let last = record(&format!("{:05}", records - 1));
    assert_eq!(store.get(&[last]).await.unwrap()[0].as_ref().unwrap().body, body(&text(records - 1)));
    assert_eq!(store.read(&LogQuery::newest_first(log("l"), 10)).await.unwrap().items[0].position, 29);
    assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 30);
    store.changes(None, 3).await.unwrap();
    let put = batch().put(record("x"), Expect::Any, body("1"));
    let refused = store.commit(vec![put]).await.unwrap_err();
    assert!(matches!(refused.code(), "invalid" | "unavailable"), "{refused}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_writes_nothing_and_reads_little_whatever_state_the_file_is_in() {
    // Below and above the sizes at which closing used to check for gaps.
    for records in [100, 3000] {
        for state in ["closed", "in use", "killed"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.redb");
            let store = filled(&path, records).await;
            match state {
                "closed" => store.close().await.unwrap(),
                "killed" => {
                    let crashed = fs::read(&path).unwrap();
                    store.close().await.unwrap();
                    fs::remove_file(dir.path().join("a.redb.lock")).unwrap();
                    fs::write(&path, crashed).unwrap();
                }
                _ => {}
            }
            let length = fs::metadata(&path).unwrap().len();
            assert_eq!(length > 256 << 10, records > 1000, "{length}");
            let before = seen(dir.path());
            // Another name for the same file, so that it is opened separately from the writer.
            let folder = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
            let other = folder.path().join("b.redb");
            fs::hard_link(&path, &other).unwrap();
            let counting = Arc::new(Counting::default());
            looks(&other, Some(counting.clone()), records).await;
            assert_eq!(counting.changes.load(Ordering::SeqCst), 0, "{records} {state}");
            let read = counting.read.load(Ordering::SeqCst);
            assert!(read < 300_000, "{read} of {length} bytes read, {state}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            assert!(seen(dir.path()) == before, "{records} {state}: something changed");
        }
    }
}

const READER: &str = "NOFX_REDB_TEST_READER";

#[tokio::test]
#[ignore = "runs only as a child of the next test"]
async fn looks_as_another_user() {
    looks(Path::new(&std::env::var_os(READER).unwrap()), None, 3000).await;
}

#[tokio::test]
async fn another_user_who_may_only_read_the_file_reads_it() {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    for killed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        let store = filled(&path, 3000).await;
        let crashed = fs::read(&path).unwrap();
        store.close().await.unwrap();
        if killed {
            fs::write(&path, crashed).unwrap();
        }
        fs::remove_file(dir.path().join("a.redb.lock")).unwrap();
        let program = dir.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let before = seen(dir.path());
        let mut child = Command::new(&program);
        child.args(["--exact", "looks_as_another_user", "--ignored"]).env(READER, &path).current_dir(dir.path());
        if is_root {
            child.uid(65_534).gid(65_534);
        }
        let done = child.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
        assert!(seen(dir.path()) == before);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Runs something once, in the middle of the first access of a kind after it was armed.
struct Interruption {
    is_armed: AtomicBool,
    when: fn(&Access<'_>) -> bool,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl fmt::Debug for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interruption")
    }
}

impl Interruption {
    fn new(when: fn(&Access<'_>) -> bool, act: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Arc::new(Self { is_armed: AtomicBool::new(false), when, act: Mutex::new(Some(Box::new(act))) })
    }
}

impl Probe for Interruption {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        if (self.when)(access) && self.is_armed.load(Ordering::SeqCst) {
            let act = self.act.lock().unwrap().take();
            if let Some(act) = act {
                act();
            }
        }
        Ok(())
    }
}

/// Waits for something on a separate thread and runtime.
fn apart(act: impl Future<Output = ()> + Send + 'static) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime().block_on(act)).join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_starts_while_one_reads_what_a_killed_one_left_takes_nothing_from_the_read() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("a.redb"), dir.path().join("b.redb"));
    let store = filled(&path, 3000).await;
    let crashed = fs::read(&path).unwrap();
    store.close().await.unwrap();
    drop(store);
    fs::write(&path, crashed).unwrap();
    fs::hard_link(&path, &other).unwrap();
    let writes = async move {
        let store = open(&other).await;
        for round in 0..5 {
            for first in (0..3000).step_by(500) {
                let put = |n: u64| {
                    batch().put(
                        record(&format!("{n:05}")),
                        Expect::Any,
                        body(&format!("\"{round} {}", text(n).trim_start_matches('"'))),
                    )
                };
                store.commit((first..first + 500).map(put).collect()).await.unwrap();
            }
        }
        store.close().await.unwrap();
    };
    static PAGES: AtomicU64 = AtomicU64::new(0);
    let interruption = Interruption::new(
        |access| matches!(access, Access::Read { offset: 4096.., .. }) && PAGES.fetch_add(1, Ordering::SeqCst) == 40,
        move || apart(writes),
    );
    let store = reader(&path, Some(interruption.clone())).await.unwrap();
    PAGES.store(0, Ordering::SeqCst);
    interruption.is_armed.store(true, Ordering::SeqCst);
    let page = store.scan(&KeyQuery::all(3000)).await.unwrap();
    assert!(interruption.act.lock().unwrap().is_none(), "nothing happened in between");
    for (found, n) in page.items.iter().zip(0..) {
        assert_eq!(found.body, body(&text(n)));
    }
    assert!(page.items.len() > 1000);
    // The next read sees what was committed.
    assert!(store.scan(&KeyQuery::all(1)).await.unwrap().items[0].body.as_str().starts_with("\"4 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_after_a_kill_is_what_the_next_writer_goes_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let (path, same, copy) = (dir.path().join("a.redb"), dir.path().join("b.redb"), dir.path().join("c.redb"));
    open(&path).await.close().await.unwrap();
    fs::hard_link(&path, &same).unwrap();
    let looked = {
        let (path, copy) = (path.clone(), copy.clone());
        move || {
            // The commit is the newest one, and its header may not be on the disk yet.
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes[9] & 8, 8, "{:x}", bytes[9]);
            fs::write(&copy, bytes).unwrap();
            apart(async move {
                let store = reader(&same, None).await.unwrap();
                assert_eq!(
                    store.heads(&[log("l")]).await.unwrap()[0].length,
                    2,
                    "nothing that a power cut may take is shown"
                );
            });
        }
    };
    // The flush after the write of the header that makes the commit the newest one.
    static IS_NEWEST: AtomicBool = AtomicBool::new(false);
    let interruption = Interruption::new(
        |access| match access {
            Access::Write { offset: 0, bytes } => {
                IS_NEWEST.store(bytes[9] & 8 != 0, Ordering::SeqCst);
                false
            }
            access => *access == Access::Flush && IS_NEWEST.load(Ordering::SeqCst),
        },
        looked,
    );
    let store = open_with(&path, |options| options.probe = Some(interruption.clone())).await;
    store.commit(vec![batch().append(log("l"), entries(0..2))]).await.unwrap();
    interruption.is_armed.store(true, Ordering::SeqCst);
    store.commit(vec![batch().append(log("l"), entries(2..3))]).await.unwrap();
    assert!(interruption.act.lock().unwrap().is_none());

    let killed = open(&copy).await;
    let length = killed.heads(&[log("l")]).await.unwrap()[0].length;
    assert_eq!(length, 3);
    let append = batch().append_at(log("l"), length, entries(length..length + 1));
    assert!(matches!(killed.commit(vec![append]).await.unwrap()[0], Outcome::Committed(_)));
    assert_eq!(killed.read(&LogQuery::oldest_first(log("l"), 10)).await.unwrap().items.len(), 4);
}

/// Answers each lock as a file system without locks does.
#[derive(Debug)]
struct NoLocks(i32);

impl Probe for NoLocks {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        if *access == Access::Lock { Err(io::Error::from_raw_os_error(self.0)) } else { Ok(()) }
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn where_locks_do_not_work_a_store_is_read_and_a_commit_says_so() {
    for code in [37, 95, 22] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        filled(&path, 100).await.close().await.unwrap();
        looks(&path, Some(Arc::new(NoLocks(code))), 100).await;
        let store = open_with(&path, |options| options.probe = Some(Arc::new(NoLocks(code)))).await;
        assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 30);
        let error = store.commit(vec![batch().append(log("l"), entries(0..1))]).await.unwrap_err();
        assert!(error.code() == "unavailable" && error.to_string().contains("locks do not work"), "{error}");
        assert!(error.to_string().contains("a.redb"), "{error}");
        assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 30);
    }
}
