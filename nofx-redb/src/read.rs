//! Reading: records, heads and entries, as pages.

use std::collections::VecDeque;
use std::ops::{Bound, Range, RangeBounds};

use nofx_core::{
    Direction, Key, KeyQuery, LogEntry, LogHead, LogKey, LogQuery, LogState, Page, PageBuilder, Record, RecordKey, Seq,
};

use crate::bundle::{self, Bundled, Walk};
use crate::chunk::{chunk_of, entry_of};
use crate::codec::{Head, decode_record, name, parse_name, shown};
use crate::fault::{Attempt, Fault};
use crate::pages::Trust;
use crate::tables::{CHUNKS, ENTRIES, LOGS, RECORDS, RowBytes, TableRows, Tables};

/// Reads a record.
pub(crate) fn record<T: TableRows>(tables: &Tables<T>, key: &RecordKey) -> Attempt<Option<Record>> {
    let name = name(key);
    if let Some(value) = tables.records.get(&*name)? {
        return decoded_record(key.clone(), &name, value.value());
    }
    let bundled = bundle::record(tables, &name)?;
    Ok(bundled.map(|(version, body)| Record { key: key.clone(), version, body }))
}

/// Reads the version of a record.
pub(crate) fn version<T: TableRows>(tables: &Tables<T>, key: &RecordKey) -> Attempt<Option<Seq>> {
    let name = name(key);
    match version_of_row(&tables.records, key)? {
        Some(version) => Ok(version),
        None => bundle::version(tables, &name),
    }
}

/// Returns the version in the row of a record, if it has a row.
pub(crate) fn version_of_row(records: &impl TableRows, key: &RecordKey) -> Attempt<Option<Option<Seq>>> {
    let name = name(key);
    let Some(value) = records.get(&*name)? else { return Ok(None) };
    let row = decode_record(&name, value.value()).ok_or_else(|| Fault::damaged(key.to_string()))?;
    Ok(Some(row.map(|(version, _)| version)))
}

/// Decodes a row; `None` if it records a removal.
fn decoded_record(key: RecordKey, name: &[u8], value: &[u8]) -> Attempt<Option<Record>> {
    let row = decode_record(name, value).ok_or_else(|| Fault::damaged(key.to_string()))?;
    let Some((version, mut body)) = row else { return Ok(None) };
    let body = body.body().map_err(|why| Fault::unread(why, &key))?;
    Ok(Some(Record { key, version, body }))
}

/// Reads the head of a log.
pub(crate) fn head(logs: &impl TableRows, log: &LogKey) -> Attempt<Head> {
    let name = name(log);
    match logs.get(&*name)? {
        None => Ok(Head::MISSING),
        Some(value) => {
            Head::decode(&name, value.value()).ok_or_else(|| Fault::damaged(format!("the head of log {log}")))
        }
    }
}

/// Returns a page of records: those in rows, and those in bundles that no row hides.
pub(crate) fn scan<T: TableRows>(tables: &Tables<T>, query: &KeyQuery<RecordKey>) -> Attempt<Page<Record>> {
    tables.need(&[RECORDS, CHUNKS], || None)?;
    let Some(mut records) = RecordRows::new(tables, query)? else { return Ok(Page { items: Vec::new(), more: false }) };
    fill(query.limit, &tables.trust, || {
        let record = records.next()?;
        Ok(record.map(|record| {
            let bytes = record.body.len();
            (record, bytes)
        }))
    })
}

/// Records in name order, one by one, regardless of the query's limit.
pub(crate) struct RecordRows<'t, T> {
    bounds: Bounds,
    walk: Walk<'t, T>,
    rows: ByName<'t>,
    direction: Direction,
    /// The next one of each; `None` if it was not read yet.
    next_bundled: Option<Option<Bundled>>,
    next_row: Option<Option<(Vec<u8>, RowBytes<'t>)>>,
}

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

