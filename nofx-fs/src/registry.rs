//! The stores that this process has open: all handles on one folder share one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use nofx_core::{Error, Repaired, Result};
use nofx_journal::fault::During;
use nofx_journal::files::Disk;
use nofx_platform::{flush_folder, make_private, real};

use crate::options::Options;
use crate::store::OpenFolder;
use crate::{config, repair};

static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<OpenFolder>>>> = LazyLock::new(Mutex::default);

/// How long closing waits for the files at most: long enough to write those of an import, but limited in case the disk
/// hangs.
const FILES_WAIT: Duration = Duration::from_secs(60);

/// Opens the store in a folder, or returns the one that is open.
pub(crate) fn open(path: &Path, options: Options) -> Result<Arc<OpenFolder>> {
    make(path)?;
    let root = real(path).during("looking for", path)?;
    // Held while a store is opened, so that two handles never open it twice.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|_, shared| shared.strong_count() > 0);
    // Handles on a store that is gone or was replaced stay with it; a handle opened now gets what is there.
    if let Some(shared) = open.get(&root).and_then(Weak::upgrade)
        && !matches!(shared.refuse_replaced(), Err(Error::Gone(_) | Error::Replaced(_)))
    {
        return Ok(shared);
    }
    let shared = Arc::new(OpenFolder::open(Arc::new(Disk::new(&root)), &root, options)?);
    open.insert(root, Arc::downgrade(&shared));
    Ok(shared)
}

/// Repairs the store in an existing folder.
pub(crate) fn repair(path: &Path, options: Options, gives_up: bool) -> Result<Repaired> {
    let root = real(path).during("looking for", path)?;
    let writable = Disk::new(&root);
    let mut repairs = repair::free_doors(&writable)?;
    repairs.extend(config::repair(&writable, &root)?);
    let shared = open(&root, options)?;
    let mut done = shared.repair(gives_up)?;
    done.repairs.splice(0..0, repairs);
    Ok(done)
}

/// Creates the folder and those above it, if there is none.
fn make(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_private(path).during("making", path)?;
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        flush_folder(above).during("flushing", above)?;
    }
    Ok(())
}

/// Releases a store. If something was committed, the last handle waits until the files have it, because readers do not
/// apply it. What they lack after a minute is in the journal.
pub(crate) fn let_go(shared: Arc<OpenFolder>) {
    let waits = shared.engine.has_committed();
    let (done, is_done) = mpsc::channel::<()>();
    let dropping = thread::Builder::new().name("nofx-fs-close".to_owned()).spawn(move || {
        drop(shared);
        // If it took long, the caller no longer waits.
        _ = done.send(());
    });
    if dropping.is_ok() && waits {
        _ = is_done.recv_timeout(FILES_WAIT);
    }
}
