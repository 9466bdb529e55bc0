//! Takes a given number of places from a stream, counting those that cannot be read.

use std::pin::pin;

use futures_core::Stream;
use futures_util::StreamExt;

use crate::error::{Error, Result};

/// Takes items until they cover `count` places. An unreadable one is an error in its place; an error that ends the
/// stream is the error of the whole.
pub(super) async fn take_places<T>(items: impl Stream<Item = Result<T>>, count: u64) -> Result<Vec<Result<T>>> {
    let (mut items, mut found, mut left) = (pin!(items), Vec::new(), count);
    while left > 0
        && let Some(item) = items.next().await
    {
        if let Err(error) = &item
            && !error.is_of_one_thing()
        {
            return Err(error.clone());
        }
        left = left.saturating_sub(places_of(&item));
        found.push(item);
    }
    Ok(found)
}

/// Returns how many places an item covers: several that are damaged together give one error.
fn places_of<T>(item: &Result<T>) -> u64 {
    let places = item.as_ref().err().and_then(Error::positions);
    places.map_or(1, |places| places.end.saturating_sub(places.start))
}
