//! `nofx doctor`: reads everything, lists what is damaged and repairs what can be repaired.

use futures_util::{StreamExt, TryStreamExt};
use nofx_core::entity::{Entity, Message, RecordEntity, Session, Template, key_of};
use nofx_core::kind::{HISTORY, KINDS, Shape};
use nofx_core::workspace::whole_message;
use nofx_core::{Direction, Error, Kind, LogHead, LogQuery, LogScan, Record, RecordKey, ScanQuery, Store};

use super::exit::Exit;
use super::fault::{Fault, Result, chain};
use super::json_line::JsonLine;
use super::output::Output;
use super::place::{Opened, StoreArg, refuse_nothing};
use super::text::one_line;
use crate::{Finding, Location, Repair, check, repair};

const EXAMPLES: &str = "\
Examples:
  $ nofx doctor
  $ nofx doctor --json
  $ nofx doctor --repair";

/// Items of a page.
const PAGE: usize = 256;

/// Reads everything that a store holds and lists what is damaged. Changes nothing without `--repair`.
///
/// Of what cannot be read the neighbours are tried from both sides, so that one damaged thing is not told as many.
///
/// `--repair` makes again what is derived, and moves what it cannot read to the folder `damaged` inside a store of files: never
/// away, and never overwriting it. Nothing is made up: messages that are damaged stay where they are, and those around them are
/// read. The file of an embedded store is brought into order after a crash; damaged values in it are only listed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Repairs what can be repaired, then lists what is still damaged. No other program should have the store open.
    #[arg(long)]
    repair: bool,

    /// Prints an object for each repair and each finding, and one for the whole at the end, each on a line of its own.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let repairs = if args.repair { repaired(&args.store.location()?).await? } else { Vec::new() };
    let mut output = Output::stdout();
    for repair in &repairs {
        output.put(&if args.json { json_of_repair(repair) } else { line_of_repair(repair) })?;
    }
    let opened = Opened::to_read(&args.store).await?;
    let mut findings = check(&opened.location).await.map_err(|error| opened.fault(&error))?;
    let mut reading =
        Reading { store: opened.workspace.store(), findings: Vec::new(), records: 0, logs: 0, entries: 0 };
    reading.everything().await.map_err(|error| opened.fault(&error))?;
    let Reading { findings: read, records, logs, entries, .. } = reading;
    findings.extend(read);
    let damaged = findings.iter().filter(|finding| finding.is_damage).count();
    for finding in &findings {
        output.put(&if args.json { json(finding) } else { line(finding) })?;
    }
    output.put(&match args.json {
        true => {
            let whole = JsonLine::new().put("records", &records).put("logs", &logs).put("entries", &entries);
            whole.put("repaired", &(repairs.len() as u64)).put("damaged", &(damaged as u64)).line()
        }
        false => {
            let found = if findings.is_empty() { "nothing is wrong".to_owned() } else { format!("{damaged} damaged") };
            format!("read {records} records and {logs} logs with {entries} entries: {found}\n")
        }
    })?;
    output.finish()?;
    opened.close().await?;
    if damaged > 0 {
        let message = format!("something in `{}` is damaged", opened.location);
        let hint = match opened.location.scheme() {
            "fs" if !args.repair => "run it with `--repair`, or restore a backup",
            _ => Error::corrupt("").next_step(),
        };
        return Err(Fault::new(Exit::Corrupt, message, hint));
    }
    Ok(Exit::Done)
}

async fn repaired(location: &Location) -> Result<Vec<Repair>> {
    refuse_nothing(location)?;
    repair(location).await.map_err(|error| match (&error, location.scheme()) {
        (Error::Invalid(_), scheme) if !matches!(scheme, "fs" | "redb") => {
            let hint = "run it without `--repair`, which lists what is damaged";
            Fault::new(Exit::Refused, chain(&error).trim_start_matches("invalid: "), hint)
        }
        _ => Fault::of_opening(&error, location),
    })
}

fn line_of_repair(repair: &Repair) -> String {
    let kept = repair.aside.as_ref().map_or_else(String::new, |aside| format!(" (kept as {})", one_line(aside)));
    format!("repaired {}: {}{kept}\n", one_line(&repair.thing), one_line(&repair.what))
}

fn json_of_repair(repair: &Repair) -> String {
    let json = JsonLine::new().text("thing", &repair.thing).text("repaired", &repair.what);
    json.raw("aside", &repair.aside.as_ref().map_or("null".to_owned(), |aside| nofx_core::json::quote(aside))).line()
}

fn line(finding: &Finding) -> String {
    let kind = if finding.is_damage { "damaged" } else { "note" };
    format!("{kind:<8} {}: {}\n", one_line(&finding.thing), one_line(&finding.what))
}

fn json(finding: &Finding) -> String {
    let json = JsonLine::new().text("thing", &finding.thing).text("what", &finding.what);
    json.put("damage", &finding.is_damage).line()
}

/// A store that is being read, and what was found.
#[derive(Debug)]
struct Reading<'a> {
    store: &'a Store,
    findings: Vec<Finding>,
    records: u64,
    logs: u64,
    entries: u64,
}

