//! Following: the tail of a store, kept up with what other processes commit and apply.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nofx_core::{Error, Result, StoreId};

use crate::base::{Base, Mark};
use crate::doors::Doors;
use crate::fault::During;
use crate::files::Files;
use crate::layout;
use crate::segment::{Found, Position, Segment};
use crate::tail::Tail;
use crate::tip::Tip;

/// How often something that others may just be changing is looked at again.
pub(crate) const TRIES: usize = 100;

/// A store that is read: a base, and the journal beyond it.
///
/// Reading writes nothing, takes no lock and waits for no other process. Every answer is what the store held at one moment, which is not
/// earlier than the call.
#[derive(Debug)]
pub struct Follower {
    files: Arc<dyn Files>,
    store: StoreId,
    pub(crate) base: Arc<dyn Base>,
    /// Held alone, also while the journal is read on: nothing is asked of the base as long as it is.
    tail: Mutex<Tail>,
}

impl Follower {
    /// Returns one that knows nothing yet.
    pub fn new(files: Arc<dyn Files>, store: StoreId, base: Arc<dyn Base>) -> Self {
        Self { files, store, base, tail: Mutex::default() }
    }

    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        // A panic cannot leave it half changed: what is taken in was judged before.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the journal ends, as far as it was followed.
    pub fn position(&self) -> Position {
        self.tail().position()
    }

    /// Follows the journal to every commit that was acknowledged before this was called. Returns how far it was followed at least, and
    /// what the tip told, if that is believed.
    ///
    /// A tip of this start of the system is. With one of another, or none, everything whole is taken. `Corrupt` if base and journal do
    /// not fit: the frames in between are damaged or gone.
    pub fn follow(&self) -> Result<(u64, Option<Tip>)> {
        let mut before = None;
        for _ in 0..TRIES {
            let tip = self.tip();
            let told = self.believed(tip);
            if let Some(reached) = self.follow_to(told.map(|tip| tip.durable))? {
                if told.is_none() && self.tip() != tip {
                    // A process began to write, and what was read last may be a frame of which the flush still fails.
                    *self.tail() = Tail::default();
                } else if told.is_none() || self.believed(tip).is_some() {
                    self.tail().forget(tip.map_or(0, |tip| tip.applied));
                    return Ok((reached, told));
                }
                continue;
            }
            // The frames were used again, or are damaged. The base holds what they said, unless that is damage too.
            let mark = self.base.snapshot()?.mark();
            let segments = Segment::newest_run(&*self.files, self.store)?;
            let seen = (tip, mark, segments.last().map(|newest| newest.header));
            if !self.begin(&mark, &segments)? && before.replace(seen) == Some(seen) {
                let behind = mark.frame;
                return Err(Error::corrupt(format!("`{}`: frames behind {behind} cannot be read", layout::JOURNAL)));
            }
        }
        Err(Error::unavailable(format!("following `{}` while others write", layout::JOURNAL)))
    }

    /// Reads the tip, again if another process is just writing it. `None` if it cannot be read.
    fn tip(&self) -> Option<Tip> {
        let file = self.files.open(Path::new(layout::TIP)).ok()?;
        for _ in 0..TRIES {
            match Tip::read(&*file).ok()? {
                None => std::thread::yield_now(),
                told => return told,
            }
        }
        None
    }

    /// Returns a tip if it tells all that is durable: it was told since the system started.
    ///
    /// Where starts have no name, it is believed unless more stands in the journal and no process is just committing.
    fn believed(&self, tip: Option<Tip>) -> Option<Tip> {
        let boot = self.files.boot();
        tip.filter(|tip| tip.boot == boot && (boot.is_some() || !(self.has_more(tip) && self.is_quiet())))
    }

    /// Returns whether a frame seems to stand behind the one that a tip tells of, if that is the last one known here.
    fn has_more(&self, tip: &Tip) -> bool {
        let tail = self.tail();
        let segment = tail.segment().filter(|_| tail.position().is_same_frame(&tip.durable));
        segment.is_some_and(|segment| segment.has_head(&tail.position()).unwrap_or(false))
    }

