//! Strings as JavaScript has them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;

use super::Value;

/// A string that can hold everything that JavaScript's can: Unicode, and also surrogates without their other half.
///
/// Nearly every text is plain Unicode, which [`Text::as_str`] returns at no cost. One that was cut in the middle of
/// an emoji is kept exactly and displayed with a replacement character. Texts are ordered by code point.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text {
    // Generalised UTF-8: like UTF-8, but a lone surrogate takes the three bytes that its number would have.
    bytes: Vec<u8>,
}

impl Text {
    /// Returns the text, or `None` if it contains a lone surrogate.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// Returns the text with a replacement character for each lone surrogate.
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        match self.as_str() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.pieces().map(|piece| piece.unwrap_or("\u{fffd}")).collect()),
        }
    }

    /// Returns the bytes: UTF-8, and three bytes for each lone surrogate.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes bytes in the form that [`as_bytes`](Self::as_bytes) returns; `None` for any other bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (mut rest, mut after_high) = (bytes.as_slice(), false);
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, surrogate) = rest.split_at(error.valid_up_to());
            let [0xED, second @ 0xA0..=0xBF, 0x80..=0xBF, ..] = surrogate else { return None };
            let is_low = *second >= 0xB0;
            // Two matching halves would be a character.
            if is_low && after_high && valid.is_empty() {
                return None;
            }
            (rest, after_high) = (surrogate.get(3..)?, !is_low);
        }
        Some(Self { bytes })
    }

    /// Returns whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the text with `prefix` before it.
    pub(crate) fn prefixed(&self, prefix: &str) -> Self {
        Self { bytes: [prefix.as_bytes(), &self.bytes].concat() }
    }

    /// Returns the text without its first character, which must be ASCII; `None` if it is not.
    pub(crate) fn without_first_byte(&self) -> Option<Self> {
        let (first, rest) = self.bytes.split_first()?;
        first.is_ascii().then(|| Self { bytes: rest.to_vec() })
    }

    /// Parses a JSON string literal, quotes included. `None` if it is not one.
    pub fn from_json(literal: &str) -> Option<Self> {
        let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?;
        let mut bytes = Vec::with_capacity(rest.len());
        // A high surrogate that waits for its other half.
        let mut high = None;
        while let Some(at) = rest.find('\\') {
            let (plain, escape) = rest.split_at(at);
            if !plain.is_empty() {
                high.take().into_iter().for_each(|unit| push_surrogate(&mut bytes, unit));
                bytes.extend_from_slice(plain.as_bytes());
            }
            let (unit, after) = read_escape(escape)?;
            rest = after;
            match (high.take(), unit) {
                (Some(high), 0xDC00..=0xDFFF) => {
                    let code = 0x10000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(unit) - 0xDC00);
                    bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                }
                (before, _) => {
                    before.into_iter().for_each(|unit| push_surrogate(&mut bytes, unit));
                    match unit {
                        0xD800..=0xDBFF => high = Some(unit),
                        0xDC00..=0xDFFF => push_surrogate(&mut bytes, unit),
                        _ => {
                            let plain = char::from_u32(u32::from(unit))?;
                            bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                    }
                }
            }
        }
        if !rest.is_empty() || high.is_some() {
            high.take().into_iter().for_each(|unit| push_surrogate(&mut bytes, unit));
            bytes.extend_from_slice(rest.as_bytes());
        }
        Some(Self { bytes })
    }

    /// Writes a JSON string literal with the fewest escapes; a lone surrogate becomes its escape in lower case.
    pub fn to_json(&self) -> String {
        let mut literal = String::with_capacity(self.bytes.len() + 2);
        literal.push('"');
        for piece in self.pieces() {
            match piece {
                Ok(plain) => escape_into(plain, &mut literal),
                Err(unit) => _ = write!(literal, "\\u{unit:04x}"),
            }
        }
        literal.push('"');
        literal
    }

    /// Splits into plain pieces and lone surrogates.
    fn pieces(&self) -> impl Iterator<Item = Result<&str, u16>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let valid = match std::str::from_utf8(rest) {
                Ok("") => return None,
                Ok(text) => {
                    rest = &[];
                    return Some(Ok(text));
                }
                Err(error) => error.valid_up_to(),
            };
            if valid > 0 {
                let (plain, after) = rest.split_at(valid);
                rest = after;
                return std::str::from_utf8(plain).ok().map(Ok);
            }
            let (unit, after) = rest.split_at_checked(3)?;
            rest = after;
            Some(Err(0xD000 | u16::from(unit[1] & 0x3F) << 6 | u16::from(unit[2] & 0x3F)))
        })
    }
}

