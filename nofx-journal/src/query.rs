//! Which keys a query asks for.

use std::collections::BTreeMap;
use std::ops::Bound;

use nofx_core::{Direction, Key, KeyQuery, Kind};

/// Returns what a query finds, in its direction, ignoring its limit. Matching keys are adjacent, so it ends at the
/// first that does not match.
pub fn within<'a, K: Key, V>(
    all: &'a BTreeMap<K, V>,
    query: &'a KeyQuery<K>,
) -> Box<dyn Iterator<Item = (&'a K, &'a V)> + 'a> {
    let after = query.after.as_ref();
    // No id is smaller than a single NUL.
    let prefix = if query.prefix.is_empty() { "\0" } else { &query.prefix };
    let first = query.kind.as_ref().and_then(|kind| K::new(kind.clone(), prefix).ok());
    match query.direction {
        Direction::Forward => {
            let from = match (after, first) {
                (Some(after), Some(first)) if *after < first => Bound::Included(first),
                (Some(after), _) => Bound::Excluded(after.clone()),
                (None, Some(first)) => Bound::Included(first),
                (None, None) => Bound::Unbounded,
            };
            Box::new(all.range((from, Bound::Unbounded)).take_while(|(key, _)| query.matches(key)))
        }
        Direction::Backward => {
            let until = match (after, next_key(query)) {
                (Some(after), Some(end)) if *after > end => Bound::Excluded(end),
                (Some(after), _) => Bound::Excluded(after.clone()),
                (None, end) => end.map_or(Bound::Unbounded, Bound::Excluded),
            };
            let rest = all.range((Bound::Unbounded, until)).rev();
            // If the end could not be expressed, it is searched for.
            Box::new(rest.skip_while(|(key, _)| !query.matches(key)).take_while(|(key, _)| query.matches(key)))
        }
    }
}

/// Returns the first key after everything that has the kind and the prefix of a query, if it can be expressed.
fn next_key<K: Key>(query: &KeyQuery<K>) -> Option<K> {
    let kind = query.kind.as_ref()?;
    let mut prefix: Vec<char> = query.prefix.chars().collect();
    while let Some(last) = prefix.pop() {
        // The next character, skipping the gap of the surrogates.
        let next = char::from_u32(u32::from(last) + 1).or((last == '\u{d7ff}').then_some('\u{e000}'));
        if let Some(next) = next {
            prefix.push(next);
            return K::new(kind.clone(), prefix.into_iter().collect::<String>()).ok();
        }
    }
    // No kind is between a kind and the same with a hyphen, and no id is smaller than this one.
    K::new(Kind::new(format!("{kind}-")).ok()?, "\0").ok()
}
