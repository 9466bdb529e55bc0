//! An entry of a log before it has a position in it.

use std::sync::OnceLock;

use nofx_core::entity::{Role, own};
use nofx_core::json::{self, Object, Text, Value};
use nofx_core::{Body, Limits, NewEntry, Timestamp};

use crate::digest::{Hash, of_json, sha256};

/// An entry of a log before it has a position in it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) at: Timestamp,
    pub(crate) body: Body,
    /// Whether `at` is its own time.
    pub(crate) has_time: bool,
    same: Same,
    // Computed on demand: for most items it is never needed.
    identity: OnceLock<Hash>,
    whole: OnceLock<Hash>,
}

/// What makes two entries copies of one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Same {
    /// The members `id` and `content`: messages.
    Message,
    /// The member `id`: tasks, which change while they are worked on.
    Task,
    /// Everything.
    Whole,
}

/// The member in which the old extension keeps the time.
const TIME: &str = "timestamp";

impl Item {
    fn of(body: Body, same: Same, at: Timestamp, has_time: bool) -> Self {
        Self { at, body, has_time, same, identity: OnceLock::new(), whole: OnceLock::new() }
    }

    /// Creates an entry from an object of the old extension.
    pub(crate) fn new(foreign: &Object, same: Same, times: &[&str], before: Timestamp) -> Self {
        Self::owned(own(foreign), same, times, before)
    }

    /// Creates an entry from an object in its stored form. Its time is the first of `times` that it has, else `before`.
    pub(crate) fn owned(object: Object, same: Same, times: &[&str], before: Timestamp) -> Self {
        let at = times.iter().find_map(|name| time(object.get(name)?));
        Self::of(Body::trusted(object.to_json()), same, at.unwrap_or(before), at.is_some())
    }

    /// Creates an entry from one that is stored.
    pub(crate) fn stored(body: Body, same: Same, at: Timestamp) -> Self {
        Self::of(body, same, at, false)
    }

    /// Returns the same entry with another body.
    pub(crate) fn with_body(&self, body: Body) -> Self {
        Self::of(body, self.same, self.at, self.has_time)
    }

    /// Returns a digest that is equal for copies of one thing, whatever else changed in it.
    pub(crate) fn identity(&self) -> Hash {
        *self.identity.get_or_init(|| {
            let part = |name: &str| last_member(self.body.as_str(), name).map(of_json);
            match (self.same, part("id")) {
                (Same::Message, Some(id)) => sha256(&[id, part("content").unwrap_or_default()].concat()),
                (Same::Task, Some(id)) => id,
                (Same::Task, None) => {
                    // It is the same before and after the task has ended.
                    let mut task = Object::parse(self.body.as_str()).unwrap_or_default();
                    task.remove("$slot");
                    of_json(&task.to_json())
                }
                _ => self.whole(),
            }
        })
    }

    /// Returns a digest that is equal only for equal things.
    pub(crate) fn whole(&self) -> Hash {
        *self.whole.get_or_init(|| of_json(self.body.as_str()))
    }

    /// Returns whether a message has the given role, without reading the rest of it.
    pub(crate) fn is_said_by(&self, role: Role) -> bool {
        last_member(self.body.as_str(), "type").and_then(Role::read).is_some_and(|said| said == role)
    }

    /// Returns whether every store accepts it.
    pub(crate) fn fits(&self) -> bool {
        fits(self.body.len())
    }

    pub(crate) fn into_entry(self) -> NewEntry {
        NewEntry { at: self.at, body: self.body }
    }
}

/// Why something does not become an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is not an object.
    NotAnObject,
    /// It is larger than a store accepts.
    TooLarge,
}

/// Entries that are read one after the other. Their bodies share memory, as they are needed at the same time.
#[derive(Debug)]
pub(crate) struct ItemBuffer {
    same: Same,
    /// The time of the previous entry, which entries without a time of their own get.
    before: Timestamp,
    /// About how many bytes all bodies will have.
    expected: usize,
    /// Bodies that do not own memory yet, where they end, and their times.
    text: String,
    ends: Vec<usize>,
    times: Vec<(Timestamp, bool)>,
    items: Vec<Item>,
}

/// About how many bytes of bodies share memory: a large session is not needed as a whole.
const SHARED: usize = 256 << 10;

impl ItemBuffer {
    /// Starts to read entries of about this many bytes.
    pub(crate) fn new(same: Same, before: Timestamp, expected: usize) -> Self {
        Self { same, before, expected, text: String::new(), ends: Vec::new(), times: Vec::new(), items: Vec::new() }
    }

    /// Reads an object of the old extension from `raw`.
    pub(crate) fn read(&mut self, raw: &str) -> Result<(), Unfit> {
        if self.text.is_empty() {
            self.text.reserve(self.expected.min(SHARED + SHARED / 8));
        }
        let from = self.text.len();
        let time = match read_compact(raw, &mut self.text) {
            Ok(time) => time,
            Err(Odd) => {
                self.text.truncate(from);
                let item = Item::new(&object(raw).ok_or(Unfit::NotAnObject)?, self.same, &[TIME], self.before);
                self.text.push_str(item.body.as_str());
                item.has_time.then_some(item.at)
            }
        };
        self.before = time.unwrap_or(self.before);
        if !fits(self.text.len() - from) {
            self.text.truncate(from);
            return Err(Unfit::TooLarge);
        }
        self.ends.push(self.text.len());
        self.times.push((self.before, time.is_some()));
        if self.text.len() >= SHARED {
            self.share();
        }
        Ok(())
    }

