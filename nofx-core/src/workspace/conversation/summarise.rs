//! The short form of a history, for an agent that is to continue without reading all of it.

use std::collections::VecDeque;

use futures_util::TryStreamExt;

use super::history::PAGE;
use super::preview::beginning;
use crate::batch::NewEntry;
use crate::entity::{Entity, Message, Role, Session, TaskStatus};
use crate::error::Result;
use crate::query::Direction;
use crate::workspace::Workspace;

/// How many of the newest messages the short form keeps unchanged.
const NEWEST: usize = 50;

/// The maximum number of earlier system messages it keeps, the newest of them.
const SYSTEM: usize = 1000;

/// The maximum number of tasks that a summary names, the newest of them.
const TASKS: usize = 10;

impl Workspace {
    /// Returns a message that summarises the first `to` messages of a session, then the system's messages and the
    /// newest 50 as they are stored, in order and each once.
    pub(crate) async fn summarised(&self, session: &Session, to: u64) -> Result<(Message, Vec<NewEntry>)> {
        let mut newest: VecDeque<(Option<Role>, NewEntry)> = VecDeque::new();
        let mut system: VecDeque<NewEntry> = VecDeque::new();
        let (mut asked, mut answered, mut all) = (0_u64, 0_u64, 0_u64);
        let mut history = self.stored_history(session, 0..to, Direction::Forward, PAGE);
        while let Some((_, _, entry)) = history.try_next().await? {
            let role = Message::from_body(&entry.body)?.role;
            all += 1;
            asked += u64::from(role == Some(Role::User));
            answered += u64::from(role == Some(Role::Assistant));
            newest.push_back((role, NewEntry { at: entry.at, body: entry.body }));
            if newest.len() > NEWEST
                && let Some((Some(Role::System), entry)) = newest.pop_front()
            {
                system.push_back(entry);
                if system.len() > SYSTEM {
                    system.pop_front();
                }
            }
        }
        let kept: Vec<_> = system.into_iter().chain(newest.into_iter().map(|(_, entry)| entry)).collect();

        let left_out = all - kept.len() as u64;
        let mut summary = format!(
            "[Summary of {}: {all} messages, {asked} from the user and {answered} from the agent; {left_out} are left \
             out here.",
            session.name
        );
        if let Some(first) = &session.preview {
            summary.push_str(&format!(" It began with: {first}"));
        }
        summary.push_str(&self.tasks_in_words(session).await?);
        summary.push(']');
        Ok((self.message(Role::System, summary), kept))
    }

    async fn tasks_in_words(&self, session: &Session) -> Result<String> {
        let tasks = self.tasks(&session.id).await?.whole()?;
        let done: Vec<_> = tasks.ended.iter().filter(|task| task.status == Some(TaskStatus::Completed)).collect();
        let newest = done.len().saturating_sub(TASKS);
        let titles: Vec<_> = done.iter().skip(newest).filter_map(|task| beginning(&task.title)).collect();
        let titles: Vec<_> = titles.iter().map(|title| title.to_string()).collect();
        let mut words = String::new();
        if !titles.is_empty() {
            words.push_str(&format!(" Tasks done: {}.", titles.join("; ")));
        }
        if let Some(title) = tasks.current.and_then(|task| beginning(&task.title)) {
            words.push_str(&format!(" Current task: {title}."));
        }
        Ok(words)
    }
}
