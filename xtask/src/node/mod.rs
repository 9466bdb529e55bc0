//! `cargo xtask node`: the addon, the npm package around it and the sample extension, built for development and tested.

mod npm;
mod package;

use std::process::ExitCode;

pub(crate) use npm::{fetched, installed, npm};
pub(crate) use package::{Build, build_extension, build_package, extension, package};

use crate::Result;
use crate::step::{StepOutcome, Steps, execute, in_turn};

/// Build the addon for development, with the features redb and fs, and run the tests of the npm package and of the sample extension.
///
/// Needs Node 20 and npm, and reports if they are missing or npm's registry cannot be reached.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    steps.run("node", step);
    Ok(steps.finish())
}

/// Runs the tests on the oldest supported Node: that of VS Code 1.85. Its package on npm is only for this platform.
fn oldest() -> Result<StepOutcome> {
    match cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        true => in_turn([&|| fetched(npm(&package()).args(["run", "fetch:oldest"])), &|| {
            execute(npm(&package()).args(["run", "test:oldest"]))
        }]),
        false => Ok(StepOutcome::PassedWith("not on Node 18.15, which is tried on Linux on x86-64".into())),
    }
}

pub(crate) fn step() -> Result<StepOutcome> {
    if let Err(reason) = installed() {
        return Ok(StepOutcome::NotRun(reason));
    }
    in_turn([
        &|| build_package(Build::Development),
        &|| execute(npm(&package()).args(["test"])),
        &build_extension,
        &|| execute(npm(&extension()).args(["test"])),
        &oldest,
    ])
}
