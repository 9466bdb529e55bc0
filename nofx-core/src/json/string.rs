//! Where a string literal ends. Most stored data is inside string literals, so this decides how fast JSON is walked.

use wide::u8x16;

use super::{SyntaxError, wrong};

/// The number of bytes examined together, one bit per byte for each property.
const BLOCK: usize = 64;

/// Most literals are shorter than this (names, ids, times) and not worth a block.
const SHORT: usize = 16;

/// Returns the offset after the string literal that begins at `at`.
pub(super) fn string_end(bytes: &[u8], at: usize) -> Result<usize, SyntaxError> {
    let inside = at + 1;
    let short = bytes.get(inside..inside + SHORT).map(plain_bytes).unwrap_or_default();
    match bytes.get(inside + short) {
        Some(b'"') => Ok(inside + short + 1),
        _ => end_by_blocks(bytes, inside + short),
    }
}

/// Finds the end of a literal from a place inside it, outside any escape.
fn end_by_blocks(bytes: &[u8], mut at: usize) -> Result<usize, SyntaxError> {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let found = Found::of(block);
        let (escaping, escaped) = found.escapes();
        let stop = (found.quotes | found.controls) & !escaped;
        let before_stop = stop.wrapping_sub(1) & !stop;
        // Quotes, backslashes and line feeds are by far the most common escapes; any other is checked.
        let mut others = escaped & !(found.quotes | found.backslashes | found.ns) & before_stop;
        while others != 0 {
            escape_end(bytes, at + others.trailing_zeros() as usize - 1)?;
            others &= others - 1;
        }
        if stop != 0 {
            let stopped = at + stop.trailing_zeros() as usize;
            return match bytes.get(stopped) {
                Some(b'"') => Ok(stopped + 1),
                _ => wrong(stopped, "control character in a string"),
            };
        }
        // An escape that begins with the last byte is read again, whole, with the next block.
        at += BLOCK - (escaping >> (BLOCK - 1)) as usize;
    }
    end_by_bytes(bytes, at)
}

/// Where in a block each kind of significant byte is: the first byte is the lowest bit.
struct Found {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    ns: u64,
}

impl Found {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut found = Self { quotes: 0, backslashes: 0, controls: 0, ns: 0 };
        for (part, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            let bits = |is: u8x16| u64::from(is.to_bitmask()) << (16 * part);
            let are = |byte: u8| bits(bytes.simd_eq(u8x16::splat(byte)));
            found.quotes |= are(b'"');
            found.backslashes |= are(b'\\');
            found.controls |= bits(bytes.min(u8x16::splat(0x1f)).simd_eq(bytes));
            found.ns |= are(b'n');
        }
        found
    }

    /// Returns which backslashes begin an escape, and which bytes follow one of those.
    ///
    /// In a run of backslashes every second one is itself escaped. Finding them needs no loop: subtracting the places
    /// where runs begin from all odd places carries through each run to its end, where the carry shows whether its
    /// length is odd. This is the method of simdjson (Langdale and Lemire, Parsing gigabytes of JSON per second, 2019).
    #[inline]
    fn escapes(&self) -> (u64, u64) {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let both = ((self.backslashes << 1) | ODD).wrapping_sub(self.backslashes) ^ ODD;
        (both & self.backslashes, both ^ self.backslashes)
    }
}

/// Finds the end of a literal from a place inside it, near the end of the text.
fn end_by_bytes(bytes: &[u8], mut at: usize) -> Result<usize, SyntaxError> {
    loop {
        at += plain_bytes(bytes.get(at..).unwrap_or_default());
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(bytes, at)?,
            Some(0..=0x1f) => return wrong(at, "control character in a string"),
            Some(_) => at += 1,
            None => return wrong(at, "unexpected end"),
        }
    }
}

/// Returns how many bytes come before the first one that may be significant in a string. Examines eight at a time, and
/// ignores any after the last full eight.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // Has a high bit in each zero byte, and possibly in bytes above one; the lowest is always right.
    let zeroes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut plain = 0;
    for chunk in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = control | zeroes(word ^ (ONES * u64::from(b'"'))) | zeroes(word ^ (ONES * u64::from(b'\\')));
        if special != 0 {
            return plain + (special.trailing_zeros() / 8) as usize;
        }
        plain += 8;
    }
    plain
}

fn escape_end(bytes: &[u8], at: usize) -> Result<usize, SyntaxError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match bytes.get(at + 2..at + 6) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
            Some(_) => wrong(at, "bad escape in a string"),
            None => wrong(bytes.len(), "unexpected end"),
        },
        Some(_) => wrong(at, "bad escape in a string"),
        None => wrong(at + 1, "unexpected end"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_is() {
        for before in 0..20 {
            for filler in ["a", "é", "\u{7f}", "\u{ffff}", " !#["] {
                let text = filler.repeat(before);
                let whole = format!("\"{text}\"{}", "x".repeat(9));
                assert_eq!(string_end(whole.as_bytes(), 0), Ok(text.len() + 2), "{whole}");
                let escaped = format!("\"{text}\\\"{text}\\u00e9\"");
                assert_eq!(string_end(escaped.as_bytes(), 0), Ok(escaped.len()), "{escaped}");
                let control = format!("\"{text}\u{1f}{}\"", "x".repeat(9));
                assert_eq!(string_end(control.as_bytes(), 0), wrong(text.len() + 1, "control character in a string"));
            }
        }
    }

    #[test]
    fn backslashes_in_a_row_escape_each_other_across_blocks() {
        for before in 0..3 * BLOCK {
            for row in 0..10 {
                let text = format!("\"{}{}\" {}", "a".repeat(before), "\\".repeat(row), "b\"".repeat(BLOCK));
                // After an odd number the quote behind them is escaped, and the next one ends the literal.
                let end = 1 + before + row + if row % 2 == 0 { 1 } else { 4 };
                assert_eq!(string_end(text.as_bytes(), 0), Ok(end), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn blocks_find_what_single_bytes_find(
            pieces in prop::collection::vec(
                prop_oneof![
                    4 => "[a-z é]{0,40}",
                    1 => r#"\\{1,5}"#,
                    2 => r#"\\[nt"\\/bfr]"#,
                    1 => r"\\u[0-9a-fA-F]{0,4}",
                    1 => "[\0-\x1f\"\\\\]",
                ],
                0..30,
            ),
            behind in "[a-z\"]{0,80}",
        ) {
            let text = format!("\"{}\"{behind}", pieces.concat());
            prop_assert_eq!(string_end(text.as_bytes(), 0), end_by_bytes(text.as_bytes(), 1), "{}", text);
        }
    }
}
