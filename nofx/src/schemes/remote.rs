//! `s3://`, `gs://`, `az://` and `file:///`, a store in object storage or in a folder of the same layout (`nofx-remote`).

use std::fs;
use std::path::Path;

use super::{Form, Scheme};

pub(super) const S3: Scheme = Scheme { usage: Some("s3://BUCKET/PREFIX"), ..scheme("s3", Form::Bucket) };

pub(super) const GS: Scheme = scheme("gs", Form::Bucket);

pub(super) const AZ: Scheme = scheme("az", Form::Bucket);

pub(super) const FILE: Scheme = scheme("file", Form::FolderAddress { is_store });

const fn scheme(name: &'static str, form: Form) -> Scheme {
    Scheme {
        name,
        usage: None,
        feature: Some("remote"),
        form,
        #[cfg(feature = "remote")]
        backend: Some(built::BACKEND),
        #[cfg(not(feature = "remote"))]
        backend: None,
    }
}

/// Returns whether a folder is a store in the layout of object storage, which its commits show.
fn is_store(folder: &Path) -> bool {
    let is_commit = |name: &[u8]| name.len() == 20 && name.iter().all(u8::is_ascii_digit);
    let mut commits = fs::read_dir(folder.join("root")).into_iter().flatten().flatten();
    commits.any(|entry| is_commit(entry.file_name().as_encoded_bytes()))
}

#[cfg(feature = "remote")]
mod built {
    use std::sync::Arc;

    use nofx_core::{PersistenceBackend, Repaired, Result};
    use nofx_remote::RemoteBackend;

    use super::super::Backend;
    use crate::{Finding, Location, Options};

    pub(super) const BACKEND: Backend = Backend {
        open: |location, options| {
            Box::pin(async { Ok(Arc::new(open(location, options).await?) as Arc<dyn PersistenceBackend>) })
        },
        opens_read_only: false,
        check: Some(|location| Box::pin(check(location))),
        repair: Some(|location, gives_up| Box::pin(repair(location, gives_up))),
        journal_is_optional: false,
        sets_aside: false,
        publish: None,
        shrink: None,
        upgrade: None,
    };

    async fn open(location: &Location, options: &Options) -> Result<RemoteBackend> {
        let remote = nofx_remote::Options::default()
            .create(options.create)
            .requests(options.requests.clone())
            .sources(options.sources.clone());
        RemoteBackend::open(&location.url(), remote).await
    }

    async fn check(location: &Location) -> Result<Vec<Finding>> {
        let backend = open(location, &Options::existing()).await?;
        let found = backend.check().await;
        backend.close().await?;
        let to_finding =
            |found: nofx_remote::Finding| Finding { thing: found.object, what: found.what, is_damage: found.is_damage };
        Ok(found?.into_iter().map(to_finding).collect())
    }

    async fn repair(location: &Location, gives_up: bool) -> Result<Repaired> {
        let backend = open(location, &Options::existing()).await?;
        let repaired = backend.repair(gives_up).await;
        backend.close().await?;
        repaired
    }
}
