//! Following: keeping the tail of a store up to date with what other processes commit and apply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nofx_core::{BackendInfo, Error, LogKey, RecordKey, Result, Seq, StoreId};

use crate::base::{Base, Mark};
use crate::fault::During;
use crate::files::{Files, ReadableFile};
use crate::layout::Layout;
use crate::segment::{self, NextFrame, Position, Segment};
use crate::shared_files::SharedFiles;
use crate::tail::{Amount, Tail};
use crate::tip::Tip;

/// How often a read is repeated when other processes may be changing what it reads.
pub(crate) const TRIES: usize = 100;

/// A store as readers see it: a base, and the journal beyond it.
///
/// Reading writes nothing, takes no lock and waits for no other process. Every answer reflects the store at a single
/// point in time, no earlier than the call.
#[derive(Debug)]
pub struct Follower {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) layout: Layout,
    pub(crate) store: StoreId,
    pub(crate) base: Arc<dyn Base>,
    /// The tip, open as long as it is the file that other processes find.
    tip: Mutex<Option<Arc<dyn ReadableFile>>>,
    /// The last frame that a tip reported to this process.
    reported: AtomicU64,
    /// Set once something else was found in the place of the store: this process never continues with that.
    replaced: OnceLock<Error>,
    /// Held exclusively, also while reading the journal further: the base is not accessed while it is held.
    tail: Mutex<Tail>,
}

/// What only the journal holds: the base may lack it.
#[derive(Clone, Debug, Default)]
pub struct Unapplied {
    /// How many bytes it has in the journal.
    pub bytes: u64,
    /// How many commits it is.
    pub commits: u64,
    /// The last version that was assigned.
    pub last_seq: Option<Seq>,
    /// The records that it writes or deletes.
    pub records: Vec<RecordKey>,
    /// The logs that it changes.
    pub logs: Vec<LogKey>,
}

/// The result of an attempt to follow.
enum Followed {
    /// Followed up to a frame.
    To(u64),
    /// Other processes changed something in between.
    Again,
    /// The frames on the way are not there.
    Missing,
}

impl Follower {
    /// Returns a follower that knows nothing yet.
    pub fn new(files: Arc<dyn Files>, layout: Layout, store: StoreId, base: Arc<dyn Base>) -> Self {
        Self {
            files,
            layout,
            store,
            base,
            tip: Mutex::default(),
            reported: AtomicU64::new(0),
            replaced: OnceLock::new(),
            tail: Mutex::default(),
        }
    }

    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        // A panic cannot leave it half changed: what is taken in was judged before.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the journal ends, as far as it was followed.
    pub fn position(&self) -> Position {
        self.tail().position()
    }

    /// Follows the journal to every commit that was acknowledged before this call. Returns how far it was followed at
    /// least, and the tip, if it is believed.
    ///
    /// A tip from this boot is believed. With a tip from another boot, or none, every whole frame is taken.
    /// If frames cannot be read, those after them are taken as well, and whatever the unreadable ones may
    /// concern is doubtful. `Corrupt` if base and journal do not match, or there is no journal.
    pub fn follow(&self) -> Result<(u64, Option<Tip>)> {
        self.follow_by(|| self.tip(), |tip| self.believe(tip))
    }

    /// Follows on behalf of the holder of the commit lock, which knows that its tip is in place. Where boots cannot be
    /// identified, it believes no tip about how far the journal is durable.
    pub(crate) fn follow_holding(&self, shared_files: &SharedFiles) -> Result<Option<Tip>> {
        let boot = self.files.boot();
        let believe = |tip: Option<Tip>| tip.filter(|tip| boot.is_some() && tip.boot == boot);
        let (_, believed) = self.follow_by(|| shared_files.read_tip(), believe)?;
        Ok(believed)
    }

    fn follow_by(
        &self,
        read_tip: impl Fn() -> Option<Tip>,
        believe: impl Fn(Option<Tip>) -> Option<Tip>,
    ) -> Result<(u64, Option<Tip>)> {
        if let Some(replaced) = self.replaced.get() {
            return Err(replaced.clone());
        }
        self.try_follow(read_tip, believe).inspect_err(|error| self.note_replaced(error))
    }

