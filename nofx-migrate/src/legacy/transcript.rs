//! `<agent>_session.md`: what an agent wrote, as text.

use nofx_core::entity::{Entity, TranscriptPart};
use nofx_core::json::Object;
use nofx_core::{Timestamp, entity::EntryEntity};

use super::item::{Item, Same};

const HEADER: &str = "# Agent Session: ";
const STARTED: &str = "# Started: ";
const BEFORE: &str = "\n\n--- ";
const AFTER: &str = " ---\n";

/// Splits a transcript into its parts. A text without the usual header is one part.
///
/// The old extension escaped nothing, so a text may contain what looks like a separator. A separator whose time is before that
/// of its part is treated as text; others cannot be told apart, which is why the file is kept as well.
pub(crate) fn read(text: &str) -> Vec<Item> {
    let (started, mut rest) = header(text).unwrap_or((None, text));
    let mut parts = Vec::new();
    let mut at = started;
    loop {
        let separator = started.and_then(|_| next_separator(rest, at));
        let (content, next) = match separator {
            Some((end, begin, time)) => (rest.get(..end), Some((begin, time))),
            None => (Some(rest), None),
        };
        parts.extend(pieces(content.unwrap_or_default()).map(|piece| TranscriptPart::new(at, piece)));
        match next {
            Some((begin, time)) => (rest, at) = (rest.get(begin..).unwrap_or_default(), Some(time)),
            None => break,
        }
    }
    parts.iter().map(|part| item(part, started.unwrap_or_default())).collect()
}

/// The longest text of one part, in bytes: it still fits into a body if each byte is escaped.
const PIECE_BYTES: usize = 2 << 20;

/// Splits a text that is too long for one part.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
        rest = Some(after).filter(|after| !after.is_empty());
        Some(piece)
    })
}

fn item(part: &TranscriptPart, before: Timestamp) -> Item {
    let object = Object::parse(&part.to_object().to_json()).unwrap_or_default();
    Item::owned(object, Same::Whole, &["timestamp"], part.at().unwrap_or(before))
}

/// Reads the two lines and the empty line that a transcript begins with: its time, and what follows.
fn header(text: &str) -> Option<(Option<Timestamp>, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let (second, rest) = rest.split_once('\n')?;
    first.strip_prefix(HEADER)?;
    let started = Timestamp::parse(second.strip_prefix(STARTED)?)?;
    Some((Some(started), rest.strip_prefix('\n')?))
}

/// Finds the next separator that is not earlier than `at`: where the part ends, where the next begins, and its time.
fn next_separator(text: &str, at: Option<Timestamp>) -> Option<(usize, usize, Timestamp)> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(BEFORE).map(|found| from + found) {
        let begin = found + BEFORE.len();
        // `2025-09-08T19:50:57.571Z`
        let end = begin + 24;
        let time = text.get(begin..end).filter(|time| time.ends_with('Z')).and_then(Timestamp::parse);
        let closed = text.get(end..).is_some_and(|rest| rest.starts_with(AFTER));
        if let (Some(time), true) = (time, closed)
            && Some(time) >= at
        {
            return Some((found, end + AFTER.len(), time));
        }
        from = found + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(i64, String)> {
        let part = |item: &Item| (item.at.as_millis(), Object::parse(item.body.as_str()).unwrap());
        read(text)
            .iter()
            .map(part)
            .map(|(at, object)| (at, object.read::<nofx_core::json::Text>("content").unwrap_or_default().to_string()))
            .collect()
    }

    #[test]
    fn parts_are_split_at_separators_that_can_be_true() {
        let text = "# Agent Session: a\n# Started: 2025-01-01T00:00:00.000Z\n\nfirst\r\n\n\n--- 2025-01-01T00:00:01.000Z ---\n\
            second\n\n--- 2024-01-01T00:00:00.000Z ---\nstill second\n\n--- x ---\n\n\n--- 2025-01-01T00:00:01.000Z ---\n";
        let start = 1_735_689_600_000;
        assert_eq!(
            parts(text),
            [
                (start, "first\r\n".to_owned()),
                (start + 1000, "second\n\n--- 2024-01-01T00:00:00.000Z ---\nstill second\n\n--- x ---\n".to_owned()),
                (start + 1000, String::new()),
            ]
        );
    }

    #[test]
    fn a_text_of_any_length_fits() {
        let long = "\u{1}ü".repeat(PIECE_BYTES);
        let parts = read(&long);
        assert!(parts.iter().all(Item::fits));
        assert_eq!(parts.len(), 4);
    }

    #[test]
    fn a_text_without_header_is_one_part_and_a_header_alone_is_an_empty_one() {
        assert_eq!(parts("just\r\ntext"), [(0, "just\r\ntext".to_owned())]);
        let header = "# Agent Session: a\n# Started: 2025-01-01T00:00:00.000Z\n\n";
        assert_eq!(parts(header), [(1_735_689_600_000, String::new())]);
    }
}