fn push_surrogate(bytes: &mut Vec<u8>, unit: u16) {
    // The low six bits of each part fit in a byte.
    bytes.extend_from_slice(&[0xED, 0x80 | (unit >> 6 & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]);
}

/// Reads the escape at the start of `text`: its UTF-16 unit, and what follows.
fn read_escape(text: &str) -> Option<(u16, &str)> {
    let unit = match text.as_bytes().get(1)? {
        b'"' => b'"',
        b'\\' => b'\\',
        b'/' => b'/',
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let digits = text.get(2..6).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
            return Some((u16::from_str_radix(digits, 16).ok()?, text.get(6..)?));
        }
        _ => return None,
    };
    Some((u16::from(unit), text.get(2..)?))
}

fn escape_into(plain: &str, literal: &mut String) {
    let mut rest = plain;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (before, after) = rest.split_at(at);
        literal.push_str(before);
        match after.as_bytes()[0] {
            b'"' => literal.push_str("\\\""),
            b'\\' => literal.push_str("\\\\"),
            0x08 => literal.push_str("\\b"),
            0x0c => literal.push_str("\\f"),
            b'\n' => literal.push_str("\\n"),
            b'\r' => literal.push_str("\\r"),
            b'\t' => literal.push_str("\\t"),
            control => _ = write!(literal, "\\u{control:04x}"),
        }
        rest = after.get(1..).unwrap_or_default();
    }
    literal.push_str(rest);
}

/// Writes `text` as a JSON string literal with the fewest escapes.
pub fn quote(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    escape_into(text, &mut literal);
    literal.push('"');
    literal
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec() }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { bytes: text.into_bytes() }
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str_lossy())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl Value for Text {
    fn read(raw: &str) -> Option<Self> {
        Self::from_json(raw)
    }

    fn write(&self) -> String {
        self.to_json()
    }
}

/// Returns whether the member name written as `literal` is `name`.
pub(super) fn is_named(literal: &str, name: &str) -> bool {
    match literal.strip_prefix('"').and_then(|literal| literal.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => plain == name,
        _ => Text::from_json(literal).is_some_and(|text| text == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lone_surrogates_survive_and_pairs_become_one_character() {
        let cut = Text::from_json(r#""a\ud83db""#).unwrap();
        assert_eq!(cut.as_str(), None);
        assert_eq!(cut.to_str_lossy(), "a\u{fffd}b");
        assert_eq!(cut.to_json(), r#""a\ud83db""#);
        assert_eq!(Text::from_json(r#""\uD83D\uDE00""#).unwrap(), "😀");
        assert_eq!(Text::from_json(r#""\ude00\ud83d""#).unwrap().to_json(), r#""\ude00\ud83d""#);
        assert_eq!(Text::from_json(r#""\ud83d\ud83d\ude00""#).unwrap().to_json(), "\"\\ud83d😀\"");
    }

    #[test]
    fn bytes_that_no_text_has_are_refused() {
        for bytes in [&b"a\xff"[..], b"\xed\xa0", b"\xed\x9f\xc0", b"\xed\xa0\xbd\xed\xb8\x80", b"\xc3"] {
            assert_eq!(Text::from_bytes(bytes.to_vec()), None, "{bytes:?}");
        }
        let turned = Text::from_bytes(b"\xed\xb8\x80\xed\xa0\xbd!".to_vec()).unwrap();
        assert_eq!(turned.to_json(), r#""\ude00\ud83d!""#);
    }

    #[test]
    fn the_fewest_escapes_are_written() {
        let text = Text::from_json(r#""\/\u00e9\u0001\u0009\"\\""#).unwrap();
        assert_eq!(text.to_json(), "\"/é\\u0001\\t\\\"\\\\\"");
    }

    #[test]
    fn what_is_no_string_is_refused() {
        for literal in ["", "\"", "x", "\"\\\"", "\"\\u12\"", "\"\\q\"", "\"\\u+123\""] {
            assert_eq!(Text::from_json(literal), None, "{literal}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_the_way_through_json(text: String) {
            let text = Text::from(text);
            prop_assert_eq!(Text::from_json(&text.to_json()).unwrap(), text.clone());
            prop_assert_eq!(text.to_json(), serde_json::to_string(text.as_str().unwrap()).unwrap().replace("\\u007f", "\u{7f}"));
        }

        #[test]
        fn any_sequence_of_utf16_units_survives(units: Vec<u16>) {
            let literal: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let text = Text::from_json(&format!("\"{literal}\"")).unwrap();
            let again = Text::from_json(&text.to_json()).unwrap();
            prop_assert_eq!(&again, &text);
            prop_assert_eq!(text.to_str_lossy().into_owned(), String::from_utf16_lossy(&units));
            prop_assert_eq!(Text::from_bytes(text.as_bytes().to_vec()), Some(text));
        }
    }
}
