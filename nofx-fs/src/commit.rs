//! Committing: one checksummed append to the journal and one flush for a group.

use std::collections::HashMap;
use std::sync::{PoisonError, TryLockError};

use nofx_core::{Batch, BatchId, Committed, Error, LogHead, LogKey, LogState, Outcome, RecordKey, Result, Seq, View};

use crate::codec::Commit;
use crate::fault::During;
use crate::journal::{self, Found, HEADER_BYTES, Header, Position, Segment};
use crate::lock::{Held, Lock};
use crate::state::State;
use crate::store::{Call, Doors, Shared};
use crate::{LIMITS, config, fault, layout};

/// A group with more than this in its bodies becomes several frames, each with a flush of its own.
const FRAME_BYTES: usize = 256 << 20;
/// How many segments are kept for later use.
const SPARE_SEGMENTS: usize = 2;

impl Shared {
    /// Commits a group. Blocks until the disk has answered, and until nobody else commits.
    pub(crate) fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.refuse(&group)?;
        self.make_room()?;
        let _turn = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = Vec::with_capacity(group.len());
        for part in parts(group) {
            let held = self.hold_waiting(Doors::lock);
            match held.and_then(|(doors, held)| self.commit_holding(&doors, &held, part)) {
                Ok(more) => outcomes.extend(more),
                Err(error) if outcomes.is_empty() => return Err(error),
                // An earlier part happened, so this is not the truth about all.
                Err(error) => return Err(Error::unknown_because("committing the rest of a large group", error)),
            }
        }
        Ok(outcomes)
    }

    /// Commits a group if nobody else commits just now; otherwise gives it back. Blocks until the disk has answered.
    pub(crate) fn try_commit(&self, group: Vec<Batch>) -> std::result::Result<Result<Vec<Outcome>>, Vec<Batch>> {
        if let Err(error) = self.refuse(&group) {
            return Ok(Err(error));
        }
        let _turn = match self.committing.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(group),
        };
        if self.is_overfull() || group.iter().map(Batch::body_bytes).sum::<usize>() > FRAME_BYTES {
            return Err(group);
        }
        match self.hold(Doors::lock, Lock::try_acquire) {
            Ok(Some((doors, held))) => Ok(self.commit_holding(&doors, &held, group)),
            Ok(None) => Err(group),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Refuses what no state of the store would take.
    fn refuse(&self, group: &[Batch]) -> Result<()> {
        match &self.read_only {
            Some(read_only) => Err(read_only.error.clone()),
            None => group.iter().try_for_each(|batch| batch.validate(&LIMITS)),
        }
    }

    fn commit_holding(&self, doors: &Doors, held: &Held, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.catch_up(doors, held)?;
        let (outcomes, commits) = self.judge(group)?;
        if !commits.is_empty() {
            self.write(doors, commits)?;
        }
        Ok(outcomes)
    }

    /// Makes the state reflect everything that is in the journal, also what a killed writer left there.
    pub(crate) fn catch_up(&self, doors: &Doors, held: &Held) -> Result<()> {
        let told = self.read_tip(doors)?;
        let is_followed = {
            let mut state = self.state_mut();
            match &told {
                _ if state.damage.is_some() => true,
                _ if state.segment.is_none() => false,
                Some(tip) if tip.durable.frame >= state.position.frame => self.follow(&mut state, tip)?,
                // Whoever committed last could not tell it. Where the last frame is, the journal says what follows.
                _ => true,
            }
        };
        if !is_followed || self.lacking()?.is_some() && !self.is_overwritten()? {
            self.load_holding(doors, held)?;
        }
        if let Some(damage) = &self.state().damage {
            return Err(Error::corrupt(format!("{damage}; nothing is written until it is repaired")));
        }
        if self.lacking()?.is_some() {
            return Err(self.lies());
        }
        self.adopt()?;
        let position = self.state().position;
        if told.is_none()
            && !self.end()?.0.frames_beyond(&position).during("reading", layout::JOURNAL.as_ref())?.is_empty()
        {
            // What stands here was durable, and is damaged.
            self.load_holding(doors, held)?;
            let damage = self.state().damage.clone().unwrap_or_default();
            return Err(Error::corrupt(format!("{damage}; nothing is written until it is repaired")));
        }
        if told.is_none_or(|told| told.durable != position) {
            self.tell_durable(doors, &position);
        }
        Ok(())
    }

    /// Returns whether there is another whole frame where the last one was: its writer cannot have had the lock.
    fn is_overwritten(&self) -> Result<bool> {
        let (segment, last) = {
            let state = self.state();
            (segment(&state)?.clone(), state.last_frame_here())
        };
        match last {
            Some((offset, after)) => segment.has_other(offset, &after).during("reading", &segment.path),
            None => Ok(false),
        }
    }

    /// Takes in what a writer left behind the tip when it was killed, and goes on where the journal does.
    fn adopt(&self) -> Result<()> {
        loop {
            let (segment, position) = self.end()?;
            match segment.read(&position).during("reading", &segment.path)? {
                Found::Nothing => return Ok(()),
                Found::Group(commits, after) => {
                    if let Err(error) = segment.file.sync() {
                        return Err(self.give_up_segment(&segment, &position, error));
                    }
                    self.state_mut().take_in(&segment, &position, commits, after);
                }
                Found::End => {
                    let next = self.next_segment(&position)?;
                    let next = next.map_or_else(|| self.begin_segment(&position), Ok)?;
                    self.state_mut().go_on_in(next);
                }
            }
        }
    }

    /// Returns where the journal ends, as far as it was followed.
    fn end(&self) -> Result<(Segment, Position)> {
        let state = self.state();
        Ok((segment(&state)?.clone(), state.position))
    }

    /// Judges each batch on what those before it left, and says what the group becomes.
    fn judge(&self, group: Vec<Batch>) -> Result<(Vec<Outcome>, Vec<Commit>)> {
        let remembered = self.first_outcomes(&group)?;
        let state = self.state();
        let mut judged = Judged { state: &state, records: HashMap::new(), logs: HashMap::new() };
        let mut last_seq = state.last_seq;
        let mut outcomes = Vec::with_capacity(group.len());
        let mut commits: Vec<Commit> = Vec::new();
        let mut in_group: HashMap<BatchId, usize> = HashMap::new();
        for batch in group {
            if let Some(first) = in_group.get(&batch.id).and_then(|at| commits.get(*at)) {
                outcomes.push(Outcome::Committed(first.remembered().committed()));
                continue;
            }
            if let Some(first) = remembered.get(&batch.id).cloned() {
                outcomes.push(Outcome::Committed(first));
                continue;
            }
            if let Some(conflict) = batch.check(&mut judged)? {
                outcomes.push(Outcome::Conflicted(conflict));
                continue;
            }
            let seq = (!batch.writes.is_empty()).then(|| last_seq.map_or(Seq::FIRST, Seq::next));
            last_seq = seq.or(last_seq);
            let mut lengths = HashMap::new();
            for append in &batch.appends {
                lengths.insert(append.log.clone(), judged.head(&append.log)?.length);
            }
            let commit = Commit::of(batch, seq, |log| lengths.get(log).copied().unwrap_or_default());
            judged.take(&commit);
            in_group.insert(commit.batch, commits.len());
            outcomes.push(Outcome::Committed(commit.remembered().committed()));
            commits.push(commit);
        }
        Ok((outcomes, commits))
    }

    /// Returns what each batch got that was committed before, as far as that is remembered.
    fn first_outcomes(&self, group: &[Batch]) -> Result<HashMap<BatchId, Committed>> {
        let mut found = HashMap::new();
        let base_commits = {
            let state = self.state();
            let recent = group.iter().filter_map(|batch| state.recent_commit(&batch.id));
            found.extend(recent.map(|recent| (recent.batch, recent.committed())));
            state.base_commits
        };
        #[cfg(test)]
        if self.options.breaks(crate::options::Sabotage::ForgetIds) {
            return Ok(found);
        }
        // What was not among the recent ones when the feed ended here is in the feed, or is not remembered.
        let mut feed = self.feed();
        feed.catch_up(&*self.layer, base_commits)?;
        for batch in group {
            let Some(number) = feed.find(&batch.id) else { continue };
            let first = feed.read(&*self.layer, number, 1)?.and_then(|first| first.into_iter().next());
            found.extend(first.map(|first| (batch.id, first.committed())));
        }
        Ok(found)
    }

    /// Appends a group to the journal and flushes it.
    fn write(&self, doors: &Doors, commits: Vec<Commit>) -> Result<()> {
        let (mut segment, mut position) = self.end()?;
        let (mut frame, mut after) = segment.frame(&position, &commits);
        if after.offset > segment.room.min(self.options.segment_bytes) && position.offset > HEADER_BYTES {
            segment = self.turn_over(&segment, &position)?;
            position = segment.header.start;
            (frame, after) = segment.frame(&position, &commits);
        }
        if let Err(error) = segment.file.write_at(&frame, position.offset) {
            // A frame of which a part is missing is none. If all is there but its head, it is none either.
            return Err(match segment.file.write_at(&[0; 24], position.offset) {
                Ok(()) => fault::told(error, "writing", &segment.path),
                Err(_) => Error::unknown_because(format!("writing `{}`", segment.path.display()), error),
            });
        }
        if let Err(error) = segment.file.sync() {
            return Err(self.give_up_segment(&segment, &position, error));
        }
        // It is durable. What fails from here on denies that no more, unless it shows that it is not in the store.
        let told = self.read_tip(doors).map_err(|error| Error::unknown_because("committing", error))?;
        if told.is_some_and(|told| told.durable.frame > position.frame) {
            return Err(Error::unknown_because("committing", self.lies()));
        }
        if !segment.stands(Some((position.offset, after))).unwrap_or(true) {
            let error = self.doors().err().unwrap_or_else(|| self.lies());
            return Err(Error::unknown_because("committing", error));
        }
        let full = {
            let mut state = self.state_mut();
            state.take_in(&segment, &position, commits, after);
            state.dirty_bytes >= self.options.segment_bytes
        };
        self.note_commit();
        self.ask(Call { dirty: true, full, stop: false });
        self.tell_durable(doors, &after);
        Ok(())
    }

    /// Goes on in the next segment because this one is full.
    fn turn_over(&self, full: &Segment, at: &Position) -> Result<Segment> {
        // Written first, so that whoever follows the journal here learns that it goes on elsewhere.
        full.file.write_at(&full.end(at), at.offset).during("writing", &full.path)?;
        let next = self.begin_segment(at)?;
        self.state_mut().go_on_in(next.clone());
        Ok(next)
    }

    /// Begins the next generation behind a place: in a segment that is not needed any more, or in a new one.
    fn begin_segment(&self, at: &Position) -> Result<Segment> {
        let (last_seq, held) = {
            let state = self.state();
            (state.last_seq, state.base)
        };
        let start = Position { generation: at.generation + 1, offset: HEADER_BYTES, ..*at };
        let header = Header { store: self.store, salt: config::salt(&self.options), start, last_seq };
        let all = Segment::all(&*self.layer, self.store)?;
        let needed_from = |pair: &[Segment]| pair.get(1).map_or(u64::MAX, |next| next.header.start.frame);
        #[cfg(test)]
        let held = if self.options.breaks(crate::options::Sabotage::EarlyReuse) { u64::MAX } else { held };
        let spare = all.windows(2).take_while(|pair| needed_from(pair) <= held).count();
        let mut spares = all.iter().take(spare);
        let path = match spares.next() {
            Some(oldest) => oldest.path.clone(),
            None => journal::unused_path(&*self.layer)?,
        };
        let next = Segment::begin(&*self.layer, path, header, self.options.segment_bytes)?;
        // The oldest go first, so that the generations that remain have no gap.
        for surplus in spares.take(spare.saturating_sub(1 + SPARE_SEGMENTS)) {
            self.layer.remove(&surplus.path).during("removing", &surplus.path)?;
        }
        Ok(next)
    }

    /// Leaves a segment whose flush failed: nobody can tell any more what of it is on the disk.
    ///
    /// What was flushed before is durable. What was not is given up: the journal goes on elsewhere from before it.
    fn give_up_segment(&self, segment: &Segment, at: &Position, error: std::io::Error) -> Error {
        #[cfg(test)]
        if self.options.breaks(crate::options::Sabotage::TrustAfterFailure) {
            return Error::unknown_because("flushing", error);
        }
        let ended = segment.file.write_at(&segment.end(at), at.offset);
        // If not even that works, the next commit finds the frame and flushes it again, or fails as well.
        if ended.is_ok()
            && let Ok(next) = self.begin_segment(at)
        {
            self.state_mut().go_on_in(next);
        }
        Error::unknown_because(format!("flushing the journal of `{}`", self.root.display()), error)
    }
}

