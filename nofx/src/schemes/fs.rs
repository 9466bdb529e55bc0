//! `fs:PATH`, a folder of files that people can read (`nofx-fs`).

use std::fs;
use std::path::Path;

use super::{Form, Scheme};

pub(super) const FS: Scheme = Scheme {
    name: "fs",
    usage: Some("fs:PATH"),
    feature: Some("fs"),
    form: Form::Folder { is_store, last: CONFIG, ignores_itself: true },
    #[cfg(feature = "fs")]
    backend: Some(built::BACKEND),
    #[cfg(not(feature = "fs"))]
    backend: None,
};

const CONFIG: &str = "config.json";

fn is_store(folder: &Path) -> bool {
    fs::read_to_string(folder.join(CONFIG)).is_ok_and(|config| config.contains("\"nofx-fs\""))
}

#[cfg(feature = "fs")]
mod built {
    use std::path::Path;
    use std::sync::Arc;

    use nofx_core::{Error, PersistenceBackend, Repaired, Result};
    use nofx_fs::FsBackend;

    use super::super::Backend;
    use super::CONFIG;
    use crate::{Finding, Location, Options};

    pub(super) const BACKEND: Backend = Backend {
        open: |location, options| {
            Box::pin(async { Ok(Arc::new(open(location, options).await?) as Arc<dyn PersistenceBackend>) })
        },
        opens_read_only: false,
        check: Some(|location| Box::pin(check(location))),
        repair: Some(|location, gives_up| Box::pin(repair(location, gives_up))),
        journal_is_optional: false,
        sets_aside: true,
        publish: None,
        shrink: None,
        upgrade: None,
    };

    async fn open(location: &Location, options: &Options) -> Result<FsBackend> {
        let path = path(location);
        let config = path.join(CONFIG);
        match std::fs::metadata(&config) {
            Err(error) if !options.create => {
                return Err(match nofx_platform::is_missing(&error) {
                    true => {
                        Error::invalid(format!("`{location}` is not a NofX store: it is a folder without a `{CONFIG}`"))
                    }
                    false => Error::unavailable_because(format!("opening `{}`", config.display()), error),
                });
            }
            _ => {}
        }
        let mut fs = nofx_fs::Options::default();
        fs.sources = options.sources.clone();
        FsBackend::open_with(path, fs).await
    }

    async fn check(location: &Location) -> Result<Vec<Finding>> {
        let backend = open(location, &Options::existing()).await?;
        let found = backend.check().await;
        backend.close().await?;
        let to_finding = |found: nofx_fs::Finding| Finding {
            thing: nofx_platform::slashed(&found.path),
            what: found.what,
            is_damage: found.severity == nofx_fs::Severity::Damage,
        };
        Ok(found?.into_iter().map(to_finding).collect())
    }

    async fn repair(location: &Location, gives_up: bool) -> Result<Repaired> {
        FsBackend::repair(path(location), nofx_fs::Options::default(), gives_up).await
    }

    fn path(location: &Location) -> &Path {
        location.path().unwrap_or(Path::new(""))
    }
}
