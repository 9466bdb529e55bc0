//! Random damage: corrupted input for everything that reads bytes.
//!
//! Valid inputs are mutated over and over, in the same way for the same seed. cargo-fuzz needs a nightly compiler, and
//! its coverage data helps little behind a checksum. This runs in an ordinary test, on any machine, and a finding is
//! recorded by its seed alone.
//!
//! The mutated files are in a folder `seeds` beside the test ([`seeds`]): small, of every kind, written by this
//! project, and including former findings. In addition, the version under test creates stores for each run.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `NOFX_FUZZ_SECONDS` | how long to run; if not set, a number of inputs that takes seconds |
//! | `NOFX_FUZZ_SEED` | the first seed, such as one that was printed; 0 |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use nofx_core::{
    Batch, Body, Changes, Deadline, Direction, Expect, Kind, LogKey, LogQuery, LogScan, NewEntry, PersistenceBackend,
    RecordKey, ScanQuery, Sources, Timestamp,
};

use crate::chance::Chance;
use crate::workload::{Chat, Size};

/// No input that small takes this long, on any machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Tries inputs, each generated from its own seed: `usually` of them, or for as long as the environment says.
///
/// Prints the seed of an input that panics, and aborts the process on one that does not finish.
pub fn fuzz(name: &str, usually: u64, mut try_one: impl FnMut(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = number("NOFX_FUZZ_SEED").unwrap_or_default();
    let seconds = number("NOFX_FUZZ_SECONDS").map(|seconds| Deadline::after(Duration::from_secs(seconds)));
    let (begin, begun) = channel();
    let told = name.to_owned();
    let watch = std::thread::spawn(move || {
        let mut current = first;
        loop {
            match begun.recv_timeout(PATIENCE) {
                Ok(seed) => current = seed,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!("{told}: the input of seed {current} takes longer than {PATIENCE:?}");
                    std::process::abort();
                }
            }
        }
    });
    let mut tried = 0;
    while seconds.as_ref().map_or(tried < usually, |deadline| !deadline.has_passed()) {
        let told = Told { name, seed: first + tried };
        // This holds the only sender, and the receiver lives until it is dropped.
        _ = begin.send(told.seed);
        try_one(told.seed);
        tried += 1;
    }
    drop(begin);
    assert!(watch.join().is_ok());
    println!("{name}: {tried} inputs from seed {first}; the process had {} MiB at most", most_memory() >> 20);
    assert!(most_memory() < 2 << 30, "some input takes more than two GiB of memory");
}

/// Returns all regular files below a folder, by relative path.
pub fn seeds(root: &Path) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => {
                    let path = entry.path().strip_prefix(root).unwrap_or(&entry.path()).to_owned();
                    files.insert(path, std::fs::read(entry.path())?);
                }
                _ => {}
            }
        }
    }
    Ok(files)
}

/// Writes files below a folder.
pub fn plant(root: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> std::io::Result<()> {
    files.iter().try_for_each(|(path, bytes)| {
        let path = root.join(path);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, bytes)
    })
}

/// Prints which input it was if that panics.
struct Told<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: seed {}", self.name, self.seed);
        }
    }
}

/// Returns the peak memory of this process, where the system reports it.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10
}

/// Damages bytes, in the same way for the same seed.
#[derive(Debug)]
pub struct Mutator(Chance);

/// Fragments that mean something to some reader.
const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"\\",
    b"\n",
    b"\r\n",
    b"\0",
    b"\\u",
    b"\\ud83d",
    b"1e999999999",
    b"-",
    b"null",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"{\"id\":",
    b"\"sessions\":[",
    b"\"agents\":[",
    b"\"conversationHistory\":[",
    b"\x28\xb5\x2f\xfd",
    b"18446744073709551615",
    b"9007199254740993",
];

