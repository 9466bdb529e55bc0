//! Maps the errors of object stores to what a caller should do next.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};

use nofx_core::Error;

use crate::folder::Unflushed;

/// The error that an object store reported, without secrets.
#[derive(Debug)]
pub(crate) struct Fault {
    text: String,
    /// The system's error, or the one that a folder would have given.
    below: Option<io::Error>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.below.as_ref().map(|below| below as _)
    }
}

impl Fault {
    /// Makes a fault in this crate's own words.
    pub(crate) fn in_words(what: &str) -> Self {
        Self { text: what.to_owned(), below: None }
    }

    /// Puts a server's answer into words. In any other error, each of these secrets is replaced by asterisks: clients
    /// quote what they sent.
    pub(crate) fn new(error: &object_store::Error, secrets: &[String]) -> Self {
        if let Some(answer) = Answer::of(error) {
            return Self { text: answer.to_string(), below: answer.kind().map(io::Error::from) };
        }
        let text = secrets.iter().fold(error.to_string(), |text, secret| text.replace(secret, "***"));
        Self { text, below: io_below(error).map(copy) }
    }

    /// Makes an error for a request that had no effect: `Full` if space is missing.
    pub(crate) fn unavailable(self, during: impl Into<String>) -> Error {
        match self.below.as_ref().map(io::Error::kind) {
            Some(kind) if is_full(kind) => Error::full_because(during, self),
            _ => Error::unavailable_because(during, self),
        }
    }

    pub(crate) fn unknown(self, during: impl Into<String>) -> Error {
        Error::unknown_because(during, self)
    }
}

/// Marks an error as caused by a missing object.
#[derive(Debug)]
pub(crate) struct Missing;

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is missing")
    }
}

impl StdError for Missing {}

/// Adds to an error about a single item the record or log that it concerns, and keeps the original error as its cause.
pub(crate) fn naming(error: Error, what: impl Into<String>) -> Error {
    match error {
        Error::Corrupt(_) => Error::corrupt_because(what, error),
        Error::TooNew(_) => Error::too_new_because(what, error),
        error => error,
    }
}

/// Returns whether an error is caused by a missing object to which others refer.
pub(crate) fn is_missing(error: &Error) -> bool {
    chain(error).any(|below| below.is::<Missing>())
}

/// Returns whether a request that failed in this way cannot have had an effect, now or later.
pub(crate) fn has_done_nothing(error: &object_store::Error) -> bool {
    let unflushed = chain(error).any(|below| below.is::<Unflushed>());
    !unflushed && (is_hopeless(error) || never_connected(error))
}

/// Returns whether the same request would fail again.
pub(crate) fn is_hopeless(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    match error {
        E::PermissionDenied { .. }
        | E::Unauthenticated { .. }
        | E::NotFound { .. }
        | E::NotSupported { .. }
        | E::NotImplemented { .. }
        | E::InvalidPath { .. }
        | E::UnknownConfigurationKey { .. } => true,
        error => match Answer::of(error) {
            Some(answer) => answer.kind().is_some(),
            None => io_below(error).is_some_and(|error| is_lasting(error.kind())),
        },
    }
}

/// Returns whether a listing failed because there is no such bucket: an empty bucket is listed as empty.
///
/// The clients expose only the text of the answer, in which the services name their error: S3 and Google Cloud Storage
/// in one way, Azure in another.
pub(crate) fn is_without_bucket(error: &object_store::Error) -> bool {
    let says = |code| error.to_string().contains(code);
    matches!(error, object_store::Error::NotFound { .. }) || says("NoSuchBucket") || says("ContainerNotFound")
}

/// A server's answer as the clients quote it: its status, and the error code.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    reason: String,
    code: Option<String>,
}

impl Answer {
    fn of(error: &object_store::Error) -> Option<Self> {
        Self::read(&error.to_string())
    }

    fn read(text: &str) -> Option<Self> {
        let (_, answer) = text.split_once("status code: ")?;
        let (head, body) = answer.split_once(':').unwrap_or((answer, ""));
        let (status, reason) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
        let is_name = |code: &&str| {
            !code.is_empty() && code.len() < 80 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let between = |start: &str, end: &str| {
            let (_, rest) = body.split_once(start)?;
            rest.split_once(end).map(|(code, _)| code.trim()).filter(is_name).map(str::to_owned)
        };
        // S3 and Azure use XML, Google's storage uses both, and its tokens come as JSON.
        let code = between("<Code>", "</Code>")
            .or_else(|| between("\"reason\": \"", "\""))
            .or_else(|| between("\"error\": \"", "\""))
            .or_else(|| between("\"error\":\"", "\""));
        Some(Self { status: status.parse().ok()?, reason: reason.to_owned(), code })
    }

    /// Says what is wrong with the credentials, if the server rejected them.
    fn refusal(&self) -> Option<&'static str> {
        match (self.code.as_deref().unwrap_or_default(), self.status) {
            ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired", _) => {
                Some("they have expired")
            }
            ("InvalidAccessKeyId", _) => Some("the server does not know their key"),
            ("SignatureDoesNotMatch", _) => Some("their secret does not match their key"),
            ("RequestTimeTooSkewed", _) => Some("the clock of this machine differs too much from the server's"),
            ("InvalidToken" | "invalid_grant" | "invalid_client" | "AuthenticationFailed" | "authError", _)
            | (_, 401) => Some("they are wrong or have expired"),
            (_, 403) => Some("they do not allow this"),
            _ => None,
        }
    }

    /// Returns the error that a system would give for a folder in the same situation; `None` if it may be temporary.
    fn kind(&self) -> Option<ErrorKind> {
        let is_full =
            matches!(self.code.as_deref(), Some("XMinioStorageFull" | "QuotaExceeded" | "QuotaExceededException"));
        match self.refusal() {
            _ if is_full || self.status == 507 => Some(ErrorKind::StorageFull),
            Some(_) => Some(ErrorKind::PermissionDenied),
            None => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason, code } = self;
        match self.refusal() {
            Some(why) => write!(f, "the server refused the credentials: {why}; renew those in the environment")?,
            None => f.write_str("the server could not answer")?,
        }
        write!(f, " ({status}")?;
        if !reason.is_empty() {
            write!(f, " {reason}")?;
        }
        code.iter().try_for_each(|code| write!(f, ", {code}"))?;
        f.write_str(")")
    }
}

