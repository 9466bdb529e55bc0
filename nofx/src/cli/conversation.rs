//! Prints messages for people to read.

use anstyle::AnsiColor;
use nofx_core::entity::{Entity, Role, Session};
use nofx_core::workspace::HistoryEntry;
use nofx_core::{Error, Timestamp};

use super::exit::Exit;
use super::fault::{Fault, Result, chain};
use super::json_line::JsonLine;
use super::screen::{Screen, prose};
use super::store_arg::OpenedWorkspace;
use super::text::one_line;
use super::times::{clock, date};

/// Formats one message after the other.
#[derive(Debug)]
pub(crate) struct Conversation {
    screen: Screen,
    json: bool,
    /// The day of the last message.
    day: Option<String>,
    /// How many messages could not be read, and the error of the first.
    unreadable: Option<(u64, Error)>,
}

impl Conversation {
    pub(crate) fn new(json: bool) -> Self {
        Self { screen: Screen::of_stdout(), json, day: None, unreadable: None }
    }

    /// Returns the next message as text.
    pub(crate) fn show(&mut self, entry: &HistoryEntry) -> String {
        if self.json {
            let json = JsonLine::new().put("position", &entry.position).put("at", &entry.at);
            return json.raw("message", &entry.message.object().to_json()).line();
        }
        let mut shown = self.day(entry.at);
        let who = entry.message.role.as_ref().map_or("unknown".to_owned(), Role::to_string);
        let who = self.screen.coloured(colour(entry.message.role.as_ref()), &one_line(&who));
        shown.push_str(&format!("\n{} {who}\n", self.screen.dim(&clock(entry.at))));
        let content = entry.message.content.clone().unwrap_or_default();
        for line in prose(&content.to_str_lossy(), self.screen.prose() - 2) {
            shown.push_str(format!("  {line}").trim_end());
            shown.push('\n');
        }
        shown
    }

    /// Returns what is shown in place of messages that cannot be read. An error that ends the whole read becomes a fault.
    pub(crate) fn unreadable(&mut self, error: Error, opened: &OpenedWorkspace) -> Result<String> {
        if !error.is_of_one_thing() {
            return Err(opened.fault(&error));
        }
        let places = error.positions();
        let count = places.as_ref().map_or(1, |places| places.end - places.start);
        let reason = one_line(&chain(&error));
        let shown = match (&places, self.json) {
            (Some(places), true) => {
                JsonLine::new().put("position", &places.start).put("count", &count).text("unreadable", &reason).line()
            }
            (None, true) => JsonLine::new().text("unreadable", &reason).line(),
            (Some(places), false) if count == 1 => format!("\n  (message {} is unreadable: {reason})\n", places.start),
            (Some(places), false) => {
                format!("\n  (messages {} to {} are unreadable: {reason})\n", places.start, places.end - 1)
            }
            (None, false) => format!("\n  (unreadable: {reason})\n"),
        };
        self.unreadable.get_or_insert((0, error)).0 += count;
        Ok(shown)
    }

    /// Returns the exit code, once everything readable has been shown.
    pub(crate) fn end(self, session: &Session) -> Result<Exit> {
        match self.unreadable {
            None => Ok(Exit::Done),
            Some((count, first)) => {
                let messages = if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
                Err(Fault::unreadable(&first, format!("{messages} of session `{}` cannot be read", session.id)))
            }
        }
    }

    /// Returns a heading if this is the first message of its day.
    fn day(&mut self, at: Timestamp) -> String {
        let day = date(at);
        if self.day.as_ref() == Some(&day) {
            return String::new();
        }
        let line = format!("\n{}\n", self.screen.dim(&format!("── {day} {}", "─".repeat(20))));
        self.day = Some(day);
        line
    }
}

fn colour(role: Option<&Role>) -> AnsiColor {
    match role {
        Some(Role::User) => AnsiColor::Cyan,
        Some(Role::Assistant) => AnsiColor::Green,
        Some(Role::System) => AnsiColor::Yellow,
        _ => AnsiColor::Magenta,
    }
}