impl<'t, T: TableRows> RecordRows<'t, T> {
    /// Starts reading; `None` if the query asks for nothing.
    pub(crate) fn new(tables: &'t Tables<T>, query: &KeyQuery<RecordKey>) -> Attempt<Option<Self>> {
        let Some(bounds) = bounds(query) else { return Ok(None) };
        let start = match query.direction {
            Direction::Forward => named(&bounds.0),
            Direction::Backward => named(&bounds.1),
        };
        let walk = Walk::new(&tables.chunks, query.direction, start)?;
        let rows = ByName::new(&tables.records, query.direction, &bounds)?;
        Ok(Some(Self { walk, rows, bounds, direction: query.direction, next_bundled: None, next_row: None }))
    }

    fn bundled(&mut self) -> Attempt<Option<Bundled>> {
        let (lower, upper) = &self.bounds;
        while let Some(record) = self.walk.next()? {
            let in_lower = is_in(lower.as_ref(), Bound::Unbounded, &record.name);
            let in_upper = is_in(Bound::Unbounded, upper.as_ref(), &record.name);
            match self.direction {
                _ if in_lower && in_upper => return Ok(Some(record)),
                Direction::Forward if !in_upper => return Ok(None),
                Direction::Backward if !in_lower => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    pub(crate) fn next(&mut self) -> Attempt<Option<Record>> {
        loop {
            let mut record = match self.next_bundled.take() {
                Some(record) => record,
                None => self.bundled()?,
            };
            let row = match self.next_row.take() {
                Some(row) => row,
                None => self.rows.next()?,
            };
            let Some((name, value)) = row else {
                self.next_row = Some(None);
                return record.map(public).transpose();
            };
            if let Some(record) = record.take_if(|record| comes_first(self.direction, &record.name, &name)) {
                self.next_row = Some(Some((name, value)));
                return public(record).map(Some);
            }
            // A row hides the bundled record of the same name.
            if record.as_ref().is_none_or(|record| record.name != name) {
                self.next_bundled = Some(record);
            }
            let key: RecordKey = parse_name(&name).ok_or_else(|| Fault::damaged(shown(&name)))?;
            if let Some(record) = decoded_record(key, &name, value.value())? {
                return Ok(Some(record));
            }
        }
    }
}

fn public(record: Bundled) -> Attempt<Record> {
    let Bundled { name, version, body } = record;
    let key = parse_name(&name).ok_or_else(|| Fault::damaged(shown(&name)))?;
    Ok(Record { key, version, body })
}

fn comes_first(direction: Direction, one: &[u8], other: &[u8]) -> bool {
    match direction {
        Direction::Forward => one < other,
        Direction::Backward => one > other,
    }
}

fn named(bound: &Bound<Vec<u8>>) -> Option<&[u8]> {
    match bound {
        Bound::Included(name) | Bound::Excluded(name) => Some(name),
        Bound::Unbounded => None,
    }
}

fn is_in(lower: Bound<&Vec<u8>>, upper: Bound<&Vec<u8>>, name: &Vec<u8>) -> bool {
    RangeBounds::<Vec<u8>>::contains(&(lower, upper), name)
}

/// Returns a page of heads of logs that are not removed.
pub(crate) fn logs<T: TableRows>(tables: &Tables<T>, query: &KeyQuery<LogKey>) -> Attempt<Page<LogHead>> {
    tables.need(&[LOGS], || None)?;
    let Some(mut heads) = HeadRows::new(tables, query)? else { return Ok(Page { items: Vec::new(), more: false }) };
    fill(query.limit, &tables.trust, || Ok(heads.next()?.map(|head| (head, 0))))
}

/// Heads of logs that are not removed, in name order, one by one, regardless of the query's limit.
pub(crate) struct HeadRows<'t>(ByName<'t>);

impl<'t> HeadRows<'t> {
    /// Starts reading; `None` if the query asks for nothing.
    pub(crate) fn new<T: TableRows>(tables: &'t Tables<T>, query: &KeyQuery<LogKey>) -> Attempt<Option<Self>> {
        let Some(bounds) = bounds(query) else { return Ok(None) };
        Ok(Some(Self(ByName::new(&tables.logs, query.direction, &bounds)?)))
    }

    pub(crate) fn next(&mut self) -> Attempt<Option<LogHead>> {
        while let Some((name, value)) = self.0.next()? {
            let key: LogKey = parse_name(&name).ok_or_else(|| Fault::damaged(shown(&name)))?;
            let head = Head::decode(&name, value.value());
            let head = head.ok_or_else(|| Fault::damaged(format!("the head of log {key}")))?;
            if head.state != LogState::Removed {
                return Ok(Some(head.public(key)));
            }
        }
        Ok(None)
    }
}

/// Fills a page from `next`, and checks whether there is more. A damaged item counts as more.
fn fill<T>(limit: usize, trust: &Trust, mut next: impl FnMut() -> Attempt<Option<(T, usize)>>) -> Attempt<Page<T>> {
    let mut page = PageBuilder::new(limit);
    while !page.is_full() {
        let Some((item, bytes)) = next()? else { return Ok(page.end(false)) };
        page.push(bytes, item);
    }
    trust.complete();
    let more = match next() {
        Ok(next) => next.is_some() || trust.met_more(),
        Err(fault) if fault.is_of_value() => true,
        Err(fault) => return Err(fault),
    };
    Ok(page.end(more))
}

/// The rows of a table in name order, in the direction of a query.
struct ByName<'t> {
    rows: redb::Range<'t, &'static [u8], &'static [u8]>,
    direction: Direction,
    last: Option<Vec<u8>>,
}

impl<'t> ByName<'t> {
    fn new(table: &'t impl TableRows, direction: Direction, (lower, upper): &Bounds) -> Attempt<Self> {
        let rows = table.range::<&[u8]>((lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice)))?;
        Ok(Self { rows, direction, last: None })
    }

