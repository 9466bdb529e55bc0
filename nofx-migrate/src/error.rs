//! Why a migration could not be done.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why a migration could not be done.
///
/// Damage inside the source is never an error: it is reported, and what is whole is migrated.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// There is nothing at the path.
    #[error("`{}` does not exist; name a `.nofx` folder or the workspace folder that has one", .0.display())]
    SourceMissing(PathBuf),
    /// The path is a file.
    #[error("`{}` is not a folder; name the `.nofx` folder itself or the workspace folder that has it", .0.display())]
    SourceNotAFolder(PathBuf),
    /// Nothing in the folder was written by the old extension.
    #[error("`{}` is no legacy folder and has no `.nofx` folder; name one that has `agents.json` or `sessions`", .0.display())]
    SourceNotLegacy(PathBuf),
    /// The folder cannot be read.
    #[error("cannot read `{}`: {cause}; give yourself permission to read it", .path.display())]
    SourceUnreadable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: Arc<std::io::Error>,
    },
    /// The store to be written lies among the files to be read.
    #[error(
        "the target `{}` lies inside the source `{}`; put it elsewhere, or into the folder `store` of the source",
        .target_path.display(),
        .source_path.display()
    )]
    SourceHoldsTarget {
        /// The store.
        target_path: PathBuf,
        /// The legacy folder.
        source_path: PathBuf,
    },
    /// What is to be imported with the folder is nothing of the old extension.
    #[error("`{}` is neither the state of VS Code with something of the extension in it nor a folder with `messages.jsonl`", .0.display())]
    SourceNotState(PathBuf),
    /// Whenever something was to be written, somebody else had just written it.
    #[error("another migration writes into the same store at the same time; run this one again when that one is done")]
    TargetBusy,
    /// What is found is noted in a temporary file, which could not be written or read.
    #[error(
        "cannot use a temporary file: {0}; make room where temporary files are, or name another folder with `TMPDIR`"
    )]
    TemporaryFile(#[source] Arc<std::io::Error>),
    /// The store could not be read or written.
    #[error("{0}; {next}", next = .0.next_step())]
    Store(#[source] nofx_core::Error),
}

impl MigrateError {
    /// Returns the stable name of this kind of error, as scripts see it; of an error of the store, the store's.
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