impl Mutator {
    /// Starts the damage of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Chance::new(seed))
    }

    /// Returns a number below `end`, or 0.
    pub fn below(&self, end: usize) -> usize {
        self.0.below(end)
    }

    /// Returns `true` with a probability of one in `times`.
    pub fn once_in(&self, times: usize) -> bool {
        self.0.once_in(times)
    }

    /// Damages some bytes, in one place or several.
    pub fn mutate(&self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4).saturating_mul(self.below(3)) {
            self.mutate_once(bytes);
        }
    }

    fn mutate_once(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let from = self.below(length);
        let to = (from + self.below([2, 9, 300, length][self.below(4)])).min(length);
        match self.below(11) {
            0 => bytes.truncate(from),
            1 => bytes[from..to].fill(0),
            2 => bytes[from..to].fill(0xff),
            3 => _ = bytes.drain(from..to),
            4 => {
                // Limits growth.
                let piece = bytes[from..to.min(from + (1 << 20))].to_vec();
                let place = self.below(length);
                bytes.splice(place..place, piece);
            }
            5 => {
                let piece = bytes[from..to].to_vec();
                let place = self.below(length - piece.len());
                bytes[place..place + piece.len()].copy_from_slice(&piece);
            }
            6 => {
                let number = [0, 1, u64::from(u32::MAX), u64::MAX, 1 << 31, 1 << 63, length as u64][self.below(7)];
                let width = [1, 2, 4, 8][self.below(4)].min(length - from);
                bytes[from..from + width].copy_from_slice(&number.to_le_bytes()[..width]);
            }
            7 => {
                let piece = self.0.pick(PIECES);
                let times = if self.once_in(20) { 20_000 } else { 1 };
                bytes.splice(from..from, piece.repeat(times));
            }
            8 => bytes[from..to].reverse(),
            _ if length > 0 => bytes[from] ^= 1 << self.below(8),
            _ => bytes.push(self.below(256) as u8),
        }
    }
}

/// What was committed to a store, and everything that a damaged copy of it may return.
#[derive(Debug, Default)]
pub struct Stored {
    records: BTreeMap<RecordKey, BTreeSet<String>>,
    entries: BTreeMap<(LogKey, u64), String>,
}

const KIND: Kind = Kind::of("fuzzed");

impl Stored {
    /// Fills an empty store with some of everything: records that were overwritten and deleted; logs that are open,
    /// sealed and removed, long and short.
    pub async fn fill(backend: &dyn PersistenceBackend) -> nofx_core::Result<Self> {
        Self::fill_with(backend, [3, 300, 200, 5]).await
    }

    /// Fills an empty store with so little that it can be stored as a seed.
    pub async fn fill_little(backend: &dyn PersistenceBackend) -> nofx_core::Result<Self> {
        Self::fill_with(backend, [3, 20, 10, 5]).await
    }

