//! Sessions and agents as Markdown, for people.

use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::entity::{Agent, Session, SessionId, Task};
use crate::error::{Error, Result};
use crate::json::Text;
use crate::query::Direction;
use crate::time::Timestamp;
use crate::workspace::conversation::history::END;
use crate::workspace::{HistoryEntry, Tasks, Workspace};

impl Workspace {
    /// Returns a session as Markdown, in pieces that form one text when joined; messages are read lazily.
    ///
    /// What was said is in code fences longer than any inside it, so that it is shown as it is and ends where it
    /// should. `NotFound` if there is no such session. Unreadable messages and tasks are an error in their place, and
    /// the stream continues after them; the text may have [`unreadable_section`] there.
    pub async fn export_markdown(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = Result<String>> + Send + Unpin + use<>> {
        let session = self.find(id).await?.session;
        let mut head = session_head(&session, self.now());
        let tasks = self.tasks(id).await?;
        head.push_str(&tasks_section(&tasks));
        let tasks = tasks.unreadable.into_iter().map(Err).chain([Ok("\n## Conversation\n".to_owned())]);
        let messages = self.history(&session, 0..END, Direction::Forward, None).map_ok(|entry| message_section(&entry));
        Ok(stream::iter([Ok(head)].into_iter().chain(tasks)).chain(messages).boxed())
    }

    /// Returns all agents with their totals and transcripts as Markdown, in pieces that form one text when joined.
    pub fn export_agents_markdown(&self) -> impl Stream<Item = Result<String>> + Send + Unpin + use<> {
        let head = format!("# Agents\n\nWritten {}.\n", self.now());
        let workspace = self.clone();
        let agents = self.agents().and_then(move |agent| {
            let workspace = workspace.clone();
            async move { workspace.agent_section(&agent).await }
        });
        stream::iter([Ok(head)]).chain(agents).boxed()
    }

    async fn agent_section(&self, agent: &Agent) -> Result<String> {
        let totals = self.agent_totals(&agent.id).await?;
        let mut section = format!("\n## {} ({})\n\n", heading(&agent.name), heading(&agent.kind));
        section.push_str(&bullet("Id", &agent.id.to_string()));
        section.push_str(&bullet("Status", &agent.status.to_string()));
        section.push_str(&bullet("Sessions", &totals.sessions.to_string()));
        section.push_str(&bullet("Tasks completed", &totals.tasks_completed.to_string()));
        if let Some(transcript) = self.transcript(&agent.id).await? {
            section.push('\n');
            section.push_str(&fenced(&transcript));
        }
        Ok(section)
    }
}

/// Returns the section that replaces unreadable messages.
pub fn unreadable_section(error: &Error) -> String {
    format!("\n### {} cannot be read\n\n{}", which(error), fenced(&error.chain()))
}

/// Names the unreadable messages.
pub(crate) fn which(error: &Error) -> String {
    match error.positions() {
        Some(places) if places.end - places.start == 1 => format!("Message {}", places.start),
        Some(places) => format!("Messages {} to {}", places.start, places.end - 1),
        None => "This".to_owned(),
    }
}

fn session_head(session: &Session, now: Timestamp) -> String {
    let mut head = format!("# {}\n\n", heading(&session.name));
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let agent = format!("{} ({}, {})", session.agent_name, session.agent_type, session.agent_id);
    for (name, value) in [
        ("Session", Some(session.id.to_string())),
        ("Agent", Some(agent)),
        ("State", Some(session.state(now).name().to_owned())),
        ("Created", time(session.created_at)),
        ("Expires", time(session.expires_at)),
        ("Directory", text(&session.working_directory)),
        ("Branch", text(&session.git_branch)),
    ] {
        head.extend(value.map(|value| bullet(name, &value)));
    }
    head
}

fn tasks_section(tasks: &Tasks) -> String {
    let all: Vec<_> = tasks.ended.iter().chain(&tasks.current).collect();
    if all.is_empty() {
        return String::new();
    }
    let line = |task: &&Task| {
        let status = task.status.as_ref().map(ToString::to_string).unwrap_or_default().replace('_', " ");
        bullet(&status, &task.title.to_string())
    };
    format!("\n## Tasks\n\n{}", all.iter().map(line).collect::<String>())
}

fn message_section(entry: &HistoryEntry) -> String {
    let role = entry.message.role.as_ref().map(ToString::to_string).unwrap_or_default();
    let content = entry.message.content.clone().unwrap_or_default();
    format!("\n### {}, {}\n\n{}", heading(&role.into()), entry.at, fenced(&content.to_str_lossy()))
}

fn bullet(name: &str, value: &str) -> String {
    format!("- {}: {}\n", heading(&name.into()), heading(&value.into()))
}

/// Puts a text on one line, escaping what Markdown would interpret.
fn heading(text: &Text) -> String {
    let mut line = String::new();
    for character in text.to_str_lossy().split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|') {
            line.push('\\');
        }
        line.push(character);
    }
    line
}

/// Puts a text into a code fence that is longer than any in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}text\n{text}{end}{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_any_inside_it() {
        assert_eq!(fenced("plain"), "```text\nplain\n```\n");
        assert_eq!(fenced("a\n````\nb\n````\n"), "`````text\na\n````\nb\n````\n`````\n");
        assert_eq!(fenced(""), "```text\n```\n");
    }

    #[test]
    fn a_heading_is_one_line_and_only_text() {
        assert_eq!(heading(&"a\n# <b> [c](d)".into()), "a \\# \\<b\\> \\[c\\](d)");
    }
}
