//! Several processes on one file: this program starts itself again as a child.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use common::{batch, body, entries, log, open, open_with, record};
use nofx_core::{Deadline, Error, Expect, LogQuery, NewEntry, Outcome, PersistenceBackend, Seq, Timestamp};
use nofx_redb::RedbBackend;

const ROLE: &str = "NOFX_REDB_TEST_ROLE";
const STORE: &str = "NOFX_REDB_TEST_STORE";

/// A child process that plays a role on a store.
struct Player {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Player {
    fn start(role: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "plays_a_role", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .env(STORE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let from = BufReader::new(child.stdout.take().unwrap()).lines();
        let to = child.stdin.take().unwrap();
        Self { child, to, from }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
    }

    /// Returns the next number that the child prints; `None` when it has ended.
    fn heard(&mut self) -> Option<u64> {
        loop {
            let line = self.from.next()?.ok()?;
            if let Some((_, number)) = line.split_once("> ") {
                return number.parse().ok();
            }
        }
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn wait(mut self) {
        drop(self.to);
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills the child. Returns the last number that it printed.
    fn kill(mut self) -> Option<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut last = None;
        while let Some(number) = self.heard() {
            last = Some(number);
        }
        last
    }
}

fn say(number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {number}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
#[ignore = "runs only as a child of the other tests"]
async fn plays_a_role() {
    let path = PathBuf::from(std::env::var_os(STORE).unwrap());
    match std::env::var(ROLE).unwrap().as_str() {
        "in turn" => in_turn(&path).await,
        "counter" => counter(&path).await,
        "writer" => writer(&path).await,
        "large" => large(open(&path).await).await,
        "large with a journal" => large(open_with(&path, |options| options.journal = true).await).await,
        "creator" => say(u64::from(open(&path).await.info().store.as_bytes()[15])),
        role => panic!("no role {role}"),
    }
}

/// Appends one entry for each line of input, and prints the previous length of the log.
async fn in_turn(path: &Path) {
    let store = open(path).await;
    for _ in std::io::stdin().lines() {
        let length = store.heads(&[log("l")]).await.unwrap()[0].length;
        store.commit(vec![batch().append_at(log("l"), length, entries(length..length + 1))]).await.unwrap();
        say(length);
    }
    store.close().await.unwrap();
}

/// Increments a counter a hundred times, in competition with others.
async fn counter(path: &Path) {
    let store = open_with(path, |options| options.lock_wait = Duration::from_secs(30)).await;
    for _ in 0..50 {
        loop {
            let found = store.get(&[record("counter")]).await.unwrap().remove(0);
            let (count, expect) = match found {
                Some(record) => (record.body.as_str().parse::<u64>().unwrap(), Expect::At(record.version)),
                None => (0, Expect::Absent),
            };
            let add = batch().put(record("counter"), expect, body(&(count + 1).to_string()));
            if let Outcome::Committed(_) = store.commit(vec![add]).await.unwrap().remove(0) {
                break;
            }
        }
    }
    store.close().await.unwrap();
}

/// Appends without end, and prints each position once it is durable.
async fn writer(path: &Path) {
    let store = open(path).await;
    let mut length = store.heads(&[log("l")]).await.unwrap()[0].length;
    loop {
        let append = batch().put(record("last"), Expect::Any, body(&length.to_string())).append_at(
            log("l"),
            length,
            entries(length..length + 1),
        );
        assert!(matches!(store.commit(vec![append]).await.unwrap()[0], Outcome::Committed(_)));
        say(length);
        length += 1;
    }
}

/// Writes and reads a body of 10 MB and a log of 100,000 entries, and prints the peak memory in KiB.
async fn large(store: RedbBackend) {
    let mut digits = String::from("\"");
    let mut state = 1_u64;
    while digits.len() < 10_000_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        digits.push_str(&format!("{:x}", state >> 20));
    }
    digits.push('"');
    let large = body(&digits);
    drop(digits);
    store.commit(vec![batch().put(record("large"), Expect::Absent, large.clone())]).await.unwrap();
    assert!(store.get(&[record("large")]).await.unwrap()[0].as_ref().unwrap().body == large);
    let entry = NewEntry { at: Timestamp::from_millis(0), body: large.clone() };
    store.commit(vec![batch().append(log("large"), vec![entry])]).await.unwrap();
    assert!(store.read(&LogQuery::oldest_first(log("large"), 10)).await.unwrap().items[0].body == large);
    drop(large);
    for hundred in 0..1000 {
        let entry = |n| NewEntry {
            at: Timestamp::from_millis(n),
            body: body(&format!("\"{}\"", format!("{:x} ", n * 7_919).repeat(60))),
        };
        let group = (0..10).map(|ten| {
            let first = hundred * 100 + ten * 10;
            batch().append(log("long"), (first..first + 10).map(entry).collect())
        });
        store.commit(group.collect()).await.unwrap();
    }
    let mut query = LogQuery::newest_first(log("long"), 1000);
    let mut read = 0;
    while let Some(last) = {
        let page = store.read(&query).await.unwrap();
        read += page.items.len();
        page.items.last().map(|entry| entry.position)
    } {
        query.range.end = last;
    }
    assert_eq!(read, 100_000);
    store.close().await.unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    say(peak.trim().trim_end_matches(" kB").parse().unwrap());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn large_things_take_a_bounded_amount_of_memory() {
    for role in ["large", "large with a journal"] {
        let dir = tempfile::tempdir().unwrap();
        let mut player = Player::start(role, &dir.path().join("a.redb"));
        let peak = player.heard().unwrap();
        player.wait();
        println!("{role}: {peak} KiB at most");
        assert!(peak * 1024 <= (64 << 20) + 3 * 10_000_000, "{role}: {peak} KiB");
    }
}

#[tokio::test]
async fn processes_write_in_turn_and_each_sees_what_the_other_has_committed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let store = open(&path).await;
    let mut other = Player::start("in turn", &path);
    let timer = Deadline::after(Duration::MAX);
    for round in 0..20 {
        other.send("go");
        assert_eq!(other.heard(), Some(2 * round));
        assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 2 * round + 1);
        let append = batch().append_at(log("l"), 2 * round + 1, entries(2 * round + 1..2 * round + 2));
        assert!(matches!(store.commit(vec![append]).await.unwrap()[0], Outcome::Committed(_)));
    }
    assert!(timer.elapsed() < Duration::from_secs(10), "{:?}", timer.elapsed());
    other.wait();
    assert_eq!(store.read(&LogQuery::oldest_first(log("l"), 100)).await.unwrap().items.len(), 40);
}

#[tokio::test]
async fn many_processes_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let players: Vec<_> = (0..4).map(|_| Player::start("counter", &path)).collect();
    players.into_iter().for_each(Player::wait);
    let store = open(&path).await;
    let counter = store.get(&[record("counter")]).await.unwrap().remove(0).unwrap();
    assert_eq!(counter.body, body("200"));
    assert_eq!(counter.version, Seq::new(200).unwrap());
}

#[tokio::test]
async fn processes_that_create_at_once_open_one_store() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        let mut players: Vec<_> = (0..4).map(|_| Player::start("creator", &path)).collect();
        let seen: Vec<_> = players.iter_mut().map(Player::heard).collect();
        assert!(seen.iter().all(|id| id.is_some() && *id == seen[0]), "{seen:?}");
        players.into_iter().for_each(Player::wait);
    }
}

