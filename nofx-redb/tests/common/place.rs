//! Where the suites create redb stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nofx_core::{Error, PersistenceBackend, Result};
use nofx_redb::{Options, RedbBackend};
use nofx_testkit::{Factory, Place};
use tempfile::TempDir;

/// Stores that commit by redb transactions, or to a journal.
#[derive(Clone, Copy)]
pub(crate) enum Redb {
    Alone,
    BehindJournal,
    /// Likewise, and the file immediately follows each commit.
    Following,
}

/// Returns all kinds of stores.
pub(crate) fn all() -> Vec<Arc<dyn Factory>> {
    vec![Arc::new(Redb::Alone), Arc::new(Redb::BehindJournal), Arc::new(Redb::Following)]
}

impl Redb {
    async fn open(self, path: &Path) -> Result<Arc<dyn PersistenceBackend>> {
        let mut options = Options::default();
        options.journal = !matches!(self, Self::Alone);
        if matches!(self, Self::Following) {
            options.apply_after = Duration::ZERO;
        }
        Ok(Arc::new(RedbBackend::open_with(path, options).await?))
    }
}

#[async_trait]
impl Factory for Redb {
    fn name(&self) -> &str {
        match self {
            Self::Alone => "redb",
            Self::BehindJournal => "redb-journal",
            Self::Following => "redb-following",
        }
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let folder = TempDir::new().map_err(|error| Error::unavailable_because("a folder for tests", error))?;
        Ok(Arc::new(Folder(*self, folder)))
    }

    async fn reopen(&self, address: &str) -> Result<Arc<dyn PersistenceBackend>> {
        self.open(Path::new(address)).await
    }
}

struct Folder(Redb, TempDir);

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        self.0.open(&self.1.path().join("store.redb")).await
    }

    fn address(&self) -> Option<String> {
        Some(self.1.path().join("store.redb").to_string_lossy().into_owned())
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.1.path().to_owned())
    }
}
