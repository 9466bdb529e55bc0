//! Waiting for a disk without blocking a runtime's worker thread.

use crate::error::{Error, Result};

/// Runs code that may wait for a disk, and returns its result. For backend authors.
///
/// Inside a tokio runtime it runs on one of the runtime's blocking threads, so the other tasks continue; otherwise it
/// runs on the thread that polls. Dropping the future does not stop work that has begun. `Unavailable` if the runtime
/// shuts down before it begins. A panic propagates to the caller.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// let here = nofx_core::blocking(|| Ok(std::path::Path::new("Cargo.toml").exists())).await?;
/// assert!(here);
/// # Ok(()) }
/// ```
pub async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => match runtime.spawn_blocking(act).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(Error::unavailable_because("waiting for a thread while the runtime shuts down", error)),
        },
        Err(_) => act(),
    }
}
