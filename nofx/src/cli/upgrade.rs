//! `nofx upgrade`: upgrades a store to the newest format.

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::json_line::JsonLine;
use super::output::Output;
use super::store_arg::{OpenedWorkspace, StoreArg};
use crate::upgrade;

const EXAMPLES: &str = "\
Examples:
  $ nofx upgrade
  $ nofx upgrade --json";

/// Upgrade a store to the newest format that this version writes.
///
/// Close other programs that use the store first: they would have to open it again. Older versions of this program cannot read an
/// upgraded store. Only a `redb:` store can have an older format, if it was created without a journal; it commits to a journal afterwards.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_write(&args.store).await?;
    let location = opened.location.clone();
    opened.close().await?;
    let upgraded = upgrade(&location).await.map_err(|error| Fault::of_store(&error, &location))?;
    let text = match (args.json, upgraded) {
        (true, _) => JsonLine::new().text("location", &location.to_string()).put("upgraded", &upgraded).line(),
        (false, true) => format!("`{location}` was upgraded to the newest format\n"),
        (false, false) => format!("`{location}` already has the newest format; nothing was changed\n"),
    };
    let mut output = Output::stdout();
    output.put(&text)?;
    output.finish()?;
    Ok(Exit::Done)
}
