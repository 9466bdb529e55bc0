//! What can go wrong, named by what the caller should do next.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::batch::Conflict;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The underlying error, shared so that one failed flush can be reported to a whole group.
pub type Source = Arc<dyn StdError + Send + Sync>;

/// Why a call failed.
///
/// A variant exists only where a caller would act differently; [`Error::next_step`] says how. Something absent is
/// `None` to readers, and an error only to calls that would change it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A precondition did not hold, so nothing was written. Read again and decide again.
    ///
    /// At the waist a conflict is an [`Outcome`](crate::Outcome); [`Store`](crate::Store)'s typed calls turn it into
    /// this error.
    Conflict(Box<Conflict>),
    /// The store cannot be reached or used right now; nothing happened. Try again later.
    Unavailable(Failure),
    /// The commit may or may not have happened. Commit the same batch again: its id makes that safe. If a typed call
    /// created the batch, check whether it happened.
    Unknown(Failure),
    /// Stored bytes are damaged. Everything else stays readable; repair or restore.
    Corrupt(Failure),
    /// The caller asked for something that can never work; nothing happened. Fix the call.
    Invalid(Failure),
    /// A verb was to change something that does not exist; nothing happened. Look for it in the list. Reading something
    /// absent returns `None`.
    NotFound(Failure),
    /// A newer version wrote the data, which is left as it is. Upgrade this program.
    TooNew(Failure),
    /// There is no room for this write; nothing happened. Free space, then try again.
    Full(Failure),
    /// Another process holds the store's lock; nothing happened. Try again, or close that process.
    Locked {
        /// What is locked.
        what: String,
        /// Who holds it, where that is known.
        holder: Option<Holder>,
    },
    /// The store is no longer where this handle opened it: it was moved, removed or unmounted. Nothing was written. Put
    /// it back, then open it again; a handle never follows a store to another place.
    Gone(Failure),
    /// Another store, or another copy of this one, is now where this handle opened its own. Nothing was written. Open
    /// it again to continue with what is there now; a handle never switches by itself.
    Replaced(Failure),
    /// This handle was closed. Open the store again.
    Closed,
}

/// What failed, and the underlying error.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What it concerns and what was being done, for example `agent/7f3a` or ``flushing `store.redb` ``. If there is
    /// better advice than [`Error::next_step`], it follows a semicolon and a space.
    pub what: String,
    /// The underlying error, if there is one.
    pub source: Option<Source>,
    /// The positions that it concerns, where known: positions of a log, or places of a history.
    pub positions: Option<Range<u64>>,
}

/// How the error of a location without a store begins.
const NO_STORE: &str = "no NofX store at ";

/// The process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The name of its machine.
    pub host: String,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident $(, $because:ident)? => $variant:ident;)*) => {
        impl Error {
            $(
                $(#[$doc])*
                pub fn $name(what: impl Into<String>) -> Self {
                    Self::$variant(Failure { what: what.into(), source: None, positions: None })
                }

                $(#[doc = concat!("Like [`Error::", stringify!($name), "`], keeping the underlying error.")]
                pub fn $because(
                    what: impl Into<String>,
                    source: impl StdError + Send + Sync + 'static,
                ) -> Self {
                    Self::$variant(Failure { what: what.into(), source: Some(Arc::new(source)), positions: None })
                })?
            )*
        }
    };
}

constructors! {
    /// Makes an [`Error::Unavailable`].
    unavailable, unavailable_because => Unavailable;
    /// Makes an [`Error::Unknown`].
    unknown, unknown_because => Unknown;
    /// Makes an [`Error::Corrupt`].
    corrupt, corrupt_because => Corrupt;
    /// Makes an [`Error::Invalid`].
    invalid, invalid_because => Invalid;
    /// Makes an [`Error::NotFound`].
    not_found => NotFound;
    /// Makes an [`Error::TooNew`].
    too_new, too_new_because => TooNew;
    /// Makes an [`Error::Full`].
    full, full_because => Full;
    /// Makes an [`Error::Gone`].
    gone, gone_because => Gone;
    /// Makes an [`Error::Replaced`].
    replaced => Replaced;
}

impl Error {
    /// Makes the [`Error::Invalid`] for a location where there is no store and none may be created.
    pub fn no_store(location: impl fmt::Display) -> Self {
        Self::invalid(format!("{NO_STORE}`{location}`"))
    }

    /// Returns whether it is an error that [`no_store`](Self::no_store) made.
    pub fn is_no_store(&self) -> bool {
        matches!(self, Self::Invalid(failure) if failure.what.starts_with(NO_STORE))
    }