    async fn fill_with(backend: &dyn PersistenceBackend, lengths: [usize; 4]) -> nofx_core::Result<Self> {
        let mut stored = Self::default();
        let sources = Sources::default();
        let mut chat = Chat::new(1, Size::Usual);
        let mut commit = async |batch: Batch| {
            for write in &batch.writes {
                if let Some(body) = &write.body {
                    stored.records.entry(write.key.clone()).or_default().insert(body.to_string());
                }
            }
            backend.commit(vec![batch]).await.map(drop)
        };
        let batch = || Batch::new(sources.batch_id());
        for round in 0..3 {
            for number in 0..12 {
                let key = RecordKey::new(KIND, format!("record {number}"))?;
                let body = Body::trusted(format!(r#"{{"round":{round},"text":"{}"}}"#, "x".repeat(number * 40)));
                commit(batch().put(key, Expect::Any, body)).await?;
            }
        }
        commit(batch().delete(RecordKey::new(KIND, "record 3")?, Expect::Any)).await?;
        let mut entries = BTreeMap::new();
        for (name, length) in ["short", "long", "sealed", "removed"].into_iter().zip(lengths) {
            let log = LogKey::new(KIND, name)?;
            let all: Vec<NewEntry> = chat.by_ref().take(length).collect();
            for (position, entry) in (0..).zip(&all) {
                entries.insert((log.clone(), position), entry.body.to_string());
            }
            for part in all.chunks(60) {
                commit(batch().append(log.clone(), part.to_vec())).await?;
            }
            match name {
                "sealed" => commit(batch().seal(log)).await?,
                "removed" => commit(batch().remove(log)).await?,
                _ => {}
            }
        }
        stored.entries = entries;
        Ok(stored)
    }

    /// Reads everything in a damaged store, and writes to it. Errors are acceptable; values that were never committed
    /// are not, nor are endless reads. Returns how many answers were errors.
    pub async fn exercise(&self, backend: &dyn PersistenceBackend) -> usize {
        let mut errors = self.read(backend).await;
        let batch = Batch::new(Sources::default().batch_id());
        let entry = NewEntry { at: Timestamp::default(), body: Body::trusted("\"new\"".to_owned()) };
        if let (Ok(key), Ok(log)) = (RecordKey::new(KIND, "new"), LogKey::new(KIND, "new")) {
            let batch = batch.put(key, Expect::Any, entry.body.clone()).append(log, vec![entry]);
            errors += usize::from(backend.commit(vec![batch]).await.is_err());
        }
        errors += self.read(backend).await;
        errors + usize::from(backend.close().await.is_err())
    }

    async fn read(&self, backend: &dyn PersistenceBackend) -> usize {
        let mut errors = 0;
        let mut query = ScanQuery::all(7);
        for page in 0.. {
            assert!(page < 1000, "records without end");
            match backend.scan(&query).await {
                Ok(page) => {
                    page.items.iter().for_each(|record| self.check_record(&record.key, record.body.as_str()));
                    match page.items.last().filter(|_| page.more) {
                        Some(last) => query.after = Some(last.key.clone()),
                        None => break,
                    }
                }
                Err(_) => {
                    errors += 1;
                    break;
                }
            }
        }
        for key in self.records.keys() {
            match backend.get(std::slice::from_ref(key)).await {
                Ok(found) => found.iter().flatten().for_each(|record| self.check_record(key, record.body.as_str())),
                Err(_) => errors += 1,
            }
        }
        errors += usize::from(backend.logs(&LogScan::all(100)).await.is_err());
        let logs: BTreeSet<&LogKey> = self.entries.keys().map(|(log, _)| log).collect();
        for log in logs {
            errors += usize::from(backend.heads(std::slice::from_ref(log)).await.is_err());
            for direction in [Direction::Forward, Direction::Backward] {
                errors += self.read_log(backend, log, direction).await;
            }
        }
        errors + self.follow(backend).await
    }

    fn check_record(&self, key: &RecordKey, body: &str) {
        let is_known = self.records.get(key).is_some_and(|bodies| bodies.contains(body)) || body == "\"new\"";
        assert!(is_known, "{key} was never {body:.200}");
    }

    async fn read_log(&self, backend: &dyn PersistenceBackend, log: &LogKey, direction: Direction) -> usize {
        // From several positions, so that entries after a damaged one are read as well.
        let mut errors = 0;
        for from in [0, 1, 59, 60, 150, 299] {
            let mut query = LogQuery::oldest_first(log.clone(), 50).within(from..from + 100);
            query.direction = direction;
            match backend.read(&query).await {
                Ok(page) => {
                    for entry in page.items {
                        let body = self.entries.get(&(log.clone(), entry.position));
                        let is_known = body.is_some_and(|body| body == entry.body.as_str());
                        assert!(is_known, "{log} at {} was never {:.200}", entry.position, entry.body.as_str());
                    }
                }
                Err(_) => errors += 1,
            }
        }
        errors
    }

    async fn follow(&self, backend: &dyn PersistenceBackend) -> usize {
        let mut after = None;
        for page in 0.. {
            assert!(page < 1000, "changes without end, now after {after:?}");
            match backend.changes(after.as_ref(), 50).await {
                Ok(Changes::Page(page)) if page.changes.is_empty() => break,
                Ok(Changes::Page(page)) => after = Some(page.next),
                Ok(Changes::Gap { newest }) if after.as_ref() != Some(&newest) => after = Some(newest),
                Ok(Changes::Gap { .. }) => break,
                Err(_) => return 1,
            }
        }
        0
    }
}
