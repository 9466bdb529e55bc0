//! What becomes of files: crashes, editors, disks.

use super::draft::{Draft, Placed, Thing};
use crate::chance::Chance;

/// A file as it is found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    /// What is whole in it.
    pub(super) things: Vec<Thing>,
    /// Whether it cannot be read completely and exactly.
    pub(super) is_damaged: bool,
}

/// Damages a file, or does not.
pub(super) fn damage(draft: &Draft, chance: &Chance) -> Found {
    let bytes = draft.text.as_bytes().to_vec();
    let somewhere = 1 + chance.below(bytes.len().saturating_sub(1));
    match chance.below(20) {
        0..=3 => cut(draft, bytes, somewhere),
        4 => zeroed(draft, bytes, somewhere),
        5 => followed(draft, bytes, chance),
        6 => Found { bytes: Vec::new(), things: Vec::new(), is_damaged: false },
        7 => Found { bytes: vec![0; bytes.len()], things: Vec::new(), is_damaged: true },
        8 | 9 => not_text(draft, bytes, chance),
        10 => whole(draft, [b"\xef\xbb\xbf".as_slice(), &bytes].concat()),
        11 => utf16(draft, chance, None),
        12 => utf16(draft, chance, Some(somewhere)),
        _ => whole(draft, bytes),
    }
}

fn whole(draft: &Draft, bytes: Vec<u8>) -> Found {
    let things = draft.things.iter().map(|placed| placed.thing.clone()).collect();
    Found { bytes, things, is_damaged: draft.repeats_names }
}

/// Returns what is whole before a byte.
fn before(draft: &Draft, end: usize) -> Vec<Thing> {
    draft.things.iter().filter(|placed| placed.to <= end).map(|placed| placed.thing.clone()).collect()
}

/// The process was killed while it wrote.
fn cut(draft: &Draft, mut bytes: Vec<u8>, end: usize) -> Found {
    bytes.truncate(end);
    Found { bytes, things: before(draft, end), is_damaged: true }
}

/// The power went before the data reached the disk.
fn zeroed(draft: &Draft, mut bytes: Vec<u8>, from: usize) -> Found {
    bytes.iter_mut().skip(from).for_each(|byte| *byte = 0);
    Found { bytes, things: before(draft, from), is_damaged: true }
}

/// A longer version was there before, and another process wrote into the file at the same time.
fn followed(draft: &Draft, bytes: Vec<u8>, chance: &Chance) -> Found {
    let rest = draft.text.chars().skip(chance.below(draft.text.len()));
    let rest: String = match chance.below(4) {
        0 => "}".to_owned(),
        1 => "\n\n{\"id\": ".to_owned(),
        2 => "\0\0\0".to_owned(),
        _ => std::iter::once('"').chain(rest).collect(),
    };
    Found { is_damaged: true, ..whole(draft, [bytes.as_slice(), rest.as_bytes()].concat()) }
}

/// A byte in a string is none of any character; what stands there is read as the replacement character.
fn not_text(draft: &Draft, mut bytes: Vec<u8>, chance: &Chance) -> Found {
    let places: Vec<usize> = draft.text.match_indices('~').map(|(at, _)| at).collect();
    if places.is_empty() {
        return whole(draft, bytes);
    }
    let place = chance.pick(&places);
    bytes[place] = chance.pick(&[0xff, 0xc3, 0x80, 0xed]);
    let seen = |placed: &Placed| {
        let raw = || String::from_utf8_lossy(&bytes[placed.from..placed.to]).into_owned();
        match &placed.thing {
            _ if !(placed.from..placed.to).contains(&place) => placed.thing.clone(),
            Thing::Message(_) => Thing::Message(raw()),
            Thing::Template(_) => Thing::Template(raw()),
            Thing::Entry(_) => Thing::Entry(raw()),
            other => other.clone(),
        }
    };
    let things = draft.things.iter().map(seen).collect();
    Found { things, bytes, is_damaged: true }
}

/// An editor wrote it as UTF-16, and perhaps not to the end.
fn utf16(draft: &Draft, chance: &Chance, end: Option<usize>) -> Found {
    let (is_little, is_marked) = (chance.once_in(2), chance.once_in(2));
    let bytes_of = |unit: u16| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    let mark = if is_marked { bytes_of(0xfeff).to_vec() } else { Vec::new() };
    let mut bytes = mark.clone();
    bytes.extend(draft.text.encode_utf16().flat_map(bytes_of));
    // Of fewer bytes nobody can tell that they are UTF-16.
    let Some(end) = end.filter(|_| bytes.len() > 16) else { return whole(draft, bytes) };
    let end = (2 * end).clamp(8, bytes.len() - 1) - chance.below(2);
    bytes.truncate(end);
    let place = |at: usize| mark.len() + 2 * draft.text.get(..at).unwrap_or_default().encode_utf16().count();
    let things = draft.things.iter().filter(|placed| place(placed.to) <= end);
    Found { things: things.map(|placed| placed.thing.clone()).collect(), bytes, is_damaged: true }
}
