//! `nofx doctor`: reads everything, lists what is damaged and repairs what can be repaired.

use futures_util::StreamExt;
use nofx_core::entity::{Entity, Message, RecordEntity, Session, Template, key_of};
use nofx_core::kind::{HISTORY, HISTORY_SHARED};
use nofx_core::workspace::{first_id, whole_message};
use nofx_core::{
    Error, Kind, LogEntry, LogHead, LogKey, LogScan, Loss, Record, RecordKey, Repair, Repaired, ScanQuery, Store,
};

use super::exit::Exit;
use super::fault::{Fault, Result, chain};
use super::json_line::JsonLine;
use super::output::Output;
use super::place::{Opened, StoreArg, refuse_nothing};
use super::text::one_line;
use crate::{Finding, Location, check, forget, repair};

const EXAMPLES: &str = "\
Examples:
  $ nofx doctor
  $ nofx doctor --json
  $ nofx doctor --repair";

/// Items of a page.
const PAGE: usize = 256;

/// Reads everything that a store holds and lists what is damaged. Changes nothing without `--repair`.
///
/// What cannot be read is named, and everything around it is read.
///
/// `--repair` makes again what is derived, and moves what stands in its way to the folder `damaged` inside a store of files: never
/// away, and never overwriting it. Nothing is made up: messages that are damaged stay where they are, and those around them are
/// read; a session whose file is missing or damaged stays listed until `--forget` names it, since its file may still arrive. The file
/// of an embedded store is brought into order after a crash; damaged values in it are only listed.
///
/// Where more can only be repaired by giving something up, it says what that is, and asks if it runs on a terminal; otherwise it
/// leaves it, unless there is `--yes`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Repairs what can be repaired, then lists what is still damaged. No other program should have the store open.
    #[arg(long)]
    repair: bool,

    /// Gives up a record that cannot be read: a session's id, or KIND/ID as it is listed. Nothing else goes with it.
    #[arg(long, value_name = "ID", requires = "repair", value_parser = parse_key)]
    forget: Vec<RecordKey>,

    /// Gives up what stands in the way of a repair, without asking.
    #[arg(long, requires = "repair")]
    yes: bool,

    /// Prints an object for each repair and each finding, and one for the whole at the end, each on a line of its own.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let Repaired { repairs, losses } = if args.repair { repaired(args).await? } else { Repaired::default() };
    let mut output = Output::stdout();
    for repair in &repairs {
        output.put(&if args.json { json_of_repair(repair) } else { line_of_repair(repair) })?;
    }
    for loss in &losses {
        output.put(&if args.json { json_of_loss(loss) } else { line_of_loss(loss) })?;
    }
    let opened = Opened::to_read(&args.store).await?;
    let mut findings = check(&opened.location).await.map_err(|error| opened.fault(&error))?;
    let mut reading =
        Reading { store: opened.workspace.store(), findings: Vec::new(), records: 0, logs: 0, entries: 0 };
    reading.everything().await.map_err(|error| opened.fault(&error))?;
    let Reading { findings: read, records, logs, entries, .. } = reading;
    findings.extend(read);
    let damaged = findings.iter().filter(|finding| finding.is_damage).count() + losses.len();
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
            _ if !losses.is_empty() => "`--yes` gives up what is listed as left; restore a backup to keep it",
            "fs" if !args.repair => "run it with `--repair`, or restore a backup",
            _ if args.repair => {
                "restore a backup, or the files that are missing; `--forget ID` gives up a record that cannot be read"
            }
            _ => Error::corrupt("").next_step(),
        };
        return Err(Fault::new(Exit::Corrupt, message, hint));
    }
    Ok(Exit::Done)
}

/// Repairs, asks a person before anything is given up, and forgets what is named.
async fn repaired(args: &Args) -> Result<Repaired> {
    let location = args.store.location()?;
    refuse_nothing(&location)?;
    let mut repaired = match repair(&location, args.yes).await {
        // What has nothing to repair in place can forget all the same.
        Err(Error::Invalid(_)) if !args.forget.is_empty() && is_kept_whole(&location) => Repaired::default(),
        done => done.map_err(|error| refused(&error, &location))?,
    };
    if !repaired.losses.is_empty() && !args.json && agrees(&repaired.losses) {
        let more = repair(&location, true).await.map_err(|error| refused(&error, &location))?;
        repaired.repairs.extend(more.repairs);
        repaired.losses = more.losses;
    }
    if !args.forget.is_empty() {
        let forgotten = forget(&location, &args.forget).await.map_err(|error| match error {
            Error::Invalid(failure) => {
                Fault::new(Exit::Refused, failure.what, "`nofx doctor` lists what cannot be read")
            }
            error => Fault::of_opening(&error, &location),
        })?;
        repaired.repairs.extend(forgotten);
    }
    Ok(repaired)
}

