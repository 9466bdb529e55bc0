//! The program `nofx`, one file per command.
//!
//! A command is `Args`, whose doc comment is its help, and `run`. To add one: write that file, add a `mod` line below, and add it to
//! `Command` and to [`main`].

mod archive;
mod arena;
mod backup;
mod cleanup;
mod compact;
mod completions;
mod conversation;
mod delete;
mod doctor;
mod dump;
mod exit;
mod export;
mod fault;
mod import;
mod interrupt;
mod json_line;
mod load;
mod ls;
pub mod migrate;
mod nearest;
mod output;
mod paths;
mod progress;
mod records;
mod requests;
mod restore;
mod retire;
mod rewind;
mod screen;
mod search;
mod sessions;
mod show;
mod sizes;
mod source;
mod stats;
mod store_arg;
mod tail;
mod target;
mod temporary;
mod text;
mod times;
mod undelete;
mod upgrade;
mod visible;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use exit::Exit;
use fault::Fault;

/// Store, read and search what NofX agents said and did.
#[derive(Debug, Parser)]
#[command(name = "nofx", version)]
struct Cli {
    /// Work in this namespace, such as the one of another host; the default namespace if not given.
    #[arg(long, value_name = "NAME", global = true)]
    namespace: Option<String>,

    #[command(subcommand)]
    command: Command,
}

// The help of each command is the doc comment of its `Args`.
#[derive(Debug, Subcommand)]
enum Command {
    Migrate(migrate::Args),
    Ls(ls::Args),
    Show(show::Args),
    Tail(tail::Args),
    Search(search::Args),
    Export(export::Args),
    Import(import::Args),
    Archive(archive::Args),
    Restore(restore::Args),
    Rewind(rewind::Args),
    Delete(delete::Args),
    Undelete(undelete::Args),
    Cleanup(cleanup::Args),
    Stats(stats::Args),
    Records(records::Args),
    Doctor(doctor::Args),
    Backup(backup::Args),
    Compact(compact::Args),
    Upgrade(upgrade::Args),
    Dump(dump::Args),
    Load(load::Args),
    Completions(completions::Args),
}

impl Command {
    /// Returns whether a command works on a whole store rather than on one namespace.
    fn is_about_all(&self) -> bool {
        matches!(
            self,
            Self::Migrate(_)
                | Self::Stats(_)
                | Self::Doctor(_)
                | Self::Backup(_)
                | Self::Compact(_)
                | Self::Upgrade(_)
                | Self::Dump(_)
                | Self::Load(_)
                | Self::Records(_)
                | Self::Completions(_)
        )
    }
}

/// Runs the program on the command line that it was started with.
pub fn main() -> ExitCode {
    // On a wrong command line this exits with code 2, on `--help` with 0.
    let Cli { command, namespace } = Cli::parse();
    if matches!(command, Command::Migrate(_)) {
        arena::share_one();
    }
    execute(async {
        if namespace.is_some() && command.is_about_all() {
            let message = "this command works on all namespaces of a store";
            return Err(Fault::new(Exit::Usage, message, "leave out `--namespace`"));
        }
        match &command {
            Command::Migrate(args) => migrate::run(args).await,
            Command::Ls(args) => ls::run(args).await,
            Command::Show(args) => show::run(args).await,
            Command::Tail(args) => tail::run(args).await,
            Command::Search(args) => search::run(args).await,
            Command::Export(args) => export::run(args).await,
            Command::Import(args) => import::run(args).await,
            Command::Archive(args) => archive::run(args).await,
            Command::Restore(args) => restore::run(args).await,
            Command::Rewind(args) => rewind::run(args).await,
            Command::Delete(args) => delete::run(args).await,
            Command::Undelete(args) => undelete::run(args).await,
            Command::Cleanup(args) => cleanup::run(args).await,
            Command::Stats(args) => stats::run(args).await,
            Command::Records(args) => records::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Backup(args) => backup::run(args).await,
            Command::Compact(args) => compact::run(args).await,
            Command::Upgrade(args) => upgrade::run(args).await,
            Command::Dump(args) => dump::run(args).await,
            Command::Load(args) => load::run(args).await,
            Command::Completions(args) => completions::run(args),
        }
    })
}

/// How long to wait, once the command is done, for threads that are still busy: one may be reading an input that never ends.
const AT_LAST: Duration = Duration::from_millis(200);

/// Runs a command, prints what went wrong, and returns the exit code.
fn execute(command: impl Future<Output = fault::Result<Exit>>) -> ExitCode {
    let done = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(command);
            runtime.shutdown_timeout(AT_LAST);
            done
        }
        Err(error) => Err(Fault::new(Exit::Failed, format!("cannot start threads: {error}"), "close other programs")),
    };
    let exit = done.unwrap_or_else(|fault| {
        fault.print();
        fault.exit()
    });
    exit.into()
}
