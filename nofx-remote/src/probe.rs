//! Testing a store before trusting it: some servers ignore the condition and overwrite.

use bytes::Bytes;
use nofx_core::{Error, Result};

use crate::names;
use crate::objects::{Again, Created, Objects};

/// Checks that a second create of a name is refused and changes nothing. `Invalid` says what the store does instead.
pub(crate) async fn probe(objects: &Objects) -> Result<()> {
    let path = objects.names.probe(&names::nonce(&*objects.sources.ids));
    let outcome = try_out(objects, &path).await;
    objects.delete(vec![path]).await;
    outcome
}

async fn try_out(objects: &Objects, path: &object_store::path::Path) -> Result<()> {
    if objects.get(path).await?.is_some() {
        return Err(Error::invalid("this object store returns an object that was never created"));
    }
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    objects.create_own(path, first.clone()).await?;
    let mut tries = objects.tries();
    loop {
        match objects.create(path, second.clone()).await {
            Created::Refused => break,
            Created::Yes(_) => {
                return Err(Error::invalid(
                    "this object store lets an object be created twice (it ignores `If-None-Match: *`), so two writers \
                     would overwrite each other's commits; use one that honours conditional writes",
                ));
            }
            Created::No(fault, again) | Created::Unclear(fault, again) => {
                if again == Again::Never || !tries.again().await {
                    return Err(fault.unavailable("testing the object store"));
                }
            }
        }
    }
    match objects.get(path).await? {
        Some(found) if found == first => Ok(()),
        _ => Err(Error::invalid("this object store refuses a second create of an object but changes it anyway")),
    }
}
