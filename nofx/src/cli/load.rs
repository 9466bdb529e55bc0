//! `nofx load`: loads a full dump into an empty store.

use std::io::{self, BufReader};
use std::path::PathBuf;

use nofx_migrate::{FullDump, LoadError, check_dump};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::interrupt::unless_interrupted;
use super::output::Output;
use super::source;
use super::store_arg::StoreArg;
use super::target::{MakeArg, Target};
use super::text::shown;
use crate::{Location, Options};

const EXAMPLES: &str = "\
Examples:
  $ nofx load backup.ndjson --store redb:restored.redb
  $ nofx dump --full | nofx load --store redb:piped.redb";

/// Load a full dump into an empty store. A full dump of that store then has the same bytes.
///
/// A file is read twice, and nothing is written unless the first pass finds it complete. A new store is created under a temporary name
/// and gets its own name once everything is in it. If the program is killed, a folder `.nofx-making-…` remains beside the store's location
/// until the next command creates a store there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// A file that `nofx dump --full` wrote; `-` or nothing for standard input.
    #[arg(value_name = "DUMP")]
    input: Option<PathBuf>,

    #[command(flatten)]
    store: StoreArg,

    #[command(flatten)]
    make: MakeArg,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let location = args.store.location()?;
    let options = args.make.options(&location)?;
    let target_and_dump = match args.input.as_ref().filter(|path| path.as_os_str() != "-") {
        Some(path) => load_file(path, location, options).await?,
        None => load_piped(location, options).await?,
    };
    let (target, FullDump { counts, sha256 }) = target_and_dump;
    let location = target.location.clone();
    _ = target.close().await?;
    let mut output = Output::stdout();
    output.put(&format!(
        "`{location}` holds {} records and {} logs with {} entries; digest {sha256}\n",
        counts.records, counts.logs, counts.entries
    ))?;
    output.finish()?;
    Ok(Exit::Done)
}

/// Loads a dump that can be read twice: nothing is written unless it is complete.
pub(super) async fn load_file(
    path: &std::path::Path,
    location: Location,
    options: Options,
) -> Result<(Target, FullDump)> {
    let name = format!("`{}`", shown(path));
    let checked = check_dump(&mut source::read(path)?).map_err(|error| Fault::of_load(&error, &name, &location))?;
    let mut input = source::read(path)?;
    let target = Target::open_whole(location, options).await?;
    let Some(loaded) = unless_interrupted(nofx_migrate::load(&mut input, &target.store)).await else {
        return Err(target.interrupted().await);
    };
    let (target, loaded) = end(target, loaded, &name).await?;
    if loaded != checked {
        let message = format!("{name} changed while it was being read");
        let hint = "load it again into a store that does not exist yet, while no other program writes to it";
        return Err(target.abandon(Fault::new(Exit::DumpDamaged, message, hint)).await);
    }
    Ok((target, loaded))
}

async fn load_piped(location: Location, options: Options) -> Result<(Target, FullDump)> {
    let target = Target::open_whole(location, options).await?;
    let store = target.store.clone();
    // In its own task: reading waits for the program at the other end of the pipe, and Ctrl-C must not wait for it.
    let loading = tokio::spawn(async move { nofx_migrate::load(&mut BufReader::new(io::stdin()), &store).await });
    let Some(loaded) = unless_interrupted(loading).await else { return Err(target.interrupted().await) };
    // The task is never cancelled, so the only join error is a panic.
    let loaded = loaded.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    end(target, loaded, "standard input").await
}

async fn end(
    target: Target,
    loaded: std::result::Result<FullDump, LoadError>,
    name: &str,
) -> Result<(Target, FullDump)> {
    match loaded {
        Ok(loaded) => Ok((target, loaded)),
        Err(error) => {
            let fault = Fault::of_load(&error, name, &target.location);
            Err(target.abandon(fault).await)
        }
    }
}
