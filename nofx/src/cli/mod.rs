//! The program `nofx`, one file per command.
//!
//! A command is `Args`, whose documentation is its help, and `run`. To add one: write that file, name it below, and give it a
//! row in `Command` and in [`main`].

pub mod completions;
pub mod dump;
mod exit;
mod fault;
pub mod load;
pub mod migrate;
mod nearest;
mod output;
mod paths;
mod place;
mod progress;
mod source;
mod text;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;
pub use fault::Fault;
pub use place::StoreArg;

/// Keeps what NofX agents said and did.
#[derive(Debug, Parser)]
#[command(name = "nofx", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// The help of each is the documentation of its `Args`.
#[derive(Debug, Subcommand)]
enum Command {
    Migrate(migrate::Args),
    Dump(dump::Args),
    Load(load::Args),
    Completions(completions::Args),
}

/// Runs the program on the command line that it was started with.
pub fn main() -> ExitCode {
    // Ends by itself with code 2, or with 0 for help.
    let command = Cli::parse().command;
    execute(async {
        match &command {
            Command::Migrate(args) => migrate::run(args).await,
            Command::Dump(args) => dump::run(args).await,
            Command::Load(args) => load::run(args).await,
            Command::Completions(args) => completions::run(args),
        }
    })
}

/// Runs a command, tells what went wrong, and returns what the program ends with.
fn execute(command: impl Future<Output = fault::Result<Exit>>) -> ExitCode {
    let done = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(Fault::new(Exit::Failed, format!("cannot start threads: {error}"), "close other programs")),
    };
    let exit = done.unwrap_or_else(|fault| {
        fault.tell();
        fault.exit()
    });
    exit.into()
}