    /// Returns whether no process has the lock for committing.
    fn is_quiet(&self) -> bool {
        self.files.open(Path::new(layout::LOCK)).and_then(|lock| lock.is_free()).unwrap_or(false)
    }

    /// Follows up to a place, or to the last whole frame, and returns how far. `None` if the frames on the way are not there.
    fn follow_to(&self, until: Option<Position>) -> Result<Option<u64>> {
        let mut tail = self.tail();
        while until.is_none_or(|until| tail.position().frame < until.frame) {
            let Some(segment) = tail.segment().cloned() else { return Ok(None) };
            let at = tail.position();
            let is_end = match segment.read(&at).during("reading", &segment.path)? {
                Found::Group(commits, after) => {
                    tail.take(commits, after);
                    continue;
                }
                Found::End => match Segment::next(&*self.files, self.store, &at)? {
                    Some(next) => {
                        tail.go_on_in(next);
                        continue;
                    }
                    None => true,
                },
                // Unless the segment was used again.
                Found::Nothing => segment.stands(None).during("reading", &segment.path)?,
            };
            return Ok((is_end && until.is_none()).then_some(at.frame));
        }
        let at = tail.position();
        let is_there = until.is_none_or(|until| at.frame > until.frame || at.is_same_frame(&until));
        Ok((is_there && tail.segment().is_some()).then_some(at.frame))
    }

    /// Begins again behind what the base holds, in the newest of some segments. `false` if they do not reach back to that, or not on to
    /// this.
    ///
    /// A generation ends where the next one begins, whatever stands behind: a frame that was never acknowledged comes back if the power
    /// went before what was to take its place was on the disk.
    fn begin(&self, mark: &Mark, segments: &[Segment]) -> Result<bool> {
        let Some(first) = segments.iter().rposition(|segment| segment.header.start.frame <= mark.frame) else {
            return Ok(false);
        };
        let segment = &segments[first];
        let mut position = segment.header.start;
        while position.frame < mark.frame {
            let Found::Group(_, after) = segment.read(&position).during("reading", &segment.path)? else {
                return Ok(false);
            };
            position = after;
        }
        if position.chain != mark.chain {
            return Ok(false);
        }
        let mut tail = Tail::behind(*mark, segment.clone(), position);
        for (segment, next) in segments[first..].iter().zip(&segments[first + 1..]) {
            while tail.position().frame < next.header.start.frame {
                let Found::Group(commits, after) = segment.read(&tail.position()).during("reading", &segment.path)?
                else {
                    return Ok(false);
                };
                tail.take(commits, after);
            }
            if !tail.position().is_same_frame(&next.header.start) {
                return Ok(false);
            }
            tail.go_on_in(next.clone());
        }
        *self.tail() = tail;
        Ok(true)
    }

    /// Gives the base what it lacks of the commits that were told before this was called, and tells that it holds them.
    ///
    /// `false` if another process is at it, or if no process told what is durable since the system started: then the next one to commit
    /// does, and there is nothing to apply before.
    pub fn apply(&self, doors: &Doors) -> Result<bool> {
        let Some(_held) = doors.apply_lock().try_acquire()? else { return Ok(false) };
        let (_, Some(tip)) = self.follow()? else { return Ok(false) };
        let mark = self.base.snapshot()?.mark();
        let run = self.tail().run(&mark);
        let until = run.until().frame;
        // What the base shows may not be on the disk, if no applier told so: it may have been killed before its flush.
        if !run.groups.is_empty() || mark.frame > tip.applied {
            self.base.apply(&run)?;
        }
        if until > tip.applied {
            // Where that fails, the next one to apply tells it.
            _ = Tip::tell_applied(doors.tip(), until);
            self.tail().forget(until);
        }
        Ok(true)
    }
}
