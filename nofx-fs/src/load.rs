//! Reading a store: the catalog, and what the journal holds beyond it.

use nofx_core::{Result, StoreId};

use crate::catalog::{self, Mark};
use crate::codec::Commit;
use crate::fault::During;
use crate::files::{Layer, Mode};
use crate::journal::{Found, Position, Segment};
use crate::layout;
use crate::lines::{self, Lines};
use crate::state::State;

/// Reads a store, following the journal up to `until` or to its end.
///
/// `None` if the catalog does not fit the journal, so that everything else has to be looked at.
pub(crate) fn load(layer: &dyn Layer, store: StoreId, until: Option<Position>) -> Result<Option<State>> {
    let Some((mark, _, mut state)) = catalog::read(layer)? else { return Ok(None) };
    // Read last: what was applied meanwhile is still in the journal then, or else the catalog turns out to be stale.
    let segments = Segment::newest_run(layer, store)?;
    if segments.first().is_some_and(|first| mark.frame < first.header.start.frame) {
        return Ok(None);
    }
    state.base = mark.frame;
    state.base_commits = mark.commits;
    state.last_seq = mark.last_seq;
    state.position = Position { frame: mark.frame, chain: mark.chain, commits: mark.commits, ..Position::default() };
    let fits = replay(layer, &mut state, segments, Some(mark), until)?;
    Ok(fits.then_some(state))
}

/// Takes in what the journal holds beyond the base of a state. `false` if the two do not fit.
pub(crate) fn replay(
    layer: &dyn Layer,
    state: &mut State,
    segments: Vec<Segment>,
    mark: Option<Mark>,
    until: Option<Position>,
) -> Result<bool> {
    let mut segments = segments.into_iter().peekable();
    let Some(first) = segments.peek() else {
        state.damage = Some(format!("`{}`: there is no segment", layout::JOURNAL));
        return Ok(true);
    };
    let (mut position, base) = (first.header.start, state.base);
    // What the files hold was durable before.
    let until = until.map(|until| until.frame.max(base));
    let fits = |at: &Position| mark.is_none_or(|mark| at.frame != mark.frame || at.chain == mark.chain);
    while let Some(segment) = segments.next() {
        position = segment.header.start;
        state.last_seq = state.last_seq.max(segment.header.last_seq);
        let bound = segments.peek().map(|next| next.header.start);
        // Nobody needs it any more, and it may just be made ready for its next use.
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
                Found::Group(commits, after) => {
                    if after.frame > base {
                        state.position = position;
                        fit_logs(layer, state, &commits)?;
                        state.install(commits, after);
                    }
                    state.last_frame = Some((position.offset, after));
                    position = after;
                }
                Found::End | Found::Nothing => break,
            }
        }
        let is_broken = match bound {
            Some(bound) => (bound.frame, bound.chain) != (position.frame, position.chain),
            None => segment.has_frame_beyond(&position).during("reading", &segment.path)?,
        };
        if is_broken && until.is_none_or(|until| position.frame < until) {
            let (path, frame, offset) = (segment.path.display(), position.frame + 1, position.offset);
            state.damage = Some(format!("`{path}`: frame {frame} at byte {offset}"));
            state.segment = Some(segment);
            break;
        }
        state.segment = Some(segment);
    }
    let expected = until.unwrap_or(base);
    if state.damage.is_none() && position.frame < expected {
        state.damage = Some(format!("`{}`: frames {} to {expected} are missing", layout::JOURNAL, position.frame + 1));
    }
    state.position = position;
    Ok(true)
}

/// Makes the logs that a group appends to end where its entries begin, if the files are ahead of the journal or behind it.
fn fit_logs(layer: &dyn Layer, state: &mut State, commits: &[Commit]) -> Result<()> {
    let appends = commits.iter().flat_map(|commit| &commit.appends);
    for (log, entries) in appends {
        let Some(first) = entries.first().map(|entry| entry.position) else { continue };
        let Some(slot) = state.logs.get_mut(log) else { continue };
        if first == slot.length || !slot.recent.is_empty() {
            continue;
        }
        let path = layout::open_log(log);
        let start = lines::heading(log).len() as u64;
        if let Ok(file) = layer.open(&path, Mode::Read) {
            let end = file.len().during("measuring", &path)?;
            slot.bytes =
                Lines { file: &*file, bytes: start..end.max(start) }.start_of(first).during("reading", &path)?;
        }
        (slot.length, slot.base) = (first, first);
    }
    Ok(())
}
