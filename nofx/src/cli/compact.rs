//! `nofx compact`: makes a store as small as possible.

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::json_line::JsonLine;
use super::output::Output;
use super::sizes::size;
use super::store_arg::{OpenedWorkspace, StoreArg};
use crate::compact;
use crate::compact::bytes_at;

const EXAMPLES: &str = "\
Examples:
  $ nofx compact
  $ nofx compact --json";

/// Make a store as small as possible, and return the free space to the file system.
///
/// Useful after much was purged, or before copying a store. Other programs can keep reading; their commits wait. Only a store in one file
/// has space to return: the other kinds stay small on their own.
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
    let bytes = || bytes_at(&location);
    let before = bytes();
    let compacted = compact(&location).await.map_err(|error| Fault::of_store(&error, &location));
    opened.close().await?;
    let (compacted, after) = (compacted?, bytes());
    let text = match (args.json, before, after) {
        (true, ..) => JsonLine::new()
            .text("location", &location.to_string())
            .put("compacted", &compacted)
            .maybe("before", before.as_ref())
            .maybe("bytes", after.as_ref())
            .line(),
        (false, Some(before), Some(after)) if compacted => {
            format!("`{location}` takes {}, before {}\n", size(after), size(before))
        }
        _ => format!("`{location}` stays small on its own; nothing was changed\n"),
    };
    let mut output = Output::stdout();
    output.put(&text)?;
    output.finish()?;
    Ok(Exit::Done)
}
