//! The content of a record or an entry.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::json;

/// One compact JSON value, kept as text and returned byte for byte.
///
/// Cloning is cheap. A body that exists is compact JSON, so backends need not check it. Bodies that were read together
/// may share one allocation, which is freed when none of them is left.
#[derive(Clone)]
pub struct Body {
    text: Arc<String>,
    place: Range<usize>,
}

impl Body {
    /// Parses a JSON value and removes the white space between its tokens; everything else stays as written.
    ///
    /// `Invalid` if the text is not one JSON value or is nested deeper than [`json::MAX_DEPTH`].
    pub fn parse(text: &str) -> Result<Self> {
        let compact = json::compact(text).map_err(|error| Error::invalid_because("the body is not JSON", error))?;
        Ok(Self::trusted(compact))
    }

    /// Takes text that was a body before, such as a backend's own stored bytes, without checking it.
    pub fn trusted(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { place: 0..text.len(), text: Arc::new(text) }
    }

    /// Splits `text` into bodies that follow one another, each ending at one of `ends`, without checking them: they
    /// were bodies before. They share the allocation of `text`, which costs less than one each.
    ///
    /// # Panics
    ///
    /// If the ends are not in order, or one of them is inside a character or beyond the text.
    pub fn trusted_parts(text: String, ends: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Self> {
        let (text, mut from) = (Arc::new(text), 0);
        ends.into_iter().map(move |to| {
            assert!(text.get(from..to).is_some(), "a body cannot end there: {from}..{to} of {}", text.len());
            let place = from..to;
            from = to;
            Self { text: text.clone(), place }
        })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        // The range is valid: this was ensured when the body was made.
        self.text.get(self.place.clone()).unwrap_or_default()
    }

    /// Returns the number of bytes; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a JSON value is never empty")]
    pub fn len(&self) -> usize {
        self.place.len()
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes the start of the text: bodies can be megabytes long, and conversations do not belong in debug logs.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        match text.char_indices().nth(80) {
            Some((end, _)) => write!(f, "{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
            None => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_share_their_memory_are_as_those_that_do_not() {
        let parts: Vec<_> = Body::trusted_parts(r#""ä"{}17"#.to_owned(), [4, 6, 8]).collect();
        let alone = [r#""ä""#, "{}", "17"].map(Body::trusted);
        assert_eq!(parts, alone);
        assert_eq!(parts.iter().map(Body::len).collect::<Vec<_>>(), [4, 2, 2]);
        assert_eq!(format!("{parts:?}"), r#"["ä", {}, 17]"#);
        assert_ne!(parts.first(), parts.last());
    }

    #[test]
    #[should_panic(expected = "cannot end there")]
    fn a_body_never_ends_within_a_character() {
        Body::trusted_parts("\"ä\"".to_owned(), [2]).for_each(drop);
    }
}
