//! JSON in the format of JavaScript's `JSON.stringify`, and exact text where it was not written by JavaScript.

/// A JSON value whose members keep their order and may repeat.
#[derive(Debug, Clone)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    /// Text that already is JSON, as it must be in the file.
    Exact(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Returns text that already is JSON as a value.
    pub(super) fn exact(text: impl Into<String>) -> Json {
        Json::Exact(text.into())
    }

    pub(super) fn array<T: Into<Json>>(items: impl IntoIterator<Item = T>) -> Json {
        Json::Array(items.into_iter().map(Into::into).collect())
    }

    pub(super) fn object() -> Json {
        Json::Object(Vec::new())
    }

    /// Adds a member at the end of an object.
    pub(super) fn with(mut self, name: &str, value: impl Into<Json>) -> Json {
        if let Json::Object(members) = &mut self {
            members.push((name.to_owned(), value.into()));
        }
        self
    }

    /// Adds a member if there is a value, as `JSON.stringify` leaves out what is undefined.
    pub(super) fn with_some(self, name: &str, value: Option<impl Into<Json>>) -> Json {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Returns what `JSON.stringify(value)` gives.
    pub(super) fn compact(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, None);
        text
    }

    /// Returns what `JSON.stringify(value, null, 2)` gives.
    pub(super) fn pretty(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, Some(0));
        text
    }

    /// Writes the value, `indent` being the depth of its line, or nothing for a single line.
    fn write(&self, text: &mut String, indent: Option<usize>) {
        match self {
            Json::Null => text.push_str("null"),
            Json::Bool(value) => text.push_str(&value.to_string()),
            Json::Number(value) => text.push_str(&value.to_string()),
            Json::Text(value) => write_string(text, value),
            // A line break in JSON text is always between two values, never inside a string.
            Json::Exact(value) => text.push_str(&value.replace('\n', &line_break(indent))),
            Json::Array(items) => {
                let items = items.iter().map(|item| (None, item));
                write_group(text, indent, ['[', ']'], items.collect());
            }
            Json::Object(members) => {
                let members = members.iter().map(|(name, value)| (Some(name.as_str()), value));
                write_group(text, indent, ['{', '}'], members.collect());
            }
        }
    }
}

fn write_group(text: &mut String, indent: Option<usize>, [open, close]: [char; 2], items: Vec<(Option<&str>, &Json)>) {
    let inner = indent.map(|depth| depth + 1);
    let is_empty = items.is_empty();
    text.push(open);
    for (index, (name, value)) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&line_break(inner));
        if let Some(name) = name {
            write_string(text, name);
            text.push_str(if inner.is_some() { ": " } else { ":" });
        }
        value.write(text, inner);
    }
    if !is_empty {
        text.push_str(&line_break(indent));
    }
    text.push(close);
}

fn line_break(indent: Option<usize>) -> String {
    indent.map_or_else(String::new, |depth| format!("\n{}", "  ".repeat(depth)))
}

fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for symbol in value.chars() {
        match symbol {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", control as u32)),
            other => text.push(other),
        }
    }
    text.push('"');
}

impl From<&str> for Json {
    fn from(value: &str) -> Json {
        Json::Text(value.to_owned())
    }
}

impl From<&&str> for Json {
    fn from(value: &&str) -> Json {
        Json::from(*value)
    }
}

impl From<String> for Json {
    fn from(value: String) -> Json {
        Json::Text(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Json {
        Json::Number(value)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Json {
        let inner = Json::object().with("b", Json::array([1, 2])).with("c", Json::object());
        Json::object().with("a", inner).with("d", Json::Array(vec![])).with("e", Json::Null)
    }

    #[test]
    fn pretty_is_what_javascript_prints_with_two_spaces() {
        let expected = "{\n  \"a\": {\n    \"b\": [\n      1,\n      2\n    ],\n    \"c\": {}\n  },\n  \"d\": [],\n  \"e\": null\n}";
        assert_eq!(sample().pretty(), expected);
    }

    #[test]
    fn compact_has_no_spaces() {
        assert_eq!(sample().compact(), r#"{"a":{"b":[1,2],"c":{}},"d":[],"e":null}"#);
    }

    #[test]
    fn only_what_must_be_escaped_is_escaped() {
        let text = Json::from("\"\\\u{8}\u{c}\n\r\t\u{1} é 🧩 \u{2028} /");
        assert_eq!(text.compact(), "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001 é 🧩 \u{2028} /\"");
    }

    #[test]
    fn exact_text_is_indented_with_its_surroundings() {
        let nested = Json::object().with("t", Json::exact("{\n  \"n\": 1.10\n}"));
        assert_eq!(nested.pretty(), "{\n  \"t\": {\n    \"n\": 1.10\n  }\n}");
    }

    #[test]
    fn a_member_may_repeat_and_may_be_left_out() {
        let twice = Json::object().with("a", 1).with_some("b", None::<i64>).with("a", 2);
        assert_eq!(twice.compact(), r#"{"a":1,"a":2}"#);
    }
}
