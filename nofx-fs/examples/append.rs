//! Measures durable appends and listing, compared with a bare loop of write and flush in the same run.
//!
//! `cargo run --release -p nofx-fs --example append -- [FOLDER] [ROUNDS] [MESSAGES]`

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nofx_core::{
    Batch, Body, Deadline, Expect, Kind, LogKey, NewEntry, PersistenceBackend, RecordKey, ScanQuery, Sources, Store,
    Timestamp, kind,
};
use nofx_fs::FsBackend;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from).join("nofx-fs-append");
    let rounds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let messages = arguments.next().map_or(Ok(4000), |text| text.parse())?;
    let (mut alone, mut stored, mut sixteen) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let store = Store::new(Arc::new(FsBackend::open(&folder.join("store")).await?));
        // Long enough that segments are reused.
        appends(&store, 0, 12_000.min(3 * messages)).await?;
        let bare = bare(&folder.join("bare"), messages)?;
        let one = backend_alone(&store, messages).await?;
        let through = per_second(messages, appends(&store, 1, messages).await?);
        let deadline = endless();
        let tasks: Vec<_> = (0..16)
            .map(|session| {
                let store = store.clone();
                tokio::spawn(async move { appends(&store, 100 + session, messages / 4).await })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let many = per_second(messages * 4, deadline.elapsed());
        println!(
            "round {round}: bare {bare:.0}/s; alone {one:.0}/s, through Store {through:.0}/s, 16 sessions {many:.0}/s"
        );
        alone.push(one / bare);
        stored.push(through / bare);
        sixteen.push(many / bare);
        store.close().await?;
    }
    println!("against the bare loop, median [min..max]:");
    println!("  alone {}, through Store {}, 16 sessions {}", spread(alone), spread(stored), spread(sixteen));
    listing(&folder).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn message(n: u64) -> NewEntry {
    NewEntry {
        at: Timestamp::from_millis(n as i64),
        body: Body::trusted(format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(480))),
    }
}

async fn appends(store: &Store, session: u64, count: u64) -> Outcome<Duration> {
    let log = LogKey::new(kind::HISTORY, format!("session-{session}"))?;
    let deadline = endless();
    for n in 0..count {
        store.commit(store.batch().append(log.clone(), vec![message(n)])).await?.committed()?;
    }
    Ok(deadline.elapsed())
}

async fn backend_alone(store: &Store, messages: u64) -> Outcome<f64> {
    let (log, backend, sources) = (LogKey::new(Kind::of("talk"), "alone")?, store.backend(), Sources::default());
    let deadline = endless();
    for n in 0..messages {
        backend.commit(vec![Batch::new(sources.batch_id()).append(log.clone(), vec![message(n)])]).await?;
    }
    Ok(per_second(messages, deadline.elapsed()))
}

fn bare(path: &Path, messages: u64) -> Outcome<f64> {
    let mut file = File::create(path)?;
    let deadline = endless();
    for n in 0..messages {
        file.write_all(message(n).body.as_str().as_bytes())?;
        file.sync_data()?;
    }
    Ok(per_second(messages, deadline.elapsed()))
}

async fn listing(folder: &Path) -> Outcome {
    let root = folder.join("listing");
    let backend = FsBackend::open(&root).await?;
    for chunk in 0..10 {
        let mut batch = Batch::new(Sources::default().batch_id());
        for n in 0..1000 {
            let id = format!("{:05}", chunk * 1000 + n);
            let body = Body::trusted(format!("{{\"id\":\"{id}\",\"title\":\"{}\"}}", "t".repeat(180)));
            batch = batch.put(RecordKey::new(kind::SESSION, id)?, Expect::Any, body);
        }
        backend.commit(vec![batch]).await?;
    }
    backend.close().await?;
    let deadline = endless();
    let backend = FsBackend::open(&root).await?;
    let opened = deadline.elapsed();
    let page = backend.scan(&ScanQuery::of(kind::SESSION, 50).backward()).await?;
    println!("10,000 sessions: open {opened:?}, with the first page of {} {:?}", page.items.len(), deadline.elapsed());
    let deadline = endless();
    for _ in 0..20 {
        backend.scan(&ScanQuery::of(kind::SESSION, 50)).await?;
    }
    println!("  a page of 50 once open {:?}", deadline.elapsed() / 20);
    let deadline = endless();
    let all = backend.scan(&ScanQuery::of(kind::SESSION, 100_000)).await?;
    println!("  all {} {:?}", all.items.len(), deadline.elapsed());
    backend.close().await?;
    Ok(())
}

fn endless() -> Deadline {
    Deadline::after(Duration::MAX)
}

fn per_second(count: u64, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64()
}

fn spread(mut ratios: Vec<f64>) -> String {
    ratios.sort_by(f64::total_cmp);
    let at = |at: usize| ratios.get(at).copied().unwrap_or_default();
    format!("{:.2} [{:.2}..{:.2}]", at(ratios.len() / 2), at(0), at(ratios.len().saturating_sub(1)))
}
