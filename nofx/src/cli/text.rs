//! Shows untrusted text: names come from other people's disks and must not control the terminal.

use std::path::Path;

use nofx_core::escaped;

/// Returns text with its control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    escaped(text, &[])
}

/// Returns a path for display.
pub(crate) fn shown(path: impl AsRef<Path>) -> String {
    one_line(&path.as_ref().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_reaches_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31m\n\u{7}\u{202e}ü😀"), "a\\u{1b}[31m\\n\\u{7}\\u{202e}ü😀");
    }
}
