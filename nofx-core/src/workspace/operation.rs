//! Operations: what a host does under an id of its own, so that doing it again happens once.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Workspace;
use crate::batch::{Batch, Committed, Guard};
use crate::error::{Error, Result};
use crate::ids::BatchId;
use crate::key::{LogKey, MAX_ID_BYTES};
use crate::kind::HISTORY;

/// The log whose length is never this: a guard of it holds never.
const NEVER: u64 = u64::MAX;

/// An operation of a host.
#[derive(Clone, Debug)]
pub(super) struct Operation(Arc<str>);

impl Workspace {
    /// Returns the workspace as one operation sees it: each verb that is called on it happens once, however often the operation is
    /// repeated, also by another process, and a repeat answers what came of the first call.
    ///
    /// That is what a host needs that does not know whether a call happened, after [`Unknown`](Error::Unknown) or a crash: it
    /// repeats the call under the same id. Within an operation each verb counts once; with other arguments it is still the first call.
    /// Ids that a verb makes are made of the operation. What has changed since is answered as it is now: a session, say, with its
    /// messages since.
    ///
    /// Good for as long as the store remembers, at least the last [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS); after that a repeat is another call. A
    /// call that was refused, or that changed nothing, is not remembered. `Invalid` for an id that is empty or longer than 512 bytes, and
    /// from verbs that take no operation: those on several sessions, those that empty or clean up, and an import.
    pub fn operation(&self, id: &str) -> Result<Self> {
        match (1..=MAX_ID_BYTES).contains(&id.len()) {
            true => Ok(Self { operation: Some(Operation(id.into())), ..self.clone() }),
            false => {
                Err(Error::invalid(format!("an operation whose id has {} bytes, not 1 to {MAX_ID_BYTES}", id.len())))
            }
        }
    }

    /// Returns the id of the batch that a verb commits in this operation, if it is one.
    pub(super) fn operation_batch(&self, verb: &str) -> Option<BatchId> {
        let digest = self.operation_digest("batch", verb)?;
        let mut id = [0; 16];
        id.copy_from_slice(digest.get(..16)?);
        Some(BatchId::from_bytes(id))
    }

    /// Makes an id of something new, such as a session of an agent: of the time and chance or, in an operation, of that and the verb
    /// alone.
    pub(super) fn made(&self, verb: &str, what: &str, of: &str) -> String {
        match self.operation_digest("id", verb) {
            Some(digest) => {
                let digits: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
                format!("{what}-{digits}")
            }
            None => format!("{what}-{of}{}-{}", self.now().as_millis(), self.sources().token()),
        }
    }

    fn operation_digest(&self, of: &str, what: &str) -> Option<Vec<u8>> {
        let Operation(id) = self.operation.as_ref()?;
        let mut digest = Sha256::new();
        for part in ["nofx operation", of, self.namespace.name().unwrap_or_default(), what, id] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Some(digest.finalize().to_vec())
    }

    /// Returns what came of a batch, if the store remembers it.
    pub(super) async fn remembered(&self, id: BatchId) -> Result<Option<Committed>> {
        // It never holds, so that the batch happens only where it has happened.
        let log = LogKey::new(HISTORY, "operation")?;
        let asked = Batch::new(id).guard(Guard::Length { log, length: NEVER });
        match self.store.commit(asked).await?.committed() {
            Ok(committed) => Ok(Some(committed)),
            Err(Error::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses what cannot be done in an operation.
    pub(super) fn takes_no_operation(&self, verb: &str) -> Result<()> {
        match self.operation {
            Some(_) => Err(Error::invalid(format!("`{verb}` takes no operation: call it on the workspace itself"))),
            None => Ok(()),
        }
    }
}
