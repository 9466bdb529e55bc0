//! The JSON elements from which the lines of all objects are built.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use nofx_core::{Body, Error, Key, Kind, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Part of a pack: one frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PackedFrame {
    pub(crate) pack: Arc<str>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl PackedFrame {
    /// Returns where it ends in the pack.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// Where a body is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Held {
    /// Here.
    Here(Body),
    /// In a pack, in its own frame.
    There(Far),
}

/// A body in a pack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Far {
    pub(crate) place: PackedFrame,
    /// The length of the body.
    pub(crate) size: u64,
}

/// Who may append to a log, since which root commit, and how many entries it had then. In this version every log lives
/// in the root, and any handle may append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) epoch: u64,
    pub(crate) base: u64,
}

/// How a body is stored: deleted, in the line, or as its place.
pub(crate) const GONE: u8 = 0;
pub(crate) const HERE: u8 = 1;
pub(crate) const THERE: u8 = 2;

impl Held {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Here(body) => body.len(),
            Self::There(far) => usize::try_from(far.size).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn far(&self) -> Option<&Far> {
        match self {
            Self::Here(_) => None,
            Self::There(far) => Some(far),
        }
    }
}

/// A place in its stored form.
#[derive(Deserialize)]
pub(crate) struct PlaceLine<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>, pub(crate) u64, pub(crate) u64);

/// A body in a pack, in its stored form.
#[derive(Deserialize)]
pub(crate) struct FarLine<'a>(#[serde(borrow)] PlaceLine<'a>, u64);

/// A claim in its stored form: a lane or null, the epoch, the base.
#[derive(Deserialize)]
pub(crate) struct ClaimLine<'a>(#[serde(borrow)] Option<Cow<'a, str>>, u64, u64);

impl PlaceLine<'_> {
    pub(crate) fn read(self) -> PackedFrame {
        PackedFrame { pack: self.0.into(), offset: self.1, length: self.2 }
    }
}

impl FarLine<'_> {
    pub(crate) fn read(self) -> Far {
        Far { place: self.0.read(), size: self.1 }
    }
}

impl ClaimLine<'_> {
    pub(crate) fn read(self) -> Result<Claim> {
        match self.0 {
            None => Ok(Claim { epoch: self.1, base: self.2 }),
            Some(_) => Err(Error::too_new("a log that lives in a lane, which this version does not support")),
        }
    }
}

/// Reads a body, unless it is deleted.
pub(crate) fn read_held(how: u8, raw: &RawValue, what: &str) -> Result<Option<Held>> {
    match how {
        GONE => Ok(None),
        HERE => Ok(Some(Held::Here(Body::trusted(raw.get())))),
        THERE => Ok(Some(Held::There(parse::<FarLine<'_>>(raw.get().as_bytes(), what)?.read()))),
        _ => Err(Error::too_new(format!("{what}: a body stored in a way unknown to this version"))),
    }
}

/// Reads a key.
pub(crate) fn read_key<K: Key>(kind: &str, id: &str, what: &str) -> Result<K> {
    let key = Kind::new(kind).and_then(|kind| K::new(kind, id));
    key.map_err(|error| Error::corrupt_because(what, error))
}

/// Parses a line; `Corrupt`, naming the object, if it does not have the expected form.
pub(crate) fn parse<'a, T: Deserialize<'a>>(line: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| Error::corrupt_because(what, error))
}

pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a string cannot fail.
            '\0'..='\x1f' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Writes a kind and an id, as the first two elements of a list.
pub(crate) fn push_key<K: Key>(out: &mut String, key: &K) {
    push_text(out, key.kind().as_str());
    out.push(',');
    push_text(out, key.id());
}

pub(crate) fn push_place(out: &mut String, place: &PackedFrame) {
    _ = write!(out, "[\"{}\",{},{}]", place.pack, place.offset, place.length);
}

/// Writes how a body is stored, and the body or its place, as two elements of a list.
pub(crate) fn push_held(out: &mut String, held: Option<&Held>) {
    match held {
        None => _ = write!(out, "{GONE},0"),
        Some(Held::Here(body)) => _ = write!(out, "{HERE},{body}"),
        Some(Held::There(far)) => {
            _ = write!(out, "{THERE},[");
            push_place(out, &far.place);
            _ = write!(out, ",{}]", far.size);
        }
    }
}

pub(crate) fn push_claim(out: &mut String, claim: Claim) {
    _ = write!(out, "[null,{},{}]", claim.epoch, claim.base);
}

/// Writes a list with its separators.
pub(crate) fn push_list<T>(out: &mut String, items: impl IntoIterator<Item = T>, each: impl Fn(&mut String, T)) {
    out.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        each(out, item);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_whatever_they_hold() {
        let all: String = (0..0x300).filter_map(char::from_u32).chain(['\u{2028}', '💥']).collect();
        let mut line = String::new();
        push_text(&mut line, &all);
        assert!(!line.contains('\n'), "a line is one line");
        assert_eq!(parse::<String>(line.as_bytes(), "it").unwrap(), all);
    }

    #[test]
    fn bodies_keep_every_byte_and_null_is_a_body() {
        for text in
            ["null", "1e400", "1.10", r#""\ud800""#, r#"{"a":[1,{"b":null}]}"#, "123456789012345678901234567890"]
        {
            let mut line = String::from("[");
            push_held(&mut line, Some(&Held::Here(Body::trusted(text))));
            line.push(']');
            let (how, raw): (u8, &RawValue) = parse(line.as_bytes(), "it").unwrap();
            assert_eq!(read_held(how, raw, "it").unwrap(), Some(Held::Here(Body::trusted(text))));
        }
    }

    #[test]
    fn a_log_in_a_lane_is_for_a_newer_version() {
        let read = |line: &str| parse::<ClaimLine<'_>>(line.as_bytes(), "it").unwrap().read();
        assert_eq!(read("[null,3,4]").unwrap(), Claim { epoch: 3, base: 4 });
        assert_eq!(read("[\"lane\",3,4]").unwrap_err().code(), "too-new");
    }
}
