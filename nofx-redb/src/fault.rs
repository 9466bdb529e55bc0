//! Internal faults, and the errors that callers get for them.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use nofx_core::{BackendInfo, Error};

use crate::codec::Unread;
use crate::file;
use crate::storage::Refused;

/// A result whose error is [`Fault`].
pub(crate) type Attempt<T> = Result<T, Fault>;

/// What went wrong, before it becomes the caller's error.
#[derive(Debug)]
pub(crate) enum Fault {
    /// An error of redb, or of the file below it.
    Redb(redb::Error),
    /// A value with a wrong checksum, or one that is not what was written.
    Damaged(String),
    /// A page of the file with a wrong checksum, on the way to something.
    Page {
        /// Where it begins in the file.
        offset: u64,
        what: Option<String>,
    },
    /// An intact value that only a newer version can read.
    Newer(String),
    /// redb panicked, which it does on some damaged files.
    Panicked(String),
    /// Already the error that the caller gets.
    Error(Error),
}

impl Fault {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// Returns the fault for a value that cannot be read.
    pub(crate) fn unread(why: Unread, what: impl fmt::Display) -> Self {
        match why {
            Unread::Damaged => Self::Damaged(what.to_string()),
            Unread::Newer(codec) => Self::Newer(format!("{what} has codec {codec}")),
        }
    }

    /// Returns whether only one value cannot be read, while others can.
    pub(crate) fn is_of_value(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Newer(_))
    }

    /// Returns whether a damaged page caused it.
    pub(crate) fn is_of_page(&self) -> bool {
        matches!(self, Self::Page { .. })
    }

    /// Returns the I/O error, if that is the cause.
    fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Redb(redb::Error::Io(error)) => Some(error),
            _ => None,
        }
    }

    /// Returns whether there was no room for what was to be written.
    pub(crate) fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
        self.io().is_some_and(|error| full.contains(&error.kind()))
    }

    /// Returns whether the open file is useless, and opening it again may help.
    pub(crate) fn is_stale(&self) -> bool {
        // Waiting is not repeated after it timed out.
        if self.io().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return false;
        }
        matches!(
            self,
            Self::Panicked(_)
                | Self::Redb(
                    redb::Error::Io(_)
                        | redb::Error::PreviousIo
                        | redb::Error::DatabaseClosed
                        | redb::Error::LockPoisoned(_)
                        | redb::Error::RepairAborted
                        | redb::Error::Corrupted(_)
                )
        )
    }

    /// Converts the fault into the caller's error, given that nothing has happened. Names the file and what was being
    /// done to it.
    pub(crate) fn into_error(self, path: &Path, during: &str) -> Error {
        let file = format!("`{}`", path.display());
        match self.io().and_then(Refused::of) {
            Some(Refused::Replaced) => {
                return Error::replaced(format!(
                    "{file} was overwritten, or an older copy was put in its place, while it was open"
                ));
            }
            Some(Refused::NoLocks) => {
                let no_locks = BackendInfo::NO_LOCKS;
                let what = format!("{during} {file}: {no_locks} on its file system, so it can only be read there");
                return Error::unavailable_because(what, Cause(self));
            }
            Some(Refused::Damaged) => return Error::corrupt_because(file, Cause(self)),
            None => {}
        }
        if self.io().is_some_and(|error| error.kind() == io::ErrorKind::InvalidFilename) {
            // The file itself may have this name, but the files beside it may not.
            return Error::invalid_because(format!("{file} cannot be the name of a store"), Cause(self));
        }
        if self.is_full() {
            return Error::full_because(format!("{during} {file}"), Cause(self));
        }
        if let Self::Redb(redb::Error::Corrupted(_)) = &self
            && let Some(version) = file::newer_redb(path)
        {
            let what = format!("{file} has redb's file format {version}, which this version does not read");
            return Error::too_new_because(what, Cause(self));
        }
        let whole = || match during {
            "opening" => format!("{file}, of which nothing can be read: restore a backup"),
            _ => file.clone(),
        };
        match self {
            Self::Error(error) => error,
            Self::Damaged(what) => Error::corrupt(format!("{what}, in {file}")),
            Self::Page { offset, what: None } => Error::corrupt(format!("the page at byte {offset} of {file}")),
            Self::Page { offset, what: Some(what) } => {
                Error::corrupt(format!("{what}: the page at byte {offset} of {file}"))
            }
            Self::Newer(what) => Error::too_new(format!("{what}, which this version does not know, in {file}")),
            Self::Redb(redb::Error::Corrupted(_)) | Self::Panicked(_) => Error::corrupt_because(whole(), Cause(self)),
            Self::Redb(redb::Error::DatabaseAlreadyOpen) => Error::Locked { what: file, holder: None },
            Self::Redb(redb::Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                Error::Locked { what: file, holder: None }
            }
            Self::Redb(redb::Error::Io(ref error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Error::corrupt_because(format!("{file}, which is shorter than it should be"), Cause(self))
            }
            // It may also be a store whose header was damaged there; nothing else tells the two apart.
            Self::Redb(redb::Error::UpgradeRequired(version)) => Error::invalid(format!(
                "{file} is not a NofX store: it has redb's file format {version}, in which none was ever written"
            )),
            Self::Redb(redb::Error::LockProtocolMismatch) => Error::unavailable_because(
                format!("{file} is open in a program with another version of redb"),
                Cause(self),
            ),
            Self::Redb(redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
                Error::corrupt_because(whole(), Cause(self))
            }
            Self::Redb(_) => Error::unavailable_because(format!("{during} {file}"), Cause(self)),
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

/// A fault as the source of another error, without exposing redb's type.
#[derive(Debug)]
pub(crate) struct Cause(pub(crate) Fault);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Redb(error) => error.fmt(f),
            Fault::Damaged(what) | Fault::Newer(what) | Fault::Panicked(what) => f.write_str(what),
            Fault::Page { offset, .. } => write!(f, "the page at byte {offset}"),
            Fault::Error(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Fault::Redb(redb::Error::Io(error)) => Some(error),
            _ => None,
        }
    }
}

thread_local! {
    /// Whether this thread is inside [`contain`].
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs code that may panic inside redb, and turns a panic into a fault without printing it.
pub(crate) fn contain<T>(act: impl FnOnce() -> Attempt<T>) -> Attempt<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CONTAINED.get() {
                before(info);
            }
        }));
    });
    let outer = IS_CONTAINED.replace(true);
    // A panic leaves only a transaction or a handle of redb half changed, and both are dropped after a fault.
    let done = panic::catch_unwind(AssertUnwindSafe(act));
    IS_CONTAINED.set(outer);
    done.unwrap_or_else(|panic| Err(Fault::Panicked(message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
