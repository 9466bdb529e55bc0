//! An open store for reading: what is known of it, kept up to date with the journal.
//!
//! Nothing here can change, create or lock anything, or wait for another process: a reader works beside suspended
//! writers and on a disk that cannot be written, and leaves no trace.
//!
//! The tip says how far the journal is durable. It is never flushed, so one that was written in an earlier boot may
//! be stale. But then no process has written since, and every whole frame in the journal is on the disk. So with such a
//! tip, or none, every whole frame is taken.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use nofx_core::{BackendInfo, Error, Result, StoreId};
use nofx_journal::fault::{During, forbids_writing};
use nofx_journal::feed::Feed;
use nofx_journal::files::{Files, ReadableFile};
use nofx_journal::segment::{NextFrame, Segment};
use nofx_journal::shared_files;
use nofx_journal::tip::Tip;

use crate::config::{self, Config};
use crate::load::{self, Reach};
use crate::options::Options;
use crate::state::StoreState;
use crate::{layout, rebuild};

/// How often something that may be changing is read again before it is reported as damaged.
pub(crate) const TRIES: usize = 20;
/// The pause between two such attempts.
pub(crate) const TRY_PAUSE: Duration = Duration::from_millis(1);

/// A store that is read.
///
/// Only one of its locks is held at a time: nothing that takes another may be called while one is held.
#[derive(Debug)]
pub(crate) struct StoreReader {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) root: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) options: Options,
    /// Whether the store was identified by its journal alone.
    is_unnamed: bool,
    /// Set if this process can only read.
    pub(crate) read_only: Option<ReadOnlyReason>,
    state: RwLock<StoreState>,
    /// The tip, open as long as it is the file that other processes find.
    tip: RwLock<Option<Arc<dyn ReadableFile>>>,
    /// Set once another copy of the store was found in its place; this handle never continues with that.
    replaced: AtomicBool,
    /// The last frame in the tip when this process read or wrote it.
    reported: AtomicU64,
    pub(crate) feed: Mutex<Feed>,
}

/// Why a handle only reads, and the error of a commit.
#[derive(Clone, Debug)]
pub(crate) struct ReadOnlyReason {
    pub(crate) reason: String,
    pub(crate) error: Error,
}

