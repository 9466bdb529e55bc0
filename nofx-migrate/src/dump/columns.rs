//! The name of each member of the old format in the dump, and the values that fit there.

use nofx_core::Timestamp;
use nofx_core::json::{self, Object, SyntaxError, Text, Value};

use super::line::Line;

/// A member of the old format and its column in the dump.
pub(super) struct Column {
    legacy: &'static str,
    name: &'static str,
    fits: Fits,
    required: bool,
}

/// The values that a column accepts.
#[derive(Clone, Copy, PartialEq)]
enum Fits {
    Text,
    Number,
    Flag,
    Time,
    Texts,
    Object,
    Anything,
}

/// A column that is always present: `null` if the source has no value that fits.
const fn always(name: &'static str, legacy: &'static str, fits: Fits) -> Column {
    Column { legacy, name, fits, required: true }
}

/// A column that is omitted if the source has no value.
const fn maybe(name: &'static str, legacy: &'static str, fits: Fits) -> Column {
    Column { legacy, name, fits, required: false }
}

pub(super) const AGENT: &[Column] = &[
    always("name", "name", Fits::Text),
    always("type", "type", Fits::Text),
    always("status", "status", Fits::Text),
    maybe("tasks_completed", "tasksCompleted", Fits::Number),
    maybe("session_file", "sessionFile", Fits::Text),
    maybe("created_at", "createdAt", Fits::Time),
    maybe("current_task", "currentTask", Fits::Object),
];

pub(super) const SESSION: &[Column] = &[
    always("agent_id", "agentId", Fits::Text),
    always("agent_name", "agentName", Fits::Text),
    always("agent_type", "agentType", Fits::Text),
    always("name", "name", Fits::Text),
    always("status", "status", Fits::Text),
    always("created_at", "createdAt", Fits::Time),
    always("last_active_at", "lastActiveAt", Fits::Time),
    maybe("expires_at", "expiresAt", Fits::Time),
    always("session_duration", "sessionDuration", Fits::Number),
    always("claude_active", "isClaudeSessionActive", Fits::Flag),
    maybe("working_directory", "workingDirectory", Fits::Text),
    maybe("git_branch", "gitBranch", Fits::Text),
    always("capabilities", "capabilities", Fits::Texts),
    always("system_prompt", "systemPrompt", Fits::Text),
    always("tasks_completed", "tasksCompleted", Fits::Number),
    always("total_output_lines", "totalOutputLines", Fits::Number),
    maybe("average_response_time", "averageResponseTime", Fits::Number),
];

pub(super) const MESSAGE: &[Column] = &[
    always("id", "id", Fits::Text),
    always("role", "type", Fits::Text),
    always("at", "timestamp", Fits::Time),
    always("content", "content", Fits::Text),
    maybe("metadata", "metadata", Fits::Anything),
];

pub(super) const TASK: &[Column] = &[
    always("id", "id", Fits::Text),
    always("title", "title", Fits::Text),
    always("description", "description", Fits::Text),
    always("priority", "priority", Fits::Text),
    always("tags", "tags", Fits::Texts),
    always("status", "status", Fits::Text),
    always("assigned_at", "assignedAt", Fits::Time),
    maybe("completed_at", "completedAt", Fits::Time),
    maybe("duration", "duration", Fits::Number),
    always("files_modified", "filesModified", Fits::Texts),
    always("commands_executed", "commandsExecuted", Fits::Texts),
    maybe("conversation_range", "conversationRange", Fits::Anything),
    maybe("notes", "notes", Fits::Anything),
];

pub(super) const ORCHESTRATION: &[Column] = &[
    always("id", "id", Fits::Text),
    always("at", "timestamp", Fits::Time),
    always("type", "type", Fits::Text),
    maybe("from", "from", Fits::Text),
    maybe("to", "to", Fits::Text),
    maybe("payload", "payload", Fits::Anything),
    maybe("correlation_id", "correlationId", Fits::Text),
    maybe("requires_ack", "requiresAck", Fits::Flag),
];

pub(super) const CHECKPOINT: &[Column] = &[
    always("at", "timestamp", Fits::Time),
    always("user", "user", Fits::Text),
    always("agent_text", "agent", Fits::Text),
];

/// Writes each column, and collects in an object what no column holds: unknown members and values that do not fit.
///
/// `told` are members that the caller has already written.
pub(super) fn write(
    line: &mut Line,
    source: &Object,
    columns: &[Column],
    told: &[&str],
) -> Result<Object, SyntaxError> {
    let mut misfits = Vec::new();
    for column in columns {
        let value = source.get(column.legacy);
        match value {
            Some(value) if column.takes(value) => line.member(column.name, &json::minimal_escapes(value)?),
            Some(value) => {
                misfits.push(column.legacy);
                match (column.fits, converted_time(value)) {
                    (Fits::Time, Some(time)) => line.member(column.name, &time.write()),
                    (Fits::Time, None) => line.member(column.name, "null"),
                    _ if column.required => line.member(column.name, "null"),
                    _ => {}
                }
            }
            None if column.required => line.member(column.name, "null"),
            None => {}
        }
    }
    let mut extra = Object::default();
    let known = |name: &Text| {
        columns.iter().map(|column| column.legacy).chain(told.iter().copied()).find(|known| name == known)
    };
    for (name, value) in source.iter() {
        // If a known member occurs several times, only the last one counts, and it is in its column.
        let kept = match known(&name) {
            Some(known) => misfits.contains(&known),
            None => true,
        };
        if kept {
            extra.push(&name, json::minimal_escapes(value)?);
        }
    }
    Ok(extra)
}

