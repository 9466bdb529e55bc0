//! Backends that wrap a backend, for tests of the layers above the waist.

mod counting;
mod damaging;
mod faulty;

pub use counting::{CallCounts, Counting};
pub use damaging::Damaging;
pub use faulty::{Fault, Faulty};
