//! The first messages of a session as the start of another history.

use futures_util::{StreamExt, TryStreamExt};

use super::history::PAGE;
use super::preview::preview;
use crate::batch::NewEntry;
use crate::entity::{Piece, Session};
use crate::error::Result;
use crate::json::Text;
use crate::query::Direction;
use crate::record::LogHead;
use crate::workspace::Workspace;

/// A last piece shorter than this is copied, unless it is the first.
///
/// Otherwise a history could become a chain of very short pieces, and reading its tail would take a read for each.
const SHORTEST_PIECE: u64 = 50;

/// Messages per page when looking for a preview: it is usually the first message.
const PREVIEW_PAGE: usize = 16;

/// The first messages of a session.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// The ones that stay where they are.
    pub(crate) pieces: Vec<Piece>,
    /// The messages after them, in stored form, to be copied.
    pub(crate) copied: Vec<NewEntry>,
}

/// What to do with a short last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// Its messages are copied.
    Copied,
    /// It stays.
    Kept,
}

impl Workspace {
    /// Returns the first `to` messages of a session, which must have that many; `own` is the head of the log to which
    /// it appends.
    pub(crate) async fn cut(&self, session: &Session, own: &LogHead, to: u64, short: Short) -> Result<Cut> {
        let own = Piece { session: session.id.clone(), log: session.rewinds, length: own.length };
        let mut left = to;
        let mut pieces: Vec<Piece> = Vec::new();
        for mut piece in session.pieces.iter().cloned().chain([own]) {
            piece.length = piece.length.min(left);
            left -= piece.length;
            if piece.length > 0 {
                pieces.push(piece);
            }
        }
        let is_short = pieces.len() > 1 && pieces.last().is_some_and(|last| last.length < SHORTEST_PIECE);
        let last = if is_short && short == Short::Copied { pieces.pop() } else { None };
        let Some(last) = last else { return Ok(Cut { pieces, copied: Vec::new() }) };
        let head = LogHead { length: last.length, ..LogHead::missing(last.history()) };
        let entries = self.store.read_whole(&head, PAGE);
        let copied = entries.map_ok(|entry| NewEntry { at: entry.at, body: entry.body }).try_collect().await?;
        Ok(Cut { pieces, copied })
    }

    /// Returns the preview of a session that keeps only its first `to` messages.
    pub(crate) async fn preview_within(&self, session: &Session, to: u64) -> Result<Option<Text>> {
        if session.preview.is_none() {
            return Ok(None);
        }
        let mut messages = self.history(session, 0..to, Direction::Forward, Some(PREVIEW_PAGE));
        while let Some(entry) = messages.next().await {
            match entry {
                Ok(entry) => {
                    if let Some(preview) = preview([&entry.message]) {
                        return Ok(Some(preview));
                    }
                }
                Err(error) if error.is_of_one_thing() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
