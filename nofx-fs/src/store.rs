//! An open store: what the handles of one process on one folder share.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{BackendInfo, Error, LogKey, RecordKey, Result, StoreId};
use nofx_journal::fault::{During, forbids_writing};
use nofx_journal::files::{Files, WritableFiles};
use nofx_journal::follower::Follower;
use nofx_journal::{Engine, shared_files};

use crate::base::FsBase;
use crate::config::{self, Config};
use crate::layout;
use crate::listed::Listed;
use crate::options::Options;

/// What the handles of one process on one folder share: the engine that commits to its journal, over its files.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    pub(crate) engine: Arc<Engine>,
    pub(crate) base: Arc<FsBase>,
    pub(crate) writable: Arc<dyn WritableFiles>,
    pub(crate) root: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) options: Options,
    /// Set if this process can only read.
    pub(crate) read_only: Option<ReadOnlyReason>,
}

/// Why a handle only reads, and the error of a commit.
#[derive(Clone, Debug)]
pub(crate) struct ReadOnlyReason {
    pub(crate) reason: String,
    pub(crate) error: Error,
}

/// Every record and log of a store: what the files hold, and what only the journal has so far.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) listed: Listed,
    /// What the journal writes or deletes beyond that.
    pub(crate) records: BTreeSet<RecordKey>,
    pub(crate) logs: BTreeSet<LogKey>,
}

impl OpenFolder {
    /// Opens the store in an existing folder, and creates one if the folder is empty.
    pub(crate) fn open(writable: Arc<dyn WritableFiles>, root: &Path, options: Options) -> Result<Self> {
        let config = config::read_or_create(&*writable, root, &options)?;
        let read_only = ReadOnlyReason::find(&*writable, root, &config)?;
        let base = Arc::new(FsBase::new(writable.clone(), root, &config, options.at_once));
        let (at, store) = (layout::AT.clone(), config.store);
        let engine = Arc::new(match &read_only {
            Some(read_only) => Engine::reading(writable.clone(), at, store, base.clone(), read_only.error.clone()),
            None => Engine::writing(writable.clone(), at, store, base.clone(), options.of_engine()),
        });
        base.known()?;
        Ok(Self { engine, base, writable, root: root.to_owned(), store, options, read_only })
    }

    pub(crate) fn follower(&self) -> &Follower {
        self.engine.follower()
    }

    pub(crate) fn files(&self) -> &dyn Files {
        &*self.writable
    }

    /// Fails if another store, or another copy of this one, is in its place.
    pub(crate) fn refuse_replaced(&self) -> Result<()> {
        self.base.known()?;
        self.follower().follow().map(drop)
    }

    /// Follows the journal, and returns every record and log. If the journal cannot be followed, those of the files.
    pub(crate) fn keys(&self) -> Result<Keys> {
        match self.follower().follow() {
            Err(Error::Corrupt(_)) => {}
            followed => _ = followed?,
        }
        let unapplied = self.follower().unapplied();
        let (records, logs) = (unapplied.records.into_iter().collect(), unapplied.logs.into_iter().collect());
        Ok(Keys { listed: self.base.listed()?, records, logs })
    }
}

impl Keys {
    pub(crate) fn has_record(&self, key: &RecordKey) -> bool {
        self.records.contains(key) || self.listed.records.contains_key(key)
    }

    pub(crate) fn has_log(&self, log: &LogKey) -> bool {
        self.logs.contains(log) || self.listed.logs.contains_key(log)
    }

    /// Returns the files that are still to be written or removed.
    pub(crate) fn unapplied_paths(&self) -> impl Iterator<Item = PathBuf> {
        let records = self.records.iter().filter(|key| !layout::is_index(key.kind())).map(layout::record);
        records.chain(self.logs.iter().flat_map(|log| [layout::open_log(log), layout::sealed_log(log)]))
    }

    /// Returns every file that records and logs may have, including those of removed items while the files may still
    /// exist.
    pub(crate) fn paths(&self) -> HashSet<PathBuf> {
        let mut paths = self.listed.paths();
        paths.extend(self.unapplied_paths());
        paths
    }
}

impl ReadOnlyReason {
    /// Returns why a store can only be read, as far as that can be determined without writing.
    fn find(files: &dyn Files, root: &Path, config: &Config) -> Result<Option<Self>> {
        let tip = files.open(Path::new(layout::TIP));
        let no_tip = tip.as_ref().err();
        if let Some(version) = config.too_new {
            let (root, newer) = (root.display(), BackendInfo::NEWER_VERSION);
            let what = format!("`{root}` has format {version} of a {newer} of this program");
            return Ok(Some(Self { reason: what.clone(), error: Error::too_new(what) }));
        }
        if let Some(what) = &config.damage {
            return Ok(Some(Self::damaged(what)));
        }
        if let Some(reason) = files.foreign().during("looking at", Path::new("."))? {
            return Ok(Some(Self::because(root, reason)));
        }
        let mut no_files = shared_files::no_locks(files, &layout::AT);
        no_files.extend(no_tip.filter(|error| error.kind() == io::ErrorKind::InvalidData).map(|_| layout::TIP.into()));
        if let Some(path) = no_files.first() {
            return Ok(Some(Self::damaged(&format!("`{}` is not a file", path.display()))));
        }
        if no_tip.is_some() && files.open(Path::new(layout::JOURNAL)).is_ok() {
            return Ok(Some(Self::damaged(&format!("`{}` is not a folder", layout::JOURNAL))));
        }
        let shared_files = [layout::LOCK, layout::APPLY_LOCK, layout::TIP];
        let closed =
            shared_files.into_iter().find(|path| files.may_edit(Path::new(path)).is_err_and(|e| forbids_writing(&e)));
        let reason = |path: &str| format!("this process has no permission to write: opening `{path}`");
        Ok(closed.map(|path| Self::because(root, reason(path))))
    }

    fn because(root: &Path, reason: String) -> Self {
        let error = Error::unavailable(format!("`{}` is open for reading only: {reason}", root.display()));
        Self { reason, error }
    }

    fn damaged(what: &str) -> Self {
        let reason = format!("{what}, which `{}` repairs", BackendInfo::REPAIR);
        Self { error: Error::corrupt(reason.clone()), reason }
    }
}
