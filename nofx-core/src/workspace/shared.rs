//! Who still needs the messages of a log: the session that wrote them, and those that were restored from it.

use crate::batch::{Batch, Expect};
use crate::body::Body;
use crate::entity::{Piece, Session};
use crate::error::{Error, Result};
use crate::json::Object;
use crate::key::{LogKey, RecordKey};
use crate::kind::HISTORY_SHARED;
use crate::record::{Record, Seq};
use crate::store::Store;

/// Who still needs the messages of a log.
///
/// Restoring from it and purging it both write its record as it was read, so one of two that race decides again.
#[derive(Clone, Debug, PartialEq)]
struct Shared {
    /// The session that wrote them.
    owned: bool,
    /// How many others read them.
    readers: u64,
    version: Option<Seq>,
}

/// Adds to a batch that one more session reads these pieces.
pub(super) async fn share(store: &Store, batch: Batch, pieces: &[Piece]) -> Result<Batch> {
    let logs = pieces.iter().map(|piece| (piece.history(), false)).collect();
    change(store, batch, logs, |_, shared| shared.readers += 1).await
}

/// Adds to a batch that a session ends: its messages go when nobody reads them any more, and so may those that it reads.
pub(super) async fn release(store: &Store, batch: Batch, session: &Session) -> Result<Batch> {
    let own = Piece { session: session.id.clone(), log: session.rewinds, length: 0 };
    let all: Vec<_> = session.pieces.iter().cloned().chain([own]).collect();
    give_up(store, batch, session, &all).await
}

/// Adds to a batch that a session reads these of its pieces no more; those that it wrote itself go when no other session reads them.
pub(super) async fn give_up(store: &Store, batch: Batch, session: &Session, pieces: &[Piece]) -> Result<Batch> {
    let logs = pieces.iter().map(|piece| (piece.history(), piece.session == session.id)).collect();
    change(store, batch, logs, |is_own, shared| match is_own {
        true => shared.owned = false,
        false => shared.readers = shared.readers.saturating_sub(1),
    })
    .await
}

/// Changes who needs some logs, each with a mark for `change`.
async fn change(
    store: &Store,
    mut batch: Batch,
    logs: Vec<(LogKey, bool)>,
    change: impl Fn(bool, &mut Shared),
) -> Result<Batch> {
    if logs.is_empty() {
        return Ok(batch);
    }
    let keys = logs.iter().map(|(log, _)| key(log)).collect::<Result<Vec<_>>>()?;
    for ((log, mark), record) in logs.iter().zip(store.get(&keys).await?) {
        let mut shared = Shared::read(record.as_ref())?;
        change(*mark, &mut shared);
        batch = shared.save(batch, log)?;
    }
    Ok(batch)
}

/// Returns the record that says who needs the messages of a log; there is none while only the session that wrote them does.
fn key(log: &LogKey) -> Result<RecordKey> {
    RecordKey::new(HISTORY_SHARED, log.id())
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
    fn save(&self, batch: Batch, log: &LogKey) -> Result<Batch> {
        let (key, log) = (key(log)?, log.clone());
        let expect = self.version.map_or(Expect::Absent, Expect::At);
        Ok(match (self.readers, self.owned) {
            (0, true) => batch.delete(key, expect),
            (0, false) => batch.delete(key, expect).remove(log),
            (readers, owned) => {
                let body = Body::trusted(format!(r#"{{"owned":{owned},"readers":{readers}}}"#));
                let batch = batch.put(key, expect, body);
                // A message that is on its way to a session that is gone must not be acknowledged.
                if owned { batch } else { batch.seal(log) }
            }
        })
    }
}
