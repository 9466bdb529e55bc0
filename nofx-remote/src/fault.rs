//! What object stores say went wrong, folded into what a caller does next.

use std::fmt;

use nofx_core::Error;

/// What an object store said, without secrets.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// Writes an error down, and each of these secrets as asterisks: servers and clients quote what they were sent.
    pub(crate) fn new(error: &dyn fmt::Display, secrets: &[String]) -> Self {
        Self(secrets.iter().fold(error.to_string(), |text, secret| text.replace(secret, "***")))
    }

    pub(crate) fn unavailable(self, during: impl Into<String>) -> Error {
        Error::unavailable_because(during, self)
    }

    pub(crate) fn unknown(self, during: impl Into<String>) -> Error {
        Error::unknown_because(during, self)
    }
}

/// Returns whether a request that failed so cannot have had an effect, now or later.
pub(crate) fn has_done_nothing(error: &object_store::Error) -> bool {
    is_hopeless(error) || matches!(error, object_store::Error::NotFound { .. }) || never_connected(error)
}

/// Returns whether the same request will fail again.
pub(crate) fn is_hopeless(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    matches!(
        error,
        E::PermissionDenied { .. }
            | E::Unauthenticated { .. }
            | E::NotSupported { .. }
            | E::NotImplemented { .. }
            | E::InvalidPath { .. }
            | E::UnknownConfigurationKey { .. }
    )
}

/// Returns whether a listing failed because there is no such bucket: what is empty is listed as empty.
///
/// The clients tell no more than the answer's text, in which the services name their error: S3 and Google Cloud Storage in one way,
/// Azure in another.
pub(crate) fn is_without_bucket(error: &object_store::Error) -> bool {
    let says = |code| error.to_string().contains(code);
    matches!(error, object_store::Error::NotFound { .. }) || says("NoSuchBucket") || says("ContainerNotFound")
}

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
fn never_connected(error: &object_store::Error) -> bool {
    use object_store::client::{HttpError, HttpErrorKind};
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        if let Some(http) = cause.downcast_ref::<HttpError>() {
            return http.kind() == HttpErrorKind::Connect;
        }
        below = cause.source();
    }
    false
}

#[cfg(not(any(feature = "aws", feature = "azure", feature = "gcp")))]
fn never_connected(_: &object_store::Error) -> bool {
    false
}
