//! Reading around damage: which parts of the journal cannot be read, and which answers that makes doubtful.

use std::sync::Arc;

use nofx_core::{Error, Key, LogKey, Result};

use crate::base::{Mark, SnapshotError};
use crate::codec::Commit;
use crate::fault::During;
use crate::follower::Follower;
use crate::lost::LostFrames;
use crate::segment::{self, Header, NextFrame, Position, Segment, segment_files};
use crate::tail::Tail;
use crate::tip::Tip;

/// The part of the journal beyond a base that cannot be read. Nothing is committed until it is repaired.
#[derive(Debug)]
pub(crate) struct Damage {
    /// Where it is, as text.
    pub(crate) what: String,
    /// Up to which frame nothing is missing.
    pub(crate) until: u64,
    /// The base's mark, the tip and the newest generation when it was found.
    pub(crate) seen: ChangeStamp,
    /// Empty if the base holds everything that is damaged.
    pub(crate) lost: Vec<LostFrames>,
    /// Whether the number of affected frames is unknown.
    is_guessed: bool,
    /// Whether there is no journal, and the base says that it holds all that was committed: then the next commit begins one.
    is_new: bool,
}

/// The prefix under which a repair keeps damaged files.
pub(crate) const DAMAGED_PREFIX: &str = "damaged-";

/// Changes whenever another process commits, applies or repairs; the last part is how far the journal counts, if known.
pub(crate) type ChangeStamp = (Option<Tip>, Mark, Option<Header>, Option<Position>);

/// What may be missing from an answer because the journal lost it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubts(Option<Arc<Damage>>);

impl Doubts {
    pub(crate) fn of(tail: &Tail) -> Self {
        Self(tail.damage().cloned())
    }

    /// Returns whether they were found with a base of a different mark.
    pub(crate) fn are_old(&self, mark: &Mark) -> bool {
        self.0.as_ref().is_some_and(|damage| damage.seen.1 != *mark)
    }

    /// Fails for a key that may be affected by a loss, unless a frame after the loss, `touched`, settles it.
    pub(crate) fn about(&self, key: &impl Key, touched: Option<u64>) -> Result<(), SnapshotError> {
        match &self.0 {
            Some(damage) if damage.concerns(key, touched) => {
                Err(Error::corrupt(format!("{key}: {}", damage.what)).into())
            }
            _ => Ok(()),
        }
    }

    /// Returns the error for an entry that is neither in the base nor in the journal.
    pub(crate) fn missing(&self, log: &LogKey, position: u64) -> Error {
        let damage = self.0.as_ref().map(|damage| format!(": {}", damage.what)).unwrap_or_default();
        Error::corrupt(format!("{log}: position {position}{damage}"))
    }

    /// Returns the error with which a list or the feed ends if it may lack what the journal lost.
    pub(crate) fn of_lists(&self) -> Option<Error> {
        let damage = self.0.as_ref().filter(|damage| !damage.lost.is_empty())?;
        Some(Error::corrupt(damage.what.clone()))
    }
}

impl Damage {
    fn concerns(&self, key: &impl Key, touched: Option<u64>) -> bool {
        let mut later = self.lost.iter().filter(|lost| touched.is_none_or(|frame| frame < *lost.frames.start()));
        later.any(|lost| lost.may_concern(key))
    }

    /// Returns how many unreadable frames the base lacks; `None` if that is not known.
    pub(crate) fn count(&self) -> Option<u64> {
        let lacking = |lost: &LostFrames| lost.frames.end() - lost.frames.start().max(&(self.seen.1.frame + 1)) + 1;
        (!self.is_guessed).then(|| self.lost.iter().map(lacking).sum())
    }
}

impl Follower {
    /// Starts again after what the base holds, around frames that cannot be read: each frame describes its changes by
    /// itself.
    ///
    /// `Corrupt` if base and journal do not belong together, or there is no journal and the base does not say that it is complete.
    pub(crate) fn begin_around(&self, seen: ChangeStamp, segments: Vec<Segment>) -> Result<()> {
        let mark = seen.1;
        let last = seen.3.map(|believed| believed.frame);
        let known = seen.0.map_or(0, |tip| tip.durable.frame);
        let mut around = Around {
            follower: self,
            known,
            mark,
            tail: Tail::at(mark),
            reached: 0,
            last,
            believed: seen.3,
            what: None,
            lost: vec![],
            is_guessed: false,
            is_new: false,
        };
        around.walk(&segments)?;
        let Around { mut tail, what, lost, is_guessed, is_new, .. } = around;
        if let Some(what) = what {
            let until = tail.position().frame.max(mark.frame);
            tail.set_damage(Damage { what, until, seen, lost, is_guessed, is_new });
        }
        *self.tail() = tail;
        Ok(())
    }

