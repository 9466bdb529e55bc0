//! Reads everything in a store, to list what is damaged.

use futures_util::StreamExt;
use nofx_core::entity::{Entity, Message, RecordEntity, Session, Template, key_of};
use nofx_core::kind::{HISTORY, HISTORY_SHARED};
use nofx_core::workspace::{Progress, first_id, whole_message};
use nofx_core::{Error, LogEntry, LogHead, LogKey, LogScan, Record, RecordKey, Result, ScanQuery, Store};

use crate::{Finding, Location, check};

/// Items of a page.
const PAGE: usize = 256;

/// The result of reading a whole store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkup {
    /// Everything that is wrong: first what the backend found, then what reading found.
    pub findings: Vec<Finding>,
    /// How many records were read.
    pub records: u64,
    /// How many logs were read.
    pub logs: u64,
    /// How many entries of logs were read.
    pub entries: u64,
}

impl Checkup {
    /// Returns how many findings are about something that cannot be read.
    pub fn damaged(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_damage).count()
    }
}

/// Reads everything in a store and lists what is damaged. Changes nothing; [`repair`](crate::repair) repairs.
///
/// `store` is the store at the location, opened in any way; other programs may use it concurrently. What cannot be read is a finding, and
/// everything around it is still read. Any other error ends the read.
///
/// Reports progress in phases: `checking` is what the backend examines below the store ([`check`]), then come `records` and `entries`.
pub async fn doctor(location: &Location, store: &Store, progress: &Progress) -> Result<Checkup> {
    progress.begin("checking");
    let found = Checkup { findings: check(location).await?, ..Checkup::default() };
    let mut reading = Reading { store, found, progress };
    reading.everything().await?;
    Ok(reading.found)
}

/// A store that is being read, and what was found.
#[derive(Debug)]
struct Reading<'a> {
    store: &'a Store,
    found: Checkup,
    progress: &'a Progress,
}

impl Reading<'_> {
    async fn everything(&mut self) -> Result<()> {
        self.progress.begin("records");
        let mut records = self.store.scan(ScanQuery::all(PAGE));
        while let Some(record) = records.next().await {
            match record {
                Ok(record) => self.record(&record).await?,
                Err(error) => self.note(error)?,
            }
        }
        self.progress.begin("entries");
        let mut logs = self.store.logs(LogScan::all(PAGE));
        while let Some(head) = logs.next().await {
            match head {
                Ok(head) => self.log(&head).await?,
                Err(error) => self.note(error)?,
            }
        }
        Ok(())
    }

    async fn record(&mut self, record: &Record) -> Result<()> {
        self.found.records += 1;
        self.progress.advance(1);
        if *record.key.kind() != Session::KIND {
            return Ok(());
        }
        let session = match Session::from_body(&record.body) {
            Ok(session) => session,
            Err(error) => {
                self.found.findings.push(Finding::damage(record.key.to_string(), error.chain()));
                return Ok(());
            }
        };
        if let Some(digest) = &session.template {
            let key = key_of::<Template>(digest);
            match self.store.get(std::slice::from_ref(&key)).await {
                Ok(found) if found.iter().all(Option::is_none) => {
                    self.found.findings.push(Finding::damage(record.key.to_string(), format!("its {key} is missing")));
                }
                // A template that cannot be read is a finding of its own.
                Err(error) if !error.is_of_one_thing() => return Err(error),
                _ => {}
            }
        }
        for piece in &session.pieces {
            let head = match self.store.head(&piece.history()).await {
                Ok(head) => head,
                Err(error) if error.is_of_one_thing() => continue,
                Err(error) => return Err(error),
            };
            if head.length < piece.length {
                let what =
                    format!("it begins with {} messages of {}, which has {}", piece.length, head.log, head.length);
                self.found.findings.push(Finding::damage(record.key.to_string(), what));
            }
        }
        Ok(())
    }

    async fn log(&mut self, head: &LogHead) -> Result<()> {
        self.found.logs += 1;
        if *head.log.kind() == HISTORY && head.length > 0 {
            self.owner(head).await?;
        }
        let mut entries = self.store.read_whole(head, PAGE);
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => {
                    self.found.entries += 1;
                    self.progress.advance(1);
                    if *head.log.kind() == HISTORY {
                        self.message(&head.log, &entry).await?;
                    }
                }
                Err(error) => self.note(error)?,
            }
        }
        Ok(())
    }

    /// Notes a history that belongs to no session, and that no session was restored from.
    async fn owner(&mut self, head: &LogHead) -> Result<()> {
        let keys =
            [RecordKey::new(Session::KIND, first_id(head.log.id()))?, RecordKey::new(HISTORY_SHARED, head.log.id())?];
        match self.store.get(&keys).await {
            Ok(found) if found.iter().all(Option::is_none) => {
                let what =
                    format!("it has {} messages, but the store lists no {} that they belong to", head.length, keys[0]);
                self.found.findings.push(Finding { thing: head.log.to_string(), what, is_damage: false });
                Ok(())
            }
            // A record that cannot be read is a finding of its own.
            Err(error) if !error.is_of_one_thing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads a message with its whole content.
    async fn message(&mut self, log: &LogKey, entry: &LogEntry) -> Result<()> {
        let read = async { whole_message(self.store, Message::from_body(&entry.body)?).await };
        match read.await {
            Ok(_) => Ok(()),
            Err(error) if error.is_of_one_thing() => {
                let thing = format!("{log} at position {}", entry.position);
                self.found.findings.push(Finding::damage(thing, error.chain()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Notes what cannot be read; any other error ends the read.
    fn note(&mut self, error: Error) -> Result<()> {
        let (Error::Corrupt(failure) | Error::TooNew(failure)) = &error else { return Err(error) };
        let finding = Finding::damage(failure.what.clone(), error.chain());
        if !self.found.findings.contains(&finding) {
            self.found.findings.push(finding);
        }
        Ok(())
    }
}
