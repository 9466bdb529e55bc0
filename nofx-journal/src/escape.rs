//! File names for ids that may be any text.
//!
//! Lower-case letters, digits, `-` and `_` stand for themselves; every other byte is `%` and two lower-case hexadecimal
//! digits. So no name leaves its folder, and no two names coincide where a file system ignores case or normalises. The
//! first letter of a name that Windows reserves is escaped too. If a name would be longer than 190 bytes, it consists
//! of the id's beginning and its digest; the file then contains the id.

use sha2::{Digest, Sha256};

/// The longest name, in bytes, so that a kind and an extension fit after it.
const MAX_NAME_BYTES: usize = 190;

/// Separates the beginning of a long id from its digest; never part of another name.
const DIGEST: char = '~';

/// Returns the name of an id.
pub fn escape(id: &str) -> String {
    let reserved = is_reserved(id);
    let mut name = String::with_capacity(id.len());
    for (at, byte) in id.bytes().enumerate() {
        if is_plain(byte) && !(at == 0 && reserved) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    // Cut between two escapes, not within one.
    let mut end = 96;
    while name.as_bytes().iter().take(end).rev().take(2).any(|byte| *byte == b'%') {
        end -= 1;
    }
    name.truncate(end);
    name.push(DIGEST);
    Sha256::digest(id).iter().for_each(|byte| name.push_str(&format!("{byte:02x}")));
    name
}

/// Returns the id of a name; `None` if it is not a valid name, or one that contains only the digest.
pub fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte if is_plain(byte) => byte,
            _ => return None,
        });
    }
    // Another spelling of the same id, such as one in capitals, is not its name.
    String::from_utf8(bytes).ok().filter(|id| escape(id) == name)
}

/// Returns whether an id's name does not reveal the id.
pub fn is_long(id: &str) -> bool {
    escape(id).contains(DIGEST)
}

/// Returns whether a name is that of a long id.
pub fn is_long_name(name: &str) -> bool {
    name.contains(DIGEST)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn is_reserved(id: &str) -> bool {
    matches!(id, "con" | "prn" | "aux" | "nul")
        || id.strip_prefix("com").or(id.strip_prefix("lpt")).is_some_and(|rest| rest.len() == 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn hostile() -> Vec<String> {
        let plain = [
            "../evil", "a/b", "C:\\x", "CON", "con", "com1", "nul", "a.", "a ", ".", "..", "\0", "-", "~new", "%41",
            "A", "a",
        ];
        let alike = ["é", "e\u{301}", "ß", "SS", "ss", "ﬁ", "fi", "İ", "i̇"];
        let long =
            ["x".repeat(512), "X".repeat(512), format!("{}y", "x".repeat(511)), "ü".repeat(250), "/".repeat(300)];
        plain.into_iter().chain(alike).map(str::to_owned).chain(long).collect()
    }

    #[test]
    fn names_stay_in_their_folder_and_never_meet() {
        let mut seen = HashMap::new();
        for id in hostile() {
            let name = escape(&id);
            assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES, "{id:?}: {name}");
            assert!(name.bytes().all(|byte| is_plain(byte) || matches!(byte, b'%' | b'~')), "{id:?}: {name}");
            assert!(!is_reserved(&name), "{id:?}: {name}");
            assert_eq!(seen.insert(name, id.clone()), None, "{id:?}");
        }
    }

    #[test]
    fn short_names_hold_their_id_and_long_ones_say_that_they_do_not() {
        for id in hostile() {
            match unescape(&escape(&id)) {
                Some(told) => assert_eq!(told, id),
                None => assert!(is_long(&id) && is_long_name(&escape(&id)), "{id:?}"),
            }
        }
    }

    #[test]
    fn names_that_escaping_never_makes_hold_no_id() {
        for name in ["%4", "%zz", "A", "%61", "a b", "%ff", "x~1", "é"] {
            assert_eq!(unescape(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back(id in ".{1,60}") {
            prop_assert_eq!(unescape(&escape(&id)).unwrap_or_else(|| id.clone()), id);
        }
    }
}
