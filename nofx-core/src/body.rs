//! The content of a record or an entry.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::json;

/// One compact JSON value, kept as text and returned byte for byte.
///
/// Cloning is cheap. A body that exists is compact JSON, so backends need not judge it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Body(Arc<str>);

impl Body {
    /// Reads a JSON value and removes the white space between its tokens; everything else stays as it is written.
    ///
    /// `Invalid` if the text is not one JSON value or is nested deeper than [`json::MAX_DEPTH`].
    pub fn parse(text: &str) -> Result<Self> {
        let compact = json::compact(text).map_err(|error| Error::invalid_because("a body that is not JSON", error))?;
        Ok(Self(compact.into()))
    }

    /// Takes text that was a body before, such as a backend's own stored bytes, without looking at it.
    pub fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number of bytes; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a JSON value is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes the beginning of the text: bodies can be megabytes long, and what people said is not for logs.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(80) {
            Some((end, _)) => write!(f, "{}… ({} bytes)", self.0.get(..end).unwrap_or_default(), self.0.len()),
            None => f.write_str(&self.0),
        }
    }
}
