//! Rewinding a session: removing its newest messages.

use futures_util::StreamExt;

use super::cut::{Cut, Short};
use super::history::inherited;
use super::log_readers::give_up;
use crate::batch::{Batch, Conflict, Expect, Guard, Mismatch};
use crate::entity::{Piece, RecordEntity, Session, SessionId};
use crate::error::{Error, Result};
use crate::query::Direction;
use crate::record::{LogHead, Seq};
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::event::with_rewind_event;
use crate::workspace::sessions::activity::ActivityPlace;
use crate::workspace::sessions::session::require_open;

/// How much of a session's history a caller has seen.
///
/// A number of messages converts to one without the rewinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The number of messages.
    pub length: u64,
    /// How often the session had been rewound at that time ([`Session::rewinds`]); `None` to compare only the length.
    pub rewinds: Option<u32>,
}

impl From<u64> for Seen {
    fn from(length: u64) -> Self {
        Self { length, rewinds: None }
    }
}

impl Workspace {
    /// Rewinds a session to its first `to` messages; returns the new state of the session.
    ///
    /// One commit, whose cost does not depend on the length of the history. Messages after the cut are out of reach of
    /// every verb; their bytes go when the last log that holds them goes, and until then `dump --full` may show them.
    /// Sessions restored from this one earlier keep what they had. Preview, counts and last activity reflect what is
    /// left; tasks stay. Rewinding to the current length is no change.
    ///
    /// `Conflict` if the session is not as the caller has `seen` it, which includes a rewind since. `Invalid` if it has
    /// fewer messages than `to`, is archived or is in the trash; `NotFound` if there is none.
    pub async fn rewind_session(&self, id: &SessionId, to: u64, seen: impl Into<Seen>) -> Result<Session> {
        let seen = seen.into();
        let decided = self.decide("rewind_session", move |attempt| async move {
            let found = self.find(id).await?;
            let session = &found.session;
            if attempt.has_happened() {
                return Ok((session.clone(), None));
            }
            require_open(session)?;
            let own = self.store.head(&session.log()).await?;
            let length = inherited(session) + own.length;
            if seen.length != length || is_rewound_since(&seen, session) {
                return Err(self.seen_otherwise(&seen, session, length));
            }
            if to > length {
                return Err(Error::invalid(format!("session `{id}` has {length} messages, fewer than {to}")));
            }
            if to == length {
                return Ok((session.clone(), None));
            }
            let (rewound, last, batch) = self.rewound(session, &own, to).await?;
            let batch = found.save(batch, &rewound, &ActivityPlace::of(&rewound, last))?;
            Ok((rewound, Some(batch)))
        });
        Ok(decided.await?.0)
    }

    /// Returns the session with its first `to` messages, the time of the last of them, and the rest of the commit.
    async fn rewound(&self, session: &Session, own: &LogHead, to: u64) -> Result<(Session, Option<Timestamp>, Batch)> {
        let Cut { pieces, copied } = match self.cut(session, own, to, Short::Copied).await {
            // Messages that cannot be copied stay where they are.
            Err(error) if error.is_of_one_thing() => self.cut(session, own, to, Short::Kept).await?,
            cut => cut?,
        };
        let mut rewound = session.clone();
        rewound.rewinds += 1;
        rewound.pieces = pieces;
        rewound.settle_schema();
        // The first messages of its first log may be copies from another session.
        let first = |piece: &&Piece| piece.session == session.id && piece.log == 0;
        let left_of_first = rewound.pieces.iter().find(first).map_or(0, |piece| piece.length);
        let left = if session.rewinds == 0 { left_of_first + copied.len() as u64 } else { left_of_first };
        rewound.copied = session.copied.min(left);
        rewound.preview = self.preview_within(session, to).await?;
        let last = self.said_at(session, to.checked_sub(1)).await?;
        rewound.last_active_at = session.last_active_at.max(last);

        // A concurrent append that was decided before this finds the log's end changed, and is decided again.
        let mut batch =
            with_rewind_event(self.store.batch(), to).guard(Guard::Length { log: own.log.clone(), length: own.length });
        let is_kept = |piece: &Piece| rewound.pieces.iter().any(|kept| kept.history() == piece.history());
        let ended = Piece { session: session.id.clone(), log: session.rewinds, length: own.length };
        if is_kept(&ended) {
            batch = batch.seal(own.log.clone());
        }
        let gone: Vec<_> = session.pieces.iter().cloned().chain([ended]).filter(|piece| !is_kept(piece)).collect();
        batch = give_up(&self.store, batch, session, &gone).await?;
        if !copied.is_empty() {
            batch = self.keep_copied(batch, &copied).await?;
            batch = batch.append(rewound.log(), copied);
        }
        Ok((rewound, last, batch))
    }

    /// Returns when the message at a place was written, if it exists and can be read.
    async fn said_at(&self, session: &Session, place: Option<u64>) -> Result<Option<Timestamp>> {
        let Some(place) = place else { return Ok(None) };
        let mut entry = self.stored_history(session, place..place + 1, Direction::Forward, 1);
        match entry.next().await {
            Some(Ok((_, _, entry))) => Ok(Some(entry.at)),
            Some(Err(error)) if !error.is_of_one_thing() => Err(error),
            _ => Ok(None),
        }
    }

    /// Makes the error for a session that is not as a caller has seen it.
    pub(crate) fn seen_otherwise(&self, seen: &Seen, session: &Session, length: u64) -> Error {
        let mismatch = if seen.length == length {
            Mismatch::Record { key: session.key(), expected: Expect::At(Seq::FIRST), found: Some(Seq::FIRST.next()) }
        } else {
            Mismatch::Length { log: session.log(), expected: seen.length, found: length }
        };
        Error::Conflict(Box::new(Conflict { batch: self.store.batch().id, mismatches: vec![mismatch] }))
    }
}

/// Returns whether a session was rewound since a caller saw it, as far as the caller tracks rewinds.
pub(crate) fn is_rewound_since(seen: &Seen, session: &Session) -> bool {
    seen.rewinds.is_some_and(|rewinds| rewinds != session.rewinds)
}
