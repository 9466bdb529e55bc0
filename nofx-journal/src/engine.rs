//! An open store with a journal, as the handles of one process share it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nofx_core::{Batch, Deadline, Error, Limits, Outcome, Repaired, Result, StoreId};

use crate::applier;
use crate::base::{Base, Mark};
use crate::fault::During;
use crate::files::{Files, WritableFiles};
use crate::follower::Follower;
use crate::layout::Layout;
use crate::options::{Applies, Options};
use crate::repair::only_without;
use crate::segment::{Segment, segment_files};
use crate::shared_files::{SharedFiles, lock_files};
use crate::writer::{JournalWriter, begin, first_segment};

/// A store that was open for less than this is not brought up to date when it is closed, unless a lot is waiting.
const SHORT: Duration = Duration::from_secs(1);

/// An open store: a base and its journal, for the handles of one process.
///
/// Reads go through its [`follower`](Self::follower), which has nothing to write with. The writing part is created by
/// the first commit. Dropping it brings the base up to date with at most one run, if something was committed here and
/// either the store was open for more than a second or [`Options::apply_after`], or the journal holds as much as a
/// [run](Options::run_bytes) that the base lacks. What the base then still lacks is in the journal, where every process
/// reads it. [`Options::applies`] may say otherwise.
#[derive(Debug)]
pub struct Engine {
    follower: Arc<Follower>,
    may_write: MayWrite,
    options: Options,
    writer: Mutex<Option<Writing>>,
    opened: Deadline,
}

/// Whether a store is read-only.
#[derive(Debug)]
enum MayWrite {
    To(Arc<dyn WritableFiles>),
    /// With the error that commits return.
    Not(Error),
}

/// The writing part of a store, and the thread that brings its base up to date.
#[derive(Debug)]
struct Writing {
    writer: Arc<JournalWriter>,
    applier: Option<JoinHandle<()>>,
}

impl Engine {
    /// Opens a store for reading, and for writing once something is committed. Reads and writes nothing yet.
    pub fn writing(
        writable: Arc<dyn WritableFiles>,
        layout: Layout,
        store: StoreId,
        base: Arc<dyn Base>,
        options: Options,
    ) -> Self {
        let follower = Follower::new(writable.clone(), layout, store, base);
        Self::of(follower, MayWrite::To(writable), options)
    }

    /// Opens a store read-only; commits return `why`. Nothing in it can change, create or lock anything.
    pub fn reading(files: Arc<dyn Files>, layout: Layout, store: StoreId, base: Arc<dyn Base>, why: Error) -> Self {
        Self::of(Follower::new(files, layout, store, base), MayWrite::Not(why), Options::default())
    }

    fn of(follower: Follower, may_write: MayWrite, options: Options) -> Self {
        let (follower, opened) = (Arc::new(follower), Deadline::after(SHORT.min(options.apply_after)));
        Self { follower, may_write, options, writer: Mutex::default(), opened }
    }

    /// Creates the journal of a new store whose base has this mark. Durable on return.
    ///
    /// For the process that creates the store, before any other can find it: a base is never without a journal, so that
    /// a missing one is noticed. `Corrupt` if a journal with commits is already there: it belongs to a store whose base
    /// is gone.
    pub fn create(
        writable: &dyn WritableFiles,
        layout: &Layout,
        store: StoreId,
        mark: &Mark,
        options: &Options,
    ) -> Result<()> {
        // Left by an interrupted attempt: its tip would report frames that the new store never had.
        Self::discard(writable, layout)?;
        let folder = layout.folder();
        writable.make_dir(folder).during("making", folder)?;
        begin(writable, layout, store, mark, options).inspect_err(|_| _ = Self::discard(writable, layout))
    }

    /// Removes a journal without commits, if there is one. `Corrupt` if it has commits.
    pub fn discard(writable: &dyn WritableFiles, layout: &Layout) -> Result<()> {
        let folder = layout.folder();
        let found = Segment::of_any_store(writable, layout)?;
        if found.iter().any(Segment::is_used) {
            let what = format!("`{}`: the journal of a store whose base is gone", folder.display());
            return Err(Error::corrupt(what));
        }
        let segments = found.into_iter().map(|segment| segment.path);
        for path in segments.chain([layout.tip().to_owned()]).chain(lock_files(layout)) {
            writable.remove(&path).during("removing", &path)?;
        }
        writable.remove_dir(folder).during("removing", folder)
    }