impl Column {
    fn takes(&self, value: &str) -> bool {
        match (self.fits, value.as_bytes().first()) {
            (Fits::Anything, _) => true,
            // An optional column can express the difference between nothing and `null`.
            (fits, Some(b'n')) => !self.required && fits != Fits::Time,
            (Fits::Text, Some(first)) => *first == b'"',
            (Fits::Number, Some(first)) => matches!(first, b'-' | b'0'..=b'9'),
            (Fits::Flag, Some(first)) => matches!(first, b't' | b'f'),
            (Fits::Object, Some(first)) => *first == b'{',
            (Fits::Texts, Some(_)) => Vec::<Text>::read(value).is_some(),
            (Fits::Time, Some(_)) => is_canonical_time(value),
            (_, None) => false,
        }
    }
}

/// Returns whether a value is a time in the only format that the dump writes: `2025-07-01T10:00:00.000Z`.
fn is_canonical_time(value: &str) -> bool {
    let text = Text::from_json(value);
    let text = text.as_ref().and_then(Text::as_str).unwrap_or_default();
    text.len() == 24 && Timestamp::parse(text).is_some_and(|time| time.to_string() == text)
}

/// Returns the time that a value of another format means, if that is unambiguous.
fn converted_time(value: &str) -> Option<Timestamp> {
    // The range of JavaScript dates.
    const LAST: u64 = 8_640_000_000_000_000;
    let millis = i64::read(value).filter(|millis| millis.unsigned_abs() <= LAST).map(Timestamp::from_millis);
    millis.or_else(|| Timestamp::read(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(source: &str) -> String {
        let source = Object::parse(source).unwrap();
        let mut line = Line::of("message");
        let extra = write(&mut line, &source, MESSAGE, &[]).unwrap();
        line.extra(&extra);
        line.end()
    }

    fn at(value: &str) -> String {
        let line = message(&format!(r#"{{"id":"m","type":"user","content":"","timestamp":{value}}}"#));
        line.split_once(r#""at":"#).unwrap().1.replace("\"content\":\"\"", "…").trim_end().to_owned()
    }

    #[test]
    fn what_fits_stands_in_its_column_and_the_rest_is_extra() {
        assert_eq!(
            message(
                r#"{"x":1.10,"id":"m","timestamp":"2025-07-01T10:00:00.000Z","type":"user","content":"\u00e9","":{}}"#
            ),
            "{\"kind\":\"message\",\"id\":\"m\",\"role\":\"user\",\"at\":\"2025-07-01T10:00:00.000Z\",\"content\":\"é\",\
             \"extra\":{\"x\":1.10,\"\":{}}}\n"
        );
        assert_eq!(
            message(r#"{"id":7,"type":null,"content":["x"],"metadata":null}"#),
            "{\"kind\":\"message\",\"id\":null,\"role\":null,\"at\":null,\"content\":null,\"metadata\":null,\
             \"extra\":{\"id\":7,\"type\":null,\"content\":[\"x\"]}}\n"
        );
    }

    #[test]
    fn only_times_of_the_one_shape_are_canonical() {
        assert_eq!(at("\"2025-07-01T10:00:00.000Z\""), "\"2025-07-01T10:00:00.000Z\",…}");
        for (value, meant) in [
            ("1751364000000", "\"2025-07-01T10:00:00.000Z\""),
            ("\"2025-07-01T12:00:00+02:00\"", "\"2025-07-01T10:00:00.000Z\""),
            ("\"+010000-01-01T00:00:00.000Z\"", "\"+010000-01-01T00:00:00.000Z\""),
            ("\"2025-02-30T10:00:00.000Z\"", "null"),
            ("\"yesterday\"", "null"),
            ("1e400", "null"),
            ("9007199254740993000", "null"),
            ("null", "null"),
            ("{}", "null"),
        ] {
            assert_eq!(at(value), format!("{meant},…,\"extra\":{{\"timestamp\":{value}}}}}"), "{value}");
        }
    }

    #[test]
    fn of_a_known_member_written_twice_the_last_counts() {
        assert_eq!(
            message(r#"{"id":"a","id":"b","type":"user","timestamp":1,"content":"","x":1,"x":2}"#),
            "{\"kind\":\"message\",\"id\":\"b\",\"role\":\"user\",\"at\":\"1970-01-01T00:00:00.001Z\",\"content\":\"\",\
             \"extra\":{\"timestamp\":1,\"x\":1,\"x\":2}}\n"
        );
    }
}
