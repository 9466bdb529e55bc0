//! Transcripts: what agents wrote, as plain text; and how a restored agent learns of it.

use std::collections::VecDeque;

use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt};

use crate::entity::{AgentId, Entity, EntryEntity, TranscriptPart};
use crate::error::{Error, Result};
use crate::json::Text;
use crate::kind::TRANSCRIPT;
use crate::query::Direction;
use crate::workspace::conversation::history::END;
use crate::workspace::{HistoryEntry, SessionFilter, Workspace};

/// How many lines of its transcript a restored agent gets.
const CONTEXT_LINES: usize = 50;

/// The text that precedes them.
const LEAD_IN: &str = "This is where the conversation stood when the agent was last at work:\n\n";

/// Entries per page of parts.
const PAGE: usize = 64;

impl Workspace {
    /// Appends to an agent's transcript.
    pub async fn append_transcript(&self, agent: &AgentId, content: impl Into<Text>) -> Result<()> {
        self.add_part("append_transcript", agent, TranscriptPart::new(Some(self.now()), content)).await
    }

    /// Starts an agent's transcript over. Earlier parts are kept, but are no longer part of the transcript.
    pub async fn begin_transcript(&self, agent: &AgentId, content: impl Into<Text>) -> Result<()> {
        let mut part = TranscriptPart::new(Some(self.now()), content);
        part.starts_over = true;
        self.add_part("begin_transcript", agent, part).await
    }

    async fn add_part(&self, verb: &str, agent: &AgentId, part: TranscriptPart) -> Result<()> {
        self.append_on(verb, &self.agent_log(&TRANSCRIPT, agent), &part).await
    }

    /// Permanently removes an agent's transcript, including parts from before it last started over; returns whether
    /// there was one.
    ///
    /// A part that is added concurrently may stay. The agent may continue with a new transcript.
    pub async fn remove_transcript(&self, agent: &AgentId) -> Result<bool> {
        self.remove_on("remove_transcript", &self.agent_log(&TRANSCRIPT, agent)).await
    }

    /// Permanently removes the transcripts of all agents, including agents that no longer exist.
    pub async fn clear_transcripts(&self) -> Result<()> {
        self.clear_on(&TRANSCRIPT).await
    }

    /// Returns an agent's transcript since it last started over, newest part first, read lazily.
    pub fn transcript_backwards(
        &self,
        agent: &AgentId,
    ) -> impl Stream<Item = Result<TranscriptPart>> + Send + Unpin + use<> {
        let parts = self.read_on(&self.agent_log(&TRANSCRIPT, agent), PAGE);
        let parts = parts.map(|entry| TranscriptPart::from_body(&entry?.body));
        let mut begun = false;
        let until_begun = move |part: &Result<TranscriptPart>| {
            let wanted = !begun;
            begun = part.as_ref().is_ok_and(|part| part.starts_over);
            std::future::ready(wanted)
        };
        parts.take_while(until_begun).boxed()
    }

    /// Returns an agent's whole transcript since it last started over, as one text; `None` if there is none.
    ///
    /// It has the old extension's form: the start time, then each part under the time when it was written. Unreadable
    /// parts are replaced by a note.
    pub async fn transcript(&self, agent: &AgentId) -> Result<Option<String>> {
        let mut parts: Vec<_> = marked(self.transcript_backwards(agent)).try_collect().await?;
        parts.reverse();
        let Some((first, rest)) = parts.split_first() else { return Ok(None) };
        let mut text = format!("# Agent Session: {agent}\n");
        if let Some(at) = first.at() {
            text.push_str(&format!("# Started: {at}\n"));
        }
        text.push('\n');
        text.push_str(&first.content.to_str_lossy());
        for part in rest {
            match part.at() {
                Some(at) => text.push_str(&format!("\n\n--- {at} ---\n")),
                None => text.push_str("\n\n"),
            }
            text.push_str(&part.content.to_str_lossy());
        }
        Ok(Some(text))
    }

    /// Returns the context for an agent that is restored: a sentence and the last fifty lines of its transcript or, if
    /// it has none, of its newest session. `None` if there is neither.
    pub async fn context_summary(&self, agent: &AgentId) -> Result<Option<String>> {
        let mut lines = Lines::default();
        let mut parts = marked(self.transcript_backwards(agent));
        while let Some(part) = parts.try_next().await? {
            if lines.add_before(&part.content) {
                break;
            }
        }
        if lines.0.is_empty() {
            self.add_newest_session(agent, &mut lines).await?;
        }
        let lines: Vec<_> = lines.0.into();
        Ok((!lines.is_empty()).then(|| format!("{LEAD_IN}{}", lines.join("\n"))))
    }

    async fn add_newest_session(&self, agent: &AgentId, lines: &mut Lines) -> Result<()> {
        let filter = SessionFilter { agent: Some(agent.clone()), ..SessionFilter::default() };
        let Some(newest) = self.summaries(&filter, None, 1).await?.items.into_iter().next() else { return Ok(()) };
        let mut messages = self.history(&newest.session, 0..END, Direction::Backward, None);
        while let Some(entry) = messages.next().await {
            let text = match entry {
                Ok(HistoryEntry { message, .. }) => {
                    let role = message.role.map(|role| role.to_string()).unwrap_or_default();
                    format!("{role}: {}", message.content.unwrap_or_default())
                }
                Err(error) if error.is_of_one_thing() => unreadable(&error),
                Err(error) => return Err(error),
            };
            if lines.add_before(&text.into()) {
                break;
            }
        }
        Ok(())
    }
}

/// Replaces unreadable parts with a part that says so.
fn marked(
    parts: impl Stream<Item = Result<TranscriptPart>> + Send + Unpin,
) -> impl Stream<Item = Result<TranscriptPart>> + Send + Unpin {
    parts.map(|part| match part {
        Err(error) if error.is_of_one_thing() => Ok(TranscriptPart::new(None, unreadable(&error))),
        part => part,
    })
}

fn unreadable(error: &Error) -> String {
    format!(
        "[{} of what was said here cannot be read: {error}]",
        match error.positions() {
            Some(places) if places.end - places.start > 1 => format!("{} parts", places.end - places.start),
            _ => "a part".to_owned(),
        }
    )
}

/// The last lines of a text that is read backwards.
#[derive(Debug, Default)]
struct Lines(VecDeque<String>);

impl Lines {
    /// Adds the lines of an earlier text; returns whether there are enough.
    fn add_before(&mut self, text: &Text) -> bool {
        for line in text.to_str_lossy().lines().rev() {
            if self.0.len() == CONTEXT_LINES {
                return true;
            }
            self.0.push_front(line.to_owned());
        }
        self.0.len() == CONTEXT_LINES
    }
}