    /// Returns the stable name of this kind of error, as scripts and TypeScript see it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::Unknown(_) => "unknown",
            Self::Corrupt(_) => "corrupt",
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not-found",
            Self::TooNew(_) => "too-new",
            Self::Full(_) => "full",
            Self::Locked { .. } => "locked",
            Self::Gone(_) => "gone",
            Self::Replaced(_) => "replaced",
            Self::Closed => "closed",
        }
    }

    /// Returns what the caller can do about it, as a short imperative.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "read the current state, then try again",
            Self::Unavailable(_) => "try again later; nothing was written",
            Self::Unknown(_) => "check whether it happened, or commit the same batch again",
            Self::Corrupt(_) => "check the store, and repair it or restore a backup; the rest stays readable",
            Self::Invalid(_) => "correct the request",
            Self::NotFound(_) => "check the id against what the store lists; nothing was written",
            Self::TooNew(_) => "use a newer version of this program",
            Self::Full(_) => "free some space, then try again; nothing was written",
            Self::Locked { .. } => "try again, or close the process that holds it",
            Self::Gone(_) => "put the store back where it was, then open it again; nothing was written",
            Self::Replaced(_) => "open the store again to continue with what is there now; nothing was written",
            Self::Closed => "open the store again",
        }
    }

    /// Returns whether the error concerns one stored item, so that others can still be read: the item is damaged, or a
    /// later version wrote it.
    pub fn is_of_one_thing(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::TooNew(_))
    }

    /// Returns the positions that it concerns, where known.
    pub fn positions(&self) -> Option<Range<u64>> {
        self.failure()?.positions.clone()
    }

    /// Returns its message followed by those of its causes, each once.
    pub fn chain(&self) -> String {
        let below = std::iter::successors(self.source(), |below| (*below).source());
        below.map(ToString::to_string).fold(self.to_string(), |text, below| match text.contains(&below) {
            true => text,
            false => format!("{text}: {below}"),
        })
    }

    /// Adds at which positions of `what` this happened, and keeps this error as the cause.
    pub(crate) fn at(self, what: impl fmt::Display, positions: Range<u64>) -> Self {
        let last = positions.end.saturating_sub(1);
        let what = match positions.start == last {
            true => format!("{what} at position {last}"),
            false => format!("{what} at positions {} to {last}", positions.start),
        };
        let is_newer = matches!(self, Self::TooNew(_));
        let failure = Failure { what, source: Some(Arc::new(self)), positions: Some(positions) };
        if is_newer { Self::TooNew(failure) } else { Self::Corrupt(failure) }
    }

    /// Shifts its positions by `by`, for example when positions of a log become places of a history that begins
    /// elsewhere.
    pub(crate) fn moved(mut self, by: u64) -> Self {
        if let Self::Corrupt(failure) | Self::TooNew(failure) = &mut self
            && let Some(positions) = &mut failure.positions
        {
            *positions = positions.start.saturating_add(by)..positions.end.saturating_add(by);
        }
        self
    }

    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Unavailable(failure)
            | Self::Unknown(failure)
            | Self::Corrupt(failure)
            | Self::Invalid(failure)
            | Self::NotFound(failure)
            | Self::TooNew(failure)
            | Self::Full(failure)
            | Self::Gone(failure)
            | Self::Replaced(failure) => Some(failure),
            Self::Conflict(_) | Self::Locked { .. } | Self::Closed => None,
        }
    }

    /// Returns whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unknown(_) | Self::Full(_) | Self::Locked { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Unavailable(failure) => write!(f, "unavailable: {}", failure.what),
            Self::Unknown(failure) => write!(f, "unknown outcome: {}", failure.what),
            Self::Corrupt(failure) => write!(f, "corrupt data in {}", failure.what),
            Self::Invalid(failure) => write!(f, "invalid: {}", failure.what),
            Self::NotFound(failure) => write!(f, "not found: {}", failure.what),
            Self::TooNew(failure) => write!(f, "too new: {}", failure.what),
            Self::Full(failure) => write!(f, "no space left: {}", failure.what),
            Self::Locked { what, holder: Some(Holder { pid, host }) } => {
                write!(f, "{what} is locked by process {pid} on {host}")
            }
            Self::Locked { what, holder: None } => write!(f, "{what} is locked by another process"),
            Self::Gone(failure) => write!(f, "the store is gone: {}", failure.what),
            Self::Replaced(failure) => write!(f, "the store was replaced: {}", failure.what),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure()?.source.as_deref().map(|source| source as _)
    }
}
