//! The few functions that Node sees.

use std::path::{Path, PathBuf};
use std::time::Duration;

use napi_derive::napi;
use nofx::json::quote;
use nofx::workspace::Workspace;
use nofx::{Error, Location, Options};

use crate::failure::guarded;
use crate::migration::Watched;
use crate::request::Request;
use crate::verbs;

/// An open store.
#[napi]
#[derive(Debug)]
pub struct Handle {
    workspace: Workspace,
    /// The file of the store, if it is one.
    place: Option<PathBuf>,
    migration: Watched,
}

/// Opens the store at a location.
#[napi]
pub async fn open(location: String, options: String) -> napi::Result<Handle> {
    let opening = async {
        let request = Request::parse(&options)?;
        let mut options = Options::default();
        options.read_only = request.optional("readOnly")?.unwrap_or(false);
        options.create = request.optional("create")?.unwrap_or(!options.read_only);
        let location: Location = location.parse()?;
        let place = location.path().map(Path::to_owned);
        let store = nofx::open_with(&location, options).await?;
        Ok(Handle { workspace: Workspace::new(store), place, migration: Watched::default() })
    };
    Ok(guarded(opening).await?)
}

#[napi]
impl Handle {
    /// Returns what the store is, as JSON.
    #[napi]
    pub fn info(&self) -> String {
        let info = self.workspace.store().info();
        let read_only = info.read_only.as_deref().map_or("null".to_owned(), quote);
        format!(r#"{{"backend":{},"store":"{}","readOnly":{read_only}}}"#, quote(info.backend), info.store)
    }

    /// Answers a question; question and answer are JSON.
    #[napi]
    pub async fn ask(&self, verb: String, request: String) -> napi::Result<String> {
        let asking = async { verbs::answer(&self.workspace, &verb, &Request::parse(&request)?).await };
        Ok(guarded(asking).await?)
    }

    /// Brings a legacy folder into the store, and returns a report.
    #[napi]
    pub async fn migrate(&self, request: String) -> napi::Result<String> {
        let migrating = async {
            let request = Request::parse(&request)?;
            self.migration.migrate(&self.workspace, self.place.clone(), &request).await
        };
        Ok(guarded(migrating).await?)
    }

    /// Returns how far the migration under way is.
    #[napi]
    pub fn migration_progress(&self) -> String {
        self.migration.progress()
    }

    /// Commits what waits and lets go of the store, within so many milliseconds.
    #[napi]
    pub async fn close(&self, wait: u32) -> napi::Result<()> {
        let closing = async {
            let wait = Duration::from_millis(wait.into());
            let closed = tokio::time::timeout(wait, self.workspace.store().close()).await;
            closed.unwrap_or_else(|_| Err(Error::unavailable("closing: a commit is still in flight")))
        };
        Ok(guarded(closing).await?)
    }
}
