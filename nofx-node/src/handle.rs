//! The few functions that Node calls.

use std::sync::Arc;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use nofx::json::quote;
use nofx::workspace::{ExpiryWatch, Workspace};
use nofx::{Error, Location, Options};
use tokio::sync::Mutex;

use crate::answers::Answers;
use crate::call::Call;
use crate::expiry;
use crate::failure::{JsFailure, guarded};
use crate::messages;
use crate::migration::Watched;
use crate::request::Request;
use crate::verbs;

/// An open store.
///
/// A call shares what it needs and never borrows the handle: when a thread is stopped, Node frees that thread's objects while
/// calls are still running.
#[napi]
#[derive(Debug)]
pub struct Handle(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    workspace: Workspace,
    location: Location,
    migration: Arc<Watched>,
}

impl Opened {
    fn scoped(&self, scope: &str) -> nofx::Result<Self> {
        let scope = Request::parse(scope)?;
        let mut workspace = self.workspace.clone();
        if let Some(name) = scope.optional_text("namespace")? {
            workspace = workspace.namespace(&name)?;
        }
        if let Some(id) = scope.optional_text("operation")? {
            workspace = workspace.operation(&id)?;
        }
        Ok(Self { workspace, location: self.location.clone(), migration: self.migration.clone() })
    }
}

/// Opens the store at a location.
#[napi]
pub async fn open(location: String, options: String) -> napi::Result<Handle> {
    let opening = async {
        let request = Request::parse(&options)?;
        let mut options = Options::default();
        options.read_only = request.optional("readOnly")?.unwrap_or(false);
        options.create = request.optional("create")?.unwrap_or(!options.read_only);
        #[cfg(feature = "redb")]
        {
            options.journal = request.optional("journal")?.unwrap_or(options.journal);
        }
        let location: Location = location.parse()?;
        let store = nofx::open_with(&location, options).await?;
        Ok(Handle(Arc::new(Opened { workspace: Workspace::new(store), location, migration: Arc::default() })))
    };
    Ok(guarded(opening).await?)
}

/// A watch for expiring sessions; like calls, it shares the store and never borrows it.
#[napi]
#[derive(Debug)]
pub struct Expiry(Arc<Mutex<ExpiryWatch>>);

#[napi]
impl Expiry {
    /// Returns what is due now and when more is due, as JSON.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn poll<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, String>> {
        let watch = self.0.clone();
        env.spawn_future(async move { Ok(guarded(async move { expiry::due(&mut *watch.lock().await).await }).await?) })
    }
}

#[napi]
impl Handle {
    /// Returns a handle of the same store that is limited to a namespace, or belongs to an operation, or both.
    #[napi]
    pub fn scoped(&self, scope: String) -> napi::Result<Handle> {
        Ok(self.0.scoped(&scope).map(|opened| Handle(Arc::new(opened))).map_err(JsFailure::from)?)
    }

    /// Returns what is known about the store, as JSON.
    #[napi]
    pub fn info(&self) -> String {
        let info = self.0.workspace.store().info();
        let read_only = info.read_only.as_deref().map_or("null".to_owned(), quote);
        format!(r#"{{"backend":{},"store":"{}","readOnly":{read_only}}}"#, quote(info.backend), info.store)
    }

    /// Answers a request; request and answer are JSON.
    #[napi]
    pub fn ask(&self, answers: &Answers, call: u32, verb: String, request: String) {
        let opened = self.0.clone();
        answers.answer(call, async move {
            let answer = verbs::answer(&opened.workspace, &verb, &Request::parse(&request)?).await?;
            Ok(vec![answer])
        });
    }

    /// Returns a page of a session's messages: texts that are arrays of entries, and a last one that says where the next page begins.
    #[napi]
    pub fn history(&self, answers: &Answers, call: u32, request: String) {
        let opened = self.0.clone();
        answers.answer(call, async move { messages::history(&opened.workspace, &Request::parse(&request)?).await });
    }

    /// Answers a request that may take long.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn ask_long<'env>(
        &self,
        env: &'env Env,
        verb: String,
        request: String,
        call: &Call,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let (opened, progress) = (self.0.clone(), call.progress_handle());
        let asking = call.run(async move {
            let (workspace, request) = (opened.workspace.with_progress(&progress), Request::parse(&request)?);
            verbs::answer_long(&workspace, &opened.location, &verb, &request, &progress).await
        });
        env.spawn_future(async move { Ok(guarded(asking).await?) })
    }

    /// Imports a legacy folder into the store, and returns a report.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn migrate<'env>(
        &self,
        env: &'env Env,
        request: String,
        call: &Call,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let opened = self.0.clone();
        let migrating = call.run(async move {
            let request = Request::parse(&request)?;
            opened.migration.migrate(&opened.workspace, &opened.location, &request).await
        });
        env.spawn_future(async move { Ok(guarded(migrating).await?) })
    }

    /// Returns the progress of the migration in flight.
    #[napi]
    pub fn migration_progress(&self) -> String {
        self.0.migration.progress()
    }

    /// Starts a watch for expiring sessions.
    #[napi]
    pub fn expiry_watch(&self) -> Expiry {
        Expiry(Arc::new(Mutex::new(self.0.workspace.expiry_watch())))
    }

    /// Commits what is waiting and releases the store, within this many milliseconds.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env, wait: u32) -> napi::Result<PromiseRaw<'env, ()>> {
        let opened = self.0.clone();
        let closing = async move {
            let wait = Duration::from_millis(wait.into());
            let closed = tokio::time::timeout(wait, opened.workspace.store().close()).await;
            closed.unwrap_or_else(|_| Err(Error::unknown("closing: a commit is still in flight")))
        };
        env.spawn_future(async move { Ok(guarded(closing).await?) })
    }
}