#[tokio::test]
async fn a_stopped_writer_is_named_and_does_not_keep_others_from_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let mut other = Player::start("writer", &path);
    while other.heard() < Some(10) {}
    let store = open_with(&path, |options| options.lock_wait = Duration::from_millis(500)).await;
    let pid = other.child.id();
    let is_named =
        move |error: &Error| matches!(error, Error::Locked { holder: Some(holder), .. } if holder.pid == pid);
    let add = || store.commit(vec![batch().append(log("other"), entries(0..1))]);
    // For some microseconds of each commit the file cannot be read. A child that was stopped then is continued and
    // stopped again.
    let mut stops = 0;
    let found = loop {
        stops += 1;
        other.signal("-STOP");
        let timer = Deadline::after(Duration::MAX);
        let refused = add().await;
        let waited = timer.elapsed();
        // It may have been stopped between two turns, or while it held the turnstile.
        if let Err(error) = refused {
            assert!(is_named(&error), "{error}");
            assert!(waited >= Duration::from_millis(450), "{waited:?}");
        }
        assert!(waited < Duration::from_secs(2), "{waited:?}");
        match store.heads(&[log("l")]).await {
            Err(error) if is_named(&error) && stops < 10 => other.signal("-CONT"),
            found => break found.unwrap().remove(0),
        }
    };
    assert!(found.length >= 10);
    other.signal("-CONT");
    // The wait is only half a second, and on a busy disk a turn of the other process may take longer.
    let patience = Deadline::after(Duration::from_secs(30));
    loop {
        match add().await {
            Err(error) if is_named(&error) && !patience.has_passed() => {}
            committed => {
                committed.unwrap();
                break;
            }
        }
    }
    other.kill();
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let (mut acknowledged, mut found) = (0, 0);
    for round in 0..40_u64 {
        let mut player = Player::start("writer", &path);
        let first = player.heard().unwrap();
        std::thread::sleep(Duration::from_millis(round * 7 % 41));
        let last = player.kill().unwrap_or(first);
        let store = open(&path).await;
        let length = store.heads(&[log("l")]).await.unwrap()[0].length;
        assert!(length > last, "{length} entries, but {last} was acknowledged");
        let newest = store.read(&LogQuery::newest_first(log("l"), 1)).await.unwrap().items.remove(0);
        let marked = store.get(&[record("last")]).await.unwrap().remove(0).unwrap();
        assert_eq!(marked.body, newest.body, "a batch happens entirely");
        store.close().await.unwrap();
        (acknowledged, found) = (last + 1, length);
    }
    println!("{acknowledged} acknowledged, {found} found");
}
