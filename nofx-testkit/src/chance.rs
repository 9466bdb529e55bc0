//! Reproducible choices: the same seed gives the same choices.

use nofx_core::{IdSource, SeededIds};

/// Reproducible choices: the same seed gives the same choices.
#[derive(Debug)]
pub(crate) struct Chance(SeededIds);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededIds::new(seed))
    }

    /// Returns a number below `end`, or 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % end.max(1) as u64) as usize
    }

    /// Returns `true` with a probability of one in `times`.
    pub(crate) fn once_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
