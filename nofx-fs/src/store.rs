//! An open store: what the handles of one process on one folder share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::time::Duration;

use nofx_core::{Deadline, Error, Result, StoreId};

use crate::apply::Applied;
use crate::config::{self, Config};
use crate::fault::{During, forbids_writing};
use crate::feed::Feed;
use crate::files::{Handle, Layer, Mode};
use crate::journal::{Found, Position, Segment, Tip};
use crate::load;
use crate::lock::{self, Held, Lock};
use crate::lost::Lost;
use crate::options::Options;
use crate::state::State;
use crate::{layout, rebuild};

/// How often something that others may just be changing is looked at again before it is called damaged.
const TRIES: usize = 20;
/// The pause between two such looks.
const TRY_PAUSE: Duration = Duration::from_millis(1);

/// What the handles of one process on one folder share.
///
/// `committing` is taken before `applying`. Each of the other locks is held alone: nothing that takes a lock and nothing that
/// flushes is called as long as one of them is held.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layer: Arc<dyn Layer>,
    pub(crate) root: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) options: Options,
    pub(crate) read_only: Option<ReadOnly>,
    state: RwLock<State>,
    doors: RwLock<Arc<Doors>>,
    /// Set once another copy of the store was found in its place; this handle never goes on with that.
    replaced: AtomicBool,
    /// The last frame that the tip told of when this process read or wrote it.
    told: AtomicU64,
    /// Set once something was committed here: only then the files are brought up to date before all handles are closed.
    committed: AtomicBool,
    /// Whose turn it is to commit, within this process.
    pub(crate) committing: Mutex<()>,
    pub(crate) applying: Mutex<Applied>,
    pub(crate) feed: Mutex<Feed>,
    /// Wakes the thread that applies.
    pub(crate) call: Mutex<Call>,
    pub(crate) bell: Condvar,
}

/// What the thread that applies is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) dirty: bool,
    pub(crate) full: bool,
    pub(crate) stop: bool,
}

/// Why a handle only reads, and what a commit answers.
#[derive(Clone, Debug)]
pub(crate) struct ReadOnly {
    pub(crate) reason: String,
    pub(crate) error: Error,
}

/// Files by which processes meet, open as long as they are the ones that others find.
#[derive(Debug)]
pub(crate) struct Doors {
    /// Missing if this process may not write.
    locks: Option<(Lock, Lock)>,
    tip: Option<Arc<dyn Handle>>,
}

/// The files, as long as nobody changes them.
#[derive(Debug)]
pub(crate) struct Still<'a> {
    pub(crate) applied: MutexGuard<'a, Applied>,
    _held: Option<(Arc<Doors>, Held)>,
}

impl Doors {
    fn open(layer: &dyn Layer, writes: bool) -> Result<Self> {
        let tip = Path::new(layout::TIP);
        if !writes {
            return Ok(Self { locks: None, tip: layer.open(tip, Mode::Read).ok() });
        }
        // Somebody may have removed it; then the store can still be read.
        let folder = Path::new(layout::JOURNAL);
        layer.make_dir(folder).during("making", folder)?;
        let locks = (Lock::open(layer, layout::LOCK)?, Lock::open(layer, layout::APPLY_LOCK)?);
        // Says whether locks work here.
        locks.0.try_acquire()?;
        Ok(Self { locks: Some(locks), tip: Some(layer.open(tip, Mode::Write).during("opening", tip)?) })
    }

    /// Returns the lock for committing.
    pub(crate) fn lock(&self) -> Result<&Lock> {
        self.locks.as_ref().map(|(lock, _)| lock).ok_or_else(|| Error::unavailable("locking a store that is read only"))
    }

    /// Returns the lock for applying.
    pub(crate) fn apply_lock(&self) -> Result<&Lock> {
        self.locks.as_ref().map(|(_, lock)| lock).ok_or_else(|| Error::unavailable("locking a store that is read only"))
    }

