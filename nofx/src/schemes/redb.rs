//! `redb:PATH`, a store in one file (`nofx-redb`).

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::{Form, Scheme};
use crate::neighbours::Neighbour;

pub(super) const REDB: Scheme = Scheme {
    name: "redb",
    usage: Some("redb:PATH"),
    feature: Some("redb"),
    form: Form::File {
        usual: "nofx.redb",
        neighbours: &[
            Neighbour { suffix: ".lock", is_folder: false, is_part: false },
            Neighbour { suffix: ".new", is_folder: false, is_part: false },
            // The journal, if the store has one.
            Neighbour { suffix: "-journal", is_folder: true, is_part: true },
        ],
        is_store,
    },
    #[cfg(feature = "redb")]
    backend: Some(built::BACKEND),
    #[cfg(not(feature = "redb"))]
    backend: None,
};

fn is_store(path: &Path) -> bool {
    let mut begin = [0; 4];
    fs::metadata(path).is_ok_and(|found| found.is_file())
        && File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
        && begin == *b"redb"
}

#[cfg(feature = "redb")]
mod built {
    use std::path::Path;
    use std::sync::Arc;

    use nofx_core::{Error, PersistenceBackend, Repair, Repaired, Result};
    use nofx_redb::{DamagedPage, RedbBackend};

    use super::super::{Backend, Shrink};
    use crate::{Finding, Location, Options};

    pub(super) const BACKEND: Backend = Backend {
        open: |location, options| {
            Box::pin(async { Ok(Arc::new(open(location, options).await?) as Arc<dyn PersistenceBackend>) })
        },
        opens_read_only: true,
        check: Some(|location| Box::pin(check(location))),
        repair: Some(|location, gives_up| Box::pin(repair(location, gives_up))),
        journal_is_optional: true,
        sets_aside: false,
        publish: Some(|made, path| Box::pin(nofx_redb::publish(made, path))),
        shrink: Some(Shrink {
            compact: |location| Box::pin(compact(location)),
            was_compacted: |location| Box::pin(was_compacted(location)),
            give_back: |location| Box::pin(give_back(location)),
            pack: |location| Box::pin(nofx_redb::pack(path(location))),
        }),
        upgrade: Some(|location| Box::pin(nofx_redb::upgrade(path(location)))),
    };

    async fn open(location: &Location, options: &Options) -> Result<RedbBackend> {
        let mut redb = nofx_redb::Options::default();
        redb.create = options.create;
        redb.read_only = options.read_only;
        redb.journal = options.journal;
        redb.sources = options.sources.clone();
        RedbBackend::open_with(path(location), redb).await
    }

    async fn check(location: &Location) -> Result<Vec<Finding>> {
        let backend = open(location, &Options::read_only()).await?;
        let found = async { Ok::<_, Error>((backend.check().await?, backend.journal_damage().await?)) }.await;
        backend.close().await?;
        let (damaged, journal) = found?;
        let thing = path(location).display().to_string();
        let to_finding = |page: DamagedPage| {
            let of_what = match page.hides {
                true => "what was on it or below it cannot be read",
                false => {
                    "it only led to other pages, all of which can be read; the next commit on that path rewrites it"
                }
            };
            let what = format!("its page at byte {} is damaged: {of_what}", page.at);
            Finding { thing: thing.clone(), what, is_damage: page.hides }
        };
        let of_journal = journal.map(|what| Finding::damage(format!("the journal of {thing}"), what));
        Ok(of_journal.into_iter().chain(damaged.into_iter().map(to_finding)).collect())
    }

    async fn repair(location: &Location, gives_up: bool) -> Result<Repaired> {
        let backend = open(location, &Options::existing()).await?;
        let repaired = async {
            let has_repaired = backend.repair().await?;
            Ok::<_, Error>((has_repaired, backend.repair_journal(gives_up).await?))
        }
        .await;
        backend.close().await?;
        let (has_repaired, mut journal) = repaired?;
        let what = "its pages were inconsistent, and redb has repaired them".to_owned();
        let thing = path(location).display().to_string();
        journal.repairs.extend(has_repaired.then_some(Repair { thing, what, aside: None }));
        Ok(journal)
    }

    async fn compact(location: &Location) -> Result<()> {
        let backend = open(location, &Options::existing()).await?;
        let compacted = backend.compact().await;
        backend.close().await?;
        compacted
    }

    async fn was_compacted(location: &Location) -> Result<bool> {
        let backend = open(location, &Options::existing()).await?;
        let was_compacted = backend.was_compacted().await;
        backend.close().await?;
        was_compacted
    }

    async fn give_back(location: &Location) -> Result<()> {
        let backend = open(location, &Options::existing()).await?;
        let given = backend.give_back().await;
        backend.close().await?;
        given
    }

    fn path(location: &Location) -> &Path {
        location.path().unwrap_or(Path::new(""))
    }
}
