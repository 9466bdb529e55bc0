//! Names of records and logs.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 512;

/// The longest name of a kind, in bytes.
pub const MAX_KIND_BYTES: usize = 32;

/// A family of records or logs, such as `agent` or `history`.
///
/// At most [`MAX_KIND_BYTES`] lower-case letters, digits and hyphens, starting with a letter. Backends store kinds they
/// have never heard of; this version's kinds are in [`kind`](crate::kind).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// Creates a kind from a name in the source code. Panics if the name is not valid: at compile time if the kind is a
    /// constant.
    pub const fn of(name: &'static str) -> Self {
        assert!(is_kind(name.as_bytes()), "a kind is lower-case letters, digits and hyphens");
        Self(Cow::Borrowed(name))
    }

    /// Creates a kind from a name that comes from outside. `Invalid` if it is not one.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if !is_kind(name.as_bytes()) {
            return Err(Error::invalid(format!(
                "`{}` is not a valid kind; give 1 to {MAX_KIND_BYTES} lower-case letters, digits and hyphens",
                name.escape_debug()
            )));
        }
        Ok(Self(Cow::Owned(name)))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_kind(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > MAX_KIND_BYTES || !name[0].is_ascii_lowercase() {
        return false;
    }
    let mut i = 1;
    while i < name.len() {
        if !(name[i].is_ascii_lowercase() || name[i].is_ascii_digit() || name[i] == b'-') {
            return false;
        }
        i += 1;
    }
    true
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What [`RecordKey`] and [`LogKey`] have in common, so that one [`KeyQuery`](crate::KeyQuery) serves both.
pub trait Key: Clone + Ord + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Creates a key. `Invalid` if the id is empty or longer than [`MAX_ID_BYTES`].
    fn new(kind: Kind, id: impl Into<Arc<str>>) -> Result<Self>;
    /// Returns the kind.
    fn kind(&self) -> &Kind;
    /// Returns the id.
    fn id(&self) -> &str;
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            kind: Kind,
            id: Arc<str>,
        }

        impl $name {
            /// Creates a key. `Invalid` if the id is empty or longer than [`MAX_ID_BYTES`]; any other text is a valid
            /// id.
            pub fn new(kind: Kind, id: impl Into<Arc<str>>) -> Result<Self> {
                let id = id.into();
                check_id(&kind, &id)?;
                Ok(Self { kind, id })
            }

            /// Returns the kind.
            pub fn kind(&self) -> &Kind {
                &self.kind
            }

            /// Returns the id.
            pub fn id(&self) -> &str {
                &self.id
            }
        }

        impl Key for $name {
            fn new(kind: Kind, id: impl Into<Arc<str>>) -> Result<Self> {
                Self::new(kind, id)
            }

            fn kind(&self) -> &Kind {
                &self.kind
            }

            fn id(&self) -> &str {
                &self.id
            }
        }

        /// Writes `kind/id`, the id with control characters escaped.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.kind, self.id.escape_debug())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

key! {
    /// The name of a record: its kind and its id, ordered by both as bytes.
    ///
    /// An id is any non-empty text of at most [`MAX_ID_BYTES`] bytes: it may look like a path, differ from another only
    /// in case, or contain a NUL. A key that exists is valid, so backends need not check it.
    RecordKey
}

key! {
    /// The name of a log: its kind and its id, with the same rules as [`RecordKey`].
    ///
    /// Records and logs have separate name spaces; a record and a log may have the same kind and id.
    LogKey
}

fn check_id(kind: &Kind, id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::invalid(format!("the id of a `{kind}` is empty")));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(Error::invalid(format!("an id of a `{kind}` has {} bytes; the limit is {MAX_ID_BYTES}", id.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ids_are_ids_and_only_empty_or_too_long_ones_are_not() {
        let kind = Kind::of("agent");
        for id in ["../evil", "a/b", "C:\\x", "CON", "dots. ", ".", "\0", "ünï", &"ß".repeat(256)] {
            assert_eq!(RecordKey::new(kind.clone(), id).unwrap().id(), id);
        }
        for id in ["", &"ß".repeat(257)] {
            assert_eq!(RecordKey::new(kind.clone(), id).unwrap_err().code(), "invalid");
        }
    }

    #[test]
    fn a_kind_is_a_plain_word() {
        for name in ["", "A", "1a", "a b", "a/b", "é", &"a".repeat(33)] {
            assert_eq!(Kind::new(name).unwrap_err().code(), "invalid", "{name}");
        }
        assert_eq!(Kind::new("session-by-agent").unwrap().as_str(), "session-by-agent");
    }
}
