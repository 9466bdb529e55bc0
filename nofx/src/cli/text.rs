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