    fn try_follow(
        &self,
        read_tip: impl Fn() -> Option<Tip>,
        believe: impl Fn(Option<Tip>) -> Option<Tip>,
    ) -> Result<(u64, Option<Tip>)> {
        let (mut before, mut repeats) = (None, 0);
        for _ in 0..TRIES {
            let reported = self.reported.load(Ordering::SeqCst);
            let tip = read_tip();
            self.refuse_less(tip, reported)?;
            let believed = believe(tip);
            if self.is_damaged_as_before(tip, believed)? {
                return Ok((self.position().frame, believed));
            }
            let followed = match &believed {
                Some(believed) => self.follow_to(&believed.durable)?,
                None => self.take_rest(tip)?,
            };
            match followed {
                Followed::To(reached) if believed.is_none() || believe(tip).is_some() => {
                    self.tail().forget(tip.map_or(0, |tip| tip.applied));
                    return Ok((reached, believed));
                }
                Followed::To(_) | Followed::Again => continue,
                Followed::Missing => {}
            }
            // The frames were reused, or are damaged. The base holds their content, unless they are damaged.
            let mark = self.base.snapshot()?.mark();
            let segments = Segment::newest_run(&*self.files, &self.layout, self.store)?;
            let newest = segments.last().map(|newest| newest.header);
            let seen = (tip, mark, newest, self.bound(believed));
            repeats = if before.replace(seen) == Some(seen) { repeats + 1 } else { 0 };
            match repeats {
                // Again, because other processes may have changed something after the first look.
                0 | 1 => self.begin(tip, &mark, &segments)?,
                _ => self.begin_around(seen, segments)?,
            }
        }
        Err(Error::unavailable(format!(
            "reading `{}`: other processes kept changing it",
            self.layout.folder().display()
        )))
    }

    /// Fails if a tip reports less than one did before, which no holder of the lock lets it do: it belongs to an older
    /// copy of the store.
    fn refuse_less(&self, tip: Option<Tip>, reported: u64) -> Result<()> {
        let Some(tip) = tip else { return Ok(()) };
        self.note_reported(tip.durable.frame);
        if tip.durable.frame < reported { Err(self.replaced()) } else { Ok(()) }
    }

    /// Notes the frame in a tip.
    pub(crate) fn note_reported(&self, frame: u64) {
        self.reported.fetch_max(frame, Ordering::SeqCst);
    }

    /// Makes the error for another copy of the store in its place.
    pub(crate) fn replaced(&self) -> Error {
        let folder = self.layout.folder().display();
        Error::replaced(format!("another copy of the store was put at `{folder}` while it was open"))
    }

    /// Describes that two processes wrote at once, which a lock should have prevented.
    pub(crate) fn two_writers(&self) -> String {
        let (folder, no_locks) = (self.layout.folder().display(), BackendInfo::NO_LOCKS);
        format!(
            "`{folder}` was written by two processes at once: {no_locks} there, as in many network and synced folders"
        )
    }

    /// Makes the error for a base whose journal is missing.
    pub(crate) fn without_journal(&self) -> Error {
        Error::corrupt(format!("`{}`: the journal of the store is missing", self.layout.folder().display()))
    }

    /// Reads the journal again from where the base ends. `Replaced` if it lacks what was known here.
    pub(crate) fn look_again(&self) -> Result<()> {
        let (tip, mark) = (self.tip(), self.base.snapshot()?.mark());
        let segments = Segment::newest_run(&*self.files, &self.layout, self.store)?;
        self.begin(tip, &mark, &segments).inspect_err(|error| self.note_replaced(error))
    }

    fn note_replaced(&self, error: &Error) {
        if matches!(error, Error::Replaced(_)) {
            _ = self.replaced.set(error.clone());
        }
    }

    /// Returns what only the journal holds, as far as it was followed.
    pub fn unapplied(&self) -> Unapplied {
        let tail = self.tail();
        let (records, logs) = tail.keys();
        let Amount { bytes, commits } = tail.amount();
        Unapplied { bytes, commits, last_seq: tail.end().last_seq, records, logs }
    }

    /// Forgets everything, so that the journal is read again from where the base ends.
    pub(crate) fn begin_again(&self) {
        *self.tail() = Tail::default();
    }

    /// Reads the tip that other processes find. `None` if it cannot be read.
    pub(crate) fn tip(&self) -> Option<Tip> {
        Tip::read_whole(&*self.tip_file()?)
    }

