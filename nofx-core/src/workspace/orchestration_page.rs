//! The messages between agents a page at a time, for those who hold nothing between two.

use std::fmt;
use std::str::FromStr;

use futures_util::StreamExt;

use super::Workspace;
use super::orchestration::{OrchestrationFilter, number_of};
use crate::entity::{Entity, OrchestrationMessage};
use crate::error::{Error, Result};
use crate::query::{Direction, LogQuery};
use crate::record::LogHead;

/// How many messages a page looks at, at most: a page of a rare kind may be empty and have a next one.
const LOOKED_AT: u64 = 10_000;

/// Entries that are read together, at most.
const TOGETHER: usize = 256;

/// A place between two messages between agents. As a text it may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrchestrationPlace {
    segment: u32,
    /// The position before which it is.
    position: u64,
}

impl fmt::Display for OrchestrationPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.segment, self.position)
    }
}

impl FromStr for OrchestrationPlace {
    type Err = Error;

    /// `Invalid` for a text that is no place.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(segment, position)| {
            Some(Self { segment: segment.parse().ok()?, position: position.parse().ok()? })
        });
        parsed.ok_or_else(|| {
            Error::invalid(format!("`{}` is no place among the messages between agents", text.escape_debug()))
        })
    }
}

/// A page of messages between agents.
#[derive(Clone, Debug, Default)]
pub struct OrchestrationPage {
    /// What became of reading each; one that cannot be read is an error in its place.
    pub items: Vec<Result<OrchestrationMessage>>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<OrchestrationPlace>,
}

impl Workspace {
    /// Returns a page of at most `limit` of the messages between agents that a filter lets through, from a place on or from the
    /// beginning; the next one begins at [`OrchestrationPage::next`].
    ///
    /// Looks at ten thousand messages at most, so a page may have fewer, also none. Messages that are saved or removed between two
    /// pages move no others. `Invalid` for a page of no messages.
    pub async fn orchestration_page(
        &self,
        filter: &OrchestrationFilter,
        from: Option<OrchestrationPlace>,
        limit: usize,
    ) -> Result<OrchestrationPage> {
        if limit == 0 {
            return Err(Error::invalid("a page of no messages"));
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

/// Asks for what of a segment lies behind a place; `None` if nothing does.
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
