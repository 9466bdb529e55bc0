//! Names of logs that go on for others: the id of a log is never used again, so what follows a log has its id, a mark and a number.

use super::id::sha256_hex;
use crate::key::{LogKey, MAX_ID_BYTES};

/// Stands before the number of a successor: a character that ids do not have.
const MARK: char = '\u{1}';

/// How many digits the number has, so that successors are found in their order.
const DIGITS: usize = 8;

/// Returns the successor of a log with this number.
pub(crate) fn successor(log: &LogKey, number: u32) -> LogKey {
    match LogKey::new(log.kind().clone(), format!("{}{number:0DIGITS$}", successors(log))) {
        Ok(key) => key,
        Err(_) => unreachable!("room was left for the number"),
    }
}

/// Returns what the ids of the successors of a log begin with. An id that leaves no room for a number is named by its digest.
pub(crate) fn successors(log: &LogKey) -> String {
    match log.id() {
        id if id.len() + MARK.len_utf8() + DIGITS + 2 <= MAX_ID_BYTES => format!("{id}{MARK}"),
        id => format!("sha256:{}{MARK}", sha256_hex(id.as_bytes())),
    }
}

/// Splits the id of a successor into what it begins with and its number.
pub(crate) fn number_of(id: &str) -> Option<(&str, u32)> {
    let (first, number) = id.rsplit_once(MARK)?;
    (number.len() >= DIGITS).then(|| Some((first, number.parse().ok()?))).flatten()
}

/// Returns the id of the log that a log goes on for; its own if it goes on for none.
pub fn first_id(id: &str) -> &str {
    number_of(id).map_or(id, |(first, _)| first)
}
