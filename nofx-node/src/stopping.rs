//! Calls that their caller may stop.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use nofx::{Error, Result};

/// The calls of one handle that may be stopped, by the numbers that JavaScript gives them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<HashMap<u32, AbortHandle>>>);

/// A call that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Calls,
    number: u32,
    registration: AbortRegistration,
}

impl Calls {
    /// Notes a call at once, so that it can be stopped even before it begins.
    pub(crate) fn begin(&self, number: u32) -> Call {
        let (handle, registration) = AbortHandle::new_pair();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, handle);
        Call { calls: self.clone(), number, registration }
    }

    /// Stops a call where it waits next. A commit that has begun is carried out.
    pub(crate) fn stop(&self, number: u32) {
        if let Some(handle) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
            handle.abort();
        }
    }
}

impl Call {
    /// Does the work unless it is stopped.
    pub(crate) async fn run<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Self { calls, number, registration } = self;
        let done = Abortable::new(work, registration).await;
        calls.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        done.unwrap_or_else(|_| Err(Error::unavailable("the caller has stopped it")))
    }
}
