//! Where the suites find redb stores.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use nofx_core::{Error, PersistenceBackend, Result};
use nofx_redb::RedbBackend;
use nofx_testkit::{Factory, Place};
use tempfile::TempDir;

pub(crate) struct Redb;

#[async_trait]
impl Factory for Redb {
    fn name(&self) -> &str {
        "redb"
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let folder = TempDir::new().map_err(|error| Error::unavailable_because("a folder for tests", error))?;
        Ok(Arc::new(Folder(folder)))
    }

    async fn reopen(&self, address: &str) -> Result<Arc<dyn PersistenceBackend>> {
        Ok(Arc::new(RedbBackend::open(Path::new(address)).await?))
    }
}

struct Folder(TempDir);

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        Ok(Arc::new(RedbBackend::open(&self.0.path().join("store.redb")).await?))
    }

    fn address(&self) -> Option<String> {
        Some(self.0.path().join("store.redb").to_string_lossy().into_owned())
    }
}
