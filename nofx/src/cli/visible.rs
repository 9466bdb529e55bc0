//! Makes control characters of stored text visible, so that they cannot control the terminal.

use std::io::{self, Write};

use nofx_core::escaped;

/// Writes text with its control characters escaped, except line feeds and tabs.
#[derive(Debug)]
pub(crate) struct Visible<W> {
    out: W,
    /// The first bytes of a character whose remaining bytes have not arrived yet.
    begun: Vec<u8>,
}

impl<W: Write> Visible<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, begun: Vec::new() }
    }
}

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut shown = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            shown.push_str(&escaped(chunk.valid(), &['\n', '\t']));
            let is_last = chunks.peek().is_none();
            match std::str::from_utf8(chunk.invalid()) {
                Err(error) if is_last && error.error_len().is_none() => self.begun = chunk.invalid().to_vec(),
                _ => shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"))),
            }
        }
        self.out.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_text_is_cut_it_is_shown_the_same() {
        let text = "a\u{1b}[2J\tü日😀\u{9b}\u{202e}\n".as_bytes();
        for size in 1..=text.len() {
            let mut visible = Visible::new(Vec::new());
            text.chunks(size).for_each(|piece| visible.write_all(piece).unwrap());
            let shown = String::from_utf8(visible.out).unwrap();
            assert_eq!(shown, "a\\u{1b}[2J\tü日😀\\u{9b}\\u{202e}\n", "{size}");
        }
        let mut visible = Visible::new(Vec::new());
        visible.write_all(b"a\xff\xe6\x97b").unwrap();
        assert_eq!(visible.out, b"a\\xff\\xe6\\x97b");
    }
}
