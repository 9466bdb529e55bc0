//! An open store: what the handles of one process on one folder share.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nofx_core::{Batch, Outcome, Repaired, Result};
use nofx_journal::files::Layer;

use crate::LIMITS;
use crate::apply::{self, ApplierRequest};
use crate::config;
use crate::options::Options;
use crate::reader::StoreReader;
use crate::writer::StoreWriter;

/// What the handles of one process on one folder share. It reads, and starts to write with the first commit.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    reading: Arc<StoreReader>,
    layer: Arc<dyn Layer>,
    writer: Mutex<Option<Writer>>,
}

/// A store that is written, and the thread that brings its files up to date.
#[derive(Debug)]
struct Writer {
    writing: Arc<StoreWriter>,
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
    pub(crate) fn open(layer: Arc<dyn Layer>, root: &Path, options: Options) -> Result<Self> {
        let config = config::read_or_create(&*layer, root, &options)?;
        let reading = Arc::new(StoreReader::open(layer.clone(), root, options, config)?);
        Ok(Self { reading, layer, writer: Mutex::default() })
    }

    /// Returns the writing side, if it was needed before.
    pub(crate) fn written(&self) -> Option<Arc<StoreWriter>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().map(|writer| writer.writing.clone())
    }

    /// Returns the writing side.
    pub(crate) fn writing(&self) -> Result<Arc<StoreWriter>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = &*writer {
            return Ok(writer.writing.clone());
        }
        let writing = Arc::new(StoreWriter::open(self.reading.clone(), self.layer.clone())?);
        let mut applier = None;
        if self.options.applies {
            if self.state().is_dirty() {
                writing.ask(ApplierRequest { dirty: true, ..ApplierRequest::default() });
            }
            let working = writing.clone();
            // Without the thread the store still works, and its files follow when it is opened again.
            applier = thread::Builder::new().name("nofx-fs-apply".to_owned()).spawn(move || apply::run(&working)).ok();
        }
        *writer = Some(Writer { writing: writing.clone(), applier });
        Ok(writing)
    }

    /// Commits a group. Blocks until the disk has answered, and while another thread or process commits.
    pub(crate) fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.refuse(&group)?;
        if group.is_empty() { Ok(Vec::new()) } else { self.writing()?.commit(group) }
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
        match self.writing() {
            Ok(writing) => writing.try_commit(group),
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
        self.writing()?.repair(gives_up)
    }

    /// Brings the files up to date. `false` if another process is doing so.
    #[cfg(test)]
    pub(crate) fn apply(&self) -> Result<bool> {
        if self.read_only.is_some() { Ok(true) } else { self.writing()?.apply() }
    }
}

impl Drop for OpenFolder {
    fn drop(&mut self) {
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writer { writing, applier }) = writer else { return };
        writing.ask(ApplierRequest { stop: true, ..ApplierRequest::default() });
        if let Some(applier) = applier {
            // What it could not apply is in the journal.
            _ = applier.join();
        }
    }
}
