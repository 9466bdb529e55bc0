//! `nofx backup`: a consistent copy of a store in use.

use std::ffi::OsString;

use nofx_migrate::{BackupError, Counts};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::interrupt::unless_interrupted;
use super::json_line::JsonLine;
use super::output::Output;
use super::progress::Bar;
use super::sizes::size;
use super::store_arg::{OpenedWorkspace, StoreArg, is_same_place, parse};
use super::target::{MakeArg, Target};
use crate::Location;
use crate::compact::bytes_at;
use crate::schemes::lasting_usage;

const EXAMPLES: &str = "\
Examples:
  $ nofx backup --to redb:backup.redb
  $ nofx backup --to fs:backup --json";

/// Copy a store into a new one, while other programs keep writing to it.
///
/// The copy is the state of the store at one point in time: each change is in it entirely or not at all. The copy may be a store of
/// another kind. To bring an older copy up to date, run `nofx migrate` from one store to the other.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,

    #[arg(long, value_name = "LOCATION", help = format!("The store to create: {}", lasting_usage()))]
    to: OsString,

    #[command(flatten)]
    make: MakeArg,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let to = parse(&args.to)?;
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    if is_same_place(&opened.location, &to) {
        return Err(Fault::new(Exit::Usage, format!("`{to}` is the store itself"), "name another location with --to"));
    }
    let options = args.make.options(&to)?;
    let target = Target::open_whole(to, options).await?;
    let bar = Bar::new();
    let mut report = |done| bar.counted(done);
    let copied = unless_interrupted(nofx_migrate::backup(opened.workspace.store(), &target.store, &mut report)).await;
    bar.clear();
    let counts = match copied {
        None => return Err(target.interrupted().await),
        Some(Ok(counts)) => counts,
        Some(Err(error)) => {
            let fault = match &error {
                BackupError::NotEmpty(found) => Fault::new(
                    Exit::Differs,
                    format!("`{}` is not empty: it holds {found}", target.location),
                    "name a store that does not exist yet",
                ),
                BackupError::Store(error) => Fault::of_stores(error, &opened.location, &target.location),
                other => Fault::new(Exit::Failed, other.to_string(), ""),
            };
            return Err(target.abandon(fault).await);
        }
    };
    let location = target.location.clone();
    _ = target.close().await?;
    opened.close().await?;
    let mut output = Output::stdout();
    output.put(&summary(args.json, &location, counts))?;
    output.finish()?;
    Ok(Exit::Done)
}

fn summary(json: bool, location: &Location, counts: Counts) -> String {
    let Counts { records, logs, entries } = counts;
    let bytes = bytes_at(location);
    if json {
        let json = JsonLine::new().text("location", &location.to_string()).put("records", &records);
        return json.put("logs", &logs).put("entries", &entries).maybe("bytes", bytes.as_ref()).line();
    }
    let size = bytes.map(|bytes| format!(" in {}", size(bytes))).unwrap_or_default();
    format!("`{location}` holds {records} records and {logs} logs with {entries} entries{size}\n")
}