fn segment(state: &State) -> Result<&Segment> {
    state.segment.as_ref().ok_or_else(|| Error::corrupt(format!("`{}`: there is no segment", layout::JOURNAL)))
}

/// Splits a group so that each part fits a frame.
fn parts(group: Vec<Batch>) -> Vec<Vec<Batch>> {
    let mut parts: Vec<Vec<Batch>> = Vec::new();
    let mut room = 0;
    for batch in group {
        let bytes = batch.body_bytes();
        match parts.last_mut() {
            Some(part) if bytes <= room => part.push(batch),
            _ => {
                room = FRAME_BYTES;
                parts.push(vec![batch]);
            }
        }
        room = room.saturating_sub(bytes);
    }
    parts
}

/// The state, and what the batches of the group that were judged before changed.
struct Judged<'a> {
    state: &'a State,
    records: HashMap<RecordKey, Option<Seq>>,
    logs: HashMap<LogKey, LogHead>,
}

impl Judged<'_> {
    fn take(&mut self, commit: &Commit) {
        for (key, body) in &commit.writes {
            self.records.insert(key.clone(), commit.seq.filter(|_| body.is_some()));
        }
        for (log, entries) in &commit.appends {
            let head = self.head_mut(log);
            head.length += entries.len() as u64;
            head.last_at = entries.last().map(|entry| entry.at);
        }
        for log in &commit.seals {
            self.head_mut(log).state = LogState::Sealed;
        }
        for log in &commit.removals {
            *self.head_mut(log) = LogHead { state: LogState::Removed, ..LogHead::missing(log.clone()) };
        }
    }

    fn head_mut(&mut self, log: &LogKey) -> &mut LogHead {
        self.logs.entry(log.clone()).or_insert_with(|| self.state.head(log))
    }
}

impl View for Judged<'_> {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        if let Some(version) = self.records.get(key) {
            return Ok(*version);
        }
        match self.state.records.get(key) {
            Some(slot) if slot.damaged => Err(Error::corrupt(key.to_string())),
            slot => Ok(slot.map(|slot| slot.version)),
        }
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        Ok(self.logs.get(log).cloned().unwrap_or_else(|| self.state.head(log)))
    }
}
