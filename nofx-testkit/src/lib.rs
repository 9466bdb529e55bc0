//! One conformance suite for every NofX persistence backend.
//!
//! The documentation of [`PersistenceBackend`](nofx_core::PersistenceBackend) is a contract, and this crate has a case
//! for each of its sentences. A backend's author writes a [`Factory`] and one line, in a test target with
//! `harness = false`:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use nofx_core::{MemoryBackend, PersistenceBackend, Result};
//! use nofx_testkit::{Factory, Place};
//!
//! fn main() {
//!     nofx_testkit::conformance(Mine)
//! }
//!
//! struct Mine;
//!
//! #[async_trait]
//! impl Factory for Mine {
//!     fn name(&self) -> &str {
//!         "mine"
//!     }
//!
//!     async fn place(&self) -> Result<Arc<dyn Place>> {
//!         Ok(Arc::new(MyPlace(MemoryBackend::new())))
//!     }
//! }
//!
//! struct MyPlace(MemoryBackend);
//!
//! #[async_trait]
//! impl Place for MyPlace {
//!     async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
//!         Ok(Arc::new(self.0.another_handle()))
//!     }
//! }
//! ```
//!
//! Each case is then a separate test, which `cargo test` and `cargo nextest` list, filter and run.
//! `examples/custom_backend.rs` is a complete backend with its suite.
//!
//! # The types that matter
//!
//! - [`Factory`] makes [`Place`]s, each of which holds one store; [`conformance()`] runs the suite on them. [`Memory`]
//!   is the factory of the store in memory.
//! - [`CASES`] is the suite: each [`Case`] with its claim, what it [`Need`]s and its time limit. For a backend that
//!   lacks what a case needs, the case is ignored, with the reason in its name.
//! - [`Counting`], [`Damaging`], [`Faulty`] and [`MockBackend`] stand in for a backend in tests of the layers above the
//!   waist; [`workload`] generates text to fill stores with.
//! - [`fuzz`] damages bytes at random, and knows what a damaged store may return.
//! - [`legacy`] generates damaged workspaces of the old extension, and knows what is in them.
//!
//! # Random histories
//!
//! One case generates random histories and compares every answer with [`MemoryBackend`](nofx_core::MemoryBackend), the
//! oracle. A failing history is shrunk and printed with its seed. Environment variables:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `NOFX_CONFORMANCE_SEED` | the first seed, such as one that was printed; a different one each time if not set |
//! | `NOFX_CONFORMANCE_HISTORIES` | how many histories to try; 48 |
//! | `NOFX_CONFORMANCE_PATIENCE` | a factor for the time limits of all cases, for slow machines; 1 |
//!
//! # What is not here
//!
//! Conditions that only a backend's own tests can create: damage that is more than a flipped bit, a full disk, a power
//! cut, a store of an older or newer version. And nothing for programs to use: this crate is for tests only.

#![expect(clippy::single_range_in_vec_init, reason = "a range of positions in a list is what an append returns")]

mod cases;
mod chance;
mod child;
mod decorators;
pub mod fuzz;
mod history;
pub mod legacy;
mod mock;
mod place;
mod subject;
mod suite;
mod unmet;
pub mod workload;
mod workspace;

pub use cases::CASES;
pub use decorators::{CallCounts, Counting, Damaging, Fault, Faulty};
pub use mock::MockBackend;
pub use place::{Factory, Memory, Place};
pub use suite::{Case, Need, Verdict, conformance, conformance_of, workspace, workspace_of};
pub use workspace::WORKSPACE_CASES;
