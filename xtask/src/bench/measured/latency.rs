//! How long one message takes, alone and while others write, read and list.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nofx::{Location, open};
use nofx_core::Deadline;
use nofx_core::entity::{Agent, Role, SessionId};
use nofx_core::workspace::{NewSession, SessionFilter, Workspace};
use tokio::runtime::Runtime;

use super::peers::{BareLoop, MESSAGE};
use super::report::{Section, Table, duration};
use super::{runtime, scratch};
use crate::Result;

/// Sessions that other callers write to.
const OTHERS: u64 = 16;

pub(super) fn run(rounds: usize, turn: Duration) -> Result<Section> {
    let runtime = runtime()?;
    let folder = scratch()?;
    let time = turn * u32::try_from(rounds.max(1))?;
    let mut table = Table::new("adding a message", &["half take less than", "99 of 100", "longest"]);
    let mut bare = BareLoop::create(&folder.path().join("log"))?;
    let mut took = Vec::new();
    let clock = Deadline::after(time);
    while !clock.has_passed() {
        let one = Deadline::after(time);
        bare.append()?;
        took.push(one.elapsed());
    }
    table.row("write + fdatasync", figures(took));
    for (name, scheme) in [("redb", "redb"), ("files", "fs")] {
        let location: Location = format!("{scheme}:{}", folder.path().join(name).display()).parse()?;
        let workspace = Workspace::new(runtime.block_on(open(&location))?);
        let agent = Agent::new("ada", "Ada", "backend-specialist");
        let begun = || Result::Ok(runtime.block_on(workspace.create_session(&agent, NewSession::default()))?.id);
        let (own, others) = (begun()?, (0..OTHERS).map(|_| begun()).collect::<Result<Vec<_>>>()?);
        table.row(format!("{name}, alone"), figures(runtime.block_on(added(&workspace, &own, time))?));
        table.row(
            format!("{name}, {OTHERS} others write, one reads"),
            figures(beside(&runtime, &workspace, &own, others, time)?),
        );
        runtime.block_on(workspace.store().close())?;
    }
    Ok(Section {
        heading: "Latency",
        words: format!(
            "One session adds messages, each when the last one is durable; alone, and while {OTHERS} others do the same and one task lists \
                        sessions and reads the ends of conversations all the time."
        ),
        tables: vec![table.shown()],
        ..Section::default()
    })
}

/// Adds messages for a while and returns how long each took.
async fn added(workspace: &Workspace, id: &SessionId, time: Duration) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    let clock = Deadline::after(time);
    while !clock.has_passed() {
        let one = Deadline::after(time);
        workspace.add_message(id, workspace.message(Role::User, "x".repeat(MESSAGE - 70))).await?;
        took.push(one.elapsed());
    }
    Ok(took)
}

fn beside(
    runtime: &Runtime,
    workspace: &Workspace,
    own: &SessionId,
    others: Vec<SessionId>,
    time: Duration,
) -> Result<Vec<Duration>> {
    let over = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for id in others.clone() {
            let (workspace, over) = (workspace.clone(), over.clone());
            tasks.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    added(&workspace, &id, Duration::from_millis(50)).await?;
                }
                Result::Ok(())
            });
        }
        let (reading, until) = (workspace.clone(), over.clone());
        tasks.spawn(async move {
            while !until.load(Ordering::Relaxed) {
                for found in reading.summaries(&SessionFilter::default(), None, 50).await?.items.iter().take(4) {
                    reading.tail(&found.session, 50).await?;
                }
            }
            Result::Ok(())
        });
        let took = added(workspace, own, time).await;
        over.store(true, Ordering::Relaxed);
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        took
    })
}

fn figures(mut took: Vec<Duration>) -> Vec<String> {
    took.sort_unstable();
    let at = |share: usize| {
        took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    vec![duration(at(50)), duration(at(99)), duration(at(100))]
}
