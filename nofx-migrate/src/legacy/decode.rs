//! The text of a file, whatever encoding it is in.

use std::fmt::Write as _;

/// The text of a file, and where its bytes are.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The text, without a byte order mark.
    pub(crate) text: String,
    /// Stretches of bytes that are no text; in `text` each is a replacement character.
    pub(crate) bad: Vec<(usize, usize)>,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    /// UTF-8 after so many bytes of a byte order mark.
    Utf8(usize),
    /// UTF-16 after a byte order mark of two bytes, or without one.
    Utf16(usize),
}

/// Reads bytes as UTF-8 or, where a byte order mark or the zero bytes say so, as UTF-16.
pub(crate) fn decode(bytes: Vec<u8>) -> Decoded {
    match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes, 2),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes, 2),
        [b'{' | b'[', 0, rest @ ..] if rest.get(1) == Some(&0) => utf16(&bytes, u16::from_le_bytes, 0),
        [0, b'{' | b'[', 0, ..] => utf16(&bytes, u16::from_be_bytes, 0),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest.to_vec(), 3),
        _ => utf8(bytes, 0),
    }
}

fn utf8(bytes: Vec<u8>, mark: usize) -> Decoded {
    let encoding = Encoding::Utf8(mark);
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Decoded { text, bad: Vec::new(), encoding },
        Err(error) => error.into_bytes(),
    };
    let (mut text, mut bad, mut at) = (String::with_capacity(bytes.len()), Vec::new(), mark);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        at += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            text.push('\u{fffd}');
            bad.push((at, at + chunk.invalid().len()));
            at += chunk.invalid().len();
        }
    }
    Decoded { text, bad, encoding }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, mark: usize) -> Decoded {
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
    let mut text = String::with_capacity(bytes.len() / 2);
    for character in char::decode_utf16(units) {
        match character {
            Ok(character) => text.push(character),
            // Inside a string of JSON this is the same; outside of one it is as wrong as before.
            Err(lone) => _ = write!(text, "\\u{:04x}", lone.unpaired_surrogate()),
        }
    }
    let whole = mark + bytes.len();
    let bad = if bytes.len() % 2 == 1 { vec![(whole - 1, whole)] } else { Vec::new() };
    Decoded { text, bad, encoding: Encoding::Utf16(mark) }
}

impl Decoded {
    /// Returns the place in the file of a place in the text.
    pub(crate) fn place(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        match self.encoding {
            Encoding::Utf16(mark) => mark + 2 * before.encode_utf16().count(),
            Encoding::Utf8(mark) if self.bad.is_empty() => mark + before.len(),
            Encoding::Utf8(mark) => {
                let mut place = mark + before.len();
                for (from, to) in &self.bad {
                    if place <= *from {
                        break;
                    }
                    // A replacement character has three bytes.
                    place = place + (to - from) - '\u{fffd}'.len_utf8();
                }
                place
            }
        }
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
        let decoded = decode("\u{feff}{\"ä\":1}".into());
        assert_eq!((decoded.text.as_str(), decoded.place(5)), ("{\"ä\":1}", 8));
    }

    #[test]
    fn utf16_is_read_with_and_without_a_mark() {
        for bytes in [[&[0xFF, 0xFE], utf16le("{\"😀\"}").as_slice()].concat(), utf16le("{\"😀\"}")] {
            let mark = bytes.len() % 4;
            let decoded = decode(bytes);
            assert_eq!(decoded.text, "{\"😀\"}");
            assert_eq!(decoded.place(6), mark + 8);
            assert!(decoded.bad.is_empty());
        }
    }

    #[test]
    fn a_lone_surrogate_in_utf16_becomes_its_escape_and_half_a_unit_is_bad() {
        let bytes = [&[0xFF, 0xFE], utf16le("[\"").as_slice(), &[0x3D, 0xD8], &utf16le("\"]"), b"x"].concat();
        let decoded = decode(bytes);
        assert_eq!(decoded.text, "[\"\\ud83d\"]");
        assert_eq!(decoded.bad, [(12, 13)]);
    }

    #[test]
    fn bytes_that_are_no_text_are_named_and_places_behind_them_are_right() {
        let decoded = decode(b"ab\xff\xc3(c\xf0\x9f\x98d".to_vec());
        assert_eq!(decoded.text, "ab\u{fffd}\u{fffd}(c\u{fffd}d");
        assert_eq!(decoded.bad, [(2, 3), (3, 4), (6, 9)]);
        assert_eq!(decoded.place(decoded.text.len()), 10);
        assert_eq!(decoded.place(2), 2);
        assert_eq!(decoded.place(8), 4);
    }
}
