//! Committing: one checksummed append to the journal and one flush for each group.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use nofx_core::{Batch, Error, Outcome, Result, StoreId};

use crate::applier::HARD_BOUND;
use crate::base::Mark;
use crate::codec::{Commit, split};
use crate::fault::{During, forbids_writing, into_error};
use crate::files::{WritableFile, WritableFiles};
use crate::follower::Follower;
use crate::judge::NamedKeys;
use crate::layout::Layout;
use crate::lock::{HeldLock, Lock};
use crate::options::Options;
use crate::requests::Requests;
use crate::segment::{HEADER_BYTES, Header, NextFrame, Position, Segment, Spares, salt, segment_files};
use crate::shared_files::{ReopenedFiles, SharedFiles};
use crate::tip::Tip;

/// A group whose bodies have more bytes than this becomes several frames, each with its own flush.
const PART_BYTES: usize = 32 << 20;

/// The size of a store's first segment, so that a small store has a small journal.
const FIRST_SEGMENT_BYTES: u64 = 128 << 10;

/// The writing side of a store, in addition to its [`Follower`]: the folder to write to, the locks, and whose turn it
/// is.
///
/// `committing` is taken before `applying`, and both before the tail. The commit lock file goes with `committing`, the
/// apply lock file with `applying`. No other lock is held during a flush.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    pub(crate) follower: Arc<Follower>,
    pub(crate) writable: Arc<dyn WritableFiles>,
    pub(crate) options: Options,
    shared_files: ReopenedFiles,
    /// Whose turn it is to commit, within this process.
    committing: Mutex<JournalTurn>,
    /// Whose turn it is to bring the base up to date, within this process.
    pub(crate) applying: Mutex<()>,
    committed: AtomicBool,
    /// Why the base took nothing in when this process last tried, if it is damaged.
    pub(crate) stuck: Mutex<Option<Error>>,
    /// Whether the last run failed.
    pub(crate) last_run_failed: AtomicBool,
    /// Wakes the applier thread.
    pub(crate) requests: Requests,
}

/// What the committing thread needs.
#[derive(Debug, Default)]
pub(crate) struct JournalTurn {
    /// The segment that was last written, open for writing.
    file: Option<Arc<dyn WritableFile>>,
    /// The last frame that this process flushed.
    flushed: Option<u64>,
    /// The shared files beside which that frame was found in place, if it was.
    beside: Option<Arc<SharedFiles>>,
    /// Which segments it may continue in.
    spares: Spares,
}

impl JournalWriter {
    /// Creates what is needed for writing, if something is missing: also the whole journal, if the base is complete.
    pub(crate) fn open(follower: Arc<Follower>, writable: Arc<dyn WritableFiles>, options: Options) -> Result<Self> {
        if segment_files(&*writable, &follower.layout)?.is_empty() {
            begin_missing(&*writable, &follower, &options)?;
        }
        let shared_files = shared_files(&*writable, &follower)?;
        let folder = follower.layout.folder().to_owned();
        Ok(Self {
            follower,
            writable,
            options,
            shared_files: ReopenedFiles::new(shared_files, folder),
            committing: Mutex::default(),
            applying: Mutex::default(),
            committed: AtomicBool::new(false),
            stuck: Mutex::default(),
            last_run_failed: AtomicBool::new(false),
            requests: Requests::default(),
        })
    }

