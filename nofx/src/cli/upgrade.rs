//! `nofx upgrade`: brings a store to the newest format.

use super::exit::Exit;
use super::fault::Result;
use super::output::Output;
use super::place::{Opened, StoreArg};

const EXAMPLES: &str = "\
Examples:
  $ nofx upgrade";

/// Brings a store to the newest format that this version writes.
///
/// There has been one format of each backend so far, so a store that can be opened for writing has the newest.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = Opened::to_write(&args.store).await?;
    let mut output = Output::stdout();
    output.put(&format!("`{}` has the newest format; nothing was changed\n", opened.location))?;
    output.finish()?;
    opened.close().await?;
    Ok(Exit::Done)
}
