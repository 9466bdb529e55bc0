//! Waiting for a disk without holding a thread of a runtime.

use crate::error::{Error, Result};

/// Runs what may wait for a disk, and returns its answer: for those who write backends.
///
/// In a tokio runtime it runs on one of the threads that are kept for that, so the tasks of the runtime go on; otherwise it runs
/// on the thread that polls. Dropping the future does not stop what has begun. `Unavailable` if the runtime shuts down before it
/// begins. A panic goes on in the caller.
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
            Err(error) => Err(Error::unavailable_because("waiting for a thread while the runtime ends", error)),
        },
        Err(_) => act(),
    }
}
