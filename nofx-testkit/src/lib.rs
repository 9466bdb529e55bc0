//! One conformance suite for every NofX persistence backend.

#![expect(clippy::single_range_in_vec_init, reason = "a range of positions in a list is what an append answers")]

mod cases;
mod child;
mod decorators;
mod history;
mod mock;
mod place;
mod subject;
mod suite;
mod unmet;
pub mod workload;

pub use cases::CASES;
pub use decorators::{Counting, Counts, Fault, Faulty};
pub use mock::MockBackend;
pub use place::{Factory, Memory, Place};
pub use suite::{Case, Need, Verdict, conformance, conformance_of};
pub use unmet::Unmet;
