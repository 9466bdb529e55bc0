//! The entries of a log as a stream that continues after unreadable ones.

use std::ops::Range;
use std::sync::Arc;

use super::pages::{Items, Narrow, unfold};
use crate::backend::PersistenceBackend;
use crate::error::{Error, Result};
use crate::query::{Direction, LogQuery};
use crate::record::{LogEntry, LogHead};

/// After this many consecutive unreadable entries, the following ones are no longer tried one by one.
const RUN: u64 = 1 << 14;

/// Reads the entries of a log page by page.
pub(super) fn entries(backend: Arc<dyn PersistenceBackend>, query: LogQuery) -> Items<LogEntry> {
    let narrow = Narrow::new(query.limit);
    unfold(Reading { backend, query, narrow, length: None, run: 0, began: false, is_whole: false }, Reading::next)
}

/// Reads, page by page, all entries that a log had when its head was read.
pub(super) fn whole(backend: Arc<dyn PersistenceBackend>, head: &LogHead, limit: usize) -> Items<LogEntry> {
    let query = LogQuery::oldest_first(head.log.clone(), limit).within(0..head.length);
    let narrow = Narrow::new(limit);
    unfold(Reading { backend, query, narrow, length: None, run: 0, began: false, is_whole: true }, Reading::next)
}

/// A log that is being read.
struct Reading {
    backend: Arc<dyn PersistenceBackend>,
    /// What is still to be read.
    query: LogQuery,
    narrow: Narrow,
    /// How many entries the log has, once that was needed.
    length: Option<u64>,
    /// How many consecutive entries could not be read.
    run: u64,
    /// Whether any entry was seen.
    began: bool,
    /// Whether every requested entry must be there.
    is_whole: bool,
}

/// How an entry of a page relates to what is wanted.
enum Taken {
    /// The next one.
    Next,
    /// An entry after the next ones, which are missing although positions are dense.
    After(Range<u64>),
    /// An entry that was not requested; following it could loop forever.
    Never,
}

impl Reading {
    async fn next(mut self) -> (Vec<Result<LogEntry>>, Option<Self>) {
        loop {
            self.query.limit = self.narrow.ask;
            let page = match self.backend.read(&self.query).await {
                Err(error) if error.is_of_one_thing() && !self.narrow.failed() => continue,
                Err(error) if error.is_of_one_thing() => return self.pass(error).await,
                Err(error) => return (vec![Err(error)], None),
                Ok(page) => page,
            };
            self.narrow.read(page.items.len());
            self.run = 0;
            let mut items = Vec::with_capacity(page.items.len());
            for entry in page.items {
                match self.take(entry.position) {
                    Taken::Next => {}
                    Taken::After(missing) => {
                        items.push(Err(Error::corrupt("a page that skips these entries").at(&self.query.log, missing)))
                    }
                    Taken::Never => {
                        items.push(Err(Error::corrupt(format!("{}: entries are out of order", self.query.log))));
                        return (items, None);
                    }
                }
                items.push(Ok(entry));
            }
            let goes_on = page.more && !items.is_empty();
            if !goes_on && self.is_whole {
                items.extend(self.missing().await.map(Err));
            }
            return (items, goes_on.then_some(self));
        }
    }

    /// Returns an error if entries are missing at the end, unless the log was removed during the read.
    async fn missing(&self) -> Option<Error> {
        let left = self.query.range.clone();
        if left.is_empty() {
            return None;
        }
        match self.backend.heads(std::slice::from_ref(&self.query.log)).await {
            Ok(heads) if heads.first().is_some_and(|head| head.length < left.end) => None,
            Ok(_) => Some(Error::corrupt("a log that ends before these entries").at(&self.query.log, left)),
            Err(error) => Some(error),
        }
    }

    /// Removes a position, and everything before it, from what is still wanted.
    fn take(&mut self, position: u64) -> Taken {
        let wanted = &mut self.query.range;
        if !wanted.contains(&position) {
            return Taken::Never;
        }
        let missing = match self.query.direction {
            Direction::Forward => wanted.start..position,
            // The end of a log is unknown until its last entry was seen.
            Direction::Backward if !self.began => 0..0,
            Direction::Backward => position + 1..wanted.end,
        };
        match self.query.direction {
            Direction::Forward => wanted.start = position + 1,
            Direction::Backward => wanted.end = position,
        }
        self.began = true;
        if missing.is_empty() { Taken::Next } else { Taken::After(missing) }
    }

    /// Reports which entries cannot be read, starting with the next one, and continues after them.
    async fn pass(mut self, error: Error) -> (Vec<Result<LogEntry>>, Option<Self>) {
        let passed = match self.unreadable(&error).await {
            Ok(Some(passed)) => passed,
            Ok(None) => return (vec![Err(error)], None),
            Err(other) if other.is_of_one_thing() => return (vec![Err(error)], None),
            Err(other) => return (vec![Err(error), Err(other)], None),
        };
        self.run += passed.end - passed.start;
        match self.query.direction {
            Direction::Forward => self.query.range.start = passed.end,
            Direction::Backward => self.query.range.end = passed.start,
        }
        let error = error.at(&self.query.log, passed);
        (vec![Err(error)], Some(self))
    }

    /// Returns the entries that cannot be read for the same reason as the next one; `None` if there is no next one.
    ///
    /// A reason that names the log is about one stored item, such as a block of many entries: if two entries fail for
    /// it, so do all between them. That is why a few probes find where it ends.
    async fn unreadable(&mut self, error: &Error) -> Result<Option<Range<u64>>> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let heads = self.backend.heads(std::slice::from_ref(&self.query.log)).await?;
                *self.length.insert(heads.first().map_or(0, |head| head.length))
            }
        };
        let left = self.query.range.start..self.query.range.end.min(length);
        let Some(most) = left.end.checked_sub(left.start).filter(|most| *most > 0) else { return Ok(None) };
        let direction = self.query.direction;
        let position = |at: u64| match direction {
            Direction::Forward => left.start + at,
            Direction::Backward => left.end - 1 - at,
        };
        let reason = error.to_string();
        let names_the_log = reason.contains(&self.query.log.to_string());
        let (mut count, mut step, mut grows) = (1, 1, true);
        while step > 0 && count < most {
            let probe = (count - 1 + step).min(most - 1);
            let found = self.one(position(probe)).await;
            let is_same = match &found {
                Ok(()) => false,
                Err(other) if !other.is_of_one_thing() => return Err(other.clone()),
                Err(other) => self.run + count > RUN || (names_the_log && other.to_string() == reason),
            };
            if is_same {
                count = probe + 1;
            } else if probe == 1 && found.is_err() {
                self.narrow.doubt_the_next();
            }
            grows &= is_same;
            step = if grows { step * 2 } else { step / 2 };
        }
        Ok(Some(match direction {
            Direction::Forward => left.start..left.start + count,
            Direction::Backward => left.end - count..left.end,
        }))
    }

    async fn one(&self, position: u64) -> Result<()> {
        let range = position..position + 1;
        let query = LogQuery { log: self.query.log.clone(), range, direction: self.query.direction, limit: 1 };
        self.backend.read(&query).await.map(drop)
    }
}
