//! The cost of a message, of opening and of listing in stores of many sizes.

use std::time::Duration;

use nofx::{Location, open};
use nofx_core::entity::{Message, Role, Session};
use nofx_core::workspace::{SessionFilter, Workspace, new_session};
use nofx_core::{Store, Timestamp};
use tokio::runtime::Runtime;

use super::listing::settle;
use super::peers::{JsonFiles, MESSAGE};
use super::report::{Picture, Section, Table};
use super::round::{Contestant, Median, compare};
use super::{runtime, scratch};
use crate::Result;

/// Numbers of sessions. Beyond the last one for files, creating the store takes too long.
const SIZES: [u64; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
const FILES: u64 = 10_000;

/// How many sessions a list shows.
const SHOWN: usize = 50;

/// Messages of a session.
const SAID: u64 = 2;

/// A store of some size.
struct Sized {
    /// `redb`, `files`.
    name: &'static str,
    size: u64,
    location: Location,
}

pub(super) fn run(rounds: usize, turn: Duration) -> Result<Section> {
    let runtime = runtime()?;
    let folder = scratch()?;
    let (mut stores, mut scans) = (Vec::new(), Vec::new());
    for size in SIZES {
        for (name, scheme, most) in [("redb", "redb", u64::MAX), ("files", "fs", FILES)] {
            if size <= most {
                let location: Location =
                    format!("{scheme}:{}", folder.path().join(format!("{name}-{size}")).display()).parse()?;
                runtime.block_on(fill(&location, size))?;
                if scheme == "fs" {
                    settle(&runtime, &location, size)?;
                }
                stores.push(Sized { name, size, location });
            }
        }
        if size <= FILES {
            scans.push((size, JsonFiles::create(&folder.path().join(format!("json-{size}")), size, SAID)?));
        }
    }
    let mut section = Section {
        heading: "Cost by size",
        words: format!(
            "Stores of 10 to 1,000,000 sessions with {SAID} messages each; of files, up to 10,000. The ratio is to the smallest store on redb: a line \
             that does not rise is a cost that does not grow. A directory scan reads and sorts the JSON file of each session, as the old extension did."
        ),
        ..Section::default()
    };
    let mut add = |table: Table, picture: Picture| {
        section.tables.push(table);
        section.pictures.push(picture);
    };

    let (table, medians) = {
        let opened: Vec<Workspace> = opened(&runtime, &stores)?;
        let mut contestants: Vec<_> = stores
            .iter()
            .zip(&opened)
            .map(|(store, workspace)| Contestant::repeating(named(store), || append(&runtime, workspace)))
            .collect();
        let found = compare("adding a message", rounds, turn, &mut contestants)?;
        drop(contestants);
        closed(&runtime, opened)?;
        found
    };
    add(table, picture("cost-append", "Adding a message", lines(&stores, &medians)));

    let opened = opened(&runtime, &stores)?;
    let mut contestants: Vec<_> = stores
        .iter()
        .zip(&opened)
        .map(|(store, workspace)| Contestant::repeating(named(store), || list(&runtime, workspace)))
        .chain(scans.iter().map(|(size, files)| {
            Contestant::repeating(format!("a directory scan, {size} sessions"), || Ok(files.list()?.min(1) as u64))
        }))
        .collect();
    let (table, medians) = compare(&format!("listing the newest {SHOWN}, once open"), rounds, turn, &mut contestants)?;
    drop(contestants);
    closed(&runtime, opened)?;
    let mut listed = lines(&stores, &medians);
    let scanned = scans.iter().zip(&medians[stores.len()..]);
    listed.push(("a directory scan".to_owned(), scanned.map(|((size, _), found)| place(*size, found)).collect()));
    add(table, picture("cost-list", "Listing the newest 50", listed));

    let mut contestants: Vec<_> = stores
        .iter()
        .map(|store| Contestant::repeating(named(store), || open_list_close(&runtime, &store.location)))
        .collect();
    let (table, medians) =
        compare(&format!("opening, listing the newest {SHOWN}, closing"), rounds, turn, &mut contestants)?;
    drop(contestants);
    add(table, picture("cost-open", "Opening, listing the newest 50, closing", lines(&stores, &medians)));
    Ok(section)
}

fn named(store: &Sized) -> String {
    format!("{}, {} sessions", store.name, store.size)
}

/// Returns how long something takes in a store of some size, in milliseconds.
fn place(size: u64, found: &Median) -> (f64, f64) {
    (size as f64, 1000.0 / found.per_second)
}

fn lines(stores: &[Sized], medians: &[Median]) -> Vec<(String, Vec<(f64, f64)>)> {
    let of = |name: &str| {
        let own = stores.iter().zip(medians).filter(|(store, _)| store.name == name);
        (name.to_owned(), own.map(|(store, found)| place(store.size, found)).collect())
    };
    vec![of("redb"), of("files")]
}

fn picture(name: &'static str, title: &str, lines: Vec<(String, Vec<(f64, f64)>)>) -> Picture {
    Picture { name, title: title.to_owned(), across: "sessions in the store", up: "milliseconds", lines }
}

fn opened(runtime: &Runtime, stores: &[Sized]) -> Result<Vec<Workspace>> {
    stores.iter().map(|store| Ok(Workspace::new(runtime.block_on(open(&store.location))?))).collect()
}

fn closed(runtime: &Runtime, opened: Vec<Workspace>) -> Result {
    for workspace in opened {
        runtime.block_on(workspace.store().close())?;
    }
    Ok(())
}

/// Adds a message to the first session.
fn append(runtime: &Runtime, workspace: &Workspace) -> Result<u64> {
    let message = workspace.message(Role::User, "x".repeat(MESSAGE - 70));
    runtime.block_on(workspace.add_message(&"session-0".into(), message))?;
    Ok(1)
}

fn list(runtime: &Runtime, workspace: &Workspace) -> Result<u64> {
    let page = runtime.block_on(workspace.summaries(&SessionFilter::default(), None, SHOWN))?;
    Ok(page.items.len().min(1) as u64)
}

fn open_list_close(runtime: &Runtime, location: &Location) -> Result<u64> {
    let workspace = Workspace::new(runtime.block_on(open(location))?);
    let listed = list(runtime, &workspace)?;
    runtime.block_on(workspace.store().close())?;
    Ok(listed)
}

/// Fills a store with sessions that began one after the other, with two messages each.
pub(super) async fn fill(location: &Location, sessions: u64) -> Result {
    const TOGETHER: u64 = 500;
    let store: Store = open(location).await?;
    for from in (0..sessions).step_by(TOGETHER as usize) {
        let mut batch = store.batch();
        for number in from..(from + TOGETHER).min(sessions) {
            let mut session = Session::new(format!("session-{number}"), "one of many", "agent-ada");
            let at = Timestamp::from_millis(1_757_341_200_000 + number as i64 * 1000);
            session.last_active_at = Some(at);
            let said = (0..SAID).map(|n| Message::new(format!("m{n}"), at, Role::User, "x".repeat(MESSAGE - 70)));
            let entries = said.map(|message| store.entry(&message)).collect::<nofx_core::Result<Vec<_>>>()?;
            batch = new_session(batch.append(Session::history(&session.id), entries), &session, Some(at))?;
        }
        store.commit(batch).await?.committed()?;
    }
    Ok(store.close().await?)
}
