//! An entry of a log before it has a place in it.

use nofx_core::entity::own;
use nofx_core::json::{Object, Text, Value};
use nofx_core::{Body, Limits, NewEntry, Timestamp};

use crate::digest::{Hash, of_json, sha256};

/// An entry of a log before it has a place in it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) at: Timestamp,
    pub(crate) body: Body,
    /// Equal for copies of one thing, whatever else changed in it.
    pub(crate) identity: Hash,
    /// Equal only for equal things.
    pub(crate) whole: Hash,
    /// Whether `at` is its own time.
    pub(crate) has_time: bool,
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

impl Same {
    pub(crate) fn identity(self, body: &Object, whole: Hash) -> Hash {
        let part = |name: &str| body.get(name).map(of_json);
        match (self, part("id")) {
            (Self::Message, Some(id)) => sha256(&[id, part("content").unwrap_or_default()].concat()),
            (Self::Task, Some(id)) => id,
            (Self::Task, None) => {
                // It is the same before and after it is over.
                let mut task = body.clone();
                task.remove("$slot");
                of_json(&task.to_json())
            }
            _ => whole,
        }
    }
}

impl Item {
    /// Makes an entry of an object of the old extension.
    pub(crate) fn new(foreign: &Object, same: Same, times: &[&str], before: Timestamp) -> Self {
        Self::owned(own(foreign), same, times, before)
    }

    /// Makes an entry of an object in its stored form. Its time is the first of `times` that it has, else `before`.
    pub(crate) fn owned(object: Object, same: Same, times: &[&str], before: Timestamp) -> Self {
        let body = Body::trusted(object.to_json());
        let whole = of_json(body.as_str());
        let time = times.iter().find_map(|name| time(object.get(name)?));
        Self {
            at: time.unwrap_or(before),
            identity: same.identity(&object, whole),
            whole,
            body,
            has_time: time.is_some(),
        }
    }

    /// Returns whether every store takes it.
    pub(crate) fn fits(&self) -> bool {
        fits(self.body.len())
    }

    pub(crate) fn into_entry(self) -> NewEntry {
        NewEntry { at: self.at, body: self.body }
    }
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