    /// Commits a group. Blocks until the disk has answered, and until no other caller or process commits.
    pub(crate) fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        if Spares::for_group(&group) == Spares::KeepLast {
            self.make_room()?;
        }
        let mut turn = self.turn();
        let mut outcomes = Vec::with_capacity(group.len());
        for part in split(group, PART_BYTES) {
            let held = self.hold_waiting(SharedFiles::lock);
            match held.and_then(|(shared_files, _held)| self.commit_holding(&mut turn, &shared_files, part)) {
                Ok(more) => outcomes.extend(more),
                Err(error) if outcomes.is_empty() => return Err(error),
                // An earlier part happened, so this error does not apply to the whole group.
                Err(error) => return Err(Error::unknown_because("committing the rest of a large group", error)),
            }
        }
        Ok(outcomes)
    }

    /// Commits a group if no other caller or process is committing; otherwise gives it back. Blocks until the disk has
    /// answered.
    pub(crate) fn try_commit(&self, group: Vec<Batch>) -> std::result::Result<Result<Vec<Outcome>>, Vec<Batch>> {
        let mut turn = match self.committing.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(group),
        };
        if self.is_beyond(HARD_BOUND) || group.iter().map(Batch::body_bytes).sum::<usize>() > PART_BYTES {
            return Err(group);
        }
        match self.hold(SharedFiles::lock, Lock::try_acquire) {
            Ok(Some((shared_files, _held))) => Ok(self.commit_holding(&mut turn, &shared_files, group)),
            Ok(None) => Err(group),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Makes the content of the journal durable and reports it, as a commit does first.
    pub(crate) fn settle(&self) -> Result<()> {
        let mut turn = self.turn();
        let (shared_files, _held) = self.hold_waiting(SharedFiles::lock)?;
        self.catch_up(&mut turn, &shared_files).map(drop)
    }

    /// Continues in a segment of this size and removes all others, if the base holds everything and they take more
    /// space.
    pub(crate) fn shrink(&self, room: u64) -> Result<()> {
        let mut turn = self.turn();
        let (shared_files, _held) = self.hold_waiting(SharedFiles::lock)?;
        self.catch_up(&mut turn, &shared_files)?;
        let (segment, position) = self.end()?;
        let Follower { store, layout, .. } = &*self.follower;
        let taken: u64 = Segment::all(&*self.writable, layout, *store)?.iter().map(|segment| segment.room).sum();
        if taken <= room || self.follower.tip().is_none_or(|tip| tip.applied < position.frame) {
            return Ok(());
        }
        let end = self.edit(&mut turn, &segment)?.write_at(&segment.end(&position), position.offset);
        end.during("writing", &segment.path)?;
        let (next, _) = self.begin_segment(&mut turn, &position, room)?;
        self.report_durable(&shared_files, &next.header.start);
        // The oldest go first, so that the remaining generations have no gap.
        let others = Segment::all(&*self.writable, layout, *store)?.into_iter().filter(|other| other.path != next.path);
        others.into_iter().try_for_each(|other| self.writable.remove(&other.path).during("removing", &other.path))
    }

    /// Waits for this process's turn to commit.
    pub(crate) fn turn(&self) -> MutexGuard<'_, JournalTurn> {
        // A panic leaves nothing half done that the journal does not show.
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs something while no other thread or process commits or applies.
    pub(crate) fn alone<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let _turn = self.turn();
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, _held) = self.hold_waiting(SharedFiles::lock)?;
        let (_, _held_too) = self.hold_waiting(SharedFiles::apply_lock)?;
        act()
    }

    /// Returns whether something was committed here.
    pub(crate) fn has_committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    /// Takes a lock on the file that other processes find too; `None` if it is taken and `take` does not wait.
    pub(crate) fn hold(
        &self,
        which: fn(&SharedFiles) -> &Lock,
        take: impl Fn(&Lock) -> Result<Option<HeldLock>>,
    ) -> Result<Option<(Arc<SharedFiles>, HeldLock)>> {
        self.shared_files.hold(which, take, || shared_files(&*self.writable, &self.follower))
    }

    pub(crate) fn hold_waiting(&self, which: fn(&SharedFiles) -> &Lock) -> Result<(Arc<SharedFiles>, HeldLock)> {
        let held = self.hold(which, |lock| lock.acquire(self.options.lock_wait).map(Some))?;
        held.ok_or_else(|| Error::unavailable(format!("locking `{}`", self.folder())))
    }

    fn folder(&self) -> impl std::fmt::Display + '_ {
        self.follower.layout.folder().display()
    }

    /// Commits a group, for the holder of the lock.
    fn commit_holding(
        &self,
        turn: &mut JournalTurn,
        shared_files: &Arc<SharedFiles>,
        group: Vec<Batch>,
    ) -> Result<Vec<Outcome>> {
        self.require_base()?;
        turn.spares = Spares::for_group(&group);
        let caught_up = Cell::new(Some(self.catch_up(turn, shared_files)?));
        let named = NamedKeys::of(&group);
        let follow = || {
            let believed = caught_up.take().map_or_else(|| self.follower.follow_holding(shared_files), Ok)?;
            Ok((self.follower.position().frame, believed))
        };
        let is_complete = Cell::new(false);
        let state = self.follower.merged_by(
            follow,
            |tail| named.copy(tail),
            |copied, base, _| {
                is_complete.set(base.mark().is_complete);
                self.require_not_beyond(&base.mark())?;
                named.merge(copied, base)
            },
        );
        self.follower.require_whole()?;
        let (outcomes, commits) = state?.judge(group)?;
        if !commits.is_empty() {
            if is_complete.get() {
                self.withdraw_completeness()?;
            }
            self.write(turn, shared_files, commits)?;
        }
        Ok(outcomes)
    }

    /// Fails if the base holds more than the journal. The holder of the lock can meet this only after an interrupted
    /// repair: a write would then use numbers that the base already has.
    fn require_not_beyond(&self, base: &Mark) -> Result<()> {
        let end = self.follower.position().frame;
        if base.frame <= end {
            return Ok(());
        }
        self.follower.begin_again();
        let (folder, held) = (self.folder(), base.frame);
        Err(Error::corrupt(format!("`{folder}`: it ends at frame {end}, but the base holds frame {held}")))
    }

    /// Follows the journal to its end, which is durable and reported on return.
    ///
    /// Anything after a tip from this boot was never acknowledged, and is overwritten: readers did not see it either.
    /// Without such a tip, every whole frame counts. Returns the tip, if it says how far the journal is
    /// durable.
    pub(crate) fn catch_up(&self, turn: &mut JournalTurn, shared_files: &SharedFiles) -> Result<Option<Tip>> {
        let mut believed = self.follower.follow_holding(shared_files)?;
        self.follower.require_whole()?;
        if believed.is_some_and(|believed| believed.durable.frame < self.follower.position().frame) {
            // This process wrote more, and could not report it: otherwise following would have failed.
            self.follower.begin_again();
            believed = self.follower.follow_holding(shared_files)?;
        }
        let (mut segment, mut position) = self.end()?;
        // After its flush, a commit checks the segment's path too. Before it, the shared files show that the folder is
        // still the same.
        let is_same_folder = turn.beside.take().is_some_and(|beside| std::ptr::eq(&*beside, shared_files));
        if !self.is_in_place(&segment, !is_same_folder)? {
            // Other files may be in its place that hold the same.
            self.follower.look_again()?;
            believed = self.follower.follow_holding(shared_files)?;
            self.follower.require_whole()?;
            let before = position;
            (segment, position) = self.end()?;
            if !position.is_same_frame(&before) || !self.is_in_place(&segment, true)? {
                return Err(self.follower.replaced());
            }
        }
        if believed.is_none() && turn.flushed != Some(position.frame) {
            // Nothing says that the writer of the last frame reached its flush, or that the flush succeeded.
            let file = self.edit(turn, &segment)?;
            let last = self.follower.tail().last();
            let again = last.map_or(Ok(()), |from| segment.write_again(&*file, from, position.offset));
            again.and_then(|()| file.sync()).during("flushing", &segment.path)?;
            turn.flushed = Some(position.frame);
        }
        if believed.is_none_or(|believed| believed.durable != position) && !self.report_durable(shared_files, &position)
        {
            return Err(Error::unavailable(format!("updating the tip of `{}`", self.folder())));
        }
        if segment.read(&position).during("reading", &segment.path)? == NextFrame::End {
            match self.follower.next(&position)? {
                Some(next) => self.follower.tail().continue_in(next),
                None => _ = self.begin_segment(turn, &position, self.options.segment_bytes)?,
            }
        }
        Ok(believed)
    }

    /// Returns whether the last known frame is still where it was; with `by_path`, also whether the path still leads to
    /// its segment. Fails if another process overwrote it, which cannot have had the lock.
    fn is_in_place(&self, segment: &Segment, by_path: bool) -> Result<bool> {
        let newest = self.follower.tail().newest();
        let is_it = || Ok((!by_path || segment.is_in_place()?) && segment.is_intact(newest)?);
        if is_it().during("reading", &segment.path)? {
            return Ok(true);
        }
        let Some((offset, after)) = newest else { return Ok(false) };
        let is_overwritten =
            segment.is_in_place().and_then(|is_it| Ok(is_it && segment.has_different_frame(offset, &after)?));
        match is_overwritten.during("reading", &segment.path)? {
            true => Err(Error::unavailable(self.follower.two_writers())),
            false => Ok(false),
        }
    }

    /// Returns where the journal ends, as far as it was followed.
    fn end(&self) -> Result<(Segment, Position)> {
        let tail = self.follower.tail();
        let segment = tail.segment().cloned();
        let missing = || Error::corrupt(format!("`{}`: it has no segment", self.folder()));
        Ok((segment.ok_or_else(missing)?, tail.position()))
    }

    /// Appends a group to the journal and flushes it.
    fn write(&self, turn: &mut JournalTurn, shared_files: &Arc<SharedFiles>, commits: Vec<Commit>) -> Result<()> {
        let (mut segment, mut position) = self.end()?;
        let mut file = self.edit(turn, &segment)?;
        let (mut frame, mut after) = segment.frame(&position, &commits);
        if after.offset > segment.room.min(self.options.segment_bytes) && position.offset > HEADER_BYTES {
            // Written first, so that processes which follow the journal here learn that it continues elsewhere.
            file.write_at(&segment.end(&position), position.offset).during("writing", &segment.path)?;
            (segment, file) = self.begin_segment(turn, &position, self.options.segment_bytes)?;
            position = segment.header.start;
            (frame, after) = segment.frame_again(&position, &commits, frame);
        }
        if let Err(error) = file.write_at(&frame, position.offset) {
            // An incomplete frame does not count. If all of it is there but its head, it does not count either.
            return Err(match file.write_at(&[0; 24], position.offset) {
                _ if forbids_writing(&error) => into_error(error, "writing", &segment.path),
                Ok(()) => into_error(error, "writing", &segment.path),
                Err(_) => Error::unknown_because(format!("writing `{}`", segment.path.display()), error),
            });
        }
        if let Err(error) = file.sync() {
            return Err(self.give_up_segment(turn, &segment, &position, error));
        }
        turn.flushed = Some(after.frame);
        // It is durable. A later failure no longer denies that, unless it shows that the frame is not in the store.
        let tip_moved = shared_files.read_tip().is_some_and(|tip| tip.durable.frame > position.frame);
        if tip_moved || !segment.is_intact_in_place(Some((position.offset, after))).unwrap_or(true) {
            let in_place = segment.is_in_place().unwrap_or(false);
            let error =
                if in_place { Error::unavailable(self.follower.two_writers()) } else { self.follower.replaced() };
            return Err(Error::unknown_because("committing", error));
        }
        turn.beside = Some(shared_files.clone());
        {
            let mut tail = self.follower.tail();
            if tail.position().is_same_frame(&position) {
                // What follows it was judged before it was written.
                tail.clean = tail.clean.filter(|clean| *clean == position).map(|_| after);
                tail.take(commits, after);
            }
        }
        self.committed.store(true, Ordering::Relaxed);
        if !self.report_durable(shared_files, &after) {
            // Other processes rely on what was reported before, and may overwrite it.
            self.follower.begin_again();
            return Err(Error::unknown(format!("updating the tip of `{}`", self.folder())));
        }
        self.requests.committed(self.is_worth_a_run());
        Ok(())
    }

    /// Returns the file of a segment for writing.
    fn edit(&self, turn: &mut JournalTurn, segment: &Segment) -> Result<Arc<dyn WritableFile>> {
        let is_it = |file: &&Arc<dyn WritableFile>| std::ptr::addr_eq(Arc::as_ptr(file), Arc::as_ptr(&segment.file));
        if let Some(file) = turn.file.as_ref().filter(is_it) {
            return Ok(file.clone());
        }
        let file = self.writable.edit(&segment.path).during("opening", &segment.path)?;
        turn.file = Some(file.clone());
        // From now on it is read through this handle too, by which it is recognised again.
        self.follower.tail().read_from(&segment.header, file.clone());
        Ok(file)
    }

    /// Continues in the next generation after a place: in a segment that is no longer needed, or in a new one.
    fn begin_segment(
        &self,
        turn: &mut JournalTurn,
        at: &Position,
        room: u64,
    ) -> Result<(Segment, Arc<dyn WritableFile>)> {
        let Follower { store, layout, .. } = &*self.follower;
        // Only what an applier has reported may be reused: what the base shows may not be on the disk.
        let applied = self.follower.tip().map_or(0, |tip| tip.applied);
        let last_seq = self.follower.tail().end().last_seq;
        let header = Header::after(at, *store, salt(&self.options.sources), last_seq);
        let (next, file) = Segment::begin_next(&*self.writable, layout, header, applied, room, turn.spares)?;
        turn.file = Some(file.clone());
        let mut tail = self.follower.tail();
        if tail.position().is_same_frame(at) {
            tail.continue_in(next.clone());
        }
        Ok((next, file))
    }

    /// Leaves a segment whose flush failed: it is no longer known what of it is on the disk.
    ///
    /// What was flushed before is durable. The rest is given up: the journal continues elsewhere from before it.
    fn give_up_segment(&self, turn: &mut JournalTurn, segment: &Segment, at: &Position, error: io::Error) -> Error {
        let ended = self
            .edit(turn, segment)
            .and_then(|file| file.write_at(&segment.end(at), at.offset).during("writing", &segment.path));
        // If even that fails, the next commit overwrites it, and its flush shows the result.
        _ = ended.and_then(|()| self.begin_segment(turn, at, self.options.segment_bytes));
        Error::unknown_because(format!("flushing `{}`", segment.path.display()), error)
    }

    /// Reports to other processes how far the journal is durable. If that fails, the tip is replaced, or removed: then
    /// they determine it from the journal. `false` if even that fails.
    pub(crate) fn report_durable(&self, shared_files: &SharedFiles, durable: &Position) -> bool {
        let (layout, boot) = (&self.follower.layout, self.follower.files.boot());
        let replaced = || {
            let applied = self.follower.tip().map_or(0, |tip| tip.applied);
            let file = self.writable.create(layout.tip_beside())?;
            Tip::write_durable(&*file, durable, boot)?;
            Tip::write_applied(&*file, applied)?;
            self.writable.rename(layout.tip_beside(), layout.tip())
        };
        let reported = Tip::write_durable(shared_files.tip(), durable, boot).or_else(|_| replaced());
        if reported.is_ok() {
            self.follower.note_reported(durable.frame);
            return true;
        }
        self.writable.remove(layout.tip()).is_ok()
    }
}

