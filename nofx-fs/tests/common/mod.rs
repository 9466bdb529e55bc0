//! Stores in temporary folders that are removed after a case.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use nofx_core::{PersistenceBackend, Result};
use nofx_fs::FsBackend;
use nofx_testkit::{Factory, Place};

/// Creates a folder for each case.
pub(crate) struct Folders;

#[async_trait]
impl Factory for Folders {
    fn name(&self) -> &str {
        "fs"
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let folder = tempfile::tempdir().map_err(|error| nofx_core::Error::unavailable_because("a folder", error))?;
        Ok(Arc::new(Folder(folder)))
    }

    async fn reopen(&self, address: &str) -> Result<Arc<dyn PersistenceBackend>> {
        open(Path::new(address)).await
    }
}

struct Folder(tempfile::TempDir);

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        open(&self.0.path().join("store")).await
    }

    fn address(&self) -> Option<String> {
        self.0.path().join("store").to_str().map(str::to_owned)
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.0.path().join("store"))
    }
}

async fn open(path: &Path) -> Result<Arc<dyn PersistenceBackend>> {
    Ok(Arc::new(FsBackend::open(path).await?))
}
