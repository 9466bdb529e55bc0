//! The full dump: everything that the waist exposes, in a form that can be loaded again.

use std::io::{self, Write};

use futures_util::TryStreamExt;
use nofx_core::json::quote;
use nofx_core::{Body, Error, LogHead, LogKey, LogScan, LogState, RecordKey, ScanQuery, Store, Timestamp};

use super::{DumpError, Result};
use crate::digest::{Running, hex};

/// Items per page.
const PAGE: usize = 256;

/// The first line of every full dump of this version.
pub(super) const FIRST_LINE: &str = "{\"format\":\"nofx-full-dump\",\"version\":1}\n";

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records.
    pub records: u64,
    /// Open and sealed logs.
    pub logs: u64,
    /// Entries of all logs.
    pub entries: u64,
}

/// The end of a full dump: the counts, and the digest of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullDump {
    /// The counts.
    pub counts: Counts,
    /// The SHA-256 of all lines except the last, in hexadecimal: equal for two stores exactly if they hold the same.
    pub sha256: String,
}

/// Writes the full dump of a store: each record, and each log with its state and entries, of known and unknown kinds.
///
/// Whatever identifies the store rather than its content is left out: the id of the store, numbers of commits, ids of batches,
/// names of removed logs. So two stores with the same content give the same bytes, whatever their backends. As with
/// [`dump`](crate::dump), each page is the state at one point in time. `docs/format/dump.md` describes the lines.
pub async fn dump_full(store: &Store, out: &mut impl Write) -> Result<FullDump> {
    let mut out = Digesting { out, digest: Running::default() };
    let mut counts = Counts::default();
    out.put(FIRST_LINE)?;
    let mut records = store.scan(ScanQuery::all(PAGE));
    while let Some(record) = records.try_next().await? {
        out.put(&record_line(&record.key, &record.body))?;
        counts.records += 1;
    }
    let mut logs = store.logs(LogScan::all(PAGE));
    while let Some(head) = logs.try_next().await? {
        write_log(store, &head, &mut out).await?;
        counts.logs += 1;
        counts.entries += head.length;
    }
    let Digesting { out, digest } = out;
    let full = FullDump { counts, sha256: hex(&digest.finish()) };
    out.write_all(last_line(&full).as_bytes()).and_then(|()| out.flush()).map_err(DumpError::Write)?;
    Ok(full)
}

/// Returns what the full dump of a store would end with.
pub async fn full_digest(store: &Store) -> nofx_core::Result<FullDump> {
    match dump_full(store, &mut io::sink()).await {
        Ok(full) => Ok(full),
        Err(DumpError::Store(error)) => Err(error),
        Err(DumpError::Write(error)) => Err(Error::unavailable_because("writing to nowhere", error)),
    }
}

async fn write_log<W: Write>(store: &Store, head: &LogHead, out: &mut Digesting<'_, W>) -> Result<()> {
    out.put(&log_line(&head.log, head.state, head.length))?;
    // Entries that were added after the head was read are not part of the dump.
    let mut entries = store.read_whole(head, PAGE);
    let mut found = 0;
    while let Some(entry) = entries.try_next().await? {
        out.put(&entry_line(entry.position, entry.at, &entry.body))?;
        found += 1;
    }
    if found < head.length {
        return Err(Error::unavailable(format!("log {} was removed while it was being dumped", head.log)).into());
    }
    Ok(())
}

pub(super) fn record_line(key: &RecordKey, body: &Body) -> String {
    format!("{{\"record\":\"{}\",\"id\":{},\"body\":{body}}}\n", key.kind(), quote(key.id()))
}

pub(super) fn log_line(key: &LogKey, state: LogState, length: u64) -> String {
    let state = match state {
        LogState::Open => "open",
        LogState::Sealed => "sealed",
        LogState::Removed => "removed",
    };
    format!("{{\"log\":\"{}\",\"id\":{},\"state\":\"{state}\",\"length\":{length}}}\n", key.kind(), quote(key.id()))
}

pub(super) fn entry_line(position: u64, at: Timestamp, body: &Body) -> String {
    format!("{{\"entry\":{position},\"at\":{},\"body\":{body}}}\n", at.as_millis())
}

pub(super) fn last_line(full: &FullDump) -> String {
    let Counts { records, logs, entries } = full.counts;
    let sha256 = &full.sha256;
    format!("{{\"end\":{{\"records\":{records},\"logs\":{logs},\"entries\":{entries}}},\"sha256\":\"{sha256}\"}}\n")
}

struct Digesting<'a, W> {
    out: &'a mut W,
    digest: Running,
}

impl<W: Write> Digesting<'_, W> {
    fn put(&mut self, line: &str) -> Result<()> {
        self.digest.add(line.as_bytes());
        self.out.write_all(line.as_bytes()).map_err(DumpError::Write)
    }
}