/// Creates a missing journal, if the base says that it holds everything that was committed.
fn begin_missing(writable: &dyn WritableFiles, follower: &Follower, options: &Options) -> Result<()> {
    let Follower { layout, store, .. } = follower;
    let complete = || -> Result<Option<Mark>> {
        let mark = follower.base.snapshot()?.mark();
        Ok(Some(mark).filter(|mark| mark.is_complete && follower.position().frame <= mark.frame))
    };
    if complete()?.is_none() {
        return Ok(());
    }
    let shared_files = SharedFiles::open(writable, layout)?;
    let _held = shared_files.lock().acquire(options.lock_wait)?;
    match complete()? {
        // Another process may have created it first.
        Some(mark) if segment_files(writable, layout)?.is_empty() => begin(writable, layout, *store, &mark, options),
        _ => Ok(()),
    }
}

/// Begins the first generation of a journal, after what the base holds. Durable on return.
pub(crate) fn begin(
    writable: &dyn WritableFiles,
    layout: &Layout,
    store: StoreId,
    mark: &Mark,
    options: &Options,
) -> Result<()> {
    let at = Position { frame: mark.frame, chain: mark.chain, commits: mark.commits, ..Position::default() };
    let header = Header::after(&at, store, salt(&options.sources), mark.last_seq);
    Segment::begin_next(writable, layout, header, 0, first_segment(options), Spares::KeepLast)?;
    let above = layout.folder().parent().unwrap_or(Path::new(""));
    writable.sync_dir(above).during("flushing", above)
}

/// Returns the size of a store's first segment.
pub(crate) fn first_segment(options: &Options) -> u64 {
    options.segment_bytes.min(FIRST_SEGMENT_BYTES)
}

/// Opens the shared lock and tip files. Creates nothing if the journal is gone: without it the store is damaged, or was
/// moved as a whole, which its base then reports.
fn shared_files(writable: &dyn WritableFiles, follower: &Follower) -> Result<SharedFiles> {
    let folder = follower.layout.folder();
    if writable.list(folder).during("listing", folder)?.is_empty() {
        follower.base.snapshot()?;
        return Err(follower.without_journal());
    }
    SharedFiles::open(writable, &follower.layout)
}
