//! `nofx dump`: writes a store as text.

use std::path::PathBuf;

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::output::Output;
use super::requests::RequestCounter;
use super::store_arg::{StoreArg, open_to_read};

const EXAMPLES: &str = "\
Examples:
  $ nofx dump | head -n 3
  $ nofx dump --store redb:.nofx/store/nofx.redb --output what-people-keep.ndjson
  $ nofx dump --full --output backup.ndjson";

/// Write a store as text: one JSON object a line, always the same bytes for the same content.
///
/// Without --full, write the entities: agents, sessions, messages, tasks, templates, attachments. With --full, write all records and logs
/// and a digest at the end, for `nofx load` and for comparing two stores exactly. docs/format/dump.md describes both. On a terminal,
/// control characters are shown as `\u{1b}`; a file or a pipe gets the text unchanged.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Write everything in the store, in a form that `nofx load` reads.
    #[arg(long)]
    full: bool,

    /// Write to a file instead of standard output. The file appears once it is complete.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let location = args.store.location()?;
    let store = open_to_read(&location, &RequestCounter::default()).await?;
    let mut output = match &args.output {
        None => Output::stdout(),
        Some(file) => Output::file(file)?,
    };
    let name = output.name();
    let dumped = match args.full {
        true => nofx_migrate::dump_full(&store, &mut output).await.map(drop),
        false => nofx_migrate::dump(&store, &mut output).await,
    };
    dumped.map_err(|error| Fault::of_dump(&error, &location, &name))?;
    output.finish()?;
    store.close().await.map_err(|error| Fault::of_store(&error, &location))?;
    Ok(Exit::Done)
}
