//! Ids of different types, so that they cannot be confused.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::json::Text;
use crate::key::{Key, Kind, LogKey, MAX_ID_BYTES, RecordKey};

/// The prefix of a key made from an id that cannot be a key itself.
const DIGESTED: &str = "sha256:";

/// An id of an entity: any text that the old extension could have written, even text that a key cannot hold.
pub trait EntityId: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Returns the text.
    fn as_text(&self) -> &Text;

    /// Returns the name of the record with this id.
    fn record_key(&self, kind: Kind) -> RecordKey {
        key(kind, self.as_text())
    }

    /// Returns the name of the log with this id.
    fn log_key(&self, kind: Kind) -> LogKey {
        key(kind, self.as_text())
    }
}

/// Creates a key from any text. Text that is empty, too long or contains a lone surrogate is replaced by its digest.
fn key<K: Key>(kind: Kind, id: &Text) -> K {
    let plain = id.as_str().filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES && !is_digested(id));
    let id = match plain {
        Some(id) => id.to_owned(),
        None => format!("{DIGESTED}{}", sha256_hex(id.as_bytes())),
    };
    match K::new(kind, id) {
        Ok(key) => key,
        Err(_) => unreachable!("the id is neither empty nor too long"),
    }
}

/// Returns whether a key's id is the digest of an entity's id rather than that id itself.
pub(crate) fn is_digested(key_id: &str) -> bool {
    key_id.starts_with(DIGESTED)
}

/// Returns the SHA-256 of some bytes as 64 lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name($crate::json::Text);

        impl $crate::entity::EntityId for $name {
            fn as_text(&self) -> &$crate::json::Text {
                &self.0
            }
        }

        impl<T: Into<$crate::json::Text>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }

        impl $crate::json::Value for $name {
            fn read(raw: &str) -> Option<Self> {
                $crate::json::Text::from_json(raw).map(Self)
            }

            fn write(&self) -> String {
                self.0.to_json()
            }
        }
    )*};
}

pub(crate) use ids;

ids! {
    /// The id of an agent.
    AgentId;
    /// The id of a session.
    SessionId;
    /// The id of a message; not unique in a store nor, in histories that the old extension summarised, in a session.
    MessageId;
    /// The id of a task within its session.
    TaskId;
    /// The id of a template, which may have had several contents.
    TemplateId;
    /// The id of one content of a template: the SHA-256 of its canonical JSON in hexadecimal.
    TemplateDigest;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_a_key_of_its_own() {
        let kind = Kind::of("agent");
        let cut = AgentId::from(Text::from_json(r#""\ud83d""#).unwrap());
        let long = AgentId::from("x".repeat(MAX_ID_BYTES + 1));
        let empty = AgentId::default();
        let posing = AgentId::from(format!("{DIGESTED}{}", sha256_hex(b"")));
        let plain = AgentId::from("../evil");
        assert_eq!(plain.record_key(kind.clone()).id(), "../evil");
        let mut keys: Vec<_> = [cut, long, empty, posing, plain].iter().map(|id| id.record_key(kind.clone())).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 5);
    }
}
