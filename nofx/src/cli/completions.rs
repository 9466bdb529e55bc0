//! `nofx completions`: shell completion scripts.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::exit::Exit;
use super::fault::Result;
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  $ nofx completions bash > nofx.bash
  $ nofx completions zsh > _nofx";

/// Print a script that lets a shell complete commands and options.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell to print it for.
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nofx", &mut script);
    let mut output = Output::stdout();
    output.put(&String::from_utf8_lossy(&script))?;
    output.finish()?;
    Ok(Exit::Done)
}
