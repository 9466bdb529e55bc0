//! Shows untrusted text: names come from other people's disks and must not control the terminal.

use std::path::Path;

/// Returns text with its control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    escaped(text, &[])
}

/// Returns text with its control characters escaped, except those in `kept`.
pub(crate) fn escaped(text: &str, kept: &[char]) -> String {
    let mut line = String::with_capacity(text.len());
    for symbol in text.chars() {
        match (symbol.is_control() || is_reordering(symbol)) && !kept.contains(&symbol) {
            true => line.extend(symbol.escape_default()),
            false => line.push(symbol),
        }
    }
    line
}

/// Returns a path for display.
pub(crate) fn shown(path: impl AsRef<Path>) -> String {
    one_line(&path.as_ref().to_string_lossy())
}

/// Returns whether a character changes the direction of the text around it, so that a line could read as something else.
fn is_reordering(symbol: char) -> bool {
    matches!(symbol, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Formats a number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = None;
    let mut size = bytes as f64;
    for name in UNITS {
        if size < 1000.0 {
            break;
        }
        (size, unit) = (size / 1024.0, Some(name));
    }
    match unit {
        None => format!("{bytes} bytes"),
        Some(name) => format!("{size:.1} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_reaches_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31m\n\u{7}\u{202e}ü😀"), "a\\u{1b}[31m\\n\\u{7}\\u{202e}ü😀");
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, shown) in [(0, "0 bytes"), (999, "999 bytes"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(size(bytes), shown);
        }
    }
}