    fn tip_file(&self) -> Option<Arc<dyn ReadableFile>> {
        let path = self.layout.tip();
        // No reader waits for the system calls of another.
        let known = self.tip.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.as_ref().is_some_and(|file| file.is_at(path).unwrap_or(false)) {
            return known;
        }
        let opened = self.files.open(path).ok();
        self.tip.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&opened);
        opened
    }

    /// Returns a tip if it covers everything that is durable: it was written in this boot.
    ///
    /// Where boots cannot be identified, it is believed unless the journal contains more and no process is committing.
    fn believe(&self, tip: Option<Tip>) -> Option<Tip> {
        let boot = self.files.boot();
        tip.filter(|tip| tip.boot == boot && (boot.is_some() || !(self.has_more(tip) && self.is_quiet())))
    }

    /// Returns whether a frame appears to follow the one that a tip points to, if that is the last one known here.
    fn has_more(&self, tip: &Tip) -> bool {
        let tail = self.tail();
        let segment = tail.segment().filter(|_| tail.position().is_same_frame(&tip.durable));
        segment.is_some_and(|segment| segment.has_head(&tail.position()).unwrap_or(false))
    }

    /// Returns whether no process holds the commit lock.
    pub(crate) fn is_quiet(&self) -> bool {
        self.files.open(self.layout.lock()).and_then(|lock| lock.is_free()).unwrap_or(false)
    }

    /// Follows up to a position.
    fn follow_to(&self, until: &Position) -> Result<Followed> {
        let mut tail = self.tail();
        while tail.position().frame < until.frame {
            let Some(segment) = tail.segment().cloned() else { return Ok(Followed::Missing) };
            let at = tail.position();
            match segment.read(&at).during("reading", &segment.path)? {
                NextFrame::Group(commits, after) => tail.take(commits, after),
                NextFrame::End => match self.next(&at)? {
                    Some(next) => tail.continue_in(next),
                    None => return Ok(Followed::Missing),
                },
                NextFrame::Nothing => return Ok(Followed::Missing),
            }
        }
        let at = tail.position();
        let is_there = match tail.segment() {
            // Another thread of this process may be about to report it. Otherwise an older copy was put in the place of
            // the journal.
            Some(segment) if at.frame > until.frame => is_as_known(segment, tail.newest())?,
            segment => segment.is_some() && at.is_same_frame(until),
        };
        Ok(if is_there { Followed::To(at.frame) } else { Followed::Missing })
    }

    /// Takes in every whole frame that follows, because no tip says how far the journal is durable.
    ///
    /// `Missing` if what follows them was durable once and is damaged.
    fn take_rest(&self, tip: Option<Tip>) -> Result<Followed> {
        let (known, from, mut newest, clean) = {
            let tail = self.tail();
            (tail.segment().cloned(), tail.position(), tail.newest(), tail.clean)
        };
        let Some(mut segment) = known else { return Ok(Followed::Missing) };
        let (mut at, mut rest) = (from, Vec::new());
        loop {
            match segment.read(&at).during("reading", &segment.path)? {
                NextFrame::Group(commits, after) => {
                    rest.push(Rest::Group(commits, after));
                    (newest, at) = (Some((at.offset, after)), after);
                }
                NextFrame::End => match self.next(&at)? {
                    Some(next) => {
                        (newest, at, segment) = (None, next.header.start, next.clone());
                        rest.push(Rest::Segment(next));
                    }
                    None if segment::continues_without_header(&*self.files, &self.layout, &at)? => {
                        return Ok(Followed::Missing);
                    }
                    None => break,
                },
                NextFrame::Nothing if is_as_known(&segment, newest)? => break,
                // It was reused or replaced.
                NextFrame::Nothing => return Ok(Followed::Missing),
            }
        }
        // A tip only ever covers what is durable, whenever it was written.
        let is_known = tip.is_none_or(|tip| tip.durable.frame <= at.frame);
        let is_whole =
            is_known && (clean == Some(at) || segment.frames_beyond(&at).during("reading", &segment.path)?.is_empty());
        // A process that begins to write first reports what it found. What is read after that may be a frame whose
        // flush still fails.
        if self.tip() != tip {
            return Ok(Followed::Again);
        }
        if !is_whole {
            return Ok(Followed::Missing);
        }
        let mut tail = self.tail();
        if tail.position() != from {
            return Ok(Followed::Again);
        }
        for step in rest {
            match step {
                Rest::Group(commits, after) => tail.take(commits, after),
                Rest::Segment(next) => tail.continue_in(next),
            }
        }
        tail.clean = Some(at);
        Ok(Followed::To(at.frame))
    }

    /// Finds the segment in which the journal continues after the end of a generation.
    pub(crate) fn next(&self, end: &Position) -> Result<Option<Segment>> {
        Segment::next(&*self.files, &self.layout, self.store, end)
    }

    /// Starts again after what the base holds, in the newest of some segments. Does nothing if they do not reach back
    /// that far, or are not connected. `Replaced` if they lack the newest frame that was known here, or have a
    /// different one in its place.
    ///
    /// A generation ends where the next one begins, whatever comes after: a frame that was never acknowledged reappears
    /// if the power failed before its replacement reached the disk.
    fn begin(&self, tip: Option<Tip>, mark: &Mark, segments: &[Segment]) -> Result<()> {
        let Some(first) = segments.iter().rposition(|segment| segment.header.start.frame <= mark.frame) else {
            return Ok(());
        };
        let known = self.tail().position();
        let contradicts = |at: &Position| at.frame == known.frame && !at.is_same_frame(&known);
        let segment = &segments[first];
        let (mut position, mut last) = (segment.header.start, None);
        // In a store that was closed, the tip says where the last frame ends: nothing before it is needed, unless this
        // process knows some of it.
        let generation = segment.header.start.generation;
        let is_end = |at: &Position| (at.generation, at.frame, at.chain) == (generation, mark.frame, mark.chain);
        if known.frame == 0
            && let Some(at) = tip.map(|tip| tip.durable).filter(is_end)
        {
            position = at;
        }
        let mut is_contradicted = contradicts(&position);
        // The base holds these groups, so it does not matter whether they are still whole. But the last one says where
        // the journal continues.
        while position.frame < mark.frame {
            let after = match position.frame + 1 < mark.frame {
                true => segment.skip(&position),
                false => segment.read(&position).map(|found| match found {
                    NextFrame::Group(_, after) => Some(after),
                    NextFrame::End | NextFrame::Nothing => None,
                }),
            };
            let Some(after) = after.during("reading", &segment.path)? else { return Ok(()) };
            (last, position) = (Some(position.offset), Position { commits: mark.commits, ..after });
            is_contradicted |= contradicts(&position);
        }
        if position.chain != mark.chain {
            return Ok(());
        }
        let mut tail = Tail::after(*mark, segment.clone(), position, last);
        for (segment, next) in segments[first..].iter().zip(&segments[first + 1..]) {
            while tail.position().frame < next.header.start.frame {
                let NextFrame::Group(commits, after) =
                    segment.read(&tail.position()).during("reading", &segment.path)?
                else {
                    return Ok(());
                };
                tail.take(commits, after);
                is_contradicted |= contradicts(&after);
            }
            if !tail.position().is_same_frame(&next.header.start) {
                return Ok(());
            }
            tail.continue_in(next.clone());
        }
        if known.frame > 0 {
            let newest = tail.segment().cloned();
            let mut at = tail.position();
            while let Some(segment) = &newest
                && at.frame < known.frame
                && let NextFrame::Group(_, after) = segment.read(&at).during("reading", &segment.path)?
            {
                at = after;
                is_contradicted |= contradicts(&at);
            }
            if is_contradicted || at.frame < known.frame {
                return Err(self.replaced());
            }
        }
        *self.tail() = tail;
        Ok(())
    }

    /// Gives the base what it lacks of the commits that were reported durable before this call, and reports that it
    /// holds them.
    ///
    /// `false` if another process is applying, or if no process has reported in this boot what is durable: the next
    /// committer does, and there is nothing to apply before that.
    pub fn apply(&self, shared_files: &SharedFiles) -> Result<bool> {
        let Some(_held) = shared_files.apply_lock().try_acquire()? else { return Ok(false) };
        self.apply_holding(shared_files, Amount::ALL, false)
    }

    /// Gives the base one run of what it lacks, limited by `most` but at least one group. For the holder of the apply
    /// lock.
    ///
    /// If the caller holds the commit lock too, `is_last` lets a run after which nothing is left complete the base.
    ///
    /// `false` if no process has reported in this boot what is durable.
    pub(crate) fn apply_holding(&self, shared_files: &SharedFiles, most: Amount, is_last: bool) -> Result<bool> {
        let (_, Some(tip)) = self.follow()? else { return Ok(false) };
        let mark = self.base.snapshot()?.mark();
        let mut run = self.tail().run(&mark, most);
        // This process may know of frames that it has not reported yet. If it is killed before it does, another process
        // may overwrite them.
        run.groups.retain(|(mark, _)| mark.frame <= tip.durable.frame);
        let until = run.until().frame;
        run.completes = match is_last {
            true => until == self.position().frame,
            false => mark.is_complete && run.groups.is_empty(),
        };
        // What the base shows may not be on the disk, if no applier has reported it: the applier may have been killed
        // before its flush.
        if !run.groups.is_empty() || mark.frame > tip.applied || mark.is_complete != run.completes {
            self.base.apply(&run)?;
        }
        if until > tip.applied {
            // If that fails, the next applier reports it.
            _ = Tip::write_applied(shared_files.tip(), until);
            self.tail().forget(until);
        }
        Ok(true)
    }
}

/// Returns whether a segment is where it was, in the same use, with its newest known frame.
fn is_as_known(segment: &Segment, newest: Option<(u64, Position)>) -> Result<bool> {
    let is_known = segment
        .is_intact_in_place(None)
        .and_then(|is_new| Ok(is_new && (newest.is_none() || segment.is_intact_in_place(newest)?)));
    is_known.during("reading", &segment.path)
}

/// What follows in the journal.
enum Rest {
    Group(Vec<crate::codec::Commit>, Position),
    Segment(Segment),
}
