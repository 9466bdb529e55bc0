//! The conformance suite on object stores within this process, and on a folder shared by several.

mod memory;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use nofx_core::{PersistenceBackend, Result};
use nofx_remote::{Options, RemoteBackend};
use nofx_testkit::{Factory, Place, conformance_of};

use memory::Memory;

/// A folder, shared by processes.
struct Folder;

struct FolderPlace(tempfile::TempDir);

async fn open_folder(location: &str) -> Result<Arc<dyn PersistenceBackend>> {
    Ok(Arc::new(RemoteBackend::open(location, Options::default()).await?))
}

#[async_trait]
impl Factory for Folder {
    fn name(&self) -> &str {
        "remote-folder"
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let folder = tempfile::tempdir().map_err(|error| nofx_core::Error::unavailable_because("a folder", error))?;
        Ok(Arc::new(FolderPlace(folder)))
    }

    async fn reopen(&self, address: &str) -> Result<Arc<dyn PersistenceBackend>> {
        open_folder(address).await
    }
}

#[async_trait]
impl Place for FolderPlace {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        open_folder(&self.address().unwrap_or_default()).await
    }

    fn address(&self) -> Option<String> {
        url::Url::from_directory_path(self.0.path()).ok().map(String::from)
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.0.path().to_owned())
    }
}

fn main() {
    conformance_of(vec![Arc::new(Memory), Arc::new(Folder)])
}
