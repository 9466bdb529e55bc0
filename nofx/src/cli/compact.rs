//! `nofx compact`: makes a store as small as it can be.

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::json_line::JsonLine;
use super::output::Output;
use super::place::{Opened, StoreArg};
use super::text::size;
use crate::compact;
use crate::small::bytes_at;

const EXAMPLES: &str = "\
Examples:
  $ nofx compact
  $ nofx compact --json";

/// Makes a store as small as it can be, and gives the rest back to the file system.
///
/// Worth its time after much was removed, or before a store is copied. Other programs may go on reading; their commits wait. Only a store
/// in one file has room to give back: the other kinds keep themselves small.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Prints one object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = Opened::to_write(&args.store).await?;
    let location = opened.location.clone();
    let bytes = || bytes_at(&location);
    let before = bytes();
    let compacted = compact(&location).await.map_err(|error| Fault::of_store(&error, &location));
    opened.close().await?;
    let (compacted, after) = (compacted?, bytes());
    let told = match (args.json, before, after) {
        (true, ..) => JsonLine::new()
            .text("location", &location.to_string())
            .put("compacted", &compacted)
            .maybe("before", before.as_ref())
            .maybe("bytes", after.as_ref())
            .line(),
        (false, Some(before), Some(after)) if compacted => {
            format!("`{location}` takes {}, before {}\n", size(after), size(before))
        }
        _ => format!("`{location}` keeps itself small; nothing was changed\n"),
    };
    let mut output = Output::stdout();
    output.put(&told)?;
    output.finish()?;
    Ok(Exit::Done)
}
