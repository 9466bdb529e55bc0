//! Parses requests from JavaScript.

use nofx::json::{Object, Text, Value};
use nofx::{Error, Result, Timestamp};

/// The members of a request.
///
/// TypeScript writes them, but callers need not use TypeScript: a missing member, or one of the wrong type, is `Invalid` and named.
#[derive(Debug)]
pub(crate) struct Request(Object);

impl Request {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let object =
            Object::parse(text).map_err(|error| Error::invalid_because("a request that is not an object", error))?;
        Ok(Self(object))
    }

    /// Reads a required member.
    pub(crate) fn required<T: Value>(&self, name: &str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| Error::invalid(format!("`{name}` is missing")))
    }

    /// Reads a member that may be missing, or `null`.
    pub(crate) fn optional<T: Value>(&self, name: &str) -> Result<Option<T>> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match T::read(raw) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::invalid(format!("`{name}` is {}, which is not valid", excerpt(raw)))),
        }
    }

    /// Returns whether a member is present and `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.0.get(name) == Some("null")
    }

    /// Returns the names of all members.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, _)| name.to_string())
    }

    /// Returns a member as it is written, unless it is missing or `null`.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.raw_or_null(name).filter(|raw| *raw != "null")
    }

    /// Returns a member as it is written, including `null`.
    pub(crate) fn raw_or_null(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// Reads a required text, which must be expressible in UTF-8.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        self.optional_text(name)?.ok_or_else(|| Error::invalid(format!("`{name}` is missing")))
    }

    /// Reads an optional text, which must be expressible in UTF-8.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<String>> {
        let Some(text) = self.optional::<Text>(name)? else { return Ok(None) };
        match text.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(Error::invalid(format!("`{name}` is cut in the middle of a character"))),
        }
    }

    /// Reads an optional time. `null`, which JavaScript makes of a date out of range, is refused.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>> {
        match self.is_null(name) {
            true => Err(Error::invalid(format!("`{name}` is null, which is not a time"))),
            false => self.optional(name),
        }
    }

    /// Reads an optional array of objects.
    pub(crate) fn each(&self, name: &str) -> Result<Vec<Request>> {
        Ok(self.optional::<Vec<Object>>(name)?.unwrap_or_default().into_iter().map(Request).collect())
    }

    /// Reads an optional object.
    pub(crate) fn inner(&self, name: &str) -> Result<Option<Request>> {
        Ok(self.optional::<Object>(name)?.map(Request))
    }
}

/// Returns the beginning of a value, short enough for an error message.
pub(crate) fn excerpt(raw: &str) -> String {
    match raw.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", raw.get(..end).unwrap_or_default()),
        None => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let request = Request::parse(r#"{"limit":-1,"name":null}"#).unwrap();
        assert_eq!(request.optional::<u64>("name").unwrap(), None);
        assert_eq!(request.required::<u64>("id").unwrap_err().to_string(), "invalid: `id` is missing");
        assert_eq!(
            request.required::<u64>("limit").unwrap_err().to_string(),
            "invalid: `limit` is -1, which is not valid"
        );
        assert_eq!(Request::parse("[]").unwrap_err().code(), "invalid");
    }
}