impl StoreReader {
    /// Opens the store that a configuration describes.
    pub(crate) fn open(files: Arc<dyn Files>, root: &Path, options: Options, config: Config) -> Result<Self> {
        let tip = files.open(Path::new(layout::TIP));
        let reading = Self {
            read_only: ReadOnlyReason::find(&*files, root, &config, tip.as_ref().err())?,
            tip: RwLock::new(tip.ok()),
            files,
            root: root.to_owned(),
            store: config.store,
            is_unnamed: config.damage.is_some(),
            options,
            state: RwLock::default(),
            replaced: AtomicBool::new(false),
            reported: AtomicU64::new(0),
            feed: Mutex::default(),
        };
        reading.load_again()?;
        reading.refresh()?;
        Ok(reading)
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, StoreState> {
        // A panic cannot leave the state half changed: what is taken in was judged before.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, StoreState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if this store was replaced by another one, or is gone.
    pub(crate) fn refuse_another(&self) -> Result<()> {
        if self.replaced.load(Ordering::Relaxed) {
            return Err(self.replaced());
        }
        match config::read(&*self.files, &self.root) {
            Ok(Some(config)) if config.store == self.store => Ok(()),
            Ok(Some(_)) => Err(Error::replaced(format!("another store is at `{}` now", self.root.display()))),
            // That was so when the store was opened, and the journal identified it.
            Ok(None) | Err(Error::Corrupt(_) | Error::Invalid(_)) if self.is_unnamed => Ok(()),
            Ok(None) => Err(Error::gone(format!("`{}` no longer holds a store", self.root.display()))),
            Err(error) => Err(error),
        }
    }

    /// Fails if the store is known to be replaced.
    pub(crate) fn refuse_known(&self) -> Result<()> {
        if self.replaced.load(Ordering::Relaxed) { Err(self.replaced()) } else { Ok(()) }
    }

    /// Reads the tip that other processes find; `None` if there is none or it cannot be read.
    pub(crate) fn tip(&self) -> Result<Option<Tip>> {
        self.refuse_known()?;
        let path = Path::new(layout::TIP);
        let known = self.tip.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_in_place = match &known {
            Some(tip) => tip.is_at(path).during("looking for", path)?,
            None => false,
        };
        if let Some(tip) = known.filter(|_| is_in_place) {
            return self.read_tip(&*tip);
        }
        self.refuse_another()?;
        let tip = self.files.open(path).ok();
        self.tip.write().unwrap_or_else(PoisonError::into_inner).clone_from(&tip);
        tip.map_or(Ok(None), |tip| self.read_tip(&*tip))
    }

    /// Reads a tip, and again if another process is writing it. `None` if it cannot be read.
    ///
    /// `Replaced` if it reports less than before, which no holder of the lock lets it do.
    pub(crate) fn read_tip(&self, file: &dyn ReadableFile) -> Result<Option<Tip>> {
        let reported = self.reported.load(Ordering::SeqCst);
        for _ in 0..TRIES {
            let Ok(tip) = Tip::read(file) else { return Ok(None) };
            if let Some(tip) = tip {
                if tip.durable.frame < reported {
                    // Unless another tip replaced it, and other threads read more from that one.
                    let path = Path::new(layout::TIP);
                    return if file.is_at(path).during("looking for", path)? { Err(self.replaced()) } else { Ok(None) };
                }
                self.note_reported(tip.durable.frame);
                return Ok(Some(tip));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// Notes the frame in a tip.
    pub(crate) fn note_reported(&self, frame: u64) {
        self.reported.fetch_max(frame, Ordering::SeqCst);
    }

    /// Returns a tip if it covers everything that is durable: it was written in this boot.
    ///
    /// Where boots cannot be identified, it is believed unless the journal contains more and no process is committing.
    pub(crate) fn believe(&self, tip: Option<Tip>) -> Option<Tip> {
        let boot = self.files.boot();
        tip.filter(|tip| tip.boot == boot && (boot.is_some() || !(self.has_more(tip) && self.is_quiet())))
    }

    /// Returns whether a frame appears to follow the one in a tip, if that is the last one known here.
    fn has_more(&self, tip: &Tip) -> bool {
        let state = self.state();
        let segment = state.segment.as_ref().filter(|_| state.position.is_same_frame(&tip.durable));
        segment.is_some_and(|segment| segment.has_head(&state.position).unwrap_or(false))
    }

    /// Returns whether no process holds the commit lock.
    fn is_quiet(&self) -> bool {
        self.files.open(Path::new(layout::LOCK)).and_then(|lock| lock.is_free()).unwrap_or(false)
    }

    /// Makes the state reflect every commit that was acknowledged before this call.
    pub(crate) fn refresh(&self) -> Result<()> {
        for _ in 0..TRIES {
            let tip = self.tip()?;
            let is_done = match self.believe(tip) {
                Some(tip) => self.reach(&tip)?,
                None => self.take_rest(tip)?,
            };
            if is_done {
                return Ok(());
            }
        }
        Err(Error::unavailable(format!("reading `{}`: other processes kept changing it", self.root.display())))
    }

    /// Follows the journal up to its reported end. `false` if everything had to be read again instead.
    fn reach(&self, tip: &Tip) -> Result<bool> {
        let (known, is_unproven) = {
            let state = self.state();
            (state.position.frame, state.is_unproven)
        };
        if tip.durable.frame < known {
            // The last committer could not report its commit, or is about to.
            if !is_unproven {
                self.refuse_replaced()?;
            } else if self.lacking()?.is_some() {
                return self.load_again().map(|()| false);
            }
        }
        let is_current = |state: &StoreState| {
            let durable = &state.position;
            let is_there = durable.frame > tip.durable.frame || durable.is_same_frame(&tip.durable);
            state.damage.is_some() || (is_there && state.base >= tip.applied.min(durable.frame))
        };
        if is_current(&self.state()) {
            return Ok(true);
        }
        let mut state = self.state_mut();
        if is_current(&state) || self.follow(&mut state, tip)? {
            return Ok(true);
        }
        drop(state);
        self.load_again().map(|()| false)
    }

    /// Takes in every whole frame that follows, because no tip says how far the journal is durable. `false` if a tip
    /// was written in between, or everything had to be read again.
    fn take_rest(&self, tip: Option<Tip>) -> Result<bool> {
        let (segment, mut position) = {
            let state = self.state();
            if state.damage.is_some() {
                return Ok(true);
            }
            (state.segment.clone(), state.position)
        };
        let from = position;
        let Some(mut segment) = segment.filter(|_| self.lacking().is_ok_and(|lacking| lacking.is_none())) else {
            return self.load_again().map(|()| false);
        };
        let mut rest = Vec::new();
        loop {
            match segment.read(&position).during("reading", &segment.path)? {
                NextFrame::Group(commits, after) => {
                    rest.push((segment.clone(), position, commits, after));
                    position = after;
                }
                NextFrame::End => match Segment::next(&*self.files, &layout::AT, self.store, &position)? {
                    Some(next) => (position, segment) = (next.header.start, next),
                    None => break,
                },
                NextFrame::Nothing => break,
            }
        }
        if position == from {
            return Ok(true);
        }
        // A writer first reports what it found. So what was read is not a frame whose flush may still fail.
        if self.tip()? != tip {
            return Ok(false);
        }
        let mut state = self.state_mut();
        let is_current = state.position == from;
        if is_current {
            for (segment, at, commits, after) in rest {
                state.continue_in(segment.clone());
                state.take_in(&segment, &at, commits, after);
            }
            state.continue_in(segment);
            state.is_unproven = true;
        }
        Ok(is_current)
    }

    /// Follows the journal up to the tip. `false` if segments were reused in between, so that the files must be read.
    pub(crate) fn follow(&self, state: &mut StoreState, tip: &Tip) -> Result<bool> {
        while state.position.frame < tip.durable.frame {
            let Some(segment) = state.segment.clone() else { return Ok(false) };
            match segment.read(&state.position).during("reading", &segment.path)? {
                // A different frame: another process overwrote the reported one.
                NextFrame::Group(_, after)
                    if after.frame == tip.durable.frame && !after.is_same_frame(&tip.durable) =>
                {
                    return if state.is_unproven { Ok(false) } else { Err(self.two_writers()) };
                }
                NextFrame::Group(commits, after) => state.install(commits, after),
                NextFrame::End => match Segment::next(&*self.files, &layout::AT, self.store, &state.position)? {
                    Some(next) => state.continue_in(next),
                    None => return Ok(false),
                },
                NextFrame::Nothing => return Ok(false),
            }
        }
        if state.position.frame == tip.durable.frame {
            if !state.position.is_same_frame(&tip.durable) {
                return if state.is_unproven { Ok(false) } else { Err(self.two_writers()) };
            }
            state.is_unproven = false;
        }
        state.advance(tip.applied);
        Ok(true)
    }

    /// Reads everything without a lock, up to where the journal is known to be durable.
    fn load_again(&self) -> Result<()> {
        let mut damaged = None;
        for last in (0..TRIES).rev() {
            let tip = self.tip()?;
            let believed = self.believe(tip);
            let reach = Reach { durable: believed.map(|tip| tip.durable.frame), continues: believed.is_none() };
            let loaded = load::load(&*self.files, self.store, reach)?;
            let loaded = match loaded {
                None if last == 0 => Some(self.rebuild(reach)?),
                loaded => loaded,
            };
            // A process that begins to write first reports what it found.
            let is_settled = believed.is_some() || self.tip()? == tip;
            if let Some(mut state) = loaded.filter(|_| is_settled) {
                if let Some(tip) = &tip {
                    load::compare(&*self.files, &mut state, tip)?;
                }
                // Other processes may have written while this was read.
                if state.damage.is_none() || damaged.replace(tip) == Some(tip) || last == 0 {
                    state.is_unproven = believed.is_none();
                    self.refuse_less(&state)?;
                    self.replace_state(state);
                    return Ok(());
                }
            }
            std::thread::sleep(TRY_PAUSE);
        }
        Err(Error::unavailable(format!("reading `{}`: other processes kept changing it", self.root.display())))
    }

    /// Reads everything from the files themselves, because the catalog is missing, stale or damaged.
    pub(crate) fn rebuild(&self, reach: Reach) -> Result<StoreState> {
        for _ in 0..TRIES {
            if let Some(state) = rebuild::rebuild(&*self.files, self.store, reach)? {
                return Ok(state);
            }
        }
        Err(Error::unavailable(format!("reading `{}`: its files kept changing", self.root.display())))
    }

    /// Replaces the state by what was read, unless other threads of this process know more by now.
    pub(crate) fn replace_state(&self, loaded: StoreState) {
        let mut state = self.state_mut();
        let is_older = loaded.position.frame < state.position.frame && !state.is_unproven;
        if loaded.damage.is_some() || state.damage.is_some() || !is_older {
            *state = loaded;
        }
    }

    /// Fails if what was read belongs to another copy of the store, which lacks what was acknowledged here.
    pub(crate) fn refuse_less(&self, loaded: &StoreState) -> Result<()> {
        let known = {
            let state = self.state();
            if state.damage.is_some() || loaded.damage.is_some() || state.segment.is_none() || state.is_unproven {
                return Ok(());
            }
            state.position
        };
        let lacks = match loaded.position.frame < known.frame {
            true => match self.lacking()? {
                // Unless other processes continued from here while this was read.
                Some(frame) => self.tip()?.is_none_or(|tip| tip.durable.frame <= frame),
                None => false,
            },
            false => Segment::contradicts(&*self.files, &layout::AT, self.store, &known)?,
        };
        if lacks { Err(self.replaced()) } else { Ok(()) }
    }

    /// Fails if another store, or another copy of this one, is in its place. Changes nothing.
    pub(crate) fn refuse_replaced(&self) -> Result<()> {
        let tip = self.tip()?;
        match self.lacking()? {
            // A tip with more was written by a process that continued from here and has reused the segment.
            Some(frame) if tip.is_some_and(|tip| tip.durable.frame < frame) => Err(self.replaced()),
            _ => Ok(()),
        }
    }

    /// Returns the number of the last known frame if it is no longer where it was.
    pub(crate) fn lacking(&self) -> Result<Option<u64>> {
        let (segment, last, frame) = {
            let state = self.state();
            let Some(segment) = state.segment.clone().filter(|_| state.damage.is_none()) else { return Ok(None) };
            (segment, state.last_frame_here(), state.position.frame)
        };
        let is_intact = segment.is_intact_in_place(last).during("reading", &segment.path)?;
        Ok((!is_intact).then_some(frame))
    }

    /// Notes that another copy of the store is in its place, and returns the error for that.
    pub(crate) fn replaced(&self) -> Error {
        self.replaced.store(true, Ordering::Relaxed);
        Error::replaced(format!(
            "another copy of the store is at `{}` now, without what was written here",
            self.root.display()
        ))
    }

    /// Returns the error for two processes that wrote at once, which a lock should have prevented.
    pub(crate) fn two_writers(&self) -> Error {
        let (root, no_locks) = (self.root.display(), BackendInfo::NO_LOCKS);
        Error::unavailable(format!(
            "two processes wrote to `{root}` at once: {no_locks} there, as in many network and synced folders"
        ))
    }
}

impl ReadOnlyReason {
    /// Returns why a store can only be read, as far as that can be determined without writing.
    fn find(files: &dyn Files, root: &Path, config: &Config, no_tip: Option<&io::Error>) -> Result<Option<Self>> {
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
