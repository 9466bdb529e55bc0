//! Opening a store of many sessions and showing the newest of them.

use std::time::Duration;

use nofx::{Location, Options, compact, open, open_with};
use nofx_core::Deadline;
use nofx_core::entity::{Agent, Role};
use nofx_core::workspace::{SessionFilter, Workspace};
use tokio::runtime::Runtime;

use super::peers::{MESSAGE, Sqlite};
use super::report::Section;
use super::round::{Contestant, Turn, compare};
use super::sizes::fill;
use super::{runtime, scratch};
use crate::Result;

const SESSIONS: u64 = 10_000;
const SHOWN: usize = 50;

pub(super) fn run(rounds: usize, turn: Duration) -> Result<Section> {
    let runtime = runtime()?;
    let folder = scratch()?;
    let at = |scheme: &str, name: &str| format!("{scheme}:{}", folder.path().join(name).display()).parse::<Location>();
    let (redb, dense, fs) = (at("redb", "store.redb")?, at("redb", "dense.redb")?, at("fs", "store")?);
    let plain = at("redb", "plain.redb")?;
    let mut options = Options::default();
    options.journal = false;
    // An existing store stays as it was created.
    runtime.block_on(async { open_with(&plain, options).await?.close().await })?;
    for location in [&redb, &plain, &dense, &fs] {
        runtime.block_on(fill(location, SESSIONS))?;
    }
    runtime.block_on(compact(&dense))?;
    let open_redb = Workspace::new(runtime.block_on(open(&redb))?);
    let open_plain = Workspace::new(runtime.block_on(open(&plain))?);
    let open_dense = Workspace::new(runtime.block_on(open(&dense))?);
    let open_fs = Workspace::new(runtime.block_on(open(&fs))?);
    let mut contestants = [
        Contestant::repeating("redb, once open", || show(&runtime, &open_redb)),
        Contestant::repeating("redb without a journal", || show(&runtime, &open_plain)),
        Contestant::repeating("redb compacted", || show(&runtime, &open_dense)),
        Contestant::repeating("files, once open", || show(&runtime, &open_fs)),
    ];
    let mut tables =
        vec![compare(&format!("a page of {SHOWN} of {SESSIONS} sessions"), rounds, turn, &mut contestants)?.0];
    drop(contestants);
    runtime.block_on(async {
        open_redb.store().close().await?;
        open_plain.store().close().await?;
        open_dense.store().close().await?;
        open_fs.store().close().await
    })?;
    settle(&runtime, &fs, SESSIONS)?;
    let runs = [("redb", &redb), ("redb without a journal", &plain), ("redb compacted", &dense), ("files", &fs)];
    let runtime = &runtime;
    let mut contestants =
        runs.map(|(name, location)| Contestant::repeating(name, move || open_and_show(runtime, location)));
    let title = format!("opening {SESSIONS} sessions, showing {SHOWN}, closing");
    tables.push(compare(&title, rounds, turn, &mut contestants)?.0);
    let mut contestants = runs.map(|(name, location)| {
        Contestant::new(name, move |turn| timed_without_cache(turn, || open_and_show(runtime, location)))
    });
    match drop_cache() {
        Ok(()) => tables.push(compare("the same, nothing of it in memory", rounds, turn, &mut contestants)?.0),
        Err(error) => println!("Not measured without the page cache: `{DROP_CACHES}`: {error}"),
    }
    let sqlite = folder.path().join("sqlite");
    let mut contestants: Vec<_> = runs
        .into_iter()
        .map(|(name, location)| Contestant::repeating(name, move || add_and_show(runtime, location)))
        .collect();
    contestants
        .push(Contestant::repeating("SQLite, WAL FULL, without showing", || Sqlite::open(&sqlite, 1)?.insert(1)));
    let title =
        format!("opening {SESSIONS} sessions, adding a message, closing; then opening, showing {SHOWN}, closing");
    tables.push(compare(&title, rounds, turn, &mut contestants)?.0);
    println!("How many files are opened is counted by `cargo test -p nofx-fs listing -- --nocapture`.");
    Ok(Section {
        heading: "Lists",
        words: format!(
            "{SESSIONS} sessions in a store; a page of {SHOWN} is read, with the store opened and closed for it, and without."
        ),
        tables,
        ..Section::default()
    })
}

/// Waits until what was written to a store of files in one go has become the files of this many sessions.
pub(super) fn settle(runtime: &Runtime, location: &Location, sessions: u64) -> Result {
    let documents = location.path().ok_or("it is in a folder")?.join("sessions");
    loop {
        let clock = Deadline::after(Duration::from_secs(2));
        // Only a handle that commits brings files up to date, and closing then waits for them.
        runtime.block_on(async {
            let workspace = Workspace::new(open(location).await?);
            workspace.save_agent(&Agent::new("ada", "Ada", "backend-specialist")).await?;
            workspace.store().close().await
        })?;
        if std::fs::read_dir(&documents)?.count() as u64 > sessions {
            return Ok(());
        }
        std::thread::sleep(clock.remaining());
    }
}

/// The file that makes Linux drop its page cache, if it may be written.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

fn drop_cache() -> std::io::Result<()> {
    std::fs::write(DROP_CACHES, "3")
}

/// Repeats an action until the turn is over, each time with an empty page cache; dropping the cache does not count.
fn timed_without_cache(turn: Duration, mut act: impl FnMut() -> Result<u64>) -> Result<Turn> {
    let mut sum = Turn::default();
    while sum.took < turn {
        drop_cache()?;
        let clock = Deadline::after(turn);
        sum.operations += act()?;
        sum.took += clock.elapsed();
    }
    Ok(sum)
}

fn open_and_show(runtime: &Runtime, location: &Location) -> Result<u64> {
    let workspace = Workspace::new(runtime.block_on(open(location))?);
    show(runtime, &workspace)?;
    runtime.block_on(workspace.store().close())?;
    Ok(1)
}

/// Like two runs of a short program.
fn add_and_show(runtime: &Runtime, location: &Location) -> Result<u64> {
    let workspace = Workspace::new(runtime.block_on(open(location))?);
    runtime.block_on(async {
        let page = workspace.summaries(&SessionFilter::default(), None, 1).await?;
        let session = page.items.first().ok_or("there are sessions")?.session.id.clone();
        workspace.add_message(&session, workspace.message(Role::User, "x".repeat(MESSAGE))).await?;
        Result::Ok(workspace.store().close().await?)
    })?;
    open_and_show(runtime, location)
}

fn show(runtime: &Runtime, workspace: &Workspace) -> Result<u64> {
    let page = runtime.block_on(workspace.summaries(&SessionFilter::default(), None, SHOWN))?;
    match page.items.len() {
        SHOWN => Ok(1),
        other => Err(format!("{other} sessions instead of {SHOWN}").into()),
    }
}
