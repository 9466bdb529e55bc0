//! Durable appends of one message at a time, by several sessions at once.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nofx_core::entity::{Message, Role, Session};
use nofx_core::{Deadline, Store, Timestamp};
use nofx_redb::{Access, Options, Probe, RedbBackend};
use redb::{Builder, ConcurrencyMode, Database, ReadableTable, TableDefinition};
use tokio::runtime::Runtime;

use super::round::{Contestant, Turn, compare};
use crate::Result;

/// The bytes of a message's text.
pub(super) const MESSAGE: usize = 500;

const ROWS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("rows");

pub(super) fn run(rounds: usize, turn: Duration) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    for sessions in [1, 16, 256] {
        let folder = tempfile::tempdir_in(&target)?;
        let mut log = File::create(folder.path().join("log"))?;
        let alone = bare_redb(&folder.path().join("alone.redb"))?;
        let grouped = bare_redb(&folder.path().join("grouped.redb"))?;
        let counter = Arc::new(Counter::default());
        let store = runtime.block_on(open(&folder.path().join("store.redb"), counter.clone()))?;
        let mut contestants = [
            Contestant {
                name: "write + fdatasync, one after the other",
                turn: Box::new(|turn| timed(turn, || write_and_flush(&mut log))),
            },
            Contestant {
                name: "bare redb, a transaction each",
                turn: Box::new(|turn| timed(turn, || insert(&alone, 1))),
            },
            Contestant {
                name: "bare redb, one transaction for all sessions",
                turn: Box::new(|turn| timed(turn, || insert(&grouped, sessions))),
            },
            Contestant {
                name: "Store on redb",
                turn: Box::new(|turn| counted(&counter, || append(&runtime, &store, sessions, turn))),
            },
        ];
        compare(&format!("{sessions} sessions, {MESSAGE}-byte messages"), rounds, turn, &mut contestants)?;
        drop(contestants);
        runtime.block_on(store.close())?;
    }
    Ok(())
}

/// Repeats an act, which says how many operations it was, until the turn is over.
pub(super) fn timed(turn: Duration, mut act: impl FnMut() -> Result<u64>) -> Result<Turn> {
    let clock = Deadline::after(turn);
    let mut operations = 0;
    while !clock.has_passed() {
        operations += act()?;
    }
    Ok(Turn { operations, took: clock.elapsed(), ..Turn::default() })
}

pub(super) fn write_and_flush(log: &mut File) -> Result<u64> {
    log.write_all(&[b'x'; MESSAGE])?;
    log.sync_data()?;
    Ok(1)
}

fn bare_redb(path: &Path) -> Result<Database> {
    let mut builder = Builder::new();
    builder.set_concurrency_mode(ConcurrencyMode::SingleWriter).set_cache_size(32 << 20);
    Ok(builder.create(path)?)
}

/// Inserts one row for each session in one transaction.
fn insert(database: &Database, sessions: u64) -> Result<u64> {
    let transaction = database.begin_write()?;
    {
        let mut rows = transaction.open_table(ROWS)?;
        for session in 0..sessions {
            let last = rows.range((session, 0)..(session + 1, 0))?.next_back().transpose()?;
            let position = last.map_or(0, |(key, _)| key.value().1 + 1);
            rows.insert((session, position), [b'x'; MESSAGE].as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(sessions)
}

/// Counts what reaches the file.
#[derive(Debug, Default)]
struct Counter {
    flushes: AtomicU64,
    bytes: AtomicU64,
}

impl Probe for Counter {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        match access {
            Access::Write { bytes, .. } => self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed),
            Access::Flush => self.flushes.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        Ok(())
    }
}

async fn open(path: &Path, counter: Arc<Counter>) -> nofx_core::Result<Store> {
    let mut options = Options::default();
    options.probe = Some(counter);
    Ok(Store::new(Arc::new(RedbBackend::open_with(path, options).await?)))
}

/// Counts what reaches the file during a turn.
fn counted(counter: &Counter, turn: impl FnOnce() -> Result<Turn>) -> Result<Turn> {
    let now = || (counter.flushes.load(Ordering::Relaxed), counter.bytes.load(Ordering::Relaxed));
    let before = now();
    let turn = turn()?;
    let after = now();
    Ok(Turn { flushes: Some(after.0 - before.0), bytes: Some(after.1 - before.1), ..turn })
}

/// Lets each session append its messages, the next one when the last is durable.
pub(super) fn append(runtime: &Runtime, store: &Store, sessions: u64, turn: Duration) -> Result<Turn> {
    let clock = Deadline::after(turn);
    let operations = runtime.block_on(async {
        let tasks = (0..sessions).map(|session| {
            let store = store.clone();
            tokio::spawn(async move {
                let log = Session::history(&format!("session-{session}").into());
                let message = Message::new("m", Timestamp::from_millis(0), Role::User, "x".repeat(MESSAGE - 70));
                let mut appended = 0;
                while !clock.has_passed() {
                    store.append(&log, None, std::slice::from_ref(&message)).await?;
                    appended += 1;
                }
                Ok::<u64, nofx_core::Error>(appended)
            })
        });
        let mut operations = 0;
        for task in tasks.collect::<Vec<_>>() {
            operations += task.await??;
        }
        Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(operations)
    })?;
    Ok(Turn { operations, took: clock.elapsed(), ..Turn::default() })
}
