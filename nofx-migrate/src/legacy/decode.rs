//! The text of a file, in whatever encoding.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text of a file, and where its bytes are.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    /// The text, without a byte order mark.
    pub(crate) text: Cow<'a, str>,
    /// Ranges of bytes that are not text; in UTF-8 each is a replacement character in `text`.
    pub(crate) bad: Vec<(usize, usize)>,
    places: Places,
}

/// Maps an offset in the text to one in the file.
#[derive(Debug)]
enum Places {
    /// In UTF-8: the byte order mark, then for each range that is not text the end of its replacement character in the text.
    Utf8(usize, Vec<usize>),
    /// In UTF-16: pairs of offsets in the text and in the file, in order, at most [`BLOCK`] apart; also where the
    /// escape of a lone surrogate ends.
    Utf16(Vec<(usize, usize)>),
}

/// The bytes of text between two recorded offsets.
const BLOCK: usize = 4096;

/// Reads bytes as UTF-8 or, if a byte order mark or the zero bytes say so, as UTF-16.
pub(crate) fn decode(bytes: &[u8]) -> Decoded<'_> {
    match bytes {
        // Garbage can look like a mark; what the old extension wrote begins with a character of one byte.
        [0xFF, 0xFE, rest @ ..] if matches!(rest, [] | [1..0x80, 0, ..]) => utf16(rest, u16::from_le_bytes, 2),
        [0xFE, 0xFF, rest @ ..] if matches!(rest, [] | [0, 1..0x80, ..]) => utf16(rest, u16::from_be_bytes, 2),
        [b'{' | b'[', 0, rest @ ..] if rest.get(1) == Some(&0) => utf16(bytes, u16::from_le_bytes, 0),
        [0, b'{' | b'[', 0, ..] => utf16(bytes, u16::from_be_bytes, 0),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest, 3),
        _ => utf8(bytes, 0),
    }
}

fn utf8(bytes: &[u8], mark: usize) -> Decoded<'_> {
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        return Decoded { text: text.into(), bad: Vec::new(), places: Places::Utf8(mark, Vec::new()) };
    }
    let (mut text, mut bad, mut ends, mut at) = (String::with_capacity(bytes.len()), Vec::new(), Vec::new(), mark);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        at += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            text.push('\u{fffd}');
            bad.push((at, at + chunk.invalid().len()));
            ends.push(text.len());
            at += chunk.invalid().len();
        }
    }
    Decoded { text: text.into(), bad, places: Places::Utf8(mark, ends) }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, mark: usize) -> Decoded<'static> {
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
    let mut text = String::with_capacity(bytes.len() / 2);
    let (mut places, mut at) = (vec![(0, mark)], mark);
    for character in char::decode_utf16(units) {
        if places.last().is_some_and(|(last, _)| text.len() - last >= BLOCK) {
            places.push((text.len(), at));
        }
        match character {
            Ok(character) => {
                text.push(character);
                at += 2 * character.len_utf16();
            }
            // Inside a JSON string this means the same; outside of one it is as invalid as before.
            Err(lone) => {
                _ = write!(text, "\\u{:04x}", lone.unpaired_surrogate());
                at += 2;
                places.push((text.len(), at));
            }
        }
    }
    let whole = mark + bytes.len();
    let bad = if bytes.len() % 2 == 1 { vec![(whole - 1, whole)] } else { Vec::new() };
    Decoded { text: text.into(), bad, places: Places::Utf16(places) }
}

impl Decoded<'_> {
    /// Returns the offset in the file for an offset in the text.
    pub(crate) fn place(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        match &self.places {
            Places::Utf8(mark, ends) => match ends.partition_point(|end| *end <= offset).checked_sub(1) {
                None => mark + offset,
                Some(last) => {
                    let end = ends.get(last).copied().unwrap_or_default();
                    self.bad.get(last).map_or(mark + offset, |(_, to)| to + offset - end)
                }
            },
            Places::Utf16(places) => {
                let before = places.partition_point(|(place, _)| *place <= offset).saturating_sub(1);
                let (from, place) = places.get(before).copied().unwrap_or_default();
                place + 2 * self.text.get(from..offset).unwrap_or_default().encode_utf16().count()
            }
        }
    }

    /// Returns whether all bytes between two offsets in the file are text.
    pub(crate) fn is_text(&self, from: usize, to: usize) -> bool {
        let next = self.bad.partition_point(|(_, end)| *end <= from);
        self.bad.get(next).is_none_or(|(bad, _)| *bad >= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn marks_are_no_text_and_places_count_them() {
        let decoded = decode("\u{feff}{\"ä\":1}".as_bytes());
        assert_eq!((&*decoded.text, decoded.place(5)), ("{\"ä\":1}", 8));
    }

    #[test]
    fn utf16_is_read_with_and_without_a_mark() {
        for bytes in [[&[0xFF, 0xFE], utf16le("{\"😀\"}").as_slice()].concat(), utf16le("{\"😀\"}")] {
            let mark = bytes.len() % 4;
            let decoded = decode(&bytes);
            assert_eq!(decoded.text, "{\"😀\"}");
            assert_eq!(decoded.place(6), mark + 8);
            assert!(decoded.bad.is_empty());
        }
    }

    #[test]
    fn a_lone_surrogate_in_utf16_becomes_its_escape_and_half_a_unit_is_bad() {
        let bytes = [&[0xFF, 0xFE], utf16le("[\"").as_slice(), &[0x3D, 0xD8], &utf16le("\"]"), b"x"].concat();
        let decoded = decode(&bytes);
        assert_eq!(decoded.text, "[\"\\ud83d\"]");
        assert_eq!(decoded.bad, [(12, 13)]);
        assert_eq!((decoded.place(2), decoded.place(8), decoded.place(10)), (6, 8, 12));
    }

    #[test]
    fn garbage_that_looks_like_a_mark_is_none() {
        let decoded = decode(b"\xff\xfe\x01\n{\"id\":1}\n");
        assert_eq!(decoded.text, "\u{fffd}\u{fffd}\u{1}\n{\"id\":1}\n");
        assert!(decoded.is_text(2, 13) && !decoded.is_text(1, 13) && !decoded.is_text(0, 1));
    }

    #[test]
    fn places_far_from_the_beginning_are_right() {
        let text: String = (0..5000).map(|number| format!("ä{number}😀")).collect();
        let bytes = [&[0xFF, 0xFE], utf16le(&format!("[{text}")).as_slice()].concat();
        let decoded = decode(&bytes);
        for (offset, _) in decoded.text.char_indices().step_by(997) {
            let wanted = 2 + 2 * decoded.text.get(..offset).unwrap().encode_utf16().count();
            assert_eq!(decoded.place(offset), wanted);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_and_places_behind_them_are_right() {
        let decoded = decode(b"ab\xff\xc3(c\xf0\x9f\x98d");
        assert_eq!(decoded.text, "ab\u{fffd}\u{fffd}(c\u{fffd}d");
        assert_eq!(decoded.bad, [(2, 3), (3, 4), (6, 9)]);
        assert_eq!(decoded.place(decoded.text.len()), 10);
        assert_eq!(decoded.place(2), 2);
        assert_eq!(decoded.place(8), 4);
    }
}
