//! Object storage in memory.

use std::sync::Arc;

use async_trait::async_trait;
use nofx_core::{PersistenceBackend, Result};
use nofx_remote::{Options, RemoteBackend};
use nofx_testkit::{Factory, Place};
use object_store::memory::InMemory;

/// Several handles on one object store in memory.
pub(crate) struct Memory;

struct MemoryPlace(Arc<InMemory>);

#[async_trait]
impl Factory for Memory {
    fn name(&self) -> &str {
        "remote-memory"
    }

    fn most_sessions(&self) -> u64 {
        // Each commit of a thousand sessions writes the whole checkpoint again.
        10_000
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        Ok(Arc::new(MemoryPlace(Arc::default())))
    }
}

#[async_trait]
impl Place for MemoryPlace {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        Ok(Arc::new(RemoteBackend::over(self.0.clone(), "team/store", Options::default()).await?))
    }
}
