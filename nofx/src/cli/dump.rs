//! `nofx dump`: writes a store as text.

use std::path::PathBuf;

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::output::Output;
use super::place::{StoreArg, open_to_read};
use super::requests::Requests;

const EXAMPLES: &str = "\
Examples:
  $ nofx dump | head -n 3
  $ nofx dump --store redb:.nofx/store/nofx.redb --output what-people-keep.ndjson
  $ nofx dump --full --output backup.ndjson";

/// Writes a store as text: one JSON object a line, always the same bytes for the same content.
///
/// Without --full, what people keep: agents, sessions, messages, tasks, templates, attachments. With --full, all records and logs and
/// a digest at the end, for `nofx load` and for comparing two stores exactly. docs/format/dump.md describes both. On a terminal control
/// characters are shown as `\u{1b}`; a file or a pipe gets the text as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Everything that the store holds, in a form that can be loaded again.
    #[arg(long)]
    full: bool,

    /// Writes to a file, which appears once it is complete, instead of the standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let location = args.store.location()?;
    let store = open_to_read(&location, &Requests::default()).await?;
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
