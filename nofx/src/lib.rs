//! The NofX store: agents, sessions, conversations, tasks and templates, stored by the backend that a location names.
//!
//! ```
//! use nofx::entity::{Agent, Message, Role, Session};
//! use nofx::{Expect, Location, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> nofx::Result<()> {
//! // `redb:.nofx/store/nofx.redb` keeps it in a file, with a journal beside it.
//! let store = nofx::open(&"memory:".parse::<Location>()?).await?;
//! store.save(&Agent::new("ada", "Ada", "backend-specialist"), Expect::Absent).await?;
//!
//! let history = Session::history(&"monday".into());
//! let hello = Message::new("m1", Timestamp::from_millis(0), Role::User, "hello");
//! store.append(&history, None, &[hello]).await?;
//! store.close().await?;
//! # Ok(()) }
//! ```
//!
//! - [`Location`] says where a store is, and [`open`] opens it; [`open_with`] can also refuse to create a store, or open it read-only.
//! - [`doctor`] reads everything and lists what is damaged; [`repair`] repairs what can be repaired.
//! - [`Store`] is what callers use; everything in `nofx_core` is re-exported here under its own name.
//!
//! This crate has no storage logic of its own. It chooses a backend and re-exports the other crates.
//!
//! # Features
//!
//! - `redb` (default): locations `redb:PATH`, a store in one file, with a journal in the folder `PATH-journal`.
//! - `fs`: locations `fs:PATH`, a store in a folder of JSON files that people can read.
//! - `remote`: locations `s3://`, `gs://`, `az://` and `file:///`, a store in object storage that several machines can write to.
//! - `migrate`: the module `migrate`, which is the crate `nofx_migrate`: legacy folders, dumps, copies of stores.
//! - `cli`: the module `cli`, which is the program `nofx`.
//!
//! `memory:` is always available.

mod check;
#[cfg(feature = "cli")]
pub mod cli;
mod doctor;
mod git;
/// Compiles the example in the README as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod compact;
mod location;
mod neighbours;
mod open;
mod read_only;
mod schemes;
mod upgrade;

pub use check::{Finding, check, forget, repair};
pub use compact::{compact, give_back, settle};
pub use doctor::{Checkup, doctor};
pub use location::Location;
pub use nofx_core::*;
#[cfg(feature = "migrate")]
pub use nofx_migrate as migrate;
pub use open::{Options, open, open_with};
pub use upgrade::upgrade;
