//! Records as text: one readable file each, or one line of the file that index kinds share.
//!
//! Both contain an object with the members `kind`, `id`, `version`, `checksum` and `body`. A body is formatted by
//! inserting white space between its tokens and read by removing it, so it is preserved byte for byte, even after an
//! editor or `jq` changed its spacing.

use nofx_core::{Body, Key, LogKey, RecordKey, Seq, json};

use crate::layout;

/// Deeper levels are not indented, so that nested brackets do not become a file of spaces.
const LAID_OUT_DEPTH: usize = 12;

/// The content of a file or line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// A record, or its deletion.
    Record(RecordKey, Seq, Option<Body>),
    /// A log whose id is never used again.
    Removed(LogKey),
}

/// Formats a record for its own file.
pub(crate) fn to_file(key: &RecordKey, version: Seq, body: &Body) -> String {
    let checksum = checksum(key, version.get(), body.as_str());
    let (name, value) = value(body, |text| lay_out(text, 1));
    let (kind, id) = (key.kind(), json::quote(key.id()));
    format!(
        "{{\n  \"kind\": \"{kind}\",\n  \"id\": {id},\n  \"version\": {version},\n  \"checksum\": \"{checksum:08x}\",\n  \
         \"{name}\": {value}\n}}\n"
    )
}

/// Formats a record, or its deletion, as a line.
pub(crate) fn to_line(key: &RecordKey, version: Seq, body: Option<&Body>) -> String {
    let text = body.map_or("", Body::as_str);
    let checksum = checksum(key, version.get(), text);
    let body = body.map(|body| value(body, |text| json::compact(text).ok().filter(|compact| compact == text)));
    let body = body.map_or_else(String::new, |(name, value)| format!(",\"{name}\":{value}"));
    let (kind, id) = (key.kind(), json::quote(key.id()));
    format!("{{\"kind\":\"{kind}\",\"id\":{id},\"version\":{version},\"checksum\":\"{checksum:08x}\"{body}}}\n")
}

/// Formats the removal of a log as a line.
pub(crate) fn removed_line(log: &LogKey) -> String {
    let checksum = checksum(log, 0, "removed");
    let (kind, id) = (log.kind(), json::quote(log.id()));
    format!("{{\"removed\":\"{kind}\",\"id\":{id},\"checksum\":\"{checksum:08x}\"}}\n")
}

/// Reads a file or a line. The error says what is wrong if it is not what was written.
pub(crate) fn read(text: &str) -> Result<Said, String> {
    let mut found = Members::default();
    let mut members = json::members(text);
    for member in members.by_ref() {
        let (name, value) = member.map_err(|error| error.to_string())?;
        found.take(name, value);
    }
    if members.end().and_then(|end| text.get(end..)).is_none_or(|rest| !rest.trim().is_empty()) {
        return Err("unexpected text after the object".to_owned());
    }
    found.said().ok_or_else(|| "the checksum does not match, or a member is missing".to_owned())
}

/// The members of the object found so far.
#[derive(Default)]
struct Members {
    kind: Option<String>,
    removed: Option<String>,
    id: Option<String>,
    version: Option<u64>,
    checksum: Option<u32>,
    body: Option<String>,
}

impl Members {
    fn take(&mut self, name: &str, value: &str) {
        let text = || json::Text::from_json(value).and_then(|text| text.as_str().map(str::to_owned));
        match name {
            "\"kind\"" => self.kind = text(),
            "\"removed\"" => self.removed = text(),
            "\"id\"" => self.id = text(),
            "\"version\"" => self.version = value.parse().ok(),
            "\"checksum\"" => self.checksum = text().and_then(|text| u32::from_str_radix(&text, 16).ok()),
            "\"body\"" => self.body = json::compact(value).ok(),
            "\"text\"" => self.body = text(),
            _ => {}
        }
    }

    fn said(self) -> Option<Said> {
        let (id, found) = (self.id?, self.checksum?);
        if let Some(kind) = self.removed {
            let log = LogKey::new(layout::kind(&kind)?, id).ok()?;
            return (found == checksum(&log, 0, "removed")).then_some(Said::Removed(log));
        }
        let key = RecordKey::new(layout::kind(&self.kind?)?, id).ok()?;
        let version = Seq::new(self.version?)?;
        let fits = found == checksum(&key, version.get(), self.body.as_deref().unwrap_or_default());
        fits.then(|| Said::Record(key, version, self.body.map(Body::trusted)))
    }
}

