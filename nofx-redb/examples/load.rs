//! Shows the memory that a mixed load needs: `cargo run --release -p nofx-redb --example load -- FOLDER SECONDS`.
//!
//! Several callers commit and read concurrently, as agents and their editor do, and all rest for a second every
//! fifteen. Every ten seconds a line shows the memory of the process and the size of the file.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nofx_core::{
    Batch, Body, Deadline, Expect, Kind, LogKey, LogQuery, LogScan, NewEntry, PersistenceBackend, RecordKey, ScanQuery,
    Sources, Timestamp,
};
use nofx_redb::RedbBackend;

const HISTORY: Kind = Kind::of("history");
const SESSION: Kind = Kind::of("session");

/// The number of concurrent callers.
const CALLERS: u64 = 12;

/// The number of sessions that they write to.
const SESSIONS: u64 = 200;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("in which folder?")?;
    let seconds = args.next().ok_or("for how many seconds?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    runtime.block_on(run(&Path::new(&folder).join("load.redb"), Duration::from_secs(seconds)))
}

async fn run(path: &Path, time: Duration) -> Result {
    let store = Arc::new(RedbBackend::open(path).await?);
    let begun = Deadline::after(time);
    let commits = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> =
        (0..CALLERS).map(|number| tokio::spawn(caller(store.clone(), number, time, commits.clone()))).collect();
    println!("seconds  commits  resident MiB  of it pages of files  file MiB");
    while !begun.has_passed() {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let file = fs::metadata(path)?.len() >> 20;
        let (resident, mapped) = (status("VmRSS:")? >> 10, status("RssFile:")? >> 10);
        println!(
            "{:>7}  {:>7}  {resident:>12}  {mapped:>19}  {file:>8}",
            begun.elapsed().as_secs(),
            commits.load(Ordering::Relaxed)
        );
    }
    for caller in callers {
        caller.await??;
    }
    store.close().await?;
    println!("closed: {} MiB resident, at most {} MiB", status("VmRSS:")? >> 10, status("VmHWM:")? >> 10);
    Ok(())
}

/// Returns a number of KiB that Linux reports for this process.
fn status(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the system does not say")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

async fn caller(store: Arc<RedbBackend>, number: u64, time: Duration, commits: Arc<AtomicU64>) -> Result {
    let (sources, end) = (Sources::default(), Deadline::after(time));
    let mut chance = Chance(number + 1);
    while !end.has_passed() {
        // Long enough for the file to be closed for writing.
        if end.elapsed().as_secs() % 15 == 14 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let session = format!("session-{}", chance.below(SESSIONS));
        let log = LogKey::new(HISTORY, session.as_str())?;
        let batch = Batch::new(sources.batch_id());
        match chance.below(100) {
            0..60 => {
                // A few are long, like files that an agent reads.
                let length = if chance.below(200) == 0 { 200_000 } else { 100 + chance.below(3000) };
                let entry = NewEntry { at: Timestamp::from_millis(0), body: chance.body(length)? };
                store.commit(vec![batch.append(log, vec![entry])]).await?;
                commits.fetch_add(1, Ordering::Relaxed);
            }
            60..75 => {
                let record = RecordKey::new(SESSION, session.as_str())?;
                store.commit(vec![batch.put(record, Expect::Any, chance.body(400)?)]).await?;
                commits.fetch_add(1, Ordering::Relaxed);
            }
            75..90 => _ = store.read(&LogQuery::newest_first(log, 50)).await?,
            90..95 => {
                let length = store.heads(std::slice::from_ref(&log)).await?.first().map_or(0, |head| head.length);
                let from = chance.below(length.max(1));
                store.read(&LogQuery::oldest_first(log, 1000).within(from..u64::MAX)).await?;
            }
            95..98 => _ = store.scan(&ScanQuery::of(SESSION, 100)).await?,
            98 => _ = store.logs(&LogScan::all(200)).await?,
            _ => _ = store.changes(None, 100).await?,
        }
    }
    Ok(())
}

/// Random-looking numbers that are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Returns a message of words, some of which are frequent.
    fn body(&mut self, length: u64) -> Result<Body> {
        let mut text = String::new();
        while (text.len() as u64) < length {
            let number = self.below(1 << 20);
            text.push_str(&if number.is_multiple_of(3) {
                format!("{number:x} ")
            } else {
                format!("word{} ", number % 500)
            });
        }
        Ok(Body::parse(&format!("{{\"content\":\"{text}\"}}"))?)
    }
}
