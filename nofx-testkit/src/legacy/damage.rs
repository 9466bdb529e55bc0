//! What happens to files: crashes, editors, disks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::draft::{Draft, Placed, Thing};
use super::truth::UnusedBytes;
use crate::chance::Chance;

/// A file as it is found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    /// What is intact in it.
    pub(super) things: Vec<Thing>,
    /// Whether it cannot be read completely and exactly.
    pub(super) is_damaged: bool,
    /// Where the bytes are that are not imported.
    pub(super) unused: UnusedBytes,
}

impl Found {
    /// Returns how many of each kind are intact in it, as a report names them; `entries` names those that are neither
    /// messages nor tasks.
    pub(super) fn counts(&self, entries: &'static str) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for thing in &self.things {
            let kind = match thing {
                Thing::Message(_) => "messages",
                Thing::Task(_) => "tasks",
                Thing::Entry(_) => entries,
                _ => continue,
            };
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }
}

/// Damages a file, or leaves it intact.
pub(super) fn damage(draft: &Draft, chance: &Chance) -> Found {
    let bytes = draft.text.as_bytes().to_vec();
    let somewhere = 1 + chance.below(bytes.len().saturating_sub(1));
    match chance.below(20) {
        0..=3 => cut(draft, bytes, somewhere),
        4 => zeroed(draft, bytes, somewhere),
        5 => followed(draft, bytes, chance),
        6 => Found { bytes: Vec::new(), things: Vec::new(), is_damaged: false, unused: UnusedBytes::none(0) },
        7 => Found {
            bytes: vec![0; bytes.len()],
            things: Vec::new(),
            is_damaged: true,
            unused: UnusedBytes { from: 0..=0, to: bytes.len() },
        },
        8 | 9 => not_text(draft, bytes, chance),
        10 => whole(draft, [b"\xef\xbb\xbf".as_slice(), &bytes].concat()),
        11 => utf16(draft, chance, None),
        12 => utf16(draft, chance, Some(somewhere)),
        _ => whole(draft, bytes),
    }
}

/// The file is intact.
pub(super) fn whole(draft: &Draft, bytes: Vec<u8>) -> Found {
    let things = draft.things.iter().map(|placed| placed.thing.clone()).collect();
    let unused = UnusedBytes::none(bytes.len());
    Found { bytes, things, is_damaged: draft.repeats_names, unused }
}

/// Returns what is intact before a byte of the file, where `place` maps each byte of the text to its place in the file,
/// and where the bytes that are not imported begin: after everything intact, and not after the start of what is not.
fn before(draft: &Draft, end: usize, place: impl Fn(usize) -> usize) -> (Vec<Thing>, RangeInclusive<usize>) {
    let is_whole = |placed: &Placed| place(placed.to) <= end;
    let halves =
        || draft.things.iter().filter(|placed| !is_whole(placed) && !matches!(placed.thing, Thing::Member(..)));
    let first = halves().map(|placed| place(placed.from)).filter(|from| *from < end).min().unwrap_or(end);
    // If an agent is not intact, its intact parts are imported, but its bytes are accounted for as the agent's.
    let agent =
        halves().find(|placed| matches!(placed.thing, Thing::Agent(..))).map_or(usize::MAX, |placed| placed.from);
    let whole = || draft.things.iter().filter(|placed| is_whole(placed));
    let last = whole().filter(|placed| placed.from < agent && !matches!(placed.thing, Thing::Member(..)));
    let last = last.map(|placed| place(placed.to)).max().unwrap_or_default();
    (whole().map(|placed| placed.thing.clone()).collect(), last..=first)
}

/// The process was killed while it wrote.
pub(super) fn cut(draft: &Draft, mut bytes: Vec<u8>, end: usize) -> Found {
    bytes.truncate(end);
    let (things, from) = before(draft, end, |at| at);
    Found { bytes, things, is_damaged: true, unused: UnusedBytes { from, to: end } }
}

/// The power failed before the data reached the disk.
fn zeroed(draft: &Draft, mut bytes: Vec<u8>, from: usize) -> Found {
    bytes.iter_mut().skip(from).for_each(|byte| *byte = 0);
    let to = bytes.len();
    let (things, from) = before(draft, from, |at| at);
    Found { bytes, things, is_damaged: true, unused: UnusedBytes { from, to } }
}

/// A longer version was there before, and another process wrote to the file at the same time.
fn followed(draft: &Draft, bytes: Vec<u8>, chance: &Chance) -> Found {
    let rest = draft.text.chars().skip(chance.below(draft.text.len()));
    let rest: String = match chance.below(4) {
        0 => "}".to_owned(),
        1 => "\n\n{\"id\": ".to_owned(),
        2 => "\0\0\0".to_owned(),
        _ => std::iter::once('"').chain(rest).collect(),
    };
    let (end, spaces) = (bytes.len(), rest.len() - rest.trim_ascii_start().len());
    let found = whole(draft, [bytes.as_slice(), rest.as_bytes()].concat());
    let unused = UnusedBytes { from: end..=end + spaces, to: found.bytes.len() };
    Found { is_damaged: true, unused, ..found }
}

/// A byte in a string does not belong to any character; it is read as the replacement character.
fn not_text(draft: &Draft, mut bytes: Vec<u8>, chance: &Chance) -> Found {
    let places: Vec<usize> = draft.text.match_indices('~').map(|(at, _)| at).collect();
    if places.is_empty() {
        return whole(draft, bytes);
    }
    let place = chance.pick(&places);
    bytes[place] = chance.pick(&[0xff, 0xc3, 0x80, 0xed]);
    let seen = |placed: &Placed| {
        let raw = |to: usize| String::from_utf8_lossy(&bytes[placed.from..to]).into_owned();
        match &placed.thing {
            _ if !(placed.from..placed.to).contains(&place) => placed.thing.clone(),
            Thing::Message(_) => Thing::Message(raw(placed.to)),
            Thing::Template(_) => Thing::Template(raw(placed.to)),
            Thing::Entry(_) => Thing::Entry(raw(placed.to)),
            Thing::Member(name, json) => Thing::Member(name.clone(), raw(placed.from + json.len())),
            Thing::Agent(id, _) => Thing::Agent(id.clone(), raw(placed.to)),
            other => other.clone(),
        }
    };
    let things = draft.things.iter().map(seen).collect();
    Found { things, bytes, is_damaged: true, unused: UnusedBytes { from: place..=place, to: place + 1 } }
}

/// An editor saved it as UTF-16, perhaps not completely.
fn utf16(draft: &Draft, chance: &Chance, end: Option<usize>) -> Found {
    let (is_little, is_marked) = (chance.once_in(2), chance.once_in(2));
    let bytes_of = |unit: u16| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    let mark = if is_marked { bytes_of(0xfeff).to_vec() } else { Vec::new() };
    let mut bytes = mark.clone();
    bytes.extend(draft.text.encode_utf16().flat_map(bytes_of));
    // With fewer bytes it cannot be recognised as UTF-16.
    let Some(end) = end.filter(|_| bytes.len() > 16) else { return whole(draft, bytes) };
    let end = (2 * end).clamp(8, bytes.len() - 1) - chance.below(2);
    bytes.truncate(end);
    let place = |at: usize| mark.len() + 2 * draft.text.get(..at).unwrap_or_default().encode_utf16().count();
    let (things, from) = before(draft, end, place);
    Found { things, bytes, is_damaged: true, unused: UnusedBytes { from, to: end } }
}
