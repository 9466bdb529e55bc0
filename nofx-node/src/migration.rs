//! Imports a legacy folder into an open store, with progress that callers poll.
//!
//! JavaScript polls the progress as often as it shows it, so the migration never calls back and never waits for Node.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nofx::json::quote;
use nofx::migrate::{Level, MigrateError, MigrationProgress, Options, Report, anything_in, migrate};
use nofx::workspace::Workspace;
use nofx::{Error, Location, Result};

use crate::request::Request;

/// The progress of the migration into a store.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    running: tokio::sync::Mutex<()>,
    done: Mutex<Done>,
}

/// The progress of a phase.
#[derive(Clone, Debug, Default)]
struct Done {
    phase: &'static str,
    files: u64,
    bytes: u64,
    total_files: u64,
    total_bytes: u64,
}

impl Watched {
    /// Migrates; one folder at a time.
    pub(crate) async fn migrate(&self, to: &Workspace, location: &Location, request: &Request) -> Result<String> {
        let Ok(_running) = self.running.try_lock() else {
            return Err(Error::unavailable("a migration into this store is already running"));
        };
        *self.done() = Done::default();
        let from = request.text("from")?;
        let mut options = Options::default();
        options.dry_run = request.optional("dryRun")?.unwrap_or(false);
        options.verify = request.optional("verify")?.unwrap_or(true);
        options.target_path = location.path().map(Path::to_owned);
        let is_new = anything_in(to.store()).await?.is_none();
        let report = migrate(from.as_ref(), to.store(), &options, self).await.map_err(folded)?;
        if !options.dry_run && report.kinds.values().any(|kind| kind.added > 0) {
            // Everything is imported already, so it is not an error if the store cannot be made smaller.
            _ = nofx::settle(location, is_new).await;
        }
        Ok(to_json(&report))
    }

    /// Returns the progress of the migration, as JSON.
    pub(crate) fn progress(&self) -> String {
        let Done { phase, files, bytes, total_files, total_bytes } = self.done().clone();
        format!(
            r#"{{"phase":"{phase}","files":{files},"bytes":{bytes},"totalFiles":{total_files},"totalBytes":{total_bytes}}}"#
        )
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MigrationProgress for Watched {
    fn phase(&self, name: &'static str) {
        *self.done() = Done { phase: name, ..Done::default() };
    }

    fn total(&self, files: u64, bytes: u64) {
        let mut done = self.done();
        (done.total_files, done.total_bytes) = (files, bytes);
    }

    fn advance(&self, _path: &str, bytes: u64) {
        let mut done = self.done();
        done.files += 1;
        done.bytes += bytes;
    }
}

fn folded(error: MigrateError) -> Error {
    match error {
        MigrateError::Store(error) => error,
        MigrateError::SourceUnreadable { .. } | MigrateError::TargetBusy => Error::unavailable(error.to_string()),
        _ => Error::invalid(error.to_string()),
    }
}

/// Writes a report: the parts that people see, and all of it as text.
fn to_json(report: &Report) -> String {
    let kinds = report.kinds.iter().map(|(name, kind)| format!(r#"{}:{}"#, quote(name), kind.added));
    let findings = report.findings.iter().map(|finding| {
        let level = match finding.level {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Missing => "missing",
        };
        let (code, path, message) = (quote(finding.code), quote(&finding.path), quote(&finding.message));
        format!(r#"{{"code":{code},"level":"{level}","path":{path},"message":{message}}}"#)
    });
    format!(
        r#"{{"complete":{},"damaged":{},"files":{},"bytes":{},"added":{{{}}},"findings":[{}],"text":{}}}"#,
        report.is_complete(),
        report.has_damage(),
        report.totals.files,
        report.totals.bytes,
        kinds.collect::<Vec<_>>().join(","),
        findings.collect::<Vec<_>>().join(","),
        quote(&report.to_string()),
    )
}
