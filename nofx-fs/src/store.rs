//! An open store: what the handles of one process on one folder share.

use std::path::{Path, PathBuf};
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
use crate::lock::{Held, Lock};
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
        let Config { store, too_new } = config::read_or_create(&*layer, root, &options)?;
        let read_only = match too_new {
            Some(version) => Some(ReadOnly::too_new(root, version)),
            None => ReadOnly::by_owner(&*layer, root)?,
        };
        let (doors, read_only) = match Doors::open(&*layer, read_only.is_none()) {
            Err(Error::Unavailable(failure)) if failure.source.as_deref().is_some_and(is_forbidden) => {
                let reason = format!("this process may not write here: {}", failure.what);
                (Doors::open(&*layer, false)?, Some(ReadOnly::because(root, reason)))
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

    /// Returns the files by which processes meet, and finds them anew if the folder was removed or replaced.
    pub(crate) fn doors(&self) -> Result<Arc<Doors>> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_in_place = match &doors.tip {
            Some(tip) => tip.is_at(Path::new(layout::TIP)).during("looking for", Path::new(layout::TIP))?,
            None => true,
        };
        if is_in_place {
            return Ok(doors);
        }
        match config::read(&*self.layer, &self.root)? {
            Some(config) if config.store == self.store => {}
            Some(_) => return Err(Error::replaced(format!("another store is at `{}` now", self.root.display()))),
            None => return Err(Error::gone(format!("there is no store at `{}` any more", self.root.display()))),
        }
        let doors = Arc::new(Doors::open(&*self.layer, self.read_only.is_none())?);
        *self.doors.write().unwrap_or_else(PoisonError::into_inner) = doors.clone();
        self.load_again()?;
        Ok(doors)
    }

    fn current_doors(&self) -> Arc<Doors> {
        self.doors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the state reflect every commit that was acknowledged before this was called.
    pub(crate) fn refresh(&self) -> Result<()> {
        let doors = self.doors()?;
        let Some(tip) = self.read_tip(&doors)? else {
            return match self.read_only {
                Some(_) => self.load_again(),
                None => self.load_locked(&doors),
            };
        };
        let is_current = |state: &State| {
            let durable = &state.position;
            let is_there = durable.frame > tip.durable.frame || durable.is_same_frame(&tip.durable);
            state.damage.is_some() || (is_there && state.base >= tip.applied.min(durable.frame))
        };
        if is_current(&self.state()) {
            return self.adopt_orphan(&doors);
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
    fn adopt_orphan(&self, doors: &Doors) -> Result<()> {
        let has_more = {
            let state = self.state();
            let segment = state.segment.as_ref().filter(|_| state.damage.is_none());
            segment.is_some_and(|segment| segment.has_head(&state.position).unwrap_or(false))
        };
        // A writer that is alive holds the lock until it has told.
        if has_more
            && self.read_only.is_none()
            && let Ok(_turn) = self.committing.try_lock()
            && let Some(held) = doors.lock()?.try_acquire()?
        {
            self.catch_up(doors, &held)?;
        }
        Ok(())
    }

    /// Reads the tip, again if somebody is just writing it.
    pub(crate) fn read_tip(&self, doors: &Doors) -> Result<Option<Tip>> {
        let Some(file) = doors.tip.as_deref() else { return Ok(None) };
        for _ in 0..TRIES {
            if let Some(tip) = Tip::read(file).during("reading", Path::new(layout::TIP))? {
                return Ok(Some(tip));
            }
            std::thread::yield_now();
        }
        Ok(None)
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

    /// Reads everything for the first time.
    fn load_first(&self) -> Result<()> {
        let doors = self.current_doors();
        if self.read_only.is_some() {
            return self.load_again();
        }
        match self.load_locked(&doors) {
            // Whoever holds the lock is alive and keeps the tip, so reading needs no lock.
            Err(locked @ Error::Locked { .. }) => match self.read_tip(&doors)? {
                Some(_) => self.load_again(),
                None => Err(locked),
            },
            loaded => loaded,
        }
    }

    /// Takes the lock and reads everything, making durable what a killed writer left.
    fn load_locked(&self, doors: &Doors) -> Result<()> {
        // A lock keeps other processes out, not other threads of this one.
        let _turn = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let held = doors.lock()?.acquire(self.options.lock_wait)?;
        self.load_holding(doors, &held)
    }

    /// Reads everything while nobody else can commit.
    pub(crate) fn load_holding(&self, doors: &Doors, _: &Held<'_>) -> Result<()> {
        let tip = Tip::read(doors.tip()?).during("reading", Path::new(layout::TIP))?;
        let mut loaded = match load::load(&*self.layer, self.store, None)? {
            Some(state) => state,
            None => self.rebuild(doors)?,
        };
        if let Some(tip) = &tip
            && loaded.damage.is_none()
            && tip.durable.frame > loaded.position.frame
        {
            let (told, found) = (tip.durable.frame, loaded.position.frame);
            loaded.damage = Some(format!("`{}`: frames {} to {told} are missing", layout::JOURNAL, found + 1));
        }
        if let Some(tip) = &tip
            && loaded.damage.is_none()
            && tip.durable.frame == loaded.position.frame
            && !tip.durable.is_same_frame(&loaded.position)
        {
            let (path, frame) = (layout::JOURNAL, loaded.position.frame);
            loaded.damage = Some(format!("`{path}`: frame {frame} was written by two processes at once"));
        }
        self.make_writable(&mut loaded)?;
        if loaded.damage.is_none() {
            if let Some(segment) = &loaded.segment
                && tip.is_none_or(|tip| tip.durable != loaded.position)
            {
                segment.file.sync().during("flushing", &segment.path)?;
            }
            let told = tip.map_or(0, |tip| tip.applied);
            if tip.is_none_or(|tip| tip.durable != loaded.position) {
                Tip::tell_durable(doors.tip()?, &loaded.position).during("writing", Path::new(layout::TIP))?;
            }
            if told < loaded.base {
                Tip::tell_applied(doors.tip()?, loaded.base).during("writing", Path::new(layout::TIP))?;
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
        let doors = self.current_doors();
        for last in (0..TRIES).rev() {
            let until = self.read_tip(&doors)?.map(|tip| tip.durable);
            match load::load(&*self.layer, self.store, until)? {
                // Others may have been at work while this was read.
                Some(state) if state.damage.is_some() && last > 0 => {}
                Some(mut state) => {
                    self.make_writable(&mut state)?;
                    self.replace_state(state);
                    return Ok(());
                }
                None if last > 0 => {}
                None => {
                    let state = self.rebuild(&doors)?;
                    *self.state_mut() = state;
                    return Ok(());
                }
            }
            std::thread::sleep(TRY_PAUSE);
        }
        Err(Error::unavailable(format!("reading `{}` while others write", self.root.display())))
    }

    /// Reads everything from the files themselves, because the catalog is missing, stale or damaged.
    fn rebuild(&self, doors: &Doors) -> Result<State> {
        // Nobody may change the files meanwhile, in this process or in another.
        let deadline = Deadline::after(self.options.lock_wait);
        let _turn = loop {
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
        let _held = match self.read_only {
            None => Some(doors.apply_lock()?.acquire(self.options.lock_wait)?),
            Some(_) => None,
        };
        rebuild::rebuild(&*self.layer, self.store)
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

    fn by_owner(layer: &dyn Layer, root: &Path) -> Result<Option<Self>> {
        let foreign = layer.foreign().during("looking at", Path::new("."))?;
        Ok(foreign.map(|reason| Self::because(root, reason)))
    }
}

fn is_forbidden(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    (error as &(dyn std::error::Error + 'static)).downcast_ref().is_some_and(forbids_writing)
}
