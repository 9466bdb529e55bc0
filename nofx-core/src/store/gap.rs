//! Finding what comes after a record or head that cannot be read, and whose key is therefore unknown.
//!
//! This is a binary search over keys. Take a key that does not exist and look for the nearest item from the other side:
//! either it can be read, and so is nearer than anything known before, or it is the unreadable one.

use super::pages::Keyed;
use crate::backend::PersistenceBackend;
use crate::error::Result;
use crate::key::{Key, Kind, MAX_ID_BYTES, MAX_KIND_BYTES};
use crate::query::{Direction, KeyQuery};

/// The maximum number of halvings. No key has more bits than this.
const HALVINGS: usize = 4096;

/// The number of characters: all code points except surrogates.
const CHARACTERS: u32 = 0x11_0000 - 0x800;

/// Where ASCII ends.
const ASCII: u32 = 0x7f;

/// A place between keys: a kind, and an id that may be empty.
type Place = (Kind, String);

/// Returns the key after which to continue when the next item of a query is unreadable for `reason`; `None` at the end.
///
/// `before` is the reason why the item right before it was unreadable, if it was.
pub(super) async fn after_gap<T: Keyed>(
    backend: &dyn PersistenceBackend,
    query: &KeyQuery<T::Key>,
    reason: &str,
    before: Option<&str>,
) -> Result<Option<T::Key>> {
    let (first, last) = ends(query)?;
    let after = query.after.as_ref().map(place_of);
    // The unreadable item is between `near` and `far`, and no readable item is between it and `near`.
    let (mut near, mut far) = match query.direction {
        Direction::Forward => (after.unwrap_or(first), last),
        Direction::Backward => (after.unwrap_or(last), first),
    };
    let (mut middle, mut moved) = (None, false);
    for _ in 0..HALVINGS {
        let (from, resume) = match &middle {
            None => (None, None),
            Some(place) => {
                // There is no room after a key of maximum length.
                let (Ok(at), Ok(after)) = (key(place), next_key(place)) else { break };
                match query.direction {
                    Direction::Forward => (Some(after), Some(at)),
                    Direction::Backward => (Some(at), Some(after)),
                }
            }
        };
        let direction = match query.direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        let probe = KeyQuery { after: from, direction, limit: 1, ..query.clone() };
        let found = match T::page(backend, &probe).await {
            Ok(page) => page.items.first().map(Keyed::key).filter(|key| query.matches(key)).map(place_of),
            Err(other) if !other.is_of_one_thing() => return Err(other),
            Err(other) => match other.to_string() {
                other if other == reason => return Ok(resume),
                other if Some(&*other) == before => None,
                // A different unreadable item.
                _ => Some(middle.clone().unwrap_or_else(|| far.clone())),
            },
        };
        match (found, middle) {
            (Some(found), _) => far = found,
            (None, Some(middle)) => (near, moved) = (middle, true),
            (None, None) => return Ok(None),
        }
        middle = match query.direction {
            Direction::Forward => between(&near, &far),
            Direction::Backward => between(&far, &near),
        };
        if middle.is_none() {
            break;
        }
    }
    // Backward, the unreadable item may have exactly the key that was approached.
    let is_near = moved && query.direction == Direction::Backward;
    Ok(if is_near { key(&near).ok() } else { None })
}

/// Returns a place before everything that a query can find, and one after it.
fn ends<K>(query: &KeyQuery<K>) -> Result<(Place, Place)> {
    let last = format!("{}{}", query.prefix, highest(query.prefix.len()));
    Ok(match &query.kind {
        Some(kind) => ((kind.clone(), query.prefix.clone()), (kind.clone(), last)),
        None => ((Kind::of("a"), String::new()), (Kind::new("z".repeat(MAX_KIND_BYTES))?, last)),
    })
}

/// Returns the highest text that an id can have after this many bytes.
fn highest(bytes: usize) -> String {
    char::MAX.to_string().repeat(MAX_ID_BYTES.saturating_sub(bytes) / char::MAX.len_utf8())
}

fn place_of<K: Key>(key: &K) -> Place {
    (key.kind().clone(), key.id().to_owned())
}

fn key<K: Key>((kind, id): &Place) -> Result<K> {
    K::new(kind.clone(), id.as_str())
}

/// Returns the key immediately after a place.
fn next_key<K: Key>((kind, id): &Place) -> Result<K> {
    K::new(kind.clone(), format!("{id}\0"))
}

/// Returns a place between two others, roughly in the middle; `None` if there is none.
fn between(low: &Place, high: &Place) -> Option<Place> {
    if low.0 == high.0 {
        return Some((low.0.clone(), middle(&low.1, &high.1)?));
    }
    // The first place of the later kind.
    let first = (high.0.clone(), "\0".to_owned());
    if first < *high { Some(first) } else { Some((low.0.clone(), middle(&low.1, &highest(0))?)) }
}

/// Returns a text between two; `None` if there is none.
fn middle(low: &str, high: &str) -> Option<String> {
    let (mut low, mut high) = (low.chars(), Some(high.chars()));
    let mut middle = String::new();
    loop {
        // One more than the character, because the end of a text sorts before all characters.
        let from = low.next().map_or(0, |character| number(character) + 1);
        let to = match &mut high {
            Some(high) => number(high.next()?) + 1,
            None => CHARACTERS + 1,
        };
        if to > from + 1 {
            let half = from + (to - from) / 2;
            // Most ids are ASCII, so that range is tried first.
            middle.push(character(if from < ASCII && ASCII < half { ASCII } else { half - 1 }));
            return Some(middle);
        }
        if to > from && high.as_ref().is_some_and(|high| !high.as_str().is_empty()) {
            // A prefix of the higher text.
            middle.push(character(to - 1));
            return Some(middle);
        }
        middle.push(character(from.checked_sub(1)?));
        if to > from {
            // Every text that starts like the lower one is below the higher one.
            high = None;
        }
    }
}

fn number(character: char) -> u32 {
    let code = character as u32;
    if code < 0xd800 { code } else { code - 0x800 }
}

fn character(number: u32) -> char {
    char::from_u32(if number < 0xd800 { number } else { number + 0x800 }).unwrap_or(char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_middle_lies_between() {
        for (low, high) in [
            ("", "\u{10ffff}"),
            ("a", "c"),
            ("a", "b"),
            ("a", "a\0\0"),
            ("", "\u{1}"),
            ("session-1", "session-2"),
            ("session-1\u{10ffff}", "session-2"),
            ("\u{d7ff}", "\u{e001}"),
            ("a\u{10ffff}\u{10ffff}", "b"),
        ] {
            let middle = middle(low, high).unwrap_or_default();
            assert!(low < &*middle && &*middle < high, "{low:?} < {middle:?} < {high:?}");
        }
        for (low, high) in [("a", "a\0"), ("", "\0")] {
            assert_eq!(middle(low, high), None, "{low:?} {high:?}");
        }
    }

    #[test]
    fn halving_ends_at_either_text() {
        for wanted in ["session-agent-ada-17", "a", "\u{10ffff}a", "\0\0x"] {
            let (mut low, mut high, mut halvings) = (String::new(), char::MAX.to_string().repeat(3), 0);
            while let Some(middle) = middle(&low, &high).filter(|_| low != wanted) {
                if &*middle <= wanted {
                    low = middle
                } else {
                    high = middle
                }
                halvings += 1;
            }
            assert!(low == wanted && halvings < 1000, "{wanted:?}: {low:?} after {halvings}");
        }
    }
}
