//! One conformance suite for every NofX persistence backend.
//!
//! The documentation of [`PersistenceBackend`](nofx_core::PersistenceBackend) is a contract, and this crate has a case for
//! each of its sentences. The author of a backend writes a [`Factory`] and one line, in a test target with
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
//! Each case is then a test of its own, which `cargo test` and `cargo nextest` list, filter and run. `examples/custom_backend.rs`
//! is a whole backend with its suite.
//!
//! # The types that matter
//!
//! - [`Factory`] makes [`Place`]s, of which each holds one store; [`conformance()`] runs the suite on them. [`Memory`] is the
//!   factory of the store in memory.
//! - [`CASES`] is the suite: each [`Case`] with its claim, what it [`Need`]s and its time limit. A backend that is not what a case
//!   needs sees it ignored, with the reason in its name.
//! - [`Counting`], [`Damaging`], [`Faulty`] and [`MockBackend`] stand in for a backend in tests of what is above the waist;
//!   [`workload`] makes text to fill stores with.
//! - [`fuzz`] damages bytes at random, and knows what a store of them may answer.
//! - [`legacy`] makes damaged workspaces of the old extension, and knows what is in them.
//!
//! # Random histories
//!
//! One case draws random histories and compares every answer with [`MemoryBackend`](nofx_core::MemoryBackend), the oracle. One that
//! fails is shortened and printed with its seed. Environment variables say more:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `NOFX_CONFORMANCE_SEED` | the seed to begin with, such as one that was printed; another each time if it is not set |
//! | `NOFX_CONFORMANCE_HISTORIES` | how many histories are tried; 48 |
//! | `NOFX_CONFORMANCE_PATIENCE` | by how much the time limits of all cases are multiplied, for slow machines; 1 |
//!
//! # What is not here
//!
//! What only a backend's own tests can bring about: damage to stored bytes, a full disk, a power cut, a store of an older or newer
//! version. And nothing that a program needs: this crate is for tests alone.

#![expect(clippy::single_range_in_vec_init, reason = "a range of positions in a list is what an append answers")]

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
pub use decorators::{Counting, Counts, Damaging, Fault, Faulty};
pub use mock::MockBackend;
pub use place::{Factory, Memory, Place};
pub use suite::{Case, Need, Verdict, conformance, conformance_of, workspace, workspace_of};
pub use workspace::WORKSPACE_CASES;