    pub(crate) fn tip(&self) -> Result<&dyn Handle> {
        self.tip.as_deref().ok_or_else(|| Error::unavailable("telling others about a store that is read only"))
    }
}

impl Shared {
    /// Opens the store in a folder that exists, and makes one if the folder is empty.
    pub(crate) fn open(layer: Arc<dyn Layer>, root: &Path, options: Options) -> Result<Self> {
        let Config { store, too_new, damage } = config::read_or_create(&*layer, root, &options)?;
        let read_only = match (too_new, damage) {
            (Some(version), _) => Some(ReadOnly::too_new(root, version)),
            (None, Some(what)) => Some(ReadOnly::damaged(what)),
            (None, None) => ReadOnly::by_owner(&*layer, root)?,
        };
        let (doors, read_only) = match Doors::open(&*layer, read_only.is_none()) {
            Err(Error::Unavailable(failure)) if failure.source.as_deref().is_some_and(never_writes) => {
                let reason = format!("this process may not write here: {}", failure.what);
                (Doors::open(&*layer, false)?, Some(ReadOnly::because(root, reason)))
            }
            // A folder, perhaps, where processes should meet.
            Err(Error::Corrupt(failure)) => {
                (Doors::open(&*layer, false)?, Some(ReadOnly::damaged(format!("{} is no file", failure.what))))
            }
            doors => (doors?, read_only),
        };
        let shared = Self {
            layer,
            root: root.to_owned(),
            store,
            options,
            read_only,
            state: RwLock::default(),
            doors: RwLock::new(Arc::new(doors)),
            replaced: AtomicBool::new(false),
            told: AtomicU64::new(0),
            committed: AtomicBool::new(false),
            committing: Mutex::default(),
            applying: Mutex::default(),
            feed: Mutex::default(),
            call: Mutex::default(),
            bell: Condvar::new(),
        };
        shared.load_first()?;
        Ok(shared)
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        // A panic cannot leave the state half changed: what is taken in was judged before.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the files by which processes meet, and opens those again that were removed or replaced.
    pub(crate) fn doors(&self) -> Result<Arc<Doors>> {
        if self.replaced.load(Ordering::Relaxed) {
            return Err(self.replaced());
        }
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_in_place = match &doors.tip {
            Some(tip) => tip.is_at(Path::new(layout::TIP)).during("looking for", Path::new(layout::TIP))?,
            None => true,
        };
        if is_in_place { Ok(doors) } else { self.open_doors() }
    }

    fn open_doors(&self) -> Result<Arc<Doors>> {
        match config::read(&*self.layer, &self.root)? {
            Some(config) if config.store == self.store => {}
            Some(_) => return Err(Error::replaced(format!("another store is at `{}` now", self.root.display()))),
            None => return Err(Error::gone(format!("there is no store at `{}` any more", self.root.display()))),
        }
        let doors = Arc::new(Doors::open(&*self.layer, self.read_only.is_none())?);
        *self.doors.write().unwrap_or_else(PoisonError::into_inner) = doors.clone();
        Ok(doors)
    }

    /// Takes a lock on the file that others find too; `None` if it is taken and `take` does not wait.
    pub(crate) fn hold(
        &self,
        which: fn(&Doors) -> Result<&Lock>,
        take: impl Fn(&Lock) -> Result<Option<Held>>,
    ) -> Result<Option<(Arc<Doors>, Held)>> {
        let mut doors = self.doors()?;
        for _ in 0..TRIES {
            let lock = which(&doors)?;
            let Some(held) = take(lock)? else { return Ok(None) };
            if lock.is_in_place()? {
                return Ok(Some((doors, held)));
            }
            doors = self.open_doors()?;
        }
        Err(Error::unavailable(format!("locking `{}` while its lock files go", self.root.display())))
    }

    /// Takes a lock on the file that others find too, or waits for it.
    pub(crate) fn hold_waiting(&self, which: fn(&Doors) -> Result<&Lock>) -> Result<(Arc<Doors>, Held)> {
        let held = self.hold(which, |lock| lock.acquire(self.options.lock_wait).map(Some))?;
        held.ok_or_else(|| Error::unavailable("locking"))
    }

    /// Refuses if another store, or another copy of this one, is in its place. Changes nothing.
    pub(crate) fn refuse_replaced(&self) -> Result<()> {
        let doors = self.doors()?;
        match self.lacking()? {
            // A tip that tells more was told by somebody who went on from here, and has used the segment again.
            Some(frame) if self.read_tip(&doors)?.is_some_and(|tip| tip.durable.frame < frame) => Err(self.replaced()),
            _ => Ok(()),
        }
    }

    /// Returns the number of the last frame that is known here if it does not stand any more where it was.
    pub(crate) fn lacking(&self) -> Result<Option<u64>> {
        let (segment, last, frame) = {
            let state = self.state();
            let Some(segment) = state.segment.clone().filter(|_| state.damage.is_none()) else { return Ok(None) };
            (segment, state.last_frame_here(), state.position.frame)
        };
        let stands = segment.stands(last).during("reading", &segment.path)?;
        Ok((!stands).then_some(frame))
    }

    /// Notes that another copy of the store is in its place, and says so.
    fn replaced(&self) -> Error {
        self.replaced.store(true, Ordering::Relaxed);
        Error::replaced(format!(
            "another copy of the store is at `{}` now, without what was written here",
            self.root.display()
        ))
    }

    /// Makes the state reflect every commit that was acknowledged before this was called.
    pub(crate) fn refresh(&self) -> Result<()> {
        let doors = self.doors()?;
        let Some(tip) = self.read_tip(&doors)? else {
            return match self.read_only {
                Some(_) => self.load_again(),
                None => self.load_locked(),
            };
        };
        if tip.durable.frame < self.state().position.frame {
            // Whoever committed last could not tell so, or is about to.
            self.refuse_replaced()?;
        }
        let is_current = |state: &State| {
            let durable = &state.position;
            let is_there = durable.frame > tip.durable.frame || durable.is_same_frame(&tip.durable);
            state.damage.is_some() || (is_there && state.base >= tip.applied.min(durable.frame))
        };
        if is_current(&self.state()) {
            return self.adopt_orphan();
        }
        let mut state = self.state_mut();
        if is_current(&state) || self.follow(&mut state, &tip)? {
            return Ok(());
        }
        drop(state);
        self.load_again()
    }

    /// Takes in what a writer left in the journal when it was killed before it could tell.
    ///
    /// It was never acknowledged, but the next commit would find it: so whoever looks now finds it as well.
    fn adopt_orphan(&self) -> Result<()> {
        // A writer that is alive holds the lock until it has told. Where nothing can be locked, nobody writes any more.
        if self.has_more()
            && self.read_only.is_none()
            && let Ok(_turn) = self.committing.try_lock()
            && let Ok(Some((doors, held))) = self.hold(Doors::lock, Lock::try_acquire)
        {
            self.catch_up(&doors, &held)?;
        }
        Ok(())
    }

    /// Returns whether a frame seems to stand in the journal behind those that are known.
    fn has_more(&self) -> bool {
        let state = self.state();
        let segment = state.segment.as_ref().filter(|_| state.damage.is_none());
        segment.is_some_and(|segment| segment.has_head(&state.position).unwrap_or(false))
    }

    /// Reads the tip, again if somebody is just writing it. `None` if it cannot be read: the journal says the same.
    ///
    /// `Replaced` if it tells less than it once did, which nobody who has the lock makes it do.
    pub(crate) fn read_tip(&self, doors: &Doors) -> Result<Option<Tip>> {
        let Some(file) = doors.tip.as_deref() else { return Ok(None) };
        let told = self.told.load(Ordering::SeqCst);
        for _ in 0..TRIES {
            let Ok(tip) = Tip::read(file) else { return Ok(None) };
            if let Some(tip) = tip {
                if tip.durable.frame < told {
                    // Unless another one was put in its place, and told more by other threads.
                    let path = Path::new(layout::TIP);
                    return if file.is_at(path).during("looking for", path)? { Err(self.replaced()) } else { Ok(None) };
                }
                self.told.fetch_max(tip.durable.frame, Ordering::SeqCst);
                return Ok(Some(tip));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// Tells others how far the journal is durable. Where that fails, they find it in the journal, and it is told before the
    /// next commit.
    pub(crate) fn tell_durable(&self, doors: &Doors, durable: &Position) {
        if doors.tip().is_ok_and(|tip| Tip::tell_durable(tip, durable).is_ok()) {
            self.told.fetch_max(durable.frame, Ordering::SeqCst);
        }
    }

    /// Tells others which frame the files hold. Where that fails, the next application tells it.
    pub(crate) fn tell_applied(&self, doors: &Doors, applied: u64) {
        _ = doors.tip().map(|tip| Tip::tell_applied(tip, applied));
    }

    /// Follows the journal up to the tip. `false` if it was used again in between, so that the files must be looked at.
    pub(crate) fn follow(&self, state: &mut State, tip: &Tip) -> Result<bool> {
        while state.position.frame < tip.durable.frame {
            let Some(segment) = state.segment.clone() else { return Ok(false) };
            match segment.read(&state.position).during("reading", &segment.path)? {
                // Not the one that was told: somebody wrote it over that one.
                Found::Group(_, after) if after.frame == tip.durable.frame && !after.is_same_frame(&tip.durable) => {
                    return Err(self.lies());
                }
                Found::Group(commits, after) => state.install(commits, after),
                Found::End => match self.next_segment(&state.position)? {
                    Some(next) => state.go_on_in(next),
                    None => return Ok(false),
                },
                Found::Nothing => return Ok(false),
            }
        }
        if state.position.frame == tip.durable.frame && !state.position.is_same_frame(&tip.durable) {
            return Err(self.lies());
        }
        state.advance(tip.applied);
        Ok(true)
    }

    /// Finds the segment in which the journal goes on behind the end of a generation.
    pub(crate) fn next_segment(&self, end: &Position) -> Result<Option<Segment>> {
        let next = Segment::all(&*self.layer, self.store)?.into_iter().rfind(|segment| {
            let start = &segment.header.start;
            start.generation > end.generation && start.is_same_frame(end)
        });
        match (next, &self.read_only) {
            (Some(next), None) => next.writable(&*self.layer).map(Some),
            (next, _) => Ok(next),
        }
    }

    /// Says that two processes wrote at once, which a lock should have kept them from.
    pub(crate) fn lies(&self) -> Error {
        Error::unavailable(format!(
            "two processes wrote to `{}` at once: locks do not work there, as in many network and synced folders",
            self.root.display()
        ))
    }

    /// Notes that something was committed here.
    pub(crate) fn note_commit(&self) {
        self.committed.store(true, Ordering::Relaxed);
    }

    /// Returns whether something was committed here.
    pub(crate) fn has_committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    /// Reads everything for the first time.
    fn load_first(&self) -> Result<()> {
        if self.read_only.is_some() {
            return self.load_again();
        }
        let is_loaded = {
            let _turn = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
            match self.hold(Doors::lock, Lock::try_acquire)? {
                Some((doors, held)) => self.catch_up_to_read(&doors, &held).map(|()| true)?,
                None => false,
            }
        };
        if is_loaded {
            return Ok(());
        }
        // Whoever holds the lock is alive and keeps the tip, so reading needs no lock and waits for nobody.
        if self.read_tip(&*self.doors()?)?.is_none() {
            return self.load_locked();
        }
        self.load_again()?;
        // Unless more stands behind the tip: after a power cut it may be old, and whoever has the lock is just telling it.
        match self.has_more().then(|| self.load_locked()) {
            Some(Err(Error::Locked { .. })) | None => Ok(()),
            Some(loaded) => loaded,
        }
    }

    /// Takes the lock and reads what is not known yet, making durable what a killed writer left.
    fn load_locked(&self) -> Result<()> {
        // A lock keeps other processes out, not other threads of this one.
        let _turn = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let (doors, held) = self.hold_waiting(Doors::lock)?;
        self.catch_up_to_read(&doors, &held)
    }

    /// Catches up, also with a journal that is damaged: what stands around the damage can be read.
    fn catch_up_to_read(&self, doors: &Doors, held: &Held) -> Result<()> {
        match self.catch_up(doors, held) {
            Err(Error::Corrupt(_)) if self.state().damage.is_some() => Ok(()),
            done => done,
        }
    }

    /// Reads everything while nobody else can commit.
    pub(crate) fn load_holding(&self, doors: &Doors, _: &Held) -> Result<()> {
        let tip = self.read_tip(doors)?;
        let mut loaded = match load::load(&*self.layer, self.store, None)? {
            Some(state) => state,
            None => self.rebuild()?,
        };
        if let Some(tip) = &tip
            && loaded.damage.is_none()
            && tip.durable.frame > loaded.position.frame
        {
            let at = loaded.position;
            load::note_missing(&*self.layer, &mut loaded, &at, tip.durable.frame)?;
        }
        if let Some(tip) = &tip
            && loaded.segment.is_none()
            && tip.durable.frame > loaded.base
        {
            loaded.lost.push(Lost::without_header(&*self.layer, loaded.base + 1)?);
        }
        if let Some(tip) = &tip
            && loaded.damage.is_none()
            && tip.durable.frame == loaded.position.frame
            && !tip.durable.is_same_frame(&loaded.position)
        {
            let (path, frame) = (layout::JOURNAL, loaded.position.frame);
            loaded.damage = Some(format!("`{path}`: frame {frame} was written by two processes at once"));
        }
        self.refuse_less(doors, &loaded)?;
        self.make_writable(&mut loaded)?;
        if loaded.damage.is_none() {
            if let Some(segment) = &loaded.segment
                && tip.is_none_or(|tip| tip.durable != loaded.position)
            {
                segment.file.sync().during("flushing", &segment.path)?;
            }
            let told = tip.map_or(0, |tip| tip.applied);
            if tip.is_none_or(|tip| tip.durable != loaded.position) {
                self.tell_durable(doors, &loaded.position);
            }
            if told < loaded.base {
                self.tell_applied(doors, loaded.base);
            }
        }
        self.replace_state(loaded);
        Ok(())
    }

    /// Opens for writing the segment that a state was read in.
    fn make_writable(&self, state: &mut State) -> Result<()> {
        if self.read_only.is_none() {
            state.segment = state.segment.take().map(|segment| segment.writable(&*self.layer)).transpose()?;
        }
        Ok(())
    }

    /// Refuses what was read if it is of another copy of the store, which lacks what was acknowledged here.
    fn refuse_less(&self, doors: &Doors, loaded: &State) -> Result<()> {
        let known = {
            let state = self.state();
            if state.damage.is_some() || loaded.damage.is_some() || state.segment.is_none() {
                return Ok(());
            }
            state.position
        };
        let lacks = match loaded.position.frame < known.frame {
            true => match self.lacking()? {
                // Unless others went on from here while this was read.
                Some(frame) => self.read_tip(doors)?.is_none_or(|tip| tip.durable.frame <= frame),
                None => false,
            },
            false => Segment::denies(&*self.layer, self.store, &known)?,
        };
        if lacks { Err(self.replaced()) } else { Ok(()) }
    }

    /// Goes on with what was read, unless others of this process know more by now.
    fn replace_state(&self, loaded: State) {
        let mut state = self.state_mut();
        let is_older = loaded.position.frame < state.position.frame;
        if loaded.damage.is_some() || state.damage.is_some() || !is_older {
            *state = loaded;
        }
    }

    /// Reads everything without the lock, up to where the journal is known to be durable.
    fn load_again(&self) -> Result<()> {
        let doors = self.doors()?;
        for last in (0..TRIES).rev() {
            let until = self.read_tip(&doors)?.map(|tip| tip.durable);
            match load::load(&*self.layer, self.store, until)? {
                // Others may have been at work while this was read.
                Some(state) if state.damage.is_some() && last > 0 => {}
                None if last > 0 => {}
                loaded => {
                    let mut state = loaded.map_or_else(|| self.rebuild(), Ok)?;
                    self.refuse_less(&doors, &state)?;
                    self.make_writable(&mut state)?;
                    self.replace_state(state);
                    return Ok(());
                }
            }
            std::thread::sleep(TRY_PAUSE);
        }
        Err(Error::unavailable(format!("reading `{}` while others write", self.root.display())))
    }

    /// Reads everything from the files themselves, because the catalog is missing, stale or damaged.
    fn rebuild(&self) -> Result<State> {
        let _still = self.hold_still()?;
        rebuild::rebuild(&*self.layer, self.store)
    }

    /// Keeps the files as they are until this is dropped, in this process and in others. What is only read cannot keep others.
    ///
    /// Nothing that brings the state up to date may be called meanwhile: it may need the files itself.
    pub(crate) fn hold_still(&self) -> Result<Still<'_>> {
        let deadline = Deadline::after(self.options.lock_wait);
        let applied = loop {
            match self.applying.try_lock() {
                Ok(turn) => break turn,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if deadline.has_passed() => {
                    return Err(Error::unavailable(format!(
                        "reading `{}` while its files change",
                        self.root.display()
                    )));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_PAUSE),
            }
        };
        let held = match self.read_only {
            None => Some(self.hold_waiting(Doors::apply_lock)?),
            Some(_) => None,
        };
        Ok(Still { applied, _held: held })
    }

    /// Keeps the files as they are, and knows everything that they hold.
    pub(crate) fn hold_still_and_current(&self) -> Result<Still<'_>> {
        for _ in 0..TRIES {
            self.refresh()?;
            let still = self.hold_still()?;
            // Another process may have brought more to the files until just now.
            let Some(tip) = self.read_tip(&*self.doors()?)? else { return Ok(still) };
            let mut state = self.state_mut();
            if state.damage.is_some() || self.follow(&mut state, &tip)? {
                drop(state);
                return Ok(still);
            }
        }
        Err(Error::unavailable(format!("reading `{}` while others write", self.root.display())))
    }
}

impl ReadOnly {
    fn too_new(root: &Path, version: u64) -> Self {
        let what = format!("`{}` has format {version} of a newer version of this program", root.display());
        Self { reason: what.clone(), error: Error::too_new(what) }
    }

    fn because(root: &Path, reason: String) -> Self {
        let error = Error::unavailable(format!("`{}` is open for reading only: {reason}", root.display()));
        Self { reason, error }
    }

    fn damaged(what: String) -> Self {
        let reason = format!("{what}, which `nofx doctor --repair` repairs");
        Self { error: Error::corrupt(reason.clone()), reason }
    }

    fn by_owner(layer: &dyn Layer, root: &Path) -> Result<Option<Self>> {
        let foreign = layer.foreign().during("looking at", Path::new("."))?;
        Ok(foreign.map(|reason| Self::because(root, reason)))
    }
}

/// Returns whether an error of opening for writing says that only reading works here.
fn never_writes(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = (error as &(dyn std::error::Error + 'static)).downcast_ref();
    error.is_some_and(|error| forbids_writing(error) || lock::has_no_locks(error))
}
