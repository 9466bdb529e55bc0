//! `cargo xtask migrate`: the program's own command, so that a fresh clone can migrate without installing anything.

use std::process::ExitCode;

pub(crate) use nofx::cli::migrate::Args;

use crate::Result;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    Ok(nofx::cli::migrate::main(args))
}
