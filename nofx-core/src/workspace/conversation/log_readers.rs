//! Which sessions still need the messages of a log: the one that wrote them, and those restored from it.

use crate::batch::{Batch, Expect};
use crate::body::Body;
use crate::entity::{Piece, Session};
use crate::error::{Error, Result};
use crate::json::Object;
use crate::key::{LogKey, RecordKey};
use crate::kind::HISTORY_SHARED;
use crate::record::{Record, Seq};
use crate::store::Store;

/// Which sessions still need the messages of a log.
///
/// Restoring from the log and purging it both write its record as they read it, so if they race, one of them decides
/// again.
#[derive(Clone, Debug, PartialEq)]
struct LogReaders {
    /// Whether the session that wrote them still does.
    owned: bool,
    /// How many other sessions read them.
    readers: u64,
    version: Option<Seq>,
}

/// Adds to a batch that one more session reads these pieces.
pub(crate) async fn share(store: &Store, batch: Batch, pieces: &[Piece]) -> Result<Batch> {
    let logs = pieces.iter().map(|piece| (piece.history(), false)).collect();
    change(store, batch, logs, |_, log| log.readers += 1).await
}

/// Adds to a batch that a session ends: its messages go when no session reads them any more, and so may those that it
/// reads.
pub(crate) async fn release(store: &Store, batch: Batch, session: &Session) -> Result<Batch> {
    let own = Piece { session: session.id.clone(), log: session.rewinds, length: 0 };
    let all: Vec<_> = session.pieces.iter().cloned().chain([own]).collect();
    give_up(store, batch, session, &all).await
}

/// Adds to a batch that a session no longer reads these of its pieces; those that it wrote itself go once no other
/// session reads them.
pub(crate) async fn give_up(store: &Store, batch: Batch, session: &Session, pieces: &[Piece]) -> Result<Batch> {
    let logs = pieces.iter().map(|piece| (piece.history(), piece.session == session.id)).collect();
    change(store, batch, logs, |is_own, log| match is_own {
        true => log.owned = false,
        false => log.readers = log.readers.saturating_sub(1),
    })
    .await
}

/// Changes who needs some logs, passing each log's flag to `change`.
async fn change(
    store: &Store,
    mut batch: Batch,
    logs: Vec<(LogKey, bool)>,
    change: impl Fn(bool, &mut LogReaders),
) -> Result<Batch> {
    if logs.is_empty() {
        return Ok(batch);
    }
    let keys = logs.iter().map(|(log, _)| key(log)).collect::<Result<Vec<_>>>()?;
    for ((log, mark), record) in logs.iter().zip(store.get(&keys).await?) {
        let mut readers = LogReaders::read(record.as_ref())?;
        change(*mark, &mut readers);
        batch = readers.save(batch, log)?;
    }
    Ok(batch)
}

/// Returns the key of the record that says who needs the messages of a log; it does not exist while only the session
/// that wrote them does.
fn key(log: &LogKey) -> Result<RecordKey> {
    RecordKey::new(HISTORY_SHARED, log.id())
}

impl LogReaders {
    fn read(record: Option<&Record>) -> Result<Self> {
        let Some(record) = record else { return Ok(Self { owned: true, readers: 0, version: None }) };
        let object = Object::parse(record.body.as_str());
        let object = object.map_err(|error| Error::corrupt_because(record.key.to_string(), error))?;
        match (object.read("owned"), object.read("readers")) {
            (Some(owned), Some(readers)) => Ok(Self { owned, readers, version: Some(record.version) }),
            _ => Err(Error::corrupt(record.key.to_string())),
        }
    }

    /// Adds the new state to a batch, expecting the old one.
    fn save(&self, batch: Batch, log: &LogKey) -> Result<Batch> {
        let (key, log) = (key(log)?, log.clone());
        let expect = self.version.map_or(Expect::Absent, Expect::At);
        Ok(match (self.readers, self.owned) {
            (0, true) => batch.delete(key, expect),
            (0, false) => batch.delete(key, expect).remove(log),
            (readers, owned) => {
                let body = Body::trusted(format!(r#"{{"owned":{owned},"readers":{readers}}}"#));
                let batch = batch.put(key, expect, body);
                // A message in flight to a session that is gone must not be acknowledged.
                if owned { batch } else { batch.seal(log) }
            }
        })
    }
}
