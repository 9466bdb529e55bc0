//! The ended tasks of a session, one page at a time, for callers that hold nothing between pages.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use futures_util::StreamExt;

use super::task::unplaced;
use crate::entity::{Entity, Session, SessionId, Slot, Task};
use crate::error::{Error, Result};
use crate::query::LogQuery;
use crate::workspace::Workspace;

/// The maximum number of entries read together.
const TOGETHER: usize = 256;

/// A place between two tasks of a session. It can be stored as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPlace {
    /// The entry that it precedes.
    before: u64,
    /// Which earlier entries are replaced by later ones: hardly ever more than one.
    replaced: BTreeSet<u64>,
}

impl Default for TaskPlace {
    /// The place after all tasks.
    fn default() -> Self {
        Self { before: u64::MAX, replaced: BTreeSet::new() }
    }
}

impl fmt::Display for TaskPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.before)?;
        self.replaced.iter().try_for_each(|replaced| write!(f, "/{replaced}"))
    }
}

impl FromStr for TaskPlace {
    type Err = Error;

    /// `Invalid` for text that is not a place.
    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split('/').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>();
        match numbers.as_deref() {
            Some([before, replaced @ ..]) => Ok(Self { before: *before, replaced: replaced.iter().copied().collect() }),
            _ => Err(Error::invalid(format!(
                "`{}` does not mark a page of tasks; give the `next` of an earlier page",
                text.escape_debug()
            ))),
        }
    }
}

/// A page of ended tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskPage {
    /// The result of reading each; unreadable ones are an error in their place.
    pub items: Vec<Result<Task>>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<TaskPlace>,
}

impl Workspace {
    /// Returns a page of at most `limit` ended tasks of a session, most recent first, from a place or from the newest;
    /// the next one begins at [`TaskPage::next`].
    ///
    /// Tasks that end between two pages do not shift the others. [`tasks`](Self::tasks) reads all at once and includes
    /// the one being worked on. `Invalid` for a limit of zero.
    pub async fn ended_tasks(&self, session: &SessionId, from: Option<TaskPlace>, limit: usize) -> Result<TaskPage> {
        if limit == 0 {
            return Err(Error::invalid("the limit of a page is zero; it must be at least 1"));
        }
        let TaskPlace { before, mut replaced } = from.unwrap_or_default();
        let query = LogQuery::newest_first(Session::tasks(session), limit.min(TOGETHER)).within(0..before);
        let (mut page, mut entries) = (TaskPage::default(), self.store.read(query));
        while let Some(entry) = entries.next().await {
            let (places, task) = match entry {
                Ok(entry) => (entry.position..entry.position + 1, Task::from_body(&entry.body)),
                Err(error) => (error.positions().unwrap_or_default(), Err(error)),
            };
            match task {
                Ok(task) => {
                    replaced.extend(task.replaces);
                    if !replaced.remove(&places.start) && task.slot != Some(Slot::Current) {
                        page.items.push(Ok(task));
                    }
                }
                Err(error) if error.is_of_one_thing() => page.items.push(Err(unplaced(error))),
                Err(error) => return Err(error),
            }
            if page.items.len() == limit {
                page.next = (places.start > 0).then_some(TaskPlace { before: places.start, replaced });
                return Ok(page);
            }
        }
        Ok(page)
    }
}
