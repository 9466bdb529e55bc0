//! An entry of a log before it has a place in it.

use std::sync::OnceLock;

use nofx_core::entity::{Role, own};
use nofx_core::json::{self, Object, Text, Value};
use nofx_core::{Body, Limits, NewEntry, Timestamp};

use crate::digest::{Hash, of_json, sha256};

/// An entry of a log before it has a place in it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) at: Timestamp,
    pub(crate) body: Body,
    /// Whether `at` is its own time.
    pub(crate) has_time: bool,
    same: Same,
    // Made when somebody asks: of most items nobody does.
    identity: OnceLock<Hash>,
    whole: OnceLock<Hash>,
}

/// What makes two entries copies of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Same {
    /// The members `id` and `content`: messages.
    Message,
    /// The member `id`: tasks, which change while they are worked on.
    Task,
    /// Everything.
    Whole,
}

/// The member by which the old extension says when.
const TIME: &str = "timestamp";

impl Item {
    fn of(body: Body, same: Same, at: Timestamp, has_time: bool) -> Self {
        Self { at, body, has_time, same, identity: OnceLock::new(), whole: OnceLock::new() }
    }

    /// Makes an entry of the object of the old extension that `raw` is; `None` if it is something else. Its time is that of its
    /// member `timestamp`, else `before`. What `compact` held is lost: it is there to be used again and again.
    pub(crate) fn read(raw: &str, same: Same, before: Timestamp, compact: &mut String) -> Option<Self> {
        // Nearly all objects need no more than to be made compact, and there are very many.
        compact.clear();
        let mut found = None;
        let mut members = json::members(raw);
        while let Some(member) = {
            compact.push(if compact.is_empty() { '{' } else { ',' });
            members.next_shown(|token| compact.push_str(token))
        } {
            let (name, value) = member.ok()?;
            // Names with escapes and those that would look like the store's own need more.
            if name.starts_with("\"$") || name.contains('\\') {
                return Some(Self::new(&object(raw)?, same, &[TIME], before));
            }
            if name.trim_matches('"') == TIME {
                found = Some(value);
            }
        }
        members.end().filter(|end| *end == raw.len())?;
        compact.pop();
        compact.push_str(if compact.is_empty() { "{}" } else { "}" });
        let at = found.and_then(time);
        Some(Self::of(Body::trusted(compact.as_str()), same, at.unwrap_or(before), at.is_some()))
    }

    /// Makes an entry of an object of the old extension.
    pub(crate) fn new(foreign: &Object, same: Same, times: &[&str], before: Timestamp) -> Self {
        Self::owned(own(foreign), same, times, before)
    }

    /// Makes an entry of an object in its stored form. Its time is the first of `times` that it has, else `before`.
    pub(crate) fn owned(object: Object, same: Same, times: &[&str], before: Timestamp) -> Self {
        let at = times.iter().find_map(|name| time(object.get(name)?));
        Self::of(Body::trusted(object.to_json()), same, at.unwrap_or(before), at.is_some())
    }

    /// Takes an entry as it is stored.
    pub(crate) fn stored(body: Body, same: Same, at: Timestamp) -> Self {
        Self::of(body, same, at, false)
    }

    /// Returns the same entry with another body.
    pub(crate) fn with_body(&self, body: Body) -> Self {
        Self::of(body, self.same, self.at, self.has_time)
    }

    /// Returns what is equal for copies of one thing, whatever else changed in it.
    pub(crate) fn identity(&self) -> Hash {
        *self.identity.get_or_init(|| {
            let part = |name: &str| last_member(self.body.as_str(), name).map(of_json);
            match (self.same, part("id")) {
                (Same::Message, Some(id)) => sha256(&[id, part("content").unwrap_or_default()].concat()),
                (Same::Task, Some(id)) => id,
                (Same::Task, None) => {
                    // It is the same before and after it is over.
                    let mut task = Object::parse(self.body.as_str()).unwrap_or_default();
                    task.remove("$slot");
                    of_json(&task.to_json())
                }
                _ => self.whole(),
            }
        })
    }

    /// Returns what is equal only for equal things.
    pub(crate) fn whole(&self) -> Hash {
        *self.whole.get_or_init(|| of_json(self.body.as_str()))
    }

    /// Returns whether a message is of somebody, without reading the rest of it.
    pub(crate) fn is_said_by(&self, role: Role) -> bool {
        last_member(self.body.as_str(), "type").and_then(Role::read).is_some_and(|said| said == role)
    }

    /// Returns whether every store takes it.
    pub(crate) fn fits(&self) -> bool {
        fits(self.body.len())
    }

    pub(crate) fn into_entry(self) -> NewEntry {
        NewEntry { at: self.at, body: self.body }
    }
}

/// Returns the value of a member; of several with one name the last, as JavaScript does.
fn last_member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let is_named = |literal: &str| match literal.contains('\\') {
        true => Text::from_json(literal).is_some_and(|text| text == name),
        false => literal.trim_matches('"') == name,
    };
    json::members(object).map_while(Result::ok).filter(|(literal, _)| is_named(literal)).last().map(|(_, value)| value)
}

/// Reads a time: the text that JavaScript writes, or milliseconds or seconds since 1970.
pub(crate) fn time(raw: &str) -> Option<Timestamp> {
    if let Some(time) = Timestamp::read(raw) {
        return Some(time);
    }
    match i64::read(raw)? {
        // Before 1973 as milliseconds, until 5138 as seconds.
        seconds @ 100_000_000..100_000_000_000 => Some(Timestamp::from_millis(seconds * 1000)),
        millis @ 100_000_000_000..100_000_000_000_000 => Some(Timestamp::from_millis(millis)),
        _ => None,
    }
}

/// Returns whether every store takes a body of so many bytes, with some room for what is added.
pub(crate) fn fits(bytes: usize) -> bool {
    bytes < Limits::GUARANTEED.body_bytes - (1 << 16)
}

/// Reads an object, or `None` if the JSON is something else.
pub(crate) fn object(raw: &str) -> Option<Object> {
    raw.starts_with('{').then(|| Object::parse(raw).ok())?
}

/// Returns whether a member is a text.
pub(crate) fn is_text(object: &Object, name: &str) -> bool {
    object.read::<Text>(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_would_be_member_by_member() {
        let mut compact = "what was there before".to_owned();
        for raw in [
            "{}",
            "{ }",
            r#"{ "id" : "m" , "timestamp" : 1757341200000, "a" : [ 1 , { } ] }"#,
            r#"{"timestamp":"2025-01-01T00:00:00.000Z","timestamp":"no time"}"#,
            r#"{"$slot":1,"b\u0061d":[ ],"\u0024x":2}"#,
        ] {
            let read = Item::read(raw, Same::Message, Timestamp::from_millis(7), &mut compact).unwrap();
            let made = Item::new(&object(raw).unwrap(), Same::Message, &[TIME], Timestamp::from_millis(7));
            assert_eq!((&read.body, read.at, read.has_time), (&made.body, made.at, made.has_time), "{raw}");
        }
        for other in ["", "[]", "7", "{", "{} x", r#"{"a":1"#] {
            assert!(Item::read(other, Same::Message, Timestamp::default(), &mut compact).is_none(), "{other}");
        }
    }
}
