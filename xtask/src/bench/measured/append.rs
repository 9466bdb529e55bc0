//! Durable appends of one message at a time, by several sessions concurrently.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nofx::{Location, open};
use nofx_core::entity::{Message, Role, Session};
use nofx_core::{Deadline, Store, Timestamp};
use nofx_redb::{Access, Options, Probe, RedbBackend};
use tokio::runtime::Runtime;

use super::peers::{BareLoop, BareRedb, Fjall, JsonFiles, MESSAGE, OverZeros, Sqlite};
use super::report::{Picture, Section};
use super::round::{Contestant, Turn, compare};
use super::{runtime, scratch};
use crate::Result;

/// How many sessions append concurrently.
const SESSIONS: [u64; 3] = [1, 16, 64];

/// How many SQLite connections to use, one for each session; more only wait for each other.
const CONNECTIONS: u64 = 16;

/// Messages of the session that is rewritten as a whole.
const WHOLE: u64 = 200;

pub(super) fn run(rounds: usize, turn: Duration) -> Result<Section> {
    let runtime = runtime()?;
    let (mut tables, mut lines) = (Vec::new(), Vec::<(String, Vec<(f64, f64)>)>::new());
    for sessions in SESSIONS {
        let folder = scratch()?;
        let at = |name: &str| folder.path().join(name);
        let mut bare = BareLoop::create(&at("log"))?;
        let mut zeros = OverZeros::create(&at("zeros"))?;
        let (alone, grouped) = (BareRedb::create(&at("alone.redb"))?, BareRedb::create(&at("grouped.redb"))?);
        let mut fjall = Fjall::create(&at("fjall"))?;
        let (one, together) = (Sqlite::open(&at("one.sqlite"), 1)?, Sqlite::open(&at("together.sqlite"), 1)?);
        let each = Sqlite::open(&at("each.sqlite"), sessions)?;
        let json = JsonFiles::create(&at("json"), 1, WHOLE)?;
        let counter = Arc::new(Counter::default());
        let on_redb = runtime.block_on(open_counted(&at("store.redb"), counter.clone()))?;
        let behind = runtime.block_on(open_behind_journal(&at("behind.redb")))?;
        let on_files = runtime.block_on(open(&format!("fs:{}", at("store").display()).parse::<Location>()?))?;
        let mut contestants = vec![
            Contestant::repeating("write + fdatasync, one after the other", || bare.append()),
            Contestant::repeating("the same over zeros that are there already", || zeros.write()),
            Contestant::repeating("bare redb, a transaction each", || alone.insert(1)),
            Contestant::repeating("SQLite, WAL FULL, one connection", || one.insert(1)),
        ];
        if sessions > 1 {
            contestants.push(Contestant::repeating("bare redb, one transaction for all", || grouped.insert(sessions)));
            contestants.push(Contestant::repeating("SQLite, one transaction for all", || together.insert(sessions)));
        }
        if (2..=CONNECTIONS).contains(&sessions) {
            contestants.push(Contestant::new("SQLite, a connection for each", |turn| each.insert_by_all(turn)));
        }
        contestants.extend([
            Contestant::repeating("fjall, one flush for all", || fjall.insert(sessions)),
            Contestant::repeating("a JSON file of 200 messages, written whole", || json.append()),
            Contestant::new("Store on redb without a journal", |turn| {
                counted(&counter, || append(&runtime, &on_redb, sessions, turn))
            }),
            Contestant::new("Store on redb", |turn| append(&runtime, &behind, sessions, turn)),
            Contestant::new("Store on files", |turn| append(&runtime, &on_files, sessions, turn)),
        ]);
        let title = format!("{sessions} at once, {MESSAGE}-byte messages");
        let (table, medians) = compare(&title, rounds, turn, &mut contestants)?;
        tables.push(table);
        for (contestant, median) in contestants.iter().zip(medians) {
            let place = (sessions as f64, median.ratio);
            match lines.iter_mut().find(|(name, _)| *name == contestant.name) {
                Some((_, line)) => line.push(place),
                None => lines.push((contestant.name.clone(), vec![place])),
            }
        }
        drop(contestants);
        runtime.block_on(async { on_redb.close().await.and(behind.close().await).and(on_files.close().await) })?;
    }
    lines.retain(|(_, line)| line.len() > 1);
    Ok(Section {
        heading: "Durable appends",
        words: "Each session appends its next message when the last one is durable. The ratio is to a loop that writes the same bytes and \
                calls fdatasync. Flushes and bytes are counted on redb without a journal; with one, a commit is one flush."
            .to_owned(),
        tables,
        pictures: vec![Picture {
            name: "append",
            title: "Durable appends".to_owned(),
            across: "sessions at once",
            up: "times write + fdatasync",
            lines,
        }],
    })
}

/// Counts what is written to the file.
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

async fn open_counted(path: &Path, counter: Arc<Counter>) -> nofx_core::Result<Store> {
    let mut options = Options::default();
    options.probe = Some(counter);
    Ok(Store::new(Arc::new(RedbBackend::open_with(path, options).await?)))
}

/// Creates a store that commits to a journal beside its file.
async fn open_behind_journal(path: &Path) -> nofx_core::Result<Store> {
    let mut options = Options::default();
    options.journal = true;
    Ok(Store::new(Arc::new(RedbBackend::open_with(path, options).await?)))
}

/// Counts what is written to the file during a turn.
fn counted(counter: &Counter, turn: impl FnOnce() -> Result<Turn>) -> Result<Turn> {
    let now = || (counter.flushes.load(Ordering::Relaxed), counter.bytes.load(Ordering::Relaxed));
    let before = now();
    let turn = turn()?;
    let after = now();
    Ok(Turn { flushes: Some(after.0 - before.0), bytes: Some(after.1 - before.1), ..turn })
}

/// Lets each session append its messages, each one when the previous one is durable.
fn append(runtime: &Runtime, store: &Store, sessions: u64, turn: Duration) -> Result<Turn> {
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
