//! `cargo xtask test`: all tests, without the other checks of `ci`.

use std::process::{ExitCode, Stdio};

use crate::Result;
use crate::step::{Outcome, Steps, execute};
use crate::workspace::cargo;

/// Runs the tests and the doctests of the whole workspace.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs only the tests whose name contains one of these texts.
    filters: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    add_steps(&mut steps, &args.filters);
    Ok(steps.finish())
}

/// Runs the two steps that `ci` and `test` share.
pub(crate) fn add_steps(steps: &mut Steps, filters: &[String]) {
    steps.run("tests", || tests(filters));
    steps.run("doctests", || doctests(filters));
}

fn tests(filters: &[String]) -> Result<Outcome> {
    if !nextest_is_installed() {
        return tests_without_nextest(filters);
    }
    let mut command = cargo();
    // All that fails is told at once: a run is too long to find them one by one.
    command.args(["nextest", "run", "--workspace", "--all-features", "--locked", "--no-fail-fast"]);
    if !filters.is_empty() {
        // A filter may well match doctests alone.
        command.arg("--no-tests=pass");
    }
    execute(command.args(filters))
}

fn tests_without_nextest(filters: &[String]) -> Result<Outcome> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--all-features", "--all-targets", "--locked", "--no-fail-fast", "--"]);
    let outcome = execute(command.args(filters))?;
    Ok(match outcome {
        Outcome::Passed => Outcome::PassedWith("with cargo test: cargo-nextest is not installed".into()),
        other => other,
    })
}

fn doctests(filters: &[String]) -> Result<Outcome> {
    let mut command = cargo();
    command.args(["test", "--doc", "--workspace", "--all-features", "--locked", "--no-fail-fast", "--"]);
    execute(command.args(filters))
}

fn nextest_is_installed() -> bool {
    let mut probe = cargo();
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
