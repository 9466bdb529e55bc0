//! Operations: calls under an id that a host chooses, so that repeating one happens once.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Workspace;
use crate::batch::{Batch, Committed, Guard};
use crate::error::{Error, Result};
use crate::ids::BatchId;
use crate::key::{LogKey, MAX_ID_BYTES};
use crate::kind::HISTORY;

/// A length that this log never has, so that a guard on it never holds.
const NEVER: u64 = u64::MAX;

/// An operation of a host.
#[derive(Clone, Debug)]
pub(super) struct Operation(Arc<str>);

/// Calls that can be repeated.
///
/// ```
/// # use nofx_core::workspace::{NewSession, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::{Agent, Role}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// # let session = workspace.create_session(&Agent::new("ada", "Ada", "tester"), NewSession::default()).await?;
/// // The host writes the id down before it calls, for example the id of the request that it serves.
/// let request = workspace.operation("request-17")?;
/// let place = request.add_message(&session.id, workspace.message(Role::User, "hello")).await?;
///
/// // After a crash or `Unknown`, it calls again: the same answer, and one message.
/// let again = workspace.operation("request-17")?;
/// assert_eq!(again.add_message(&session.id, workspace.message(Role::User, "hello")).await?, place);
/// assert_eq!(workspace.history_length(&session).await?, 1);
/// # Ok(()) }
/// ```
impl Workspace {
    /// Returns the workspace as one operation sees it: each verb called on it happens once, however often the operation
    /// is repeated, even by another process, and a repeat returns the result of the first call.
    ///
    /// Use it when a host does not know whether a call happened, after [`Unknown`](Error::Unknown) or a crash: repeat
    /// the call under the same id. Within an operation each verb counts once; a call with different arguments is still
    /// the first call. Ids that a verb generates are derived from the operation. A repeat returns the current state: a
    /// session, for example, includes messages added since.
    ///
    /// This works as long as the store remembers, at least the last [`REMEMBERED_COMMITS`](crate::REMEMBERED_COMMITS);
    /// after that a repeat is a new call. A call that was refused, or that changed nothing, is not remembered.
    /// `Invalid` for an id that is empty or longer than 512 bytes, and from verbs that do not support operations: those
    /// on several sessions, those that clear or clean up, and imports.
    pub fn operation(&self, id: &str) -> Result<Self> {
        match (1..=MAX_ID_BYTES).contains(&id.len()) {
            true => Ok(Self { operation: Some(Operation(id.into())), ..self.clone() }),
            false => {
                Err(Error::invalid(format!("the id of the operation has {} bytes; give 1 to {MAX_ID_BYTES}", id.len())))
            }
        }
    }

    /// Returns the id of the batch that a verb commits in this operation; `None` outside an operation.
    pub(super) fn operation_batch(&self, verb: &str) -> Option<BatchId> {
        let digest = self.operation_digest("batch", verb)?;
        let mut id = [0; 16];
        id.copy_from_slice(digest.get(..16)?);
        Some(BatchId::from_bytes(id))
    }

    /// Generates the id of something new, such as a session of an agent: from the time and random digits or, in an
    /// operation, from the operation and the verb alone.
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

    /// Returns the result of a batch, if the store remembers it.
    pub(super) async fn remembered(&self, id: BatchId) -> Result<Option<Committed>> {
        // The guard never holds, so the batch succeeds only if it was committed before.
        let log = LogKey::new(HISTORY, "operation")?;
        let asked = Batch::new(id).guard(Guard::Length { log, length: NEVER });
        match self.store.commit(asked).await?.committed() {
            Ok(committed) => Ok(Some(committed)),
            Err(Error::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Rejects a verb that does not support operations.
    pub(super) fn takes_no_operation(&self, verb: &str) -> Result<()> {
        match self.operation {
            Some(_) => {
                Err(Error::invalid(format!("`{verb}` does not support operations; call it on the workspace itself")))
            }
            None => Ok(()),
        }
    }
}
