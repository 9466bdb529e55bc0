//! A custom backend: a store in one file that several processes can share.
//!
//! `cargo run --example custom_backend` runs the whole conformance suite on it. Everything that a third party writes is here: an
//! implementation of [`PersistenceBackend`], a [`Factory`] of places to test it in, and a `main` of one line.
//!
//! The file is a journal: its first line names the store, and each further line is a group of batches as JSON, behind a checksum. A
//! commit is one line and one flush. Everything else is replay: a handle keeps a [`MemoryBackend`], and before each answer it reads the
//! lines that others have added. That is short and correct, but slow to open once the file is large.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use nofx_core::{
    Append, BackendInfo, Batch, BatchId, Body, Change, ChangePage, Changes, Cursor, Deadline, Durability, Error,
    Expect, Guard, Key, Kind, Limits, LogEntry, LogHead, LogQuery, LogScan, MemoryBackend, NewEntry, Outcome, Page,
    PersistenceBackend, Record, RecordKey, Result, ScanQuery, Seq, Sharing, Sources, StoreId, Timestamp, Write as Put,
    blocking,
};
use nofx_testkit::{Factory, Place};
use serde_json::{Value, json};

fn main() {
    nofx_testkit::conformance(Journals)
}

/// Creates journals in temporary folders.
struct Journals;

#[async_trait]
impl Factory for Journals {
    fn name(&self) -> &str {
        "journal"
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let folder = tempfile::tempdir().map_err(|error| Error::unavailable_because("a temporary folder", error))?;
        Ok(Arc::new(JournalPlace(folder)))
    }

    async fn reopen(&self, address: &str) -> Result<Arc<dyn PersistenceBackend>> {
        Ok(Arc::new(Journal::open(Path::new(address))?))
    }
}

struct JournalPlace(tempfile::TempDir);

impl JournalPlace {
    fn path(&self) -> PathBuf {
        self.0.path().join("store.journal")
    }
}

#[async_trait]
impl Place for JournalPlace {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        Ok(Arc::new(Journal::open(&self.path())?))
    }

    fn address(&self) -> Option<String> {
        self.path().to_str().map(str::to_owned)
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.0.path().to_owned())
    }
}

/// A handle on a store in one file.
#[derive(Debug)]
struct Journal {
    store: StoreId,
    replay: Arc<Mutex<Replay>>,
    /// The state after the lines replayed so far.
    memory: Arc<MemoryBackend>,
}

/// How far a handle has read, and the feed of changes so far.
#[derive(Debug)]
struct Replay {
    path: PathBuf,
    /// Shared, so that the holder of the write lock can still read.
    file: Arc<File>,
    /// Bytes of the lines that were replayed.
    length: u64,
    memory: Arc<MemoryBackend>,
    /// Every change since the journal began: a journal forgets nothing, so its feed has no gap.
    feed: Vec<Change>,
    /// The end of `feed`, as a cursor of `memory`.
    end: Option<Cursor>,
    closed: bool,
}

impl Journal {
    /// Opens a journal, creating it if it does not exist.
    fn open(path: &Path) -> Result<Self> {
        let opening = |error| Error::unavailable_because(format!("opening `{}`", path.display()), error);
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.read(true).append(true).create(true).open(path).map_err(opening)?;
        let memory = Arc::new(MemoryBackend::new());
        let file = Arc::new(file);
        let mut replay = Replay {
            path: path.into(),
            file,
            length: 0,
            memory: memory.clone(),
            feed: Vec::new(),
            end: None,
            closed: false,
        };
        let store = replay.begin()?;
        Ok(Self { store, replay: Arc::new(Mutex::new(replay)), memory })
    }

    /// Replays what others have added; every reading call begins with this.
    async fn catch_up(&self) -> Result<()> {
        let replay = self.replay.clone();
        blocking(move || open_one(&replay)?.catch_up()).await
    }
}

