//! Distinguishes a record that is as it was imported from one that was changed since.

use nofx_core::json::{Object, Text, quote};

use crate::digest::{hex, of_json};

/// The member of an imported record that has the first half of the digest of what was imported: enough to detect a change.
const IMPORTED: &str = "$imported";

fn mark(digest: &str) -> &str {
    digest.get(..digest.len() / 2).unwrap_or(digest)
}

/// The store's own members that come from the old extension.
const FROM_SOURCE: &[&str] = &["$template", "$promptIsTemplates"];

/// Returns the digest of what a record has from the old extension.
pub(crate) fn content_digest(object: &Object) -> String {
    hex(&of_json(&content(object).to_json()))
}

/// Returns what a record has from the old extension.
pub(crate) fn content(object: &Object) -> Object {
    let mut content = Object::default();
    for (name, value) in object.iter() {
        if !is_stores_own(name.as_bytes()) {
            content.push(&name, value);
        }
    }
    content
}

fn is_stores_own(name: &[u8]) -> bool {
    name.starts_with(b"$") && !name.starts_with(b"$$") && !FROM_SOURCE.iter().any(|own| own.as_bytes() == name)
}

/// Returns whether a record says that content of this digest was imported into it.
pub(crate) fn was_imported_as(object: &Object, digest: &str) -> bool {
    object.read::<Text>(IMPORTED).is_some_and(|imported| imported == mark(digest))
}

/// Returns the record to be written: what was planned, the store's own members that exist, and its digest.
pub(crate) fn marked(planned: &Object, there: Option<&Object>) -> Object {
    let mut record = planned.clone();
    for (name, value) in there.into_iter().flat_map(Object::iter) {
        if is_stores_own(name.as_bytes()) {
            record.push(&name, value);
        }
    }
    record.remove(IMPORTED);
    record.set(IMPORTED, quote(mark(&content_digest(planned))));
    record
}
