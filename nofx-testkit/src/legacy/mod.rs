//! Damaged workspaces of the old extension, and what is in them.
//!
//! A [`Workspace`] is a folder `.nofx` as it is found after years: written by several versions, killed in the middle of a write,
//! edited by hand, copied with gaps. It is the same for the same seed. Its [`Truth`] is not read from those files by anything:
//! whatever writes a file notes what it writes and where, and whatever damages one knows which of that is still whole.
//!
//! ```
//! use nofx_testkit::legacy::Workspace;
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! let workspace = Workspace::new(7);
//! workspace.write(folder.path())?;
//! assert_eq!(workspace.truth(), Workspace::new(7).truth());
//! # Ok(()) }
//! ```

mod agents;
mod checkpoints;
mod damage;
mod draft;
mod files;
mod leftovers;
mod log;
mod places;
mod session;
mod sessions;
mod template;
mod truth;
mod values;

use std::io;
use std::path::Path;

pub use truth::{SessionCopy, Truth};

use crate::chance::Chance;
use files::Files;

/// A damaged workspace and what is in it.
#[derive(Debug)]
pub struct Workspace {
    files: Files,
    truth: Truth,
}

impl Workspace {
    /// Makes the workspace of a seed.
    pub fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let mut workspace = Self { files: Files::default(), truth: Truth::default() };
        sessions::add(&mut workspace, &chance);
        agents::add(&mut workspace, &chance);
        checkpoints::add(&mut workspace, &chance);
        log::add(&mut workspace, &chance);
        template::add(&mut workspace, &chance);
        leftovers::add(&mut workspace, &chance);
        places::add(&mut workspace, &chance);
        workspace
    }

    /// Returns what a migration must make of it.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Writes it into a folder, as `.nofx` there.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        self.files.write(folder)
    }

    /// Returns the number of its files and of their bytes.
    pub fn size(&self) -> (usize, usize) {
        self.files.size()
    }

    /// Adds a file as it is found, and notes what follows from its damage.
    fn found(&mut self, path: &str, found: &damage::Found) {
        if found.is_damaged {
            self.truth.damaged.insert(path.to_owned());
            self.truth.kept.insert(path.to_owned(), found.bytes.clone());
        }
        self.files.put(path, found.bytes.clone());
    }
}
