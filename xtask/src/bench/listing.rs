//! Opening a store of many sessions and showing the newest of them.

use std::path::Path;
use std::time::Duration;

use nofx::{Location, compact, open};
use nofx_core::entity::{Message, Role, Session};
use nofx_core::workspace::{SessionFilter, Workspace, new_session};
use nofx_core::{Deadline, Store, Timestamp};
use tokio::runtime::Runtime;

use super::append::timed;
use super::round::{Contestant, compare};
use crate::Result;

const SESSIONS: i64 = 10_000;
const SHOWN: usize = 50;

pub(super) fn run(rounds: usize, turn: Duration) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = tempfile::tempdir_in(&target)?;
    let at = |scheme: &str, name: &str| format!("{scheme}:{}", folder.path().join(name).display()).parse::<Location>();
    let (redb, dense, fs) = (at("redb", "store.redb")?, at("redb", "dense.redb")?, at("fs", "store")?);
    for location in [&redb, &dense, &fs] {
        runtime.block_on(fill(location))?;
    }
    runtime.block_on(compact(&dense))?;
    let open_redb = Workspace::new(runtime.block_on(open(&redb))?);
    let open_dense = Workspace::new(runtime.block_on(open(&dense))?);
    let open_fs = Workspace::new(runtime.block_on(open(&fs))?);
    let mut contestants = [
        Contestant { name: "redb, once open", turn: Box::new(|turn| timed(turn, || show(&runtime, &open_redb))) },
        Contestant { name: "redb compacted", turn: Box::new(|turn| timed(turn, || show(&runtime, &open_dense))) },
        Contestant { name: "files, once open", turn: Box::new(|turn| timed(turn, || show(&runtime, &open_fs))) },
    ];
    compare(&format!("a page of {SHOWN} of {SESSIONS} sessions"), rounds, turn, &mut contestants)?;
    drop(contestants);
    runtime.block_on(async {
        open_redb.store().close().await?;
        open_dense.store().close().await?;
        open_fs.store().close().await
    })?;
    // What was brought to the store in one go may still be on its way to ten thousand files.
    for _ in 0..100 {
        let clock = Deadline::after(Duration::from_secs(1));
        open_and_show(&runtime, &fs)?;
        if !clock.has_passed() {
            break;
        }
    }
    let mut contestants = [
        Contestant { name: "redb", turn: Box::new(|turn| timed(turn, || open_and_show(&runtime, &redb))) },
        Contestant { name: "redb compacted", turn: Box::new(|turn| timed(turn, || open_and_show(&runtime, &dense))) },
        Contestant { name: "files", turn: Box::new(|turn| timed(turn, || open_and_show(&runtime, &fs))) },
    ];
    compare(&format!("opening {SESSIONS} sessions and showing {SHOWN}"), rounds, turn, &mut contestants)
}

async fn fill(location: &Location) -> Result {
    let store: Store = open(location).await?;
    for minute in 0..SESSIONS / 500 {
        let mut batch = store.batch();
        for n in 0..500 {
            let mut session = Session::new(format!("session-{minute}-{n}"), "one of many", "agent-ada");
            let at = Timestamp::from_millis(1_757_341_200_000 + minute * 60_000 + n);
            session.last_active_at = Some(at);
            let entry = store.entry(&Message::new("m", at, Role::User, "hello"))?;
            batch = new_session(batch.append(Session::history(&session.id), vec![entry]), &session, Some(at))?;
        }
        store.commit(batch).await?.committed()?;
    }
    Ok(store.close().await?)
}

fn open_and_show(runtime: &Runtime, location: &Location) -> Result<u64> {
    let workspace = Workspace::new(runtime.block_on(open(location))?);
    show(runtime, &workspace)?;
    runtime.block_on(workspace.store().close())?;
    Ok(1)
}

fn show(runtime: &Runtime, workspace: &Workspace) -> Result<u64> {
    let page = runtime.block_on(workspace.summaries(&SessionFilter::default(), None, SHOWN))?;
    match page.items.len() {
        SHOWN => Ok(1),
        other => Err(format!("{other} sessions instead of {SHOWN}").into()),
    }
}
