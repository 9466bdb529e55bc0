//! Sessions that have become long, and forks of forks.

use std::time::Duration;

use nofx::{Location, open};
use nofx_core::entity::{Agent, Role, Session, SessionId};
use nofx_core::workspace::{NewSession, RestoreOptions, Workspace};
use tokio::runtime::Runtime;

use super::peers::{JsonFiles, MESSAGE};
use super::report::Section;
use super::round::{Contestant, compare};
use super::{runtime, scratch};
use crate::Result;

/// Messages that a session has before one is added.
const LENGTHS: [u64; 3] = [0, 1_000, 100_000];
/// How often a session was restored from one that was itself restored.
const DEPTHS: [usize; 3] = [0, 10, 50];

pub(super) fn run(rounds: usize, turn: Duration) -> Result<Section> {
    let runtime = runtime()?;
    let folder = scratch()?;
    let mut stores = Vec::new();
    for (name, scheme) in [("redb", "redb"), ("files", "fs")] {
        let location: Location = format!("{scheme}:{}", folder.path().join(name).display()).parse()?;
        stores.push((name, Workspace::new(runtime.block_on(open(&location))?)));
    }
    let agent = Agent::new("ada", "Ada", "backend-specialist");
    let mut longs = Vec::new();
    for (name, workspace) in &stores {
        for length in LENGTHS {
            let session = runtime.block_on(of_length(workspace, &agent, length))?;
            longs.push((format!("{name}, {length} messages before"), workspace, session.id));
        }
    }
    let whole: Vec<_> = LENGTHS[..2]
        .iter()
        .map(|length| Ok((length, JsonFiles::create(&folder.path().join(format!("json-{length}")), 1, *length)?)))
        .collect::<Result<_>>()?;
    let mut contestants: Vec<_> = longs
        .iter()
        .map(|(name, workspace, id)| Contestant::repeating(name.clone(), || said(&runtime, workspace, id)))
        .chain(whole.iter().map(|(length, files)| {
            Contestant::repeating(format!("a JSON file written whole, {length} messages before"), || files.append())
        }))
        .collect();
    let (added, _) = compare("adding a message to a session", rounds, turn, &mut contestants)?;
    drop(contestants);

    let mut forks = Vec::new();
    for (name, workspace) in &stores {
        for depth in DEPTHS {
            let mut session = runtime.block_on(of_length(workspace, &agent, 100))?;
            for _ in 0..depth {
                session = runtime.block_on(async {
                    let fork = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
                    let said = (0..60).map(|n| workspace.message(Role::User, format!("{n}"))).collect();
                    workspace.add_messages(&fork.id, said).await?;
                    Result::Ok(workspace.session(&fork.id).await?.ok_or("the fork is there")?)
                })?;
            }
            forks.push((format!("{name}, depth {depth}"), workspace, session));
        }
    }
    let mut contestants: Vec<_> = forks
        .iter()
        .map(|(name, workspace, session)| {
            Contestant::repeating(name.clone(), || {
                Ok(runtime.block_on(workspace.tail(session, 50))?.len().min(1) as u64)
            })
        })
        .collect();
    let (tails, _) = compare("the newest 50 messages of a fork", rounds, turn, &mut contestants)?;
    drop(contestants);
    let mut contestants: Vec<_> = forks
        .iter()
        .map(|(name, workspace, session)| {
            Contestant::repeating(name.clone(), || {
                runtime.block_on(workspace.restore_session(&session.id, RestoreOptions::default()))?;
                Ok(1)
            })
        })
        .collect();
    let (restored, _) = compare("restoring a fork once more", rounds, turn, &mut contestants)?;
    drop(contestants);
    for (_, workspace) in &stores {
        runtime.block_on(workspace.store().close())?;
    }
    Ok(Section {
        heading: "Long sessions and deep forks",
        words: "The ratio is to the first row. A fork of depth 50 was restored 50 times, each time from the last one."
            .to_owned(),
        tables: vec![added, tails, restored],
        ..Section::default()
    })
}

async fn of_length(workspace: &Workspace, agent: &Agent, length: u64) -> Result<Session> {
    let session = workspace.create_session(agent, NewSession::default()).await?;
    for from in (0..length).step_by(500) {
        let said = (from..(from + 500).min(length)).map(|_| workspace.message(Role::User, "x".repeat(MESSAGE - 70)));
        workspace.add_messages(&session.id, said.collect()).await?;
    }
    Ok(session)
}

fn said(runtime: &Runtime, workspace: &Workspace, id: &SessionId) -> Result<u64> {
    let message = workspace.message(Role::User, "x".repeat(MESSAGE - 70));
    runtime.block_on(workspace.add_message(id, message))?;
    Ok(1)
}
