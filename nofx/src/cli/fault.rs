//! Errors as the user at the terminal sees them.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use nofx_core::{BackendInfo, Error};
use nofx_migrate::{CopyError, DumpError, LoadError, MigrateError};

use super::exit::Exit;
use super::text::{one_line, shown};
use crate::Location;

/// An error: one line that says what failed, and one that says what to do next.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) exit: Exit,
    message: String,
    hint: String,
    /// The reader of the output closed the pipe: that is no error, so nothing is printed.
    quiet: bool,
}

const ON_A_DISK: &str = "move the store to a local disk; where it is, it can only be read";

const PERMIT: &str = "change the permissions, or choose another location";

pub(crate) type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    pub(crate) fn new(exit: Exit, message: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        Self { exit, message: one_line(message.as_ref()), hint: one_line(hint.as_ref()), quiet: false }
    }

    /// Replaces a thing's temporary path in the message by its final one.
    pub(crate) fn renaming(self, from: &Path, to: &Path) -> Self {
        Self { message: self.message.replace(&shown(from), &shown(to)), ..self }
    }

    /// Returns the exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints both lines to standard error.
    pub(crate) fn print(&self) {
        use io::Write;
        if self.quiet {
            return;
        }
        let (red, cyan) = (colour(AnsiColor::Red), colour(AnsiColor::Cyan));
        // If this fails, there is nowhere left to report it.
        let mut out = anstream::stderr().lock();
        _ = writeln!(out, "{red}error:{red:#} {}", self.message);
        if !self.hint.is_empty() {
            _ = writeln!(out, "{cyan}hint:{cyan:#} {}", self.hint);
        }
    }

    /// An output could not be written, such as standard output.
    pub(crate) fn of_output(what: &str, error: &io::Error) -> Self {
        let message = format!("cannot write {what}: {error}");
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { quiet: true, ..Self::new(Exit::Done, "", "") },
            kind if is_full(kind) => Self::new(Exit::Full, message, "free some space, then try again"),
            io::ErrorKind::NotFound => {
                Self::new(Exit::Forbidden, message, "create the folder first, or name another path")
            }
            _ => Self::new(Exit::Forbidden, message, "name a path that you can write to"),
        }
    }

    /// Something was skipped because it cannot be read; everything else was done.
    pub(crate) fn unreadable(first: &Error, message: impl AsRef<str>) -> Self {
        let exit = if matches!(first, Error::TooNew(_)) { Exit::TooNew } else { Exit::Corrupt };
        let message = format!("{}: {}", message.as_ref(), chain(first));
        Self::new(exit, message, "`nofx doctor` lists what is damaged")
    }

    /// There is nothing at a location where a store should be.
    pub(crate) fn no_store(location: &Location) -> Self {
        let message = format!("no NofX store at `{location}`");
        Self::new(Exit::NoStore, message, "name one that exists, or create one with `nofx migrate`")
    }

    /// Opening a store failed. The request was validated before, so `Invalid` is about what is at the location.
    pub(crate) fn of_opening(error: &Error, location: &Location) -> Self {
        match error {
            error if error.is_no_store() => Self::no_store(location),
            // None of the store could be read.
            Error::Corrupt(_) => {
                let is_repairable = location.backend().is_ok_and(|backend| backend.repair.is_some());
                let hint = match is_repairable {
                    true => {
                        "restore a backup, or keep what is there and repair it; `nofx doctor --repair` repairs what it can"
                    }
                    false => {
                        "restore a backup, and keep what is there; a store of this kind cannot be repaired in place"
                    }
                };
                Self { hint: hint.to_owned(), ..Self::of_store(error, location) }
            }
            Error::Invalid(_) => Self::new(
                Exit::Foreign,
                chain(error).trim_start_matches("invalid: "),
                format!("choose another location than `{location}`, or move what is there out of the way"),
            ),
            _ => Self::of_store(error, location),
        }
    }

    /// Reading or writing a store failed.
    pub(crate) fn of_store(error: &Error, location: &Location) -> Self {
        let message = chain(error);
        let at = if names(&message, location) { message } else { format!("`{location}`: {message}") };
        let fault = Self::of_error(error, at);
        match fault.exit {
            Exit::Forbidden if location.path().is_none() => Self {
                hint: "renew the credentials in the environment, or grant them this permission".to_owned(),
                ..fault
            },
            _ => fault,
        }
    }

    /// A store is read-only; `reason` says why.
    pub(crate) fn of_read_only(reason: &str, location: &Location) -> Self {
        let message = format!("`{location}` can only be read: {reason}");
        if reason.contains(BackendInfo::NEWER_VERSION) {
            return Self::new(Exit::TooNew, message, "use a newer version of this program");
        }
        if reason.contains(BackendInfo::REPAIR) {
            return Self::new(Exit::Corrupt, message, "repair it; until then it can be read");
        }
        Self::new(Exit::Forbidden, message, PERMIT)
    }

    /// An error of a store; `at` says what and where.
    pub(crate) fn of_error(error: &Error, at: String) -> Self {
        let io = io_kind(error);
        match error {
            Error::Full(_) => Self::new(Exit::Full, at, "free some space, then run the command again"),
            _ if io.is_some_and(is_full) => Self::new(Exit::Full, at, "free some space, then run the command again"),
            Error::Locked { .. } => {
                Self::new(Exit::Locked, at, "close that process, or try again once it has finished")
            }
            Error::Corrupt(_) => Self::new(Exit::Corrupt, at, error.next_step()),
            _ if io == Some(io::ErrorKind::UnexpectedEof) => {
                Self::new(Exit::Corrupt, at, "the file is truncated: restore a backup, or keep it and repair it")
            }
            Error::NotFound(_) => Self::new(Exit::NoSession, at, "list the sessions with `nofx ls --limit 0`"),
            Error::TooNew(_) => Self::new(Exit::TooNew, at, error.next_step()),
            Error::Gone(_) => Self::new(Exit::Gone, at, "put the store back where it was, then run the command again"),
            Error::Replaced(_) => Self::new(Exit::Replaced, at, "run the command again to use what is there now"),
            _ if at.contains(BackendInfo::NO_LOCKS) => Self::new(Exit::Forbidden, at, ON_A_DISK),
            _ if io.is_some_and(is_forbidden) => Self::new(Exit::Forbidden, at, PERMIT),
            _ => Self::new(Exit::Failed, at, error.next_step()),
        }
    }

    pub(crate) fn of_dump(error: &DumpError, location: &Location, output: &str) -> Self {
        match error {
            DumpError::Store(error) => Self::of_store(error, location),
            DumpError::Write(error) => Self::of_output(output, error),
            other => Self::new(Exit::Failed, chain(other), ""),
        }
    }

    pub(crate) fn of_load(error: &LoadError, input: &str, location: &Location) -> Self {
        match error {
            LoadError::Store(error) => Self::of_store(error, location),
            LoadError::Read { line, source } => Self::new(
                Exit::SourceUnreadable,
                format!("cannot read line {line} of {input}: {source}"),
                "name a file that you can read",
            ),
            LoadError::Damaged { line, what } => Self::new(
                Exit::DumpDamaged,
                format!("line {line} of {input} {what}"),
                "make the dump again with `nofx dump --full`",
            ),
            LoadError::NotEmpty(found) => Self::new(
                Exit::Differs,
                format!("`{location}` is not empty: it holds {found}"),
                "name a store that does not exist yet",
            ),
            other => Self::new(Exit::Failed, chain(other), ""),
        }
    }

    /// Reading one store or writing the other failed.
    pub(crate) fn of_stores(error: &Error, from: &Location, to: &Location) -> Self {
        let message = chain(error);
        let at = if names(&message, from) || names(&message, to) {
            message
        } else {
            format!("from `{from}` to `{to}`: {message}")
        };
        Self::of_error(error, at)
    }

    pub(crate) fn of_copy(error: &CopyError, from: &Location, to: &Location) -> Self {
        match error {
            CopyError::Store(error) => Self::of_stores(error, from, to),
            CopyError::Differs(what) => Self::new(
                Exit::Differs,
                format!("`{to}` holds {what}, which `{from}` does not have or has with other content"),
                "name a store that does not exist yet, or an earlier copy of the same source",
            ),
            CopyError::NotTheSame { .. } => {
                Self::new(Exit::Missing, chain(error), "stop all writers of both stores, then run the command again")
            }
            other => Self::new(Exit::Failed, chain(other), ""),
        }
    }

    pub(crate) fn of_migration(error: &MigrateError, to: &Location) -> Self {
        match error {
            MigrateError::SourceMissing(path) => Self::absent(path),
            MigrateError::SourceNotAFolder(path) => Self::not_a_folder(path),
            MigrateError::SourceNotLegacy(path) => Self::new(
                Exit::SourceNotLegacy,
                format!("`{}` is not a legacy folder and does not contain one", shown(path)),
                "name the `.nofx` folder itself, or the workspace folder that contains it",
            ),
            MigrateError::SourceUnreadable { path, cause } => Self::new(
                Exit::SourceUnreadable,
                format!("cannot read `{}`: {cause}", shown(path)),
                "change its permissions so that you can read it",
            ),
            MigrateError::SourceHoldsTarget { target_path, source_path } => Self::holds(source_path, target_path),
            MigrateError::Store(error) => Self::of_store(error, to),
            MigrateError::SourceNotState(path) => Self::new(
                Exit::SourceNotLegacy,
                format!("`{}` holds no data of the old extension", shown(path)),
                "name `state.vscdb`, the extension's state as JSON, or a folder with `messages.jsonl`",
            ),
            MigrateError::TargetBusy => Self::new(
                Exit::Locked,
                format!("another migration is writing to `{to}`"),
                "run this one again once that one has finished: it continues where it stopped",
            ),
            MigrateError::TemporaryFile(cause) => Self::new(
                Exit::Full,
                format!("cannot use a temporary file: {cause}"),
                "free some space in the folder for temporary files, or name another folder with TMPDIR",
            ),
            other => Self::new(Exit::Failed, chain(other), ""),
        }
    }

    pub(crate) fn absent(path: &Path) -> Self {
        let message = format!("`{}` does not exist", shown(path));
        Self::new(
            Exit::SourceAbsent,
            message,
            "name a `.nofx` folder, a workspace folder that contains one, a store or a full dump",
        )
    }

    pub(crate) fn not_a_folder(path: &Path) -> Self {
        let message = format!("`{}` is neither a folder nor a full dump", shown(path));
        Self::new(
            Exit::SourceIsFile,
            message,
            "name the `.nofx` folder itself; name a store by its location, such as `redb:PATH`",
        )
    }

    pub(crate) fn holds(source: &Path, target: &Path) -> Self {
        let message = format!("`{}` lies inside the source `{}`", shown(target), shown(source));
        Self::new(
            Exit::SourceHoldsTarget,
            message,
            "write it elsewhere; inside the source, only its folder `store` may hold a store",
        )
    }
}

