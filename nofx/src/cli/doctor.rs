//! `nofx doctor`: reads everything, lists damage and repairs what can be repaired.

use nofx_core::entity::{RecordEntity, Session};
use nofx_core::workspace::Progress;
use nofx_core::{Error, Kind, Loss, RecordKey, Repair, Repaired};

use super::exit::Exit;
use super::fault::{Fault, Result, chain};
use super::json_line::JsonLine;
use super::output::Output;
use super::store_arg::{OpenedWorkspace, StoreArg, refuse_nothing};
use super::text::one_line;
use crate::{Checkup, Finding, Location, doctor, forget, repair};

const EXAMPLES: &str = "\
Examples:
  $ nofx doctor
  $ nofx doctor --json
  $ nofx doctor --repair";

/// Read everything in a store and list what is damaged. Changes nothing without `--repair`.
///
/// What cannot be read is named, and everything around it is still read.
///
/// `--repair` rebuilds derived data. In an `fs:` store, what is in the way is moved to the folder `damaged` inside the store: it is never
/// deleted or overwritten. Nothing is invented: damaged messages stay where they are, and the messages around them are still read; a
/// session whose file is missing or damaged stays listed until `--forget` names it, since its file may still arrive. A `redb:` store is
/// recovered after a crash, and its journal continues after what cannot be read; damaged values in the file are only listed.
///
/// If something can only be repaired by giving up other data, doctor says which data. On a terminal it asks first; elsewhere it leaves
/// that damage alone, unless `--yes` is given.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Repair what can be repaired, then list what is still damaged. No other program should have the store open.
    #[arg(long)]
    repair: bool,

    /// Give up a record that cannot be read: a session's id, or KIND/ID as listed. Nothing else is given up with it.
    #[arg(long, value_name = "ID", requires = "repair", value_parser = parse_key)]
    forget: Vec<RecordKey>,

    /// Give up data that cannot be repaired, without asking.
    #[arg(long, requires = "repair")]
    yes: bool,

    /// Print one JSON object a line: one for each repair and each finding, then one with the totals.
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
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let found = doctor(&opened.location, opened.workspace.store(), &Progress::default()).await;
    let found = found.map_err(|error| opened.fault(&error))?;
    let damaged = found.damaged() + losses.len();
    let Checkup { findings, records, logs, entries } = &found;
    for finding in findings {
        output.put(&if args.json { json(finding) } else { line(finding) })?;
    }
    output.put(&match args.json {
        true => {
            let whole = JsonLine::new().put("records", records).put("logs", logs).put("entries", entries);
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
        let sets_aside = opened.location.backend().is_ok_and(|backend| backend.sets_aside);
        let hint = match args.repair {
            _ if !losses.is_empty() => "`--yes` gives up what is listed as left; restore a backup to keep it",
            true => {
                "restore a backup, or the files that are missing; `--forget ID` gives up a record that cannot be read"
            }
            false if sets_aside => "run it with `--repair`, or restore a backup",
            false => Error::corrupt("").next_step(),
        };
        return Err(Fault::new(Exit::Corrupt, message, hint));
    }
    Ok(Exit::Done)
}

/// Repairs, asks before giving anything up, and forgets what `--forget` names.
async fn repaired(args: &Args) -> Result<Repaired> {
    let location = args.store.location()?;
    refuse_nothing(&location)?;
    let mut repaired = match repair(&location, args.yes).await {
        // A store with nothing to repair in place can still forget records.
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
    location.backend().is_ok_and(|backend| backend.repair.is_none())
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

/// Asks the user at the terminal; without a terminal the answer is no.
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

/// Parses the argument of `--forget`.
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
