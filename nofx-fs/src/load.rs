//! Loading a store: the catalog, and what the journal holds beyond it.

use nofx_core::{Result, StoreId};
use nofx_journal::codec::Commit;
use nofx_journal::fault::During;
use nofx_journal::files::Files;
use nofx_journal::lost::LostFrames;
use nofx_journal::segment::{self, NextFrame, Position, Segment};
use nofx_journal::tip::Tip;

use crate::catalog::{self, BlockMark};
use crate::layout;
use crate::lines::{self, LineSearch};
use crate::state::StoreState;

/// How far the journal is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reach {
    /// The last frame that is known to be durable, if that was reported in this boot. Nothing after it is searched for.
    pub(crate) durable: Option<u64>,
    /// Whether to read the consecutive frames after that as well.
    pub(crate) continues: bool,
}

impl Reach {
    fn end(&self) -> Option<u64> {
        self.durable.filter(|_| !self.continues)
    }
}

/// Loads a store and follows its journal.
///
/// `None` if the catalog does not match the journal, so that everything else has to be read.
pub(crate) fn load(files: &dyn Files, store: StoreId, reach: Reach) -> Result<Option<StoreState>> {
    let Some((mark, _, mut state)) = catalog::read(files)? else { return Ok(None) };
    // Read last: anything applied concurrently is then still in the journal, or else the catalog turns out to be stale.
    let segments = Segment::newest_run(files, &layout::AT, store)?;
    if segments.first().is_some_and(|first| mark.frame < first.header.start.frame) {
        return Ok(None);
    }
    state.base = mark.frame;
    state.base_commits = mark.commits;
    state.last_seq = mark.last_seq;
    state.position = Position { frame: mark.frame, chain: mark.chain, commits: mark.commits, ..Position::default() };
    let fits = replay(files, &mut state, segments, Some(mark), reach)?;
    Ok(fits.then_some(state))
}

/// Takes in what the journal holds beyond the base of a state. `false` if the two do not match.
pub(crate) fn replay(
    files: &dyn Files,
    state: &mut StoreState,
    segments: Vec<Segment>,
    mark: Option<BlockMark>,
    reach: Reach,
) -> Result<bool> {
    let mut segments = segments.into_iter().peekable();
    let Some(first) = segments.peek() else {
        let what = match Segment::of_any_store(files, &layout::AT)?.is_empty() {
            true => "it has no segment".to_owned(),
            false => format!("it belongs to another store than `{}` says", layout::CONFIG),
        };
        state.damage = Some(format!("`{}`: {what}", layout::JOURNAL));
        return Ok(true);
    };
    let (mut position, base) = (first.header.start, state.base);
    let mut broken = None;
    // What the files hold was durable before.
    let until = reach.end().map(|until| until.max(base));
    let fits = |at: &Position| mark.is_none_or(|mark| at.frame != mark.frame || at.chain == mark.chain);
    while let Some(segment) = segments.next() {
        position = segment.header.start;
        state.last_seq = state.last_seq.max(segment.header.last_seq);
        let bound = segments.peek().map(|next| next.header.start);
        // This segment is no longer needed, and may be being prepared for its next use.
        if bound.is_some_and(|bound| bound.frame <= base) {
            continue;
        }
        loop {
            if !fits(&position) {
                return Ok(false);
            }
            let end = bound.map(|bound| bound.frame).into_iter().chain(until).min();
            if end.is_some_and(|end| position.frame >= end) {
                break;
            }
            match segment.read(&position).during("reading", &segment.path)? {
                NextFrame::Group(commits, after) => {
                    if after.frame > base {
                        state.position = position;
                        fit_logs(files, state, &commits)?;
                        state.install(commits, after);
                    }
                    state.last_frame = Some((position.offset, after));
                    position = after;
                }
                NextFrame::End | NextFrame::Nothing => break,
            }
        }
        let is_broken = match bound {
            Some(bound) => (bound.frame, bound.chain) != (position.frame, position.chain),
            // If a report says that nothing is missing, nothing is searched for.
            None if reach.durable.is_some_and(|durable| durable <= position.frame) => false,
            None => !segment.frames_beyond(&position).during("reading", &segment.path)?.is_empty(),
        };
        if is_broken && until.is_none_or(|until| position.frame < until) {
            let (path, frame, offset) = (segment.path.display(), position.frame + 1, position.offset);
            state.damage.get_or_insert_with(|| format!("`{path}`: frame {frame} at byte {offset}"));
            broken = broken.or_else(|| Some((segment.clone(), position)));
            let end = bound.map(|bound| bound.frame).into_iter().chain(until).min();
            position = take_beyond(files, state, &segment, position, end)?;
        }
        state.segment = Some(segment);
    }
    let mut expected = until.unwrap_or(base);
    // If no tip says where the journal ends, a segment with a damaged header still shows that it continues.
    if until.is_none() && state.damage.is_none() && ends_before_damage(files, state, &position)? {
        expected = expected.max(position.frame + 1);
    }
    if position.frame < expected && state.damage.is_none() {
        note_missing(files, state, &position, expected)?;
    }
    if let Some((segment, before)) = broken {
        // Frames after the damage are read, but the journal does not continue there.
        (state.segment, position) = (Some(segment), before);
    }
    state.position = position;
    Ok(true)
}

