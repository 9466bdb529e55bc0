//! Stores with a base in memory and a journal in a folder that is removed after each case.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use nofx_core::{BackendInfo, Durability, Error, Limits, PersistenceBackend, Result, Sharing, Sources, StoreId};
use nofx_journal::base::Mark;
use nofx_journal::files::Disk;
use nofx_journal::layout::Layout;
use nofx_journal::memory::MemoryBase;
use nofx_journal::{Engine, Journaled, Options};
use nofx_testkit::{Factory, Place};

/// Makes a folder and a base for each case.
pub(crate) struct Behind {
    pub(crate) name: &'static str,
    /// Whether the base changes while it is read.
    pub(crate) changes_in_place: bool,
    pub(crate) apply_after: Duration,
}

#[async_trait]
impl Factory for Behind {
    fn name(&self) -> &str {
        self.name
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let folder = tempfile::tempdir().map_err(|error| Error::unavailable_because("a folder", error))?;
        let base = if self.changes_in_place { MemoryBase::changing_in_place() } else { MemoryBase::new() };
        let (store, writable) = (Sources::default().store_id(), Arc::new(Disk::new(folder.path())));
        Engine::create(&*writable, &layout(), store, &Mark::default(), &Options::default())?;
        Ok(Arc::new(Folder {
            _folder: folder,
            base,
            apply_after: self.apply_after,
            store,
            writable,
            engine: Mutex::default(),
        }))
    }
}

fn layout() -> Layout {
    Layout::new("journal", *b"example\x01")
}

struct Folder {
    _folder: tempfile::TempDir,
    base: MemoryBase,
    apply_after: Duration,
    store: StoreId,
    writable: Arc<Disk>,
    engine: Mutex<Weak<Engine>>,
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        let mut known = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = known.upgrade().unwrap_or_else(|| {
            let (base, mut options) = (Arc::new(self.base.clone()), Options::default());
            options.apply_after = self.apply_after;
            Arc::new(Engine::writing(self.writable.clone(), layout(), self.store, base, options))
        });
        *known = Arc::downgrade(&engine);
        let info = BackendInfo {
            backend: "example",
            store: self.store,
            sharing: Sharing::Process,
            durability: Durability::Disk,
            limits: Limits::GUARANTEED,
            read_only: None,
        };
        Ok(Arc::new(Journaled::new(engine, info)))
    }
}
