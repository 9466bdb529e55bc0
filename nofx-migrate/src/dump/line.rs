//! One line of a dump.

use nofx_core::json::{Object, Text, quote};

/// A JSON object that is written member by member.
pub(super) struct Line(String);

impl Line {
    /// Starts a line of a kind.
    pub(super) fn of(kind: &str) -> Self {
        Self(format!("{{\"kind\":{}", quote(kind)))
    }

    /// Adds a member; `value` is JSON.
    pub(super) fn member(&mut self, name: &str, value: &str) {
        self.0.push(',');
        self.0.push_str(&quote(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    pub(super) fn text(&mut self, name: &str, value: &Text) {
        self.member(name, &value.to_json());
    }

    /// Adds the namespace of a thing, unless it is the default one.
    pub(super) fn namespace(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.member("namespace", &quote(name));
        }
    }

    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.member(name, &value.to_string());
    }

    /// Adds what has no member of its own, if anything.
    pub(super) fn extra(&mut self, extra: &Object) {
        if !extra.is_empty() {
            self.member("extra", &extra.to_json());
        }
    }

    /// Ends the line.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }

    /// Leaves the line open, for a value that is too long to be held in memory.
    pub(super) fn unfinished(self) -> String {
        self.0
    }
}
