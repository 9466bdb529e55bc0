//! Names of logs that continue other logs. A log's id is never used again, so its successor has that id, a mark and a
//! number.

use super::id::sha256_hex;
use crate::key::{LogKey, MAX_ID_BYTES};

/// Separates the id from the number of a successor; ids do not contain this character.
const MARK: char = '\u{1}';

/// How many digits the number has, so that successors sort in order.
const DIGITS: usize = 8;

/// Returns the successor of a log with this number.
pub(crate) fn successor(log: &LogKey, number: u32) -> LogKey {
    match LogKey::new(log.kind().clone(), format!("{}{number:0DIGITS$}", successors(log))) {
        Ok(key) => key,
        Err(_) => unreachable!("room was left for the number"),
    }
}

/// Returns the prefix of the ids of a log's successors. An id that leaves no room for a number is replaced by its
/// digest.
pub(crate) fn successors(log: &LogKey) -> String {
    match log.id() {
        id if id.len() + MARK.len_utf8() + DIGITS + 2 <= MAX_ID_BYTES => format!("{id}{MARK}"),
        id => format!("sha256:{}{MARK}", sha256_hex(id.as_bytes())),
    }
}

/// Splits the id of a successor into its prefix and its number.
pub(crate) fn number_of(id: &str) -> Option<(&str, u32)> {
    let (first, number) = id.rsplit_once(MARK)?;
    (number.len() >= DIGITS).then(|| Some((first, number.parse().ok()?))).flatten()
}

/// Returns the id of the log that this log continues; its own if it continues none.
pub fn first_id(id: &str) -> &str {
    number_of(id).map_or(id, |(first, _)| first)
}
