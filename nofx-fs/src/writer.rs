//! What a process needs to write to a store that it reads: the locks, the tip, and the turn to commit.

use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use nofx_core::{Deadline, Error, Result};
use nofx_journal::fault::During;
use nofx_journal::files::{WritableFile, WritableFiles};
use nofx_journal::lock::{HeldLock, Lock};
use nofx_journal::requests::Requests;
use nofx_journal::segment::{Position, Segment, Spares};
use nofx_journal::shared_files::{ReopenedFiles, SharedFiles};
use nofx_journal::tip::Tip;

use crate::apply::AppliedEnds;
use crate::layout;
use crate::reader::{StoreReader, TRY_PAUSE};

/// A store that is also written.
///
/// `committing` is taken before `applying`, and both before the locks of the reading side. The lock file belongs to
/// `committing`, the apply lock to `applying`.
#[derive(Debug)]
pub(crate) struct StoreWriter {
    pub(crate) reading: Arc<StoreReader>,
    pub(crate) writable: Arc<dyn WritableFiles>,
    shared_files: ReopenedFiles,
    /// Whether this process committed anything: only then are the files brought up to date before all handles are
    /// closed.
    committed: AtomicBool,
    /// The turn to commit, within this process.
    pub(crate) committing: Mutex<CommitTurn>,
    pub(crate) applying: Mutex<AppliedEnds>,
    /// Wakes the applier thread.
    pub(crate) requests: Requests,
}

/// What the committer needs.
#[derive(Debug, Default)]
pub(crate) struct CommitTurn {
    /// The segment that was last written.
    file: Option<Arc<dyn WritableFile>>,
    /// The last frame that this process flushed.
    pub(crate) flushed: Option<u64>,
    /// Which segments it may continue in.
    pub(crate) spares: Spares,
}

/// The files, while they cannot change.
#[derive(Debug)]
pub(crate) struct FrozenFiles<'a> {
    pub(crate) applied: MutexGuard<'a, AppliedEnds>,
    _held: (Arc<SharedFiles>, HeldLock),
}

/// A writer reads as well.
impl Deref for StoreWriter {
    type Target = StoreReader;

    fn deref(&self) -> &StoreReader {
        &self.reading
    }
}

impl StoreWriter {
    /// Creates what is needed for writing and does not exist yet.
    pub(crate) fn open(reading: Arc<StoreReader>, writable: Arc<dyn WritableFiles>) -> Result<Self> {
        if let Some(read_only) = &reading.read_only {
            return Err(read_only.error.clone());
        }
        reading.refuse_known()?;
        reading.refuse_another()?;
        Ok(Self {
            shared_files: ReopenedFiles::new(SharedFiles::open(&*writable, &layout::AT)?, &reading.root),
            reading,
            writable,
            committed: AtomicBool::new(false),
            committing: Mutex::default(),
            applying: Mutex::default(),
            requests: Requests::default(),
        })
    }

    /// Returns the tip and the lock files, after reopening any that were removed or replaced.
    pub(crate) fn shared_files(&self) -> Result<Arc<SharedFiles>> {
        self.refuse_known()?;
        self.shared_files.get(|| self.open_shared_files())
    }

    fn open_shared_files(&self) -> Result<SharedFiles> {
        self.refuse_another()?;
        SharedFiles::open(&*self.writable, &layout::AT)
    }

    /// Takes a lock on the file that other processes find too; `None` if it is taken and `take` does not wait.
    pub(crate) fn hold(
        &self,
        which: fn(&SharedFiles) -> &Lock,
        take: impl Fn(&Lock) -> Result<Option<HeldLock>>,
    ) -> Result<Option<(Arc<SharedFiles>, HeldLock)>> {
        self.refuse_known()?;
        self.shared_files.hold(which, take, || self.open_shared_files())
    }

    /// Takes a lock on the file that other processes find too, and waits for it.
    pub(crate) fn hold_waiting(&self, which: fn(&SharedFiles) -> &Lock) -> Result<(Arc<SharedFiles>, HeldLock)> {
        let held = self.hold(which, |lock| lock.acquire(self.options.lock_wait).map(Some))?;
        held.ok_or_else(|| Error::unavailable(format!("locking `{}`", self.root.display())))
    }

    /// Waits for the turn to commit within this process.
    pub(crate) fn turn(&self) -> MutexGuard<'_, CommitTurn> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the file of a segment for writing. The segment is then read through it too.
    pub(crate) fn edit(&self, turn: &mut CommitTurn, segment: &mut Segment) -> Result<Arc<dyn WritableFile>> {
        let is_it = |file: &&Arc<dyn WritableFile>| std::ptr::addr_eq(Arc::as_ptr(file), Arc::as_ptr(&segment.file));
        if let Some(file) = turn.file.as_ref().filter(is_it) {
            return Ok(file.clone());
        }
        let file = self.writable.edit(&segment.path).during("opening", &segment.path)?;
        segment.file = file.clone();
        self.continue_in(turn, segment.clone(), &file);
        Ok(file)
    }

    /// Remembers a segment and its file for writing.
    pub(crate) fn continue_in(&self, turn: &mut CommitTurn, segment: Segment, file: &Arc<dyn WritableFile>) {
        turn.file = Some(file.clone());
        let mut state = self.state_mut();
        match &mut state.segment {
            Some(known) if known.header == segment.header => known.file = segment.file,
            _ => state.continue_in(segment),
        }
    }

    /// Reports to other processes how far the journal is durable. If that fails, the tip is replaced or removed, so
    /// that they read it from the journal. `false` if even that fails.
    pub(crate) fn report_durable(&self, shared_files: &SharedFiles, durable: &Position) -> bool {
        let (path, boot) = (Path::new(layout::TIP), self.files.boot());
        let replaced = || {
            let new = Path::new(layout::TIP_BESIDE);
            let file = self.writable.create(new)?;
            Tip::write_durable(&*file, durable, boot)?;
            Tip::write_applied(&*file, self.state().base)?;
            self.writable.rename(new, path)
        };
        if Tip::write_durable(shared_files.tip(), durable, boot).or_else(|_| replaced()).is_ok() {
            self.note_reported(durable.frame);
            return true;
        }
        self.writable.remove(path).is_ok()
    }

    /// Reports to other processes which frame the files hold. If that fails, the next application reports it.
    pub(crate) fn report_applied(&self, shared_files: &SharedFiles, applied: u64) {
        _ = Tip::write_applied(shared_files.tip(), applied);
    }

    /// Notes that this process committed something.
    pub(crate) fn note_commit(&self) {
        self.committed.store(true, Ordering::Relaxed);
    }

    /// Returns whether this process committed something.
    pub(crate) fn has_committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    /// Keeps the files unchanged until this is dropped, in this process and in others.
    ///
    /// Nothing that brings the state up to date may be called until then: it may need the files itself.
    pub(crate) fn freeze_files(&self) -> Result<FrozenFiles<'_>> {
        let deadline = Deadline::after(self.options.lock_wait);
        let applied = loop {
            match self.applying.try_lock() {
                Ok(turn) => break turn,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if deadline.has_passed() => {
                    return Err(Error::unavailable(format!(
                        "reading `{}`: its files kept changing",
                        self.root.display()
                    )));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_PAUSE),
            }
        };
        Ok(FrozenFiles { applied, _held: self.hold_waiting(SharedFiles::apply_lock)? })
    }
}
