//! Texts that are equal to people, for the purpose of searching.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The first byte of U+0300, the first character that composing may change. All later characters start with this byte
/// or a higher one.
const COMPOSES: u8 = 0xcc;

/// Returns a text with its characters composed, so that é matches whether it was written as one character or as an e
/// with an accent.
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    // For most texts the bytes alone show that composing is not needed.
    match text.bytes().any(|byte| byte >= COMPOSES) {
        true => ComposingNormalizerBorrowed::new_nfc().normalize(text),
        false => Cow::Borrowed(text),
    }
}

/// Returns a composed text in lower case, with final and medial sigma treated alike.
pub(crate) fn lower(composed: &str) -> String {
    let lower = composed.to_lowercase();
    match lower.bytes().any(|byte| byte >= COMPOSES) && lower.contains('ς') {
        true => lower.replace('ς', "σ"),
        false => lower,
    }
}

/// Returns whether a text contains another one, ignoring case.
pub(crate) fn contains(text: &str, part: &str) -> bool {
    lower(&composed(text)).contains(&lower(&composed(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_make_no_difference_and_letters_do() {
        for (text, part) in [
            ("caf\u{e9}", "cafe\u{301}"),
            ("CAFE\u{301}", "caf\u{e9}"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "ΟΔΟΣ"),
            ("die Größe", "GRÖSSE".to_lowercase().replace("ss", "ß").as_str()),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("\u{212a}elvin", "kelvin"),
        ] {
            assert!(contains(text, part), "{text} {part}");
        }
        for (text, part) in [("caf\u{e9}", "cafe"), ("größe", "grösse"), ("οδος", "οδον")] {
            assert!(!contains(text, part), "{text} {part}");
        }
    }

    #[test]
    fn texts_below_the_first_accent_are_taken_as_they_are() {
        let all: String = (0..0x300).filter_map(char::from_u32).collect();
        assert!(matches!(composed(&all), Cow::Borrowed(_)));
        assert_eq!(ComposingNormalizerBorrowed::new_nfc().normalize(&all), all);
    }
}
