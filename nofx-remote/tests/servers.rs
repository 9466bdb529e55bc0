//! The conformance suite on servers, over HTTP and with signatures, several processes included.
//!
//! One is in this process and needs nothing: `s3s` over a folder. Any other bucket can be named by its location; its
//! credentials come from the environment:
//!
//! - `NOFX_TEST_S3`, for example `s3://nofx?endpoint=http://127.0.0.1:5000&region=us-east-1` for moto;
//! - `NOFX_TEST_AZURE`, for example `az://nofx?use_emulator=true` for azurite, where the container must exist;
//! - `NOFX_TEST_GCS`.
//!
//! `cargo xtask ci` starts moto and azurite and sets the first two; if it could not, `NOFX_TEST_S3_LACKS` and
//! `NOFX_TEST_AZURE_LACKS` say why.

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use nofx_core::{Error, PersistenceBackend, Result, Sources};
use nofx_remote::{Options, RemoteBackend};
use nofx_testkit::{Factory, Place, conformance_of};
use url::Url;

use server::{ACCESS_KEY, SECRET_KEY, Server};

/// Where the stores on one sort of server live.
struct Bucket {
    name: &'static str,
    /// The variable that names the bucket; `None` for the server in this process.
    variable: Option<&'static str>,
    server: std::sync::OnceLock<Server>,
    places: AtomicU64,
}

/// A prefix of a bucket.
struct Prefix {
    location: String,
    own: bool,
}

impl Bucket {
    fn new(name: &'static str, variable: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { name, variable, server: Default::default(), places: AtomicU64::new(0) })
    }

    fn bucket(&self) -> Result<Url> {
        let location = match self.variable {
            None => self.server.get_or_init(Server::start).bucket(),
            Some(variable) => std::env::var(variable).unwrap_or_default(),
        };
        Url::parse(&location).map_err(|error| Error::invalid_because("the location of a bucket", error))
    }
}

async fn open(location: &str, own: bool) -> Result<Arc<dyn PersistenceBackend>> {
    let mut options = Options::default();
    if own {
        options = options.set("access_key_id", ACCESS_KEY).set("secret_access_key", SECRET_KEY);
        // Reading the machine's certificates takes longer than most cases, and this server needs none.
        options = options.set("disable_system_certificates", "true");
    }
    Ok(Arc::new(RemoteBackend::open(location, options).await?))
}

#[async_trait]
impl Factory for Bucket {
    fn name(&self) -> &str {
        self.name
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let mut url = self.bucket()?;
        // Unique in a bucket that other runs use too.
        let number = self.places.fetch_add(1, Ordering::SeqCst);
        url.set_path(&format!("{}/{}-{number}", url.path().trim_end_matches('/'), Sources::default().store_id()));
        Ok(Arc::new(Prefix { location: url.into(), own: self.variable.is_none() }))
    }

    async fn reopen(&self, address: &str) -> Result<Arc<dyn PersistenceBackend>> {
        open(address, self.variable.is_none()).await
    }

    fn lacks(&self) -> Option<String> {
        let variable = self.variable?;
        let why = || std::env::var(format!("{variable}_LACKS")).unwrap_or_else(|_| format!("{variable} is not set"));
        std::env::var(variable).is_err().then(why)
    }
}

#[async_trait]
impl Place for Prefix {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        open(&self.location, self.own).await
    }

    fn address(&self) -> Option<String> {
        Some(self.location.clone())
    }
}

fn main() {
    conformance_of(vec![
        Bucket::new("remote-s3s", None),
        Bucket::new("remote-s3", Some("NOFX_TEST_S3")),
        Bucket::new("remote-azure", Some("NOFX_TEST_AZURE")),
        Bucket::new("remote-gcs", Some("NOFX_TEST_GCS")),
    ])
}
