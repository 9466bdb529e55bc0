//! Messages as one likes to read them.

use anstyle::AnsiColor;
use nofx_core::Timestamp;
use nofx_core::entity::{Entity, Role};
use nofx_core::workspace::HistoryEntry;

use super::json_line::JsonLine;
use super::screen::{Screen, prose};
use super::text::one_line;
use super::when::{clock, date};

/// Shows one message after the other.
#[derive(Debug)]
pub(crate) struct Conversation {
    screen: Screen,
    json: bool,
    /// The day of the last message.
    day: Option<String>,
}

impl Conversation {
    pub(crate) fn new(json: bool) -> Self {
        Self { screen: Screen::of_stdout(), json, day: None }
    }

    /// Returns the next message as text.
    pub(crate) fn show(&mut self, entry: &HistoryEntry) -> String {
        if self.json {
            let json = JsonLine::new().put("position", &entry.position).put("at", &entry.at);
            return json.raw("message", &entry.message.object().to_json()).line();
        }
        let mut shown = self.day(entry.at);
        let who = entry.message.role.as_ref().map_or("nobody".to_owned(), Role::to_string);
        let who = self.screen.coloured(colour(entry.message.role.as_ref()), &one_line(&who));
        shown.push_str(&format!("\n{} {who}\n", self.screen.dim(&clock(entry.at))));
        let content = entry.message.content.clone().unwrap_or_default();
        for line in prose(&content.to_str_lossy(), self.screen.prose() - 2) {
            shown.push_str(format!("  {line}").trim_end());
            shown.push('\n');
        }
        shown
    }

    /// Returns a line for a day that begins.
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
