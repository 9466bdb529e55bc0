//! JSON objects on one line, for scripts. Stored texts are written as they are, including what a Rust string cannot hold.

use nofx_core::json::{Value, quote};

/// A JSON object under construction.
#[derive(Debug)]
pub(crate) struct JsonLine(String);

impl JsonLine {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a member that is JSON already.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&format!("\"{name}\":{json}"));
        self
    }

    pub(crate) fn put(self, name: &str, value: &impl Value) -> Self {
        self.raw(name, &value.write())
    }

    /// Adds a member, `null` for `None`.
    pub(crate) fn maybe(self, name: &str, value: Option<&impl Value>) -> Self {
        self.raw(name, &value.map_or("null".to_owned(), Value::write))
    }

    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.raw(name, &quote(text))
    }

    pub(crate) fn line(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}