    /// Gives the bodies that do not own memory theirs.
    fn share(&mut self) {
        let text = std::mem::take(&mut self.text);
        let bodies = Body::trusted_parts(text, std::mem::take(&mut self.ends));
        let items = bodies.zip(self.times.drain(..));
        self.items.extend(items.map(|(body, (at, has_time))| Item::of(body, self.same, at, has_time)));
    }

    pub(crate) fn finish(mut self) -> Vec<Item> {
        self.share();
        self.items
    }
}

/// It needs more than compaction, or is not an object.
#[derive(Debug)]
struct Odd;

/// Appends an object without white space to `compact`, and returns its time. Nearly all objects need no more than that, and
/// there are very many. If one does, discard what was appended.
fn read_compact(raw: &str, compact: &mut String) -> Result<Option<Timestamp>, Odd> {
    let mut found = None;
    let mut members = json::members(raw);
    let mut separator = '{';
    loop {
        compact.push(separator);
        let Some(member) = members.next_shown(|token| compact.push_str(token)) else { break };
        let (name, value) = member.map_err(|_| Odd)?;
        // Names with escapes, and names that would look like the store's own.
        if name.starts_with("\"$") || name.as_bytes().contains(&b'\\') {
            return Err(Odd);
        }
        if name.trim_matches('"') == TIME {
            found = Some(value);
        }
        separator = ',';
    }
    members.end().filter(|end| *end == raw.len()).ok_or(Odd)?;
    if separator == ',' {
        compact.pop();
    }
    compact.push('}');
    Ok(found.and_then(time))
}

/// Returns the value of a member; if there are several of one name, of the last, as in JavaScript.
fn last_member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let is_named = |literal: &str| match literal.contains('\\') {
        true => Text::from_json(literal).is_some_and(|text| text == name),
        false => literal.trim_matches('"') == name,
    };
    json::members(object).map_while(Result::ok).filter(|(literal, _)| is_named(literal)).last().map(|(_, value)| value)
}

/// Parses a time: the text that JavaScript writes, or milliseconds or seconds since 1970.
pub(crate) fn time(raw: &str) -> Option<Timestamp> {
    if let Some(time) = Timestamp::read(raw) {
        return Some(time);
    }
    match i64::read(raw)? {
        // Milliseconds would be before 1973; seconds reach to 5138.
        seconds @ 100_000_000..100_000_000_000 => Some(Timestamp::from_millis(seconds * 1000)),
        millis @ 100_000_000_000..100_000_000_000_000 => Some(Timestamp::from_millis(millis)),
        _ => None,
    }
}

/// Returns whether every store accepts a body of this many bytes, with some room for what is added.
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
    fn objects_are_read_as_they_would_be_member_by_member() {
        let before = Timestamp::from_millis(7);
        let all = [
            "{}",
            "{ }",
            r#"{"$slot":1,"b\u0061d":[ ],"\u0024x":2}"#,
            r#"{ "id" : "m" , "timestamp" : 1757341200000, "a" : [ 1 , { } ] }"#,
            r#"{"\u0074imestamp":"2025-01-01T00:00:00.000Z","timestamp":"no time"}"#,
            r#"{"timestamp":"2025-01-01T00:00:00.000Z","timestamp":"no time"}"#,
        ];
        for raw in all {
            let mut items = ItemBuffer::new(Same::Message, before, 0);
            items.read(raw).unwrap();
            let [read] = items.finish().try_into().unwrap();
            let made = Item::new(&object(raw).unwrap(), Same::Message, &[TIME], before);
            assert_eq!((&read.body, read.at, read.has_time), (&made.body, made.at, made.has_time), "{raw}");
        }
        let mut items = ItemBuffer::new(Same::Message, before, 0);
        for other in ["", "[]", "7", "{", "{} x", r#"{"a":1"#] {
            assert_eq!(items.read(other), Err(Unfit::NotAnObject), "{other}");
        }
        assert!(items.finish().is_empty());
    }

    #[test]
    fn what_does_not_fit_leaves_its_neighbours_as_they_are() {
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(Limits::GUARANTEED.body_bytes));
        let message = |number: usize| format!(r#"{{ "id": {number}, "content": "{}" }}"#, "ä".repeat(number));
        let mut items = ItemBuffer::new(Same::Message, Timestamp::default(), 1000);
        for number in 0..1000 {
            items.read(&message(number)).unwrap();
            let other = if number % 2 == 0 { &large } else { r#"{"id":[1,2"# };
            let why = if number % 2 == 0 { Unfit::TooLarge } else { Unfit::NotAnObject };
            if number % 100 < 2 {
                assert_eq!(items.read(other), Err(why));
            }
        }
        let items = items.finish();
        assert_eq!(items.len(), 1000);
        for (number, item) in items.iter().enumerate() {
            assert_eq!(item.body, Body::parse(&message(number)).unwrap());
        }
    }
}
