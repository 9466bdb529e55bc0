//! `nofx upgrade`: upgrades a store to the newest format.

use super::exit::Exit;
use super::fault::Result;
use super::output::Output;
use super::place::{Opened, StoreArg};

const EXAMPLES: &str = "\
Examples:
  $ nofx upgrade";

/// Upgrade a store to the newest format that this version writes.
///
/// Each backend has had one format so far, so a store that can be opened for writing already has the newest one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = Opened::to_write(&args.store).await?;
    let mut output = Output::stdout();
    output.put(&format!("`{}` already has the newest format; nothing was changed\n", opened.location))?;
    output.finish()?;
    opened.close().await?;
    Ok(Exit::Done)
}
