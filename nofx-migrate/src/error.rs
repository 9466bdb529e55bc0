//! The errors of a migration.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why a migration failed.
///
/// Damage inside the source is never an error: it is reported, and the intact parts are migrated.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// There is nothing at the path.
    #[error("`{}` does not exist; name a `.nofx` folder or a workspace folder that contains one", .0.display())]
    SourceMissing(PathBuf),
    /// The path is a file.
    #[error("`{}` is not a folder; name the `.nofx` folder itself or the workspace folder that contains it", .0.display())]
    SourceNotAFolder(PathBuf),
    /// Nothing in the folder was written by the old extension.
    #[error("`{}` is not a legacy folder and contains no `.nofx` folder; name one that contains `agents.json` or `sessions`", .0.display())]
    SourceNotLegacy(PathBuf),
    /// The folder cannot be read.
    #[error("cannot read `{}`: {cause}; change its permissions so that you can read it", .path.display())]
    SourceUnreadable {
        /// The folder.
        path: PathBuf,
        /// The error from the operating system.
        #[source]
        cause: Arc<std::io::Error>,
    },
    /// The target lies among the files to be read.
    #[error(
        "the target `{}` lies inside the source `{}`; put it elsewhere, or in the folder `store` of the source",
        .target_path.display(),
        .source_path.display()
    )]
    SourceHoldsTarget {
        /// The store.
        target_path: PathBuf,
        /// The legacy folder.
        source_path: PathBuf,
    },
    /// An additional source holds no data of the old extension.
    #[error("`{}` is neither a VS Code state with data of the extension nor a folder with `messages.jsonl`", .0.display())]
    SourceNotState(PathBuf),
    /// Each time something was to be written, another migration had just written it.
    #[error("another migration is writing to the same store; run this one again once that one has finished")]
    TargetBusy,
    /// The temporary file for what is found could not be written or read.
    #[error(
        "cannot use a temporary file: {0}; free some space in the folder for temporary files, or name another folder with `TMPDIR`"
    )]
    TemporaryFile(#[source] Arc<std::io::Error>),
    /// The store could not be read or written.
    #[error("{0}; {next}", next = .0.next_step())]
    Store(#[source] nofx_core::Error),
}

impl MigrateError {
    /// Returns the stable name of this kind of error, as scripts see it; for an error of the store, the store's.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SourceMissing(_) => "source-missing",
            Self::SourceNotAFolder(_) => "source-not-a-folder",
            Self::SourceNotLegacy(_) => "source-not-legacy",
            Self::SourceUnreadable { .. } => "source-unreadable",
            Self::SourceHoldsTarget { .. } => "source-holds-target",
            Self::SourceNotState(_) => "source-not-state",
            Self::TargetBusy => "target-busy",
            Self::TemporaryFile(_) => "temporary-file",
            Self::Store(error) => error.code(),
        }
    }
}

impl From<nofx_core::Error> for MigrateError {
    fn from(error: nofx_core::Error) -> Self {
        Self::Store(error)
    }
}