    /// Returns how far the journal counts, if known. Where boots cannot be identified, a tip may be stale although
    /// it is believed, unless a process is committing right now.
    pub(crate) fn bound(&self, believed: Option<Tip>) -> Option<Position> {
        let is_sure = || self.files.boot().is_some() || !self.is_quiet();
        believed.filter(|_| is_sure()).map(|believed| believed.durable)
    }

    /// Returns which part of the journal beyond the base cannot be read, as text.
    pub fn damage(&self) -> Result<Option<String>> {
        self.follow()?;
        Ok(self.tail().damage().filter(|damage| !damage.is_new).map(|damage| damage.what.clone()))
    }

    /// Fails if part of the journal cannot be read: then no batch can be judged.
    pub(crate) fn require_whole(&self) -> Result<()> {
        match self.tail().damage() {
            Some(damage) => Err(Error::corrupt(damage.what.clone())),
            None => Ok(()),
        }
    }

    /// Returns whether the known damage is still current: nothing has changed since it was found.
    pub(crate) fn is_damaged_as_before(&self, tip: Option<Tip>, believed: Option<Tip>) -> Result<bool> {
        let Some(damage) = self.tail().damage().cloned() else { return Ok(false) };
        let segments = Segment::newest_run(&*self.files, &self.layout, self.store)?;
        let newest = segments.last().map(|newest| newest.header);
        let now = (tip, self.base.snapshot()?.mark(), newest, self.bound(believed));
        if now == damage.seen {
            return Ok(true);
        }
        self.begin_again();
        Ok(false)
    }
}

/// A walk over the journal that continues after unreadable parts.
struct Around<'f> {
    follower: &'f Follower,
    /// What the base holds.
    mark: Mark,
    /// What was read.
    tail: Tail,
    /// The last frame that was read or is known to be lost.
    reached: u64,
    /// The last acknowledged frame, if known. Later frames do not count.
    last: Option<u64>,
    /// The place after it.
    believed: Option<Position>,
    /// A frame that is known to have been durable.
    known: u64,
    /// Where the first damage is, as text. The tail ends before it.
    what: Option<String>,
    lost: Vec<LostFrames>,
    is_guessed: bool,
    is_new: bool,
}

