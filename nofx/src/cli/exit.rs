//! Exit codes.

use std::process::ExitCode;

/// An exit code. Scripts rely on the numbers, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// Something went wrong that has no code of its own.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Part of the source is missing in the target.
    Missing = 3,
    /// With `--strict`: something in the source was damaged.
    Strict = 4,
    /// Only part of what was asked for was done.
    Partly = 5,
    /// The source does not exist.
    SourceAbsent = 10,
    /// The source is a file, but not a dump.
    SourceIsFile = 11,
    /// The source is a folder, but not a legacy one.
    SourceNotLegacy = 12,
    /// The source cannot be read.
    SourceUnreadable = 13,
    /// The target lies inside the source.
    SourceHoldsTarget = 14,
    /// The dump is truncated or damaged.
    DumpDamaged = 15,
    /// A location is malformed.
    Malformed = 20,
    /// This version has no backend for the scheme of a location.
    UnknownScheme = 21,
    /// This build does not include the backend of a location.
    LeftOut = 22,
    /// What is at the location is not a store.
    Foreign = 23,
    /// The location cannot be read or written, for lack of permission or the like.
    Forbidden = 24,
    /// The disk is full.
    Full = 25,
    /// Another process holds the store.
    Locked = 26,
    /// The store is damaged.
    Corrupt = 27,
    /// The store was written by a newer version.
    TooNew = 28,
    /// There is no store at the location.
    NoStore = 29,
    /// The target holds something that the source does not.
    Differs = 30,
    /// The store was moved or removed while it was open.
    Gone = 31,
    /// Another store, or another copy of the store, was put in its place while it was open.
    Replaced = 32,
    /// There is no such session.
    NoSession = 40,
    /// The beginning or end of an id matches several sessions.
    Ambiguous = 41,
    /// The current state of the session or store does not allow it.
    Refused = 42,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Interrupted = 130,
}

/// Every code with its meaning, in the order of the numbers.
pub(crate) const MEANINGS: &[(Exit, &str)] = &[
    (Exit::Done, "everything was done"),
    (Exit::Failed, "something went wrong that has no code of its own"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::Missing, "not verified: part of the source is missing in the target"),
    (Exit::Strict, "--strict, and something in the source was damaged"),
    (Exit::Partly, "some sessions were left unchanged"),
    (Exit::SourceAbsent, "the source does not exist"),
    (Exit::SourceIsFile, "the source is neither a folder nor a dump"),
    (Exit::SourceNotLegacy, "the source is a folder, but not a legacy one"),
    (Exit::SourceUnreadable, "the source cannot be read"),
    (Exit::SourceHoldsTarget, "the target or the report lies inside the source"),
    (Exit::DumpDamaged, "the dump is truncated, damaged or of another kind"),
    (Exit::Malformed, "a location is malformed"),
    (Exit::UnknownScheme, "this version has no backend for the scheme of a location"),
    (Exit::LeftOut, "this build does not include the backend of a location"),
    (Exit::Foreign, "what is at the location is not a store"),
    (Exit::Forbidden, "the location cannot be read or written"),
    (Exit::Full, "the disk is full"),
    (Exit::Locked, "another process holds the store"),
    (Exit::Corrupt, "the store is damaged"),
    (Exit::TooNew, "the store was written by a newer version"),
    (Exit::NoStore, "there is no store at the location"),
    (Exit::Differs, "the target holds something that the source does not"),
    (Exit::Gone, "the store was moved or removed while it was open"),
    (Exit::Replaced, "another store or copy was put in the store's place while it was open"),
    (Exit::NoSession, "there is no such session"),
    (Exit::Ambiguous, "an abbreviated id matches several sessions"),
    (Exit::Refused, "the current state does not allow it"),
    (Exit::Interrupted, "interrupted by Ctrl-C, SIGTERM or SIGHUP"),
];

/// Returns the table of exit codes for the help of a command.
pub(crate) fn table() -> String {
    let mut table = "Exit codes:\n".to_owned();
    for (exit, meaning) in MEANINGS {
        table.push_str(&format!("  {:>3}  {meaning}\n", *exit as u8));
    }
    table
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
