//! Lossless migration into NofX stores, and the dumps.
//!
//! [`migrate`] imports the folder `.nofx` of the old extension into any store: everything in it becomes an entity or is kept
//! byte for byte, once, however often it is called.
//!
//! ```
//! use std::sync::Arc;
//! use nofx_core::{MemoryBackend, Store};
//! use nofx_migrate::{NoProgress, Options, migrate};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let workspace = tempfile::tempdir()?;
//! # std::fs::create_dir(workspace.path().join(".nofx"))?;
//! # std::fs::write(workspace.path().join(".nofx/agents.json"), r#"{"agents": [{"id": "ada"}]}"#)?;
//! let store = Store::new(Arc::new(MemoryBackend::new()));
//! let mut options = Options::default();
//! options.verify = true;
//! let report = migrate(workspace.path(), &store, &options, &NoProgress).await?;
//! assert!(report.is_complete());
//! assert_eq!(report.kinds["agents"].added, 1);
//! # Ok(()) }
//! ```
//!
//! - [`Report`] accounts for every file and every byte; [`MigrateError`] says why a migration failed. Damage is not an error.
//! - [`read_attachment`] returns the bytes that became no entity.
//! - [`dump`] writes a store as text for exchange, [`dump_full`] as text that [`load`] reads back; [`copy`] copies any
//!   store into any other, [`backup`] one that others are writing to.
//!
//! What is not here: any backend. The source is never changed.

mod attachment;
mod backup;
mod copy;
mod digest;
mod dump;
mod error;
mod filling;
mod import;
mod legacy;
mod options;
mod outside;
mod report;
mod source;
mod tree;

pub use attachment::read_attachment;
pub use backup::{BackupError, backup};
pub use copy::{CopyError, CopyProgress, copy};
pub use dump::{Counts, DumpError, FullDump, LoadError, anything_in, check_dump, dump, dump_full, full_digest, load};
pub use error::MigrateError;
pub use import::migrate;
pub use options::{MEMORY, MigrationProgress, NoProgress, Options};
pub use outside::OutsideSource;
pub use report::{
    Compared, FileReport, FileReports, FileState, ImportFinding, KindTotals, Level, Report, Skipped, Totals, Unused,
    Verification,
};
pub use source::check_source;
pub use tree::legacy_folder;