#[async_trait]
impl PersistenceBackend for Journal {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            backend: "journal",
            store: self.store,
            sharing: Sharing::Machine,
            durability: Durability::Disk,
            limits: Limits::GUARANTEED,
            read_only: None,
        }
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.catch_up().await?;
        self.memory.get(keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.catch_up().await?;
        self.memory.scan(query).await
    }

    async fn heads(&self, logs: &[nofx_core::LogKey]) -> Result<Vec<LogHead>> {
        self.catch_up().await?;
        self.memory.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.catch_up().await?;
        self.memory.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.catch_up().await?;
        self.memory.read(query).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.catch_up().await?;
        let feed = &open_one(&self.replay)?.feed;
        let cursor = |number: usize| Cursor::after(self.store, number as u64);
        let from = after.map_or(Ok(Some(0)), |cursor| cursor.commits_of(self.store))?;
        let rest = from.and_then(|from| feed.get(usize::try_from(from).ok()?..));
        let Some(rest) = rest else { return Ok(Changes::Gap { newest: cursor(feed.len()) }) };
        let changes: Vec<_> = rest.iter().take(limit).cloned().collect();
        let next = cursor(feed.len() - rest.len() + changes.len());
        Ok(Changes::Page(ChangePage { changes, next, newest: cursor(feed.len()) }))
    }

    // Without an `.await`, so a caller that stops waiting cannot stop it halfway.
    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let mut replay = open_one(&self.replay)?;
        group.iter().try_for_each(|batch| batch.validate(&Limits::GUARANTEED))?;
        if group.is_empty() {
            return Ok(Vec::new());
        }
        replay.commit(group)
    }

    async fn close(&self) -> Result<()> {
        // A commit in flight holds this lock, so close waits for it.
        self.replay.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}

/// Locks the replay of a handle that must not be closed.
fn open_one(replay: &Mutex<Replay>) -> Result<MutexGuard<'_, Replay>> {
    let replay = replay.lock().unwrap_or_else(PoisonError::into_inner);
    if replay.closed { Err(Error::Closed) } else { Ok(replay) }
}

impl Replay {
    /// Reads the first line, or writes it if there is none, and returns the id of the store.
    fn begin(&mut self) -> Result<StoreId> {
        let _turn = Turn::wait(&self.file, &self.path)?;
        let text = self.rest()?;
        let line = match text.split_inclusive('\n').next().filter(|line| line.ends_with('\n')) {
            Some(line) => line.to_owned(),
            None => {
                let line = line_of(&Sources::default().store_id().to_string());
                self.append(&line)?;
                line
            }
        };
        self.length = line.len() as u64;
        let id = text_of(&line).and_then(bytes_of);
        Ok(StoreId::from_bytes(id.ok_or_else(|| self.corrupt("its first line"))?))
    }

    /// Returns the text after the lines that were replayed.
    fn rest(&mut self) -> Result<String> {
        let reading = |error| Error::unavailable_because(format!("reading `{}`", self.path.display()), error);
        (&*self.file).seek(SeekFrom::Start(self.length)).map_err(reading)?;
        let mut bytes = Vec::new();
        (&*self.file).read_to_end(&mut bytes).map_err(reading)?;
        // A torn line may end within a character; it has no line break, so it is ignored.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn catch_up(&mut self) -> Result<()> {
        if self.file.metadata().is_ok_and(|file| file.len() == self.length) {
            return Ok(());
        }
        // The part after the last line break is being written, or was when its writer died: it was never acknowledged.
        for line in self.rest()?.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let group: Option<Value> = text_of(line).and_then(|text| serde_json::from_str(text).ok());
            let group: Option<Vec<Batch>> = group.as_ref().and_then(group_from);
            let group = group.ok_or_else(|| self.corrupt(&format!("the line at byte {}", self.length)))?;
            self.apply(group)?;
            self.length += line.len() as u64;
        }
        Ok(())
    }

    fn commit(&mut self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let _turn = Turn::wait(&self.file, &self.path)?;
        self.catch_up()?;
        let line = line_of(&Value::Array(group.iter().map(batch_to).collect()).to_string());
        self.append(&line)?;
        let outcomes = self.apply(group)?;
        self.length += line.len() as u64;
        Ok(outcomes)
    }

    /// Appends a line and flushes it. The caller holds the write lock.
    fn append(&mut self, line: &str) -> Result<()> {
        let writing = |error| Error::unknown_because(format!("writing `{}`", self.path.display()), error);
        // Cuts off what a killed process left of a line.
        self.file.set_len(self.length).map_err(writing)?;
        (&*self.file).write_all(line.as_bytes()).map_err(writing)?;
        self.file.sync_data().map_err(writing)
    }

    /// Judges and applies a group, and adds what changed to the feed.
    fn apply(&mut self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let unexpected = || Error::unavailable("a call to the memory did not finish at once");
        let outcomes = self.memory.commit(group).now_or_never().ok_or_else(unexpected)??;
        let news = self.memory.changes(self.end.as_ref(), usize::MAX).now_or_never().ok_or_else(unexpected)??;
        match news {
            Changes::Page(page) => {
                self.feed.extend(page.changes);
                self.end = Some(page.next);
                Ok(outcomes)
            }
            Changes::Gap { .. } => Err(Error::unavailable("a group of more batches than a store remembers")),
        }
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::corrupt(format!("`{}`: {what}", self.path.display()))
    }
}

/// Returns a line with its checksum, by which damage is noticed.
fn line_of(text: &str) -> String {
    format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes()))
}

