//! Shared helpers that create stores and batches.
#![allow(dead_code, reason = "each test uses a part")]

use std::ops::Range;
use std::path::Path;

use nofx_core::{Batch, Body, Kind, LogKey, NewEntry, RecordKey, Sources, Timestamp};
use nofx_redb::{Options, RedbBackend};

pub(crate) const KIND: Kind = Kind::of("thing");

pub(crate) fn record(id: &str) -> RecordKey {
    RecordKey::new(KIND, id).unwrap()
}

pub(crate) fn log(id: &str) -> LogKey {
    LogKey::new(KIND, id).unwrap()
}

pub(crate) fn body(text: &str) -> Body {
    Body::parse(text).unwrap()
}

pub(crate) fn batch() -> Batch {
    Batch::new(Sources::default().batch_id())
}

pub(crate) fn entries(numbers: Range<u64>) -> Vec<NewEntry> {
    let entry = |number: u64| NewEntry { at: Timestamp::from_millis(number as i64), body: body(&number.to_string()) };
    numbers.map(entry).collect()
}

pub(crate) async fn open(path: &Path) -> RedbBackend {
    RedbBackend::open(path).await.unwrap()
}

pub(crate) async fn open_with(path: &Path, change: impl FnOnce(&mut Options)) -> RedbBackend {
    let mut options = Options::default();
    change(&mut options);
    RedbBackend::open_with(path, options).await.unwrap()
}
