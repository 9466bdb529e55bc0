//! What people do with a store: agents, sessions, messages, tasks.

mod activity;
mod history;
mod restore;
mod session;
mod summary;
mod task;
mod writer;

use std::time::Duration;

pub use activity::index_new_session;
pub use history::HistoryEntry;
pub use restore::RestoreOptions;
pub use session::NewSession;
pub use summary::{SessionFilter, SessionState, SessionSummary, Summaries};
pub use task::{Started, Tasks};
pub use writer::{Appended, SessionWriter};

use crate::error::Error;
use crate::ids::Sources;
use crate::json::Text;
use crate::store::Store;
use crate::time::Timestamp;

/// How long a session lasts from its creation, unless it is told otherwise.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(5 * 60 * 60);

/// How long before its end a session is said to expire soon.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(30 * 60);

/// The longest preview, in characters.
pub const PREVIEW_CHARS: usize = 160;

/// How often a verb tries again when others change the same session meanwhile.
const TRIES: usize = 16;

/// Everything that people do with a store.
///
/// Cloning is cheap. Verbs read what they need, decide, and commit one batch that expects what they read; if others were
/// faster they decide again, a bounded number of times.
///
/// ```
/// use std::sync::Arc;
/// use nofx_core::entity::{Agent, Role};
/// use nofx_core::workspace::{NewSession, SessionFilter, Workspace};
/// use nofx_core::{MemoryBackend, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> nofx_core::Result<()> {
/// let workspace = Workspace::new(Store::new(Arc::new(MemoryBackend::new())));
/// let ada = Agent::new("ada", "Ada", "backend-specialist");
/// let session = workspace.create_session(&ada, NewSession::default()).await?;
/// workspace.add_message(&session.id, workspace.message(Role::User, "please sort the list")).await?;
///
/// let page = workspace.summaries(&SessionFilter::default(), None, 50).await?;
/// assert_eq!(page.items[0].preview.as_deref(), Some("please sort the list"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Workspace {
    store: Store,
    /// Names this handle in the messages it writes.
    writer: Text,
}

impl Workspace {
    /// Takes a store for a workspace.
    pub fn new(store: Store) -> Self {
        let writer = store.sources().token().into();
        Self { store, writer }
    }

    /// Returns the store below.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn sources(&self) -> &Sources {
        self.store.sources()
    }

    fn now(&self) -> Timestamp {
        self.sources().now()
    }
}

fn missing(session: &crate::entity::SessionId) -> Error {
    Error::invalid(format!("there is no session `{}`", session.to_string().escape_debug()))
}