/// Returns whether a store has nothing that could be repaired in place.
fn is_kept_whole(location: &Location) -> bool {
    location.scheme() == "memory"
}

fn refused(error: &Error, location: &Location) -> Fault {
    match error {
        Error::Invalid(_) if is_kept_whole(location) => {
            let hint = "run it without `--repair`, which lists what is damaged";
            Fault::new(Exit::Refused, chain(error).trim_start_matches("invalid: "), hint)
        }
        _ => Fault::of_opening(error, location),
    }
}

/// Asks whoever sits at the terminal; without one the answer is no.
fn agrees(losses: &[Loss]) -> bool {
    use std::io::{IsTerminal, Write, stderr, stdin};
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return false;
    }
    let mut asked = String::new();
    for loss in losses {
        asked.push_str(&line_of_loss(loss));
    }
    let mut answer = String::new();
    let is_asked = write!(anstream::stderr(), "{asked}give this up? [y/N] ").and_then(|()| stderr().flush());
    is_asked.and_then(|()| stdin().read_line(&mut answer)).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Reads what `--forget` names.
fn parse_key(text: &str) -> std::result::Result<RecordKey, String> {
    let named = text.split_once('/').and_then(|(kind, id)| Some((Kind::new(kind).ok()?, id)));
    let (kind, id) = named.unwrap_or((Session::KIND, text));
    RecordKey::new(kind, id).map_err(|error| chain(&error))
}

fn line_of_repair(repair: &Repair) -> String {
    let kept = repair.aside.as_ref().map_or_else(String::new, |aside| format!(" (kept as {})", one_line(aside)));
    format!("repaired {}: {}{kept}\n", one_line(&repair.thing), one_line(&repair.what))
}

fn line_of_loss(loss: &Loss) -> String {
    format!("left     {}: {}\n", one_line(&loss.thing), one_line(&loss.what))
}

fn json_of_loss(loss: &Loss) -> String {
    JsonLine::new().text("thing", &loss.thing).text("left", &loss.what).line()
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
        let mut records = self.store.scan(ScanQuery::all(PAGE));
        while let Some(record) = records.next().await {
            match record {
                Ok(record) => self.record(&record).await?,
                Err(error) => self.note(error)?,
            }
        }
        let mut logs = self.store.logs(LogScan::all(PAGE));
        while let Some(head) = logs.next().await {
            match head {
                Ok(head) => self.log(&head).await?,
                Err(error) => self.note(error)?,
            }
        }
        Ok(())
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
                self.findings.push(Finding::damage(record.key.to_string(), what));
            }
        }
        Ok(())
    }

    async fn log(&mut self, head: &LogHead) -> nofx_core::Result<()> {
        self.logs += 1;
        if *head.log.kind() == HISTORY && head.length > 0 {
            self.owner(head).await?;
        }
        let mut entries = self.store.read_whole(head, PAGE);
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => {
                    self.entries += 1;
                    if *head.log.kind() == HISTORY {
                        self.message(&head.log, &entry).await?;
                    }
                }
                Err(error) => self.note(error)?,
            }
        }
        Ok(())
    }

    /// Notes a history that no session lists, and that none was begun with.
    async fn owner(&mut self, head: &LogHead) -> nofx_core::Result<()> {
        let keys =
            [RecordKey::new(Session::KIND, first_id(head.log.id()))?, RecordKey::new(HISTORY_SHARED, head.log.id())?];
        match self.store.get(&keys).await {
            Ok(found) if found.iter().all(Option::is_none) => {
                let what =
                    format!("it has {} messages, and the store lists no {} that they are of", head.length, keys[0]);
                self.findings.push(Finding { thing: head.log.to_string(), what, is_damage: false });
                Ok(())
            }
            // One that cannot be read is found by itself.
            Err(error) if !error.is_of_one_thing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads a message with its whole content.
    async fn message(&mut self, log: &LogKey, entry: &LogEntry) -> nofx_core::Result<()> {
        let read = async { whole_message(self.store, Message::from_body(&entry.body)?).await };
        match read.await {
            Ok(_) => Ok(()),
            Err(error) if error.is_of_one_thing() => {
                let thing = format!("{log} at position {}", entry.position);
                self.findings.push(Finding::damage(thing, chain(&error)));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Notes what cannot be read; any other error ends the reading.
    fn note(&mut self, error: Error) -> nofx_core::Result<()> {
        let (Error::Corrupt(failure) | Error::TooNew(failure)) = &error else { return Err(error) };
        let finding = Finding::damage(failure.what.clone(), chain(&error));
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
        Ok(())
    }
}