impl Around<'_> {
    fn walk(&mut self, segments: &[Segment]) -> Result<()> {
        let first = segments.first().map(|segment| segment.header.start.frame);
        if first.is_none_or(|first| first > self.mark.frame) {
            self.begin_without_header(first)?;
        }
        self.reached = self.reached.max(first.unwrap_or_default());
        for (at, segment) in segments.iter().enumerate() {
            let bound = segments.get(at + 1).map(|next| next.header.start.frame);
            // It is no longer needed by any reader, and may be in preparation for its next use.
            if bound.is_none_or(|bound| bound > self.mark.frame) {
                self.walk_in(segment, bound.into_iter().chain(self.last).min())?;
            }
        }
        let at = self.tail.position();
        let goes_on = || segment::continues_without_header(&*self.follower.files, &self.follower.layout, &at);
        let is_headless =
            self.what.is_none() && self.known <= self.reached && at.frame >= self.mark.frame && goes_on()?;
        self.is_guessed |= is_headless;
        let last = if is_headless { self.reached + 1 } else { self.known };
        let reached = self.reached.max(self.mark.frame);
        if last > reached {
            let first = reached + 1;
            self.note(|folder| format!("`{folder}`: frames {first} to {last} are missing"));
            self.lose_headless(first, last)?;
        }
        let position = self.tail.position();
        if self.believed.is_some_and(|until| until.frame == position.frame && !until.is_same_frame(&position)) {
            let (frame, two_writers) = (position.frame, self.follower.two_writers());
            self.note(|_| format!("{two_writers}, in frame {frame}"));
        }
        if self.reached < self.mark.frame {
            let (end, held) = (self.reached, self.mark.frame);
            self.note(|folder| format!("`{folder}`: it ends at frame {end}, but the base holds frame {held}"));
        }
        Ok(())
    }

    /// Covers frames that are in no segment with a header: those after the base, up to the first that is there.
    fn begin_without_header(&mut self, first: Option<u64>) -> Result<()> {
        let Follower { files, layout, .. } = self.follower;
        let (folder, held) = (layout.folder().display(), self.mark.frame);
        let whole = Segment::of_any_store(&**files, layout)?.len();
        // Only a repair leaves such a mark: it has given the base everything and put the segments aside, but has not
        // started the journal again.
        let found = files.list(layout.folder()).during("listing", layout.folder())?;
        let is_aside = found.iter().any(|entry| entry.name.starts_with(DAMAGED_PREFIX));
        let is_of_repair = is_aside && self.mark.chain == 0 && self.known <= held;
        if first.is_none() && is_of_repair && !segment::any_segment_has_data(&**files, layout)? {
            self.note(|folder| format!("`{folder}`: a repair was interrupted"));
            return Ok(());
        }
        if segment_files(&**files, layout)?.len() > whole {
            self.is_guessed = first.or(self.last).is_none();
            let end = first.or(self.last).unwrap_or(held + 1).max(held);
            self.reached = end;
            if end == held {
                // It was reported that no frame follows those of the base.
                self.note(|folder| format!("`{folder}`: a segment has no header"));
                return Ok(());
            }
            self.note(|folder| format!("`{folder}`: frame {} is in a segment without a header", held + 1));
            return self.lose_headless(held + 1, end);
        }
        match (first, whole) {
            (Some(first), _) => {
                let (lacking, first) = (held + 1, first + 1);
                Err(Error::corrupt(format!(
                    "`{folder}`: the base ends before frame {lacking}, but the journal begins at frame {first}"
                )))
            }
            // Unless this process knows better.
            (None, 0) if self.mark.is_complete && self.follower.position().frame <= held => {
                self.note(|folder| format!("`{folder}`: the journal of the store is missing"));
                self.is_new = true;
                Ok(())
            }
            (None, 0) if !self.follower.base.is_readable_alone() => Err(self.follower.without_journal()),
            (None, 0) => self.go_without("the journal of the store is missing"),
            (None, _) if !self.follower.base.is_readable_alone() => {
                Err(Error::corrupt(format!("`{folder}`: it is the journal of another store")))
            }
            (None, _) => self.go_without("it is the journal of another store"),
        }
    }

    /// Goes on with what the base holds alone: what was reported beyond that is lost.
    fn go_without(&mut self, what: &str) -> Result<()> {
        self.note(|folder| format!("`{folder}`: {what}"));
        self.is_guessed = self.last.is_none();
        let (first, last) = (self.mark.frame + 1, self.known);
        self.reached = last;
        if last < first { Ok(()) } else { self.lose_headless(first, last) }
    }

    /// Reads a segment up to a frame, if one is given, or to its end.
    fn walk_in(&mut self, segment: &Segment, end: Option<u64>) -> Result<()> {
        let mut at = segment.header.start;
        if self.what.is_none() {
            self.tail.continue_in(segment.clone());
        }
        while end.is_none_or(|end| at.frame < end)
            && let NextFrame::Group(commits, after) = segment.read(&at).during("reading", &segment.path)?
        {
            self.take(&at, commits, after)?;
            at = after;
        }
        let mut beyond = segment.frames_beyond(&at).during("reading", &segment.path)?;
        beyond.retain(|frame| end.is_none_or(|end| frame.number <= end));
        for frame in beyond {
            if frame.number > at.frame + 1 {
                self.lose(segment, &at, frame.number - 1)?;
            }
            let before = Position { frame: frame.number - 1, chain: frame.previous, offset: frame.offset, ..at };
            if frame.number > at.frame
                && let NextFrame::Group(commits, after) = segment.read(&before).during("reading", &segment.path)?
            {
                self.take(&before, commits, after)?;
                at = after;
            }
        }
        if let Some(end) = end.filter(|end| *end > at.frame) {
            self.lose(segment, &at, end)?;
        }
        self.reached = self.reached.max(at.frame).max(end.unwrap_or_default());
        Ok(())
    }

    fn take(&mut self, before: &Position, commits: Vec<Commit>, after: Position) -> Result<()> {
        let Mark { frame, chain, .. } = self.mark;
        let is_other = |at: &Position| at.frame == frame && at.chain != chain;
        if is_other(before) || is_other(&after) {
            let folder = self.follower.layout.folder().display();
            return Err(Error::corrupt(format!("`{folder}`: frame {frame} is not the one that the base holds")));
        }
        match self.what {
            // Nothing is written after it, so its place does not matter.
            Some(_) if after.frame > frame => self.tail.take_beyond(before, commits, after),
            Some(_) => {}
            None if after.frame > frame => self.tail.take_at(before, commits, after),
            None => self.tail.pass(before, after),
        }
        Ok(())
    }

    /// Records that the frames after a position cannot be read, up to a number.
    fn lose(&mut self, segment: &Segment, at: &Position, last: u64) -> Result<()> {
        if last <= self.mark.frame {
            return Ok(());
        }
        let first = at.frame + 1;
        if segment.read(at).during("reading", &segment.path)? == NextFrame::End {
            self.note(|folder| format!("`{folder}`: frames {first} to {last} are missing"));
            return self.lose_headless(first, last);
        }
        let (path, offset) = (segment.path.display(), at.offset);
        self.note(|_| format!("`{path}`: frame {first} at byte {offset}"));
        self.lost.push(LostFrames::at(segment, at, last).during("reading", &segment.path)?);
        Ok(())
    }

    fn lose_headless(&mut self, first: u64, last: u64) -> Result<()> {
        let Follower { files, layout, .. } = self.follower;
        self.lost.push(LostFrames::without_header(&**files, layout, first..=last)?);
        Ok(())
    }

    fn note(&mut self, what: impl FnOnce(std::path::Display<'_>) -> String) {
        if self.what.is_none() {
            self.what = Some(what(self.follower.layout.folder().display()));
        }
    }
}