    fn next(&mut self) -> Attempt<Option<(Vec<u8>, RowBytes<'t>)>> {
        let row = match self.direction {
            Direction::Forward => self.rows.next(),
            Direction::Backward => self.rows.next_back(),
        };
        let Some((name, value)) = row.transpose()? else { return Ok(None) };
        let name = name.value().to_vec();
        // Otherwise a caller that asks for the next page could go in a circle.
        if self.last.as_ref().is_some_and(|last| !comes_first(self.direction, last, &name)) {
            return Err(Fault::damaged(format!("the order of names at {}", shown(&name))));
        }
        self.last = Some(name.clone());
        Ok(Some((name, value)))
    }
}

/// Returns the bounds of the names that a query asks for; `None` for nothing.
fn bounds<K: Key>(query: &KeyQuery<K>) -> Option<Bounds> {
    let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
    if let Some(kind) = &query.kind {
        let mut prefix = kind.as_str().as_bytes().to_vec();
        prefix.push(0);
        prefix.extend_from_slice(query.prefix.as_bytes());
        upper = Bound::Excluded(after_prefix(prefix.clone()));
        lower = Bound::Included(prefix);
    }
    if let Some(after) = query.after.as_ref().map(name) {
        match query.direction {
            Direction::Forward if !above(&lower, &after) => lower = Bound::Excluded(after),
            Direction::Backward if !below(&upper, &after) => upper = Bound::Excluded(after),
            _ => {}
        }
    }
    (!is_empty(&lower, &upper)).then_some((lower, upper))
}

/// Returns the first name after all that begin with `prefix`. Its last byte is never the largest, because it is text.
fn after_prefix(mut prefix: Vec<u8>) -> Vec<u8> {
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    prefix
}

fn above(lower: &Bound<Vec<u8>>, name: &[u8]) -> bool {
    matches!(lower, Bound::Included(least) if least.as_slice() > name)
}

fn below(upper: &Bound<Vec<u8>>, name: &[u8]) -> bool {
    matches!(upper, Bound::Excluded(end) if end.as_slice() < name)
}

