//! What a backend's author writes: where stores come from.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use nofx_core::{Error, MemoryBackend, PersistenceBackend, Result};

/// Makes places for stores of one backend.
///
/// The suite uses a fresh place for each case, so cases never interfere.
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// Returns the name of what is tested; the names of all cases begin with it.
    fn name(&self) -> &str;

    /// Makes a place that holds an empty store, or will hold one when it is first opened.
    async fn place(&self) -> Result<Arc<dyn Place>>;

    /// Opens the place with this [`address`](Place::address) in a process other than the one that made it.
    ///
    /// Only called for backends whose [`info`](PersistenceBackend::info) says that processes share a store.
    async fn reopen(&self, address: &str) -> Result<Arc<dyn PersistenceBackend>> {
        Err(Error::invalid(format!("{} has no addresses, so `{address}` is not one", self.name())))
    }

    /// Returns how many sessions the suite's largest workspace has; fewer if filling a store costs more than using it.
    fn most_sessions(&self) -> u64 {
        100_000
    }

    /// Returns what this machine lacks to run the backend at all, such as a server; every case is then ignored with
    /// this reason.
    fn lacks(&self) -> Option<String> {
        None
    }
}

/// A place that holds one store, and is cleaned up when it is dropped.
#[async_trait]
pub trait Place: Send + Sync + 'static {
    /// Opens the store, and creates it the first time. Each call returns another handle.
    ///
    /// A place should not keep a handle of its own: the suite closes and drops all of them to see what the store
    /// contains when it is opened again.
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>>;

    /// Returns a text with which [`Factory::reopen`] finds this place in another process, if there is one.
    fn address(&self) -> Option<String> {
        None
    }

    /// Returns the folder that holds the files of the store and nothing else, if it has files of its own format on a local disk. The suite
    /// reads and damages them while no handle is open.
    fn folder(&self) -> Option<PathBuf> {
        None
    }
}

/// The factory of [`MemoryBackend`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

#[async_trait]
impl Factory for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        Ok(Arc::new(MemoryPlace(MemoryBackend::new())))
    }
}

/// A store in memory is gone with its last handle, so this place must keep one.
#[derive(Debug)]
struct MemoryPlace(MemoryBackend);

#[async_trait]
impl Place for MemoryPlace {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        Ok(Arc::new(self.0.another_handle()))
    }
}
