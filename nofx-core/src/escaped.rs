//! Makes control characters visible. Stored text is untrusted: it must not control a terminal, or read as something else.

/// Returns text with its control characters escaped as in Rust (`\u{1b}`), except those in `kept`.
///
/// So are the characters that change the direction of the text around them.
pub fn escaped(text: &str, kept: &[char]) -> String {
    let mut line = String::with_capacity(text.len());
    for symbol in text.chars() {
        match (symbol.is_control() || is_reordering(symbol)) && !kept.contains(&symbol) {
            true => line.extend(symbol.escape_default()),
            false => line.push(symbol),
        }
    }
    line
}

/// Returns whether a character changes the direction of the text around it, so that a line could read as something else.
fn is_reordering(symbol: char) -> bool {
    matches!(symbol, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_control_characters_that_are_kept_stay_as_they_are() {
        let text = "a\u{1b}[31m\n\t\u{7}\u{202e}ü😀";
        assert_eq!(escaped(text, &[]), "a\\u{1b}[31m\\n\\t\\u{7}\\u{202e}ü😀");
        assert_eq!(escaped(text, &['\n', '\t']), "a\\u{1b}[31m\n\t\\u{7}\\u{202e}ü😀");
    }
}
