//! Damaged workspaces of the old extension, and what is in them.
//!
//! A [`LegacyWorkspace`] is a folder `.nofx` as it is found after years: written by several versions, killed in the middle of
//! a write, edited by hand, copied with gaps. It is the same for the same seed. Its [`Truth`] is not derived by reading
//! those files: the code that writes a file records what it writes and where, and the code that damages a file knows
//! what is still intact.
//!
//! ```
//! use nofx_testkit::legacy::LegacyWorkspace;
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! let workspace = LegacyWorkspace::new(7);
//! workspace.write(folder.path())?;
//! assert_eq!(workspace.truth(), LegacyWorkspace::new(7).truth());
//! # Ok(()) }
//! ```

mod agents;
mod checkpoints;
mod damage;
mod draft;
mod files;
mod leftovers;
mod log;
mod outside;
mod places;
mod restless;
mod session;
mod sessions;
mod template;
mod truth;
mod values;

use std::io;
use std::path::{Path, PathBuf};

pub use restless::{FileChange, Restless, Truths};
pub use truth::{IntactSession, Truth, UnusedBytes};

use crate::chance::Chance;
use files::{Files, as_reported};
use outside::State;

/// A damaged workspace and what is in it.
#[derive(Debug)]
pub struct LegacyWorkspace {
    files: Files,
    truth: Truth,
    state: Option<State>,
}

impl LegacyWorkspace {
    /// Makes the workspace of a seed.
    pub fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let mut workspace = Self { files: Files::default(), truth: Truth::default(), state: State::new(&chance) };
        sessions::add(&mut workspace, &chance);
        agents::add(&mut workspace, &chance);
        checkpoints::add(&mut workspace, &chance);
        log::add(&mut workspace, "orchestration", &chance);
        template::add(&mut workspace, &chance);
        leftovers::add(&mut workspace, &chance);
        places::add(&mut workspace, &chance);
        outside::add(&mut workspace, &chance);
        workspace
    }

    /// Makes the workspace of a seed with one extra file, which changes while it is read. [`LegacyWorkspace::truth`]
    /// describes the file as it is before the change.
    pub fn restless(seed: u64) -> (Self, Restless, Truths) {
        let mut workspace = Self::new(seed);
        let (restless, truths) = restless::add(&mut workspace, &Chance::new(seed));
        (workspace, restless, truths)
    }

    /// Makes a workspace with one session of about this many bytes, whose last message is cut off.
    pub fn large(bytes: usize) -> Self {
        let mut workspace = Self { files: Files::default(), truth: Truth::default(), state: None };
        sessions::add_large(&mut workspace, bytes);
        workspace
    }

    /// Returns what a migration must make of it.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Writes it into a folder, as `.nofx`.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        self.files.write(folder)
    }

    /// Writes the data from outside the folder beside `.nofx`, and returns the paths. `write_database` creates a
    /// `state.vscdb` at a path, with one row that belongs to the extension and has this value.
    pub fn write_elsewhere(
        &self,
        folder: &Path,
        write_database: impl FnOnce(&Path, &str) -> io::Result<()>,
    ) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        if self.files.write_below(folder, outside::LOGS)? {
            paths.push(folder.join(outside::LOGS));
        }
        if let Some(state) = &self.state {
            let path = folder.join(state.place());
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            match state.is_database {
                true => write_database(&path, &state.json())?,
                false => std::fs::write(&path, state.json())?,
            }
            paths.push(path);
        }
        Ok(paths)
    }

    /// Returns the number of files and of bytes.
    pub fn size(&self) -> (usize, usize) {
        self.files.size()
    }

    /// Returns the size of each file, by the path used in reports.
    pub fn sizes(&self) -> std::collections::BTreeMap<String, u64> {
        self.files.sizes()
    }

    /// Adds a file as it is found, and records the effects of its damage; `entries` is a report's name for its entries.
    fn found(&mut self, path: &str, found: &damage::Found, entries: &'static str) {
        self.files.put(path, found.bytes.clone());
        self.note(&as_reported(path), found, entries);
    }

    /// Adds a value of VS Code's state.
    fn found_elsewhere(&mut self, path: &str, found: &damage::Found) {
        self.files.put_elsewhere(path, found.bytes.clone());
        self.note(path, found, "");
    }

    fn note(&mut self, path: &str, found: &damage::Found, entries: &'static str) {
        if found.is_damaged {
            self.truth.damaged.insert(path.to_owned());
            self.truth.kept.insert(path.to_owned(), found.bytes.clone());
        }
        self.truth.unused.insert(path.to_owned(), found.unused.clone());
        self.truth.counts.insert(path.to_owned(), found.counts(entries));
    }
}
