//! Calls that may take long: their callers poll the progress, and can stop them.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use napi_derive::napi;
use nofx::json::quote;
use nofx::workspace::{Done, Progress};
use nofx::{Error, Result};

/// A call that may take long. It is created before the call, so that it can be stopped even before that begins.
#[napi]
#[derive(Debug)]
pub struct Call {
    progress: Progress,
    stop: AbortHandle,
    /// Present until the call is made.
    registration: Arc<Mutex<Option<AbortRegistration>>>,
}

#[napi]
impl Call {
    /// Creates a call that has not been made yet.
    #[napi(constructor)]
    pub fn make() -> Self {
        let (stop, registration) = AbortHandle::new_pair();
        Self { progress: Progress::default(), stop, registration: Arc::new(Mutex::new(Some(registration))) }
    }

    /// Returns the progress as JSON; also after the call has ended.
    #[napi]
    pub fn progress(&self) -> String {
        let Done { phase, done, total } = self.progress.get();
        let total = if total == 0 { "null".to_owned() } else { total.to_string() };
        format!(r#"{{"phase":{},"done":{done},"total":{total}}}"#, quote(phase))
    }

    /// Stops the call at its next await. A commit that has begun is completed, and what is committed stays.
    #[napi]
    pub fn stop(&self) {
        self.stop.abort();
    }
}

impl Call {
    /// Returns the progress that the work reports to.
    pub(crate) fn progress_handle(&self) -> Progress {
        self.progress.clone()
    }

    /// Wraps the work so that it ends when the call is stopped. A call can be made only once.
    pub(crate) fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T>> + use<T, W>
    where
        W: Future<Output = Result<T>>,
    {
        let registration = self.registration.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            let registration = registration.ok_or_else(|| Error::invalid("a call can be made only once"))?;
            let done = Abortable::new(work, registration).await;
            done.unwrap_or_else(|_| Err(Error::unavailable("the caller stopped the call")))
        }
    }
}
