//! Numbers for names of kinds and the like, a few dozen `&'static str`s, so that a database can hold them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Gives each name a number that is valid while the program runs.
#[derive(Debug, Default)]
pub(crate) struct NameNumbers(Mutex<Vec<&'static str>>);

impl NameNumbers {
    /// Returns the number of a name.
    pub(crate) fn number(&self, name: &'static str) -> usize {
        let mut names = self.names();
        names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        })
    }

    /// Returns the name that has a number.
    pub(crate) fn name(&self, number: usize) -> &'static str {
        self.names().get(number).copied().unwrap_or_default()
    }

    fn names(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