fn is_empty(lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> bool {
    match (lower, upper) {
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Excluded(upper)) => lower >= upper,
        _ => false,
    }
}

/// Returns a page of entries.
pub(crate) fn entries<T: TableRows>(tables: &Tables<T>, query: &LogQuery) -> Attempt<Page<LogEntry>> {
    tables.need(&[LOGS], || Some(format!("log {}", query.log)))?;
    let head = of_pages(tables, &query.log, head(&tables.logs, &query.log))?;
    let mut page = PageBuilder::new(query.limit);
    let mut entries = EntryRows::new(query.log.clone(), head, query.range.clone(), query.direction);
    while !page.is_full()
        && let Some(entry) = entries.next(tables)?
    {
        page.push(entry.body.len(), entry);
    }
    Ok(page.end(!entries.is_done()))
}

/// Entries of a log in position order, one by one.
#[derive(Debug)]
pub(crate) struct EntryRows {
    log: LogKey,
    head: Head,
    left: Range<u64>,
    direction: Direction,
    /// Entries already read from a chunk that come next.
    ahead: VecDeque<LogEntry>,
}

impl EntryRows {
    pub(crate) fn new(log: LogKey, head: Head, range: Range<u64>, direction: Direction) -> Self {
        let (start, end) = (range.start, range.end.min(head.length));
        Self { log, head, left: start..end.max(start), direction, ahead: VecDeque::new() }
    }

    /// Returns whether there is nothing more.
    pub(crate) fn is_done(&self) -> bool {
        self.ahead.is_empty() && self.left.is_empty()
    }

    pub(crate) fn next<T: TableRows>(&mut self, tables: &Tables<T>) -> Attempt<Option<LogEntry>> {
        if self.ahead.is_empty() && !self.left.is_empty() {
            self.read_on(tables)?;
        }
        Ok(self.ahead.pop_front())
    }

    /// Reads the row or the chunk that contains the next entry.
    fn read_on<T: TableRows>(&mut self, tables: &Tables<T>) -> Attempt<()> {
        let Self { log, head, left, direction, ahead } = self;
        let of_log = |fault| match fault {
            Fault::Damaged(what) => Fault::Damaged(format!("{what} of log {log}")),
            Fault::Newer(what) => Fault::Newer(format!("in log {log}, {what}")),
            other => other,
        };
        let position = match direction {
            Direction::Forward => left.start,
            Direction::Backward => left.end - 1,
        };
        let table = if position >= head.folded { ENTRIES } else { CHUNKS };
        tables.need(&[table], || Some(format!("log {log}")))?;
        if position >= head.folded {
            let entry = entry_of(&tables.entries, head.number, position);
            ahead.push_back(of_pages(tables, log, entry).map_err(of_log)?);
        } else {
            let missing = || of_log(Fault::damaged(format!("the entry at position {position}")));
            let chunk = of_pages(tables, log, chunk_of(&tables.chunks, head.number, position)).map_err(of_log)?;
            let chunk = chunk.ok_or_else(missing)?;
            let end = chunk.first + chunk.entries.len() as u64;
            if !(chunk.first..end).contains(&position) || end > head.folded {
                return Err(missing());
            }
            let placed = (chunk.first..).zip(chunk.entries).filter(|(at, _)| left.contains(at));
            ahead.extend(placed.map(|(position, (at, body))| LogEntry { position, at, body }));
            if *direction == Direction::Backward {
                ahead.make_contiguous().reverse();
            }
        }
        match direction {
            Direction::Forward => left.start += ahead.len() as u64,
            Direction::Backward => left.end -= ahead.len() as u64,
        }
        Ok(())
    }
}

/// Names the log if a damaged page was met on the way to it.
fn of_pages<T: TableRows, R>(tables: &Tables<T>, log: &LogKey, read: Attempt<R>) -> Attempt<R> {
    tables.trust.require(|| format!("log {log}")).and(read)
}