impl Reading<'_> {
    async fn everything(&mut self) -> nofx_core::Result<()> {
        for row in KINDS {
            match row.shape {
                Shape::Record => self.all_records(&row.kind).await?,
                Shape::Log => self.all_logs(&row.kind).await?,
            }
        }
        Ok(())
    }

    async fn all_records(&mut self, kind: &Kind) -> nofx_core::Result<()> {
        let mut last: Option<RecordKey> = None;
        let mut limit = PAGE;
        loop {
            let mut query = ScanQuery::of(kind.clone(), limit);
            query.after = last.clone();
            match self.store.backend().scan(&query).await {
                Ok(page) => {
                    for record in &page.items {
                        self.record(record).await?;
                    }
                    last = page.items.into_iter().next_back().map(|record| record.key).or(last);
                    if !page.more {
                        return Ok(());
                    }
                }
                // One by one up to what is damaged.
                Err(Error::Corrupt(_)) if limit > 1 => limit = 1,
                Err(error @ Error::Corrupt(_)) => {
                    self.note(&error);
                    return self.records_from_the_end(kind, last).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what lies behind a damaged record, from the other side.
    async fn records_from_the_end(&mut self, kind: &Kind, until: Option<RecordKey>) -> nofx_core::Result<()> {
        let mut before: Option<RecordKey> = None;
        loop {
            let mut query = ScanQuery::of(kind.clone(), 1).backward();
            query.after = before.clone();
            match self.store.backend().scan(&query).await {
                Ok(page) => {
                    let Some(record) = page.items.first().filter(|record| Some(&record.key) > until.as_ref()) else {
                        return Ok(());
                    };
                    self.record(record).await?;
                    before = Some(record.key.clone());
                }
                Err(error @ Error::Corrupt(_)) => {
                    self.note(&error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn record(&mut self, record: &Record) -> nofx_core::Result<()> {
        self.records += 1;
        if *record.key.kind() != Session::KIND {
            return Ok(());
        }
        let session = match Session::from_body(&record.body) {
            Ok(session) => session,
            Err(error) => {
                self.findings.push(Finding::damage(record.key.to_string(), chain(&error)));
                return Ok(());
            }
        };
        if let Some(digest) = &session.template {
            let key = key_of::<Template>(digest);
            match self.store.get(std::slice::from_ref(&key)).await {
                Ok(found) if found.iter().all(Option::is_none) => {
                    self.findings.push(Finding::damage(record.key.to_string(), format!("its {key} is missing")));
                }
                // One that cannot be read is found by itself.
                Ok(_) | Err(Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for piece in &session.pieces {
            let head = self.store.head(&Session::history(&piece.session)).await?;
            if head.length < piece.length {
                let what =
                    format!("it begins with {} messages of {}, which has {}", piece.length, head.log, head.length);
                self.findings.push(Finding::damage(record.key.to_string(), what));
            }
        }
        Ok(())
    }

    async fn all_logs(&mut self, kind: &Kind) -> nofx_core::Result<()> {
        let mut logs = self.store.logs(LogScan::of(kind.clone(), PAGE));
        while let Some(head) = logs.next().await {
            match head {
                Ok(head) => self.log(&head).await?,
                Err(error @ Error::Corrupt(_)) => self.note(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn log(&mut self, head: &LogHead) -> nofx_core::Result<()> {
        self.logs += 1;
        let read = self.entries(head, 0..head.length, Direction::Forward).await?;
        if read < head.length {
            // What lies behind something damaged, from the other side.
            self.entries(head, read..head.length, Direction::Backward).await?;
        }
        Ok(())
    }

    /// Reads entries as far as they can be read; returns how many.
    async fn entries(
        &mut self,
        head: &LogHead,
        positions: std::ops::Range<u64>,
        direction: Direction,
    ) -> nofx_core::Result<u64> {
        let expected = positions.clone();
        let query = LogQuery { log: head.log.clone(), range: positions, direction, limit: PAGE };
        let mut entries = self.store.read(query);
        let mut read = 0;
        loop {
            let entry = match entries.try_next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    // Unless somebody has removed it meanwhile.
                    let is_short = read < expected.end - expected.start && direction == Direction::Forward;
                    if is_short && self.store.head(&head.log).await?.length >= head.length {
                        let what = format!("it has {} entries and {read} can be read", head.length);
                        self.findings.push(Finding::damage(head.log.to_string(), what));
                    }
                    return Ok(read);
                }
                Err(error @ Error::Corrupt(_)) => {
                    self.note(&error);
                    return Ok(read);
                }
                Err(error) => return Err(error),
            };
            let next = if direction == Direction::Forward { expected.start + read } else { expected.end - 1 - read };
            if entry.position != next {
                let what = format!("position {} comes where {next} should", entry.position);
                self.findings.push(Finding::damage(head.log.to_string(), what));
                return Ok(read);
            }
            (read, self.entries) = (read + 1, self.entries + 1);
            if *head.log.kind() == HISTORY
                && let Err(error) = self.message(&entry.body).await
            {
                match error {
                    Error::Corrupt(_) => {
                        let thing = format!("{} at position {}", head.log, entry.position);
                        self.findings.push(Finding::damage(thing, chain(&error)));
                    }
                    error => return Err(error),
                }
            }
        }
    }

    async fn message(&self, body: &nofx_core::Body) -> nofx_core::Result<()> {
        whole_message(self.store, Message::from_body(body)?).await.map(drop)
    }

    /// Notes an error that names what is damaged.
    fn note(&mut self, error: &Error) {
        let thing = match error {
            Error::Corrupt(failure) => failure.what.clone(),
            other => other.code().to_owned(),
        };
        let told = chain(error);
        let finding = Finding::damage(thing, told);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}
