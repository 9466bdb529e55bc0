//! Committing: one checksummed append to the journal and one flush for a group.

use std::sync::{Arc, TryLockError};

use nofx_core::{Batch, Error, Outcome, Result};
use nofx_journal::codec::{Commit, split};
use nofx_journal::fault;
use nofx_journal::fault::During;
use nofx_journal::files::WritableFile;
use nofx_journal::lock::{HeldLock, Lock};
use nofx_journal::segment::{self, HEADER_BYTES, Header, NextFrame, Position, Segment, Spares};
use nofx_journal::shared_files::SharedFiles;

use crate::layout;
use crate::load::{self, Reach};
use crate::state::StoreState;
use crate::writer::{CommitTurn, StoreWriter};

/// A group with more than this in its bodies becomes several frames, each with its own flush.
const MAX_FRAME_BYTES: usize = 256 << 20;

impl StoreWriter {
    /// Commits a group. Blocks until the disk has answered, and while another thread or process commits.
    pub(crate) fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        if Spares::for_group(&group) == Spares::KeepLast {
            self.make_room()?;
        }
        let mut turn = self.turn();
        let mut outcomes = Vec::with_capacity(group.len());
        for part in split(group, MAX_FRAME_BYTES) {
            let held = self.hold_waiting(SharedFiles::lock);
            match held.and_then(|(shared_files, held)| self.commit_holding(&mut turn, &shared_files, &held, part)) {
                Ok(more) => outcomes.extend(more),
                Err(error) if outcomes.is_empty() => return Err(error),
                // An earlier part happened, so this error is not true of the whole group.
                Err(error) => return Err(Error::unknown_because("committing the rest of a large group", error)),
            }
        }
        Ok(outcomes)
    }

    /// Commits a group unless another thread or process is committing; otherwise returns it. Blocks until the disk has
    /// answered.
    pub(crate) fn try_commit(&self, group: Vec<Batch>) -> std::result::Result<Result<Vec<Outcome>>, Vec<Batch>> {
        let mut turn = match self.committing.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(group),
        };
        if self.is_overfull() || group.iter().map(Batch::body_bytes).sum::<usize>() > MAX_FRAME_BYTES {
            return Err(group);
        }
        match self.hold(SharedFiles::lock, Lock::try_acquire) {
            Ok(Some((shared_files, held))) => Ok(self.commit_holding(&mut turn, &shared_files, &held, group)),
            Ok(None) => Err(group),
            Err(error) => Ok(Err(error)),
        }
    }

    fn commit_holding(
        &self,
        turn: &mut CommitTurn,
        shared_files: &SharedFiles,
        held: &HeldLock,
        group: Vec<Batch>,
    ) -> Result<Vec<Outcome>> {
        turn.spares = Spares::for_group(&group);
        self.catch_up(turn, shared_files, held)?;
        let (outcomes, commits) = self.judge_group(group)?;
        if !commits.is_empty() {
            self.write(turn, shared_files, commits)?;
        }
        Ok(outcomes)
    }

    /// Makes the state reflect everything in the journal; durable and reported in the tip on return.
    ///
    /// Anything after a tip of this boot was never acknowledged and is overwritten: readers did not see it either.
    /// Without such a tip, every whole frame counts.
    pub(crate) fn catch_up(&self, turn: &mut CommitTurn, shared_files: &SharedFiles, held: &HeldLock) -> Result<()> {
        let tip = self.read_tip(shared_files.tip())?;
        let is_reported = tip.is_some_and(|tip| tip.boot == self.files.boot());
        let is_followed = {
            let mut state = self.state_mut();
            match &tip {
                _ if state.damage.is_some() => true,
                _ if state.segment.is_none() => false,
                Some(tip) if tip.durable.frame >= state.position.frame => self.follow(&mut state, tip)?,
                // The last committer could not report its commit. From the last known frame, the journal itself says
                // what follows.
                _ => true,
            }
        };
        let mut lacks = self.lacking()?.is_some();
        if !is_followed || lacks && !self.is_overwritten()? {
            self.load_holding(shared_files, held)?;
            lacks = self.lacking()?.is_some();
        }
        self.refuse_damage()?;
        if lacks {
            return Err(self.two_writers());
        }
        self.adopt(turn, !is_reported || self.files.boot().is_none())?;
        let (mut segment, position) = self.end()?;
        if !is_reported && turn.flushed != Some(position.frame) {
            if !segment.frames_beyond(&position).during("reading", &segment.path)?.is_empty() {
                // What is here was durable, and is damaged.
                self.load_holding(shared_files, held)?;
                self.refuse_damage()?;
            }
            // Nothing shows that its writer got as far as the flush.
            let file = self.edit(turn, &mut segment)?;
            let last = self.state().last_frame_here().filter(|_| tip.is_none());
            let flushed = last.map_or(Ok(()), |(offset, after)| segment.write_again(&*file, offset, after.offset));
            flushed.and_then(|()| file.sync()).during("flushing", &segment.path)?;
            turn.flushed = Some(position.frame);
        }
        self.state_mut().is_unproven = false;
        if !is_reported || tip.is_none_or(|tip| tip.durable != position) {
            _ = self.report_durable(shared_files, &position);
        }
        Ok(())
    }

    /// Catches up even if the journal is damaged: what is around the damage can be read.
    pub(crate) fn catch_up_to_read(
        &self,
        turn: &mut CommitTurn,
        shared_files: &SharedFiles,
        held: &HeldLock,
    ) -> Result<()> {
        match self.catch_up(turn, shared_files, held) {
            Err(Error::Corrupt(_)) if self.state().damage.is_some() => Ok(()),
            done => done,
        }
    }

    fn refuse_damage(&self) -> Result<()> {
        match &self.state().damage {
            Some(damage) => Err(Error::corrupt(format!("{damage}; nothing is written until it is repaired"))),
            None => Ok(()),
        }
    }

    /// Reads the whole journal, while no other process can commit.
    pub(crate) fn load_holding(&self, shared_files: &SharedFiles, _: &HeldLock) -> Result<()> {
        let tip = self.read_tip(shared_files.tip())?;
        let boot = self.files.boot();
        let durable = tip.filter(|tip| tip.boot == boot).map(|tip| tip.durable.frame);
        let reach = Reach { durable, continues: durable.is_none() || boot.is_none() };
        let mut loaded = match load::load(&*self.files, self.store, reach)? {
            Some(state) => state,
            None => self.rebuild(reach)?,
        };
        if let Some(tip) = &tip {
            load::compare(&*self.files, &mut loaded, tip)?;
        }
        self.refuse_less(&loaded)?;
        if loaded.damage.is_none() && tip.map_or(0, |tip| tip.applied) < loaded.base {
            self.report_applied(shared_files, loaded.base);
        }
        self.replace_state(loaded);
        Ok(())
    }

    /// Returns whether a different whole frame is where the last one was: its writer cannot have had the lock.
    fn is_overwritten(&self) -> Result<bool> {
        let (segment, last) = {
            let state = self.state();
            (segment(&state)?.clone(), state.last_frame_here())
        };
        match last {
            Some((offset, after)) => segment.has_different_frame(offset, &after).during("reading", &segment.path),
            None => Ok(false),
        }
    }

    /// Continues where the journal does, and takes in what a killed writer left if `takes_in`.
    fn adopt(&self, turn: &mut CommitTurn, takes_in: bool) -> Result<()> {
        loop {
            let (mut segment, position) = self.end()?;
            match segment.read(&position).during("reading", &segment.path)? {
                NextFrame::Nothing => return Ok(()),
                NextFrame::Group(..) if !takes_in => return Ok(()),
                NextFrame::Group(commits, after) => {
                    let file = self.edit(turn, &mut segment)?;
                    let written = segment.write_again(&*file, position.offset, after.offset);
                    if let Err(error) = written.and_then(|()| file.sync()) {
                        return Err(self.give_up_segment(turn, &mut segment, &position, error));
                    }
                    turn.flushed = Some(after.frame);
                    self.state_mut().take_in(&segment, &position, commits, after);
                }
                NextFrame::End => match Segment::next(&*self.files, &layout::AT, self.store, &position)? {
                    Some(next) => self.state_mut().continue_in(next),
                    None => _ = self.begin_segment(turn, &position)?,
                },
            }
        }
    }

    /// Returns where the journal ends, as far as it was followed.
    fn end(&self) -> Result<(Segment, Position)> {
        let state = self.state();
        Ok((segment(&state)?.clone(), state.position))
    }

    /// Appends a group to the journal and flushes it.
    fn write(&self, turn: &mut CommitTurn, shared_files: &SharedFiles, commits: Vec<Commit>) -> Result<()> {
        let (mut segment, mut position) = self.end()?;
        let mut file = self.edit(turn, &mut segment)?;
        let (mut frame, mut after) = segment.frame(&position, &commits);
        if after.offset > segment.room.min(self.options.segment_bytes) && position.offset > HEADER_BYTES {
            (segment, file) = self.turn_over(turn, &mut segment, &position)?;
            position = segment.header.start;
            (frame, after) = segment.frame_again(&position, &commits, frame);
        }
        if let Err(error) = file.write_at(&frame, position.offset) {
            // A frame with a missing part does not count. Neither does one that is complete except for its head.
            return Err(match file.write_at(&[0; 24], position.offset) {
                Ok(()) => fault::into_error(error, "writing", &segment.path),
                Err(_) => Error::unknown_because(format!("writing `{}`", segment.path.display()), error),
            });
        }
        if let Err(error) = file.sync() {
            return Err(self.give_up_segment(turn, &mut segment, &position, error));
        }
        turn.flushed = Some(after.frame);
        // The group is durable. An error from here on does not change that, unless it shows that the group is not in
        // the store.
        let tip = self.read_tip(shared_files.tip()).map_err(|error| Error::unknown_because("committing", error))?;
        if tip.is_some_and(|tip| tip.durable.frame > position.frame) {
            return Err(Error::unknown_because("committing", self.two_writers()));
        }
        if !segment.is_intact_in_place(Some((position.offset, after))).unwrap_or(true) {
            let error = self.shared_files().err().unwrap_or_else(|| self.two_writers());
            return Err(Error::unknown_because("committing", error));
        }
        let full = {
            let mut state = self.state_mut();
            state.take_in(&segment, &position, commits, after);
            state.dirty_bytes >= self.options.segment_bytes
        };
        self.note_commit();
        self.requests.committed(full);
        if !self.report_durable(shared_files, &after) {
            // Other processes rely on the last report, and may overwrite the group.
            self.state_mut().is_unproven = true;
            return Err(Error::unknown(format!("updating `{}`", layout::TIP)));
        }
        Ok(())
    }

    /// Continues in the next segment because this one is full.
    fn turn_over(
        &self,
        turn: &mut CommitTurn,
        full: &mut Segment,
        at: &Position,
    ) -> Result<(Segment, Arc<dyn WritableFile>)> {
        // Written first, so that processes which follow the journal here learn that it continues elsewhere.
        self.edit(turn, full)?.write_at(&full.end(at), at.offset).during("writing", &full.path)?;
        self.begin_segment(turn, at)
    }

    /// Continues in the next generation after a place: in a segment that is no longer needed, or in a new one.
    fn begin_segment(&self, turn: &mut CommitTurn, at: &Position) -> Result<(Segment, Arc<dyn WritableFile>)> {
        let (last_seq, held) = {
            let state = self.state();
            (state.last_seq, state.base)
        };
        let header = Header::after(at, self.store, segment::salt(&self.options.sources), last_seq);
        let (next, file) =
            Segment::begin_next(&*self.writable, &layout::AT, header, held, self.options.segment_bytes, turn.spares)?;
        self.continue_in(turn, next.clone(), &file);
        Ok((next, file))
    }

    /// Leaves a segment whose flush failed: it is unknown what part of it is on the disk.
    ///
    /// What was flushed before is durable. What was not is given up: the journal continues elsewhere from before it.
    fn give_up_segment(
        &self,
        turn: &mut CommitTurn,
        segment: &mut Segment,
        at: &Position,
        error: std::io::Error,
    ) -> Error {
        let ended = self
            .edit(turn, segment)
            .and_then(|file| file.write_at(&segment.end(at), at.offset).during("writing", &segment.path));
        // If this fails too, the next commit finds the frame and writes it again, or fails as well.
        _ = ended.and_then(|()| self.begin_segment(turn, at));
        Error::unknown_because(format!("flushing the journal of `{}`", self.root.display()), error)
    }
}

fn segment(state: &StoreState) -> Result<&Segment> {
    state.segment.as_ref().ok_or_else(|| Error::corrupt(format!("`{}`: it has no segment", layout::JOURNAL)))
}
