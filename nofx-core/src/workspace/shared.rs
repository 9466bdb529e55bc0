//! Who still needs the messages of a session: itself, and those that were restored from it.

use crate::batch::{Batch, Expect};
use crate::body::Body;
use crate::entity::{EntityId, Piece, Session, SessionId};
use crate::error::{Error, Result};
use crate::json::Object;
use crate::key::RecordKey;
use crate::kind::HISTORY_SHARED;
use crate::record::{Record, Seq};
use crate::store::Store;

/// Who still needs the messages of a session.
///
/// Restoring from it and purging it both write its record as it was read, so one of two that race decides again.
#[derive(Clone, Debug, PartialEq)]
struct Shared {
    /// The session itself.
    owned: bool,
    /// How many others read them.
    readers: u64,
    version: Option<Seq>,
}

/// Adds to a batch that one more session reads these pieces.
pub(super) async fn share(store: &Store, batch: Batch, pieces: &[Piece]) -> Result<Batch> {
    change(store, batch, owners(pieces), |_, shared| shared.readers += 1).await
}

/// Adds to a batch that a session ends: its messages go when nobody reads them any more, and so may those that it reads.
pub(super) async fn release(store: &Store, batch: Batch, session: &Session) -> Result<Batch> {
    let mut all = owners(&session.pieces);
    all.push(session.id.clone());
    change(store, batch, all, |owner, shared| {
        if *owner == session.id {
            shared.owned = false;
        } else {
            shared.readers = shared.readers.saturating_sub(1);
        }
    })
    .await
}

fn owners(pieces: &[Piece]) -> Vec<SessionId> {
    pieces.iter().map(|piece| piece.session.clone()).collect()
}

async fn change(
    store: &Store,
    mut batch: Batch,
    owners: Vec<SessionId>,
    change: impl Fn(&SessionId, &mut Shared),
) -> Result<Batch> {
    let keys: Vec<_> = owners.iter().map(key).collect();
    for (owner, record) in owners.iter().zip(store.get(&keys).await?) {
        let mut shared = Shared::read(record.as_ref())?;
        change(owner, &mut shared);
        batch = shared.save(batch, owner);
    }
    Ok(batch)
}

/// Returns the record that says who needs a session's messages; there is none while only the session itself does.
fn key(session: &SessionId) -> RecordKey {
    session.record_key(HISTORY_SHARED)
}

impl Shared {
    fn read(record: Option<&Record>) -> Result<Self> {
        let Some(record) = record else { return Ok(Self { owned: true, readers: 0, version: None }) };
        let object = Object::parse(record.body.as_str());
        let object = object.map_err(|error| Error::corrupt_because(record.key.to_string(), error))?;
        match (object.read("owned"), object.read("readers")) {
            (Some(owned), Some(readers)) => Ok(Self { owned, readers, version: Some(record.version) }),
            _ => Err(Error::corrupt(record.key.to_string())),
        }
    }

    /// Adds to a batch the new state, expecting the old one.
    fn save(&self, batch: Batch, session: &SessionId) -> Batch {
        let (key, log) = (key(session), Session::history(session));
        let expect = self.version.map_or(Expect::Absent, Expect::At);
        match (self.readers, self.owned) {
            (0, true) => batch.delete(key, expect),
            (0, false) => batch.delete(key, expect).remove(log),
            (readers, owned) => {
                let body = Body::trusted(format!(r#"{{"owned":{owned},"readers":{readers}}}"#));
                let batch = batch.put(key, expect, body);
                // A message that is on its way to a session that is gone must not be acknowledged.
                if owned { batch } else { batch.seal(log) }
            }
        }
    }
}
