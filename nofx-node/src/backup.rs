//! Backs up a store in use.

use nofx::migrate::{BackupError, Counts};
use nofx::workspace::{Progress, Workspace};
use nofx::{Error, Location, Options, Result};

use crate::request::Request;

/// Creates a new store with the state of this one at one point in time.
pub(crate) async fn made(workspace: &Workspace, request: &Request, progress: &Progress) -> Result<String> {
    let to: Location = request.text("to")?.parse()?;
    let mut options = Options::default();
    options.create = true;
    #[cfg(feature = "redb")]
    {
        options.journal = request.optional("journal")?.unwrap_or(options.journal);
    }
    let target = nofx::open_with(&to, options).await?;
    progress.begin("copying");
    let mut reported = 0;
    let mut tell = |Counts { records, entries, .. }| {
        progress.advance(records + entries - reported);
        reported = records + entries;
    };
    let copied = nofx::migrate::backup(workspace.store(), &target, &mut tell).await;
    if copied.is_ok() {
        // Everything is copied already, so it is not an error if the copy cannot be made smaller.
        _ = nofx::settle(&to, true).await;
    }
    let closed = target.close().await;
    copied.map_err(|error| match error {
        BackupError::Store(error) => error,
        other => Error::invalid(format!("cannot back up to `{to}`: {other}")),
    })?;
    closed?;
    Ok("null".to_owned())
}
