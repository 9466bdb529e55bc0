//! The memory of a store that works for a long time, like that of a busy extension.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use nofx::{Location, open};
use nofx_core::entity::{Agent, Role, SessionId};
use nofx_core::workspace::{NewSession, RetentionPolicy, SearchQuery, SessionFilter, Workspace};
use nofx_core::{Deadline, Direction};
use tokio::sync::Mutex;

use super::{memory, runtime, scratch};
use crate::Result;

/// Agents that talk concurrently.
const AGENTS: u64 = 16;

/// Messages of a session; then its agent begins the next one.
const MESSAGES: u64 = 200;

/// How often to sample memory.
const MINUTE: Duration = Duration::from_secs(60);

/// What was done since the start.
#[derive(Debug, Default)]
struct Done {
    written: AtomicU64,
    read: AtomicU64,
}

/// What all workers share.
#[derive(Clone, Debug)]
struct Place {
    workspace: Workspace,
    sessions: Arc<Mutex<Vec<SessionId>>>,
    done: Arc<Done>,
    deadline: Deadline,
}

/// Works with a store for this many minutes, and prints the memory of the process after each.
pub(super) fn run(minutes: u64) -> Result {
    let runtime = runtime()?;
    let folder = scratch()?;
    let file = folder.path().join("store.redb");
    let location: Location = format!("redb:{}", file.display()).parse()?;
    let before = memory("VmRSS:");
    println!("{} MiB of memory before the store is opened, whose cache is at most 32 MiB", before >> 20);
    runtime.block_on(async {
        let workspace = Workspace::new(open(&location).await?);
        let done = Arc::new(Done::default());
        let deadline = Deadline::after(MINUTE * u32::try_from(minutes).unwrap_or(u32::MAX));
        let place = Place { workspace, sessions: Arc::default(), done: done.clone(), deadline };
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..AGENTS {
            tasks.spawn(talk(place.clone(), number));
        }
        for number in 0..4 {
            tasks.spawn(look(place.clone(), number));
        }
        tasks.spawn(tidy(place.workspace.clone(), deadline));
        for minute in 1..=minutes {
            tokio::time::sleep(MINUTE).await;
            println!(
                "  minute {minute}: {} MiB of memory, {} MiB at most; {} messages written, {} read, a store of {} MiB",
                memory("VmRSS:") >> 20,
                memory("VmHWM:") >> 20,
                done.written.load(Ordering::Relaxed),
                done.read.load(Ordering::Relaxed),
                fs::metadata(&file)?.len() >> 20,
            );
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        place.workspace.store().close().await?;
        Result::Ok(())
    })
}

/// Writes messages of many lengths to one session after the other, ten a second.
async fn talk(place: Place, number: u64) -> Result {
    let Place { workspace, sessions, done, deadline } = place;
    let agent = Agent::new(format!("agent-{number}"), "Ada", "backend-specialist");
    workspace.save_agent(&agent).await?;
    while !deadline.has_passed() {
        let session = workspace.create_session(&agent, NewSession::default()).await?;
        sessions.lock().await.push(session.id.clone());
        for at in 0..MESSAGES {
            if deadline.has_passed() {
                break;
            }
            // Mostly paragraphs, sometimes a file, rarely the output of a tool.
            let length = if at % 97 == 0 {
                100_000
            } else if at % 13 == 0 {
                8_000
            } else {
                500
            };
            let said = format!("message {at} of agent {number}: {}", "words that are said ".repeat(length / 20));
            workspace.add_message(&session.id, workspace.message(Role::Assistant, said)).await?;
            done.written.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if number.is_multiple_of(4) {
            workspace.archive_session(&session.id).await?;
        }
    }
    Ok(())
}

/// Reads lists, the ends of conversations and whole ones, and searches.
async fn look(place: Place, number: u64) -> Result {
    let Place { workspace, sessions, done, deadline } = place;
    for turn in 0_u64.. {
        if deadline.has_passed() {
            break;
        }
        let of_list = workspace.summaries(&SessionFilter::default(), None, 50).await?.items.len();
        let chosen = {
            let sessions = sessions.lock().await;
            // Strides of a prime number reach all of them.
            let at = (turn.wrapping_mul(7919).wrapping_add(number * 31)) % (sessions.len() as u64).max(1);
            sessions.get(usize::try_from(at)?).cloned()
        };
        let mut read = of_list as u64;
        // A cleanup may have removed it since.
        if let Some(session) = match chosen {
            Some(id) => workspace.session(&id).await?,
            None => None,
        } {
            read += workspace.tail(&session, 50).await?.len() as u64;
            if turn % 8 == 0 {
                read += workspace.history(&session, 0..u64::MAX, Direction::Forward, None).count().await as u64;
            }
        }
        if turn % 64 == number {
            let query = SearchQuery { words: vec!["agent 3".into()], ..SearchQuery::default() };
            read += workspace.search(query).await?.take(20).count().await as u64;
        }
        done.read.fetch_add(read, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

/// Cleans up every five minutes, so that sessions are also removed.
async fn tidy(workspace: Workspace, deadline: Deadline) -> Result {
    let policy = RetentionPolicy { max_sessions: Some(200), ..RetentionPolicy::default() };
    while !deadline.has_passed() {
        for _ in 0..300 {
            if deadline.has_passed() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let plan = workspace.cleanup_plan(&policy).await?;
        workspace.cleanup(&plan).await?;
    }
    Ok(())
}