/// Returns an error and its causes.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

fn io_below(error: &object_store::Error) -> Option<&io::Error> {
    chain(error).find_map(|below| below.downcast_ref())
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Returns whether a system's error is permanent.
fn is_lasting(kind: ErrorKind) -> bool {
    is_full(kind)
        || matches!(
            kind,
            ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::InvalidFilename
        )
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
fn never_connected(error: &object_store::Error) -> bool {
    use object_store::client::{HttpError, HttpErrorKind};
    chain(error)
        .find_map(|below| below.downcast_ref::<HttpError>())
        .is_some_and(|http| http.kind() == HttpErrorKind::Connect)
}

#[cfg(not(any(feature = "aws", feature = "azure", feature = "gcp")))]
fn never_connected(_: &object_store::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn refused_credentials_are_reported_in_words_and_not_tried_again() {
        let s3 = |status, code| {
            format!(
                "Error performing GET http://h/b in 3ms - Server returned non-2xx status code: {status}: <?xml \
                 version=\"1.0\"?><Error><Code>{code}</Code><Message>canary</Message></Error>"
            )
        };
        let google = "Error performing token request: Server returned non-2xx status code: 400 Bad Request: \
                      {\"error\": \"invalid_grant\", \"error_description\": \"canary\"}";
        for (text, why) in [
            (s3("400 Bad Request", "ExpiredToken"), "they have expired"),
            (s3("403 Forbidden", "AccessDenied"), "they do not allow this"),
            (s3("403 Forbidden", "RequestTimeTooSkewed"), "the clock of this machine"),
            (s3("401 Unauthorized", ""), "they are wrong or have expired"),
            (
                s3("403 Server failed to authenticate the request", "AuthenticationFailed"),
                "they are wrong or have expired",
            ),
            (google.to_owned(), "they are wrong or have expired"),
        ] {
            let error = answered(&text);
            assert!(is_hopeless(&error) && has_done_nothing(&error), "{text}");
            let told = Fault::new(&error, &[]).unavailable("listing").chain();
            assert!(told.contains(&format!("credentials: {why}")), "{told}");
            assert!(!told.contains(['<', '{']) && !told.contains("canary"), "{told}");
        }
        let busy = answered(&s3("503 Slow Down", "SlowDown"));
        assert!(!is_hopeless(&busy) && !has_done_nothing(&busy));
        assert_eq!(Fault::new(&busy, &[]).to_string(), "the server could not answer (503 Slow Down, SlowDown)");
        let full = answered(&s3("507 Insufficient Storage", "XMinioStorageFull"));
        assert_eq!(Fault::new(&full, &[]).unavailable("creating").code(), "full");
    }

    #[test]
    fn what_a_system_says_of_a_folder_stays_below() {
        let said =
            |kind: ErrorKind| object_store::Error::Generic { store: "folder", source: Box::new(io::Error::from(kind)) };
        for (kind, code) in [
            (ErrorKind::StorageFull, "full"),
            (ErrorKind::QuotaExceeded, "full"),
            (ErrorKind::PermissionDenied, "unavailable"),
            (ErrorKind::ReadOnlyFilesystem, "unavailable"),
        ] {
            let (error, text) = (said(kind), [String::from("canary")]);
            assert!(is_hopeless(&error) && has_done_nothing(&error), "{kind}");
            let told = Fault::new(&error, &text).unavailable("creating");
            assert_eq!(told.code(), code);
            let below = chain(&told).find_map(|below| below.downcast_ref::<io::Error>());
            assert_eq!(below.map(io::Error::kind), Some(kind));
        }
        assert!(!is_hopeless(&said(ErrorKind::TimedOut)));
        let late = Unflushed(io::Error::from(ErrorKind::StorageFull));
        let late = object_store::Error::Generic { store: "folder", source: Box::new(late) };
        assert!(is_hopeless(&late) && !has_done_nothing(&late), "the object is there, and perhaps not for good");
    }
}
