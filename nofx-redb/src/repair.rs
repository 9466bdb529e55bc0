//! Repairing what redb can repair: its own page structures. Damaged values stay as they are.

use nofx_core::Result;

use crate::fault::{Attempt, contain};
use crate::store::{OpenStore, lock};

impl OpenStore {
    /// Opens the file for writing, which brings it into a clean state after a crash, and has redb check every page of
    /// its own structures. Returns whether they needed repair.
    pub(crate) fn repair(&self) -> Result<bool> {
        let _turn = lock(&self.turn);
        let repaired = self.repair_in_turn();
        self.release();
        repaired.map_err(|fault| self.opener.error_for(fault, "repairing"))
    }

    fn repair_in_turn(&self) -> Attempt<bool> {
        drop(self.writer()?);
        // redb gives up on a file with a damaged page, and leaves it so that nothing can be committed any more.
        if !self.damaged_pages()?.is_empty() {
            return Ok(false);
        }
        let Some(mut database) = self.take_database() else { return Ok(false) };
        let was_whole = contain(|| Ok(database.check_integrity()?))?;
        contain(|| Ok(database.close()?))?;
        Ok(!was_whole)
    }
}