/// Returns whether a text names the store it is about.
fn names(message: &str, location: &Location) -> bool {
    let path = location.path().map(shown);
    path.is_some_and(|path| message.contains(&path)) || message.contains(&location.to_string())
}

fn colour(colour: AnsiColor) -> Style {
    Style::new().bold().fg_color(Some(colour.into()))
}

/// Returns the text of an error and its sources, without repetition.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut message = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        below = error.source();
    }
    message
}

/// Splits an error into what is wrong and what to do next.
pub(crate) fn advice(error: &Error) -> (String, String) {
    let message = chain(error);
    let message = message.trim_start_matches("invalid: ");
    match message.split_once("; ") {
        Some((why, hint)) => (why.to_owned(), hint.to_owned()),
        None => (message.to_owned(), error.next_step().to_owned()),
    }
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

fn is_forbidden(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::NotFound
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::AlreadyExists
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_not_change_by_itself_is_not_to_be_tried_again() {
        let (disk, bucket) = (Location::redb("some/x.redb"), "s3://bucket/x".parse::<Location>().unwrap());
        let denied = |what: &str| Error::unavailable_because(what, io::Error::from(io::ErrorKind::PermissionDenied));
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for (error, location, exit, hint) in [
            (denied("opening"), &disk, Exit::Forbidden, PERMIT),
            (denied("listing"), &bucket, Exit::Forbidden, "renew the credentials"),
            (Error::unavailable("opening `x`: file locks do not work there"), &disk, Exit::Forbidden, ON_A_DISK),
            (Error::unavailable_because("writing", full()), &disk, Exit::Full, "free some space"),
            (Error::unknown_because("writing", full()), &disk, Exit::Full, "free some space"),
            (Error::corrupt("agent/ada"), &bucket, Exit::Corrupt, "check the store"),
            (Error::not_found("session `x`"), &disk, Exit::NoSession, "list the sessions"),
            (Error::gone("it was moved"), &disk, Exit::Gone, "put the store back"),
            (Error::unavailable("asking a server"), &bucket, Exit::Failed, "try again later"),
        ] {
            let fault = Fault::of_store(&error, location);
            assert_eq!(fault.exit, exit, "{error}");
            assert!(fault.hint.starts_with(hint), "{fault:?}");
            assert!(names(&fault.message, location), "{fault:?}");
        }
        assert_eq!(Fault::of_read_only("opening `x`: permission denied", &disk).hint, PERMIT);
        assert_eq!(Fault::of_read_only("a newer version wrote it", &disk).exit, Exit::TooNew);
    }
}
