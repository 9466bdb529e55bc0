//! Several processes on one folder, some of which are killed.
//!
//! `NOFX_FS_SECONDS` sets how long the long test takes; `NOFX_FS_KILLS` how often a writer is killed.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nofx_core::{
    Batch, Body, Deadline, Error, Expect, Kind, LogKey, LogQuery, NewEntry, Outcome, PersistenceBackend, RecordKey,
    Result, Sources, Timestamp,
};
use nofx_fs::FsBackend;

const ROLE: &str = "NOFX_FS_ROLE";
const FOLDER: &str = "NOFX_FS_FOLDER";

fn record(id: &str) -> RecordKey {
    RecordKey::new(Kind::of("note"), id).unwrap()
}

fn log(id: &str) -> LogKey {
    LogKey::new(Kind::of("talk"), id).unwrap()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The three records and two logs that every batch changes together.
struct Fives {
    store: FsBackend,
}

impl Fives {
    async fn open(folder: &Path) -> Result<Self> {
        Ok(Self { store: FsBackend::open(&folder.join("store")).await? })
    }

    fn keys() -> [RecordKey; 3] {
        ["a", "b", "c"].map(record)
    }

    /// Reads the number that the three records share.
    async fn number(&self) -> Result<(u64, Expect)> {
        let found = self.store.get(&Self::keys()).await?;
        let Some(first) = &found[0] else {
            assert!(found.iter().all(Option::is_none), "half a batch: {found:?}");
            return Ok((0, Expect::Absent));
        };
        for other in found.iter().flatten() {
            assert_eq!((other.version, &other.body), (first.version, &first.body), "half a batch: {found:?}");
        }
        assert_eq!(found.iter().flatten().count(), 3, "half a batch: {found:?}");
        Ok((first.body.as_str().parse().unwrap(), Expect::At(first.version)))
    }

    /// Commits the next number; `None` if another process committed first.
    async fn step(&self, told: &str) -> Result<Option<u64>> {
        let (number, expect) = self.number().await?;
        let next = number + 1;
        let mut batch = Batch::new(Sources::default().batch_id());
        for key in Self::keys() {
            batch = batch.put(key, expect, Body::trusted(next.to_string()));
        }
        for id in ["x", "y"] {
            let body = Body::trusted(format!("{{\"n\":{next},\"by\":\"{told}\"}}"));
            batch = batch.append_at(log(id), number, vec![NewEntry { at: Timestamp::from_millis(next as i64), body }]);
        }
        match self.store.commit(vec![batch]).await?.remove(0) {
            Outcome::Committed(committed) => {
                assert_eq!(committed.appended, [number..next, number..next]);
                Ok(Some(next))
            }
            Outcome::Conflicted(_) => Ok(None),
        }
    }

    /// Checks everything, and returns the number.
    async fn look(&self) -> Result<u64> {
        let (before, _) = self.number().await?;
        let mut ends = Vec::new();
        for id in ["x", "y"] {
            let page = self.store.read(&LogQuery::newest_first(log(id), 5)).await?;
            for entry in &page.items {
                let expected = format!("{{\"n\":{},", entry.position + 1);
                assert!(entry.body.as_str().starts_with(&expected), "{entry:?}");
            }
            let end = page.items.first().map_or(0, |entry| entry.position + 1);
            assert!(end >= before, "log {id} ends at {end}, the records said {before}");
            ends.push(end);
        }
        let (after, _) = self.number().await?;
        assert!(ends.iter().all(|end| *end <= after), "logs end at {ends:?}, the records say {after}");
        Ok(after)
    }
}

/// What a child does; only run by the tests below.
#[tokio::test]
#[ignore = "run by the other tests, in processes of their own"]
async fn child() {
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let role = std::env::var(ROLE).unwrap();
    let fives = Fives::open(&folder).await.unwrap();
    match role.as_str() {
        "writes" => {
            let path = folder.join(format!("told-{}", std::process::id()));
            let mut told = OpenOptions::new().create(true).append(true).open(path).unwrap();
            for count in 0.. {
                let name = format!("{}-{count}", std::process::id());
                match fives.step(&name).await {
                    // In one write, so that a kill leaves no partial line.
                    Ok(Some(number)) => told.write_all(format!("{number} {name}\n").as_bytes()).unwrap(),
                    Ok(None) | Err(Error::Locked { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        _ => {
            let mut last = 0;
            loop {
                let seen = fives.look().await.unwrap_or_else(|error| panic!("{error:?}"));
                assert!(seen >= last, "{seen} after {last}");
                last = seen;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

fn start(folder: &Path, role: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child", "--nocapture"]).env(ROLE, role).env(FOLDER, folder);
    let errors = File::create(folder.join(format!("errors-{role}-{}", Sources::default().batch_id()))).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap()
}

/// Checks that everything acknowledged to a writer is there, and returns how much that is.
async fn check_acknowledged(folder: &Path, fives: &Fives) -> usize {
    let last = fives.look().await.unwrap();
    let mut entries = Vec::new();
    while (entries.len() as u64) < last {
        let query = LogQuery::oldest_first(log("x"), 1000).within(entries.len() as u64..last);
        entries.extend(fives.store.read(&query).await.unwrap().items);
    }
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("told-") {
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines() {
            let Some((number, name)) = line.split_once(' ') else { continue };
            let number: u64 = number.parse().unwrap();
            let found = entries.get(number as usize - 1).map(|entry| entry.body.to_string());
            assert_eq!(found, Some(format!("{{\"n\":{number},\"by\":\"{name}\"}}")), "acknowledged and lost");
            count += 1;
        }
    }
    count
}

/// Returns what went wrong in the children.
fn complaints(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let errors = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("errors-"));
    errors.map(|path| fs::read_to_string(path).unwrap()).filter(|text| !text.is_empty()).collect()
}

#[tokio::test]
async fn writers_and_readers_agree_while_one_is_killed_each_second() {
    let dir = tempfile::tempdir().unwrap();
    let roles = ["writes", "writes", "writes", "writes", "looks", "looks", "looks", "looks"];
    let mut children: Vec<Child> = roles.iter().map(|role| start(dir.path(), role)).collect();
    let seconds = setting("NOFX_FS_SECONDS", 4);
    let deadline = Deadline::after(Duration::from_secs(seconds));
    let mut kills = 0;
    while !deadline.has_passed() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for child in &mut children {
            assert!(child.try_wait().unwrap().is_none(), "a child ended: {:?}", complaints(dir.path()));
        }
        let chance = Sources::default().batch_id().as_bytes()[15];
        let at = usize::from(chance) % children.len();
        children[at].kill().unwrap();
        children[at].wait().unwrap();
        children[at] = start(dir.path(), roles[at]);
        kills += 1;
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(complaints(dir.path()), Vec::<String>::new());
    let fives = Fives::open(dir.path()).await.unwrap();
    let told = check_acknowledged(dir.path(), &fives).await;
    println!("{seconds} s, {kills} kills, {told} batches acknowledged, 0 lost");
    assert!(told > 0);
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_was_acknowledged_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let rounds = setting("NOFX_FS_KILLS", 10);
    for round in 0..rounds {
        let mut writer = start(dir.path(), "writes");
        let told = dir.path().join(format!("told-{}", writer.id()));
        let patience = Deadline::after(Duration::from_secs(30));
        while fs::metadata(&told).map_or(0, |found| found.len()) == 0 && !patience.has_passed() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(round * 7 % 40)).await;
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    assert_eq!(complaints(dir.path()), Vec::<String>::new());
    let fives = Fives::open(dir.path()).await.unwrap();
    let told = check_acknowledged(dir.path(), &fives).await;
    println!("{rounds} kills, {told} batches acknowledged, 0 lost");
    // A killed process blocks no other.
    assert!(fives.step("after").await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_stopped_writer_is_named_within_the_time_that_one_waits() {
    use rustix::process::{Pid, Signal, kill_process};

    let dir = tempfile::tempdir().unwrap();
    let mut options = nofx_fs::Options::default();
    options.lock_wait = Duration::from_millis(300);
    let store = FsBackend::open_with(&dir.path().join("store"), options).await.unwrap();
    let fives = Fives { store };
    let mut writer = start(dir.path(), "writes");
    let pid = Pid::from_child(&writer);
    let mut named = None;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        kill_process(pid, Signal::STOP).unwrap();
        let waited = Deadline::after(Duration::from_secs(20));
        let answer = fives.step("here").await;
        // Reading continues all the while.
        fives.look().await.unwrap();
        assert!(!waited.has_passed());
        kill_process(pid, Signal::CONT).unwrap();
        match answer {
            // Stopped while it did not hold the lock.
            Ok(_) => {}
            Err(Error::Locked { holder, .. }) => {
                named = holder;
                break;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let holder = named.expect("a writer that was stopped while it held the lock");
    assert_eq!(holder.pid, writer.id());
    assert!(!holder.host.is_empty());
    writer.kill().unwrap();
    writer.wait().unwrap();
    assert_eq!(complaints(dir.path()), Vec::<String>::new());
    // What it left in the journal may come first.
    while fives.step("after").await.unwrap().is_none() {}
}
