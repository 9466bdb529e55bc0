//! The messages between agents, one page at a time, for callers that hold nothing between pages.

use std::fmt;
use std::str::FromStr;

use futures_util::StreamExt;

use super::{OrchestrationFilter, number_of};
use crate::entity::{Entity, OrchestrationMessage};
use crate::error::{Error, Result};
use crate::query::{Direction, LogQuery};
use crate::record::LogHead;
use crate::workspace::Workspace;

/// The maximum number of messages that one page scans: a page of a rare type may be empty and still have a next page.
const LOOKED_AT: u64 = 10_000;

/// The maximum number of entries read together.
const TOGETHER: usize = 256;

/// A place between two messages between agents. It can be stored as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrchestrationPlace {
    segment: u32,
    /// The position that it precedes.
    position: u64,
}

impl fmt::Display for OrchestrationPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.segment, self.position)
    }
}

impl FromStr for OrchestrationPlace {
    type Err = Error;

    /// `Invalid` for text that is not a place.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(segment, position)| {
            Some(Self { segment: segment.parse().ok()?, position: position.parse().ok()? })
        });
        parsed.ok_or_else(|| {
            Error::invalid(format!(
                "`{}` does not mark a page of messages between agents; give the `next` of an earlier page",
                text.escape_debug()
            ))
        })
    }
}

/// A page of messages between agents.
#[derive(Clone, Debug, Default)]
pub struct OrchestrationPage {
    /// The result of reading each; an unreadable one is an error in its place.
    pub items: Vec<Result<OrchestrationMessage>>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<OrchestrationPlace>,
}

impl Workspace {
    /// Returns a page of at most `limit` messages between agents that match a filter, from a place or from the start;
    /// the next one begins at [`OrchestrationPage::next`].
    ///
    /// Scans at most ten thousand messages, so a page may have fewer, or none. Messages saved or removed between two
    /// pages do not shift the others. `Invalid` for a limit of zero.
    pub async fn orchestration_page(
        &self,
        filter: &OrchestrationFilter,
        from: Option<OrchestrationPlace>,
        limit: usize,
    ) -> Result<OrchestrationPage> {
        if limit == 0 {
            return Err(Error::invalid("the limit of a page is zero; it must be at least 1"));
        }
        let mut segments = self.orchestration_segments().await?;
        let direction = if filter.oldest_first { Direction::Forward } else { Direction::Backward };
        if direction == Direction::Backward {
            segments.reverse();
        }
        let (mut page, mut looked_at) = (OrchestrationPage::default(), 0);
        for head in &segments {
            let segment = number_of(head)?;
            let Some(query) = rest_of(head, segment, from, direction, limit.min(TOGETHER)) else { continue };
            let mut entries = self.store().read(query);
            while let Some(entry) = entries.next().await {
                let places = match &entry {
                    Ok(entry) => entry.position..entry.position + 1,
                    Err(error) => match error.positions().filter(|_| error.is_of_one_thing()) {
                        Some(places) => places,
                        None => return Err(error.clone()),
                    },
                };
                looked_at += places.end - places.start;
                match entry.and_then(|entry| OrchestrationMessage::from_body(&entry.body)) {
                    Ok(message) if !filter.lets_through(&message) => {}
                    message => page.items.push(message),
                }
                if page.items.len() == limit || looked_at >= LOOKED_AT {
                    let position = if direction == Direction::Forward { places.end } else { places.start };
                    page.next = Some(OrchestrationPlace { segment, position });
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }
}

/// Queries the part of a segment after a place; `None` if there is nothing after it.
fn rest_of(
    head: &LogHead,
    segment: u32,
    from: Option<OrchestrationPlace>,
    direction: Direction,
    limit: usize,
) -> Option<LogQuery> {
    let range = match (from, direction) {
        (None, _) => 0..u64::MAX,
        (Some(from), Direction::Forward) if segment == from.segment => from.position..u64::MAX,
        (Some(from), Direction::Backward) if segment == from.segment => 0..from.position,
        (Some(from), Direction::Forward) if segment > from.segment => 0..u64::MAX,
        (Some(from), Direction::Backward) if segment < from.segment => 0..u64::MAX,
        _ => return None,
    };
    (!range.is_empty()).then(|| LogQuery { log: head.log.clone(), range, direction, limit })
}