    /// Returns the reading side of the store: every read of the waist, for callers that may block.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Commits a group. Blocks until the disk has answered, and until no other caller or process commits.
    ///
    /// Like [`PersistenceBackend::commit`](nofx_core::PersistenceBackend::commit).
    pub fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.refuse(&group)?;
        if group.is_empty() { Ok(Vec::new()) } else { self.writer()?.commit(group) }
    }

    /// Commits a group if no other caller or process is committing; otherwise gives it back. Blocks until the disk has
    /// answered.
    pub fn try_commit(&self, group: Vec<Batch>) -> std::result::Result<Result<Vec<Outcome>>, Vec<Batch>> {
        if let Err(error) = self.refuse(&group) {
            return Ok(Err(error));
        }
        if group.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        match self.writer() {
            Ok(writer) => writer.try_commit(group),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Rejects what no state of the store would accept.
    fn refuse(&self, group: &[Batch]) -> Result<()> {
        group.iter().try_for_each(|batch| batch.validate(&Limits::GUARANTEED))?;
        match &self.may_write {
            MayWrite::Not(why) if !group.is_empty() => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Returns whether something was committed here.
    pub fn has_committed(&self) -> bool {
        self.lock_writer().as_ref().is_some_and(|writing| writing.writer.has_committed())
    }

    /// Runs something while no other thread or process commits or brings the base up to date. It must call nothing
    /// else here: that would wait for itself.
    ///
    /// `Locked` if another process does so for longer than [`Options::lock_wait`].
    pub fn alone<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        self.writer()?.alone(act)
    }

    /// Brings the base up to date with everything that was committed before this call, run by run.
    ///
    /// `Locked` if another process is applying for longer than [`Options::lock_wait`].
    pub fn apply(&self) -> Result<()> {
        let wait = || Deadline::after(self.options.lock_wait);
        let (writer, mut deadline) = (self.writer()?, wait());
        self.follower.follow()?;
        let until = self.follower.position().frame;
        while self.follower.tail().start().frame < until {
            if writer.apply_run()? == applier::ApplyOutcome::Run {
                deadline = wait();
            } else {
                if deadline.has_passed() {
                    let what = format!("`{}`", self.follower.layout.apply_lock().display());
                    return Err(Error::Locked { what, holder: None });
                }
                // If no process has reported in this boot what is durable, this one does.
                writer.settle()?;
                thread::sleep(Duration::from_millis(1));
                self.follower.follow()?;
            }
        }
        Ok(())
    }

    /// Lets the journal continue after unreadable parts, and reports what was done. Without damage it does nothing.
    ///
    /// The base takes in every readable commit, and a new generation begins after them. If commits would be lost, this
    /// only reports so in [`losses`](Repaired::losses), unless `gives_up` allows it: first close other programs that
    /// have the store open, which may still bring those commits to the base. Damaged files are kept as `damaged-<n>-…`
    /// in the folder of the journal. `Locked` if another process commits or applies for longer than
    /// [`Options::lock_wait`].
    pub fn repair(&self, gives_up: bool) -> Result<Repaired> {
        let (writable, folder) = (self.writable()?, self.follower.layout.folder());
        if writable.list(folder).during("listing", folder)?.is_empty()
            && !self.follower.base.snapshot()?.mark().is_complete
        {
            match self.follower.without_journal() {
                Error::Corrupt(failure) if !gives_up => return Ok(only_without(folder, &failure.what, None)),
                _ => drop(SharedFiles::open(&**writable, &self.follower.layout)?),
            }
        }
        self.writer()?.repair(gives_up)
    }

    /// Brings the base up to date like [`apply`](Self::apply), and records in it that it is complete, unless another
    /// process commits or applies just then: until the next commit it is a whole store without its journal.
    pub fn complete(&self) -> Result<()> {
        if self.is_without_journal()? {
            return Ok(());
        }
        self.apply()?;
        self.writer()?.complete()
    }

    /// Returns whether there is no journal, and need not be one before the next commit.
    fn is_without_journal(&self) -> Result<bool> {
        let Follower { files, layout, base, .. } = &*self.follower;
        Ok(segment_files(&**files, layout)?.is_empty() && base.snapshot()?.mark().is_complete)
    }

    /// Shrinks the journal to the size of a new store's, if the base holds everything in it: call it after
    /// [`apply`](Self::apply), while no other process commits. It costs a flush, and the next segment is filled again
    /// when it is created.
    pub fn shrink(&self) -> Result<()> {
        if self.is_without_journal()? {
            return Ok(());
        }
        self.writer()?.shrink(first_segment(&self.options))
    }

    fn lock_writer(&self) -> std::sync::MutexGuard<'_, Option<Writing>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<&Arc<dyn WritableFiles>> {
        match &self.may_write {
            MayWrite::To(writable) => Ok(writable),
            MayWrite::Not(why) => Err(why.clone()),
        }
    }

    /// Returns the writing part, creating it for the first commit.
    fn writer(&self) -> Result<Arc<JournalWriter>> {
        let writable = self.writable()?;
        let mut writing = self.lock_writer();
        if let Some(writing) = &*writing {
            return Ok(writing.writer.clone());
        }
        let writer = Arc::new(JournalWriter::open(self.follower.clone(), writable.clone(), self.options.clone())?);
        let mut applier = None;
        if self.options.applies != Applies::OnRequest {
            let working = writer.clone();
            // Without the thread the store works, and its base catches up when the store is closed.
            applier = thread::Builder::new().name("nofx-apply".to_owned()).spawn(move || applier::run(&working)).ok();
        }
        *writing = Some(Writing { writer: writer.clone(), applier });
        Ok(writer)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let writing = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writing { writer, applier }) = writing else { return };
        writer.requests.stop();
        if let Some(applier) = applier {
            // What it could not bring up to date is in the journal.
            _ = applier.join();
        }
        if !writer.has_committed() {
            return;
        }
        match self.options.applies {
            Applies::InRuns if self.opened.has_passed() || writer.is_worth_a_run() => _ = writer.complete(),
            Applies::InRuns | Applies::OnRequest => {}
            Applies::AllAtClose => _ = writer.apply_rest(),
        }
    }
}
