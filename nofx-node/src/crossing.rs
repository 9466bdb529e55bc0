//! How stored data crosses to JavaScript: as it is stored, without the store's own members.
//!
//! Nearly every message has one of the store's own members, `$writer`, and it comes last. Cutting it off the text takes a hundredth of the
//! time of parsing the object, so that is done if no other member begins with `$`.

use std::fmt::Write as _;

use memchr::memmem;
use nofx::entity::{Entity, Message, foreign};
use nofx::json::quote;
use nofx::workspace::whole_message;
use nofx::{Body, Error, PAGE_BYTES, Result, Store, Timestamp};

use crate::request::Request;

/// What precedes the writer when it is the last member.
const WRITER: &str = r#","$writer":"#;

/// Writes an entity as it would be in a file of the old extension, without the store's own members.
pub(crate) fn shown<E: Entity>(entity: &E) -> String {
    foreign(&entity.to_object()).to_json()
}

/// Writes an entry in place of a message that cannot be read; its time may not be known.
pub(crate) fn write_unreadable(position: u64, at: Option<Timestamp>, error: &Error, json: &mut String) {
    let at = at.map(|at| at.to_string()).unwrap_or_default();
    json.push_str(&format!(r#"{{"position":{position},"at":"{at}","message":{{}},{}}}"#, why(error)));
}

/// Writes entities as [`shown`] does; one that cannot be read is reported in its place, so that it hides no other.
pub(crate) fn shown_each<E: Entity>(entities: &[Result<E>]) -> String {
    let shown = entities.iter().map(|entity| match entity {
        Ok(entity) => shown(entity),
        Err(error) => format!("{{{}}}", why(error)),
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(","))
}

/// A page of a list, which ends at a number of items or at some megabytes.
#[derive(Debug)]
pub(crate) struct JsPage {
    items: String,
    count: u64,
    limit: u64,
}

impl JsPage {
    /// Starts a page of as many items as the caller asks for, or else `usual` many.
    pub(crate) fn of(request: &Request, usual: u64, most: u64) -> Result<Self> {
        Ok(Self { items: String::new(), count: 0, limit: request.optional("limit")?.unwrap_or(usual).clamp(1, most) })
    }

    /// The limit on its number of items.
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Adds an item; returns whether the page is full.
    pub(crate) fn add(&mut self, item: &str) -> bool {
        if self.count > 0 {
            self.items.push(',');
        }
        self.items.push_str(item);
        self.count += 1;
        self.count >= self.limit || self.items.len() >= PAGE_BYTES
    }

    /// Adds an item that says why something cannot be read, after the members that every item has.
    pub(crate) fn add_unreadable(&mut self, members: &str, error: &Error) -> bool {
        self.add(&format!("{{{members}{}}}", why(error)))
    }

    /// Writes the page and where the next page begins.
    pub(crate) fn written(&self, next: Option<String>) -> String {
        format!(r#"{{"items":[{}],"next":{}}}"#, self.items, next.as_deref().unwrap_or("null"))
    }
}

/// Writes why some things cannot be read, reported beside the others.
pub(crate) fn reasons(errors: &[Error]) -> String {
    let reason = |error: &Error| format!(r#"{{"code":"{}","message":{}}}"#, error.code(), quote(&error.chain()));
    format!("[{}]", errors.iter().map(reason).collect::<Vec<_>>().join(","))
}

/// Returns the members that say why something cannot be read.
fn why(error: &Error) -> String {
    format!(r#""unreadable":{},"code":"{}""#, quote(&error.chain()), error.code())
}

/// Writes an entry of a parsed message.
pub(crate) fn write_message(place: (u64, Timestamp), message: &Message, json: &mut String) {
    begin(place, json);
    if let Some(writer) = &message.writer {
        json.extend([r#""writer":"#, &writer.to_json(), ","]);
    }
    json.extend([r#""message":"#, &foreign(message.object()).to_json(), "}"]);
}

fn begin((position, at): (u64, Timestamp), json: &mut String) {
    // Writing to a string cannot fail.
    _ = write!(json, r#"{{"position":{position},"at":"{at}","#);
}

/// Returns the message that is stored as `body`, with its content.
pub(crate) async fn whole(store: &Store, body: &Body) -> Result<Message> {
    whole_message(store, Message::from_body(body)?).await
}

/// Returns a message without its closing brace and without its writer, and the writer; `None` if it has to be parsed.
///
/// In compact JSON, a quote that is not escaped begins or ends a string. So `,"$writer":"` is never inside a string; it is a member,
/// and one of the outermost object if only its value and the closing brace follow.
pub(crate) fn plain(body: &str) -> Option<(&str, Option<&str>)> {
    let open = body.strip_suffix('}').filter(|open| open.starts_with('{'))?;
    let (message, writer) = match writer_at_end(open) {
        Some((message, writer)) => (message, (!writer.contains('\\')).then_some(writer)?.into()),
        None => (open, None),
    };
    // A name may also begin with an escaped dollar, which is as rare as a name that begins with one.
    let has_own = [&b"\"$"[..], b"\"\\u0024"].iter().any(|name| memmem::find(message.as_bytes(), name).is_some());
    (!has_own).then_some((message, writer))
}

/// Splits off the name of the writer if it is the last member.
fn writer_at_end(open: &str) -> Option<(&str, &str)> {
    let (before, writer) = open.strip_suffix('"')?.rsplit_once('"')?;
    Some((before.strip_suffix(WRITER)?, writer))
}

#[cfg(test)]
mod tests {
    use nofx::json::{Object, Value};

    use super::*;

    /// A message, and its writer.
    type Cut = (String, Option<String>);

    /// Returns the message and its writer, as cutting and as parsing finds them.
    fn both(body: &str) -> (Option<Cut>, Cut) {
        let cut = plain(body).map(|(message, writer)| (format!("{message}}}"), writer.map(quote)));
        let message = Message::from_object(Object::parse(body).unwrap());
        (cut, (foreign(message.object()).to_json(), message.writer.as_ref().map(Value::write)))
    }

    #[test]
    fn cutting_and_parsing_agree() {
        for body in [
            r#"{"content":"a"}"#,
            r#"{"content":"a","$writer":"ab12"}"#,
            r#"{"content":",\"$writer\":\"x\"","$writer":"ab12"}"#,
            r#"{"content":"\ud83d 漢字","metadata":{"a":[1e400,{}]},"$writer":"ab12"}"#,
            r#"{"a":",","b":"$writer","$writer":"ab12"}"#,
            r#"{"a":[",","$writer"],"b":"x"}"#,
        ] {
            let (cut, parsed) = both(body);
            assert_eq!(cut.unwrap_or(parsed.clone()), parsed, "{body}");
        }
        assert!(both(r#"{"content":"a","$writer":"ab12"}"#).0.is_some());
    }

    #[test]
    fn what_is_not_plain_is_parsed() {
        for body in [
            "{}",
            r#"{"$writer":"ab12"}"#,
            r#"{"$writer":"ab12","content":"a"}"#,
            r#"{"content":"a","$writer":"a\"b"}"#,
            r#"{"content":"a","$writer":7}"#,
            r#"{"content":"a","$content":{},"$writer":"ab12"}"#,
            r#"{"content":"a","$$x":1,"$writer":"ab12"}"#,
            r#"{"content":"a","\u0024x":1,"$writer":"ab12"}"#,
            r#"{"content":"a","metadata":{"x":1,"$writer":"ab12"}}"#,
            r#"{"content":"a","$writer":"one","$writer":"two"}"#,
        ] {
            let (cut, parsed) = both(body);
            assert_eq!(cut.unwrap_or(parsed.clone()), parsed, "{body}");
        }
        assert_eq!(plain(r#"{"content":"a","$content":{},"$writer":"ab12"}"#), None);
        assert_eq!(plain("[]"), None);
    }
}
