//! A host's own records and logs.

use futures_util::StreamExt;
use nofx::json::{Value, quote};
use nofx::workspace::{Records, Workspace};
use nofx::{
    Batch, Body, Direction, Error, Expect, Guard, Key, KeyQuery, Kind, LogHead, LogQuery, LogState, NewEntry, Record,
    RecordKey, Result, Seq, Timestamp,
};

use crate::crossing::JsPage;
use crate::request::{Request, excerpt};

/// Items per page if the caller did not say.
const PAGE: u64 = 256;

/// The most items per page.
const MAX_PAGE: u64 = 1000;

/// Answers each requested record, as of one point in time; `null` for one that does not exist.
pub(crate) async fn get(workspace: &Workspace, request: &Request) -> Result<String> {
    let records = of(workspace, request)?;
    let mut keys = Vec::new();
    for key in request.each("keys")? {
        keys.push(named::<RecordKey>(&records, &key)?);
    }
    let found = records.get(&keys).await?;
    let found = found.iter().map(|one| one.as_ref().map_or("null".to_owned(), |one| to_json(&records, one)));
    Ok(format!("[{}]", found.collect::<Vec<_>>().join(",")))
}

/// Answers a page of records. One that cannot be read says so in its place.
pub(crate) async fn scan(workspace: &Workspace, request: &Request) -> Result<String> {
    let (records, mut page) = (of(workspace, request)?, JsPage::of(request, PAGE, MAX_PAGE)?);
    let mut found = records.scan(query(&records, request, page.limit())?)?;
    while let Some(record) = found.next().await {
        match record {
            // The next page begins after a record that can be read.
            Ok(record) if page.add(&to_json(&records, &record)) => {
                return Ok(page.written(Some(place(&records, &record.key))));
            }
            Ok(_) => {}
            Err(error) if error.is_of_one_thing() => {
                page.add_unreadable(r#""kind":"","id":"","version":0,"body":null,"#, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page.written(None))
}

/// Answers a page of the heads of logs. One that cannot be read says so in its place.
pub(crate) async fn logs(workspace: &Workspace, request: &Request) -> Result<String> {
    let (records, mut page) = (of(workspace, request)?, JsPage::of(request, PAGE, MAX_PAGE)?);
    let mut found = records.logs(query(&records, request, page.limit())?)?;
    while let Some(head) = found.next().await {
        match head {
            Ok(head) if page.add(&head_json(&records, &head)) => {
                return Ok(page.written(Some(place(&records, &head.log))));
            }
            Ok(_) => {}
            Err(error) if error.is_of_one_thing() => {
                page.add_unreadable(r#""kind":"","id":"","length":0,"lastAt":null,"state":"open","#, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page.written(None))
}

pub(crate) async fn head(workspace: &Workspace, request: &Request) -> Result<String> {
    let records = of(workspace, request)?;
    Ok(head_json(&records, &records.head(&named(&records, request)?).await?))
}

/// Answers a page of the entries of a log. One that cannot be read says so in its place.
pub(crate) async fn read(workspace: &Workspace, request: &Request) -> Result<String> {
    let (records, mut page) = (of(workspace, request)?, JsPage::of(request, PAGE, MAX_PAGE)?);
    let range = request.optional("from")?.unwrap_or(0)..request.optional("to")?.unwrap_or(u64::MAX);
    let direction = match request.optional("newestFirst")? {
        Some(true) => Direction::Backward,
        _ => Direction::Forward,
    };
    let query = LogQuery { log: named(&records, request)?, range: range.clone(), direction, limit: page.limit() };
    let mut entries = records.read(query)?;
    while let Some(entry) = entries.next().await {
        let (places, entry) = match entry {
            Ok(entry) => (entry.position..entry.position + 1, Ok(entry)),
            Err(error) => match error.positions().filter(|_| error.is_of_one_thing()) {
                Some(places) => (places, Err(error)),
                None => return Err(error),
            },
        };
        // Each position has an item, even if several entries are damaged together.
        for at in 0..places.end - places.start {
            let position = match direction {
                Direction::Forward => places.start + at,
                Direction::Backward => places.end - 1 - at,
            };
            let is_full = match &entry {
                Ok(entry) => {
                    page.add(&format!(r#"{{"position":{position},"at":"{}","body":{}}}"#, entry.at, entry.body))
                }
                Err(error) => page.add_unreadable(&format!(r#""position":{position},"at":"","body":null,"#), error),
            };
            if is_full {
                // What is left of the positions after this one, or before it.
                let next = match direction {
                    Direction::Forward => Some(position + 1).filter(|next| *next < range.end),
                    Direction::Backward => Some(position).filter(|next| *next > range.start),
                };
                return Ok(page.written(next.map(|next| next.to_string())));
            }
        }
    }
    Ok(page.written(None))
}

/// Commits the changes of a request, all or nothing; answers the version of the records that it wrote and where its entries begin.
pub(crate) async fn commit(workspace: &Workspace, request: &Request) -> Result<String> {
    let records = of(workspace, request)?;
    let committed = records.commit(batch(workspace, &records, request)?).await?.committed()?;
    let version = committed.seq.map_or("null".to_owned(), |seq| seq.to_string());
    let positions: Vec<_> = committed.appended.iter().map(|places| places.start.to_string()).collect();
    Ok(format!(r#"{{"version":{version},"positions":[{}]}}"#, positions.join(",")))
}

fn batch(workspace: &Workspace, records: &Records, request: &Request) -> Result<Batch> {
    let mut batch = records.batch();
    for given in request.each("put")? {
        batch = batch.put(named(records, &given)?, expected(&given)?, body(&given)?);
    }
    for given in request.each("delete")? {
        batch = batch.delete(named(records, &given)?, expected(&given)?);
    }
    for given in request.each("append")? {
        let log = named(records, &given)?;
        let mut entries = Vec::new();
        for entry in given.each("entries")? {
            let at = entry.time("at")?.unwrap_or_else(|| workspace.store().sources().now());
            entries.push(NewEntry { at, body: body(&entry)? });
        }
        batch = match given.optional("length")? {
            Some(length) => batch.append_at(log, length, entries),
            None => batch.append(log, entries),
        };
    }
    for given in request.each("seal")? {
        batch = batch.seal(named(records, &given)?);
    }
    for given in request.each("remove")? {
        batch = batch.remove(named(records, &given)?);
    }
    for given in request.each("guard")? {
        batch = batch.guard(match given.optional("length")? {
            Some(length) => Guard::Length { log: named(records, &given)?, length },
            None => Guard::Record { key: named(records, &given)?, expect: expected(&given)? },
        });
    }
    Ok(batch)
}

fn of(workspace: &Workspace, request: &Request) -> Result<Records> {
    workspace.records(&request.text("name")?)
}

/// Reads the key of a record or a log.
fn named<K: Key>(records: &Records, given: &Request) -> Result<K> {
    K::new(records.kind(&given.text("kind")?)?, given.text("id")?)
}

/// Reads the expectation on a record: `"absent"`, a version, or nothing.
fn expected(given: &Request) -> Result<Expect> {
    match given.raw("expect") {
        None => Ok(Expect::Any),
        Some(r#""absent""#) => Ok(Expect::Absent),
        Some(raw) => match u64::read(raw).and_then(Seq::new) {
            Some(version) => Ok(Expect::At(version)),
            None => Err(Error::invalid(format!("`expect` is {}; it must be a version or `absent`", excerpt(raw)))),
        },
    }
}

fn body(given: &Request) -> Result<Body> {
    // A member of a parsed object is compact JSON already.
    given.raw_or_null("body").map(Body::trusted).ok_or_else(|| Error::invalid("`body` is missing"))
}

/// Reads a query; `after` is the key that the previous answer ended with.
fn query<K: Key>(records: &Records, request: &Request, limit: usize) -> Result<KeyQuery<K>> {
    let mut query = match request.optional_text("kind")? {
        Some(kind) => KeyQuery::of(records.kind(&kind)?, limit),
        None => KeyQuery::all(limit),
    };
    if let Some(prefix) = request.optional_text("prefix")? {
        query = query.prefixed(prefix);
    }
    if request.optional("backward")? == Some(true) {
        query = query.backward();
    }
    match request.inner("after")? {
        Some(after) => Ok(query.after(named(records, &after)?)),
        None => Ok(query),
    }
}

fn place<K: Key>(records: &Records, key: &K) -> String {
    format!(r#"{{"kind":{},"id":{}}}"#, quote(own(records, key.kind())), quote(key.id()))
}

/// Returns the kind as its host names it.
fn own<'a>(records: &Records, kind: &'a Kind) -> &'a str {
    let prefix = records.kind("");
    prefix.ok().and_then(|prefix| kind.as_str().strip_prefix(prefix.as_str())).unwrap_or(kind.as_str())
}

fn to_json(records: &Records, record: &Record) -> String {
    let (kind, id) = (quote(own(records, record.key.kind())), quote(record.key.id()));
    format!(r#"{{"kind":{kind},"id":{id},"version":{},"body":{}}}"#, record.version, record.body)
}

fn head_json(records: &Records, head: &LogHead) -> String {
    let (kind, id) = (quote(own(records, head.log.kind())), quote(head.log.id()));
    let last = head.last_at.as_ref().map_or("null".to_owned(), Timestamp::write);
    let state = match head.state {
        LogState::Open => "open",
        LogState::Sealed => "sealed",
        LogState::Removed => "removed",
    };
    format!(r#"{{"kind":{kind},"id":{id},"length":{},"lastAt":{last},"state":"{state}"}}"#, head.length)
}
