//! Measures the figures on the format page: `cargo run --release -p nofx-redb --example measure -- FOLDER`.
//!
//! `FOLDER` is searched for prose and code to build messages from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nofx_core::{Batch, Body, Deadline, Kind, LogKey, LogQuery, NewEntry, PersistenceBackend, Sources, Timestamp};
use nofx_redb::{Access, Options, Probe, RedbBackend};

const HISTORY: Kind = Kind::of("history");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder has text?")?;
    let text = Text::collect(Path::new(&folder))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let dir = tempfile::tempdir_in(std::env::args().nth(2).unwrap_or_else(|| "target".into()))?;
    runtime.block_on(async {
        sizes(dir.path(), &text).await?;
        appends(dir.path(), &text).await?;
        peer(dir.path(), &text).await?;
        opening(dir.path(), &text).await?;
        Ok(())
    })
}

/// Counts accesses to the file.
#[derive(Debug, Default)]
struct Count {
    writes: AtomicU64,
    bytes: AtomicU64,
    flushes: AtomicU64,
}

impl Probe for Count {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        match access {
            Access::Write { bytes, .. } => {
                self.writes.fetch_add(1, Ordering::SeqCst);
                self.bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
            Access::Flush => {
                self.flushes.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Count {
    fn take(&self) -> (u64, u64, u64) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
        (take(&self.writes), take(&self.bytes), take(&self.flushes))
    }
}

/// Messages cut from files.
struct Text {
    all: Vec<char>,
}

impl Text {
    fn collect(folder: &Path) -> io::Result<Self> {
        let mut folders = vec![folder.to_owned()];
        let mut all = String::new();
        while let Some(folder) = folders.pop() {
            let mut paths: Vec<PathBuf> =
                fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            paths.sort();
            for path in paths {
                let wanted = path.extension().is_some_and(|extension| extension == "rs" || extension == "md");
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if wanted && let Ok(text) = fs::read_to_string(&path) {
                    all.push_str(&text);
                }
                if all.len() > 80_000_000 {
                    return Ok(Self { all: all.chars().collect() });
                }
            }
        }
        Ok(Self { all: all.chars().collect() })
    }

    /// Returns the next message of about `size` bytes in the conversation `session`.
    fn message(&self, session: usize, number: usize, size: usize) -> Body {
        // Each session reads from a different place.
        let start = (session * 392_111 + number * (size - 110)) % (self.all.len() - size);
        let words: String = self.all[start..start + size - 110].iter().collect();
        let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
        let text = format!(
            "{{\"id\":\"msg-{session:04}-{number:06}\",\"role\":\"{role}\",\"timestamp\":\"2025-09-08T14:{:02}:{:02}.000Z\",\"content\":{}}}",
            number / 60 % 60,
            number % 60,
            quoted(&words)
        );
        Body::trusted(text)
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            char if char < ' ' => quoted.push(' '),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

fn log(session: usize) -> LogKey {
    LogKey::new(HISTORY, format!("session-{session:05}")).unwrap_or_else(|error| panic!("{error}"))
}

fn entry(body: Body) -> NewEntry {
    NewEntry { at: Timestamp::from_millis(1_757_341_277_345), body }
}

async fn open(path: &Path, probe: Option<Arc<dyn Probe>>) -> nofx_core::Result<RedbBackend> {
    let mut options = Options::default();
    options.probe = probe;
    RedbBackend::open_with(path, options).await
}

async fn sizes(dir: &Path, text: &Text) -> Result<(), Box<dyn std::error::Error>> {
    println!("600-byte messages round-robin into 200 sessions, groups of 16");
    println!(
        "{:>9} {:>12} {:>12} {:>12} {:>7} {:>12} {:>7} {:>9} {:>9}",
        "messages", "payload", "before close", "closed", "ratio", "compacted", "ratio", "close ms", "compact"
    );
    for rounds in [5, 20, 100, 500] {
        let path = dir.join(format!("size-{rounds}.redb"));
        let store = open(&path, None).await?;
        let sources = Sources::default();
        let mut payload = 0;
        let mut group = Vec::new();
        for round in 0..rounds {
            for session in 0..200 {
                let body = text.message(session, round, 600);
                payload += body.len();
                group.push(Batch::new(sources.batch_id()).append(log(session), vec![entry(body)]));
                if group.len() == 16 {
                    store.commit(std::mem::take(&mut group)).await?;
                }
            }
        }
        store.commit(group).await?;
        let live = fs::metadata(&path)?.len();
        let closing = Deadline::after(Duration::MAX);
        store.close().await?;
        let took = closing.elapsed();
        let closed = fs::metadata(&path)?.len();
        let store = open(&path, None).await?;
        let compacting = Deadline::after(Duration::MAX);
        store.compact().await?;
        let compacting = compacting.elapsed();
        store.close().await?;
        let compacted = fs::metadata(&path)?.len();
        let ratio = |bytes: u64| bytes as f64 / payload as f64;
        println!(
            "{:>9} {payload:>12} {live:>12} {closed:>12} {:>7.2} {compacted:>12} {:>7.2} {:>9} {:>9}",
            rounds * 200,
            ratio(closed),
            ratio(compacted),
            took.as_millis(),
            compacting.as_millis(),
        );
    }
    Ok(())
}

async fn appends(dir: &Path, text: &Text) -> Result<(), Box<dyn std::error::Error>> {
    let count = Arc::new(Count::default());
    let path = dir.join("appends.redb");
    let store = open(&path, Some(count.clone())).await?;
    let sources = Sources::default();
    println!("one 500-byte message in a commit of its own, all into one session");
    println!("{:>9} {:>8} {:>9} {:>8} {:>9}", "entries", "writes", "bytes", "flushes", "us");
    let mut number = 0;
    let append =
        |number: usize| Batch::new(sources.batch_id()).append(log(0), vec![entry(text.message(0, number, 500))]);
    for target in [0, 1_000, 10_000, 100_000] {
        while number < target {
            let group = (number..(number + 100).min(target)).map(append).collect::<Vec<_>>();
            number += group.len();
            store.commit(group).await?;
        }
        let mut rows = Vec::new();
        for _ in 0..64 {
            count.take();
            let timer = Deadline::after(Duration::MAX);
            store.commit(vec![append(number)]).await?;
            let took = timer.elapsed();
            number += 1;
            let (writes, bytes, flushes) = count.take();
            rows.push((bytes, writes, flushes, took));
        }
        rows.sort();
        for (name, at) in [("median", 32), ("largest", 63)] {
            let (bytes, writes, flushes, took) = rows[at];
            println!("{target:>9} {writes:>8} {bytes:>9} {flushes:>8} {:>9} {name}", took.as_micros());
        }
    }
    for size in [1, 16, 64, 256] {
        count.take();
        let timer = Deadline::after(Duration::MAX);
        for _ in 0..64 {
            let group = (number..number + size).map(append).collect();
            number += size;
            store.commit(group).await?;
        }
        let took = timer.elapsed();
        let (writes, bytes, flushes) = count.take();
        let messages = 64 * size as u64;
        println!(
            "groups of {size}: {} bytes, {:.2} writes, {:.3} flushes and {} us per message",
            bytes / messages,
            writes as f64 / messages as f64,
            flushes as f64 / messages as f64,
            took.as_micros() / u128::from(messages),
        );
    }
    let timer = Deadline::after(Duration::MAX);
    let mut query = LogQuery::oldest_first(log(0), 1000);
    let mut read = 0;
    loop {
        let page = store.read(&query).await?;
        read += page.items.len();
        let Some(last) = page.items.last() else { break };
        query.range.start = last.position + 1;
    }
    println!("{read} entries read in pages of 1000 in {} ms", timer.elapsed().as_millis());
    store.close().await?;
    Ok(())
}

/// Compares with redb itself in the same mode, writing one row in each transaction.
async fn peer(dir: &Path, text: &Text) -> Result<(), Box<dyn std::error::Error>> {
    const ROWS: redb::TableDefinition<'_, u64, &str> = redb::TableDefinition::new("rows");
    println!("500-byte messages a second, one in a transaction: bare redb in the same mode, this backend, ratio");
    for round in 0..3 {
        let mut builder = redb::Builder::new();
        builder.set_concurrency_mode(redb::ConcurrencyMode::SingleWriter).set_cache_size(32 << 20);
        let bare = builder.create(dir.join(format!("bare-{round}.redb")))?;
        let timer = Deadline::after(Duration::MAX);
        for number in 0..500 {
            let transaction = bare.begin_write()?;
            transaction.open_table(ROWS)?.insert(number as u64, text.message(0, number, 500).as_str())?;
            transaction.commit()?;
        }
        let theirs = 500.0 / timer.elapsed().as_secs_f64();
        let store = open(&dir.join(format!("ours-{round}.redb")), None).await?;
        let sources = Sources::default();
        let timer = Deadline::after(Duration::MAX);
        for number in 0..500 {
            let append = Batch::new(sources.batch_id()).append(log(0), vec![entry(text.message(0, number, 500))]);
            store.commit(vec![append]).await?;
        }
        let ours = 500.0 / timer.elapsed().as_secs_f64();
        store.close().await?;
        println!("{theirs:>9.0} {ours:>9.0} {:>6.2}", ours / theirs);
    }
    Ok(())
}

/// Opens a store that was closed, one that was copied while it was open, and one whose role was given back.
async fn opening(dir: &Path, text: &Text) -> Result<(), Box<dyn std::error::Error>> {
    let path = dir.join("opening.redb");
    let store = open(&path, None).await?;
    let sources = Sources::default();
    for round in 0..500 {
        let group = (0..200).map(|session| {
            let entries = (0..4).map(|n| entry(text.message(session, round * 4 + n, 600))).collect();
            Batch::new(sources.batch_id()).append(log(session), entries)
        });
        store.commit(group.collect()).await?;
    }
    let (killed, idle) = (dir.join("killed.redb"), dir.join("idle.redb"));
    fs::copy(&path, &killed)?;
    std::thread::sleep(Duration::from_secs(2));
    fs::copy(&path, &idle)?;
    store.close().await?;
    for path in [killed, idle, path] {
        fs::write(path.with_extension("redb.lock"), "1 elsewhere\n")?;
        let timer = Deadline::after(Duration::MAX);
        let store = open(&path, None).await?;
        let opened = timer.elapsed();
        store.logs(&nofx_core::LogScan::all(50)).await?;
        let listed = timer.elapsed();
        store.commit(vec![Batch::new(sources.batch_id()).append(log(0), vec![entry(text.message(0, 0, 600))])]).await?;
        let committed = timer.elapsed();
        store.close().await?;
        println!(
            "{}: {} MB, opened after {} us, 50 logs listed after {} us, one commit durable after {} us",
            path.file_stem().unwrap_or_default().display(),
            fs::metadata(&path)?.len() / 1_000_000,
            opened.as_micros(),
            listed.as_micros(),
            committed.as_micros(),
        );
    }
    Ok(())
}
