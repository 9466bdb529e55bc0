//! An open store: what the handles of one process on one folder share.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nofx_core::{Batch, Outcome, Repaired, Result};
use nofx_journal::files::WritableFiles;

use crate::LIMITS;
use crate::apply;
use crate::config;
use crate::options::Options;
use crate::reader::StoreReader;
use crate::writer::StoreWriter;

/// What the handles of one process on one folder share. It reads, and starts to write with the first commit.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    reading: Arc<StoreReader>,
    writable: Arc<dyn WritableFiles>,
    writer: Mutex<Option<Writing>>,
}

/// The writing part of a store, and the thread that brings its files up to date.
#[derive(Debug)]
struct Writing {
    writer: Arc<StoreWriter>,
    applier: Option<JoinHandle<()>>,
}

impl Deref for OpenFolder {
    type Target = StoreReader;

    fn deref(&self) -> &StoreReader {
        &self.reading
    }
}

impl OpenFolder {
    /// Opens the store in an existing folder, and creates one if the folder is empty.
    pub(crate) fn open(writable: Arc<dyn WritableFiles>, root: &Path, options: Options) -> Result<Self> {
        let config = config::read_or_create(&*writable, root, &options)?;
        let reading = Arc::new(StoreReader::open(writable.clone(), root, options, config)?);
        Ok(Self { reading, writable, writer: Mutex::default() })
    }

    /// Returns the writing part, if it was needed before.
    pub(crate) fn opened_writer(&self) -> Option<Arc<StoreWriter>> {
        let slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(|writing| writing.writer.clone())
    }

    /// Returns the writing part.
    pub(crate) fn writer(&self) -> Result<Arc<StoreWriter>> {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writing) = &*slot {
            return Ok(writing.writer.clone());
        }
        let writer = Arc::new(StoreWriter::open(self.reading.clone(), self.writable.clone())?);
        let mut applier = None;
        if self.options.applies {
            if self.state().is_dirty() {
                writer.requests.committed(false);
            }
            let applying = writer.clone();
            // Without the thread the store still works, and its files follow when it is opened again.
            applier = thread::Builder::new().name("nofx-fs-apply".to_owned()).spawn(move || apply::run(&applying)).ok();
        }
        *slot = Some(Writing { writer: writer.clone(), applier });
        Ok(writer)
    }

    /// Commits a group. Blocks until the disk has answered, and while another thread or process commits.
    pub(crate) fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.refuse(&group)?;
        if group.is_empty() { Ok(Vec::new()) } else { self.writer()?.commit(group) }
    }

    /// Commits a group unless another thread or process is committing; otherwise returns it. Blocks until the disk has
    /// answered.
    pub(crate) fn try_commit(&self, group: Vec<Batch>) -> std::result::Result<Result<Vec<Outcome>>, Vec<Batch>> {
        if let Err(error) = self.refuse(&group) {
            return Ok(Err(error));
        }
        if group.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        match self.writer() {
            Ok(writer) => writer.try_commit(group),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Refuses a group that is invalid in any state of the store.
    fn refuse(&self, group: &[Batch]) -> Result<()> {
        match &self.read_only {
            Some(read_only) => Err(read_only.error.clone()),
            None => group.iter().try_for_each(|batch| batch.validate(&LIMITS)),
        }
    }

    /// Repairs what can be repaired, and returns what was done.
    pub(crate) fn repair(&self, gives_up: bool) -> Result<Repaired> {
        self.writer()?.repair(gives_up)
    }

    /// Brings the files up to date. `false` if another process is doing so.
    #[cfg(test)]
    pub(crate) fn apply(&self) -> Result<bool> {
        if self.read_only.is_some() { Ok(true) } else { self.writer()?.apply() }
    }
}

impl Drop for OpenFolder {
    fn drop(&mut self) {
        let writing = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writing { writer, applier }) = writing else { return };
        writer.requests.stop();
        if let Some(applier) = applier {
            // What it could not apply is in the journal.
            _ = applier.join();
        }
    }
}
