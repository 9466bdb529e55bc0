//! The NofX store: its data model, and the one trait behind which storage is hidden.
//!
//! A store holds three shapes and nothing else: **records** (small, replaced whole, versioned), **logs** (append-only
//! entries at dense positions, sealable) and **commits** (atomic, in one order, the only way anything changes). A narrow
//! trait, the **waist**, separates entities above it from backends below it; neither side knows the other.
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures_util::TryStreamExt;
//! use nofx_core::entity::{Agent, Role};
//! use nofx_core::workspace::{NewSession, Workspace};
//! use nofx_core::{Direction, MemoryBackend, Store};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> nofx_core::Result<()> {
//! let store = Store::new(Arc::new(MemoryBackend::new()));
//! let workspace = Workspace::new(store.clone());
//!
//! let ada = Agent::new("ada", "Ada", "backend-specialist");
//! let session = workspace.create_session(&ada, NewSession::default()).await?;
//! workspace.add_message(&session.id, workspace.message(Role::User, "please sort the list")).await?;
//! workspace.add_message(&session.id, workspace.message(Role::Assistant, "done")).await?;
//!
//! let newest = workspace.history(&session, 0..u64::MAX, Direction::Backward, None).try_next().await?;
//! assert_eq!(newest.unwrap().message.content.unwrap(), "done");
//! store.close().await?;
//! # Ok(()) }
//! ```
//!
//! - [`workspace::Workspace`] is what a host uses: sessions, messages, tasks, restoring.
//! - [`Store`] is the layer below it: typed access, lazy streams, shared flushes.
//! - [`PersistenceBackend`] is the waist; its documentation is the contract.
//! - [`MemoryBackend`] keeps everything in memory. It is the strictest implementation and the oracle for all tests.
//! - [`Batch`] is a set of changes that happen together; [`Batch::check`] is the only place where expectations are
//!   judged.
//! - [`entity`] holds the stored types: each entity is its JSON text and a typed view of it.
//! - [`Error`] says what the caller should do next.
//!
//! There is no I/O here. Files, databases and networks belong to the backend crates.

mod backend;
mod batch;
mod blocking;
mod body;
pub mod entity;
mod error;
mod escaped;
mod ids;
pub mod json;
mod key;
pub mod kind;
mod memory;
mod query;
mod record;
mod repair;
mod store;
mod time;
pub mod workspace;

pub use backend::PersistenceBackend;
pub use batch::{Append, Batch, Committed, Conflict, Expect, Guard, Mismatch, NewEntry, Outcome, View, Write};
pub use blocking::{MayBlock, blocking, reading};
pub use body::Body;
pub use error::{Error, Failure, Holder, Result, Source};
pub use escaped::escaped;
pub use ids::{BatchId, IdSource, RandomIds, SeededIds, Sources, StoreId};
pub use key::{Key, Kind, LogKey, MAX_ID_BYTES, MAX_KIND_BYTES, RecordKey};
pub use memory::MemoryBackend;
pub use query::{
    ChangePage, Changes, Direction, KeyQuery, LogQuery, LogScan, PAGE_BYTES, Page, PageBuilder, ScanQuery,
};
pub use record::{
    BackendInfo, Change, Cursor, Durability, Limits, LogEntry, LogHead, LogState, REMEMBERED_COMMITS, Record, Seq,
    Sharing,
};
pub use repair::{Loss, Repair, Repaired};
pub use store::{Store, UPDATE_TRIES, Versioned};
pub use time::{Clock, Deadline, ManualClock, SystemClock, Timestamp};
