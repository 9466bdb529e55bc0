//! Tests that look below the backend: power cuts, failing disks, damage.

mod closing;
mod copies;
mod cost;
mod crash;
mod damage;
mod derived;
mod failing;
mod foreign_file;
#[cfg(unix)]
mod kept_back;
mod listing;
mod lost;
mod lying;
#[cfg(unix)]
mod proven;
mod reading;
mod repair;
mod sealed;

use std::path::PathBuf;

use nofx_core::{
    Batch, Changes, Cursor, LogEntry, LogHead, LogKey, LogQuery, LogScan, Outcome, Page, Record, RecordKey, Result,
    ScanQuery, Seq,
};
use nofx_journal::segment::{Position, Segment};
use nofx_journal::shared_files::SharedFiles;

use crate::layout;
use crate::store::OpenFolder;

/// What tests ask of an open store.
impl OpenFolder {
    fn get(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>> {
        self.follower().get(keys)
    }

    fn scan(&self, query: &ScanQuery) -> Result<Page<Record>> {
        self.follower().scan(query)
    }

    fn heads(&self, logs: &[LogKey]) -> Result<Vec<LogHead>> {
        self.follower().heads(logs)
    }

    fn logs(&self, query: &LogScan) -> Result<Page<LogHead>> {
        self.follower().logs(query)
    }

    fn read(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.follower().read(query)
    }

    fn changes(&self, after: Option<&Cursor>, limit: usize) -> Result<Changes> {
        self.follower().changes(after, limit)
    }

    fn commit(&self, group: Vec<Batch>) -> Result<Vec<Outcome>> {
        self.engine.commit(group)
    }

    /// Brings the files up to date with everything that was committed.
    fn apply(&self) -> Result<()> {
        if self.read_only.is_some() { Ok(()) } else { self.engine.apply() }
    }

    /// Opens the lock and tip files, as another process does.
    fn shared_files(&self) -> SharedFiles {
        SharedFiles::open(&*self.writable, &layout::AT).unwrap()
    }

    fn position(&self) -> Position {
        self.follower().follow().unwrap();
        self.follower().position()
    }

    /// Returns how many bytes only the journal holds.
    fn unapplied_bytes(&self) -> u64 {
        self.follower().follow().unwrap();
        self.follower().unapplied().bytes
    }

    fn last_seq(&self) -> Option<Seq> {
        self.follower().follow().unwrap();
        self.follower().unapplied().last_seq.max(self.base.listed().unwrap().mark.last_seq)
    }

    /// Returns the segment that was written last.
    fn segment_path(&self) -> PathBuf {
        Segment::newest_run(self.files(), &layout::AT, self.store).unwrap().pop().unwrap().path
    }
}
