//! What people do with a store: agents, sessions, messages, tasks.

mod agents;
mod conversation;
mod decide;
mod event;
mod exchange;
mod namespace;
mod operation;
mod orchestration;
mod progress;
mod records;
mod retention;
mod search;
mod sessions;
mod take_places;
mod tasks;

use std::time::Duration;

pub use agents::agent::AgentTotals;
pub use agents::checkpoint::CHECKPOINTS;
pub use conversation::content::{LARGE_CONTENT, Swept, whole_message};
pub use conversation::history::HistoryEntry;
pub use conversation::preview::preview;
pub use conversation::restore::RestoreOptions;
pub use conversation::rewind::Seen;
pub use conversation::writer::{Appended, SessionWriter};
pub use event::{Event, EventKind, Events};
pub use exchange::html::unreadable_article;
pub use exchange::import::ImportAs;
pub use exchange::markdown::unreadable_section;
pub use orchestration::page::{OrchestrationPage, OrchestrationPlace};
pub use orchestration::{OrchestrationFilter, OrchestrationStats, SEGMENT_BYTES, SEGMENT_MESSAGES};
pub use progress::{Done, Progress};
pub use records::Records;
pub use retention::clear::Cleared;
pub use retention::stats::Stats;
pub use retention::{Cleanup, CleanupPlan, OrchestrationRetention, PlannedSession, RetentionPolicy};
pub use search::{SearchHit, SearchQuery};
pub use sessions::activity::{index_session, new_session};
pub use sessions::expiry::{ExpiryEvent, ExpiryWatch};
pub use sessions::keyed::OpenedSession;
pub use sessions::session::NewSession;
pub use sessions::state::SessionState;
pub use sessions::summary::{SessionFilter, SessionSummary, Summaries, Unreadable};
pub use tasks::page::{TaskPage, TaskPlace};
pub use tasks::task::{NewTask, Started, Tasks};

pub use crate::entity::first_id;
use crate::ids::Sources;
use crate::json::Text;
use crate::store::Store;
use crate::time::Timestamp;

/// How long a session lasts from its creation by default; see [`NewSession::lifetime`].
pub const SESSION_LIFETIME: Duration = Duration::from_secs(5 * 60 * 60);

/// How long before its end a session counts as expiring soon.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(30 * 60);

/// Everything that people do with a store.
///
/// Cloning is cheap. Verbs read what they need, decide, and commit one batch that expects what they read; after a
/// concurrent change they decide again, a bounded number of times. Each verb happens entirely or not at all unless it
/// says otherwise.
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
///
/// # Errors
///
/// - `Invalid`: the request cannot work. The error says what to do instead.
/// - `NotFound`: the session to be changed does not exist in this namespace. Reading something absent returns `None`;
///   updating or removing an absent agent, template or transcript returns `None` or `false`.
/// - `Conflict`: concurrent changes affected each attempt, or the caller has not seen the session's newest state.
/// - `Unknown`: the change may or may not have happened. Look, or make each call that matters an
///   [`operation`](Self::operation), which can be repeated.
/// - `Corrupt` and `TooNew` name the item that cannot be read. Lists, histories, searches and exports report such items
///   in their places and continue.
///
/// With any error but `Unknown`, a verb that takes one commit has changed nothing.
///
/// # Durability
///
/// What a verb has changed is as durable as [`BackendInfo::durability`](crate::BackendInfo::durability) says when the
/// verb returns.
///
/// # Cancellation
///
/// Dropping the future of a verb does not undo a commit that is under way: as with `Unknown`, it may or may not have
/// happened. A verb that takes several commits begins no more of them. Dropping a stream reads no further pages.
#[derive(Clone, Debug)]
pub struct Workspace {
    store: Store,
    /// Identifies this handle in the messages it writes.
    writer: Text,
    growing: orchestration::Growing,
    progress: Progress,
    namespace: namespace::Namespace,
    operation: Option<operation::Operation>,
}

impl Workspace {
    /// Creates a workspace on a store.
    pub fn new(store: Store) -> Self {
        let writer = store.sources().token().into();
        Self {
            store,
            writer,
            growing: Default::default(),
            namespace: Default::default(),
            progress: Progress::default(),
            operation: None,
        }
    }

    /// Returns the same workspace, whose long verbs report to `progress`: search, cleanup and its plan, and clearing
    /// everything.
    pub fn with_progress(&self, progress: &Progress) -> Self {
        Self { progress: progress.clone(), ..self.clone() }
    }

    /// Returns the underlying store.
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