/// Formats a body under the name `body`, or as a string under the name `text` if it is not compact JSON.
fn value(body: &Body, spell: impl FnOnce(&str) -> Option<String>) -> (&'static str, String) {
    match spell(body.as_str()) {
        Some(spelled) => ("body", spelled),
        None => ("text", json::quote(body.as_str())),
    }
}

/// Inserts white space, starting at level `depth`; `None` if the text is not compact JSON.
fn lay_out(text: &str, depth: usize) -> Option<String> {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut length, mut just_opened) = (depth, 0, false);
    let end = json::walk(text, 0, |token| {
        length += token.len();
        let closes = matches!(token, "}" | "]");
        if closes {
            depth -= 1;
        }
        // An empty container stays on one line.
        if just_opened != closes {
            new_line(&mut out, depth, depth + usize::from(closes));
        }
        just_opened = matches!(token, "{" | "[");
        out.push_str(token);
        match token {
            "{" | "[" => depth += 1,
            "," => new_line(&mut out, depth, depth),
            ":" => out.push(' '),
            _ => {}
        }
    });
    (end == Ok(text.len()) && length == text.len()).then_some(out)
}

/// Starts a line, unless the container around it, `inside` levels deep, is too deep for that.
fn new_line(out: &mut String, depth: usize, inside: usize) {
    if inside <= LAID_OUT_DEPTH {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str("  "));
    }
}

fn checksum(key: &impl Key, version: u64, text: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [key.kind().as_str(), "\0", key.id(), "\0"] {
        hasher.update(part.as_bytes());
    }
    hasher.update(&version.to_le_bytes());
    hasher.update(text.as_bytes());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use nofx_core::{Kind, kind};

    use super::*;

    fn key(id: &str) -> RecordKey {
        RecordKey::new(kind::AGENT, id).unwrap()
    }

    fn bodies() -> Vec<Body> {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let plain =
            [r#"{"a b":[1,1.10,{},[],[[]],{"x":"\ud83d, { : }"}],"n":1e400}"#, "null", "[]", "{}", "\"\"", &deep];
        // The last two are not valid bodies, but are preserved all the same.
        plain.into_iter().chain(["{ \"a\": 1 }", "no\njson"]).map(Body::trusted).collect()
    }

    #[test]
    fn bodies_come_back_byte_for_byte() {
        for body in bodies() {
            for id in ["ada", "\",\"version\n", "\0"] {
                let (key, version) = (key(id), Seq::FIRST);
                let said = Said::Record(key.clone(), version, Some(body.clone()));
                assert_eq!(read(&to_file(&key, version, &body)).as_ref(), Ok(&said));
                let line = to_line(&key, version, Some(&body));
                assert_eq!(line.find('\n'), Some(line.len() - 1), "one line");
                assert_eq!(read(&line), Ok(said));
            }
        }
    }

    #[test]
    fn a_file_is_laid_out_for_people() {
        let body = Body::trusted(r#"{"id":"ada","tags":["a",{"b":[]}],"none":{}}"#);
        let expected = "{\n  \"kind\": \"agent\",\n  \"id\": \"ada\",\n  \"version\": 1,\n  \"checksum\": \"\",\n  \"body\": {\n    \"id\": \"ada\",\n    \"tags\": [\n      \"a\",\n      {\n        \"b\": []\n      }\n    ],\n    \"none\": {}\n  }\n}\n";
        let found = to_file(&key("ada"), Seq::FIRST, &body);
        let checksum = found.split_once("\"checksum\": \"").unwrap().1.split_once('"').unwrap().0;
        assert_eq!(found.replace(checksum, ""), expected);
    }

    #[test]
    fn deletions_and_removals_come_back() {
        let deleted = to_line(&key("a"), Seq::FIRST, None);
        assert_eq!(read(&deleted), Ok(Said::Record(key("a"), Seq::FIRST, None)));
        let log = LogKey::new(Kind::of("talk"), "x").unwrap();
        assert_eq!(read(&removed_line(&log)), Ok(Said::Removed(log)));
    }

    #[test]
    fn every_flipped_byte_is_noticed_or_changes_nothing() {
        let body = Body::trusted(r#"{"a":[1,"x y"],"b":true}"#);
        let said = Said::Record(key("ada"), Seq::FIRST, Some(body.clone()));
        let file = to_file(&key("ada"), Seq::FIRST, &body).into_bytes();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut flipped = file.clone();
                flipped[at] ^= 1 << bit;
                let found = std::str::from_utf8(&flipped).map_err(|error| error.to_string()).and_then(read);
                assert!(found.is_err() || found.as_ref() == Ok(&said), "byte {at}: {found:?}");
            }
        }
    }
}