/// Returns whether the journal continues after a place in a segment without a header.
fn ends_before_damage(files: &dyn Files, state: &StoreState, at: &Position) -> Result<bool> {
    let Some(segment) = &state.segment else { return Ok(false) };
    let is_end = segment.read(at).during("reading", &segment.path)? == NextFrame::End;
    Ok(is_end && segment::continues_without_header(files, &layout::AT, at)?)
}

/// Compares what was read with what the tip reports about the journal.
pub(crate) fn compare(files: &dyn Files, state: &mut StoreState, tip: &Tip) -> Result<()> {
    let durable = tip.durable;
    if state.damage.is_none() && durable.frame > state.position.frame {
        let at = state.position;
        note_missing(files, state, &at, durable.frame)?;
    }
    if state.segment.is_none() && durable.frame > state.base {
        state.lost.push(LostFrames::without_header(files, &layout::AT, state.base + 1..=durable.frame)?);
    }
    if state.damage.is_none() && durable.frame == state.position.frame && !durable.is_same_frame(&state.position) {
        let path = layout::JOURNAL;
        state.damage = Some(format!("`{path}`: frame {} was written by two processes at once", durable.frame));
    }
    Ok(())
}

/// Notes that the journal lacks frames after a place, up to one that was reported.
fn note_missing(files: &dyn Files, state: &mut StoreState, at: &Position, durable: u64) -> Result<()> {
    let first = at.frame + 1;
    let mut what = format!("`{}`: frames {first} to {durable} are missing", layout::JOURNAL);
    match state.segment.clone() {
        Some(segment) if segment.read(at).during("reading", &segment.path)? != NextFrame::End => {
            what =
                format!("`{}`: frames {first} to {durable} are missing at byte {}", segment.path.display(), at.offset);
            note_lost(state, &segment, at, durable)?;
        }
        // The next segment is missing, or nothing shows that there is one.
        _ if durable > state.base => state.lost.push(LostFrames::without_header(files, &layout::AT, first..=durable)?),
        _ => {}
    }
    state.damage = Some(what);
    Ok(())
}

/// Notes that the frames after a place up to a number cannot be read, unless the files hold them.
fn note_lost(state: &mut StoreState, segment: &Segment, at: &Position, last: u64) -> Result<()> {
    if last > state.base {
        state.lost.push(LostFrames::at(segment, at, last).during("reading", &segment.path)?);
    }
    Ok(())
}

/// Takes in the whole frames of a segment after damage, up to a frame: each one describes its changes completely.
/// Returns the place after the last.
fn take_beyond(
    files: &dyn Files,
    state: &mut StoreState,
    segment: &Segment,
    mut position: Position,
    end: Option<u64>,
) -> Result<Position> {
    let mut beyond = segment.frames_beyond(&position).during("reading", &segment.path)?;
    beyond.retain(|frame| end.is_none_or(|end| frame.number <= end));
    for frame in beyond {
        if frame.number > position.frame + 1 {
            note_lost(state, segment, &position, frame.number - 1)?;
        }
        let before = Position { frame: frame.number - 1, chain: frame.previous, offset: frame.offset, ..position };
        if let NextFrame::Group(commits, after) = segment.read(&before).during("reading", &segment.path)? {
            if after.frame > state.base {
                state.position = before;
                fit_logs(files, state, &commits)?;
                state.install(commits, after);
            }
            position = after;
        }
    }
    if let Some(end) = end.filter(|end| position.frame < *end) {
        note_lost(state, segment, &position, end)?;
    }
    Ok(position)
}

/// Sets the end of each log that a group appends to so that the entries fit, if the files are ahead of the journal or
/// behind it.
fn fit_logs(files: &dyn Files, state: &mut StoreState, commits: &[Commit]) -> Result<()> {
    let appends = commits.iter().flat_map(|commit| &commit.appends);
    for (log, entries) in appends {
        let Some(first) = entries.first().map(|entry| entry.position) else { continue };
        let Some(slot) = state.logs.get_mut(log) else { continue };
        if first == slot.length || !slot.recent.is_empty() {
            continue;
        }
        let path = layout::open_log(log);
        let start = lines::heading(log).len() as u64;
        if let Ok(file) = files.open(&path) {
            let end = file.len().during("measuring", &path)?;
            slot.bytes =
                LineSearch { file: &*file, bytes: start..end.max(start) }.start_of(first).during("reading", &path)?;
        }
        (slot.length, slot.base, slot.base_at) = (first, first, None);
    }
    Ok(())
}
