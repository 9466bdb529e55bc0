//! What each verb reads and writes, counted in stores of several sizes.

use std::time::Duration;

use futures_util::TryStreamExt;
use nofx_core::entity::{Role, Session};
use nofx_core::workspace::{RestoreOptions, SearchQuery, SessionFilter, Workspace, new_session};

use super::world::{BEGIN, World, begin, say, tail};
use crate::decorators::{CallCounts, Counting};
use crate::subject::Subject;
use crate::unmet::{CaseResult, ensure, ensure_eq};

/// Also measures with this many messages and sessions.
const COST_MESSAGES_VARIABLE: &str = "NOFX_WORKSPACE_COSTS";

/// The word that is searched for.
const WORD: &str = "needle";

/// The measured cost of one operation.
#[derive(Clone, Copy, Debug)]
struct Cost {
    counts: CallCounts,
    /// Bytes that this process gave to the system to write, where the system reports it.
    written: u64,
}

impl Cost {
    fn row(&self, size: u64, act: &str) -> String {
        let CallCounts { record_bytes, entry_bytes, batch_bytes, groups, .. } = self.counts;
        let items = self.items();
        let (calls, read) = (self.counts.reading_calls(), record_bytes + entry_bytes);
        format!(
            "{size:>8}  {act:<10} {calls:>6} {items:>8} {read:>10} {groups:>8} {batch_bytes:>8} {:>8}",
            self.written
        )
    }

    fn items(&self) -> u64 {
        self.counts.records + self.counts.heads + self.counts.entries
    }
}

/// Returns how many bytes this process has given to the system to write; zero where that is not
/// counted.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok()).unwrap_or(0)
}

/// Measures what an operation costs.
async fn cost<T>(counting: &Counting, act: impl Future<Output = CaseResult<T>>) -> CaseResult<(Cost, T)> {
    let (counts, bytes) = (counting.counts(), written());
    let done = act.await?;
    Ok((Cost { counts: counting.counts() - counts, written: written() - bytes }, done))
}

/// Adds sessions as an import does, many in one batch.
async fn fill(workspace: &Workspace, numbers: std::ops::Range<u64>) -> CaseResult {
    for some in numbers.collect::<Vec<_>>().chunks(1000) {
        let mut batch = workspace.store().batch();
        for n in some {
            let mut session = Session::new(format!("session-{n}"), format!("session {n}"), "agent-ada");
            session.last_active_at = Some(BEGIN.saturating_sub(Duration::from_secs(100 + *n)));
            batch = new_session(batch, &session, None)?;
        }
        workspace.store().commit(batch).await?.committed()?;
    }
    Ok(())
}

pub(super) async fn nothing_but_a_search_costs_more_in_a_larger_store(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let most = std::env::var(COST_MESSAGES_VARIABLE).ok().and_then(|text| text.parse().ok());
    let session = begin(&workspace).await?;
    let mut before = None;
    // The first fork of a session reads one record fewer: the one that says who else needs its
    // messages.
    say(&workspace, &session.id, 0..1).await?;
    workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    let (mut length, mut sessions) = (1, 2);
    println!("    size  act         calls    items bytes read  commits    bytes  to disk");
    for size in [10, 1000].into_iter().chain(most) {
        fill(&workspace, sessions..size).await?;
        say(&workspace, &session.id, length..size - 1).await?;
        (length, sessions) = (size, size);

        let message = workspace.message(Role::User, format!("a {WORD} in the hay"));
        let adding = async { Ok(workspace.add_message(&session.id, message).await?) };
        let (append, _) = cost(&counting, adding).await?;
        let restoring = async { Ok(workspace.restore_session(&session.id, RestoreOptions::default()).await?) };
        let (fork, restored) = cost(&counting, restoring).await?;
        let listing = async { Ok(workspace.summaries(&SessionFilter::default(), None, 10).await?) };
        let (page, listed) = cost(&counting, listing).await?;
        let (tail, newest) = cost(&counting, tail(&workspace, &restored, 10)).await?;
        let query = SearchQuery { words: vec![WORD.into()], ..SearchQuery::default() };
        let searching = async { Ok(workspace.search(query).await?.try_collect::<Vec<_>>().await?) };
        let (search, hits) = cost(&counting, searching).await?;
        for (act, cost) in
            [("append", append), ("fork", fork), ("first page", page), ("tail", tail), ("search", search)]
        {
            println!("{}", cost.row(size, act));
        }

        ensure_eq!((listed.items.len(), newest.len()), (10, 10), "what was listed and read");
        ensure!(!hits.is_empty(), "a message of {length} was not found");
        ensure_eq!((append.counts.groups, fork.counts.groups), (1, 1), "commits of a message and of a fork");
        ensure_eq!((page.counts.groups, tail.counts.groups, search.counts.groups), (0, 0, 0), "commits of reading");
        ensure!(search.counts.entries >= length, "a search of {length} messages looks at {}", search.counts.entries);
        let now = [append, fork, page, tail];
        if let Some(before) = before.replace(now) {
            for (what, (before, now)) in ["append", "fork", "page", "tail"].iter().zip(std::iter::zip(before, now)) {
                let calls = (before.counts.reading_calls(), now.counts.reading_calls());
                ensure_eq!(calls.1, calls.0, "calls of {what} at {size}");
                ensure!(now.items() <= before.items(), "{what} reads {} items at {size}", now.items());
                let (less, more) = (before.counts.batch_bytes, now.counts.batch_bytes);
                ensure!(less.abs_diff(more) <= 64, "{what} writes {more} bytes at {size}, {less} before");
            }
        }
    }
    Ok(())
}
