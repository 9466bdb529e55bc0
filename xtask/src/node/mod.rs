//! `cargo xtask node`: the addon, the npm package around it and the sample extension, built for development and tested.

mod npm;
mod package;

use std::process::ExitCode;

pub(crate) use npm::{fetched, installed, npm};
pub(crate) use package::{Build, build_extension, build_package, extension, package};

use crate::Result;
use crate::step::{Outcome, Steps, execute, in_turn};

/// Builds the addon for development, with the features redb and fs, and runs the tests of the npm package and of the sample extension.
///
/// Needs Node 20 and npm, and says so where they are missing or where npm's registry cannot be reached.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    steps.run("node", step);
    Ok(steps.finish())
}

pub(crate) fn step() -> Result<Outcome> {
    if let Err(reason) = installed() {
        return Ok(Outcome::NotRun(reason));
    }
    in_turn([
        &|| build_package(Build::Development),
        &|| execute(npm(&package()).args(["test"])),
        &build_extension,
        &|| execute(npm(&extension()).args(["test"])),
    ])
}