/// Returns the text of a line; `None` if its checksum is wrong.
fn text_of(line: &str) -> Option<&str> {
    let text = line.strip_suffix('\n')?.get(9..)?;
    (line_of(text) == line).then_some(text)
}

/// The write lock, released when it is dropped.
struct Turn(Arc<File>);

impl Turn {
    fn wait(file: &Arc<File>, path: &Path) -> Result<Self> {
        let deadline = Deadline::after(Duration::from_secs(10));
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file.clone())),
                Err(TryLockError::WouldBlock) if deadline.has_passed() => {
                    return Err(Error::Locked { what: format!("`{}`", path.display()), holder: None });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
                Err(TryLockError::Error(error)) => return Err(locking(path, error)),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing the file releases the lock too.
        let _ = self.0.unlock();
    }
}

fn locking(path: &Path, error: io::Error) -> Error {
    Error::unavailable_because(format!("locking `{}`", path.display()), error)
}

// The rest is the format of a line: arrays of the parts of a batch, with bodies as strings so that not a byte of them changes.

fn batch_to(batch: &Batch) -> Value {
    let put = |write: &Put| json!([key_to(&write.key), expect_to(write.expect), write.body.as_ref().map(Body::as_str)]);
    let entry = |entry: &NewEntry| json!([entry.at.as_millis(), entry.body.as_str()]);
    let append = |append: &Append| {
        json!([key_to(&append.log), append.expect, append.entries.iter().map(entry).collect::<Vec<_>>()])
    };
    let guard = |guard: &Guard| match guard {
        Guard::Record { key, expect } => json!([key_to(key), expect_to(*expect)]),
        Guard::Length { log, length } => json!([key_to(log), { "length": length }]),
    };
    json!({
        "id": batch.id.to_string(),
        "writes": batch.writes.iter().map(put).collect::<Vec<_>>(),
        "appends": batch.appends.iter().map(append).collect::<Vec<_>>(),
        "seals": batch.seals.iter().map(key_to).collect::<Vec<_>>(),
        "removals": batch.removals.iter().map(key_to).collect::<Vec<_>>(),
        "guards": batch.guards.iter().map(guard).collect::<Vec<_>>(),
    })
}

fn group_from(line: &Value) -> Option<Vec<Batch>> {
    line.as_array()?.iter().map(batch_from).collect()
}

fn batch_from(value: &Value) -> Option<Batch> {
    let list = |name: &str| value[name].as_array();
    let put = |write: &Value| {
        let body = write[2].as_str().map(Body::trusted);
        Some(Put { key: key_from(&write[0])?, expect: expect_from(&write[1])?, body })
    };
    let entry = |entry: &Value| {
        Some(NewEntry { at: Timestamp::from_millis(entry[0].as_i64()?), body: Body::trusted(entry[1].as_str()?) })
    };
    let append = |append: &Value| {
        let entries = append[2].as_array()?.iter().map(entry).collect::<Option<_>>()?;
        Some(Append { log: key_from(&append[0])?, expect: append[1].as_u64(), entries })
    };
    let guard = |guard: &Value| match guard[1].get("length") {
        Some(length) => Some(Guard::Length { log: key_from(&guard[0])?, length: length.as_u64()? }),
        None => Some(Guard::Record { key: key_from(&guard[0])?, expect: expect_from(&guard[1])? }),
    };
    Some(Batch {
        id: BatchId::from_bytes(bytes_of(value["id"].as_str()?)?),
        writes: list("writes")?.iter().map(put).collect::<Option<_>>()?,
        appends: list("appends")?.iter().map(append).collect::<Option<_>>()?,
        seals: list("seals")?.iter().map(key_from).collect::<Option<_>>()?,
        removals: list("removals")?.iter().map(key_from).collect::<Option<_>>()?,
        guards: list("guards")?.iter().map(guard).collect::<Option<_>>()?,
    })
}

fn key_to(key: &impl Key) -> Value {
    json!([key.kind().as_str(), key.id()])
}

fn key_from<K: Key>(value: &Value) -> Option<K> {
    K::new(Kind::new(value[0].as_str()?).ok()?, value[1].as_str()?).ok()
}

fn expect_to(expect: Expect) -> Value {
    match expect {
        Expect::Any => Value::Null,
        Expect::Absent => json!("absent"),
        Expect::At(seq) => json!(seq.get()),
    }
}

fn expect_from(value: &Value) -> Option<Expect> {
    match value {
        Value::Null => Some(Expect::Any),
        Value::String(_) => Some(Expect::Absent),
        number => Seq::new(number.as_u64()?).map(Expect::At),
    }
}

fn bytes_of(hex: &str) -> Option<[u8; 16]> {
    (hex.len() == 32).then_some(())?;
    Some(u128::from_str_radix(hex, 16).ok()?.to_be_bytes())
}
