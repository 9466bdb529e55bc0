//! Sabotages of what a store contains when it is opened again, and of what it leaves on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use nofx_core::{
    BackendInfo, Batch, Changes, Cursor, Durability, Error, LogEntry, LogHead, LogKey, LogQuery, LogScan,
    MemoryBackend, Outcome, Page, PersistenceBackend, Record, RecordKey, Result, ScanQuery, Sources,
};
use nofx_testkit::{Factory, Place};

/// What is no longer there when a store is opened again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Losing {
    Nothing,
    LastGroup,
    BatchIds,
    /// The groups whose lines in the file were changed.
    DamagedGroups,
    /// That its file is as it was.
    UntouchedFile,
    /// That only the owner can read its file.
    #[cfg(unix)]
    Privacy,
}

/// Makes places that keep what was committed, also as lines of a file, and build a new store from it when no handle is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rebuilding {
    pub(crate) losing: Losing,
}

#[async_trait]
impl Factory for Rebuilding {
    fn name(&self) -> &str {
        "rebuilding"
    }

    async fn place(&self) -> Result<Arc<dyn Place>> {
        let folder = tempfile::tempdir().map_err(|error| Error::unavailable_because("a temporary folder", error))?;
        Ok(Arc::new(RebuildingPlace { losing: self.losing, kept: Arc::default(), open: Mutex::default(), folder }))
    }
}

type Kept = Arc<Mutex<Vec<Vec<Batch>>>>;

struct RebuildingPlace {
    losing: Losing,
    kept: Kept,
    open: Mutex<Weak<MemoryBackend>>,
    folder: tempfile::TempDir,
}

#[async_trait]
impl Place for RebuildingPlace {
    async fn open(&self) -> Result<Arc<dyn PersistenceBackend>> {
        let open = self.open.lock().unwrap().upgrade();
        let shared = match open {
            Some(shared) => shared,
            None => self.rebuild().await?,
        };
        *self.open.lock().unwrap() = Arc::downgrade(&shared);
        let file = Arc::new(Mutex::new(open_file(&self.file(), self.losing)?));
        Ok(Arc::new(Rebuilt { inner: shared.another_handle(), shared, kept: self.kept.clone(), file }))
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.folder.path().to_owned())
    }
}

/// Returns the line of a group.
fn line(group: &[Batch]) -> String {
    format!("{group:?}\n")
}

/// Opens the file for adding lines.
fn open_file(path: &Path, losing: Losing) -> Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if losing == Losing::Privacy { 0o644 } else { 0o600 });
    let mut file = options.open(path).map_err(|error| Error::unavailable_because("opening the file", error))?;
    if losing == Losing::UntouchedFile {
        // As one does that notes who has opened it.
        writeln!(file, "opened").map_err(|error| Error::unavailable_because("writing", error))?;
    }
    Ok(file)
}

impl RebuildingPlace {
    fn file(&self) -> PathBuf {
        self.folder.path().join("groups")
    }

    async fn rebuild(&self) -> Result<Arc<MemoryBackend>> {
        if self.losing == Losing::LastGroup {
            self.kept.lock().unwrap().pop();
        }
        let kept = self.kept.lock().unwrap().clone();
        let written = fs::read(self.file()).unwrap_or_default();
        let memory = MemoryBackend::new();
        let mut end = 0;
        for mut group in kept {
            let begin = end;
            end += line(&group).len();
            let is_damaged =
                self.losing != Losing::UntouchedFile && written.get(begin..end) != Some(line(&group).as_bytes());
            match self.losing {
                Losing::DamagedGroups if is_damaged => continue,
                _ if is_damaged => return Err(Error::corrupt(format!("the line at {begin}"))),
                _ => {}
            }
            if self.losing == Losing::BatchIds {
                group.iter_mut().for_each(|batch| batch.id = Sources::default().batch_id());
            }
            memory.commit(group).await?;
        }
        Ok(Arc::new(memory))
    }
}

#[derive(Debug)]
struct Rebuilt {
    inner: MemoryBackend,
    /// Keeps the store while a handle is left.
    #[expect(dead_code, reason = "held, not used")]
    shared: Arc<MemoryBackend>,
    kept: Kept,
    file: Arc<Mutex<File>>,
}

#[async_trait]
impl PersistenceBackend for Rebuilt {
    fn info(&self) -> BackendInfo {
        BackendInfo { backend: "rebuilt", durability: Durability::Disk, ..self.inner.info() }
    }

    async fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.inner.get(keys).await
    }

    async fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.inner.scan(query).await
    }

    async fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.inner.heads(logs).await
    }

    async fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.inner.logs(query).await
    }

    async fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        // As a backend does that waits for its disk on another thread.
        tokio::task::yield_now().await;
        self.inner.read(query).await
    }

    async fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.inner.changes(after, limit).await
    }

    async fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        let outcomes = self.inner.commit(group.clone()).await?;
        let (mut kept, mut file) = (self.kept.lock().unwrap(), self.file.lock().unwrap());
        file.write_all(line(&group).as_bytes()).map_err(|error| Error::unknown_because("writing", error))?;
        kept.push(group);
        Ok(outcomes)
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
