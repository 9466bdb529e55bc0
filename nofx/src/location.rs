//! Where a store is.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use nofx_core::{Error, Result};

/// Where a store is: a scheme, which names its backend, and what that backend needs to find it.
///
/// - `redb:PATH`: the file of an embedded store;
/// - `memory:`: a store that is gone with its last handle.
///
/// A path alone is no location: what it leads to could be many things, and a program should not have to guess. A single letter
/// before a colon is a drive of Windows and no scheme.
///
/// ```
/// use nofx::Location;
///
/// let location: Location = "redb:.nofx/store/nofx.redb".parse()?;
/// assert_eq!(location.scheme(), "redb");
/// assert_eq!(location.to_string(), "redb:.nofx/store/nofx.redb");
/// assert_eq!("nofx.redb".parse::<Location>().unwrap_err().code(), "invalid");
/// # Ok::<(), nofx::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    scheme: String,
    rest: OsString,
}

impl Location {
    /// Reads a location whose path may be anything that the operating system takes for one.
    ///
    /// `Invalid` names the text and the valid forms. A scheme that no backend has is valid here; [`open`](crate::open) says
    /// what became of it.
    pub fn from_os(text: &OsStr) -> Result<Self> {
        let malformed = |why: &str| {
            let shown = shown(text);
            Error::invalid(format!("`{shown}` is not a location: {why}; write `redb:PATH` or `memory:`"))
        };
        let Some((scheme, rest)) = split_at_colon(text) else {
            return Err(malformed("it names no scheme"));
        };
        let Some(scheme) = scheme.to_str().filter(|scheme| is_scheme(scheme)) else {
            return Err(malformed("it does not begin with a scheme"));
        };
        match (scheme, rest.is_empty()) {
            ("redb", true) => return Err(malformed("the path is missing")),
            ("memory", false) => return Err(malformed("nothing may follow `memory:`")),
            _ => {}
        }
        if rest.as_encoded_bytes().contains(&0) {
            return Err(malformed("a path cannot hold a NUL"));
        }
        Ok(Self { scheme: scheme.to_owned(), rest: rest.to_owned() })
    }

    /// Names the store in a file.
    pub fn redb(path: impl Into<OsString>) -> Self {
        Self { scheme: "redb".to_owned(), rest: path.into() }
    }

    /// Returns what stands before the colon.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns the path of the store, if it is one in a file.
    pub fn path(&self) -> Option<&Path> {
        (self.scheme == "redb").then(|| Path::new(&self.rest))
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_os(OsStr::new(text))
    }
}

/// Writes the location with control characters escaped; of a path that is Unicode and has none, exactly what is parsed.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, shown(&self.rest))
    }
}

/// A lower-case word of at least two characters, as in an address.
fn is_scheme(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    text.len() > 1 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(word)
}

/// Splits at the first colon and leaves it out.
#[cfg(unix)]
fn split_at_colon(text: &OsStr) -> Option<(&OsStr, &OsStr)> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    Some((OsStr::from_bytes(bytes.get(..colon)?), OsStr::from_bytes(bytes.get(colon + 1..)?)))
}

/// Splits at the first colon and leaves it out. Text that is not Unicode cannot be split safely here.
#[cfg(not(unix))]
fn split_at_colon(text: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let (scheme, rest) = text.to_str()?.split_once(':')?;
    Some((OsStr::new(scheme), OsStr::new(rest)))
}

fn shown(text: &OsStr) -> String {
    let mut shown = String::new();
    for symbol in text.to_string_lossy().chars() {
        match symbol.is_control() {
            true => shown.extend(symbol.escape_default()),
            false => shown.push(symbol),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in
            ["redb:a", "redb:C:\\x\\y.redb", "redb:/a b/ü", "redb::", "memory:", "s3://bucket/x", "fs:.nofx/store"]
        {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
            assert_eq!(text.parse::<Location>().unwrap(), location);
        }
    }

    #[test]
    fn what_is_malformed_is_named_with_the_forms_that_are_not() {
        for (text, why) in [
            ("", "it names no scheme"),
            ("nofx.redb", "it names no scheme"),
            ("C:\\x", "it does not begin with a scheme"),
            (":x", "it does not begin with a scheme"),
            ("Redb:x", "it does not begin with a scheme"),
            ("./redb:x", "it does not begin with a scheme"),
            ("redb:", "the path is missing"),
            ("redb:a\0", "a path cannot hold a NUL"),
            ("memory:x", "nothing may follow `memory:`"),
        ] {
            let error = text.parse::<Location>().unwrap_err();
            let shown = text.replace('\0', "\\u{0}");
            let expected = format!("invalid: `{shown}` is not a location: {why}; write `redb:PATH` or `memory:`");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let location = Location::from_os(OsStr::from_bytes(b"redb:a\xff")).unwrap();
        assert_eq!(location.path().unwrap().as_os_str().as_bytes(), b"a\xff");
        assert_eq!(location.to_string(), "redb:a\u{fffd}");
    }
}
